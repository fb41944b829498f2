"""Axes: sizes and names, fields of tables, lengths, and the ends of the edges of named sets."""

from __future__ import annotations

import csv
import io

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnspec.compiler.command.main import main

from .specs import model, resolved

HEAD = 'model m\naxis cell = names("cells.csv", column = "id")\ninput x[cell]\nlayer y[cell]\n'
CELLS = 'id,type,level,parent\nc1,on,1,0\nc2,off,2,0\nc3,on,2,1\n"c 4",off,3,2\n'


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "cells.csv").write_text(CELLS)
    (tmp_path / "genes.txt").write_text("BRCA1\nTP53\n")
    return tmp_path


def edges_of(text: str, folder):
    source, target = model(text, folder).connections[0].edges.edges()
    return set(zip(source.tolist(), target.tolist(), strict=True))


def codes_of(text: str, folder):
    return [d.code.code for d in resolved(text, folder)[1] if d.severity == "error"]


# --------------------------------------------------------------------------------------------------- sizes


def test_sizes(folder):
    text = (
        "model m\nlayer y[n, len(gene)]\ninput x[cell]\naxis n = 2 * k\nparam k = 3\n"
        "param cells = len(cell)\n"
        'axis gene = names("genes.txt")\naxis cell = names("cells.csv", column = "id")\n'
        "layer z[cells]\nlayer last[len(x) + len(y) + len(ring)]\n"
        "edges ring : cell -> [len(z)] = one_to_one\n"
        "connect x -> y : all\nconnect x -> z : ring\nconnect z -> last : all\n"
    )
    found = model(text, folder)
    assert {layer.name: layer.shape for layer in found.layers} == {"y": (6, 2), "z": (4,), "last": (20,)}
    assert [axis and axis.name for axis in found.axes["y"]] == ["n", None]


def test_axes_in_loops(folder):
    text = (
        "model m\nparam depth = len(gene)\ninput x[3]\n"
        'axis gene = names("genes.txt")\n'
        "for d in 1..depth {\n"
        '  axis cell{d} = names("cells.csv", column = "id", where = column("level") == d)\n'
        "  layer y{d}[cell{d}, d]\n  connect x -> y{d} : all\n}\n"
    )
    found = model(text, folder)
    assert {layer.name: layer.shape for layer in found.layers} == {"y1": (1, 1), "y2": (2, 2)}
    assert found.axes["y2"][0].names == ("c2", "c3")


@pytest.mark.parametrize("ending", ["\n", "", "\r\n"])
def test_lines_are_names(tmp_path, ending):
    content = "\ufeff" + (ending or "\n").join([" a", "b,c", '"d"']) + ending
    (tmp_path / "g.txt").write_text(content, encoding="utf-8", newline="")
    text = 'model m\naxis g = names("g.txt")\ninput x[g]\nlayer y[2]\nconnect x -> y : all\n'
    found = model(text, tmp_path)
    assert found.axes["x"][0].names == (" a", "b,c", '"d"')


@pytest.mark.parametrize(
    ("axis", "code"),
    [
        ("0", "E214"),
        ("2.5", "E213"),
        ("[1, 2]", "E212"),
        ('"genes.txt"', "E212"),
        ("nothing", "E207"),
        ("len(nothing)", "E201"),
        ("len(m)", "E201"),
        ("len(p)", "E202"),
        ("10**18", "E302"),
        ("names()", "E226"),
        ("names(genes)", "E229"),
        ('names("genes.txt", column = "id")', "E224"),
        ('names("cells.csv")', "E226"),
        ('names("cells.csv", "id")', "E224"),
        ('names("cells.csv", column = "ids")', "E609"),
        ('names("cells.csv", column = id)', "E229"),
        ('names("cells.csv", column = "type")', "E615"),
        ('names("cells.csv", column = "id", where = column("level") > 9)', "E615"),
        ('names("cells.csv", column = "id", where = column("level"))', "E218"),
        ('names("cells.csv", column = "id", were = 1)', "E223"),
        ('names("gene.txt")', "E601"),
        ('names("genes.json")', "E605"),
        ('names("blank.txt")', "E615"),
        ('names("empty.txt")', "E615"),
        ('names("twice.txt")', "E615"),
        ('names("latin.txt")', "E608"),
        ("len(a)", "E241"),
        ("len(y)", "E241"),
    ],
)
def test_axes_refused(folder, axis, code):
    (folder / "blank.txt").write_text("a\n\nb\n")
    (folder / "empty.txt").write_text("")
    (folder / "twice.txt").write_text("a\nb\na\n")
    (folder / "latin.txt").write_bytes(b"\xe9\n")
    text = f"model m\nparam p = 3\naxis a = {axis}\ninput x[3]\nlayer y[a]\nconnect x -> y : all\n"
    assert codes_of(text, folder) == [code]


