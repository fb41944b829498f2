"""Branches that are not taken kept finite, with their derivatives, so that neither makes 0 * inf of them.

Every target computes both branches of `where`, and multiplies the derivative of the one that is not taken
by 0. So what a branch computes with is held within what its condition says: `where(x > 0, x, expm1(x))`
becomes `where(x > 0, x, expm1(min(0, x)))`, with `x` second, whose derivative counts at 0. Where a condition
bounds no argument, the argument is a constant, at which the branch is finite, wherever it is not taken; and
where no constant makes it so, what could be infinite in it is computed of a harmless operand there.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .derive import derivative
from .evaluate import evaluate
from .tree import Apply, Argument, Number, Tree, apply, arguments_in, is_condition, size, substituted, walk

# Words whose value or derivative can be without bounds where their operand is not.
_UNBOUNDED = frozenset(["/", "exp", "expm1", "log", "log1p", "sqrt", "tan", "sinh", "cosh", "atanh"])
# An operand at which a word and its derivative are finite, where that is not 0.
_HARMLESS = dict.fromkeys(["/", "log", "sqrt", "**"], 1.0)
# A condition is written for every argument in a branch unless that makes so many parts: trees within each
# other would be multiplied.
_MOST_READ = 200
# Where a branch that is not taken may be looked at instead.
_CANDIDATES = (0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 0.1, -0.1, 10.0, -10.0)


def guarded(tree: Tree, numbers: Mapping[str, float] | None = None) -> Tree:
    """A tree of the same values and derivatives, finite wherever those are.

    `numbers` are arguments that are no arrays, with values that show where a branch is finite.
    """
    if not isinstance(tree, Apply):
        return tree
    operands = tuple(guarded(each, numbers) for each in tree.operands)
    if tree.word != "where":
        return Apply(tree.word, operands)
    condition, then, otherwise = operands
    known = numbers or {}
    return apply(
        "where",
        condition,
        _held(then, condition, True, known),
        _held(otherwise, condition, False, known),
    )


def _held(branch: Tree, condition: Tree, holds: bool, numbers: Mapping[str, float]) -> Tree:
    """A branch with its arguments held to where it is taken, if it can be infinite elsewhere."""
    if not any(map(_can_be_infinite, walk(branch))):
        return branch
    held: dict[str, Tree] = {}
    for name in arguments_in(branch):
        if name not in numbers:
            bound = _bound(name, condition, holds)
            if bound is not None and _is_finite(branch, name, bound, numbers):
                held[name] = apply(bound[0], bound[1], Argument(name))
    if held:
        return substituted(branch, held)
    names = [name for name in arguments_in(branch) if name not in numbers]
    reads = sum(isinstance(each, Argument) for each in walk(branch))
    for candidate in _CANDIDATES if reads * size(condition) <= _MOST_READ else ():
        values = dict.fromkeys(names, candidate)
        if _finite_at(branch, values, numbers):
            taken = {name: _taken(condition, Argument(name), candidate, holds) for name in names}
            return substituted(branch, taken)
    return _held_within(branch, condition, holds)


def _held_within(branch: Tree, condition: Tree, holds: bool) -> Tree:
    """A branch that no argument makes finite, as `sqrt(-exp(x))`, with harmless operands, each by itself."""
    if not isinstance(branch, Apply) or is_condition(branch):
        return branch
    operands = [_held_within(each, condition, holds) for each in branch.operands]
    if _can_be_infinite(branch):
        at = 1 if branch.word == "/" else 0
        operands[at] = _taken(condition, operands[at], _HARMLESS.get(branch.word, 0.0), holds)
    return Apply(branch.word, tuple(operands))


def _taken(condition: Tree, tree: Tree, candidate: float, holds: bool) -> Tree:
    """A tree where a branch is taken, and a number elsewhere."""
    value = Number(int(candidate) if candidate.is_integer() else candidate)
    return apply("where", condition, *((tree, value) if holds else (value, tree)))


def _can_be_infinite(tree: Tree) -> bool:
    match tree:
        case Apply("/", (_, Number())):
            return False
        case Apply("**", (_, Number(value))):
            return value < 1 or value != int(value)
        case Apply("**"):
            return True
        case Apply(word):
            return word in _UNBOUNDED
        case _:
            return False


def _bound(name: str, condition: Tree, holds: bool) -> tuple[str, Tree] | None:
    """What holds an argument to where a condition holds, or does not: `min` or `max`, and a number."""
    match condition:
        case Apply(">" | ">=", (Argument(own), Number() | Argument() as number)) if own == name:
            return ("max" if holds else "min"), number
        case Apply("<" | "<=", (Argument(own), Number() | Argument() as number)) if own == name:
            return ("min" if holds else "max"), number
        case _:
            return None


def _is_finite(branch: Tree, name: str, bound: tuple[str, Tree], numbers: Mapping[str, float]) -> bool:
    """Whether a branch and its derivative are finite at the bound, and so where it is not taken."""
    match bound[1]:
        case Number(value):
            border = float(value)
        case Argument(number) if number in numbers:
            border = float(numbers[number])
        case _:
            return False
    others = [other for other in arguments_in(branch) if other not in numbers and other != name]
    return not others and _finite_at(branch, {name: border}, numbers)


def _finite_at(branch: Tree, values: Mapping[str, float], numbers: Mapping[str, float]) -> bool:
    at = {key: np.float64(value) for key, value in {**numbers, **values}.items()}
    trees = [branch, *(derivative(branch, name) for name in values)]
    return all(bool(np.all(np.isfinite(evaluate(each, at)))) for each in trees)
