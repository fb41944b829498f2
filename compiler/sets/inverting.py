"""Inwards: from where the value of an expression may lie to where one name in it may lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from fractions import Fraction

import numpy as np

from ...dsl import syntax
from ...dsl.records import record
from ...dsl.walk import called_name, names_in
from .enclosing import Enclosure
from .intervals import (
    SLACK,
    Ends,
    Interval,
    highest,
    lowest,
    nearest,
    point,
    product,
    quotient,
    root,
    widened,
)


@record(frozen=False)
class _Sum:
    """`sum of factor * name + sum of factor * term + constant`; `size` bounds what its parts amount to."""

    names: dict[str, Fraction] = field(default_factory=dict[str, Fraction])
    terms: list[tuple[Fraction, syntax.Expression]] = field(
        default_factory=list[tuple[Fraction, syntax.Expression]]
    )
    constant: Fraction = Fraction(0)
    size: Ends = 0.0


def summands_of(
    node: syntax.Expression, constant: Callable[[syntax.Expression], Fraction | None]
) -> list[tuple[Fraction, syntax.Expression]]:
    """Factors and terms that an expression is the sum of; empty if it is no sum.

    `constant` gives the exact value of a number, and None for any other expression.
    """
    match node:
        case syntax.Parenthesised():
            return [(Fraction(1), node.inner)]
        case syntax.Unary(operator="-" | "+"):
            return [(Fraction(-1 if node.operator == "-" else 1), node.operand)]
        case syntax.Binary(operator="+" | "-"):
            return [(Fraction(1), node.left), (Fraction(-1 if node.operator == "-" else 1), node.right)]
        case syntax.Binary(operator="*"):
            left, right = constant(node.left), constant(node.right)
            if left is not None:
                return [(left, node.right)]
            return [] if right is None else [(right, node.left)]
        case syntax.Binary(operator="/") if divisor := constant(node.right):
            return [(1 / divisor, node.left)]
        case _:
            return []


class Inwards:
    """Narrows the interval that one name has in the box of an enclosure."""

    def __init__(self, name: str, enclosure: Enclosure) -> None:
        self._name = name
        self._enclosure = enclosure

    def narrow(self, node: syntax.Expression, wanted: Interval) -> None:
        """Narrow to where an expression may lie in an interval."""
        total = _Sum()
        self._add(total, node, Fraction(1))
        own = total.names.pop(self._name, Fraction(0))
        parts = [(factor, self._enclosure.of_name(name)) for name, factor in total.names.items()]
        parts += [(factor, self._enclosure.of(term)) for factor, term in total.terms]
        parts.append((own, self._enclosure.box[self._name]))
        spans = [product(interval, point(factor)) for factor, interval in parts]
        slack = SLACK * (total.size + 1)
        constant = nearest(total.constant)
        terms = [None] * len(total.names) + [term for _, term in total.terms] + [None]
        for at, (term, (factor, _)) in enumerate(zip(terms, parts, strict=True)):
            last = at == len(terms) - 1
            if not factor or not (last or (term is not None and self._has_name(term))):
                continue
            others = [span for other, span in enumerate(spans) if other != at]
            low = wanted.low - sum((span.high for span in others), constant) - slack
            high = wanted.high - sum((span.low for span in others), constant) + slack
            part = quotient(Interval(low, high), point(factor))
            if term is None:
                self._intersect(part)
            else:
                self._into(term, part)

    def _has_name(self, node: syntax.Expression) -> bool:
        return self._name in names_in(node, self._enclosure.text)

    def _add(self, total: _Sum, node: syntax.Expression, factor: Fraction) -> None:
        """Add `factor * node` to a sum."""
        constant = self._enclosure.constant(node)
        summands = summands_of(node, self._enclosure.constant)
        if constant is not None:
            total.constant += factor * constant
            total.size += abs(nearest(factor * constant))
        elif summands:
            for own, term in summands:
                self._add(total, term, factor * own)
        else:
            low, high = self._enclosure.of(node)
            total.size += abs(nearest(factor)) * np.maximum(abs(low), abs(high))
            if isinstance(node, syntax.Reference):
                name = self._enclosure.text(node.name)
                total.names[name] = total.names.get(name, Fraction(0)) + factor
            else:
                total.terms.append((factor, node))

    def _intersect(self, wanted: Interval) -> None:
        low, high = widened(wanted.low, wanted.high)
        own = self._enclosure.box[self._name]
        self._enclosure.box[self._name] = Interval(np.maximum(own.low, low), np.minimum(own.high, high))

    def _into(self, node: syntax.Expression, wanted: Interval) -> None:
        """Narrow to where an operation or function, no sum, may lie in an interval."""
        low, high = widened(wanted.low, wanted.high)
        match node:
            case syntax.Binary(operator="*"):
                for operand, other in ((node.left, node.right), (node.right, node.left)):
                    if self._has_name(operand):
                        self.narrow(operand, quotient(Interval(low, high), self._enclosure.of(other)))
            case syntax.Binary(operator="/" | "//") if self._has_name(node.left):
                surplus = 1 if node.operator == "//" else 0
                self.narrow(node.left, product(Interval(low, high + surplus), self._enclosure.of(node.right)))
            case syntax.Binary(operator="**") if (exponent := self._enclosure.exponent(node)) is not None:
                even = root(np.maximum(high, 0), exponent)
                odd = Interval(root(low, exponent), root(high, exponent))
                self.narrow(node.left, odd if exponent % 2 else Interval(-even, even))
            case syntax.Call():
                self._into_function(node, low, high)
            case _:
                return

    def _into_function(self, node: syntax.Call, low: Ends, high: Ends) -> None:
        for argument in node.arguments:
            if not self._has_name(argument.value):
                continue
            others = [self._enclosure.of(other.value) for other in node.arguments if other is not argument]
            match called_name(node):
                case "abs":
                    wanted = Interval(-high, high)
                case "min":
                    # Where all others are above, this one is the smallest.
                    alone = lowest([other.low for other in others]) > high if others else True
                    wanted = Interval(low, np.where(alone, high, np.inf))
                case "max":
                    alone = highest([other.high for other in others]) < low if others else True
                    wanted = Interval(np.where(alone, low, -np.inf), high)
                case "floor":
                    wanted = Interval(low, high + 1)
                case "sqrt":
                    wanted = Interval(-np.inf, np.maximum(high, 0) ** 2)
                case "exp":
                    wanted = Interval(-np.inf, np.log(np.maximum(high, 1e-300)))
                case "log":
                    wanted = Interval(-np.inf, np.exp(high))
                case _:
                    continue
            self.narrow(argument.value, wanted)
