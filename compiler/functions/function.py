"""Functions of the language: what a spec or the catalogue states of one, and what follows from that."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import numpy as np

from ...dsl.records import record
from .derive import derivative, switches
from .evaluate import evaluate
from .tree import COMPARISONS, CONNECTIVES, Apply, Argument, Number, Tree, arguments_in, substituted, walk

Numbers = tuple[tuple[str, float], ...]


@record
class Function:
    """A function of the language: `value`, a tree in its `arguments`.

    `defaults` are the numbers that arguments are unless they are given. `declared` is the derivative by the
    first argument where the spec declares one, which then holds in place of that of `value`.
    """

    name: str
    arguments: tuple[str, ...]
    defaults: Numbers
    value: Tree
    declared: Tree | None = None

    @property
    def first(self) -> str:
        """The argument that is the unit's value, where a layer applies the function."""
        return self.arguments[0]

    @property
    def slope(self) -> Tree:
        """The derivative by the first argument."""
        return self.declared if self.declared is not None else _slope(self.value, self.first)


_slope = cache(derivative)


def kinks(function: Function, numbers: Numbers) -> tuple[Tree, ...]:
    """What is 0 where the function or its derivative jumps, as trees in its arguments, with these numbers.

    Where a switch is linear in the first argument, piece by piece, both are compared on both sides of its
    zeros; of any other it is taken for granted that they jump there.
    """
    first, values = function.first, dict(numbers)
    parts = [function.value, function.slope]
    at = [substituted(part, values) for part in parts]
    kept: dict[object, Tree] = {}
    for switch in dict.fromkeys(each for part in parts for each in switches(part)):
        if first not in arguments_in(switch):
            continue
        zeros = _zeros(substituted(switch, values), first)
        if zeros is None:
            kept[switch] = switch
            continue
        jumps = tuple(zero for zero in zeros if any(_jumps(part, first, zero) for part in at))
        if jumps and not any(isinstance(known, tuple) and {*jumps} <= {*known} for known in kept):
            kept[jumps] = switch
    return tuple(kept.values())


def _zeros(switch: Tree, argument: str) -> tuple[float, ...] | None:
    """Where a tree that is linear in an argument, piece by piece, is 0; None where it is not."""
    if any(isinstance(each, Apply) and each.word in ("floor", "round") for each in walk(switch)):
        return None
    borders: list[float] = []
    for inner in switches(switch):
        found = _zeros(inner, argument)
        if found is None:
            return None
        borders += found
    ends = [min(borders, default=0.0) - 2.0, *sorted(borders), max(borders, default=0.0) + 2.0]
    zeros: dict[float, None] = {}
    for at, (low, high) in enumerate(pairwise(ends)):
        places = np.array([low, (3 * low + high) / 4, (low + high) / 2, (low + 3 * high) / 4, high])
        values = np.asarray(evaluate(switch, {argument: places}), np.float64) + np.zeros(5)
        inside, rise = values[1:4], (values[3] - values[1]) / (places[3] - places[1]) if low < high else 0.0
        straight = values[2] + rise * (places[1:4] - places[2])
        if not np.allclose(inside, straight, rtol=1e-12, atol=1e-12) or not np.isfinite(inside).all():
            return None
        zero = places[2] - values[2] / rise if rise else math.inf
        if (low <= zero or at == 0) and (zero <= high or at == len(ends) - 2) and math.isfinite(zero):
            zeros[float(round(zero, 12)) + 0.0] = None
    return tuple(zeros)


def _jumps(tree: Tree, argument: str, place: float) -> bool:
    """Whether the value just above a place is another one than just below it."""
    step = 1e-9 * max(1.0, abs(place))
    low, high = (float(evaluate(tree, {argument: np.float64(place + side)})) for side in (-step, step))
    return not abs(high - low) <= 1e-6 * max(1.0, abs(low), abs(high))


# ------------------------------------------------------------------------------------------------ exactness

_CHOOSING = frozenset(
    ["where", "abs", "sign", "floor", "round", "min", "max", "stop", "negative", *CONNECTIVES]
)


def is_exact(function: Function, numbers: Numbers) -> bool:
    """Whether value and derivative of a number with few bits have few bits, and so are not rounded."""
    values = dict(numbers)
    return all(_has_few_bits(substituted(tree, values)) for tree in (function.value, function.slope))


def is_made_of_products(tree: Tree) -> bool:
    """Whether a tree and its derivatives are sums, products and choices of its arguments and of few bits.

    They are not rounded as long as all products fit, which depends on the numbers.
    """
    trees = (tree, *(derivative(tree, name) for name in arguments_in(tree)))
    return all(_has_few_bits(each, products=True) for each in trees)


def is_dyadic(number: float) -> bool:
    """Whether a number has few bits: it is a small multiple of 1/1024."""
    return (1024 * number).is_integer() and abs(number) <= 1024


def _has_few_bits(tree: Tree, products: bool = False) -> bool:
    """Whether what has few bits gives what has few; `products` of it, and powers, may have more."""

    def has_few_bits(*trees: Tree) -> bool:
        return all(_has_few_bits(each, products) for each in trees)

    match tree:
        case Number(value):
            return is_dyadic(float(value))
        case Argument():
            return True
        case Apply("declared", (_, value, slope)):
            return has_few_bits(value, slope)
        case Apply("+" | "-", operands):
            return has_few_bits(*operands)
        case Apply("*", (a, b)):
            return (products or _constant(a) or _constant(b)) and has_few_bits(a, b)
        case Apply("**", (a, Number(value))) if products:
            return value == 2 and has_few_bits(a)
        case Apply("/", (a, Number(value))):
            return has_few_bits(a) and bool(value) and is_dyadic(1 / value) and is_dyadic(float(value))
        case Apply(word, operands) if word in _CHOOSING or word in COMPARISONS:
            return has_few_bits(*operands)
        case _:
            return False


def _constant(tree: Tree) -> bool:
    return not arguments_in(tree)


# Places near 0 and far from it, where functions are looked at for whether they have values at all.
_FAR = np.geomspace(100, 1e9, 50)
_PLACES = np.concatenate([np.linspace(-100, 100, 4001), _FAR, -_FAR])


def is_somewhere_finite(tree: Tree) -> bool:
    """Whether a tree has a value at one of many places; several arguments are at different ones."""
    turn, count = np.arange(len(_PLACES)), len(_PLACES)
    values = {
        name: _PLACES[turn * pow(1009, at, count) % count] for at, name in enumerate(arguments_in(tree))
    }
    return bool(np.isfinite(np.asarray(evaluate(tree, values), np.float64)).any())
