"""Sums of terms, with coefficients that people can read."""

from __future__ import annotations

from collections.abc import Sequence

from .tree import (
    Assign,
    Binary,
    Constant,
    Expression,
    Name,
    Return,
    Statement,
    Unary,
)

# Python nests a sum once for each term, and stops at about 3,000 levels; so do tools that read its code.
MOST_TERMS = 100


def scaled(coefficient: float, value: Expression) -> Expression:
    """`coefficient * value`, or the value alone for 1. In a product or quotient it is the first factor."""
    if isinstance(value, Binary) and value.operator in ("*", "/"):
        return Binary(scaled(coefficient, value.left), value.operator, value.right)
    if coefficient == 1:
        return value
    if coefficient == -1:
        return Unary("-", value)
    factor = Constant(abs(coefficient), power_of_ten(abs(coefficient)))
    return Binary(Unary("-", factor) if coefficient < 0 else factor, "*", value)


def times(factor: Expression, value: Expression) -> Expression:
    """`factor * value`. Of a product or quotient the first factor is multiplied."""
    if isinstance(value, Binary) and value.operator in ("*", "/"):
        return Binary(times(factor, value.left), value.operator, value.right)
    if value == Constant(1):
        return factor
    return Binary(factor, "*", value)


def power_of_ten(value: float) -> str:
    """A coefficient for people to read: 0.0001 as `1e-4`."""
    text = f"{value:.12g}"
    if float(text) != value:
        return repr(value)
    mantissa, _, exponent = f"{value:e}".partition("e")
    short = f"{float(mantissa):g}e{int(exponent)}"
    return short if abs(value) < 1e-3 and float(short) == value else text


def sum_of(terms: Sequence[Expression]) -> Expression:
    """The sum of terms, at most `MOST_TERMS` of them. A term that begins with a minus is subtracted."""
    result = terms[0]
    for term in terms[1:]:
        positive = _negated(term)
        result = Binary(result, "+", term) if positive is None else Binary(result, "-", positive)
    return result


def _negated(term: Expression) -> Expression | None:
    """What a term that begins with a minus subtracts."""
    match term:
        case Unary(operator="-", operand=operand):
            return operand
        case Binary(left=left, operator="*" | "/" | "@" as operator, right=right):
            positive = _negated(left)
            return None if positive is None else Binary(positive, operator, right)
        case _:
            return None


def summed(variable: Expression, terms: Sequence[Expression]) -> list[Statement]:
    """Statements that make `variable` the sum of terms: one, or several where there are very many terms."""
    parts = [terms[at : at + MOST_TERMS] for at in range(0, len(terms), MOST_TERMS)]
    return [Assign(variable, sum_of([*[variable] * (at > 0), *part])) for at, part in enumerate(parts)]


def returned_sum(terms: Sequence[Expression], total: Name) -> list[Statement]:
    """Statements that return the sum of terms, as `summed` has them."""
    if len(terms) <= MOST_TERMS:
        return [Return(sum_of(terms))]
    return [*summed(total, terms), Return(total)]
