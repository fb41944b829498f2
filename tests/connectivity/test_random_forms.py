"""`random` by fan-out, probability and number of edges, and among a set: against a plain Python definition.

`random_oracle.py` is that definition; degrees, order, uniformity and cost are tested without it.
"""

from __future__ import annotations

import hashlib
import tracemalloc
from fractions import Fraction
from itertools import combinations
from math import comb, floor

import numpy as np
import pytest
from scipy import stats

from nnspec.compiler.edges import draw as random_edges
from nnspec.compiler.edges.algebra import Complement
from nnspec.compiler.edges.draw import Stream, binomial, keep_each, pair_uniforms
from nnspec.compiler.edges.edge_set import Diagonal, Full, Listed, TooManyEdges, listed
from nnspec.compiler.sets.rules.random import TooFew, with_count, with_probability

from . import random_oracle as oracle
from .specs import connection, pairs, refusal

FORMS = ("fan_in", "fan_out", "edges", "p")


def full(n, m):
    return Full((n,), (m,))


def some(edges, n, m):
    source, target = np.array(sorted(edges), np.int64).reshape(-1, 2).T
    return listed(source, target, (n,), (m,))


def draw(form, value, seed, among):
    return with_probability(value, seed, among) if form == "p" else with_count(form, value, seed, among)


def ends(edges):
    """Sources and targets, after a look at the order."""
    source, target = edges.edges()
    keys = target * edges.source_shape[0] + source
    assert np.all(np.diff(keys) > 0)
    return source, target


def as_set(edges):
    return set(zip(*(end.tolist() for end in ends(edges)), strict=True))


# --------------------------------------------------------------------------------------- the definition


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 7), (7, 1), (6, 5), (5, 6), (8, 8), (3, 40), (40, 3)])
@pytest.mark.parametrize("seed", [0, 7, 2**63 - 1, 2**64 - 1])
def test_definition(n, m, seed):
    for k in range(n + 1):
        assert as_set(with_count("fan_in", k, seed, full(n, m))) == oracle.drawn("fan_in", k, seed, n, m)
    for k in range(m + 1):
        assert as_set(with_count("fan_out", k, seed, full(n, m))) == oracle.drawn("fan_out", k, seed, n, m)
    for k in range(n * m + 1):
        assert as_set(with_count("edges", k, seed, full(n, m))) == oracle.drawn("edges", k, seed, n, m)
    for p in (1e-300, 0.001, 0.03, 0.1, 0.25, 0.5, 0.7, 1 - 2**-53):
        assert as_set(with_probability(p, seed, full(n, m))) == oracle.drawn("p", p, seed, n, m)


