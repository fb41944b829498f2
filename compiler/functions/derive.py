"""Derivatives of trees, and the places where they jump."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from .simplify import simplified
from .tree import ONE, ZERO, Apply, Argument, Number, Tree, apply, is_condition, replaced


def derivative(tree: Tree, by: str) -> Tree:
    """The derivative by an argument, simplified, with functions in it as they are in `tree`.

    At a tie of `max` and `min` it is that of the second operand, at 0 that of `abs` is 0, and at the border
    of a condition that of the branch which is taken there. That of `stop` is 0.
    """
    return simplified(_derived(tree, by))


def _derived(tree: Tree, by: str) -> Tree:
    match tree:
        case Number():
            return ZERO
        case Argument(name):
            return ONE if name == by else ZERO
        case Apply("stop" | "sign" | "floor" | "round"):
            return ZERO
        case Apply("declared", (at, _, slope)):
            return _times(slope, _derived(at, by))
        case Apply("where", (condition, then, otherwise)):
            return _chosen(condition, _derived(then, by), _derived(otherwise, by))
        case Apply("min" | "max" as word, (a, b)):
            return _chosen(switch_of(word, a, b), _derived(a, by), _derived(b, by))
        case Apply("+" | "-" as word, (a, b)):
            return apply(word, _derived(a, by), _derived(b, by))
        case Apply("negative", (a,)):
            return apply("negative", _derived(a, by))
        case Apply("*", (a, b)):
            return apply("+", _times(_derived(a, by), b), _times(a, _derived(b, by)))
        case Apply("/", (a, b)):
            return _quotient(tree, a, b, by)
        case Apply("**", (a, b)):
            return _power(tree, a, b, by)
        case Apply(word, (a,)):
            return _times(_FACTORS[word](a, tree), _derived(a, by))
        case _:
            raise AssertionError(tree)


def switch_of(word: str, a: Tree, b: Tree) -> Tree:
    """The condition under which `min` or `max` is its first operand, and not its second."""
    return apply("<" if word == "min" else ">", a, b)


def _times(a: Tree, b: Tree) -> Tree:
    """A product, without what 0 is multiplied with: that may be infinite."""
    return ZERO if ZERO in (a, b) else a if b == ONE else b if a == ONE else apply("*", a, b)


def _chosen(condition: Tree, then: Tree, otherwise: Tree) -> Tree:
    return then if then == otherwise else apply("where", condition, then, otherwise)


def _quotient(tree: Tree, a: Tree, b: Tree, by: str) -> Tree:
    above, below = _derived(a, by), simplified(_derived(b, by))
    first = apply("/", above, b)
    if below == ZERO:
        return first
    if simplified(above) == ZERO:
        return apply("negative", apply("/", _times(a, below), apply("**", b, 2)))
    return apply("/", apply("-", _times(above, b), _times(a, below)), apply("**", b, 2))


def _power(tree: Tree, a: Tree, b: Tree, by: str) -> Tree:
    below, above = simplified(_derived(a, by)), simplified(_derived(b, by))
    of_base = ZERO if below == ZERO else _times(_times(b, apply("**", a, apply("-", b, 1))), below)
    if above == ZERO:
        return of_base
    return apply("+", of_base, _times(_times(tree, apply("log", a)), above))


# The factor that the derivative of the operand has, by the operand and the function's own value.
_FACTORS: dict[str, Callable[[Tree, Tree], Tree]] = {
    "abs": lambda a, y: apply("sign", a),
    "exp": lambda a, y: y,
    "expm1": lambda a, y: apply("exp", a),
    "log": lambda a, y: apply("/", 1, a),
    "log1p": lambda a, y: apply("/", 1, apply("+", 1, a)),
    "sqrt": lambda a, y: apply("/", 0.5, y),
    "sin": lambda a, y: apply("cos", a),
    "cos": lambda a, y: apply("negative", apply("sin", a)),
    "tan": lambda a, y: apply("+", 1, apply("**", y, 2)),
    "sinh": lambda a, y: apply("cosh", a),
    "cosh": lambda a, y: apply("sinh", a),
    "tanh": lambda a, y: apply("-", 1, apply("**", y, 2)),
    "atan": lambda a, y: apply("/", 1, apply("+", 1, apply("**", a, 2))),
    "atanh": lambda a, y: apply("/", 1, apply("-", 1, apply("**", a, 2))),
    "erf": lambda a, y: apply("*", apply("/", 2, apply("sqrt", math.pi)), _bell(a)),
    "sigmoid": lambda a, y: apply("*", y, apply("-", 1, y)),
    "softplus": lambda a, y: apply("sigmoid", a),
    "log_sigmoid": lambda a, y: apply("sigmoid", apply("negative", a)),
}


def _bell(a: Tree) -> Tree:
    return apply("exp", apply("negative", apply("**", a, 2)))


def reusing(tree: Tree, value: Tree, name: str) -> Tree:
    """A derivative that reads the function's value by a name, wherever that is in it."""
    return replaced(tree, {value: Argument(name)}) if isinstance(value, Apply) else tree


# --------------------------------------------------------------------------------------------------- kinks


def switches(tree: Tree) -> tuple[Tree, ...]:
    """What is 0 where `abs`, `sign`, `min`, `max` or a condition switches: both sides' difference."""
    found: dict[Tree, None] = {}
    for difference in _switches(tree):
        found[simplified(difference)] = None
    return tuple(each for each in found if not isinstance(each, Number))


def _switches(tree: Tree) -> Iterator[Tree]:
    if not isinstance(tree, Apply):
        return
    if tree.word == "declared":  # what is declared takes the place of whatever the value jumps by
        yield from _switches(tree.operands[0])
        yield from _switches(tree.operands[2])
        return
    if tree.word in ("abs", "sign"):
        yield tree.operands[0]
    if tree.word in ("floor", "round"):  # at whole numbers, or half-way between them
        (operand,) = tree.operands
        shifted = operand if tree.word == "floor" else apply("-", operand, 0.5)
        yield apply("-", shifted, apply("round", shifted))
    if tree.word in ("min", "max") or (is_condition(tree) and tree.word not in ("and", "or", "not")):
        yield apply("-", *tree.operands)
    for operand in tree.operands:
        yield from _switches(operand)


def kinks(tree: Tree, arguments: tuple[str, ...]) -> tuple[Tree, ...]:
    """The switches at which the value or a derivative by one of the arguments can jump.

    Left out are those which none of them depends on: those within a condition that both branches of agree
    on have been simplified away, and what is smooth there is kept, since it does no harm.
    """
    parts = [tree, *(derivative(tree, by) for by in arguments)]
    return tuple(dict.fromkeys(each for part in parts for each in switches(part)))
