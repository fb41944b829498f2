"""The edges of every block of `docs/connectivity.md`, against a loop over all pairs of units.

`FORMS` says for each connection on the page which pairs may be edges: a condition on the indices of the
source, then those of the target, in plain Python. Those pairs are all edges, or, where edges are drawn, the
candidates.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from nnspec.compiler.graph.model import Connection, Given, Model

from ..connectivity.specs import model
from .test_docs import ROOT, Block, blocks

PAGE = ROOT / "docs" / "connectivity.md"

Index = tuple[int, ...]
Edges = set[tuple[Index, Index]]
Check = Callable[[Edges, Edges], None]


@dataclass(frozen=True)
class Form:
    """Which pairs may be edges, and what is to be true of those that are."""

    holds: Callable[..., bool]
    check: Check


def every(found: Edges, candidates: Edges) -> None:
    assert found == candidates


def is_drawn(found: Edges, candidates: Edges) -> None:
    assert found < candidates
    assert found


def each_target(fan_in: int) -> Check:
    def check(found: Edges, candidates: Edges) -> None:
        is_drawn(found, candidates)
        assert Counter(t for _, t in found) == dict.fromkeys((t for _, t in candidates), fan_in)

    return check


def each_source(fan_out: int) -> Check:
    def check(found: Edges, candidates: Edges) -> None:
        is_drawn(found, candidates)
        assert Counter(s for s, _ in found) == dict.fromkeys((s for s, _ in candidates), fan_out)

    return check


def in_all(count: int) -> Check:
    def check(found: Edges, candidates: Edges) -> None:
        is_drawn(found, candidates)
        assert len(found) == count

    return check


def by_chance(probability: Callable[..., float]) -> Check:
    """Every pair drawn with a probability of its own: the number of edges, and those that are sure."""

    def check(found: Edges, candidates: Edges) -> None:
        is_drawn(found, candidates)
        chances = {(s, t): probability(*s, *t) for s, t in candidates}
        assert all(0 <= p <= 1 for p in chances.values())
        assert {pair for pair, p in chances.items() if p == 1} <= found
        assert not found & {pair for pair, p in chances.items() if p == 0}
        near(len(found), chances.values())

    return check


def near(count: int, chances) -> None:
    """A number of successes of trials with these probabilities, within five standard deviations."""
    chances = list(chances)
    spread = math.sqrt(sum(p * (1 - p) for p in chances))
    assert spread > 0
    assert abs(count - sum(chances)) <= 5 * spread


# ---------------------------------------------------------------------------------- what is drawn in parts


def on_ring(i: int, j: int) -> bool:
    return (j - i) % 60 in (1, 2, 58, 59)


def ring_part(found: Edges) -> Edges:
    return {((i,), (j,)) for (i,), (j,) in found if on_ring(i, j)}


def is_small_world(found: Edges, candidates: Edges) -> None:
    in_all(4 * 60)(found, candidates)
    near(len(ring_part(found)), [0.9] * 240)


def is_regular_world(found: Edges, candidates: Edges) -> None:
    each_source(4)(found, candidates)
    assert Counter(s for s, _ in ring_part(found)) == {(i,): 3 for i in range(60)}


def has_shortcuts(found: Edges, candidates: Edges) -> None:
    is_drawn(found, candidates)
    ring = ring_part(candidates)
    assert ring <= found
    near(len(found - ring), [0.01] * (60 * 60 - 240))


def is_symmetric(found: Edges, candidates: Edges) -> None:
    is_drawn(found, candidates)
    assert {(t, s) for s, t in found} == found
    near(len(found) // 2, [0.2] * (60 * 59 // 2))


def in_blocks(found: Edges, sources: int, targets: int) -> Counter[tuple[int, int]]:
    return Counter((i // sources, j // targets) for (i,), (j,) in found)


def is_blocks(found: Edges, candidates: Edges) -> None:
    is_drawn(found, candidates)
    counts = in_blocks(found, 5, 3)
    assert {*counts.values()} == {15}
    near(len(counts), [0.5] * 36)


def is_in_columns(found: Edges, candidates: Edges) -> None:
    is_drawn(found, candidates)
    for (a, b), count in in_blocks(found, 10, 10).items():
        near(count, [0.5] * (90 if a == b else 100))
    assert 0 < len(in_blocks(found, 10, 10)) <= 9


# ---------------------------------------------------------------------------------------------------- forms

POSITIONS = [(0, 0), (100, 50), (120, 260), (300, 80), (410, 200), (500, 500), (640, 450), (650, 480)]
DOCUMENTS = [0, 0, 0, 0, 1, 1, 2, 2, 2, 2]
BLOCKS = {(0, 0), (0, 1), (1, 1), (0, 2), (2, 2), (0, 3), (2, 3), (3, 3)}


def anywhere(*indices: int) -> bool:
    return True


def same(i: int, j: int) -> bool:
    return i == j


def differ(i: int, j: int) -> bool:
    return i != j


def document(token: int) -> int:
    return (token >= 7) + (token >= 31)


def squared(r: int, c: int, p: int, q: int) -> int:
    return (p - r) ** 2 + (q - c) ** 2


def within(radius: float) -> Callable[[int, int, int, int], bool]:
    return lambda r, c, p, q: math.hypot(p - r, q - c) <= radius + 1e-9


def around(steps: int) -> int:
    """A number of steps on a ring of eleven, by the shorter way round."""
    return min(steps % 11, -steps % 11)


def clamped(centre: int) -> int:
    return min(max(centre, 1), 4)


FORMS = {
    # Brian2
    "pairs": Form(lambda i, j: (i, j) in {(1, 3), (2, 4)}, every),
    "into_one": Form(lambda i, j: i < 10 and j == 1, every),
    "complete": Form(anywhere, every),
    "no_self": Form(differ, every),
    "neighbours": Form(lambda i, j: abs(i - j) < 4 and i != j, every),
    "groups": Form(lambda i, j: i // 10 == j // 10, every),
    "within": Form(lambda i, j: math.dist(POSITIONS[i], POSITIONS[j]) < 250, every),
    "same_number": Form(same, every),
    "converging": Form(lambda i, j: j == int(i / 4), every),
    "shifted": Form(lambda i, j: j == i + 5, every),
    "up_to_own": Form(lambda i, j: j in range(i + 1), every),
    "skipped_ends": Form(lambda i, j: j in range(i - 3, i + 4) and i != j, every),
    "both_sides": Form(lambda i, j: j in [i + (-1) ** k for k in range(2)], every),
    "inner_only": Form(lambda i, j: j in [i + (-1) ** k for k in range(2) if 0 < i < 59], every),
    "ring": Form(lambda i, j: j in [(i + (-1) ** k) % 60 for k in range(2)], every),
    "diverging": Form(lambda i, j: j in [i * 4 + k for k in range(4)], every),
    "every_tenth": Form(lambda i, j: j in range(i, 60, 10), every),
    "tenth": Form(anywhere, by_chance(lambda i, j: 0.1)),
    "tenth_no_self": Form(differ, by_chance(lambda i, j: 0.1)),
    "ten_each": Form(anywhere, each_source(10)),
    "more_and_more": Form(anywhere, by_chance(lambda i, j: i / 59)),
    "nearby_some": Form(lambda i, j: j in range(i - 20, i + 21), by_chance(lambda i, j: 0.3)),
    "by_distance": Form(differ, by_chance(lambda i, j: math.exp(-abs(i - j) / 5))),
    "by_distance_cut": Form(
        lambda i, j: 0 < abs(i - j) <= 30, by_chance(lambda i, j: math.exp(-abs(i - j) / 5))
    ),
    "small_world": Form(differ, is_small_world),
    "regular_world": Form(differ, is_regular_world),
    "shortcuts": Form(anywhere, has_shortcuts),
    "synapse1": Form(same, every),
    "synapse2": Form(same, every),
    "synapse3": Form(same, every),
    # NEST
    "all_to_all": Form(anywhere, every),
    "no_autapses": Form(differ, every),
    "equal_numbers": Form(same, every),
    "fixed_indegree": Form(anywhere, each_target(5)),
    "indegree_no_autapses": Form(differ, each_target(5)),
    "fixed_outdegree": Form(anywhere, each_source(5)),
    "fixed_total_number": Form(anywhere, in_all(300)),
    "pairwise_bernoulli": Form(anywhere, by_chance(lambda i, j: 0.2)),
    "symmetric": Form(differ, is_symmetric),
    "rectangular": Form(lambda r, c, p, q: -2 <= q - c <= 2 and -1 <= p - r <= 1, every),
    "circular": Form(within(2), every),
    "anchored": Form(lambda r, c, p, q: within(2)(r, c - 2, p, q), every),
    "doughnut": Form(lambda *edge: within(3)(*edge) and not within(1.5)(*edge), every),
    "elliptical": Form(lambda r, c, p, q: math.hypot((q - c) / 3.5, (p - r) / 2) <= 1 + 1e-9, every),
    "grid_mask": Form(lambda r, c, p, q: q in range(c - 2, c + 3) and p in range(r - 1, r + 2), every),
    "torus": Form(lambda r, c, p, q: math.hypot(around(p - r), around(q - c)) <= 2 + 1e-9, every),
    "spherical": Form(lambda a, b, c, d, e, f: math.dist((a, b, c), (d, e, f)) <= 2 + 1e-9, every),
    "onto_coarser": Form(lambda r, c, p, q: within(2)(r, c, 2 * p + 1, 2 * q + 1), every),
    "gabor": Form(within(3), every),
    "half_of_circle": Form(within(4), by_chance(lambda *edge: 0.5)),
    "gaussian": Form(within(4), by_chance(lambda *edge: math.exp(-squared(*edge) / 2))),
    "exponential": Form(anywhere, by_chance(lambda *edge: math.exp(-math.sqrt(squared(*edge)) / 1.5))),
    "indegree_in_circle": Form(within(2), each_target(4)),
    # Connection-Set Algebra
    "full": Form(anywhere, every),
    "one": Form(same, every),
    "full_but_one": Form(differ, every),
    "two_points": Form(lambda i, j: (i, j) in [(22, 7), (8, 23)], every),
    "cartesian": Form(lambda i, j: i in range(10) and j in range(20), every),
    "partly_same": Form(lambda i, j: i in range(10) and i == j, every),
    "fair": Form(anywhere, by_chance(lambda i, j: 0.5)),
    "blocks": Form(anywhere, is_blocks),
    "in_columns": Form(differ, is_in_columns),
    "disc": Form(lambda *edge: math.sqrt(squared(*edge)) / 12 < 0.3, every),
    "gaussnet": Form(
        lambda *edge: math.sqrt(squared(*edge)) / 12 < 0.3,
        by_chance(lambda *edge: math.exp(-squared(*edge) / 144 / 0.02)),
    ),
    "valued": Form(lambda i, j: abs(i - j) <= 4, every),
    # FlexAttention
    "causal": Form(lambda k, q: q >= k, every),
    "sliding_window": Form(lambda k, q: q >= k and q - k <= 8, every),
    "dilated": Form(lambda k, q: abs(q - k) <= 8 and abs(q - k) % 2 == 0, every),
    "prefix": Form(lambda k, q: k < 6 or q >= k, every),
    "sink": Form(lambda k, q: q >= k and (k < 4 or q - k <= 8), every),
    "equal_documents": Form(lambda k, q: k // 12 == q // 12 and 0 <= q - k <= 4, every),
    "document_dimension": Form(lambda d, k, e, q: d == e and 0 <= q - k <= 4, every),
    "documents": Form(lambda k, q: DOCUMENTS[k] == DOCUMENTS[q] and 0 <= q - k <= 2, every),
    "set_documents": Form(lambda k, q: document(k) == document(q) and 0 <= q - k <= 4, every),
    "block_sparse": Form(lambda k, q: (k // 15, q // 15) in BLOCKS, every),
    # Paths of two edges
    "two_steps": Form(lambda i, j: j - i in (2, 5, 8), every),
    "any_steps": Form(lambda i, j: j > i and j - i not in (1, 2, 5), every),
    # What it costs
    "fading": Form(differ, by_chance(lambda i, j: math.exp(-abs(i - j) / 10))),
    "natten": Form(lambda r, c, p, q: abs(clamped(p) - r) <= 1 and abs(clamped(q) - c) <= 1, every),
}


# ---------------------------------------------------------------------------------------------------- tests


@cache
def specs() -> list[tuple[Block, str, str]]:
    """The specs of the page, each with the frame that it stands in, if any, and as a whole."""
    found: list[tuple[Block, str, str]] = []
    frame = ""
    for block in blocks(PAGE):
        if block.language == "nnspec" and block.rest == "frame":
            frame = block.text
        elif block.language == "nnspec":
            before = frame if block.rest == "fragment" else ""
            found.append((block, before, before + block.text))
    return found


def compiled(text: str, folder: Path) -> Model:
    for block in blocks(PAGE):
        if block.language == "csv":
            (folder / block.rest).write_text(block.text, encoding="utf-8")
    return model(text, folder)


def connections(frame: str, text: str, folder: Path) -> tuple[Model, list[Connection]]:
    """A model and its connections that are not in the frame."""
    framed = {connection.name for connection in compiled(frame, folder).connections} if frame else {*()}
    found = compiled(text, folder)
    return found, [connection for connection in found.connections if connection.name not in framed]


def test_every_form_is_on_the_page(tmp_path: Path) -> None:
    named = [connection.name for _, *spec in specs() for connection in connections(*spec, tmp_path)[1]]
    assert len(named) == len({*named}), "a name twice on the page"
    assert {*named} == {*FORMS}


@pytest.mark.parametrize("spec", specs(), ids=lambda spec: str(spec[0].line))
def test_edges_are_those_of_a_loop_over_all_pairs(spec: tuple[Block, str, str], tmp_path: Path) -> None:
    block, frame, text = spec
    found, added = connections(frame, text, tmp_path)
    assert added, f"{block.place}: a block without a connection"
    shapes = {side.name: side.shape for side in (*found.inputs, *found.layers)}
    again = {connection.name: connection for connection in compiled(text, tmp_path).connections}
    for connection in added:
        assert connection.name in FORMS, f"{block.place}: `{connection.name}` is not in FORMS"
        form = FORMS[connection.name]
        ends = [list(product(*map(range, shapes[side]))) for side in (connection.source, connection.target)]
        candidates = {(s, t) for s in ends[0] for t in ends[1] if form.holds(*s, *t)}
        source, target = connection.edges.edges()
        edges = [(ends[0][s], ends[1][t]) for s, t in zip(source.tolist(), target.tolist(), strict=True)]
        assert len({*edges}) == len(edges) == connection.edges.count
        form.check({*edges}, candidates)
        for one, other in zip((source, target), again[connection.name].edges.edges(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_values_of_a_set_are_its_weights(tmp_path: Path) -> None:
    (spec,) = [spec for spec in specs() if "as valued" in spec[0].text]
    _, (connection,) = connections(*spec[1:], tmp_path)
    assert connection.weight is not None
    start = connection.weight.start
    assert isinstance(start, Given)
    source, target = connection.edges.edges()
    wanted = [math.exp(-((i - j) ** 2) / 8) for i, j in zip(source.tolist(), target.tolist(), strict=True)]
    np.testing.assert_allclose(start.value, wanted, rtol=1e-6)
