"""What `random` and `chance` draw, by the definition: Philox4x32-10 in Python's own integers."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Collection, Iterator
from fractions import Fraction
from functools import cache
from itertools import accumulate
from math import floor, prod
from typing import Any

from .rules import Statement, number_of, unit_of, units


def seed_of(*place: str) -> int:
    """The seed of a rule where none is given: from the name of its set, and its place in the expression."""
    return int.from_bytes(hashlib.sha256("\0".join(place).encode()).digest()[:8], "little")


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Four words of 32 bits of a counter under a key (Salmon et al., SC 2011)."""
    (a, b, c, d), (k, m) = counter, key
    for _ in range(10):
        left, right = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = right >> 32 ^ b ^ k, right & 0xFFFFFFFF, left >> 32 ^ d ^ m, left & 0xFFFFFFFF
        k, m = (k + 0x9E3779B9) & 0xFFFFFFFF, (m + 0xBB67AE85) & 0xFFFFFFFF
    return [a, b, c, d]


def draws(seed: int, purpose: str, unit: int, block: int = 0) -> Iterator[int]:
    """The draws of 64 bits of a unit, two a block."""
    place = ("fan_in", "fan_out", "edges", "counts", "p", "pair").index(purpose) << 56
    while True:
        number = place | block
        counter = [number & 0xFFFFFFFF, number >> 32, unit & 0xFFFFFFFF, unit >> 32]
        a, b, c, d = philox(counter, [seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF])
        yield a << 32 | b
        yield c << 32 | d
        block += 1


def subset(seed: int, purpose: str, unit: int, size: int, wanted: int, *, wide: bool = False) -> set[int]:
    """`wanted` of the numbers below `size`: the first distinct ones that are drawn, or all but those."""
    leave_out = wanted > size // 2
    found: set[int] = set()
    stream = draws(seed, purpose, unit)
    while len(found) < (size - wanted if leave_out else wanted):
        word = next(stream)
        value = word >> 64 - max(1, (size - 1).bit_length()) if wide else int((word >> 11) * 2.0**-53 * size)
        if value < size:
            found.add(value)
    return set(range(size)) - found if leave_out else found


@cache
def binomial(n: int, p: float) -> tuple[int, list[int]]:
    """The least count, and in units of 2^-53 the chances of at most that many of `n` trials, and of more."""
    numerator, denominator = p.as_integer_ratio()
    mode, one = (n + 1) * numerator // denominator, 1 << 256
    above, below = [one], [one]
    while above[-1] and mode + len(above) <= n:
        k = mode + len(above)
        above.append(above[-1] * (n - k + 1) * numerator // (k * (denominator - numerator)))
    while below[-1] and len(below) <= mode:
        k = mode - len(below)
        below.append(below[-1] * (k + 1) * (denominator - numerator) // ((n - k) * numerator))
    sums = list(accumulate(below[:0:-1] + above))
    return mode - len(below) + 1, [(part << 53) // sums[-1] for part in sums]


def fraction_of(word: int) -> float:
    """A number in [0, 1) with 53 bits."""
    return (word >> 11) * 2.0**-53


def chance(probability: float, seed: int, number: int, source: int, target: int) -> bool:
    """Whether `chance(probability)`, of this number in its set, holds for a pair of unit numbers."""
    own = (seed + number * 0x9E3779B97F4A7C15) % 2**64
    return fraction_of(next(draws(own, "pair", target, source))) < probability


def random_edges(
    sources: Collection[Any],
    targets: Collection[Any],
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    form: str,
    value: float,
    seed: int,
    candidates: Statement | None = None,
    *,
    complement: bool = False,
) -> Iterator[Any]:
    """The edges of `random(form = value)` between some units, all pairs or some being candidates.

    Candidates that are a `complement`, everything but some edges, are drawn as all pairs are, by `p`.
    """
    every, n, m = units(shapes[0]), prod(shapes[0]), prod(shapes[1])
    if form == "p" and candidates is not None and not complement and not is_every_pair(candidates):
        yield from candidates_by_chance(sources, targets, shapes, value, seed, candidates)
    elif form == "p":
        for source, target in pairs_by_chance(sources, targets, shapes, value, seed):
            if candidates is None or candidates({source}, {target}):
                yield source, target
    elif form == "fan_in":
        for target in targets:
            mine = range(n)
            if candidates is not None:
                mine = sorted(number_of(source, shapes[0]) for source, _ in candidates(every, {target}))
            for at in subset(seed, form, number_of(target, shapes[1]), len(mine), int(value)):
                if (source := unit_of(mine[at], shapes[0])) in sources:
                    yield source, target
    elif form == "fan_out":
        for source in sources:
            mine = range(m)
            if candidates is not None:
                found = candidates({source}, units(shapes[1]))
                mine = sorted(number_of(target, shapes[1]) for _, target in found)
            for at in subset(seed, form, number_of(source, shapes[0]), len(mine), int(value)):
                if (target := unit_of(mine[at], shapes[1])) in targets:
                    yield source, target
    else:
        for source, target in chosen_of_all(shapes, int(value), seed, candidates):
            if source in sources and target in targets:
                yield source, target


@cache
def is_every_pair(edges: Statement) -> bool:
    """Whether a set has every pair of its sides."""
    sources = units(edges.source)
    return all(len(edges(sources, {target})) == len(sources) for target in units(edges.target))


@cache
def chosen_of_all(
    shapes: tuple[tuple[int, ...], tuple[int, ...]], value: int, seed: int, candidates: Statement | None
) -> list[Any]:
    """The edges of `random(edges = value)`."""
    n, m = prod(shapes[0]), prod(shapes[1])
    mine: Any = range(n * m)
    if candidates is not None:
        numbers = (
            (number_of(target, shapes[1]), number_of(source, shapes[0]))
            for source, target in candidates.whole
        )
        mine = sorted(target * n + source for target, source in numbers)
    found = (mine[at] for at in subset(seed, "edges", 0, len(mine), value, wide=True))
    return [(unit_of(pair % n, shapes[0]), unit_of(pair // n, shapes[1])) for pair in found]


def candidates_by_chance(
    sources: Collection[Any],
    targets: Collection[Any],
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    p: float,
    seed: int,
    candidates: Statement,
) -> Iterator[Any]:
    """The edges of `random(p = p)` among some: each has a number of its own."""
    for source, target in candidates(sources, targets):
        s, t = number_of(source, shapes[0]), number_of(target, shapes[1])
        if fraction_of(next(draws(seed, "pair", t, s))) < p:
            yield source, target


def pairs_by_chance(
    sources: Collection[Any],
    targets: Collection[Any],
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    p: float,
    seed: int,
) -> Iterator[Any]:
    """The edges of `random(p = p)` of all pairs: for a target, or a run of them, how many, and then which."""
    n, m = prod(shapes[0]), prod(shapes[1])
    if p in (0, 1):
        yield from ((source, target) for source in sources for target in targets if p)
        return
    run = min(m, max(1, floor(1 / (Fraction(p) * n))))
    for unit in sorted({number_of(target, shapes[1]) // run for target in targets}):
        pairs = min(run, m - unit * run) * n
        least, table = binomial(pairs, p)
        wanted = least + bisect_right(table, next(draws(seed, "counts", unit)) >> 11)
        for pair in subset(seed, "p", unit, pairs, wanted, wide=run > 1):
            source, target = unit_of(pair % n, shapes[0]), unit_of(unit * run + pair // n, shapes[1])
            if source in sources and target in targets:
                yield source, target
