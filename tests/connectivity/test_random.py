"""`random(fan_in = k)`: the published vectors of its generator, pinned edges, degrees, uniformity, seeds.

The other forms, and sets to choose among, are in `test_random_forms.py`.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from nnspec.compiler.edges import draw as random_edges
from nnspec.compiler.edges.draw import Stream, choose, philox, seed_of
from nnspec.compiler.edges.edge_set import Full

from .specs import connection, model, pairs, refusal, resolved, spec


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [  # Random123 1.14, tests/kat_vectors, philox4x32 with 10 rounds
        ([0] * 4, (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        (
            [0xFFFFFFFF] * 4,
            (0xFFFFFFFF, 0xFFFFFFFF),
            [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD],
        ),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            (0xA4093822, 0x299F31D0),
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox(counter, key, words):
    assert philox(np.array(counter, np.uint64)[:, None], key)[:, 0].tolist() == words


def choose_sources(seed, n_source, n_target, fan_in):
    """Sources and targets, (edges,)."""
    keys = choose(Stream(seed, "fan_in"), np.full(n_target, n_source), np.full(n_target, fan_in))
    return keys % n_source, keys // n_source


def test_draws_are_a_function_of_seed_purpose_unit_and_number():
    units, blocks = np.array([0, 5, 2**40, 5]), np.array([0, 1, 2**40, 2])
    whole = Stream(2**63 + 11, "fan_in").uniforms(units, blocks)
    assert whole.shape == (2, 4)
    assert np.all((whole >= 0) & (whole < 1))
    for at in range(4):
        part = Stream(2**63 + 11, "fan_in").uniforms(units[at : at + 1], blocks[at : at + 1])
        np.testing.assert_array_equal(part, whole[:, at : at + 1])
    assert not np.any(whole == Stream(2**63 + 11, "fan_out").uniforms(units, blocks))
    words = philox(np.array([[1], [0], [5], [0]], np.uint64), (7, 0))[:, 0].tolist()
    # 53 bits of two words: the third and fourth word of block 1 are draw 3.
    drawn = Stream(7, "fan_in").uniforms(np.array([5]), np.array([1]))[1, 0]
    assert drawn == ((words[2] << 21 ^ words[3] >> 11) % 2**53) * 2.0**-53


def test_pinned_edges():
    """Never to change: these edges are in somebody's trained network."""
    assert pairs("random(fan_in = 3, seed = 7)", 10, 4) == PINNED_FEW
    assert pairs("random(fan_in = 4, seed = 7)", 6, 3) == PINNED_MANY
    assert seed_of("left_right", "0") == PINNED_SEED
    assert pairs("random(fan_in = 1)", 1000, 4) == PINNED_DEFAULT


PINNED_FEW = {(1, 0), (4, 0), (9, 0), (3, 1), (4, 1), (8, 1), (3, 2), (6, 2), (9, 2), (0, 3), (1, 3), (5, 3)}
PINNED_MANY = {(1, 0), (2, 0), (3, 0), (4, 0), (0, 1), (3, 1), (4, 1), (5, 1), (0, 2), (1, 2), (3, 2), (4, 2)}
PINNED_SEED = 6852256453699006310
PINNED_DEFAULT = {(647, 0), (648, 1), (233, 2), (595, 3)}


@pytest.mark.parametrize(
    ("n", "m", "k"),
    [
        *((1, 1, 0), (1, 1, 1), (1, 5, 1), (7, 5, 0), (7, 5, 3), (7, 5, 4), (7, 5, 6), (7, 5, 7), (2, 3, 1)),
        *((1000, 50, 499), (1000, 50, 500), (1000, 50, 501), (100_000, 3, 1000), (3, 20_000, 2)),
    ],
)
def test_degrees(n, m, k):
    edges = connection(f"random(fan_in = {k}, seed = 1)", n, m).edges
    source, target = edges.edges()
    np.testing.assert_array_equal(np.bincount(target, minlength=m), np.full(m, k))
    assert len(set(zip(source.tolist(), target.tolist(), strict=True))) == m * k
    assert np.all((source >= 0) & (source < n))
    assert isinstance(edges, Full) == (k == n)


