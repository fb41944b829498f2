"""Who may import whom, and what a compilation imports."""

from __future__ import annotations

import ast
import csv
import dataclasses
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from nnspec.compiler.version import VERSION

from ..trees import statements

ROOT = Path(__file__).parent.parent.parent
FRAMEWORKS = {"torch", "keras", "tensorflow", "jax"}
# Who may import whom: a row for each room, and for each module of `compiler/` that stands outside the rooms.
# Rooms below `compiler/` go by their folder; a room contains the folders within it. Nothing else is allowed.
HOUSE = {
    "records": "",
    "dsl": "records",
    "codes": "dsl",
    "version": "",
    "defaults": "",
    "edges": "records",
    "catalogue": "records",
    "data": "records dsl codes edges",
    "names": "records dsl codes edges data",
    "functions": "records dsl codes names",
    "graph": "records dsl edges catalogue data names functions",
    "sets": "records dsl codes edges data names graph",
    "resolve": "records dsl codes edges catalogue data names functions sets graph",
    "plan": "records edges graph",
    "backends": "records edges names functions graph plan",
    "pipeline": "records dsl codes version defaults names graph resolve plan backends",
    "loaded": "dsl defaults backends pipeline",
    "command": "records dsl codes version defaults edges data functions names graph resolve plan backends "
    "pipeline",
    "__main__": "command",
    "__init__": "dsl loaded pipeline resolve",
}
# Libraries beside the standard one that a room may import, those marked * only within functions.
LIBRARIES = {
    "dsl": "lark rich",
    "edges": "numpy",
    "data": "numpy polars*",
    "names": "numpy",
    "functions": "numpy",
    "sets": "numpy",
    "graph": "numpy",
    "resolve": "numpy",
    "plan": "numpy",
    "backends": "numpy",
    "loaded": "platformdirs*",
    "command": "numpy click rich pytest",
}
SOURCES = [
    path
    for part in ("dsl", "compiler", "backends")
    for path in sorted((ROOT / part).rglob("*.py"))
    if "kernels" not in path.parent.parts
]


def module_of(path: Path) -> str:
    return ".".join(["nnspec", *path.relative_to(ROOT).with_suffix("").parts])


MODULES = {module_of(path): path for path in SOURCES}


def room_of(module: str) -> str:
    """The row of the table that a module of ours belongs to."""
    part, *rest = module.split(".")[1:]
    if rest == ["records"]:
        return "records"
    return part if part != "compiler" else rest[0] if rest else "__init__"


@cache
def imports(path: Path) -> set[tuple[str, bool]]:
    """The modules that a file imports, and whether it does so as it is imported itself."""
    package = ["nnspec", *path.relative_to(ROOT).parent.parts]
    found: set[tuple[str, bool]] = set()
    for node, at_once in statements(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {(alias.name, at_once) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "", at_once))
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1] + (node.module or "").split("."))
            base = base.rstrip(".")
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                target = next((m for m in (whole, base, f"{base}.__init__") if m in MODULES), base)
                found.add((target, at_once))
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_keep_to_the_table(path: Path) -> None:
    name, room = str(path.relative_to(ROOT)), room_of(module_of(path))
    libraries = {library.rstrip("*"): library for library in LIBRARIES.get(room, "").split()}
    for imported, at_once in imports(path):
        top = imported.partition(".")[0]
        assert top not in ("dsl", "compiler", "backends"), f"{name}: write `{imported}` relative"
        if top == "nnspec":
            assert room_of(imported) in (room, *HOUSE[room].split()), f"{name} imports {imported}"
        elif top not in sys.stdlib_module_names:
            assert top not in FRAMEWORKS, f"{name} imports {imported}"
            assert top in libraries, f"{name} imports {imported}"
            assert not (at_once and libraries[top].endswith("*")), f"{name} imports {imported} at once"
        # What targets know of the language ends where a diagnostic points.
        if room == "backends" and imported.startswith("nnspec.dsl."):
            assert imported.startswith(
                ("nnspec.dsl.source", "nnspec.dsl.diagnostics", "nnspec.dsl.records")
            ), f"{name}: {imported}"


def test_the_table_has_no_row_that_nobody_needs() -> None:
    needed = {
        (room_of(m), room_of(i)) for m, path in MODULES.items() for i, _ in imports(path) if i in MODULES
    }
    listed = {(room, other) for room, others in HOUSE.items() for other in others.split()}
    assert {*HOUSE} == {room_of(module) for module in MODULES}
    assert listed == {(room, other) for room, other in needed if room != other}


