"""Which entries of a value have none, and why: each has a fault of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias, TypeVar

import numpy as np

from ...dsl import syntax
from ...dsl.diagnostics import Failed, Report, fail
from ...dsl.findings import Code
from ...dsl.records import record
from ...dsl.source import Span
from .. import codes
from .arithmetic import Array, Value, is_integer, plain

T = TypeVar("T")
# For each entry of a value the number of its fault in `Faults`, from 1; 0 where it has none.
Faulty: TypeAlias = "int | Array"


@record
class Fault:
    """Why an expression has no value: a code without fields, and the operation that fails."""

    code: Code
    span: Span


class Faults:
    """The faults met so far, and which entries of the expression under evaluation have one (`faulty`)."""

    def __init__(self, report: Report) -> None:
        self.faulty: Faulty = 0
        self._report = report
        self._met: list[Fault] = []

    def failure(self, fault: int, label: str = "") -> Failed:
        """Record the fault of this number and return the exception to raise."""
        return fail(self._report, self._met[fault - 1].code, self._met[fault - 1].span, label=label)

    def isolated(
        self, value: Callable[[syntax.Expression], T], node: syntax.Expression, before: Faulty = 0
    ) -> tuple[T, Faulty]:
        """The value of an operand and its own faults, with those that were there `before`."""
        around, self.faulty = self.faulty, before
        made = value(node)
        own, self.faulty = self.faulty, around
        return made, own

    def mark(self, entries: Array | bool, code: Code, node: syntax.Expression) -> None:
        """Note that some entries have no value."""
        if np.any(entries):
            fault = Fault(code, node.span)
            if fault not in self._met:
                self._met.append(fault)
            self._add(np.where(entries, self._met.index(fault) + 1, 0))

    def _add(self, faulty: Faulty) -> None:
        if np.any(faulty):
            self.faulty = np.where(self.faulty, self.faulty, faulty)

    def combined(self, operands: Iterable[tuple[Value, Faulty]], decisive: bool) -> Value:
        """Whether an operand without fault is `decisive`; if none is, all faults count."""
        decided: Value = False
        undecided: Faulty = 0
        for value, faulty in operands:
            decided = np.logical_or(decided, np.equal(value, decisive) & np.equal(faulty, 0))
            undecided = np.where(undecided, undecided, faulty) if np.any(faulty) else undecided
        self._add(np.where(decided, 0, undecided) if np.any(undecided) else 0)
        return decided if decisive else np.logical_not(decided)

    def computed(self, node: syntax.Expression, result: Value, code: Code, without: Array | bool) -> Value:
        """The result of an operation on a node, its faults marked."""
        self.mark(without, code, node)
        if not is_integer(result := plain(result)) and not np.all(finite := np.isfinite(result)):
            self.mark(np.logical_not(finite) & np.logical_not(without), codes.NOT_FINITE, node)
            result = np.where(finite, result, 0.0)
        return result


def refuse_condition(value: Value, node: syntax.Expression, report: Report) -> None:
    """Raise `Failed` where a number is wanted and a condition stands."""
    if np.asarray(value).dtype.kind == "b":
        raise fail(report, codes.NOT_A_NUMBER, node.span, what="a condition")


def refuse_number(value: Value, node: syntax.Expression, report: Report) -> None:
    """Raise `Failed` where a condition is wanted and a number stands."""
    if np.asarray(value).dtype.kind != "b":
        raise fail(report, codes.NOT_A_CONDITION, node.span)


def not_an_integer(report: Report, node: syntax.Expression, what: str, value: object) -> Failed:
    """Record that something must be an integer and return the exception to raise."""
    help = "`//` divides and rounds down"
    return fail(report, codes.NOT_AN_INTEGER, node.span, what=what, value=value, help=help)
