"""Editors find nothing in generated modules: no error of pyright's default mode, in any golden."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MODULES = Path(__file__).parent.parent / "golden" / "modules"


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """What pyright says of all modules, and of which file. It is started once, since it takes seconds."""
    folder = tmp_path_factory.mktemp("types")
    files = [path for target in ("torch", "keras", "numpy") for path in MODULES.glob(f"*_{target}.py")]
    for path in files:
        shutil.copy(path, folder)
    (folder / "pyrightconfig.json").write_text("{}")  # not ours, which are stricter
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    found = json.loads(finished.stdout)
    assert found["summary"]["filesAnalyzed"] == len(files) > 20
    return [
        (Path(each["file"]).name, f"line {each['range']['start']['line'] + 1}: {each['message']}")
        for each in found["generalDiagnostics"]
    ]


@pytest.mark.parametrize("target", ["torch", "keras", "numpy"])
def test_pyright_finds_nothing_in_generated_modules(target: str, complaints: list[tuple[str, str]]) -> None:
    """Each golden, and the kernels beside them."""
    assert [each for each in complaints if each[0].endswith(f"_{target}.py")] == []
