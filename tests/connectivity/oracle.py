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
            if None not in ends:
                made.append((ends[0], ends[1]))
    if not errors and duplicates == "error" and len(set(made)) < len(made):
        errors.add(DUPLICATE)
    return set(made), errors


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


def every_pair(source_shape: Sequence[int], target_shape: Sequence[int]) -> Edges:
    return set(product(range(prod(source_shape)), range(prod(target_shape))))


def one_to_one(shape: Sequence[int]) -> Edges:
    return {(unit, unit) for unit in range(prod(shape))}
