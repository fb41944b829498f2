"""No decision is taken by looking at source that was made: it is taken from the graph, or from a tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

BACKENDS = Path(__file__).parents[2] / "backends"
# They read files: what is on disk, kernels, templates. The tree of source is quoted from text, by design.
READERS = {"archive.py", "emit.py", "headers.py", "index.py", "kernel_index.py", "kernels.py", "templates.py"}
FILES = [
    *(path for path in sorted(BACKENDS.glob("*.py")) if path.name not in READERS),
    *(
        path
        for target in ("torch", "keras", "numpy", "tests")
        for path in sorted(BACKENDS.glob(f"{target}/*.py"))
    ),
]
# What looks into a text, or makes another one of it.
LOOKING = {
    *("startswith", "endswith", "partition", "rpartition", "split", "rsplit", "splitlines"),
    *("replace", "strip", "lstrip", "rstrip", "removeprefix", "removesuffix"),
    *("find", "rfind", "index", "rindex", "count", "isidentifier", "isdigit"),
}
# Not of source that was made, by file and expression, and why.
ALLOWED: dict[tuple[str, str], str] = {}

TEXTS = re.compile(r"(?:list|tuple|set|frozenset|Sequence|Iterable|Iterator|Collection)\[str\b.*\]")
MAKING = {"str", "repr", "ascii", "flat", "printed"}


class Texts(ast.NodeVisitor):
    """Which names of a module are texts, and which are several of them, as far as annotations say."""

    def __init__(self, module: ast.Module) -> None:
        self.one: set[str] = set()
        self.several: set[str] = set()
        self.visit(module)
        self.visit(module)  # what is bound to a text that is bound further down

    def note(self, name: str, annotation: ast.expr | None) -> None:
        written = "" if annotation is None else ast.unparse(annotation)
        self.one |= {name} if written == "str" else set()
        self.several |= {name} if TEXTS.fullmatch(written) else set()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.note(f"{node.name}()", node.returns)
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg):
                self.note(argument.arg, argument.annotation)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.note(ast.unparse(node.target), node.annotation)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self.one |= {ast.unparse(target)} if self.is_text(node.value) else set()
            self.several |= {ast.unparse(target)} if self.are_texts(node.value) else set()
        self.generic_visit(node)

    def visit_For(self, node: ast.For | ast.comprehension) -> None:
        self.one |= {ast.unparse(node.target)} if self.are_texts(node.iter) else set()
        self.generic_visit(node)

    visit_comprehension = visit_For

    def is_text(self, node: ast.expr) -> bool:
        match node:
            case ast.JoinedStr() | ast.Constant(value=str()):
                return True
            case ast.BinOp(left=left, right=right):
                return self.is_text(left) or self.is_text(right)
            case ast.Call(func=ast.Name(id=name)):
                return name in MAKING or f"{name}()" in self.one
            case ast.Call(func=ast.Attribute(attr="format" | "join")):
                return True
            case ast.Subscript(value=value):
                return self.are_texts(value)
            case _:
                return ast.unparse(node) in self.one

    def are_texts(self, node: ast.expr) -> bool:
        match node:
            case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
                return any(map(self.is_text, items))
            case ast.ListComp(elt=item) | ast.SetComp(elt=item) | ast.GeneratorExp(elt=item):
                return self.is_text(item)
            case ast.Call(func=ast.Name(id=name)):
                return f"{name}()" in self.several
            case _:
                return ast.unparse(node) in self.several


def decisions(source: str) -> Iterator[tuple[int, str]]:
    """What a module asks of texts, or makes of them: line and expression."""
    module = ast.parse(source)
    texts = Texts(module)
    for node in ast.walk(module):
        match node:
            case ast.Call(func=ast.Attribute(attr=method)) if method in LOOKING:
                yield node.lineno, ast.unparse(node)
            case ast.Compare(ops=operators, comparators=others):
                for operator, other in zip(operators, others, strict=True):
                    if isinstance(operator, ast.In | ast.NotIn) and texts.is_text(other):
                        yield node.lineno, ast.unparse(node)
            case ast.Import(names=names) if any(alias.name == "re" for alias in names):
                yield node.lineno, ast.unparse(node)
            case ast.ImportFrom(module="re"):
                yield node.lineno, ast.unparse(node)
            case _:
                pass


def name_of(path: Path) -> str:
    return str(path.relative_to(BACKENDS))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_is_decided_by_looking_at_made_text(path: Path) -> None:
    found = [
        f"{name_of(path)}:{line}: {expression}"
        for line, expression in decisions(path.read_text())
        if (name_of(path), expression) not in ALLOWED
    ]
    assert not found, "\n".join(found)


def test_what_is_allowed_is_still_there() -> None:
    there = {(name_of(path), expression) for path in FILES for _, expression in decisions(path.read_text())}
    assert {*ALLOWED} <= there


@pytest.mark.parametrize(
    "source",
    [
        "def f(lines: list[str]):\n    return any('stored' in line for line in lines)",
        "def f(lines: tuple[str, ...]):\n    for line in lines:\n        if 'v' not in line: pass",
        "def made() -> str: ...\ntext = made()\nkernels = {name for name in names if f'{name}(' in text}",
        "text = f'x = {y}'\n'y' in text",
        "'x' in flat(tree)",
        "line.startswith('x = ')",
        "name, _, value = line.partition('=')",
        "text = ', '.join(items)\nif ',' in text: pass",
        "import re",
        "from re import findall",
    ],
)  # fmt: skip
def test_a_look_at_made_text_is_found(source: str) -> None:
    assert [*decisions(source)]


@pytest.mark.parametrize(
    "source",
    [
        "def f(names: frozenset[str], name: str):\n    return name in names",
        "def f(targets: list[str]):\n    return 'numpy' in targets",
        "kind in ('p', 'edges')",
        "replace(function, name='f')",
        "table = {}\n'x' in table",
    ],
)
def test_collections_are_no_text(source: str) -> None:
    assert not [*decisions(source)]
