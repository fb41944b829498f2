"""Comparisons of texts: with strings, with lists of them, with the names of axes, and of two columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import numpy as np

from ...dsl import syntax
from ...dsl.diagnostics import Report, fail
from .. import codes
from .arithmetic import Value, fold
from .faults import Faults
from .fields import Fields, opened

if TYPE_CHECKING:
    from ..data.tables import Texts


class TextComparisons:
    """Compares texts that `fields` reads; `value` is that of any other expression."""

    def __init__(
        self, report: Report, fields: Fields, faults: Faults, value: Callable[[syntax.Expression], Value]
    ) -> None:
        self._report = report
        self._fields = fields
        self._faults = faults
        self._value = value

    def speaks(self, node: syntax.Comparison) -> bool:
        """Whether something is compared with a string, or two columns of texts with each other."""
        operands = [opened(node.first), *(opened(operand) for _, operand in node.rest)]
        lists = (operand.items for operand in operands if isinstance(operand, syntax.List))
        items = (opened(item) for items in lists for item in items)
        if any(isinstance(operand, syntax.String) for operand in (*operands, *items)):
            return True
        if any(symbol == "in" and self._fields.names(operand) is not None for symbol, operand in node.rest):
            return True
        # Whether columns hold numbers is looked up only where it matters.
        if not all(isinstance(operand, syntax.Call) for operand in operands):
            return False
        around = self._faults.faulty
        texts = [self._fields.texts(operand) for operand in operands]
        self._faults.faulty = around
        return None not in texts and not all(text.is_numeric for text in texts if text)

    def comparison(self, node: syntax.Comparison) -> Value:
        """Where a comparison of texts holds."""
        if len(node.rest) != 1:
            firsts = (node.first, *(operand for _, operand in node.rest))
            links = [
                self._faults.isolated(self._value, syntax.Comparison(node.span, first, (link,)))
                for first, link in zip(firsts, node.rest, strict=False)
            ]
            return self._faults.combined(links, decisive=False)
        ((symbol, operand),) = node.rest
        left = self._text(node.first)
        if symbol == "in" and isinstance(opened(operand), syntax.List):
            items = cast("syntax.List", opened(operand)).items
            return fold(np.logical_or, [False, *(_same(left, self._text(item)) for item in items)])
        if symbol == "in" and (names := self._fields.names(operand)) is not None:
            return left in names if isinstance(left, str) else left.among(names)
        right = self._text(operand)
        if symbol not in ("==", "!="):
            raise fail(self._report, codes.TEXT_ORDER, node.span, operator=symbol)
        same = _same(left, right)
        return same if symbol == "==" else np.logical_not(same)

    def _text(self, node: syntax.Expression) -> Texts | str:
        """A string, or what is compared with one."""
        node = opened(node)
        if isinstance(node, syntax.String):
            if any(not isinstance(part, str) for part in node.parts):
                raise fail(self._report, codes.NOT_A_NUMBER, node.span, what="a string with holes")
            return "".join(part for part in node.parts if isinstance(part, str))
        texts = self._fields.texts(node)
        if texts is None:
            self._value(node)
            raise fail(self._report, codes.TEXT_AND_NUMBER, node.span)
        return texts


def _same(left: Texts | str, right: Texts | str) -> Value:
    if isinstance(left, str):
        return left == right if isinstance(right, str) else right.equal(left)
    return left.equal(right)
