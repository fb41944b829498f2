"""Evaluation of number and condition expressions, on Python numbers or on numpy arrays alike.

Integers are exact: a result outside 64 bits is a diagnostic, never a wrapped number, and no operation is
carried out whose result could be far larger. Of an array, each entry has a value or a fault of its own, and
`and` and `or` need no operand that the other one makes irrelevant: `j != 0 and i % j == 0` is false at j = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ...dsl import syntax
from ...dsl.diagnostics import Failed, Report, fail
from .. import codes
from .arithmetic import ARITHMETIC, INT_LIMIT, Value, compared, fold, is_integer, plain
from .calls import Calls, Functions
from .faults import Faults, Faulty, not_an_integer, refuse_condition, refuse_number
from .fields import Fields
from .surroundings import Surroundings
from .texts import TextComparisons

if TYPE_CHECKING:
    from ..data.columns import Coded

Lookup: TypeAlias = Callable[[syntax.Reference], Value]


class Evaluator:
    """Evaluates expressions whose names `lookup` resolves. Raises `Failed` after recording a diagnostic."""

    def __init__(
        self,
        report: Report,
        lookup: Lookup,
        functions: Functions | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        self.report = report
        self._lookup = lookup
        self._faults = Faults(report)
        self._fields = fields = Fields(report, surroundings, self._faults, self._value)
        self._texts = TextComparisons(report, fields, self._faults, self._value)
        self._calls = Calls(report, functions or {}, surroundings, fields, self._faults, self._value)

    def value(self, expression: syntax.Expression) -> Value:
        """The value of an expression: a Python number or bool, or an array if a name stands for one."""
        value, faulty = self.attempt(expression)
        if np.any(faulty):
            raise self.failure(int(np.max(faulty)))
        return value

    def attempt(self, expression: syntax.Expression) -> tuple[Value, Faulty]:
        """As `value`, with the faults of the entries instead of a failure; faulty entries are arbitrary."""
        with np.errstate(all="ignore"):
            value, faulty = self._faults.isolated(self._value, expression)
        return plain(value), faulty

    def key(self, expression: syntax.Expression) -> tuple[Value | Coded, Faulty]:
        """As `attempt`, or the texts that a field stands for whose values are no numbers."""
        texts, faulty = self._faults.isolated(self._fields.texts, expression)
        if texts is None or texts.is_numeric:
            return self.attempt(expression)
        return texts.coded(), faulty

    def failure(self, fault: int, label: str = "") -> Failed:
        """Record the fault of this number and return the exception to raise."""
        return self._faults.failure(fault, label)

    def number(self, expression: syntax.Expression) -> int | float:
        """A single number, not an array and not a truth value."""
        value = self.value(expression)
        if isinstance(value, bool | np.ndarray):
            raise fail(self.report, codes.NOT_A_NUMBER, expression.span, what="a condition")
        return value

    def integer(self, expression: syntax.Expression, what: str, least: int | None = None) -> int:
        """A single integer, at least `least` if that is given."""
        value = self.number(expression)
        if not isinstance(value, int):
            raise not_an_integer(self.report, expression, what, value)
        if least is not None and value < least:
            raise fail(self.report, codes.TOO_SMALL, expression.span, what=what, value=value, least=least)
        return value

    def _value(self, node: syntax.Expression) -> Value:
        match node:
            case syntax.Number():
                if isinstance(node.value, int) and node.value > INT_LIMIT:
                    raise fail(self.report, codes.NUMBER_TOO_LARGE, node.span)
                return node.value
            case syntax.Reference():
                return self._lookup(node)
            case syntax.Parenthesised():
                return self._value(node.inner)
            case syntax.Unary():
                return self._unary(node)
            case syntax.Binary():
                return self._binary(node)
            case syntax.Comparison():
                return self._comparison(node)
            case syntax.Call():
                return self._calls.call(node)
            case syntax.String():
                raise fail(self.report, codes.NOT_A_NUMBER, node.span, what="a string")
            case _:
                raise fail(self.report, codes.NOT_A_NUMBER, node.span, what=_described(node))

    def _unary(self, node: syntax.Unary) -> Value:
        operand = self._value(node.operand)
        if node.operator == "not":
            refuse_number(operand, node.operand, self.report)
            return np.logical_not(operand)
        refuse_condition(operand, node.operand, self.report)
        return -operand if node.operator == "-" else operand

    def _binary(self, node: syntax.Binary) -> Value:
        if node.operator in ("and", "or"):
            operands = [self._faults.isolated(self._value, side) for side in (node.left, node.right)]
            for (value, _), side in zip(operands, (node.left, node.right), strict=True):
                refuse_number(value, side, self.report)
            return self._faults.combined(operands, decisive=node.operator == "or")
        left, right = self._value(node.left), self._value(node.right)
        if node.operator not in ARITHMETIC:
            raise fail(self.report, codes.SET_AMONG_NUMBERS, node.span, operator=node.operator)
        refuse_condition(left, node.left, self.report)
        refuse_condition(right, node.right, self.report)
        return self._faults.computed(node, *ARITHMETIC[node.operator](left, right))

    def _comparison(self, node: syntax.Comparison) -> Value:
        if self._texts.speaks(node):
            return self._texts.comparison(node)
        links: list[tuple[Value, Faulty]] = []
        left, left_faulty = self._faults.isolated(self._value, node.first)
        refuse_condition(left, node.first, self.report)
        for symbol, operand in node.rest:
            if symbol == "in":
                contained = partial(self._contained, left)
                links.append(self._faults.isolated(contained, operand, left_faulty))
                if operand is not node.rest[-1][1]:
                    self._value(operand)  # `i in 0..3 < 5` compares a range, which is no number
                continue
            right, right_faulty = self._faults.isolated(self._value, operand)
            refuse_condition(right, operand, self.report)
            faulty = np.where(left_faulty, left_faulty, right_faulty)
            links.append((compared(symbol, left, right), faulty))
            left, left_faulty = right, right_faulty
        return self._faults.combined(links, decisive=False)

    def _contained(self, value: Value, container: syntax.Expression) -> Value:
        match container:
            case syntax.Range(first=first, last=last):
                ends = self._value(first), self._value(last)
                for end, node in zip(ends, (first, last), strict=True):
                    refuse_condition(end, node, self.report)
                inside = np.logical_and(compared("<=", ends[0], value), compared("<=", value, ends[1]))
                return inside if is_integer(value) else inside & np.equal(value, np.floor(value))
            case syntax.List(items=items):
                members = [self._value(item) for item in items]
                for member, item in zip(members, items, strict=True):
                    refuse_condition(member, item, self.report)
                if is_integer(value) and all(isinstance(member, int) for member in members):
                    return np.isin(value, np.array(members, np.int64))
                return fold(np.logical_or, [False, *(compared("==", value, m) for m in members)])
            case other:
                raise fail(self.report, codes.IN_WHAT, other.span)


def _described(node: syntax.Expression) -> str:
    words: dict[type, str] = {
        syntax.Builder: "a set of edges",
        syntax.Range: "a range",
        syntax.List: "a list",
        syntax.Tuple: "a tuple",
        syntax.Attribute: "a field",
    }
    return words.get(type(node), "this")
