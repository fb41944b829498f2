"""Kernels beside the modules that use them: the same code as inside, once for all models, watched over."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
from click.testing import CliRunner

from nnspec.backends.emit import write
from nnspec.compiler import SpecError, compile_spec
from nnspec.compiler.command.main import main

from .. import processes

ROOT = Path(__file__).parents[2]
RING, MLP = ROOT / "examples" / "ring.nnspec", ROOT / "examples" / "autoencoder.nnspec"
SETTINGS = '[tool.nnspec]\nspecs = ["*.nnspec"]\ntargets = ["numpy"]\n'
FOLDERS = ("common", "torch", "keras", "numpy", "tests")


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(main, [*map(str, arguments)])
    return result.exit_code, result.output


def definitions(text: str) -> dict[str, str]:
    """The source of every class and function of a module, by name."""
    lines = text.splitlines()
    return {
        node.name: "\n".join(lines[node.lineno - 1 : node.end_lineno])
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef)
    }


@pytest.mark.parametrize("spec", [RING, MLP], ids=lambda spec: spec.stem)
def test_kernels_beside_are_those_inside(spec: Path) -> None:
    inside, beside = compile_spec(spec).files, compile_spec(spec, kernels="beside").files
    assert {*beside} - {*inside} == {f"nnspec_{folder}.py" for folder in FOLDERS}
    common = definitions(beside["nnspec_common.py"].decode())
    for name in (name for name in inside if name.endswith(".py")):
        target = "tests" if name.startswith("test_") else name.removesuffix(".py").rpartition("_")[2]
        own = definitions(beside[name].decode())
        kernels = definitions(beside[f"nnspec_{target}.py"].decode())
        assert not [
            a.keys() & b.keys() for a, b in combinations([own, kernels, common], 2) if a.keys() & b.keys()
        ]
        assert {**common, **kernels, **own}.items() >= definitions(inside[name].decode()).items()


def test_they_are_the_same_bytes_for_every_model_and_size() -> None:
    builds = [
        compile_spec(RING, kernels="beside").files,
        compile_spec(MLP, kernels="beside", batch=3).files,
        compile_spec(RING, ["numpy"], {"units": 7}, kernels="beside", name="other").files,
    ]
    for folder in ("common", "numpy", "tests"):
        assert len({build[f"nnspec_{folder}.py"] for build in builds}) == 1


def test_in_a_package_they_differ_in_how_they_import_each_other_alone() -> None:
    beside, package = (compile_spec(RING, kernels="beside", package=within).files for within in (False, True))
    for name in (f"nnspec_{folder}.py" for folder in FOLDERS):
        lines, others = (build[name].decode().splitlines()[4:] for build in (beside, package))
        assert [line.replace("from .nnspec", "from nnspec") for line in others] == lines


def test_several_specs_share_them_in_one_folder(tmp_path: Path) -> None:
    code, output = run(RING, MLP, "--kernels", "beside", "-t", "numpy", "-o", tmp_path)
    assert (code, output.count("nnspec_numpy.py")) == (0, 1)
    assert run(MLP, "--kernels", "beside", "-t", "numpy", "-o", tmp_path, "--check") == (0, "")


def test_they_are_checked_and_never_lost(tmp_path: Path) -> None:
    order = [RING, "--kernels", "beside", "-t", "numpy", "-o", tmp_path]
    kernels = tmp_path / "nnspec_numpy.py"
    assert run(*order)[0] == 0
    made = kernels.read_text()
    kernels.write_text(made + "# mine\n")
    code, output = run(*order)
    assert (code, "edited by hand" in output) == (1, True)
    assert kernels.read_text() == made + "# mine\n"
    kernels.write_text("# mine alone\n")
    assert "not written by spec-compile" in run(*order)[1]
    kernels.unlink()
    assert run(*order, "--check") == (1, f"missing: {kernels}\n")


def test_those_of_another_version_are_replaced(tmp_path: Path) -> None:
    """What an earlier compiler has written is stale, not foreign."""
    from nnspec.backends.headers import with_kernels_header

    (tmp_path / "nnspec_numpy.py").write_bytes(with_kernels_header("before = 1\n", "numpy", "0.0.1"))
    order = [RING, "--kernels", "beside", "-t", "numpy", "-o", tmp_path]
    assert f"stale: {tmp_path / 'nnspec_numpy.py'}" in run(*order, "--check")[1]
    assert run(*order)[0] == 0


def test_tests_of_numpy_alone_import_no_framework(tmp_path: Path) -> None:
    """Whatever is installed, and in whatever state."""
    write(compile_spec(RING, ["numpy"], kernels="beside").files, tmp_path)
    for name in ("keras", "torch"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('broken')\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "reference or exact"]
    finished = subprocess.run(
        [*command, "test_ring.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout
    assert "skipped" not in finished.stdout


def test_a_model_of_their_name_is_refused() -> None:
    with pytest.raises(SpecError, match="hold the kernels"):
        compile_spec(RING, ["numpy"], name="nnspec")


@pytest.mark.parametrize(
    ("package", "targets"),
    [
        pytest.param(False, ["numpy"], id="beside", marks=pytest.mark.slow),
        pytest.param(True, ["numpy"], id="package"),
        pytest.param(True, ["torch", "keras", "numpy"], id="all", marks=pytest.mark.slow),
    ],
)
def test_generated_tests_pass(package: bool, targets: list[str], tmp_path: Path) -> None:
    """In a package, files import each other relatively, and pytest finds them as its members."""
    folder = tmp_path / "net"
    options = ["--package"] if package else ["--kernels", "beside"]
    assert run(MLP, *options, *(f"-t{target}" for target in targets), "-o", folder)[0] == 0
    if package:
        (folder / "__init__.py").write_text("")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    having = "keras" if "keras" in targets else "torch"
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "net"]
    finished = processes.run(command, having=having, cwd=tmp_path)
    assert finished.returncode == 0, finished.stdout[-3000:]


def test_modules_of_a_package_are_imported_as_its_members(tmp_path: Path) -> None:
    assert run(RING, "--package", "-t", "numpy", "-o", tmp_path / "net")[0] == 0
    (tmp_path / "net" / "__init__.py").write_text("")
    script = "import sys, net.ring_numpy as m; assert m.project.__module__ == 'net.nnspec_numpy'"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)


@pytest.mark.parametrize(
    ("said", "start"), [('kernels = "beside"', "from nnspec_numpy"), ("package = true", "from .nnspec_numpy")]
)
def test_the_settings_say_it_for_a_project(
    said: str, start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(RING, tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text(SETTINGS + said)
    assert run()[0] == 0
    assert f"\n{start} import" in (tmp_path / "ring_numpy.py").read_text()
    assert run("ring.nnspec", "--check") == (0, "")
    assert run("ring.nnspec", "--kernels", "inside", "--check")[0] == 1


@pytest.mark.parametrize(
    ("said", "build", "options", "start"),
    [
        ('kernels = "inside"', "", ["--package"], "from .nnspec_numpy"),
        ("package = true", "", ["--kernels", "beside"], "from .nnspec_numpy"),
        ("package = true", "", ["--kernels", "inside"], None),
        ('kernels = "inside"', "package = true", [], "from .nnspec_numpy"),
        ("package = true", 'kernels = "inside"', [], None),
        ('kernels = "beside"', "package = true", [], "from .nnspec_numpy"),
        ('kernels = "beside"\npackage = true', "package = false", [], "from nnspec_numpy"),
    ],
)
def test_what_is_said_nearer_decides(
    said: str,
    build: str,
    options: list[str],
    start: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Options over a build of the settings, and that over the settings in general."""
    shutil.copy(RING, tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text(
        f"{SETTINGS}{said}\n[[tool.nnspec.build]]\nspec = 'ring.nnspec'\n{build}\n"
    )
    assert run(*options)[0] == 0
    module = (tmp_path / "ring_numpy.py").read_text()
    assert ("nnspec_numpy import" in module) == (start is not None)
    assert start is None or f"\n{start} import" in module


@pytest.mark.parametrize("said", ['kernels = "outside"', "package = 1", 'kernels = "inside"\npackage = true'])
def test_wrong_settings_are_named(said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text(SETTINGS + said)
    code, output = run()
    assert (code, said.partition(" ")[0] in output) == (2, True)


def test_a_package_has_no_kernels_inside() -> None:
    code, output = run(RING, "--package", "--kernels", "inside")
    assert (code, "--package" in output) == (2, True)


def test_another_word_is_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        compile_spec(RING, kernels="outside")


def test_a_module_imports_nothing_for_the_sake_of_kernels_beside_it(tmp_path: Path) -> None:
    """A loss of one term needs no word of types; where the kernels stand inside, theirs is the same."""
    text = "model one\ninput x[3]\nlayer h[3]\nconnect x -> h : all\noutput h\nloss mean(h**2)\n"
    write(compile_spec(text=text, kernels="beside").files, tmp_path)
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "F", tmp_path]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout
