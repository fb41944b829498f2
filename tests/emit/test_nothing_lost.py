"""No build replaces what is not its own: the user's data, edits, other networks, and what is no file."""

from __future__ import annotations

import io
import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from nnspec.backends.emit import replace_files
from nnspec.backends.headers import origin_of
from nnspec.compiler.command.main import main

SPEC = """model connectome
param n = 4
input x[n]
target t[2]
layer y[2] : tanh
connect x -> y : {edges}
loss mse(y, t)
"""
LOADED = SPEC.format(edges='load("connectome.npz")')
LISTED = SPEC.format(edges="{ 0 -> 0, 1 -> 1, 2 -> 1, 3 -> 0 }")
FULL = SPEC.format(edges="all")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a user's connections in `connectome.npz`."""
    monkeypatch.chdir(tmp_path)
    np.savez("connectome.npz", source=[0, 1, 2, 3], target=[1, 0, 1, 0])
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def compiled(text: str, *options: str, name: str = "net.nnspec") -> Result:
    Path(name).write_text(text)
    return run(name, "-t", "numpy", *options)


def held() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def test_data_of_the_name_of_an_output_is_not_overwritten() -> None:
    Path("net.nnspec").write_text(LISTED)
    before = held()
    refused = compiled(LISTED)
    assert refused.exit_code == 1
    assert refused.output == (
        "not overwritten, because not written by spec-compile: connectome.npz\n"
        "Rename the model, compile into another folder with -o, or compile with --force. "
        "Nothing was written.\n"
    )
    assert held() == before
    assert "not written by spec-compile: connectome.npz\n" in run("net.nnspec", "--check").output
    assert compiled(LISTED, "--force").exit_code == 0
    assert compiled(LISTED).exit_code == 0


@pytest.mark.parametrize("way", ["itself", "link", "hard link", "link to a folder"])
@pytest.mark.parametrize("force", [[], ["--force"]])
def test_what_a_spec_reads_is_never_overwritten(way: str, force: list[str]) -> None:
    out = Path("out")
    if way == "link to a folder":
        out.symlink_to(".")
    elif way != "itself":
        out.mkdir()
        make = os.symlink if way == "link" else os.link
        make(Path("connectome.npz").absolute(), out / "connectome.npz")
    else:
        out = Path()
    Path("net.nnspec").write_text(LOADED)
    before = held()
    refused = compiled(LOADED, "-o", str(out), *force)
    assert refused.exit_code == 1
    assert f"because read by a spec: {out / 'connectome.npz'}\n" in refused.output
    assert "--force" not in refused.output
    assert held() == before
    assert run("edges", "net.nnspec", "x_y", "-o", "connectome.npz").exit_code == 2
    assert held() == before


def test_not_even_a_spec_is_overwritten_or_what_another_spec_reads() -> None:
    assert compiled(FULL, "--force", name="connectome_numpy.py").exit_code == 1
    assert Path("connectome_numpy.py").read_text() == FULL
    Path("other.nnspec").write_text(LOADED.replace("model connectome", "model other"))
    Path("net.nnspec").write_text(LISTED)
    Path("connectome_numpy.py").unlink()
    before = held()
    assert run("net.nnspec", "other.nnspec", "-t", "numpy", "--force").exit_code == 1
    assert held() == before


def resaved(path: Path) -> None:
    with np.load(path) as arrays:
        content = dict(arrays)
    np.savez(path, **content)