def test_circles(folder):
    def codes(statements, size):
        return codes_of(f"model m\n{statements}\ninput x[3]\nlayer y[{size}]\nconnect x -> y : all\n", folder)

    assert codes("axis a = len(b)\naxis b = len(s)\nedges s : y -> [3] = all", "a") == ["E241"]
    assert codes("param n = len(y)", "n") == ["E208"]
    assert codes("edges s : x -> y = random(fan_in = len(s))", 3) == ["E308"]
    chain = "".join(f"axis a{k} = len(a{k + 1})\n" for k in range(900)) + "axis a900 = 3\n"
    assert codes(chain, "a0") in ([], ["E232"])


def test_an_axis_is_no_number(folder):
    assert codes_of(HEAD + "connect x -> y : { i -> i + cell }\n", folder) == ["E202"]
    assert codes_of(HEAD + "connect x -> y : { cell -> i }\n", folder) == ["E309"]
    assert codes_of(HEAD + "connect cell -> y : all\n", folder) == ["E202"]
    assert codes_of(HEAD + "axis cell = 3\nconnect x -> y : all\n", folder) == ["E203"]


# ------------------------------------------------------------------------------------------- fields and ends


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ('cell.type(i) == "on"', lambda i, j: i in (0, 2)),
        ('cell.type(i) != "on", i == j', lambda i, j: i in (1, 3) and i == j),
        ("cell.type(i) == cell.type(j)", lambda i, j: (i - j) % 2 == 0),
        ("cell.level(i) < cell.level(j)", lambda i, j: (1, 2, 2, 3)[i] < (1, 2, 2, 3)[j]),
        ("cell.level(i) == cell.level(j)", lambda i, j: (1, 2, 2, 3)[i] == (1, 2, 2, 3)[j]),
        ("cell.parent(j) == i", lambda i, j: (0, 0, 1, 2)[j] == i),
        ("j < 3, cell.level(j + 1) == 2", lambda i, j: j in (0, 1)),
        ('j < 3 and cell.type(j + 1) in ["off", "no"]', lambda i, j: j in (0, 2)),
        ('"on" == cell.type(i) != cell.type(j)', lambda i, j: i in (0, 2) and j in (1, 3)),
        ("i < len(cell) - 3", lambda i, j: i < 1),
        ("half.source(i // 2) == j", lambda i, j: (1, 3)[i // 2] == j),
    ],
)
def test_conditions(folder, condition, wanted):
    half = "edges half : cell -> [2] = { 2 * k + 1 -> k }\n"
    text = f"{HEAD}{half}connect x -> y : {{ i -> j : {condition} }}\n"
    assert edges_of(text, folder) == {(i, j) for i in range(4) for j in range(4) if wanted(i, j)}


def test_computed_indices(folder):
    assert edges_of(HEAD + "connect x -> y : { cell.parent(j) -> j : j in 0..3 }\n", folder) == {
        (0, 0),
        (0, 1),
        (1, 2),
        (2, 3),
    }
    ends = "edges e : cell -> cell = { i -> i + 1 ; outside = skip }\n"
    both = ends + "connect x -> y : { e.target(k) -> e.source(k) : k in 0..len(e)-1 }\n"
    assert edges_of(HEAD + both, folder) == {(1, 0), (2, 1), (3, 2)}


def test_a_numeric_field_as_weight(folder):
    text = HEAD + "connect x -> y : { i -> j } with weight = cell.level(i) / len(cell)\n"
    start = model(text, folder).connections[0].weight.start.value
    np.testing.assert_array_equal(start.reshape(4, 4), np.tile([0.25, 0.5, 0.5, 0.75], (4, 1)))


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("cell.kind(i) == 1", "E244"),
        ("cell.id(i) == 1", "E244"),
        ("e.sources(i) == 1", "E244"),
        ("x.type(i) == 1", "E202"),
        ("cel.type(i) == 1", "E201"),
        ("cell.type(i) == 1", "E610"),
        ("cell.type(i) + 1 == 2", "E610"),
        ('cell.type(i) >= "on"', "E242"),
        ('i == "on"', "E331"),
        ('i < "c1"', "E242"),
        ('"c1" <= j == i', "E242"),
        ('i + 1 == "c1"', "E243"),
        ('i // 2 in ["c1"]', "E243"),
        ('i in ["c1", "c9"]', "E331"),
        ('cell.type == "on"', "E212"),
        ("cell.type() == 1", "E220"),
        ("cell.level(i, j) == 1", "E220"),
        ("cell.level(i + 1) == 1", "E245"),
        ("cell.level(i / 2) == 1", "E213"),
        ("e.source(i + 9) == 1", "E245"),
        ("grid.source(i) == 1", "E303"),
        ("len(i) == 1", "E201"),
        ("len() == 1", "E220"),
        ('column("type") == 1', "E410"),
    ],
)
def test_refused(folder, condition, code):
    sets = "edges e : x -> y = one_to_one\nedges grid : [2, 2] -> [4] = all\n"
    text = f"{HEAD}{sets}connect x -> y : {{ i -> j : {condition} }}\n"
    assert codes_of(text, folder) == [code]


# ---------------------------------------------------------------------------------------- names in messages