@pytest.mark.parametrize("density", [0.2, 0.6, 0.95])
def test_definition_among_a_set(density):
    n, m = 9, 11
    rng = np.random.default_rng(int(100 * density))
    every = {(s, t) for s in range(n) for t in range(m)}
    for seed in range(20):
        candidates = {pair for pair in sorted(every) if rng.random() < density}
        rest = Complement(some(every - candidates, n, m))
        for among in (some(candidates, n, m), rest):
            for form, end, units in (("fan_in", 1, m), ("fan_out", 0, n)):
                degree = [sum(pair[end] == unit for pair in candidates) for unit in range(units)]
                for k in range(min(degree) + 1):
                    expected = oracle.drawn(form, k, seed, n, m, candidates)
                    assert as_set(with_count(form, k, seed, among)) == expected
                with pytest.raises(TooFew) as few:
                    with_count(form, min(degree) + 1, seed, among)
                assert (few.value.unit, few.value.candidates) == (degree.index(min(degree)), min(degree))
            for k in (0, 1, len(candidates) // 2, len(candidates)):
                expected = oracle.drawn("edges", k, seed, n, m, candidates)
                assert as_set(with_count("edges", k, seed, among)) == expected
            with pytest.raises(TooFew):
                with_count("edges", len(candidates) + 1, seed, among)
        expected = oracle.drawn("p", 0.3, seed, n, m, candidates)
        assert as_set(with_probability(0.3, seed, some(candidates, n, m))) == expected
        assert as_set(with_probability(0.3, seed, rest)) == oracle.drawn("p", 0.3, seed, n, m) & candidates


def test_pinned_edges():
    """Never to change: these edges are in somebody's trained network."""
    found = {form: sorted(pairs(f"random({form}, seed = 7)", 6, 4)) for form in PINNED}
    assert found == PINNED
    among = "random(fan_in = 2, among = { i -> j : i != j }, seed = 7)"
    assert sorted(pairs(among, 5, 5)) == PINNED_AMONG
    assert sorted(as_set(with_count("edges", 3, 7, full(10**9, 10**9)))) == PINNED_FAR
    drawn = pair_uniforms(7, np.array([0, 1, 0, 2**40]), np.array([0, 0, 1, 2**40 - 1]))
    assert (drawn * 2**53).astype(np.int64).tolist() == PINNED_PAIRS


# As `random_oracle.py` has them.
PINNED = {
    "fan_out = 2": [
        (0, 0),
        (0, 2),
        (1, 0),
        (1, 3),
        (2, 0),
        (2, 3),
        (3, 1),
        (3, 2),
        (4, 1),
        (4, 2),
        (5, 2),
        (5, 3),
    ],
    "fan_out = 3": sorted(
        {(s, t) for s in range(6) for t in range(4)} - {(0, 0), (1, 3), (2, 0), (3, 1), (4, 1), (5, 2)}
    ),
    "edges = 5": [(0, 1), (0, 2), (1, 2), (2, 0), (5, 0)],
    "edges = 20": sorted({(s, t) for s in range(6) for t in range(4)} - {(0, 2), (1, 2), (2, 0), (5, 0)}),
    "p = 0.3": [(2, 0), (3, 1), (3, 2)],
    "p = 0.05": [(1, 2)],
}
PINNED_AMONG = [(0, 3), (0, 4), (1, 0), (1, 2), (2, 1), (2, 3), (2, 4), (4, 0), (4, 1), (4, 2)]
PINNED_FAR = [(53444026, 102617240), (341565637, 435377342), (825132424, 473957222)]
PINNED_PAIRS = [7803231227561589, 2495320412566821, 2684446207479668, 7612041980339808]


def test_many_pinned_edges():
    """As on a machine without vector instructions and with NumPy 1.26."""
    n, held = 20_000, hashlib.sha256()
    for among in (full(n, n), Complement(Diagonal((n,), (n,)))):
        for form, value in (("fan_in", 3), ("fan_out", 3), ("edges", 123_456), ("p", 3e-6), ("p", 2e-4)):
            for end in ends(draw(form, value, 7, among)):
                held.update(end.astype("<i8").tobytes())
    held.update(pair_uniforms(7, np.arange(n), np.arange(n) * 7).astype("<f8").tobytes())
    assert held.hexdigest() == PINNED_DIGEST


PINNED_DIGEST = "eaec69b1b700147f1137fc128481ae52d859501aac5df00a5505b38792e5cf7b"


@pytest.mark.parametrize("block", [1, pytest.param(2, marks=pytest.mark.slow), 7, 100])
def test_blocks_change_nothing(monkeypatch, block):
    among = [full(40, 30), Complement(Diagonal((30,), (30,))), listed(*_grid(), (40,), (30,))]
    values = {"fan_in": (1, 3, 12), "fan_out": (1, 3, 12), "edges": (1, 100, 500), "p": (1e-4, 0.1, 0.6)}
    cases = [(form, value, 3, edges) for form in FORMS for value in values[form] for edges in among]
    whole = [as_set(draw(*case)) for case in cases]
    source, target = np.arange(100) * 12345, np.arange(100) // 3
    numbers = pair_uniforms(5, source, target)
    monkeypatch.setattr(random_edges, "BLOCK", block)
    assert [as_set(draw(*case)) for case in cases] == whole
    np.testing.assert_array_equal(pair_uniforms(5, source, target), numbers)


def _grid():
    source, target = np.divmod(np.arange(40 * 30), 30)
    odd = (source + target) % 2 == 1
    return source[odd], target[odd]


# ------------------------------------------------------------------------------------ degrees and counts


@pytest.mark.parametrize(
    ("n", "m", "k"), [(7, 5, 0), (7, 5, 2), (7, 5, 3), (7, 5, 5), (20, 1000, 501), (5000, 300, 4)]
)
def test_fan_out_is_exact(n, m, k):
    edges = connection(f"random(fan_out = {k}, seed = 1)", n, m).edges
    source, _ = ends(edges)
    np.testing.assert_array_equal(np.bincount(source, minlength=n), np.full(n, k))


@pytest.mark.parametrize("k", [0, 1, 17, 600, 601, 1199, 1200])
def test_the_number_of_edges_is_exact(k):
    assert len(ends(connection(f"random(edges = {k}, seed = 1)", 40, 30).edges)[0]) == k


def test_a_target_has_its_sources_however_many_targets_there_are():
    few, many = (as_set(with_probability(0.2, 5, full(30, m))) for m in (10, 50))
    assert few == {(source, target) for source, target in many if target < 10}


@pytest.mark.parametrize("rule", ["p = 0", "fan_in = 0", "fan_out = 0", "edges = 0"])
def test_nothing(rule):
    assert pairs(f"random({rule})") == set()


@pytest.mark.parametrize("rule", ["p = 1", "p = 1.0", "fan_in = 20", "fan_out = 30", "edges = 600"])
def test_everything(rule):
    assert connection(f"random({rule})", 20, 30).edges == full(20, 30)
    assert pairs(f"random({rule}, among = all)", 20, 30) == pairs("all", 20, 30)


def test_all_edges_of_a_set():
    ring = "{ i -> i + k : k in -2..2 ; outside = wrap }"
    for rule in ("fan_in = 5", "fan_out = 5", "edges = 50", "p = 1"):
        assert pairs(f"random({rule}, among = {ring})") == pairs(ring)


# -------------------------------------------------------------------------------------------- uniformity


def chi_square(counts):
    assert stats.chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize(("m", "k"), [(6, 1), (6, 3), (7, 5)])
def test_every_subset_of_targets_is_equally_likely(m, k):
    source, target = ends(with_count("fan_out", k, 2024, full(30_000, m)))
    drawn = target[np.lexsort((target, source))].reshape(-1, k)
    subsets, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(subsets) == comb(m, k)
    chi_square(counts)


@pytest.mark.parametrize(
    "k", [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(4, marks=pytest.mark.slow)]
)
def test_every_subset_of_edges_is_equally_likely(k):
    chosen = list(combinations(sorted((s, t) for t in range(3) for s in range(2)), k))
    counts = np.zeros(len(chosen))
    for seed in range(3000):
        counts[chosen.index(tuple(sorted(as_set(with_count("edges", k, seed, full(2, 3))))))] += 1
    chi_square(counts)


def test_every_subset_of_candidates_is_equally_likely():
    """Targets 0, 3, 6, ... have the candidates 0 to 4, the others 1 to 6."""
    target = np.repeat(np.arange(30_000), np.where(np.arange(30_000) % 3 == 0, 5, 6))
    first = np.concatenate([[True], target[1:] != target[:-1]])
    place = np.arange(len(target)) - np.maximum.accumulate(np.where(first, np.arange(len(target)), 0))
    source = place + (target % 3 != 0)
    source, target = ends(with_count("fan_in", 3, 5, listed(source, target, (7,), (30_000,))))
    for some_targets in (target % 3 == 0, target % 3 != 0):
        _, counts = np.unique(source[some_targets].reshape(-1, 3), axis=0, return_counts=True)
        assert len(counts) in (comb(5, 3), comb(6, 3))
        chi_square(counts)


@pytest.mark.parametrize("p", [0.003, 0.02, 0.3, 0.8])
def test_pairs_are_kept_with_their_probability(p):
    """Each pair alike, also where 8 targets draw together, as at p = 0.003; degrees are binomial."""
    n, m = 40, 50_000
    source, target = ends(with_probability(p, 11, full(n, m)))
    assert abs(len(source) - n * m * p) < 4 * (n * m * p * (1 - p)) ** 0.5
    chi_square(np.bincount(source, minlength=n))
    chi_square(np.bincount(target % 16, minlength=16) / np.bincount(np.arange(m) % 16) * (m / 16))
    degrees = np.bincount(np.bincount(target, minlength=m), minlength=n + 1)
    expected = stats.binom.pmf(np.arange(n + 1), n, p) * m
    likely = expected >= 5
    found = [*degrees[likely], degrees[~likely].sum()]
    chi_square_of = stats.chisquare(found, [*expected[likely], expected[~likely].sum()])
    assert chi_square_of.pvalue > 0.001


def test_edges_among_very_many_pairs_are_uniform():
    """Both ends, of which 10^18 pairs leave nothing to chance in 53 bits."""
    n = 10**9
    source, target = ends(with_count("edges", 100_000, 1, full(n, n)))
    for end in (source, target):
        assert stats.kstest(end / n, "uniform").pvalue > 0.001
        chi_square(np.bincount(end % 97))


def test_pair_uniforms():
    rng = np.random.default_rng(0)
    source, target = rng.integers(0, 2**40, (2, 50_000))
    drawn = pair_uniforms(3, source, target)
    assert drawn.dtype == np.float64
    assert np.all((drawn >= 0) & (drawn < 1))
    assert stats.kstest(drawn, "uniform").pvalue > 0.001
    order = rng.permutation(len(source))
    np.testing.assert_array_equal(pair_uniforms(3, source[order], target[order]), drawn[order])
    assert len(np.unique(np.concatenate([drawn, pair_uniforms(3, target, source)]))) == 100_000
    assert not np.any(drawn == pair_uniforms(4, source, target))
    assert len(pair_uniforms(3, source[:0], target[:0])) == 0
    neighbours = pair_uniforms(3, *np.divmod(np.arange(250_000), 500))
    assert stats.kstest(neighbours, "uniform").pvalue > 0.001
    assert abs(np.corrcoef(neighbours[:-1], neighbours[1:])[0, 1]) < 0.01


@pytest.mark.parametrize(
    ("n", "p"), [(1, 0.5), (10, 0.1), (60, 0.97), (200, 0.02), (7, 1e-300), (5, 1 - 2**-53)]
)
def test_binomial_table_is_exact(n, p):
    least, cumulative = binomial(n, p)
    chance = Fraction(p)
    total = sum((_probability(n, k, chance) for k in range(least)), Fraction(0))
    assert total < Fraction(1, 2**53)
    for at, value in enumerate(cumulative.tolist()):
        total += _probability(n, least + at, chance)
        assert abs(int(value * 2**53) - floor(total * 2**53)) <= 1
    assert cumulative[-1] == 1


def _probability(n, k, p):
    return comb(n, k) * p**k * (1 - p) ** (n - k)


@pytest.mark.parametrize(("n", "p"), [(10**6, 0.3), (10**10, 0.01), (2**62, 1e-17), (10**10, 1e-9)])
def test_binomial_table_of_large_numbers(n, p):
    least, cumulative = binomial(n, p)
    ends_of = np.searchsorted(cumulative, [1e-9, 1e-3, 0.1, 0.5, 0.9, 0.999]) + least
    mean, deviation = n * p, (n * p * (1 - p)) ** 0.5
    assert np.all(np.abs(ends_of - mean) < 7 * deviation + 2)
    probabilities = np.diff(cumulative, prepend=0)
    counts = least + np.arange(len(cumulative))
    assert abs(np.sum(probabilities * (counts - mean))) < 1e-9 * max(mean, 1)
    assert np.sum(probabilities * (counts - mean) ** 2) == pytest.approx(n * p * (1 - p), rel=1e-6)


# -------------------------------------------------------------------------------------------------- cost


@pytest.mark.parametrize(
    ("form", "value", "count"),
    [
        ("edges", 20_000, 20_000),
        ("edges", 1, 1),
        ("p", 2e-15, None),  # about 10,000 edges
        ("p", 1e-300, 0),
    ],
)
def test_huge_sides(form, value, count):
    """5 * 10^18 pairs, about as many as int64 can number."""
    tracemalloc.start()
    edges = draw(form, value, 1, Full((10**10,), (5 * 10**8,)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000
    assert isinstance(edges, Listed)
    source, target = ends(edges)
    assert len(source) == count if count is not None else 9_500 < len(source) < 10_500
    assert np.all((source >= 0) & (source < 10**10) & (target >= 0) & (target < 5 * 10**8))
    if len(source) > 100:
        assert stats.kstest(source / 10**10, "uniform").pvalue > 0.001
        assert stats.kstest(target / (5 * 10**8), "uniform").pvalue > 0.001


def test_all_but_itself():
    """Candidates that are all pairs but some are never written out."""
    n = 300_000
    itself = Complement(Diagonal((n,), (n,)))
    for form in ("fan_in", "fan_out"):
        source, target = ends(with_count(form, 3, 1, itself))
        assert np.all(source != target)
        np.testing.assert_array_equal(np.bincount(target if form == "fan_in" else source), np.full(n, 3))
    for edges in (with_count("edges", n, 1, itself), with_probability(1 / n, 1, itself)):
        source, target = ends(edges)
        assert np.all(source != target)
        assert abs(len(source) - n) < 4 * n**0.5
    assert connection("random(fan_in = 3, among = all - one_to_one)", 50_000, 50_000).edges.count == 150_000


def test_more_than_can_be_written_out():
    n = 10**6
    for form, value in (("fan_in", 201), ("fan_out", 201), ("edges", 201 * n), ("p", 201 / n)):
        with pytest.raises(TooManyEdges):
            draw(form, value, 1, full(n, n))
    for form in ("edges", "p"):
        with pytest.raises(TooManyEdges):
            draw(form, 1e-18 if form == "p" else 10, 1, full(10**10, 10**10))
    assert draw("fan_in", 10**10, 1, full(10**10, 10**10)) == full(10**10, 10**10)


# ------------------------------------------------------------------------------------------ in a spec


def test_a_set_to_choose_among_has_seeds_of_its_own():
    inner = pairs("random(fan_in = 2, among = random(fan_in = 5))", 50, 40)
    assert len(inner) == 80
    both = pairs(
        "random(fan_in = 5, seed = 1) & random(fan_in = 2, among = random(fan_in = 5, seed = 1))", 50, 40
    )
    assert len(both) == 80
    seeded = "random(fan_in = 2, seed = 3, among = {})"
    first, second = pairs(seeded.format("all"), 50, 40), pairs(seeded.format("(all)"), 50, 40)
    assert first == second == pairs("random(fan_in = 2, seed = 3)", 50, 40)


def test_several_dimensions():
    ring = "{ (r, c) -> (r, d) : c != d }"
    edges = pairs(f"random(fan_in = 2, among = {ring}, seed = 1)", (3, 5), (3, 5))
    assert len(edges) == 30
    assert all(s // 5 == t // 5 and s != t for s, t in edges)


@pytest.mark.parametrize(
    ("rule", "sides", "message"),
    [
        ("fan_in = 4", (3, 9), "4 distinct sources cannot be drawn from `left`, which has 3 units (0..2)"),
        ("fan_out = 4", (9, 3), "4 distinct targets cannot be drawn from `right`, which has 3 units (0..2)"),
        ("edges = 28", (9, 3), "28 distinct edges cannot be drawn from 27 candidates"),
        (
            "fan_in = 2, among = { i -> j : i <= j }",
            (9, 9),
            "2 distinct sources cannot be drawn for unit 0 of `right`, which has 1 candidate",
        ),
        (
            "fan_in = 3, among = { 0 -> 5, 1 -> 5, 2 -> 5 }",
            (9, 9),
            "3 distinct sources cannot be drawn for unit 0 of `right`, which has 0 candidates",
        ),
        (
            "fan_out = 9, among = all - { [1, 2] -> 4 }",
            (9, 9),
            "9 distinct targets cannot be drawn for unit 1 of `left`, which has 8 candidates",
        ),
        (
            "fan_in = 7, among = { (r, c) -> (s, d) : r < 2 or s < 1 or d < 2 }",
            ((3, 3), (2, 3)),
            "7 distinct sources cannot be drawn for unit (1, 2) of `right`, which has 6 candidates",
        ),
        ("edges = 9, among = one_to_one", (8, 8), "9 distinct edges cannot be drawn from 8 candidates"),
    ],
)
def test_too_few_candidates(rule, sides, message):
    found = refusal(f"random({rule})", *sides)
    assert found.code.code == "E315"
    assert found.message == message


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("random", "`random` needs `fan_in`, `fan_out`, `p` or `edges`"),
        ("random(fan_out = 1, seed = 2, fan_in = 3)", "`fan_out` and `fan_in` exclude each other"),
        ("random(p = 2)", "`p` must be between 0 and 1, not 2"),
    ],
)
def test_messages(rule, message):
    assert refusal(rule).message == message


def test_how_many_says_nothing_about_which():
    """Counts and values come from streams of their own."""
    source, target = np.divmod(keep_each(4, 20, 20_000, 0.5), 20)[::-1]
    even = (np.bincount(target, minlength=20_000) % 2 == 0)[target]
    chi_square(np.bincount(source[even], minlength=20))
    assert not np.array_equal(
        Stream(1, "counts").uniforms(np.arange(5), np.zeros(5, np.int64)),
        Stream(1, "p").uniforms(np.arange(5), np.zeros(5, np.int64)),
    )
