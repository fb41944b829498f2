"""How many candidates the solver looks at: about as many as there are edges, not as there are pairs."""

from __future__ import annotations

import pytest

from nnspec.compiler.names.budget import Budget
from nnspec.compiler.sets import search

from .specs import connection, pairs, refusal, resolved

N = 100_000
LINE = 10_000


@pytest.fixture
def looked_at(monkeypatch):
    """Candidates looked at so far; a limit makes the test fail early and not run for minutes."""
    counts: list[int] = []
    limit = 5_000_000

    class Counting(Budget):
        def __init__(self):
            super().__init__(limit)

        def __setattr__(self, name, value):
            super().__setattr__(name, value)
            counts.append(limit - value)

    monkeypatch.setattr("nnspec.compiler.sets.resolver.Budget", Counting)
    # What has a closed form is not looked for at all; here it is.
    monkeypatch.setattr("nnspec.compiler.sets.builders.symbolic", lambda *_: None)
    return lambda: max(counts)


@pytest.mark.parametrize(
    ("edges", "count", "most"),
    [
        ("{ i -> j : abs(i - j) <= 2 }", 5 * N - 6, 6 * N),
        ("{ i -> j : j == 2*i + 1 }", N // 2, 2 * N),
        ("{ i -> 2*i + k : k in 0..1 ; outside = skip }", N, 3 * N),
        ("{ i -> j : i // 16 == j // 16 }", 16 * N, 19 * N),
        ("{ i -> j : i == 5 or i == 7, j == 2 * i }", 2, 100),
    ],
)
def test_lines_of_100_000(looked_at, edges, count, most):
    assert connection(edges, N, N).edges.count == count
    assert looked_at() <= most


@pytest.mark.parametrize(
    ("edges", "count", "most"),
    [
        ("{ i -> j : abs(j - i) <= 2, i != j }", 4 * LINE - 6, 6 * LINE),
        ("{ i -> j : -2 <= i - j < 3 }", 5 * LINE - 6, 8 * LINE),
        ("{ i -> j : i - j in -2..2 }", 5 * LINE - 6, 6 * LINE),
        ("{ i -> j : 2*i + 1 == j }", LINE // 2, 2 * LINE),
        ("{ i -> j : i == 2*j + 1 }", LINE // 2, 3 * LINE),
        ("{ i -> j : k in 0..2, j == i + k }", 3 * LINE - 3, 10 * LINE),
        ("{ i -> j : j in i..i+2 ; outside = skip }", 3 * LINE - 3, 4 * LINE),
        ("{ i -> j : i in j-1..j+1, not i == j ; outside = skip }", 2 * LINE - 2, 4 * LINE),
        ("{ i -> j : (j - 1) / 2 == i }", LINE // 2, 3 * LINE),
        ("{ i -> j : abs(i - j) / 2 <= 1.5 }", 7 * LINE - 12, 8 * LINE),
        ("{ i -> j : 3 * abs(i - j) + 1 < 8 }", 5 * LINE - 6, 6 * LINE),
        ("{ i -> j : (i - j) ** 2 <= 4 }", 5 * LINE - 6, 6 * LINE),
        ("{ i -> j : sqrt(abs(i - j)) <= 1 }", 3 * LINE - 2, 4 * LINE),
        ("{ i -> j : i == 9999, j == 3 }", 1, 10),
        ("{ i -> j : i * j == 9999 }", None, 10 * LINE),
        ("{ i -> j : max(i, j) <= 100 }", 101**2, 2 * 101**2),
        ("{ i -> j : i + j <= 100 }", 101 * 51, 2 * 101 * 51),
        ("{ i -> j : not (abs(i - j) > 2) }", 5 * LINE - 6, 6 * LINE),
        ("{ i -> j : not (i < j or i > j) }", LINE, 3 * LINE),
        ("{ i -> j : j - i == 2*j - 9999 }", LINE, 3 * LINE),
        ("{ i -> j : 10 // (i + 1) == 5, abs(i - j) <= 1 }", 3, 6 * LINE),
        ("{ i -> j : 0*i + 0*j == 0, i == j }", LINE, 3 * LINE),
    ],
)
def test_lines(looked_at, edges, count, most):
    found = connection(edges, LINE, LINE).edges
    assert count in (None, found.count)
    assert looked_at() <= most


def test_what_cannot_be_narrowed_is_refused(looked_at):
    """Both ends of the range are alternatives: an interval between them is the whole."""
    assert refusal("{ i -> j : abs(i - j) == 1 or abs(i - j) == 9998 }", LINE, LINE).code.code == "E313"
    assert refusal("{ i -> j : (i + j) % 7777 == 0 }", LINE, LINE).code.code == "E313"


SIDE = 100


@pytest.mark.parametrize(
    ("edges", "inner", "most"),
    [
        ("{ (r+a, c+b) -> (r, c) : a in -1..1, b in -1..1 ; outside = skip }", 9, 14),
        ("{ (r, c) -> (a, b) : abs(r - a) <= 1, abs(c - b) <= 1 }", 9, 14),
        ("{ (r, c) -> (a, b) : max(abs(r - a), abs(c - b)) <= 1 }", 9, 14),
        ("{ (r, c) -> (a, b) : abs(r - a) + abs(c - b) <= 1 }", 5, 10),
        ("{ (r, c) -> (a, b) : (r - a)**2 + (c - b)**2 <= 1 }", 5, 10),
        ("{ (r, c) -> (a, b) : sqrt((r - a)**2 + (c - b)**2) < 1.5 }", 9, 14),
        ("{ (r, c) -> (a, b) : abs(r - a) <= 1 and not (b < c or b > c + 1) }", 6, 11),
    ],
)
def test_grids(looked_at, edges, inner, most):
    shape = (SIDE, SIDE)
    found = connection(edges, shape, shape).edges
    assert inner * (SIDE - 2) ** 2 < found.count <= inner * SIDE**2
    assert looked_at() <= most * SIDE**2


def test_equal_values_of_arrays_are_joined(looked_at, monkeypatch):
    """The edges of a set after which another one begins: in proportion to what is found."""
    text = (
        "model m\nparam n = 20000\nedges g : [n] -> [n] = random(fan_in = 3, seed = 1)\n"
        "input x[len(g)]\nlayer y[len(g)]\n"
        "connect x -> y : { e -> f : g.target(e) == g.source(f), e != f }\n"
    )
    model, _ = resolved(text)
    assert model is not None
    count = model.connections[0].edges.count
    assert 170_000 < count < 190_000
    assert looked_at() <= 60_000 + 190_000


def test_joining_changes_nothing(monkeypatch, tmp_path):
    """The same equations, tested on all pairs."""
    rows = [(f"u{at}", "abc"[at % 3], at % 4, "7" if at % 2 else "x") for at in range(14)]
    lines = ["id,kind,level,mixed", *(",".join(map(str, row)) for row in rows)]
    (tmp_path / "cells.csv").write_text("\n".join(lines) + "\n")
    conditions = [
        "cell.kind(i) == cell.kind(j)",
        "cell.level(i) + 1 == (cell.level(j))",
        "cell.level(j) == cell.level(i) / 2",
        "cell.kind(i) == cell.mixed(j)",
        "cell.level(i) == cell.level(j) or i == j",
        "i < 13, cell.kind(i + 1) == cell.kind(j)",
        "j > 0, i == cell.level(j - 1)",
        'cell.kind(i) == "a", cell.level(i) == j',
    ]

    def found():
        given = 'model m\naxis cell = names("cells.csv", column = "id")\ninput x[cell]\nlayer y[cell]\n'
        for condition in conditions:
            model, _ = resolved(f"{given}connect x -> y : {{ i -> j : {condition} }}\n", tmp_path)
            assert model is not None, condition
            yield [end.tolist() for end in model.connections[0].edges.edges()]

    joined = list(found())
    assert all(sources for sources, _ in joined[:3])
    monkeypatch.setattr(search.Joins, "places", lambda self, domain, rows: None)
    assert list(found()) == joined


def test_grid_of_100_000(looked_at):
    shape = (500, 200)
    window = "{ (r+a, c+b) -> (r, c) : a in -1..1, b in -1..1 ; outside = skip }"
    assert connection(window, shape, shape).edges.count == (3 * 500 - 2) * (3 * 200 - 2)
    assert looked_at() <= 14 * N


def test_narrowing_changes_nothing(monkeypatch):
    """The same conditions, tested on all pairs."""
    texts = [
        "{ i -> j : abs(2*i - 3*j) <= 4 }",
        "{ i -> j : (i - j) ** 3 >= -8, (i - j) ** 3 < 27 }",
        "{ i -> j : i * j <= 24, i * j > 20 }",
        "{ i -> j : i // 3 == j // 4 }",
        "{ i -> j : -i // 3 == j // -4 }",
        "{ i -> j : exp(i - j) <= 2.8, exp(j - i) < 7 }",
        "{ i -> j : j > 0, log(j) <= 1, log(j) >= i / 10 }",
        "{ i -> j : floor(i / 3) == floor(j / 2) }",
        "{ i -> j : min(i, 5) > j, max(i, 7) <= 9 }",
        "{ i -> j : min(i, j) <= 3, max(i, j) >= 15 }",
        "{ i -> j : min(i, j) == 4 or max(i - 3, j) == 9 }",
        "{ i -> j : 12 / (j + 1) >= i }",
        "{ i -> j : (i + 1) / (j + 1) == 2 }",
        "{ i -> j : i % 4 == j % 3 or i + j == 3 }",
        "{ i -> j : 0.1 * i + 0.2 * j == 0.1 * 3 + 0.2 * 4 }",
        "{ i -> j : sqrt(i) + sqrt(j) <= 4 }",
        "{ i -> j : i - 1000000000 * j == 5 - 1000000000 * 2 }",
        "{ i -> j : not i - j in -3..4 }",
    ]
    narrowed = [pairs(text, 20, 23) for text in texts]
    monkeypatch.setattr(search, "narrow", lambda about, name, box, text, outer: box[name])
    assert [pairs(text, 20, 23) for text in texts] == narrowed


def test_chunks_change_nothing(monkeypatch):
    text = "{ (u, i) -> (v, j) : abs(i - j) <= 2, u in 0..i ; outside = skip, duplicate = merge }"
    whole = pairs(text, (3, 7), (2, 9))
    for chunk in (1, 2, 13):
        monkeypatch.setattr(search, "CHUNK", chunk)
        assert pairs(text, (3, 7), (2, 9)) == whole
