"""The plan and every target's source of every example, byte for byte; `make golden` accepts new ones."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from nnspec.compiler import compile_spec
from nnspec.compiler.command.show import show

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FOLDERS = sorted(path for path in HERE.iterdir() if (path / "plan.txt").exists())


def current(spec: Path) -> dict[str, str]:
    """What the compiler makes of an example: sources and plan as text, data as digests."""
    build = compile_spec(spec)
    texts = {name: content.decode() for name, content in build.files.items() if name.endswith(".py")}
    data = {
        name: hashlib.sha256(content).hexdigest()
        for name, content in build.files.items()
        if not name.endswith(".py")
    }
    texts["plan.txt"] = show(build.passage.plan)
    if data:
        texts["data.sha256"] = "".join(f"{digest}  {name}\n" for name, digest in sorted(data.items()))
    return texts


def test_output_is_as_accepted(example: str, examples_folder: Path, request: pytest.FixtureRequest) -> None:
    folder = HERE / example
    texts = current(examples_folder / f"{example}.nnspec")
    if request.config.getoption("--update-golden"):
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        for name, text in texts.items():
            (folder / name).write_bytes(text.encode())
    held = {path.name: path.read_bytes().decode() for path in folder.iterdir()} if folder.exists() else {}
    assert sorted(held) == sorted(texts), "run `make golden` and look at the difference"
    for name, text in texts.items():
        assert held[name] == text, f"{example}/{name} differs: run `make golden` and look at the difference"


def test_every_golden_has_its_example() -> None:
    assert {folder.name for folder in FOLDERS} == {path.stem for path in (ROOT / "examples").glob("*.nnspec")}


@pytest.mark.parametrize(
    "tool", [["format", "--check"], ["check", "--select", "F,E,W,I,B,UP,C4,SIM,RET,PIE"]]
)
def test_generated_sources_are_clean(tool: list[str]) -> None:
    """No unused import or definition, sorted imports, and stable under the formatter."""
    command = [sys.executable, "-m", "ruff", *tool, "--no-cache", "--line-length", "110", *map(str, FOLDERS)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout
