"""Copies kernels into generated files: the definitions that are needed, whole, with the imports they use.

A kernel module is a docstring, imports and definitions. Definitions are taken by name together with all that
they name in turn; imports are merged, relative ones vanish because what they bring is copied too. Where each
definition stands, and what it names, is in an index that is made ahead: to find that out takes longer than
the rest of a compilation.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import starmap
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from ..dsl.records import record
from .kernel_index import INDEX
from .source import WIDTH

if TYPE_CHECKING:
    import ast
    import symtable

HERE = os.path.dirname(__file__)

FRAMEWORKS = frozenset({"keras", "torch"})

# The folders of kernels that modules copy or import, beside `COMMON`, which all targets have.
TARGETS_WITH_KERNELS = ("torch", "keras", "numpy", "tests")
COMMON = "common"


def module_of(folder: str) -> str:
    """The module that holds a folder's kernels where they are not copied into every module."""
    return f"nnspec_{folder}"


@record
class Definition:
    """A top-level class or function of a kernel module: its source and the names that it uses.

    `bases` are the names that have to be defined before it: the classes that it derives from.
    """

    name: str
    source: str
    uses: frozenset[str]
    bases: tuple[str, ...]
    imports: tuple[tuple[str, str], ...]


def _bindings(module: ast.Module) -> dict[str, str]:
    """Import statements by the name that each binds; relative ones and `__future__` left out."""
    import ast

    bindings: dict[str, str] = {}
    for node in module.body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                line = f"import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")
                bindings[alias.asname or alias.name.partition(".")[0]] = line
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module != "__future__":
            for alias in node.names:
                line = f"from {node.module} import {alias.name}" + (
                    f" as {alias.asname}" if alias.asname else ""
                )
                bindings[alias.asname or alias.name] = line
    return bindings


class Outline(NamedTuple):
    """Where a definition stands in its module, from line to line, and the names that it uses.

    `imports` are the lines that bring some of them, each with the name that it binds.
    """

    name: str
    first: int
    last: int
    uses: tuple[str, ...]
    bases: tuple[str, ...]
    imports: tuple[tuple[str, str], ...]


def outlines(text: str) -> Iterator[Outline]:
    """The definitions of a kernel module, in its order."""
    import ast
    import symtable

    module = ast.parse(text)
    bindings = _bindings(module)
    scopes = {scope.get_name(): scope for scope in symtable.symtable(text, "kernels", "exec").get_children()}
    for node in module.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            head = (
                [*node.decorator_list, *node.bases]
                if isinstance(node, ast.ClassDef)
                else [*node.decorator_list, node.args]
            )
            outside = {name for part in head for name in _names(part)}
            uses = _names(node) - (_bound_inside(scopes[node.name]) - outside)
            imports = tuple((name, bindings[name]) for name in sorted(uses & bindings.keys()))
            bases = node.bases if isinstance(node, ast.ClassDef) else []
            names = tuple(base.id for base in bases if isinstance(base, ast.Name))
            assert node.end_lineno is not None
            yield Outline(node.name, first, node.end_lineno, tuple(sorted(uses)), names, imports)


def _names(node: ast.AST) -> set[str]:
    """The names that a piece of source has."""
    import ast

    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _bound_inside(scope: symtable.SymbolTable) -> set[str]:
    """The names that a definition has for itself alone: they are no kernels, whatever they say."""
    own, others, scopes = set[str](), set[str](), [scope]
    while scopes:
        scope = scopes.pop()
        for symbol in scope.get_symbols():
            (others if symbol.is_global() else own).add(symbol.get_name())
        scopes += scope.get_children()
    return own - others


def place_of(path: str) -> str:
    """What the index calls a kernel module: `torch/kernels/edges.py`, say."""
    return "/".join(path.split(os.sep)[-3:])


def digest_of(text: str) -> int:
    """What shows that a kernel module has changed since the index was made."""
    return crc32(text.encode())


def modules_of(*folders: str) -> list[str]:
    """The paths of the kernel modules in the folders of some targets."""
    return [
        os.path.join(HERE, folder, "kernels", name)
        for folder in folders
        for name in sorted(os.listdir(os.path.join(HERE, folder, "kernels")))
        if name.endswith(".py") and not name.startswith("_")
    ]


