"""Edge sets as they are held: membership, degrees, pieces and windows against counting every pair."""

from __future__ import annotations

from itertools import product as pairs_of
from math import prod

import numpy as np
import pytest

from nnspec.compiler.edges import edge_set
from nnspec.compiler.edges.algebra import intersection
from nnspec.compiler.edges.convolution import Along, readings, window_of
from nnspec.compiler.edges.degrees import degrees
from nnspec.compiler.edges.edge_set import Full, Listed, Product, Shifted, from_keys, listed, pair_keys
from nnspec.compiler.edges.pooling import pooled_window
from nnspec.compiler.edges.structure import described, is_worth, recognised


def every_pair(shape: tuple[int, ...]) -> Listed:
    """All pairs but the first, so that they are listed."""
    units = prod(shape)
    edges = from_keys(np.arange(1, units * units), shape, shape)
    assert isinstance(edges, Listed)
    return edges


@pytest.mark.parametrize("offsets", [[(0, 0), (0, 2), (1, 1)], [(-1, 0), (0, -1), (2, 2)], [(1, 0)]])
def test_offsets_of_several_dimensions_are_not_taken_for_others(offsets: list[tuple[int, int]]) -> None:
    shape = (4, 5)
    kept = intersection(every_pair(shape), Shifted(shape, shape, (1, 1), tuple(sorted(offsets))))
    source, target = kept.edges()
    expected = {
        (int(np.ravel_multi_index(s, shape)), int(np.ravel_multi_index(t, shape)))
        for t in np.ndindex(shape)
        for s in np.ndindex(shape)
        if (s[0] - t[0], s[1] - t[1]) in offsets and (any(s) or any(t))
    }
    assert {*zip(source.tolist(), target.tolist(), strict=True)} == expected


@pytest.mark.parametrize("end", ["source", "target"])
def test_degrees_of_a_window_with_strides_are_counted(end: edge_set.End) -> None:
    """Offsets that are no box, so that the window is one factor over both dimensions."""
    edges = Shifted((7, 6), (3, 3), (2, 2), ((0, 0), (0, 1), (1, 0)))
    units = edges.edges()[end == "target"]
    counts = np.bincount(units, minlength=42 if end == "source" else 9).tolist()
    found = degrees(edges, end)
    assert (found.low, found.high) == (min(counts), max(counts))
    assert found.units == {degree: counts.count(degree) for degree in {*counts}}


def test_a_piece_holds_one_place_where_that_is_larger_than_a_piece() -> None:
    pieces = edge_set._pieces(np.array([5, 20, 3, 4, 6]), 10)
    assert [(piece.start, piece.stop) for piece, _ in zip(pieces, range(9), strict=False)] == [
        (0, 1),
        (1, 2),
        (2, 4),
        (4, 5),
    ]


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("before", [-2, 0, 1, 9])
def test_places_that_have_a_source_are_counted(stride: int, before: int) -> None:
    """Offsets that no place reaches are counted 0 times, and none less."""
    for sources, targets, dilation in pairs_of((1, 4, 7), (1, 3, 5), (1, 2)):
        along = Along(sources, targets, 12, stride, dilation, before)
        expected = [
            sum(0 <= stride * t + dilation * p - before < sources for t in range(targets)) for p in range(12)
        ]
        assert along.reached().tolist() == expected


def test_windows_slide_along_three_dimensions_at_most() -> None:
    """Frameworks have no others."""
    found = {dimensions for dimensions, _ in readings(Full((2, 2, 2, 2, 2), (2, 2, 2, 2, 2)))}
    assert found == {1, 2, 3}
    assert {dimensions for dimensions, _ in readings(Full((4, 4), (2, 2, 2, 2)))} == {1, 2}


def test_channels_alike_are_copies_of_one_window() -> None:
    """Three channels of eight places, each fed by itself through the same three weights."""
    rows = [(c, p + o, p, o) for c in range(3) for p in range(8) for o in range(3)]
    source, target, entry = (
        np.array([row[0] * size + row[at] if at < 3 else row[at] for row in rows])
        for at, size in ((1, 10), (2, 8), (3, 0))
    )
    order = np.argsort(pair_keys(source, target, (3, 10), (3, 8)))
    edges = listed(source, target, (3, 10), (3, 8))
    window = window_of(edges, entry[order], 3)
    assert (window.copies, window.targets, window.sources, window.kernel) == (3, 1, 1, (1, 1, 3))


def test_a_pool_over_windows_that_are_cut_at_the_border_is_one() -> None:
    """Some places begin at the same unit, at the border: no window is moved by nothing."""
    shape = (2, 6)
    reach = [(c, s, t) for c in range(2) for t in range(6) for s in range(6) if abs(s - t) <= 1]
    source, target = (np.array([row[0] * 6 + row[at] for row in reach]) for at in (1, 2))
    with np.errstate(all="raise"):
        window = pooled_window(listed(source, target, shape, shape))
    assert window.groups == 2
    assert window.along == (Along(6, 6, 3, 1, 1, 1),)


def test_a_pool_may_have_fewer_targets_than_sources() -> None:
    pairs = [(12 * c + 2 * t + o, 6 * c + t) for c in range(3) for t in range(6) for o in range(2)]
    source, target = np.array(pairs).T
    window = pooled_window(listed(source, target, (3, 12), (3, 6)))
    assert (window.groups, window.along) == (3, (Along(12, 6, 2, 2, 1, 0),))


def test_whole_blocks_are_recognised_in_a_list_of_edges() -> None:
    pairs = [(8 * b + i, 6 * b + j) for b in range(5) for i in range(8) for j in range(6)]
    source, target = np.array(pairs).T
    edges = listed(source, target, (40,), (30,))
    assert isinstance(edges, Listed)
    found = recognised(edges)
    assert isinstance(found, Product)
    assert described(found) == "5 blocks of 8 x 6 on the diagonal"


def test_a_band_is_recognised_in_a_list_of_edges() -> None:
    pairs = [(i, j) for j in range(50) for i in range(50) if abs(i - j) <= 1]
    source, target = np.array(pairs).T
    edges = listed(source, target, (50,), (50,))
    assert recognised(edges) == Shifted((50,), (50,), (1,), ((-1,), (0,), (1,)))


def test_what_has_several_parts_is_not_described_as_blocks_alone() -> None:
    """Bands along two dimensions, and whole blocks within."""
    band = Shifted((9,), (9,), (1,), ((-1,), (0,), (1,)))
    edges = Product((9, 9, 4), (9, 9, 3), (band, band, Full((4,), (3,))))
    assert described(edges) == "a band of 3 x a band of 3 x every pair"


def test_offsets_are_stated_again_even_where_that_takes_more_numbers() -> None:
    edges = Shifted((2, 2, 2), (2, 2, 2), (1, 1, 1), ((-1, -1, -1), (1, 1, 1)))
    assert edges.count == 2
    assert is_worth(edges)
    assert not is_worth(edges, 2)
