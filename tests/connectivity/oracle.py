"""What a builder means, by brute force: every name takes every value, every condition is tested.

Nothing here is shared with the compiler. Expressions are functions of `env`, a dict from names to numbers;
they are plain Python, so `//`, `%`, comparisons and precedence are Python's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

Env = dict[str, int]
Function = Callable[[Env], float]
Condition = Callable[[Env], bool]
Edges = set[tuple[int, int]]

OUTSIDE, NOT_INTEGER, DUPLICATE, DIVISION = "E204", "E310", "E311", "E217"
NOT_A_PROBABILITY, TOO_FEW, SIDES, PLACES = "E341", "E315", "E343", "E342"
NOTHING_WRAPS = "E350"
ALL_SKIPPED = "E632"
# A name that is on no axis, or one where there is no axis with names.
UNKNOWN_NAMES = {"E331", "E332"}


def both(*conditions: Condition) -> Condition:
    """False if one is, whatever befalls the others; only then do failures count."""
    return lambda env: _settled(conditions, env, decisive=False)


def either(*conditions: Condition) -> Condition:
    """True if one is, whatever befalls the others; only then do failures count."""
    return lambda env: _settled(conditions, env, decisive=True)


def _settled(conditions: Sequence[Condition], env: Env, decisive: bool) -> bool:
    failure = None
    for condition in conditions:
        try:
            if condition(env) is decisive:
                return decisive
        except ZeroDivisionError as error:
            failure = error
    if failure:
        raise failure
    return not decisive


@dataclass
class Rule:
    """One arrow with its clauses: names with their values, conditions, and the index of each side."""

    names: list[tuple[str, Callable[[Env], Sequence[int]]]]
    conditions: list[Condition]
    source: list[Function]
    target: list[Function]

    def assignments(self, env: Env, depth: int = 0) -> Iterator[Env]:
        if depth == len(self.names):
            yield dict(env)
            return
        name, values = self.names[depth]
        for value in values(env):
            yield from self.assignments({**env, name: value}, depth + 1)


def edges_of(
    rules: Sequence[Rule],
    source_shape: Sequence[int],
    target_shape: Sequence[int],
    env: Env,
    outside: str = "error",
    duplicates: str = "error",
) -> tuple[Edges, set[str]]:
    """The edges of a builder, and the codes of the errors that it has."""
    made: list[tuple[int, int]] = []
    errors: set[str] = set()
    for rule in rules:
        holds = both(*rule.conditions)
        for values in rule.assignments(env):
            try:
                if not holds(values):
                    continue
                ends = [_unit(rule.source, source_shape, values, outside, errors)]
                ends.append(_unit(rule.target, target_shape, values, outside, errors))
            except ZeroDivisionError:
                errors.add(DIVISION)
                continue
            except NoProbability:
                errors.add(NOT_A_PROBABILITY)
                continue
            if None not in ends:
                made.append((ends[0], ends[1]))
    if not errors and duplicates == "error" and len(set(made)) < len(made):
        errors.add(DUPLICATE)
    return set(made), errors


def nothing_wraps(index: Sequence[str], clauses: Sequence[str]) -> set[str]:
    """The error of `outside = wrap` where each part of the arrow, as text, just runs over its dimension."""
    generated = {clause.partition(" in ")[0] for clause in clauses}
    alone = all(part.isidentifier() for part in index) and len({*index}) == len(index)
    return {NOTHING_WRAPS} if alone and not generated & {*index} else set()


def _unit(
    index: Sequence[Function], shape: Sequence[int], env: Env, outside: str, errors: set[str]
) -> int | None:
    unit, kept = 0, True
    for function, size in zip(index, shape, strict=True):
        value = function(env)
        if value != int(value):
            errors.add(NOT_INTEGER)
            kept = False
            continue
        value = int(value)
        if not 0 <= value < size:
            kept = kept and outside == "wrap"
            if outside == "error":
                errors.add(OUTSIDE)
            value %= size
        unit = unit * size + value
    return unit if kept else None


class NoProbability(Exception):
    """What stands in `chance(...)` is not between 0 and 1."""


def member(edges: Edges, sides: Sequence[Sequence[int]], index: Sequence[Sequence[Function]]) -> Condition:
    """`u -> v in NAME`: some edge of the set has these indices; a failure counts unless the others differ."""

    def equal(function: Function, digit: int) -> Condition:
        return lambda env: function(env) == digit

    each = [
        both(
            *(
                equal(function, digit)
                for unit, shape, functions in zip(edge, sides, index, strict=True)
                for function, digit in zip(functions, digits(unit, shape), strict=True)
            )
        )
        for edge in sorted(edges)
    ]

    def holds(env: Env) -> bool:
        found = [condition(env) for condition in each]  # all of them, for one that fails
        return True in found

    return holds


def digits(unit: int, shape: Sequence[int]) -> list[int]:
    """The index of a unit."""
    index: list[int] = []
    for size in reversed(shape):
        unit, digit = divmod(unit, size)
        index.insert(0, digit)
    return index


def unit_of(index: Sequence[int], shape: Sequence[int]) -> int:
    """The unit of an index."""
    unit = 0
    for digit, size in zip(index, shape, strict=True):
        unit = unit * size + digit
    return unit


def places(size: int, extent: int, stride: int, dilation: int, pad: int | str) -> list[int]:
    """Where a window's first unit may be, seen from the first unit of what it slides over."""
    reach = dilation * (extent - 1) + 1
    if pad == "same":
        firsts = range(0, size, stride)
        surplus = max(0, firsts[-1] + reach - size)
        return [first - surplus // 2 for first in firsts]
    over = 0 if pad == "valid" else int(pad)
    return [first for first in range(-over, size + over, stride) if first + reach <= size + over]


def window(
    source: Sequence[int],
    target: Sequence[int],
    extents: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Sequence[int | str],
) -> tuple[Edges, set[str]]:
    """The edges of `window(...)`, or the codes of its errors."""
    leading = len(source) - len(extents)
    if leading < 0 or len(source) != len(target) or [*source[:leading]] != [*target[:leading]]:
        return set(), {SIDES}
    along = [
        places(*given) for given in zip(source[leading:], extents, strides, dilations, pads, strict=True)
    ]
    if [len(firsts) for firsts in along] != [*target[leading:]]:
        return set(), {PLACES}
    edges: Edges = set()
    for t in range(prod(target)):
        index = digits(t, target)
        seen = [
            [first + at * dilation for at in range(extent)]
            for first, extent, dilation in zip(
                (firsts[q] for firsts, q in zip(along, index[leading:], strict=True)),
                extents,
                dilations,
                strict=True,
            )
        ]
        for units in product(*seen):
            if all(0 <= u < size for u, size in zip(units, source[leading:], strict=True)):
                edges.add((unit_of([*index[:leading], *units], source), t))
    return edges, set()


def every_pair(source_shape: Sequence[int], target_shape: Sequence[int]) -> Edges:
    return set(product(range(prod(source_shape)), range(prod(target_shape))))


def one_to_one(shape: Sequence[int]) -> Edges:
    return {(unit, unit) for unit in range(prod(shape))}
