"""What expressions are of their names: sums of multiples, remainders, or nothing that can be told."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from ...dsl import syntax
from ...dsl.walk import called_name, children, names_in
from ..names.arithmetic import FUNCTIONS
from ..names.sides import Scope
from .inverting import summands_of
from .terms import bare


def is_deterministic(node: syntax.Expression) -> bool:
    """Whether an expression has no function in it that draws, or looks anything up."""
    if isinstance(node, syntax.Call):
        return called_name(node) in FUNCTIONS and all(
            is_deterministic(argument.value) for argument in node.arguments
        )
    return all(is_deterministic(child) for child in children(node))


def plus_zero(node: syntax.Expression) -> syntax.Expression:
    """`node + 0`, which is no longer a name that stands alone."""
    return syntax.Binary(node.span, "+", node, number(0, node.span))


def number(value: int, span: syntax.Span) -> syntax.Expression:
    """An integer as it is written."""
    written = syntax.Number(span, abs(value), str(abs(value)))
    return written if value >= 0 else syntax.Unary(span, "-", written)


def uses(node: syntax.Expression | None, name: str, scope: Scope) -> Iterator[syntax.Expression]:
    """The smallest operations around each use of a name, or the name where there is none."""
    if node is None:
        return
    if bare(node, scope) == name:
        yield node
        return
    for child in children(node):
        if bare(child, scope) == name:
            yield node
        else:
            yield from uses(child, name, scope)


def divisor_of(use: syntax.Expression, name: str, scope: Scope) -> int | None:
    """The m of `name // m` and `name % m`."""
    if isinstance(use, syntax.Binary) and use.operator in ("//", "%") and bare(use.left, scope) == name:
        value = constant(use.right, scope)
        if value is not None and value.denominator == 1 and value > 0:
            return int(value)
    return None


def modulus(node: syntax.Expression, scope: Scope) -> tuple[syntax.Expression, Fraction] | None:
    """`a` and `m` of `a % m`."""
    if isinstance(node, syntax.Parenthesised):
        return modulus(node.inner, scope)
    if isinstance(node, syntax.Binary) and node.operator == "%":
        value = constant(node.right, scope)
        if value is not None and value.denominator == 1 and value > 0:
            return node.left, value
    return None


def constant(node: syntax.Expression, scope: Scope) -> Fraction | None:
    """The integer that a literal, a param or a loop variable is."""
    match node:
        case syntax.Parenthesised():
            return constant(node.inner, scope)
        case syntax.Number(value=value):
            return Fraction(value) if isinstance(value, int) else None
        case syntax.Reference():
            if (
                scope.text(node.name) not in scope.loop_variables
                and scope.declared(scope.text(node.name)) != "param"
            ):
                return None
            value = scope.outer(node)
            return Fraction(value) if isinstance(value, int) else None
        case _:
            return None


def linear(node: syntax.Expression | None, names: set[str], scope: Scope) -> dict[str, Fraction] | None:
    """The factor of each of some names in a sum; None if one occurs other than times a number."""
    if node is None:
        return None
    if not names_in(node, scope.text) & names:
        return {}
    if isinstance(node, syntax.Reference):
        return {scope.text(node.name): Fraction(1)}
    terms = summands_of(node, lambda part: constant(part, scope))
    if not terms:
        return None
    total: dict[str, Fraction] = {}
    for factor, term in terms:
        inner = linear(term, names, scope)
        if inner is None:
            return None
        for name, own in inner.items():
            total[name] = total.get(name, Fraction(0)) + factor * own
    return total