@cache
def _definitions(path: str) -> dict[str, Definition]:
    """The definitions of one kernel module, from the index if that was made of the module as it is."""
    text = read(path)
    digest, known = INDEX.get(place_of(path), (None, ()))
    found = [*starmap(Outline, known)] if digest == digest_of(text) else outlines(text)
    lines = text.splitlines()
    return {
        each.name: Definition(
            each.name,
            "\n".join(lines[each.first - 1 : each.last]),
            frozenset(each.uses),
            each.bases,
            each.imports,
        )
        for each in found
    }


def read(path: str) -> str:
    """The text of a kernel module."""
    with open(path, encoding="utf-8") as file:
        return file.read()


@cache
def _places(target: str) -> dict[str, str]:
    """The kernel module that defines each name, those of all targets first, in the order of copying."""
    return {name: path for path in modules_of(COMMON, target) for name in _definitions(path)}


def names_of(target: str) -> frozenset[str]:
    """What the kernels of a target define, and those of all targets."""
    return frozenset(_places(target))


def imports_from_beside(target: str, names: Iterable[str], *, within: str = "") -> set[str]:
    """The import lines that bring kernels, for a target's module, from the modules that hold them.

    `within` is the dot of modules that are in one package.
    """
    common = names_of(COMMON)
    return {f"from {within}{module_of(COMMON if n in common else target)} import {n}" for n in names}


def closure(target: str, wanted: set[str]) -> list[Definition]:
    """The wanted definitions and all that they use: in the order of the kernel modules, but bases first."""
    places = _places(target)
    pending, needed = list(wanted), dict[str, Definition]()
    while pending:
        name = pending.pop()
        if name not in needed:
            needed[name] = _definitions(places[name])[name]
            pending.extend(needed[name].uses & places.keys())
    ordered: dict[str, Definition] = {}

    def add(name: str) -> None:
        if name in needed and name not in ordered:
            for base in needed[name].bases:
                add(base)
            ordered[name] = needed[name]

    for name in places:
        add(name)
    return list(ordered.values())


def imports_of(definitions: Iterable[Definition]) -> set[str]:
    """The import lines that definitions need."""
    return {line for definition in definitions for _, line in definition.imports}


def import_block(lines: set[str], guarded: frozenset[str] = frozenset(), *, later: bool = False) -> str:
    """Import lines sorted, in groups: standard library, packages, modules beside; `from` lines joined.

    Those of `guarded` packages come last, and may fail. If they come `later`, type checkers alone read them.
    """
    tried = sorted((line for line in lines if _package(line) in guarded), key=_line_key)
    if tried and later:
        rest = import_block(lines.difference(tried) | {"from typing import TYPE_CHECKING"})
        return "\n".join([rest, "", "if TYPE_CHECKING:", *(f"    {line}" for line in tried)])
    if tried:
        attempts = [f"with suppress(Exception):\n    {line}" for line in tried]
        rest = import_block(lines.difference(tried) | {"from contextlib import suppress"})
        return "\n".join([rest, "", _GUARD, *attempts])
    joined: dict[str, set[str]] = {}
    plain: set[str] = set()
    for line in lines:
        if line.startswith("from "):
            module, _, name = line[5:].partition(" import ")
            joined.setdefault(module, set()).add(name)
        else:
            plain.add(line)
    froms = {_from(module, sorted(names, key=_import_key)) for module, names in joined.items()}
    groups: tuple[list[str], ...] = ([], [], [])
    for line in plain | froms:
        groups[_group(line)].append(line)
    return "\n\n".join("\n".join(sorted(group, key=_line_key)) for group in groups if group)


def _from(module: str, names: Sequence[str]) -> str:
    """An import of several names: on one line if it fits, else one on each."""
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= WIDTH:
        return line
    return f"from {module} import (" + "".join(f"\n    {name}," for name in names) + "\n)"


_GUARD = "# A framework that is missing skips the tests of its target, and one that is broken fails them."


def _package(line: str) -> str:
    return line.split()[1].partition(".")[0]


def _line_key(line: str) -> tuple[bool, str]:
    return line.startswith("from "), line.split()[1].lower()


def _import_key(name: str) -> tuple[int, str, str]:
    """Constants, classes, then the rest, as import sorters order them."""
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2
    return kind, name.lower(), name


def _group(line: str) -> int:
    """Imports come from the standard library, from packages, and from modules beside this one."""
    package = _package(line)
    if not package or package in {module_of(folder) for folder in (COMMON, *TARGETS_WITH_KERNELS)}:
        return 2
    return int(package in {"numpy", "pytest", *FRAMEWORKS})
