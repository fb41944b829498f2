"""Outwards: where the value of an expression lies, from where the names in it lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from ...dsl import syntax
from ...dsl.walk import called_name
from ..names.arithmetic import FUNCTIONS, Value
from .intervals import (
    LARGE,
    WHOLE,
    Interval,
    cosine,
    has_zero,
    highest,
    lowest,
    product,
    quotient,
    tangent,
    widened,
)


class Enclosure:
    """Encloses expressions; `doubtful` are the rows in which one of them may have no value.

    `box` has where each index name lies, and can be narrowed; `outer` gives the number of any other name.
    """

    def __init__(
        self,
        box: Mapping[str, Interval],
        text: Callable[[syntax.Name], str],
        outer: Callable[[syntax.Reference], Value],
    ) -> None:
        self.box = dict(box)
        self.text = text
        self.outer = outer
        self.doubtful: NDArray[np.bool_] | bool = False

    def of(self, node: syntax.Expression) -> Interval:
        """Where the value of an expression lies; `doubtful` where it may have none."""
        match node:
            case syntax.Number(value=value):
                return self._result(value, value)
            case syntax.Reference() if self.text(node.name) in self.box:
                return self.of_name(self.text(node.name))
            case syntax.Reference():
                value = self.outer(node)
                return self._result(value, value)
            case syntax.Parenthesised():
                return self.of(node.inner)
            case syntax.Unary(operator="+"):
                return self.of(node.operand)
            case syntax.Unary(operator="-"):
                low, high = self.of(node.operand)
                return Interval(-high, -low)
            case syntax.Binary():
                return self._operation(node)
            case syntax.Call():
                return self._function(node)
            case _:
                self.doubtful = True
                return WHOLE

    def of_name(self, name: str) -> Interval:
        """Where an index name lies."""
        return self._result(*self.box[name])

    def constant(self, node: syntax.Expression) -> Fraction | None:
        """The exact value of a number or of a name that is no index, perhaps with a sign."""
        match node:
            case syntax.Number(value=value):
                return Fraction(value) if isfinite(value) else None
            case syntax.Reference() if self.text(node.name) not in self.box:
                value = self.outer(node)
                return Fraction(value) if isinstance(value, int | float) and isfinite(value) else None
            case syntax.Parenthesised():
                return self.constant(node.inner)
            case syntax.Unary(operator="-" | "+"):
                value = self.constant(node.operand)
                return -value if value is not None and node.operator == "-" else value
            case _:
                return None

    def _result(self, low: Value, high: Value, fails: NDArray[np.bool_] | bool = False) -> Interval:
        """An interval widened by more than rounding; where it is not bounded, evaluation may fail.

        An end at zero stays there: a sum of squares is not negative.
        """
        low, high = widened(np.asarray(low, float), np.asarray(high, float), 0.0)
        self.doubtful = self.doubtful | fails | (low < -LARGE) | (high > LARGE)
        return Interval(low, high)

    def _operation(self, node: syntax.Binary) -> Interval:
        a, b = self.of(node.left), self.of(node.right)
        match node.operator:
            case "+":
                return self._result(a.low + b.low, a.high + b.high)
            case "-":
                return self._result(a.low - b.high, a.high - b.low)
            case "*":
                return self._result(*product(a, b))
            case "/":
                return self._result(*quotient(a, b), has_zero(b))
            case "//":
                low, high = quotient(a, b)
                low, high = widened(low, high, 0.0)
                return self._result(np.floor(low), np.floor(high), has_zero(b))
            case "%":
                return self._result(np.minimum(b.low, 0), np.maximum(b.high, 0), has_zero(b))
            case "**":
                exponent = self.exponent(node)
                if exponent:
                    ends = [np.asarray(end, float) ** exponent for end in a]
                    low = np.where(has_zero(a), np.minimum(ends[0], 0), np.minimum(*ends))
                    return self._result(low, np.maximum(*ends))
            case _:
                pass
        self.doubtful = True
        return WHOLE

    def exponent(self, node: syntax.Binary) -> int | None:
        """The exponent of a power if it is one small positive integer."""
        value = self.constant(node.right)
        return int(value) if value is not None and value in range(1, 65) else None

    def _function(self, node: syntax.Call) -> Interval:
        if called_name(node) not in FUNCTIONS:
            self.doubtful = True
            return WHOLE
        arguments = [self.of(argument.value) for argument in node.arguments]
        lows, highs = [a.low for a in arguments], [a.high for a in arguments]
        match called_name(node):
            case "abs":
                least = np.where(has_zero(arguments[0]), 0, np.minimum(abs(lows[0]), abs(highs[0])))
                return self._result(least, np.maximum(abs(lows[0]), abs(highs[0])))
            case "min":
                return self._result(lowest(lows), lowest(highs))
            case "max":
                return self._result(highest(lows), highest(highs))
            case "floor":
                return self._result(np.floor(lows[0]), np.floor(highs[0]))
            case "sqrt":
                low, high = (np.sqrt(np.maximum(end, 0)) for end in arguments[0])
                return self._result(low, high, lows[0] < 0)
            case "exp":
                return self._result(np.exp(lows[0]), np.exp(highs[0]))
            case "log":
                low, high = (np.log(np.maximum(end, 1e-300)) for end in arguments[0])
                return self._result(low, high, lows[0] <= 0)
            case "cos":
                return self._result(*cosine(arguments[0]))
            case "sin":
                return self._result(*cosine(Interval(lows[0] - np.pi / 2, highs[0] - np.pi / 2)))
            case "tan":
                return self._result(*tangent(arguments[0]))
            case _:
                self.doubtful = True
                return WHOLE
