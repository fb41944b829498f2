"""What `random` draws, by the definition: one number after the other, in Python's own integers and fractions.

Nothing here is shared with the compiler. It is the algorithm of `docs/language.md` and `random_edges.py` for
those who want the same edges elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import count
from math import comb, floor

from .oracle import Edges

PURPOSES = {"fan_in": 0, "fan_out": 1, "edges": 2, "counts": 3, "p": 4, "pair": 5}


def philox(counter: list[int], key: list[int]) -> list[int]:
    (a, b, c, d), (k, m) = counter, key
    for _ in range(10):
        left, right = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = right >> 32 ^ b ^ k, right & 0xFFFFFFFF, left >> 32 ^ d ^ m, left & 0xFFFFFFFF
        k, m = (k + 0x9E3779B9) & 0xFFFFFFFF, (m + 0xBB67AE85) & 0xFFFFFFFF
    return [a, b, c, d]


def draws(seed: int, purpose: str, unit: int, block: int = 0) -> Iterator[int]:
    """The 64-bit draws of a unit, two a block."""
    for at in count(block):
        number = PURPOSES[purpose] << 56 | at
        counter = [number & 0xFFFFFFFF, number >> 32, unit & 0xFFFFFFFF, unit >> 32]
        a, b, c, d = philox(counter, [seed & 0xFFFFFFFF, seed >> 32])
        yield a << 32 | b
        yield c << 32 | d


def subset(seed: int, purpose: str, unit: int, size: int, wanted: int, wide: bool = False) -> set[int]:
    """`wanted` of the numbers below `size`: the first distinct ones drawn, or all but those."""
    leave_out = wanted > size // 2
    found: set[int] = set()
    stream = draws(seed, purpose, unit)
    while len(found) < (size - wanted if leave_out else wanted):
        word = next(stream)
        value = word >> 64 - max(1, (size - 1).bit_length()) if wide else int((word >> 11) * 2.0**-53 * size)
        if value < size:
            found.add(value)
    return set(range(size)) - found if leave_out else found


def binomial(seed: int, unit: int, n: int, p: float) -> int:
    """How many of `n` trials succeed: the first count whose probability so far exceeds the draw, in 2^-53."""
    chance, drawn, total = Fraction(p), next(draws(seed, "counts", unit)) >> 11, Fraction(0)
    for successes in range(n + 1):
        total += comb(n, successes) * chance**successes * (1 - chance) ** (n - successes)
        if drawn < floor(total * 2**53):
            return successes
    raise AssertionError


def drawn(
    form: str, value: float, seed: int, n_source: int, n_target: int, among: Edges | None = None
) -> Edges:
    """The edges of `random(form = value, seed = seed)`, `among` some pairs; None if those are too few."""
    if form == "p":
        return _by_probability(value, seed, n_source, n_target, among)
    every = {(s, t) for s in range(n_source) for t in range(n_target)} if among is None else among
    if form == "edges":
        order = sorted(every, key=lambda edge: edge[::-1])
        return {order[at] for at in subset(seed, form, 0, len(order), int(value), wide=True)}
    end = 1 if form == "fan_in" else 0
    edges: Edges = set()
    for unit in range(n_target if end else n_source):
        mine = sorted(edge for edge in every if edge[end] == unit)
        edges |= {mine[at] for at in subset(seed, form, unit, len(mine), int(value))}
    return edges


def _by_probability(p: float, seed: int, n_source: int, n_target: int, among: Edges | None) -> Edges:
    if among is not None:
        chance = {(s, t): (next(draws(seed, "pair", t, s)) >> 11) * 2.0**-53 for s, t in among}
        return {edge for edge in among if chance[edge] < p}
    run = min(n_target, max(1, floor(1 / (Fraction(p) * n_source))))
    edges: Edges = set()
    for unit, first in enumerate(range(0, n_target, run)):
        pairs = min(run, n_target - first) * n_source
        wanted = binomial(seed, unit, pairs, p)
        for pair in subset(seed, "p", unit, pairs, wanted, wide=run > 1):
            edges.add((pair % n_source, first + pair // n_source))
    return edges
