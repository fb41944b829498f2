"""Weights given by an expression, a column or a file, edge by edge in canonical order."""

from __future__ import annotations

import numpy as np
import pytest

from nnspec.compiler.graph.model import Drawn, DrawnByFanIn, Given

from .specs import connection, model, refusal, spec

BAND = "{ i -> j : abs(i - j) <= 2, (i + j) % 3 != 0 }"


def start(edges, *sides, attributes, **rest):
    return connection(edges, *sides, attributes=attributes, **rest).weight.start


def values(edges, expression, *sides, **rest):
    given = start(edges, *sides, attributes=f"weight = {expression}", **rest)
    assert isinstance(given, Given)
    return given.value


def units(edges, *sides):
    """Source, target, and the degrees of both, per edge."""
    source, target = connection(edges, *sides).edges.edges()
    return source, target, np.bincount(target)[target], np.bincount(source)[source]


@pytest.mark.parametrize(
    ("expression", "direct"),
    [
        ("i", lambda i, j, into, out: i),
        ("j - 2 * i", lambda i, j, into, out: j - 2 * i),
        ("1 / fan_in", lambda i, j, into, out: 1 / into),
        ("fan_in + 100 * fan_out", lambda i, j, into, out: into + 100 * out),
        ("exp(-abs(i - j) / 9) / sqrt(fan_in)", lambda i, j, into, _: np.exp(-abs(i - j) / 9) / into**0.5),
        ("max(i, j) // 3 + min(i, 2)", lambda i, j, *_: np.maximum(i, j) // 3 + np.minimum(i, 2)),
        ("0.1", lambda i, j, into, out: 0.1),
        ("p / 7", lambda i, j, into, out: 3 / 7),
    ],
)
@pytest.mark.parametrize("edges", [BAND, "{ i -> j }", "{ i -> j : i == j }", "{ i -> j : i < 2, j == 3 }"])
def test_expressions(edges, expression, direct):
    i, j, into, out = units(edges, 9, 7)
    found = values(edges, expression, 9, 7, before="param p = 3")
    expected = np.broadcast_to(direct(i, j, into, out), i.shape)
    np.testing.assert_array_equal(np.broadcast_to(np.float32(found), i.shape), expected.astype(np.float32))


def test_every_index_name_is_visible():
    """Also those that stand alone in no index; the order is that of the edges."""
    edges = "{ (r+a, c+b) -> (k, r, c) : a in -1..1, b in [-1, 1] ; outside = skip }"
    sides = ((4, 5), (2, 4, 5))
    source, target = connection(edges, *sides).edges.edges()
    (row, column), (k, r, c) = np.unravel_index(source, (4, 5)), np.unravel_index(target, (2, 4, 5))
    a, b = row - r, column - c
    found = values(edges, "a + 10 * b + 100 * k + 1000 * r + 10000 * c", *sides)
    np.testing.assert_array_equal(found, a + 10 * b + 100 * k + 1000 * r + 10000 * c)
    # Where edges wrap around, the names say which way they went.
    found = values("{ i -> i + k : k in -1..1 ; outside = wrap }", "k", 5, 5)
    source, target = connection("{ i -> i + k : k in -1..1 ; outside = wrap }", 5, 5).edges.edges()
    np.testing.assert_array_equal(found, (target - source + 1) % 5 - 1)


def test_a_name_that_the_edge_does_not_determine():
    edges = "{ i -> j : k in 0..2, j == i ; duplicate = merge }"
    np.testing.assert_array_equal(values(edges, "i + j", 3, 3), [0, 2, 4])
    assert refusal(edges, 3, 3, attributes="weight = k").code.code == "E207"


@pytest.mark.parametrize("edges", ["all", "one_to_one", "{ 0 -> 1, i -> i }", f"{BAND} | one_to_one"])
def test_index_names_need_a_single_builder(edges):
    assert refusal(edges, attributes="weight = i").code.code == "E207"


def test_index_names_of_no_edge_have_no_values():
    """A builder that makes no edge refuses neither its own names nor forgets that others are none."""
    edges = "{ i -> j : i > 20, j > i }"
    assert values(edges, "i + j", 5, 6).shape == (0,)
    assert refusal(edges, 5, 6, attributes="weight = i + k").code.code == "E207"


def test_fans_of_any_set():
    for edges in ("all", "one_to_one", "all - one_to_one", f"{BAND} | one_to_one", "random(fan_in = 3)"):
        _, _, into, out = units(edges, 8, 8)
        found = values(edges, "fan_in - 2 * fan_out", 8, 8)
        np.testing.assert_array_equal(np.broadcast_to(found, into.shape), into - 2 * out)


def test_drawn_with_an_argument_per_edge():
    i, j, into, _ = units(BAND, 9, 7)
    drawn = start(BAND, 9, 7, attributes="weight ~ normal(i - j, 1 / sqrt(fan_in))")
    assert isinstance(drawn, Drawn)
    mean, std = drawn.arguments
    np.testing.assert_array_equal(mean, i - j)
    np.testing.assert_array_equal(std, 1 / np.sqrt(into))
    drawn = start("all", 9, 7, attributes="weight ~ uniform(-1 / fan_in, 1 / fan_out)")
    assert drawn.arguments == (-1 / 9, 1 / 7)
    assert isinstance(connection("all").weight.start, DrawnByFanIn)
    assert connection("all", attributes="weight = none").weight is None


@pytest.mark.parametrize(
    ("attribute", "code"),
    [
        ("weight = q", "E207"),
        ("weight = i < 3", "E212"),
        ("weight = 1 / (i - j)", "E217"),
        ("weight = sqrt(i - j)", "E216"),
        ("weight = i * 9223372036854775807", "E215"),
        ("weight ~ normal(0, i - 1)", "E214"),
        ("weight ~ normal(0)", "E226"),
        ("weight ~ norml(0, 1)", "E408"),
        ('weight = column("w")', "E410"),
        ("weigth = 1", "E407"),
        ("weight = none, trainable = false", "E228"),
        ("trainable = maybe", "E227"),
    ],
)
def test_refusals(attribute, code):
    assert refusal("{ i -> j : i <= j }", attributes=attribute).code.code == code


@pytest.mark.parametrize("weight", ["1e39", "-1e39", "i * 1e39", "2.0 ** 128"])
def test_what_float32_cannot_hold(weight):
    assert refusal("{ i -> j : i <= j }", attributes=f"weight = {weight}").code.code == "E419"


def test_columns_follow_their_edges(tmp_path):
    (tmp_path / "e.csv").write_text("target,w,source\n2,0.5,1\n0,-1e-3,3\n2,7,0\n1,+.25,1\n")
    for extra in ("", " # the same"):
        found = connection('load("e.csv")', 4, 3, attributes=f'weight = column("w"){extra}', folder=tmp_path)
        source, target = found.edges.edges()
        assert list(zip(source, target, found.weight.start.value, strict=True)) == [
            (3, 0, np.float32(-1e-3)),
            (1, 1, 0.25),
            (0, 2, 7),
            (1, 2, 0.5),
        ]


def test_columns_on_grids(tmp_path):
    (tmp_path / "e.csv").write_text("source,target_0,target_1,w\n2,1,0,1\n1,0,1,2\n0,1,0,3\n")
    found = connection('load("e.csv")', 3, (2, 2), attributes='weight = column("w")', folder=tmp_path)
    np.testing.assert_array_equal(found.weight.start.value, [2, 3, 1])


def test_weights_from_a_file(tmp_path):
    listed = np.arange(4) / 3
    np.save(tmp_path / "w.npy", listed)
    edges = "{ 3 -> 0, 0 -> 2, 1 -> 2, 1 -> 1 }"
    found = connection(edges, 4, 3, attributes='weight = load("w.npy")', folder=tmp_path)
    np.testing.assert_array_equal(found.weight.start.value, listed.astype(np.float32))
    matrix = np.arange(12.0).reshape(3, 4)
    np.save(tmp_path / "w.npy", matrix)
    found = connection("all", 4, 3, attributes='weight = load("w.npy")', folder=tmp_path)
    source, target = found.edges.edges()
    np.testing.assert_array_equal(found.weight.start.value, matrix[target, source])


@pytest.mark.parametrize(
    ("array", "code"),
    [
        (np.zeros(3), "E409"),
        (np.zeros((4, 3)), "E409"),
        (np.array([1, 2, 3, np.nan] * 3), "E606"),
        (np.array(["a"] * 12), "E606"),
        (np.zeros(12, complex), "E606"),
        (np.zeros(12, bool), "E606"),
    ],
)
def test_files_refused(tmp_path, array, code):
    np.save(tmp_path / "w.npy", array)
    assert refusal("all", 4, 3, attributes='weight = load("w.npy")', folder=tmp_path).code.code == code


def test_a_file_beyond_float32(tmp_path):
    np.save(tmp_path / "w.npy", np.full(12, 1e39))
    assert refusal("all", 4, 3, attributes='weight = load("w.npy")', folder=tmp_path).code.code == "E419"
    (tmp_path / "e.csv").write_text("source,target,w\n0,0,1e39\n")
    found = refusal('load("e.csv")', 4, 3, attributes='weight = column("w")', folder=tmp_path)
    assert found.code.code == "E419"


def test_columns_refused(tmp_path):
    (tmp_path / "e.csv").write_text("source,target,w\n0,0,x\n")
    np.save(tmp_path / "m.npy", np.eye(3))

    def code(edges, column):
        return refusal(edges, 3, 3, attributes=f"weight = {column}", folder=tmp_path).code.code

    assert code('load("e.csv")', 'column("w")') == "E610"
    assert code('load("e.csv")', 'column("v")') == "E609"
    assert code('load("e.csv")', "column(w)") == "E229"
    assert code('load("e.csv")', "column()") == "E226"
    assert code('load("e.csv") | all', 'column("w")') == "E410"
    assert code('load("m.npy", rows = source)', 'column("w")') == "E410"


def test_weights_in_a_loop():
    text = spec("{ i -> j : i <= j }", 3, 3, attributes="weight = i + 10 * t")
    head, _, wire = text.rpartition("\nconnect")
    found = model(f"{head}\nfor t in 2..2 {{ connect{wire} }}\n").connections[0].weight.start.value
    np.testing.assert_array_equal(found, [20, 20, 21, 20, 21, 22])
