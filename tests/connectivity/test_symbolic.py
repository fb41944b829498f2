"""Sets in closed form: the edges of brute force, recognised from their edges, counted without them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import product as pairs_of
from math import prod

import numpy as np
import pytest

from nnspec.compiler.edges.degrees import degrees, unreached
from nnspec.compiler.edges.edge_set import Diagonal, EdgeSet, Full, Listed, Product, Shifted, from_keys
from nnspec.compiler.edges.structure import recognised
from nnspec.compiler.sets import builders

from .specs import connection, refusal

GRAPH = "edges graph : [4] -> [5] = { 0 -> 1, 0 -> 4, 3 -> 0, 2 -> 2 }"
LINKS = {(0, 1), (0, 4), (3, 0), (2, 2)}
SQUARE = "edges blocks : [3] -> [3] = { 0 -> 1, 2 -> 0, 2 -> 2 }"
BLOCKS = {(0, 1), (2, 0), (2, 2)}

# The set, its sides, what it is, and which pairs of units are edges of it.
CASES: list[tuple[str, tuple[int, ...], tuple[int, ...], type, Callable[..., bool]]] = [
    ("{ i -> j : abs(i - j) <= 2 }", (12,), (12,), Shifted, lambda i, j: abs(i - j) <= 2),
    ("{ i -> j : abs(i - j) <= 2, i != j }", (12,), (9,), Shifted, lambda i, j: 0 < abs(i - j) <= 2),
    ("{ i -> j : 0 <= i - j < 3 }", (9,), (12,), Shifted, lambda i, j: 0 <= i - j < 3),
    ("{ i -> j : i < j + 2, j < i + 3 }", (9,), (12,), Shifted, lambda i, j: i < j + 2 and j < i + 3),
    ("{ i -> j : (i - j) % 10 <= 1 }", (10,), (10,), Shifted, lambda i, j: (i - j) % 10 <= 1),
    ("{ i -> j : i % 4 == j % 4, abs(i - j) <= 8 }", (30,), (30,), Shifted,
     lambda i, j: i % 4 == j % 4 and abs(i - j) <= 8),
    ("{ i -> j : i % 4 == j % 4 }", (12,), (12,), Product, lambda i, j: i % 4 == j % 4),
    ("{ i -> j : i // 4 == j // 4 }", (12,), (12,), Product, lambda i, j: i // 4 == j // 4),
    ("{ i -> j : i // 4 == j // 2 }", (12,), (6,), Product, lambda i, j: i // 4 == j // 2),
    ("{ i -> j : i // 4 == j }", (12,), (3,), Product, lambda i, j: i // 4 == j),
    ("{ i -> i // 4 }", (12,), (3,), Product, lambda i, j: i // 4 == j),
    ("{ i -> j : abs(i // 3 - j // 3) <= 1 }", (12,), (12,), Product, lambda i, j: abs(i // 3 - j // 3) <= 1),
    ("{ i -> j : i // 4 -> j // 3 in blocks }", (12,), (9,), Product,
     lambda i, j: (i // 4, j // 3) in BLOCKS),
    ("{ i + a -> i : a in -1..1 ; outside = skip }", (8,), (8,), Shifted, lambda i, j: abs(i - j) <= 1),
    ("{ i -> i + a : a in [0, 2] ; outside = skip }", (8,), (6,), Shifted, lambda i, j: j - i in (0, 2)),
    ("{ i -> i + a : a in -1..1 ; outside = wrap }", (8,), (8,), Shifted,
     lambda i, j: (j - i) % 8 in (0, 1, 7)),
    ("{ 2 * i + a -> i : a in 0..2 ; outside = skip }", (8,), (4,), Shifted,
     lambda i, j: i - 2 * j in range(3)),
    ("{ 2 * i + a -> i : a in 0..1 }", (8,), (4,), Shifted, lambda i, j: i // 2 == j),
    ("{ i -> j }", (3,), (4,), Full, lambda i, j: True),
    ("{ i -> i }", (5,), (5,), Diagonal, lambda i, j: i == j),
    ("{ (r+a, c+b) -> (r, c) : a in -1..1, b in 0..1 ; outside = skip }", (4, 5), (4, 5), Product,
     lambda r, c, p, q: abs(r - p) <= 1 and c - q in (0, 1)),
    ("{ (r+a, c+b) -> (k, r, c) : a in -1..1, b in -1..1 ; outside = skip }", (4, 5), (2, 4, 5), Product,
     lambda r, c, k, p, q: abs(r - p) <= 1 and abs(c - q) <= 1),
    ("{ (m, r+a, c+b) -> (k, r, c) : a in 0..2, b in 0..1 }", (2, 6, 5), (3, 4, 4), Product,
     lambda m, r, c, k, p, q: r - p in range(3) and c - q in range(2)),
    ("{ (k, r+a) -> (k, r) : a in -1..1 ; outside = wrap }", (2, 5), (2, 5), Product,
     lambda k, r, m, p: k == m and (r - p) % 5 in (0, 1, 4)),
    ("{ (r, c) -> (p, q) : (r - p) ** 2 + (c - q) ** 2 <= 4 }", (6, 6), (6, 6), Shifted,
     lambda r, c, p, q: (r - p) ** 2 + (c - q) ** 2 <= 4),
    ("{ (r+a, c+b) -> (r, c) : a in -2..2, b in -2..2, abs(a) + abs(b) <= 2 ; outside = skip }",
     (6, 7), (6, 7), Shifted, lambda r, c, p, q: abs(r - p) + abs(c - q) <= 2),
    ("{ (r, c) -> (p, q) : abs(r - p) <= 1, c == q }", (4, 5), (4, 5), Product,
     lambda r, c, p, q: abs(r - p) <= 1 and c == q),
    ("{ (r, c) -> (p, q) : max(abs(r - p), abs(c - q)) <= 1 }", (4, 5), (4, 5), Product,
     lambda r, c, p, q: max(abs(r - p), abs(c - q)) <= 1),
    ("{ (u, f) -> (v, k) : u -> v in graph }", (4, 2), (5, 3), Product, lambda u, f, v, k: (u, v) in LINKS),
    ("{ (f, u) -> (k, v) : u -> v in graph }", (2, 4), (3, 5), Product, lambda f, u, k, v: (u, v) in LINKS),
    ("{ (f, u) -> (f, v) : u -> v in graph }", (2, 4), (2, 5), Product,
     lambda f, u, k, v: (u, v) in LINKS and f == k),
    ("{ (u, f) -> (u, k) : u -> u in blocks }", (3, 4), (3, 4), Product,
     lambda u, f, v, k: u == v == 2),
    ("{ (u, f) -> (u, k) : 2 -> u in blocks }", (3, 4), (3, 4), Product,
     lambda u, f, v, k: u == v and u != 1),
    ("window(3)", (9,), (7,), Shifted, lambda i, j: 0 <= i - j < 3),
    ("window(3, pad = same)", (9,), (9,), Shifted, lambda i, j: abs(i - j) <= 1),
    ("window(2, pad = same)", (9,), (9,), Shifted, lambda i, j: i - j in (0, 1)),
    ("window(3, stride = 2, pad = same)", (8,), (4,), Shifted, lambda i, j: 0 <= i - 2 * j < 3),
    ("window(3, dilation = 2, pad = 1)", (9,), (7,), Shifted, lambda i, j: i - j in (-1, 1, 3)),
    ("window(2, 3, stride = (2, 1))", (3, 6, 5), (3, 3, 3), Product,
     lambda k, r, c, m, p, q: k == m and r // 2 == p and 0 <= c - q < 3),
    ("{ i -> j : abs(i - j) <= 2 } - { i -> i }", (9,), (9,), Shifted, lambda i, j: 0 < abs(i - j) <= 2),
    ("{ i -> j : abs(i - j) <= 3 } & { i -> j : i > j }", (9,), (9,), Shifted, lambda i, j: 0 < i - j <= 3),
    ("all - { i -> j : abs(i - j) <= 2 }", (12,), (9,), Shifted, lambda i, j: abs(i - j) > 2),
]  # fmt: skip


def _everything(source, target, holds):
    sources, targets = (list(pairs_of(*map(range, shape))) for shape in (source, target))
    return {(s, t) for s, i in enumerate(sources) for t, j in enumerate(targets) if holds(*i, *j)}


def _pairs(edges: EdgeSet):
    source, target = edges.edges()
    keys = target * prod(edges.source_shape) + source
    assert (np.diff(keys) > 0).all(), "the order is canonical and no edge is there twice"
    return set(zip(source.tolist(), target.tolist(), strict=True))


def _edges(case):
    text, source, target, *_ = case
    before = "\n".join(line for name, line in (("graph", GRAPH), ("blocks", SQUARE)) if f"in {name}" in text)
    return connection(text, source, target, before=before).edges


def _ids(case):
    return case[0]


@pytest.mark.parametrize("case", CASES, ids=_ids)
def test_closed_forms_are_found_and_right(case):
    _, source, target, kind, holds = case
    edges = _edges(case)
    assert isinstance(edges, kind)
    wanted = _everything(source, target, holds)
    assert _pairs(edges) == wanted
    assert edges.count == len(wanted)


@pytest.mark.parametrize("case", CASES, ids=_ids)
def test_edge_by_edge_they_are_the_same(case, monkeypatch):
    _, source, target, _, holds = case
    monkeypatch.setattr(builders, "symbolic", lambda *_: None)
    assert _pairs(_edges(case)) == _everything(source, target, holds)


@pytest.mark.parametrize("case", CASES, ids=_ids)
def test_degrees_are_those_of_the_edges(case):
    edges = _edges(case)
    for end, ends in zip(("source", "target"), edges.edges(), strict=True):
        size = prod(edges.source_shape if end == "source" else edges.target_shape)
        counts = np.bincount(ends, minlength=size)
        found = degrees(edges, end)
        assert dict(found.units) == dict(Counter(counts.tolist()))
        assert found.median == np.median(counts)
        absent = np.flatnonzero(counts == 0)
        count, first = unreached([edges], end, 3)
        assert (count, first.tolist()) == (len(absent), absent[:3].tolist())
        both, _ = unreached([edges, edges], end, 3)
        assert both == len(absent)


@pytest.mark.parametrize(
    ("text", "shapes", "kind"),
    [
        ("{ i -> j : abs(i - j) <= 2 }", ((200,), (200,)), Shifted),
        ("{ i -> j : (i - j) % 200 <= 2 }", ((200,), (200,)), Shifted),
        ("{ 2 * i + a -> i : a in 0..2 ; outside = skip }", ((200,), (100,)), Shifted),
        ("{ i -> j : i // 8 == j // 8 }", ((64,), (64,)), Product),
        ("{ i -> j : abs(i // 8 - j // 4) <= 1 }", ((64,), (32,)), Product),
        ("{ (r+a, c) -> (k, r, c) : a in -1..1 ; outside = skip }", ((9, 9), (4, 9, 9)), Product),
        ("{ (r, c) -> (p, q) : (r - p) ** 2 + (c - q) ** 2 <= 5 }", ((20, 20), (20, 20)), Shifted),
        ("{ (f, u) -> (k, v) : u -> v in graph }", ((6, 4), (6, 5)), Product),
    ],
)
def test_pairs_that_form_a_rule_are_recognised(text, shapes, kind):
    before = GRAPH if "graph" in text else ""
    edges = connection(text, *shapes, before=before).edges
    source, target = edges.edges()
    listed = Listed(*shapes, source, target)
    found = recognised(listed)
    assert isinstance(found, kind)
    assert _pairs(found) == _pairs(listed)
    # One edge less is another set, and one that is moved as well.
    less = Listed(*shapes, source[1:], target[1:])
    assert _pairs(recognised(less)) == _pairs(less)
    free = np.setdiff1d(np.arange(prod(shapes[0]) * prod(shapes[1])), target * prod(shapes[0]) + source)
    moved = from_keys(np.sort(np.append(target[1:] * prod(shapes[0]) + source[1:], free[:1])), *shapes)
    assert _pairs(recognised(moved)) == _pairs(moved)


@pytest.mark.parametrize(
    "text",
    [
        "{ i -> j : abs(i - j) <= 2 }",
        "{ i -> j : i // 1000 == j // 1000 }",
        "{ i -> j : i % 16 == j % 16, abs(i - j) <= 64 }",
        "window(5, pad = same)",
        "{ i -> i + d : d in -2..2 ; outside = wrap }",
        "all - (all - { i -> j : 0 < abs(i - j) <= 3 })",
        "(all - one_to_one) & { i -> j : abs(i - j) <= 3 }",
    ],
)
def test_size_costs_nothing(text):
    edges = connection(text, 10**9, 10**9).edges
    assert not isinstance(edges, Listed)
    assert edges.count > 10**9
    assert degrees(edges, "target").high >= 3


@pytest.mark.parametrize(
    ("text", "source", "target", "holds"),
    [
        # No offset at all.
        ("{ i -> j : 1 <= i - j < 3 }", (1,), (1,), lambda i, j: False),
        ("{ (r, c) -> (p, q) : r - p == 9, c == q }", (3, 4), (3, 4), lambda r, c, p, q: False),
        # A digit of one side that is computed on the other does not run over that side.
        ("{ i // 4 -> i ; outside = wrap }", (8,), (8,), lambda i, j: i == j // 4),
        ("{ i -> i % 3 ; outside = wrap }", (12,), (5,), lambda i, j: j == i % 3),
        ("{ (r, c % 2) -> (r, c) ; outside = wrap }", (2, 6), (2, 6),
         lambda r, c, p, q: r == p and c == q % 2),
        # Equal indices, though found between digits of other shapes.
        ("{ (j, u) -> (j, i) : k in 0..1, i + k < 3 or j > 5 ; duplicate = merge }", (3, 1), (3, 1),
         lambda j, u, p, i: j == p),
    ],
)  # fmt: skip
def test_drawn_sets_that_were_wrong_once(text, source, target, holds):
    edges = connection(text, source, target).edges
    assert _pairs(edges) == _everything(source, target, holds)
    if text.startswith("{ (j"):
        assert isinstance(edges, Diagonal)


def test_a_product_of_few_edges_between_very_many_units():
    """Found without an array of one number a unit, in the same order."""
    few = "edges few : [1600] -> [1500] = { 3 -> 7, 1599 -> 0, 5 -> 1499 }"
    found = connection(
        "{ (r, c) -> (p, q) : r -> p in few, c -> q in few }", (1600,) * 2, (1500,) * 2, before=few
    )
    ends = {(3, 7), (1599, 0), (5, 1499)}
    assert isinstance(found.edges, Product)
    assert _pairs(found.edges) == {(1600 * r + c, 1500 * p + q) for r, p in ends for c, q in ends}


@pytest.mark.parametrize(
    ("text", "source", "target", "holds"),
    [
        ("{ i -> j : i -> j in blocks, i -> j in corner }", (3,), (3,), lambda i, j: (i, j) == (2, 2)),
        ("{ i -> j : i -> j in blocks, i -> j in corner, i <= j }", (3,), (3,),
         lambda i, j: (i, j) == (2, 2)),
        ("{ i -> j : i -> j in blocks, j < 2 }", (3,), (3,), lambda i, j: (i, j) in BLOCKS and j < 2),
        ("{ i -> j : i -> j in blocks, i in 1..2 }", (3,), (3,), lambda i, j: (i, j) in BLOCKS and i > 0),
        ("{ i -> j : j -> i in blocks }", (3,), (3,), lambda i, j: (j, i) in BLOCKS),
        ("{ i -> j : i in [j, j + 2] ; outside = skip }", (9,), (9,), lambda i, j: i - j in (0, 2)),
        ("{ i -> j : i / 2 in [0.5, j] }", (9,), (9,), lambda i, j: i in (1, 2 * j)),
        ("{ i -> j : i / 2 in [0.5, 1.5, 7] }", (9,), (2,), lambda i, j: i in (1, 3)),
        ("{ (a, b, c) -> (d, e, f) : a + c == d + f, b == e }", (2, 3, 2), (2, 3, 2),
         lambda a, b, c, d, e, f: a + c == d + f and b == e),
        ("{ (a, b, c) -> (d, e, f) : a == f, c == d }", (2, 3, 2), (2, 3, 2),
         lambda a, b, c, d, e, f: a == f and c == d),
    ],
)  # fmt: skip
def test_conditions_that_belong_together(text, source, target, holds):
    """Several on the same digits, on digits that stand apart, or on another than the pair itself."""
    before = f"{SQUARE}\nedges corner : [3] -> [3] = {{ 0 -> 0, 2 -> 2 }}"
    edges = connection(text, source, target, before=before).edges
    assert _pairs(edges) == _everything(source, target, holds)


@pytest.mark.parametrize("shape", [(3, 1), (1, 3), (1, 3, 1), (1, 1), (2, 1, 3)])
@pytest.mark.parametrize(
    "condition", ["s -> t in e", "s -> t in e, A0 <= B0", "t -> s in e, A0 <= B0", "s -> t in e, t -> s in e"]
)
def test_named_sets_on_dimensions_of_one_unit(shape, condition):
    units = prod(shape)
    listed = {(s, t) for s in range(units) for t in range(units) if (s + 2 * t) % 3 != 1}
    places = list(pairs_of(*map(range, shape)))
    written = ", ".join(f"{places[s]} -> {places[t]}" for s, t in sorted(listed))
    names = {side: [f"{side}{at}" for at in range(len(shape))] for side in "AB"}
    s, t = (f"({', '.join(names[side])})" for side in "AB")
    edges = connection(
        f"{{ {s} -> {t} : {condition.replace('s', s).replace('t', t)} }}",
        shape,
        shape,
        before=f"edges e : {list(shape)} -> {list(shape)} = {{ {written} }}",
    ).edges
    assert _pairs(edges) == {
        (a, b)
        for a, b in pairs_of(range(units), range(units))
        if ((a, b) in listed or not condition.startswith("s"))
        and ((b, a) in listed or "t -> s" not in condition)
        and (places[a][0] <= places[b][0] or "<=" not in condition)
    }


@pytest.mark.parametrize(
    ("text", "source", "target"),
    [
        ("{ 2 * i + a -> i : a in 0..2 }", 8, 4),
        ("{ 2 * i + a -> i : a in 0..4 }", 8, 4),
        ("{ i + a -> i : a in -1..0 }", 8, 8),
        ("{ i -> i + a : a in 0..1 }", 8, 8),
        ("{ i -> i + a : a in 0..3 }", 8, 8),
        ("{ i -> i + a : a in -2..0 }", 8, 8),
        ("{ i -> i }", 8, 5),
        ("{ (r, c + a) -> (r, c) : a in 0..2 }", (3, 4), (3, 3)),
    ],
)
def test_an_end_that_is_not_there_is_refused_however_far_out(text, source, target):
    assert refusal(text, source, target).code.code == "E204"


@pytest.mark.parametrize(
    "text",
    [
        "{ i + a -> i : a in [0, 1, 0] ; outside = skip }",
        "{ i -> i + a - b : a in 0..1, b in 0..1 ; outside = wrap }",
    ],
)
def test_an_edge_that_a_rule_makes_twice_is_refused(text):
    assert refusal(text, 8, 8).code.code == "E311"
    assert connection(text.replace(" }", ", duplicate = merge }"), 8, 8).edges.count > 8