def test_blocks_change_nothing(monkeypatch):
    cases = [(50, 40, 3), (50, 40, 25), (50, 40, 40), (9, 100, 4)]
    whole = [choose_sources(3, *case) for case in cases]
    for block in (1, 7, 100):
        monkeypatch.setattr(random_edges, "BLOCK", block)
        for case, edges in zip(cases, whole, strict=True):
            np.testing.assert_array_equal(choose_sources(3, *case), edges)


def test_a_target_has_its_sources_however_many_targets_there_are():
    few, many = pairs("random(fan_in = 3, seed = 5)", 20, 10), pairs("random(fan_in = 3, seed = 5)", 20, 50)
    assert few == {(source, target) for source, target in many if target < 10}


@pytest.mark.parametrize(("n", "k"), [(6, 1), (6, 2), (6, 3), (6, 4), (7, 5)])
def test_every_subset_is_equally_likely(n, k):
    targets = 30_000
    source, _ = choose_sources(2024, n, targets, k)
    drawn = np.sort(source.reshape(targets, k), axis=1)
    subsets = list(combinations(range(n), k))
    numbers = np.array([subsets.index(tuple(row)) for row in np.unique(drawn, axis=0).tolist()])
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    assert sorted(numbers) == list(range(len(subsets)))
    assert stats.chisquare(counts).pvalue > 0.001


def test_uniforms_are_uniform():
    unit, block = np.repeat(np.arange(2000), 25), np.tile(np.arange(25), 2000)
    drawn = Stream(99, "fan_in").uniforms(unit, block).T.ravel()
    assert stats.kstest(drawn, "uniform").pvalue > 0.001
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.01


def test_seeds():
    rule = "random(fan_in = 2)"
    assert pairs(rule, 100, 50) == pairs(f"(({rule}))", 100, 50)
    assert pairs(rule, 100, 50) == pairs(rule, 100, 50, before="# another line\nparam p = 1")
    both = pairs(f"{rule} | {rule}", 100, 50)
    assert len(both) > 150  # the two are drawn apart
    text = (
        f"model m\ninput a[100]\nlayer b[50]\nlayer c[50]\nconnect a -> b : {rule}\nconnect a -> c : {rule}"
    )
    first, second = (c.edges.edges()[0] for c in model(text).connections)
    assert (first != second).any()
    named = f"edges e : left -> right = {rule}\nedges f : left -> right = {rule}"
    e, f = pairs("e", 100, 50, before=named), pairs("f", 100, 50, before=named)
    assert e != f
    assert e == pairs("e | e", 100, 50, before=named)
    for seeds in (("1", "2"), ("0", "4294967296"), ("1", "9223372036854775807")):
        drawn = [pairs(f"random(fan_in = 2, seed = {seed})", 100, 50) for seed in seeds]
        assert drawn[0] != drawn[1]


def test_a_literal_seed_in_a_loop_is_warned_about():
    def codes(seed):
        head, _, wire = spec(f"random(fan_in = 1, seed = {seed})").rpartition("\nconnect")
        _, found = resolved(f"{head}\nfor t in 1..1 {{ connect{wire} }}\n")
        return [d.code.code for d in found]

    assert "W303" in codes("3")
    assert "W303" not in codes("t")


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("random", "E226"),
        ("random(4)", "E224"),
        ("random(fan_in = 11)", "E315"),
        ("random(fan_in = -1)", "E214"),
        ("random(fan_in = 1.5)", "E213"),
        ("random(fan_in = 1, seed = -1)", "E214"),
        ("random(fan_in = 1, seed = 0.5)", "E213"),
        ("random(fan_in = 1, sed = 1)", "E223"),
        ("random(fan_in = 1, fan_in = 2)", "E225"),
        ("random(seed = 1)", "E226"),
        ("random(fan_out = 11)", "E315"),
        ("random(edges = 101)", "E315"),
        ("random(edges = -1)", "E214"),
        ("random(p = 1.5)", "E402"),
        ("random(p = -0.1)", "E402"),
        ("random(p = 1 < 2)", "E212"),
        ("random(fan_in = 1, p = 0.5)", "E228"),
        ("random(fan_in = 1, among = 3)", "E306"),
        ("random(fan_in = 1, among = nothing)", "E307"),
    ],
)
def test_refusals(rule, code):
    assert refusal(rule).code.code == code
