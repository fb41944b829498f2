"""Who may import whom, and what a compilation imports."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FRAMEWORKS = {"torch", "keras", "tensorflow", "jax"}
NEVER = {
    "dsl": {"numpy", "nnspec.compiler", "nnspec.backends", *FRAMEWORKS},
    "compiler": FRAMEWORKS,
    "backends": FRAMEWORKS,
}
# The pipeline, the command and `load` are where the three parts meet.
MEETING = {
    "compiler/pipeline.py",
    "compiler/command/main.py",
    "compiler/command/building.py",
    "compiler/loaded.py",
}
SOURCES = [p for part in NEVER for p in sorted((ROOT / part).rglob("*.py")) if "kernels" not in p.parts]


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports, wherever in it."""
    package = ["nnspec", *path.relative_to(ROOT).parent.parts]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            found.add(".".join([*base, *(node.module or "").split(".")]).rstrip("."))
            found |= {
                ".".join([*base, node.module or "", alias.name]).replace("..", ".") for alias in node.names
            }
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_keep_to_the_table(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    part = path.relative_to(ROOT).parts[0]
    for imported in imports(path):
        for banned in NEVER[part]:
            assert not f"{imported}.".startswith(f"{banned}."), f"{name} imports {imported}"
        assert imported.partition(".")[0] not in ("dsl", "compiler", "backends"), f"{name}: write it relative"
        if part == "compiler" and name not in MEETING:
            assert not imported.startswith("nnspec.backends"), f"{name} reaches back to {imported}"
        if part == "backends":
            allowed = ("nnspec.dsl.source", "nnspec.dsl.diagnostics")
            dsl = imported.startswith("nnspec.dsl.")
            assert imported.startswith(allowed) or not dsl, f"{name} imports {imported}"


def test_compiling_imports_no_framework_and_nothing_slow() -> None:
    code = (
        "import sys\n"
        "from nnspec.compiler.command.main import main\n"
        f"main(['{ROOT / 'examples' / 'ring.nnspec'}', '--stdout'], standalone_mode=False)\n"
        "slow = {'torch', 'keras', 'tensorflow', 'jax', 'scipy', 'rich', 'polars', 'sklearn', 'pytest'}\n"
        "print(sorted(slow & set(sys.modules)), file=sys.stderr)\n"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stderr == "[]\n"


# What is filled in while a step works, and is no part of what it gives.
WORKING = {"Axes", "Budget", "Files", "Names", "Report", "Resolver", "SetResolver"}
WORKING |= {"_Body", "_Digit", "_Group", "_Layout", "_MistakeError", "_Reader", "_Scope", "_Sum"}


def test_what_a_step_gives_cannot_be_changed_by_a_later_one() -> None:
    thawed: set[str] = set()
    for path in SOURCES:
        name = ".".join(["nnspec", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")
        if path.relative_to(ROOT).parts[0] != "backends":
            for kind in vars(importlib.import_module(name)).values():
                own = isinstance(kind, type) and kind.__module__ == name and dataclasses.is_dataclass(kind)
                if own and not kind.__dataclass_params__.frozen:
                    thawed.add(kind.__name__)
    assert thawed == WORKING


def test_the_package_says_one_version() -> None:
    import tomllib

    from nnspec.compiler.version import VERSION

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION
