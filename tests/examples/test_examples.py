"""Every example, and a network of everything there is, passes its generated tests and trains."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SPECS = [*sorted((ROOT / "examples").glob("*.nnspec")), *sorted((ROOT / "tests" / "specs").glob("*.nnspec"))]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """A command in a folder, with the output kept."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=600
    )


def test_generated_tests_pass(compiled: Callable[[Path], Path]) -> None:
    """In one process, as importing the frameworks takes longer than the tests of all examples."""
    folders = [compiled(spec) for spec in SPECS]
    files = [str(next(folder.glob("test_*.py"))) for folder in folders]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "/", *files]
    finished = run(command, folders[0])
    assert finished.returncode == 0, finished.stdout[-8000:]
    assert " passed" in finished.stdout
    assert "skipped" not in finished.stdout


def test_digits_are_learnt_and_targets_agree(compiled: Callable[[Path], Path]) -> None:
    folder = compiled(ROOT / "examples" / "graph_mlp.nnspec")
    finished = run([sys.executable, str(ROOT / "examples" / "train_digits.py"), str(folder), "0.95"], folder)
    assert finished.returncode == 0, finished.stdout + finished.stderr[-4000:]
    assert "torch, keras and numpy agree" in finished.stdout


def test_data_files_are_what_their_script_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    import make_data

    make_data.main(tmp_path)
    held = {path.name: path.read_bytes() for path in (ROOT / "examples" / "data").iterdir()}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == held