def appended(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def changed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("edit", [resaved, appended, changed])
def test_an_edited_archive_is_not_overwritten(edit: Callable[[Path], None]) -> None:
    Path("connectome.npz").unlink()
    assert compiled(LISTED).exit_code == 0
    edit(Path("connectome.npz"))
    if edit is not resaved:  # what has the same arrays loses nothing
        Path("net.nnspec").write_text(LISTED)
        before = held()
        assert compiled(LISTED).exit_code == 1
        assert held() == before
    assert compiled(LISTED.replace("3 -> 0", "3 -> 1")).exit_code == 1


def test_output_of_another_spec_model_or_size_is_not_overwritten() -> None:
    assert compiled(FULL, "-o", "out", name="small.nnspec").exit_code == 0
    Path("large.nnspec").write_text(FULL)
    before = held()
    other = run("large.nnspec", "-t", "numpy", "-o", "out")
    assert other.exit_code == 1
    assert (
        "because made from small.nnspec (model connectome), and not from large.nnspec (model connectome): "
        "out/connectome_numpy.py, out/test_connectome.py\n" in other.output
    )
    larger = run("small.nnspec", "-t", "numpy", "-o", "out", "-D", "n=6")
    assert larger.exit_code == 1
    assert "and not from small.nnspec (model connectome, n = 6): out/" in larger.output
    assert held() == before
    assert run("small.nnspec", "-t", "numpy", "-o", "out", "-D", "n=6", "--force").exit_code == 0
    assert run("small.nnspec", "-t", "numpy", "-o", "out", "-D", "n=6").exit_code == 0
    assert run("small.nnspec", "-t", "numpy", "-o", "out").exit_code == 1
    many = [f"-Dp{n}={n}.5" for n in range(100)]
    text = FULL + "".join(f"param p{n} = 1\n" for n in range(100))
    assert compiled(text, "-o", "many", *many).exit_code == 0
    assert compiled(text, "-o", "many", *reversed(many)).exit_code == 0
    assert compiled(text, "-o", "many", *many[1:]).exit_code == 1


def test_the_tests_of_one_model_are_not_the_module_of_another() -> None:
    one, other = FULL.replace("connectome", "numpy"), FULL.replace("connectome", "test")
    assert compiled(one, name="s.nnspec").exit_code == 0
    before = Path("test_numpy.py").read_bytes()
    refused = compiled(other, name="s.nnspec")
    assert refused.exit_code == 1
    assert "made from s.nnspec (model numpy), and not from s.nnspec (model test): test_numpy.py\n" in (
        refused.output
    )
    assert Path("test_numpy.py").read_bytes() == before


def test_a_changed_spec_its_data_and_the_batch_replace_their_own_output() -> None:
    Path("connectome.npz").rename("data.npz")
    text = LOADED.replace("connectome.npz", "data.npz")
    assert compiled(text).exit_code == 0
    np.savez("data.npz", source=[0, 1], target=[1, 0])
    assert "wrote     connectome.npz\n" in compiled(text).output
    assert "wrote     connectome_numpy.py\n" in compiled(text.replace("tanh", "relu")).output
    assert "wrote     connectome_numpy.py\n" in compiled(text, "--batch", "1").output


def test_files_of_earlier_compilers_are_known() -> None:
    Path("connectome.npz").unlink()
    assert compiled(LISTED).exit_code == 0
    module, arrays = Path("connectome_numpy.py"), Path("connectome.npz")
    first, inputs, _, body, rest = module.read_text().split("\n", 4)
    assert first.count(". Change")
    first = first.replace(". Change", " from net.nnspec. Change")
    for batch in ("", "# planned for   batches of 64\n"):
        module.write_text(f"{first}\n{inputs}\n{batch}{body}\n{rest}")
        origin = origin_of(io.BytesIO(module.read_bytes()))
        assert origin
        assert (origin.spec, origin.model, origin.edited) == ("net.nnspec", None, False)
        resaved(arrays)
        assert compiled(LISTED).exit_code == 0
    module.write_text(f"{first}\n{inputs}\n{body}\n{rest}\n# mine\n")
    assert compiled(LISTED).exit_code == 1


def test_links_at_the_place_of_an_output_stay_and_what_they_lead_to_is_written() -> None:
    Path("real").mkdir()
    Path("out").mkdir()
    module = Path("out/connectome_numpy.py")
    module.symlink_to("../real/module.py")
    assert compiled(FULL, "-o", "out").exit_code == 0
    assert module.is_symlink()
    assert Path("real/module.py").read_text().startswith("# Generated by nnspec")
    assert compiled(FULL.replace("tanh", "relu"), "-o", "out").exit_code == 0
    assert "relu" in Path("real/module.py").read_text()
    Path("real/module.py").write_text("mine = 1\n")
    assert compiled(FULL, "-o", "out").exit_code == 1
    assert Path("real/module.py").read_text() == "mine = 1\n"
    tests = Path("out/test_connectome.py")
    tests.unlink()
    tests.symlink_to("connectome_numpy.py")
    both = compiled(FULL, "-o", "out", "--force")
    assert both.exit_code == 2
    assert "is the same file as" in both.output
    assert Path("real/module.py").read_text() == "mine = 1\n"


def fifo(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def circle(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize("name", ["connectome_numpy.py", "connectome.npz"])
@pytest.mark.parametrize("make", [fifo, device, bound, circle, Path.mkdir])
def test_what_is_no_file_is_neither_opened_nor_replaced(make: Callable[[Path], None], name: str) -> None:
    Path("out").mkdir()
    path = Path("out", name)
    Path(name).unlink(missing_ok=True)
    make(Path(name))  # the name of a socket must be short
    Path(name).rename(path)
    mode = path.lstat().st_mode
    for option in ([], ["--force"], ["--check"], ["--diff"]):
        refused = compiled(LISTED, "-o", "out", *option)
        assert refused.exit_code == 2, refused.output
        assert f"Error: {path}: " in refused.output
    if name.endswith(".npz"):
        assert run("edges", "net.nnspec", "x_y", "-o", str(path)).exit_code == 2
    assert path.lstat().st_mode == mode
    assert [p.name for p in Path("out").iterdir()] == [name]


def test_what_an_earlier_build_leaves_is_named() -> None:
    Path("connectome.npz").unlink()
    Path("net.nnspec").write_text(LISTED)
    assert run("net.nnspec").exit_code == 0
    for target in ("torch", "numpy"):
        again = run("net.nnspec", "-t", target)
        assert "left over" not in again.output
        assert "left over" not in run("net.nnspec", "-t", target, "--batch", "1024").output
        assert run("net.nnspec", "-t", target, "--batch", "1024", "--check").exit_code == 0
    Path("other_torch.py").write_bytes(Path("connectome_torch.py").read_bytes())
    built = compiled(FULL)
    assert built.exit_code == 0
    left = [f"connectome{end}" for end in ("_torch.py", "_keras.py", ".npz")]
    assert built.stderr == (
        f"left over from an earlier build: {', '.join(left)}\n"
        "Compile for all targets that are in use, and remove what is not in use.\n"
    )
    checked = run("net.nnspec", "-t", "numpy", "--check")
    assert checked.exit_code == 1
    assert checked.output == "".join(f"left over from an earlier build: {name}\n" for name in left)
    for name in left:
        Path(name).unlink()
    assert run("net.nnspec", "-t", "numpy", "--check").exit_code == 0


@pytest.mark.parametrize("failing", ["write", "fsync", "mkdtemp"])
def test_an_error_of_the_disk_names_the_file(failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    before = held()
    with monkeypatch.context() as patch:
        if failing == "write":
            Path("full").symlink_to("/dev/full")
            opened, device = Path.open, Path("full")
            patch.setattr(Path, "open", lambda path, mode: opened(device if "w" in mode else path, mode))
        else:
            patch.setattr(*{"fsync": (os, "fsync"), "mkdtemp": (tempfile, "mkdtemp")}[failing], full)
        with pytest.raises(OSError, match="No space left") as raised:
            replace_files({Path("a.txt"): b"x", Path("b.txt"): b"y"})
    assert raised.value.filename == "a.txt"
    assert held() == before
