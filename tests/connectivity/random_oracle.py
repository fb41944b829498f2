"""What `random` draws, by the definition: one number after the other, in Python's own integers and fractions.

Nothing here is shared with the compiler's generator. It is the algorithm of `docs/language.md` and
`random_edges.py` for those who want the same edges elsewhere; the draws themselves are as the generated tests
state them.
"""

from __future__ import annotations

from fractions import Fraction
from math import comb, floor

from nnspec.backends.tests.kernels.draws import draws, subset

from .oracle import Edges


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