def test_the_page_of_the_house_shows_every_room_and_module() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    for path in (ROOT / "compiler").glob("*/*.py"):
        if path.parent.name != "catalogue":
            shown = path.stem if path.stem != "__init__" else path.parent.name
            assert re.search(rf"`([\w/]*/)?{shown}(\.py|/)?`", page), path.name
    rooms = re.findall(r"^\| `(dsl/|backends/|compiler/\w+(?:/|\.py))`", page, re.MULTILINE)
    above = [room.removeprefix("compiler/").removesuffix("/").removesuffix(".py") for room in rooms]
    assert above == [room for room in HOUSE if room in above]


def test_rooms_stand_on_floors() -> None:
    """Every room imports only rooms that stand above it in the table, so that there is no way round."""
    above = [*HOUSE]
    for room, others in HOUSE.items():
        assert all(above.index(other) < above.index(room) for other in others.split() if room != "__init__")


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports for types alone, and within functions, count too."""
    leads = {module: {i for i, _ in imports(path) if i in MODULES} for module, path in MODULES.items()}
    while leaves := [module for module, others in leads.items() if not others & leads.keys()]:
        for module in leaves:
            del leads[module]
    assert leads == {}


# What is not installed without an extra, or takes long to be imported and is needed for little.
WITHOUT_EXTRAS = {
    *FRAMEWORKS,
    "polars",
    "scipy",
    "sklearn",
    "pytest",
    "hypothesis",
    "jinja2",
    "lark",
    "interegular",
}
SLOW = {
    *WITHOUT_EXTRAS,
    "rich",
    "numpy.ma",
    "numpy.random",
    "asyncio",
    "multiprocessing",
    "unittest",
}


def imported(arguments: list[str], cwd: Path, blocked: Collection[str] = ()) -> set[str]:
    """The modules that a call of the command imports, in a process in which some cannot be imported."""
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({sorted(blocked)!r}))\n"
        "from nnspec.compiler.command.main import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit as end: assert not end.code\n"
        "found = [name for name, module in sys.modules.items() if module]\n"
        "print('imported', *found, file=sys.stderr)\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=cwd
    )
    assert finished.returncode == 0, finished.stderr
    return {*finished.stderr.partition("imported")[2].split()}


@pytest.mark.parametrize("spec_name", ["ring", "graph_mlp", "les_miserables"])
def test_compiling_imports_no_framework_and_nothing_slow(spec_name: str, tmp_path: Path) -> None:
    """Rules alone, a table of pairs, and names from tables; written, as users do."""
    spec = str(ROOT / "examples" / f"{spec_name}.nnspec")
    assert imported([spec, "-o", str(tmp_path)], tmp_path) & SLOW == set()
    # Where none of it is installed, the same is written.
    imported([spec, "-o", str(tmp_path), "--check"], tmp_path, WITHOUT_EXTRAS)


def test_help_needs_no_numpy(tmp_path: Path) -> None:
    for arguments in (["--help"], ["--version"], ["check", "--help"]):
        assert imported(arguments, tmp_path) & {"numpy", *SLOW} == set()


# What is filled in while a step works, and is no part of what it gives.
WORKING = {
    "Axes",
    "Budget",
    "Digit",
    "Files",
    "Form",
    "Group",
    "Known",
    "Names",
    "Network",
    "Report",
    "SetResolver",
}
WORKING |= {"_Body", "_Layout", "_MistakeError", "_Sum"}


def test_what_a_step_gives_cannot_be_changed_by_a_later_one() -> None:
    thawed: set[str] = set()
    for path in SOURCES:
        name = ".".join(["nnspec", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")
        if path.relative_to(ROOT).parts[0] != "backends":
            for kind in vars(importlib.import_module(name)).values():
                own = isinstance(kind, type) and kind.__module__ == name and dataclasses.is_dataclass(kind)
                if own and "__setattr__" not in vars(kind):
                    thawed.add(kind.__name__)
    assert thawed == WORKING


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_package_says_one_version() -> None:
    assert project()["project"]["version"] == VERSION


def test_a_wheel_has_every_module_and_every_file_beside_them() -> None:
    setup = project()["tool"]["setuptools"]
    parts = [ROOT / part for part in ("dsl", "compiler", "backends")]
    folders = {path.parent.relative_to(ROOT) for part in parts for path in part.rglob("*.py")}
    assert set(setup["packages"]) == {".".join(("nnspec", *folder.parts)) for folder in folders}
    listed = {
        path
        for package, patterns in setup["package-data"].items()
        for pattern in patterns
        for path in ROOT.joinpath(*package.split(".")[1:]).glob(pattern)
    }
    kept = {path for part in parts for path in part.rglob("*") if path.is_file()}
    assert {path for path in kept if path.suffix not in (".py", ".pyc")} == listed


def test_survivors_are_of_lines_that_are_there() -> None:
    """What `make mutants` did not kill, and somebody has explained: entries go where the code goes."""
    with (ROOT / "tests" / "mutants" / "survivors.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            text = " ".join((ROOT / row["file"]).read_text().split())
            assert " ".join(row["before"].split()) in text, row["file"]
