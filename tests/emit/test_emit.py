"""Rendering, headers and writing."""

from __future__ import annotations

import ast
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nnspec.backends.archive import npz
from nnspec.backends.emit import Refused, write
from nnspec.backends.headers import origin_of
from nnspec.compiler import compile_spec
from nnspec.compiler.plan.plan import Stored

ROOT = Path(__file__).parent.parent.parent
GRAPH_MLP = ROOT / "examples" / "graph_mlp.nnspec"


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return dict(compile_spec(GRAPH_MLP).files)


def test_a_build_has_the_promised_files(files: dict[str, bytes]) -> None:
    assert sorted(files) == [
        "graph_mlp.npz",
        "graph_mlp_keras.py",
        "graph_mlp_numpy.py",
        "graph_mlp_torch.py",
        "test_graph_mlp.py",
    ]
    assert "autoencoder.npz" not in compile_spec(ROOT / "examples" / "autoencoder.nnspec").files


def test_the_model_is_short_beside_its_kernels(files: dict[str, bytes]) -> None:
    own, _, kernels = files["graph_mlp_torch.py"].decode().partition("\n\n\n# -----")
    assert len(own.splitlines()) <= 120
    assert "class MaskedProjection" in kernels


@pytest.mark.parametrize(
    "name", ["graph_mlp_torch.py", "graph_mlp_keras.py", "graph_mlp_numpy.py", "test_graph_mlp.py"]
)
def test_no_definition_is_unused(files: dict[str, bytes], name: str) -> None:
    module = ast.parse(files[name])
    defined = {n.name for n in module.body if isinstance(n, ast.ClassDef | ast.FunctionDef)}
    used = {n.id for n in ast.walk(module) if isinstance(n, ast.Name)}
    api = {"GraphMlp", "build_model", "to_arrays", "load_arrays", "init", "forward", "gradients", "loss"}
    assert defined - used <= api | {"TestModel"}


def test_generated_code_imports_its_framework_and_numpy_alone(files: dict[str, bytes]) -> None:
    allowed = {"torch": {"torch"}, "keras": {"keras"}, "numpy": set[str]()}
    for target, own in allowed.items():
        module = ast.parse(files[f"graph_mlp_{target}.py"])
        imported = {
            a.name.partition(".")[0] for n in ast.walk(module) if isinstance(n, ast.Import) for a in n.names
        }
        imported |= {
            (n.module or "").partition(".")[0] for n in ast.walk(module) if isinstance(n, ast.ImportFrom)
        }
        assert imported - set(sys.stdlib_module_names) <= own | {"numpy"}


def test_bytes_do_not_depend_on_folder_locale_or_hash_seed(files: dict[str, bytes], tmp_path: Path) -> None:
    for seed, locale in (("1", "C"), ("2", "de_DE.UTF-8")):
        folder = tmp_path / seed
        environment = {**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": locale}
        subprocess.run(
            [sys.executable, "-m", "nnspec.compiler.command.main", str(GRAPH_MLP), "-o", str(folder)],
            cwd=tmp_path,
            env=environment,
            check=True,
            capture_output=True,
        )
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    assert not any(str(ROOT).encode() in content for content in files.values())


def test_bytes_of_no_spec_depend_on_the_hash_seed() -> None:
    """What is ordered by a set would be another in every process."""
    script = """
import hashlib, sys
from pathlib import Path
from nnspec.compiler import compile_spec
for spec in sys.argv[1:]:
    files = compile_spec(Path(spec), kernels="beside").files
    print(spec, {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)})
"""
    specs = sorted(map(str, (ROOT / "tests" / "specs").glob("*.nnspec")))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, *specs],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    one, other = (process.communicate()[0].splitlines() for process in processes)
    assert len(one) == len(specs)
    assert one == other


def test_the_header_tells_of_stale_input_and_edited_body(files: dict[str, bytes], tmp_path: Path) -> None:
    def edited(content: bytes) -> bool | None:
        origin = origin_of(io.BytesIO(content))
        return origin and origin.edited

    text, arrays = files["graph_mlp_torch.py"], files["graph_mlp.npz"]
    assert edited(text) is False
    assert edited(text.replace(b"nn.Tanh", b"nn.ReLU")) is True
    assert edited(text.replace(b"\n", b"\r\n")) is True
    assert edited(b"x = 1\n") is None
    assert edited(arrays) is False
    assert edited(arrays.replace(b"source", b"sorcue")) is True
    assert edited(arrays + b"more") is None
    other = compile_spec(GRAPH_MLP, ["torch"], {"penalty": 0.5}).files["graph_mlp_torch.py"]
    assert text.splitlines()[1] != other.splitlines()[1]


def test_a_file_edited_by_hand_is_not_overwritten(files: dict[str, bytes], tmp_path: Path) -> None:
    assert {path.name for path in write(files, tmp_path)} == set(files)
    assert write(files, tmp_path) == []
    edited = tmp_path / "graph_mlp_numpy.py"
    edited.write_text(edited.read_text() + "# mine\n")
    stale = {**files, "graph_mlp_torch.py": files["graph_mlp_keras.py"]}
    with pytest.raises(Refused, match="graph_mlp_numpy"):
        write(stale, tmp_path)
    assert edited.read_text().endswith("# mine\n")
    assert (tmp_path / "graph_mlp_torch.py").read_bytes() == files["graph_mlp_torch.py"], "all files or none"
    write(files, tmp_path, force=True)
    assert edited.read_bytes() == files["graph_mlp_numpy.py"]


def test_a_failed_write_leaves_everything_as_it_was(
    files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(files, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    changed = dict(compile_spec(GRAPH_MLP, params={"penalty": 0.5}).files)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(changed, tmp_path, force=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_npz_depends_on_its_arrays_alone(tmp_path: Path) -> None:
    arrays = [Stored("a.source", np.arange(5, dtype=np.int32)), Stored("b", np.zeros((2, 3)))]
    content = npz(arrays)
    assert content == npz(arrays)
    (tmp_path / "x.npz").write_bytes(content)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as loaded:
        assert loaded.files == ["a.source", "b"]
        assert np.array_equal(loaded["a.source"], np.arange(5))


@pytest.mark.parametrize("name", [".nnspec-99999999999999999999-x", ".nnspec-²-x", ".nnspec-Mine1234"])
def test_a_folder_that_only_looks_like_scratch_is_left_alone(
    name: str, files: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / name).mkdir()
    write(files, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {name, *files}
