"""Axes of units that a set reaches, sets used between axes by name, and closures, against brute force."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnspec.compiler.edges.edge_set import EdgeSet, listed
from nnspec.compiler.names.budget import Budget
from nnspec.compiler.sets.rules.closure import closure

from ..steps import assert_in_proportion, lines_run
from .specs import model, resolved

NAMES = "abcdefgh"


def named_edges(text: str, folder, name: str) -> set[tuple[str, str]]:
    """The edges of a connection, by the names of their units."""
    found = model(text, folder)
    connection = next(c for c in found.connections if c.name == name)
    axes = [found.axes[side][0].names for side in (connection.source, connection.target)]
    ends = zip(*connection.edges.edges(), strict=True)
    return {(axes[0][int(source)], axes[1][int(target)]) for source, target in ends}


def codes_of(text: str, folder) -> list[str]:
    return [d.code.code for d in resolved(text, folder)[1] if d.severity == "error"]


PARTS = st.lists(st.sampled_from(NAMES), min_size=1, unique=True)
LINKS = st.sets(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), min_size=1, max_size=14)


def braces(edges: set[tuple[str, str]]) -> str:
    return "{ " + ", ".join(f'"{a}" -> "{b}"' for a, b in sorted(edges)) + " }"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("names")


def write(folder, name: str, names) -> str:
    (folder / f"{name}.txt").write_text("\n".join(names) + "\n")
    return f'axis {name} = names("{name}.txt")\n'


# ------------------------------------------------------------------------------------------- units of a set


@given(LINKS, st.sampled_from(["targets", "sources"]), st.one_of(st.none(), PARTS))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_the_units_that_a_set_reaches(folder, edges, word, some):
    bounding = {"targets": "from", "sources": "to"}[word]
    named = "" if some is None else f", {bounding} = some"
    text = "model m\n" + write(folder, "all_of", NAMES[::-1]) + write(folder, "some", some or NAMES)
    text += f"edges e : all_of -> all_of = {braces(edges)}\naxis reached = {word}(e{named})\n"
    text += "input x[all_of]\nlayer y[reached]\nconnect x -> y : all\n"
    if word == "targets":
        wanted = {b for a, b in edges if some is None or a in some}
    else:
        wanted = {a for a, b in edges if some is None or b in some}
    if not wanted:
        assert codes_of(text, folder) == ["E251"]
    else:
        assert model(text, folder).axes["y"][0].names == tuple(n for n in NAMES[::-1] if n in wanted)


@given(PARTS, PARTS, st.sampled_from("|&-"))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_axes_of_axes(folder, first, second, symbol):
    text = "model m\n" + write(folder, "a", first) + write(folder, "b", second)
    text += f"axis c = a {symbol} (b)\ninput x[a]\nlayer y[c]\nconnect x -> y : all\n"
    wanted = {
        "|": [*first, *(n for n in second if n not in first)],
        "&": [n for n in first if n in second],
        "-": [n for n in first if n not in second],
    }[symbol]
    if wanted:
        assert model(text, folder).axes["y"][0].names == tuple(wanted)
    else:
        assert codes_of(text, folder) == ["E251"]


def test_units_chosen_by_name(folder):
    text = "model m\n" + write(folder, "all_of", NAMES)
    text += "edges e : all_of -> all_of = { i -> i + 1 ; outside = skip }\n"
    text += "edges up : all_of -> all_of = closure(e)\n"
    text += 'axis below = sources(up, to = ["d"])\ninput x[below]\nlayer y[all_of]\nconnect x -> y : e\n'
    found = model(text, folder)
    assert found.axes["x"][0].names == ("a", "b", "c")
    assert named_edges(text, folder, "x_y") == {("a", "b"), ("b", "c"), ("c", "d")}
    assert codes_of(text.replace('["d"]', '["z"]'), folder) == ["E331"]
    assert codes_of(text.replace('["d"]', "[3]"), folder) == ["E229"]
    assert codes_of(text.replace('["d"]', "3"), folder) == ["E250"]


def test_fields_come_along(folder):
    (folder / "t.csv").write_text("id,kind,level\na,x,1\nb,y,2\nc,x,3\n")
    text = 'model m\naxis t = names("t.csv", column = "id")\nedges e : t -> t = { i -> j : i > j }\n'
    text += "axis some = sources(e)\ninput x[t]\nlayer y[some]\n"
    text += 'connect x -> y : { i -> j : t.level(i) == some.level(j) - 1 or some.kind(j) == "y" }\n'
    assert named_edges(text, folder, "x_y") == {("a", "b"), ("b", "b"), ("c", "b"), ("b", "c")}


def test_each_name_of_a_column_once(folder):
    (folder / "e.csv").write_text("gene,set,size\nTP53,Repair,2\nBRCA1,Repair,2\nTP53,Growth,1\n")
    text = 'model m\naxis a = names("e.csv", column = "gene", duplicate = merge)\n'
    text += 'axis s = names("e.csv", column = "set", duplicate = merge)\ninput x[a]\nlayer y[s]\n'
    edges = "connect x -> y : { i -> j : s.size(j) == i + 1 }\n"
    found = model(text + edges, folder)
    assert [found.axes[side][0].names for side in "xy"] == [("TP53", "BRCA1"), ("Repair", "Growth")]
    assert set(found.axes["x"][0].fields) == set()  # a gene has several sets and sizes
    assert set(found.axes["y"][0].fields) == {"size"}
    assert named_edges(text + edges, folder, "x_y") == {("BRCA1", "Repair"), ("TP53", "Growth")}
    assert codes_of(text.replace(", duplicate = merge", "") + edges, folder) == ["E615"] * 2
    assert codes_of(text.replace("merge", "skip") + edges, folder) == ["E227"] * 2
    for_rows = text.replace("merge)", 'merge, where = column("gene") != "BRCA1")', 1)
    assert model(for_rows + "connect x -> y : all", folder).axes["x"][0].names == ("TP53",)


# ----------------------------------------------------------------------------------------- sets, by name


@given(LINKS, PARTS, PARTS, PARTS, PARTS)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_sets_between_other_axes(folder, edges, own_source, own_target, source, target):
    edges = {(a, b) for a, b in edges if a in own_source and b in own_target}
    if not edges:
        return
    text = "model m\n" + "".join(
        write(folder, name, names)
        for name, names in (("p", own_source), ("q", own_target), ("r", source), ("s", target))
    )
    text += f"edges e : p -> q = {braces(edges)}\ninput x[r]\nlayer y[s]\n"
    wanted = {(a, b) for a, b in edges if a in source and b in target}
    strays = any(
        not set(own) <= set(wide) and not set(wide) <= set(own)
        for own, wide in ((own_source, source), (own_target, target))
    )
    apart = not set(own_source) & set(source) or not set(own_target) & set(target)
    plain, asked, turned = (
        f"connect x -> y : {rule}\n" for rule in ("e", "{ i -> j : i -> j in e }", "all - e")
    )
    if strays or apart:
        assert codes_of(text + plain, folder) == ["E351"]
    else:
        assert named_edges(text + plain, folder, "x_y") == wanted
        pairs = {(a, b) for a in source for b in target}
        assert named_edges(text + turned, folder, "x_y") == pairs - wanted
    if apart:
        assert codes_of(text + asked, folder) == ["E351"]
        return
    assert named_edges(text + asked, folder, "x_y") == wanted
    grid = model(
        text
        + "layer z[3, s]\nconnect x -> y : all\nconnect x -> z : { i -> (c, j) : i -> j in e, c != 1 }\n",
        folder,
    ).connections[1]
    found = {
        (source[int(i)], int(j) // len(target), target[int(j) % len(target)])
        for i, j in zip(*grid.edges.edges(), strict=True)
    }
    assert found == {(a, c, b) for a, b in wanted for c in (0, 2)}


def test_paths_by_name(folder):
    text = "model m\n" + write(folder, "p", "abcd") + write(folder, "q", "dcb") + write(folder, "r", "cab")
    text += 'edges e : p -> q = { "a" -> "b", "a" -> "c", "b" -> "d" }\n'
    text += 'edges f : r -> p = { "b" -> "a", "c" -> "d", "a" -> "a" }\ninput x[p]\nlayer y[p]\n'
    text += "connect x -> y : { i -> j : i -> k in e, k -> j in f }\n"
    assert named_edges(text, folder, "x_y") == {("a", "a"), ("a", "d")}
    text = text.replace("k -> j in f }", 'k -> j in f, k in ["c"] }')
    assert named_edges(text, folder, "x_y") == {("a", "d")}


def test_every_pair_by_name_is_never_written_out(folder):
    names = [f"n{at}" for at in range(60_000)]
    text = "model m\n" + write(folder, "large", names) + write(folder, "less", names[:50_000])
    text += "edges e : large -> large = all\ninput x[less]\nlayer y[less]\nconnect x -> y : e\n"
    assert model(text, folder).connections[0].edges.count == 50_000**2


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ('i in ["a", "c"]', lambda i, j: i in "ac"),
        ('j == "b"', lambda i, j: j == "b"),
        ('"b" != i != "a"', lambda i, j: i not in "ab"),
        ('not (i in ["a"] or j in ["a"])', lambda i, j: "a" not in (i, j)),
        ("i in few", lambda i, j: i in "bd"),
        ('i in few and j in names("few.txt")', lambda i, j: i in "bd" and j in "bd"),
        ('i in targets(e), not (j in ["b"])', lambda i, j: i == "b" and j != "b"),
        ('"b" in few, i == j', lambda i, j: i == j),
    ],
)
def test_names_beside_indices(folder, condition, wanted):
    text = "model m\n" + write(folder, "p", "abc") + write(folder, "few", "db")
    text += 'edges e : p -> p = { "a" -> "b" }\ninput x[p]\nlayer y[p]\n'
    text += f"connect x -> y : {{ i -> j : {condition} }}\n"
    assert named_edges(text, folder, "x_y") == {(i, j) for i in "abc" for j in "abc" if wanted(i, j)}


def test_rows_whose_name_is_in_a_list(folder):
    (folder / "w.csv").write_text("source,target,kind\na,b,x\nb,c,y\nc,a,x\n")
    for where, wanted in (
        ('column("source") in few', {("b", "c")}),
        ('not (column("source") in names("few.txt")) and column("kind") == "x"', {("a", "b"), ("c", "a")}),
        (
            'column("target") in names("w.csv", column = "source", where = column("kind") == "x")',
            {("b", "c"), ("c", "a")},
        ),
    ):
        text = "model m\n" + write(folder, "p", "abc") + write(folder, "few", "db")
        text += f'input x[p]\nlayer y[p]\nconnect x -> y : load("w.csv", where = {where})\n'
        assert named_edges(text, folder, "x_y") == wanted


# ------------------------------------------------------------------------------------------- circles, order


def test_circles(folder):
    def codes(statements):
        head = "model m\n" + write(folder, "p", "abc")
        return codes_of(head + statements + "input x[3]\nlayer y[a]\nconnect x -> y : all\n", folder)

    assert codes("axis a = targets(e)\nedges e : a -> p = all\n") == ["E241"]
    assert codes("axis a = targets(e)\nedges e : p -> p = f\nedges f : p -> p = { i -> len(a) - 1 }\n") == [
        "E241"
    ]
    assert codes("axis a = a | p\n") == ["E241"]
    assert codes("axis a = targets(e, from = a)\nedges e : p -> p = all\n") == ["E241"]
    assert codes("axis a = targets(e)\nedges e : p -> p = closure(e)\n") in (["E308"], ["E241"])
    assert (
        codes("axis a = targets(e)\nedges e : p -> p = f | one_to_one\nedges f : p -> p = { 0 -> 1 }\n") == []
    )


def test_loops_over_the_units_of_a_set(folder):
    text = (
        "model m\n"
        + write(folder, "p", "abcd")
        + "for k in 1..len(a) { layer h{k}[k]\nconnect x -> h{k} : all }\n"
    )
    text += 'input x[p]\naxis a = targets(e)\nedges e : x -> p = { "a" -> "b", "b" -> "d" }\n'
    assert [layer.shape for layer in model(text, folder).layers] == [(1,), (2,)]
    assert codes_of(text.replace("targets(e)", "targets(p)"), folder) == ["E202"]
    assert codes_of(text.replace("targets(e)", "tragets(e)"), folder) == ["E219"]
    assert codes_of(text.replace("targets(e)", "closure(e)"), folder) == ["E219"]
    assert codes_of(text.replace("targets(e)", "targets(e, from = q)"), folder) == ["E201"]


# ------------------------------------------------------------------------------------------------ closure


def reached(edges: EdgeSet) -> set[tuple[int, int]]:
    found = closure(edges, Budget())
    return set(zip(*(end.tolist() for end in found.edges()), strict=True))


@given(st.integers(1, 12), st.data())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_closure(size, data):
    unit = st.integers(0, size - 1)
    pairs = data.draw(st.sets(st.tuples(unit, unit), max_size=3 * size))
    graph = nx.DiGraph(pairs)
    ends = np.array(sorted(pairs), np.int64).reshape(-1, 2)
    wanted = set(nx.transitive_closure(graph, reflexive=False).edges)
    assert reached(listed(ends[:, 0], ends[:, 1], (size,), (size,))) == wanted


def test_closure_of_a_large_graph():
    rng = np.random.default_rng(1)
    graph = nx.DiGraph(rng.integers(0, 3000, (3200, 2)).tolist())
    ends = np.array(graph.edges)
    wanted = set(nx.transitive_closure(graph, reflexive=False).edges)
    assert reached(listed(ends[:, 0], ends[:, 1], (3000,), (3000,))) == wanted


def test_a_closure_costs_its_edges():
    """Of 200,000 units in pairs of trees there are few paths, of a chain of 3,000 its half square."""
    child = np.arange(1, 200_000)
    tree = listed(child, (child - 1) // 2, (200_000,), (200_000,))
    assert closure(tree, Budget()).count == sum(int(at).bit_length() - 1 for at in child + 1)
    chain = np.arange(2999)
    assert closure(listed(chain, chain + 1, (3000,), (3000,)), Budget()).count == 3000 * 2999 // 2
    every = np.triu_indices(1500, 1)
    assert closure(listed(*every, (1500,), (1500,)), Budget()).count == len(every[0])

    def steps(length):
        chain = np.arange(length - 1)
        edges = listed(chain, chain + 1, (length,), (length,))
        return lines_run(lambda: closure(edges, Budget()))[0]

    assert_in_proportion([steps(length) for length in (300, 600, 900)])


def test_closures_in_specs(folder):
    text = "model m\n" + write(folder, "p", "abcd") + write(folder, "q", "ad")
    text += 'edges e : p -> p = { "a" -> "b", "b" -> "c", "c" -> "d" }\ninput x[q]\nlayer y[q]\n'
    assert named_edges(text + "connect x -> y : closure(e)", folder, "x_y") == {("a", "d")}
    text += "connect x -> y : all\nlayer z[p]\n"
    wanted = {("a", "b"), ("a", "c"), ("a", "d"), ("a", "a"), ("d", "d")}
    text = text.replace("input x[q]", "input x[q]\nedges same : p -> p = one_to_one")
    assert named_edges(text + "connect x -> z : closure(e) | same", folder, "x_z") == wanted
    for rule, code in (
        ("closure()", "E226"),
        ("closure(all)", "E340"),
        ("closure(e, 3)", "E224"),
        ("closure(f)", "E340"),
        ("closures(e)", "E307"),
    ):
        assert codes_of(text + f"connect x -> z : {rule}", folder) == [code]


# ----------------------------------------------------------------------------------- columns of named sets


def test_a_column_of_a_named_set(folder):
    (folder / "v.csv").write_text("source,target,w\nc,a,3\na,b,1\nb,c,2\n")
    text = "model m\n" + write(folder, "p", "abc") + write(folder, "q", "cb")
    text += 'edges e : p -> p = (load("v.csv"))\nedges f : p -> p = e\nedges g : p -> p = e | one_to_one\n'

    def start(source, target, rule, weight='column("w")'):
        network = model(
            text + f"input x[{source}]\nlayer y[{target}]\nconnect x -> y : {rule} with weight = {weight}",
            folder,
        )
        return network.connections[0].weight.start.value.tolist()

    for rule in ("e", "(f)", 'load("v.csv")'):
        assert start("p", "p", rule) == [3, 1, 2]
        assert start(3, 3, "e") == [3, 1, 2]
        assert start("p", "p", rule, '2 * column("w") / fan_in') == [6, 2, 4]
    assert start("p", "q", "f") == [2, 1]
    assert start("q", "p", "e") == [3, 2]
    for rule in ("g", "e & all", "all"):
        code = codes_of(
            text + f'input x[p]\nlayer y[p]\nconnect x -> y : {rule} with weight = column("w")', folder
        )
        assert code == ["E410"]
