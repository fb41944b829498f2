"""`spec-compile test`: apart from what lies around, and with frameworks missing or broken."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nnspec.compiler
from nnspec.compiler.command import run_tests

SPEC = "model small\ninput x[2]\nlayer y[2]\nconnect x -> y : one_to_one\n"
# Runs whenever Python starts: packages named in ABSENT cannot be imported, wherever they are.
HIDING = """import importlib.abc
import os
import sys


class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in os.environ["ABSENT"].split():
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Absent())
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    (tmp_path / "hiding").mkdir()
    (tmp_path / "hiding" / "sitecustomize.py").write_text(HIDING)
    path = tmp_path / "project" / "small.nnspec"
    path.parent.mkdir()
    path.write_text(SPEC)
    return path


def run(
    spec: Path, *arguments: str, absent: str = "", before: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """The command in the folder of a spec, with packages hidden and a folder of others `before` the rest."""
    package = Path(nnspec.compiler.__path__[0]).parent.parent
    paths = [str(spec.parent.parent / "hiding"), before, str(package), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "ABSENT": absent,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        **variables,
    }
    command = [sys.executable, "-P", "-m", "nnspec.compiler.command.main", "test", spec.name, *arguments]
    return subprocess.run(
        command, cwd=spec.parent, env=environment, capture_output=True, text=True, check=False
    )


# ------------------------------------------------------------------------------------------------- hostile


SETTINGS = {
    "pytest.ini": "[pytest]\naddopts = -p planted\n",
    "pyproject.toml": '[tool.pytest.ini_options]\naddopts = "-p planted"\n',
    "tox.ini": "[pytest]\naddopts = -p planted\n",
    "setup.cfg": "[tool:pytest]\naddopts = -p planted\n",
}
MODULES = [
    "conftest",
    "planted",
    "pytest",
    "_pytest",
    "numpy",
    "json",
    "sitecustomize",
    "test_small",
    "click",
]


def test_nothing_that_lies_around_is_run(spec: Path, tmp_path: Path) -> None:
    """Not in the folder for temporary files, which everybody may write to, nor where the command is typed."""
    shared, ran = tmp_path / "shared", tmp_path / "ran"
    shared.mkdir()
    planted = {f"{name}.py": f"open({str(ran)!r}, 'a').write(__file__)\n" for name in MODULES} | SETTINGS
    for folder in (shared, spec.parent):
        for name, text in planted.items():
            (folder / name).write_text(text)
    result = run(
        spec,
        "-t",
        "numpy",
        "--require",
        TMPDIR=str(shared),
        PYTEST_ADDOPTS="-p planted",
        PYTEST_PLUGINS="planted",
    )
    assert not ran.exists(), ran.read_text()
    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout
    assert "skipped" not in result.stdout
    assert {path.name for path in shared.iterdir()} == planted.keys()


def test_arguments_of_the_user_reach_pytest(spec: Path) -> None:
    plugin = "def pytest_unconfigure():\n    print('a plugin of their own')\n"
    (spec.parent / "own.py").write_text(plugin)
    result = run(
        spec,
        *("-t", "numpy", "-k", "gradients", "--junitxml=report.xml", "-p", "own"),
        before=str(spec.parent),
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "2 passed" in result.stdout
    assert "a plugin of their own" in result.stdout
    assert "test_gradients" in (spec.parent / "report.xml").read_text()
    wrong = run(spec, "-t", "numpy", "--nonsense")
    assert wrong.returncode == 2
    assert "unrecognized arguments: --nonsense" in wrong.stderr


# ----------------------------------------------------------------------------------------------- frameworks


def test_what_is_missing_is_skipped_by_name_and_counted(spec: Path) -> None:
    """Keras brings no backend of its own: without TensorFlow it is there, and of no use."""
    result = run(spec, "-rs", absent="torch tensorflow")
    assert result.returncode == 0, result.stdout + result.stderr
    *_, torch, keras = result.stdout.splitlines()
    needs = "tests: the target {} needs the package {}, which is not installed: pip install {}"
    skipped = []
    for line, target, packages in ((torch, "torch", "torch"), (keras, "keras", "keras tensorflow")):
        said = re.fullmatch(r"skipped (\d+) (.*)", line)
        assert said is not None
        assert said[2] == needs.format(target, packages.split()[-1], packages)
        skipped.append(int(said[1]))
    assert min(skipped) >= 9
    assert f" passed, {sum(skipped)} skipped" in result.stdout
    assert "warning" not in result.stdout
    required = run(spec, "--require", absent="torch tensorflow")
    assert required.returncode == 1
    assert required.stdout.splitlines()[-2:] == [torch, keras]


def test_a_target_without_its_framework_is_skipped_whole(spec: Path) -> None:
    result = run(spec, "-t", "keras", absent="keras tensorflow")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 passed" in result.stdout  # what the spec states, which needs no framework
    assert result.stdout.splitlines()[-1].endswith(
        " keras, which is not installed: pip install keras tensorflow"
    )


@pytest.mark.parametrize(
    ("backend", "lacking", "variables"),
    [
        ("jax", "jax", {"KERAS_BACKEND": "jax"}),
        pytest.param("jax", "keras", {"KERAS_BACKEND": "jax"}, marks=pytest.mark.slow),
        ("torch", "torch", {"KERAS_BACKEND": ""}),
    ],
)
def test_what_keras_needs_is_the_backend_that_is_chosen(
    backend: str, lacking: str, variables: dict[str, str], spec: Path, tmp_path: Path
) -> None:
    """By KERAS_BACKEND, which comes first, or by Keras' own settings."""
    configured = "torch" if backend == "torch" else "tensorflow"
    (tmp_path / "keras.json").write_text(f'{{"backend": "{configured}"}}')
    variables = {**variables, "KERAS_HOME": str(tmp_path)}
    result = run(spec, "-t", "keras", "-k", "parameters", absent=f"tensorflow {lacking}", **variables)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[-1] == (
        f"skipped 1 test: the target keras needs the package {lacking}, which is not installed: "
        f"pip install keras {backend}"
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("import a_package_that_torch_needs\n", marks=pytest.mark.slow),
        "raise AttributeError('half installed')\n",
        pytest.param("", marks=pytest.mark.slow),
    ],
)
def test_what_is_broken_fails(text: str, spec: Path, tmp_path: Path) -> None:
    (tmp_path / "broken" / "torch").mkdir(parents=True)
    (tmp_path / "broken" / "torch" / "__init__.py").write_text(text)
    result = run(spec, "-t", "torch", "-t", "numpy", "-k", "parameters", before=str(tmp_path / "broken"))
    assert result.returncode == 1
    assert "2 failed, 1 passed, " in result.stdout
    assert "skipped" not in result.stdout


# --------------------------------------------------------------------------------------------------- pytest


def test_without_pytest_the_line_that_installs_it_is_said(spec: Path) -> None:
    result = run(spec, "-t", "numpy", absent="pytest")
    assert result.returncode == 2
    assert result.stderr == "Error: pytest runs the generated tests, and is missing: pip install pytest\n"
    assert result.stdout == ""


def test_a_broken_pytest_is_no_missing_one(spec: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "pytest.py").write_text("import a_package_that_pytest_needs\n")
    result = run(spec, "-t", "numpy", before=str(tmp_path / "broken"))
    assert result.returncode == 1
    assert "a_package_that_pytest_needs" in result.stderr


def test_a_missing_pytest_is_named_in_this_process_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pytest", None)
    assert run_tests.main(tmp_path / "test_small.py", False, []) == 2
    assert "pip install pytest" in capsys.readouterr().err
