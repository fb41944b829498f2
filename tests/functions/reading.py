"""Expressions of the language as trees, for tests."""

from __future__ import annotations

import math
from collections.abc import Iterable

from nnspec.compiler.functions.read import Reader
from nnspec.compiler.functions.tree import Argument, Number, Tree
from nnspec.dsl import syntax
from nnspec.dsl.diagnostics import Report
from nnspec.dsl.parser import parse
from nnspec.dsl.source import Source


def tree_of(text: str, arguments: Iterable[str] = "xyz") -> Tree:
    """The tree of an expression of arguments and pi."""
    source = Source("text", f"loss {text}\n")
    report = Report(source)
    (statement,) = parse(source, report).statements
    assert isinstance(statement, syntax.LossStatement), report.found

    def name(reference: syntax.Reference) -> Tree:
        (part,) = reference.name.parts
        return Number(math.pi) if part == "pi" else {each: Argument(each) for each in arguments}[part]

    return Reader(report, name, lambda name: None).value(statement.value)