def test_units_are_named(folder):
    text = HEAD + "layer z[cell, 2]\nconnect x -> y : { 0 -> 0 }\nconnect y -> z : { i -> (i, 0) : i > 1 }\n"
    messages = {d.message for d in resolved(text, folder)[1]}
    assert any('"c2", "c3", "c 4" (3 of 4)' in message for message in messages), messages
    assert any('("c1", 0), ("c1", 1), ("c2", 0)' in message for message in messages), messages


# -------------------------------------------------------------------------------------------- the command


def run(*arguments: str):
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def spec(folder):
    path = folder / "m.nnspec"
    path.write_text(
        HEAD + 'axis gene = names("genes.txt")\nlayer z[gene, 2]\n'
        "connect x -> y : { i -> i + 1 ; outside = skip }\n"
        "connect y -> z : { i -> (k, j) : (i + j + k) % 3 == 0 }\n"
    )
    return path


def test_edges_by_name(spec):
    assert run("edges", str(spec), "x_y").stdout == "source,target\nc1,c2\nc2,c3\nc3,c 4\n"
    head = run("edges", str(spec), "y_z").stdout.splitlines()[:2]
    assert head == ["source,target_0,target_1", "c1,BRCA1,0"]


@pytest.mark.parametrize("kind", ["csv", "npz"])
@pytest.mark.parametrize("name", ["x_y", "y_z"])
def test_written_edges_load_again(spec, kind, name):
    written = spec.parent / f"e.{kind}"
    assert run("edges", str(spec), name, "-o", str(written)).stdout == f"wrote {written}\n"
    before = model(spec.read_text(), spec.parent)
    lines = [line for line in spec.read_text().splitlines() if not line.startswith("connect")]
    again = "\n".join([*lines, f'connect {name[0]} -> {name[2]} : load("e.{kind}")'])
    again += "\nconnect x -> y : all" if name == "y_z" else "\nconnect y -> z : all"
    after = model(again, spec.parent)
    for end in (0, 1):
        found = [next(c for c in m.connections if c.name == name).edges.edges()[end] for m in (before, after)]
        np.testing.assert_array_equal(*found)


def test_numbers_beside_names(spec):
    run("edges", str(spec), "y_z", "-o", str(spec.parent / "e.npz"))
    arrays = np.load(spec.parent / "e.npz", allow_pickle=False)
    assert sorted(arrays) == ["source", "source.names", "target_0", "target_0.names", "target_1"]
    assert arrays["source.names"].tolist() == ["c1", "c2", "c3", "c 4"]
    assert arrays["target_1"].dtype == np.int64


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@given(st.lists(NAMES, min_size=1, max_size=8, unique=True))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=12,
    deadline=None,
    derandomize=True,
)
def test_any_names_come_back(tmp_path, names):
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([("n", "k"), *((name, 1) for name in names)])
    (tmp_path / "n.csv").write_text(buffer.getvalue(), newline="", encoding="utf-8")
    pl.DataFrame({"n": names}).write_parquet(tmp_path / "n.parquet")
    text = 'model m\naxis a = names("n.csv", column = "n")\naxis b = names("n.parquet", column = "n")\n'
    text += "input x[a]\nlayer y[b]\nconnect x -> y : "
    (tmp_path / "m.nnspec").write_text(text + "one_to_one\n")
    before = model(text + "one_to_one", tmp_path)
    assert before.axes["x"][0].names == before.axes["y"][0].names == tuple(names)
    for kind in ("csv", "npz"):
        run("edges", str(tmp_path / "m.nnspec"), "x_y", "-o", str(tmp_path / f"e.{kind}"))
        after = model(text + f'load("e.{kind}")', tmp_path)
        for ends in zip(*(m.connections[0].edges.edges() for m in (before, after)), strict=True):
            np.testing.assert_array_equal(*ends)


def test_wrong_usage(spec):
    absent = str(spec.parent / "none" / "e.csv")
    for arguments in (("-o", "e.txt"), ("-o", absent), ("--summary", "-o", "e.csv")):
        assert run("edges", str(spec), "x_y", *arguments).exit_code == 2


def test_summary(spec):
    lines = run("edges", str(spec), "x_y", "--summary").stdout.splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "connection x_y: x -> y",
        "units 4 -> 4",
        "edges 3",
        "density 0.188",
        "fan-in 0 to 1, median 1",
        "fan-out 0 to 1, median 1",
        "components 3, the largest of 2 units",
        'without input 1: "c1"',
        'unread 1: "c 4"',
    ]


def test_components():
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    from nnspec.compiler.command.edge_table import component_sizes

    rng = np.random.default_rng(0)
    for count in (0, 1, 30, 200, 1000):
        source, target = rng.integers(300, size=(2, count))
        graph = sparse.coo_array((np.ones(count), (source, 300 + target)), shape=(600, 600))
        _, label = connected_components(graph, directed=False)
        used = np.zeros(600, bool)
        used[source], used[300 + target] = True, True
        wanted = np.unique(label[used], return_counts=True)[1]
        np.testing.assert_array_equal(np.sort(component_sizes(source, target)), np.sort(wanted))
    path = np.arange(5000)
    assert component_sizes(np.append(path, path[1:]), np.append(path, path[:-1])).tolist() == [10_000]
