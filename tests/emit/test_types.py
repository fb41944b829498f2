"""Generated modules and tests are clean under pyright's default mode and ruff's F rules."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nnspec.backends.emit import write
from nnspec.backends.source import WIDTH
from nnspec.compiler import compile_spec

ROOT = Path(__file__).parents[2]
# Between them they have every operation, several inputs and outputs, names of units, rules, pools, shared
# weights, class codes and time.
SPECS = [
    *(f"tests/specs/{name}" for name in ("zoo", "named", "codes", "pools", "shared", "delays", "over_time")),
    *(f"examples/{name}" for name in ("graph_mlp", "lattice")),
]
KEPT = sorted((ROOT / "tests" / "drawn" / "kept").glob("*.nnspec"))
KINDS = ("torch", "keras", "numpy", "tests")


def kind_of(name: str) -> str:
    """Of which target a module is; what all have goes with the tests."""
    kind = name.rpartition("_")[2]
    return kind if kind in KINDS and not name.startswith("test_") else "tests"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Modules and tests for all targets, with all kernels of each beside them."""
    folder = tmp_path_factory.mktemp("types")
    for spec in SPECS:
        write(compile_spec(ROOT / f"{spec}.nnspec", kernels="beside").files, folder)
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, list[str]]:
    """What pyright reports, by module; one run takes some seconds, of which each module is little."""
    modules = sorted(path.name for path in folder.glob("*.py"))
    settings = {"typeCheckingMode": "standard", "include": modules}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson"]
    finished = subprocess.run(
        [*command, "--project", str(folder)], capture_output=True, text=True, check=False
    )
    report = json.loads(finished.stdout)
    assert report["summary"]["filesAnalyzed"] == len(modules)
    reported: dict[str, list[str]] = {}
    for each in report["generalDiagnostics"]:
        path, line = Path(each["file"]), each["range"]["start"]["line"]
        text = f"{path.name}:{line + 1}: {each['message']}: {path.read_text().splitlines()[line]}"
        reported.setdefault(path.stem, []).append(text)
    return reported


@pytest.mark.slow  # pyright starts for half a minute
@pytest.mark.xdist_group("types")  # one run of it
@pytest.mark.parametrize("kind", KINDS)
def test_modules_are_clean_under_pyright(kind: str, found: dict[str, list[str]]) -> None:
    of_kind = [line for name, lines in found.items() if kind_of(name) == kind for line in lines]
    assert not of_kind, "\n".join(of_kind)


def test_modules_are_clean_under_ruff(folder: Path, tmp_path: Path) -> None:
    """Those of specs that were drawn and failed once are, too."""
    for spec in KEPT:
        write(compile_spec(spec, kernels="beside").files, tmp_path)
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "F"]
    finished = subprocess.run(
        [*command, str(folder), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout


def test_modules_are_laid_out_as_ruff_would(folder: Path) -> None:
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--no-cache", "--check", "--line-length"]
    finished = subprocess.run(
        [*command, str(WIDTH), str(folder)], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout
    for path in folder.glob("*.py"):
        assert max(map(len, path.read_text(encoding="utf-8").splitlines())) <= WIDTH, path.name
