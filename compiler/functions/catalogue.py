"""The catalogue of functions that ships with the compiler, of which only what is asked for is read."""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path
from typing import cast

from ...dsl import syntax
from ...dsl.diagnostics import Report
from ...dsl.parser import parse
from ...dsl.source import Source
from .function import Function
from .read import Reader, read_function
from .tree import FUNCTIONS, Argument, Number, Tree, apply

PLACE = Path(__file__).with_name("catalogue.nnspec")

# The functions of one value that are words of the language: layers have them by their names too.
# Not those that have no value or no derivative everywhere, nor those whose derivative is always 0.
WORDS = tuple(
    word
    for word, operands in FUNCTIONS.items()
    if operands == 1
    and word not in ("atanh", "floor", "log", "log1p", "round", "sign", "sqrt", "stop", "tan")
)


@cache
def statements() -> dict[str, str]:
    """The catalogue's statements as text, by the names of the functions."""
    return stated(PLACE)


def stated(place: Path) -> dict[str, str]:
    """The statements of a file of functions as text, by their names. Each stands on a line of its own."""
    lines = place.read_text(encoding="utf-8").splitlines()
    heads = [(re.match(r"function (\w+)\(", line), line) for line in lines]
    return {head[1]: line for head, line in heads if head}


def names() -> tuple[str, ...]:
    """What layers can have without the spec saying so."""
    return (*statements(), *WORDS)


@cache
def function(name: str) -> Function | None:
    """The function of a name, None if the catalogue has none."""
    if name in WORDS:
        return Function(name, ("x",), (), apply(name, Argument("x")))
    return read(name, PLACE, statements()[name]) if name in statements() else None


def read(name: str, place: Path, text: str) -> Function:
    """The function that a statement of a file says; what it calls are functions of the catalogue."""
    source = Source(str(place), f"model catalogue\n{text}\n")
    report = Report(source)
    statement = cast("syntax.FunctionStatement", parse(source, report).statements[1])
    found = read_function(statement, name, report, Reader(report, _number_named, function), _number)
    report.check()
    return found


def _number_named(reference: syntax.Reference) -> Tree:
    assert reference.name.parts == ("pi",), reference
    return Number(math.pi)


def _number(node: syntax.Expression) -> float:
    """A default: a literal, or the negative of one."""
    if isinstance(node, syntax.Unary):
        return -_number(node.operand)
    return cast("syntax.Number", node).value
