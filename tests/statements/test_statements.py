"""What generated tests state of the spec's edges: no solver fools it, and what is not stated is said.

That right specs raise no alarm is tested where specs are drawn, in `tests/drawn`.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from math import isclose
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nnspec.backends.tests.kernels.rules import check_statement, stated
from nnspec.backends.tests.rules import Sample
from nnspec.compiler import compile_spec
from nnspec.compiler.edges.edge_set import EdgeSet, Shifted, from_keys, pair_keys, shifted
from nnspec.compiler.edges.structure import recognised
from nnspec.compiler.sets import resolver as sets

from ..docs.test_docs import blocks
from .checking import check_statements, generated_tests, run_statements

ROOT = Path(__file__).parent.parent.parent

FRAME = """model wrong
param width = 2
axis gene = names("genes.csv", column = "name")
axis part = gene - left_out
axis left_out = names("genes.csv", column = "name", where = column("level") == 3)
input x[8]
input genes[gene]
layer y[8]
layer grid[2, 4]
layer h[gene]
layer k[part]
edges band : [8] -> [8] = { i -> j : abs(i - j) <= 1 }
edges pathway : gene -> gene = load("edges.csv")
connect x -> grid : all
connect x -> y : all
connect genes -> k : all
connect genes -> h : all
"""
ABSENT = np.zeros((8, 8), np.uint8)
ABSENT[[0, 3, 3, 7], [1, 3, 4, 0]] = 1


def array_file(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


FILES = {
    "genes.csv": b"name,level\nBRCA1,1\nTP53,2\nEGFR,3\nMYC,1\n",
    "edges.csv": b"source,target,kind\nBRCA1,TP53,on\nTP53,MYC,on\nMYC,EGFR,off\nEGFR,BRCA1,on\n",
    "pairs.csv": b"source,target\n0,1\n3,5\n9,2\n7,7\n",
    "sets.gmt": b"BRCA1\twhere\tTP53\tMYC\nEGFR\twhere\tMYC\n",
    "matrix.npy": array_file(ABSENT),
}

# One of each form, between x and y unless they say otherwise.
FORMS = {
    "pairs": "{ 0 -> 3, 5 -> 2, [1, 2] -> [6, 7] }",
    "condition": "{ i -> j : abs(i - j) <= width, i != j }",
    "faults": "{ i -> j : j != 0, i % j == 0 }",
    "or": "{ i -> j : i == j or j == 0 or i // j == 3 }",
    "computed": "{ i -> i // 2 }",
    "range": "{ i -> m : m in 0..i }",
    "wrap": "{ i -> i + d : d in -1..1 ; outside = wrap }",
    "skip": "{ i -> i + 3, i -> i - 2 ; outside = skip }",
    "tuples": "x -> grid : { i -> (i // 4, (i + c) % 4) : c in [0, 1] }",
    "window": "window(3, pad = same)",
    "algebra": "(all - band) & { i -> j : i < 6 } | { 7 -> 0 }",
    "named": "band",
    "closure": "closure(band) - one_to_one",
    "membership": "{ i -> j : i // 2 -> j // 2 in band, j -> i in band }",
    "way": "{ i -> j : i -> m in band, m -> j in band ; duplicate = merge }",
    "ends": "{ band.source(e) -> band.target(e) : e in 2..len(band) - 1 }",
    "fan_in": "random(fan_in = 3)",
    "fan_out": "random(fan_out = 2, among = all - one_to_one)",
    "edges": "random(edges = 9, seed = 4)",
    "p": "random(p = 0.4)",
    "p among": "random(p = 0.6, among = band)",
    "chance": "{ i -> j : i != j, chance(exp(-abs(i - j) / 3)) }",
    "one_to_one": "one_to_one",
    "all": "all",
    "table": 'load("pairs.csv", outside = wrap)',
    "matrix": 'load("matrix.npy", rows = target)',
    "names": "genes -> h : pathway",
    "by name": "k -> h : pathway",
    "fields": "genes -> h : { a -> b : gene.level(a) < gene.level(b) or a == \"MYC\" }",
    "rows": 'genes -> h : load("edges.csv", where = column("kind") == "on")',
    "gene sets": 'genes -> h : load("sets.gmt")',
    "in axis": "k -> h : { a -> b : a in gene, b in left_out }",
}  # fmt: skip


def spec_of(form: str) -> str:
    """A spec with a connection `it` of some form."""
    ends, colon, edges = FORMS[form].partition(" : ")
    between = bool(colon) and "{" not in ends
    return FRAME + f"connect {ends if between else 'x -> y'} as it : {edges if between else FORMS[form]}\n"


# ------------------------------------------------------------------------------------------- wrong solvers


def moved(edges: EdgeSet, how: str) -> EdgeSet:
    """A set that is wrong by one edge: one more, one fewer, or one whose source is the next unit."""
    shapes = edges.source_shape, edges.target_shape
    keys = {*pair_keys(*edges.edges(), *shapes).tolist()}
    every = range(int(np.prod(shapes[0])) * int(np.prod(shapes[1])))
    absent = [key for key in every if key not in keys]
    middle = sorted(keys)[len(keys) // 2]
    if how != "more":
        keys.remove(middle)
    if how != "fewer" and absent:
        keys.add(min(absent, key=lambda key: abs(key - middle)))
    return from_keys(np.array(sorted(keys), np.int64), *shapes)


def compiled_wrong(
    text: str, folder: Path, wrong: Callable[[EdgeSet], EdgeSet], monkeypatch: pytest.MonkeyPatch
) -> Any:
    """Generated tests of a spec whose connection `it` a wrong solver has solved."""
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    (folder / "wrong.nnspec").write_text(text)
    resolve = sets.SetResolver.resolve

    def faulty(self: Any, node: Any, sides: Any, variables: Any) -> EdgeSet:
        edges = resolve(self, node, sides, variables)
        return wrong(edges) if sides.owner == "it" else edges

    with monkeypatch.context() as patch:
        patch.setattr(sets.SetResolver, "resolve", faulty)
        build = compile_spec(folder / "wrong.nnspec", ("numpy",))
    return generated_tests(build, folder)


WRONG = ("more", "fewer", "next")


@pytest.mark.parametrize("ways", [1, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("form", FORMS)
def test_a_solver_that_is_wrong_by_one_edge_is_noticed(
    form: str, ways: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one of the ways that there are, by turns; the long tests try all for each form."""
    first = [*FORMS].index(form)
    chosen = ("fewer",) if form == "all" else [WRONG[(first + way) % 3] for way in range(ways)]
    tests = compiled_wrong(spec_of(form), tmp_path, lambda edges: edges, monkeypatch)
    counts = run_statements(tests, tmp_path)
    assert counts["whole"] == 5
    assert not counts["not stated"]
    for how in chosen:
        tests = compiled_wrong(spec_of(form), tmp_path, lambda edges, h=how: moved(edges, h), monkeypatch)
        tests.check_stored(tests.EXPECTED)  # which has the same solver's edges
        with pytest.raises(AssertionError, match=r"it: edge \d+ -> \d+, by unit numbers, is wrong"):
            run_statements(tests, tmp_path)


@pytest.mark.parametrize("edges", ["{ i -> i + d : d in -1..1 ; outside = wrap }", "band"])
@pytest.mark.parametrize(
    "change", [lambda o: o[1:], lambda o: ((o[0][0] - 1,), *o), lambda o: ((o[0][0] - 1,), *o[1:])]
)
def test_a_closed_form_with_a_wrong_difference_is_noticed(
    edges: str, change: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(solved: EdgeSet) -> EdgeSet:
        assert isinstance(solved, Shifted)
        ends = solved.source_shape, solved.target_shape
        return shifted(*ends, solved.strides, change(solved.offsets), wrap=solved.wrap)

    text = FRAME + f"connect x -> y as it : {edges}\n"
    tests = compiled_wrong(text, tmp_path, wrong, monkeypatch)
    with pytest.raises(AssertionError, match=r"it: edge \d+ -> \d+, by unit numbers, is wrong"):
        run_statements(tests, tmp_path)


def test_a_kept_set_is_wrong_where_what_reads_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A named set that is solved wrongly is wrong in the connections that use it, and noticed there."""
    monkeypatch.setattr(sets, "recognised", lambda edges: recognised(moved(edges, "fewer")))
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(AssertionError, match="the spec states it, and it is not there"):
        check_statements(spec_of("membership"), tmp_path)


# ------------------------------------------------------------------------------------------------ samples


def test_chances_are_those_of_drawing_without_replacement() -> None:
    sample = Sample(targets=3, sources=5, edges=2, of=(7, 5, 6))
    for wrong in (1, 2, 3):
        draws = [*combinations(range(7), 3)]
        missing = sum(not {*draw} & {*range(wrong)} for draw in draws) / len(draws)
        some = [*combinations(range(6), 2)]
        unseen = sum(not {*draw} & {*range(wrong)} for draw in some) / len(some)
        assert all(map(isclose, sample.missed(wrong), (missing, missing * unseen)))
    assert Sample(7, 5, 0, (7, 5, 6)).missed(1) == (0, 0)


def test_wrong_edges_are_met_as_often_as_is_said() -> None:
    size, sample = 100, Sample(targets=30, sources=100, edges=150, of=(100, 100, 500))

    @stated((size,), (size,))
    def band(sources: Any, targets: Any) -> Any:
        return ((i, j) for i in sources for j in targets if (i - j) % size in (0, 1, 2, 3, 4))

    edges = sorted((j, (j + d) % size) for j in range(size) for d in range(5))
    rng = np.random.default_rng(0)
    caught = Counter[str]()
    rounds = 200
    for _ in range(rounds):
        target, source = edges[rng.integers(len(edges))]
        for how, listed in (
            ("missing", [edge for edge in edges if edge != (target, source)]),
            ("surplus", sorted([*edges, (target, (target - 7) % size)])),
        ):
            ends = np.array(listed)
            held: Any = SimpleNamespace(parts={}, stored={"it.target": ends[:, 0], "it.source": ends[:, 1]})
            try:
                check_statement(held, "it", band, "listed", (sample.targets, sample.sources, sample.edges))
            except AssertionError:
                caught[how] += 1
    for how, missed in zip(("missing", "surplus"), sample.missed(1), strict=True):
        deviation = (missed * (1 - missed) / rounds) ** 0.5
        assert abs(1 - caught[how] / rounds - missed) < 4 * deviation, how


@pytest.mark.parametrize(
    "edges",
    [
        "{ i -> j : i * j % 97 == 0 }",
        "random(fan_in = 3)",
        "random(p = 0.001)",
        "{ i -> i + d : d in -2..2 ; outside = skip }",
        "all - { i -> j : abs(i - j) <= 1200 }",
    ],
)
def test_of_many_pairs_some_are_compared_and_it_is_said_how_many(edges: str, tmp_path: Path) -> None:
    (tmp_path / "large.nnspec").write_text(
        f"model large\ninput x[1500]\nlayer y[1500]\nconnect x -> y : {edges}\n"
    )
    build = compile_spec(tmp_path / "large.nnspec", ("numpy",))
    tests = generated_tests(build, tmp_path)
    run_statements(tests, tmp_path)
    statement, _, sample = tests.STATEMENTS["x_y"]
    said = " ".join(statement.rule.__doc__.split())
    if sample is None:
        assert said == "All 1,500 x 1,500 pairs are compared."
        return
    targets, sources, _ = sample
    some = "all sources" if sources == 1500 else f"{sources:,} of 1,500 sources"
    assert said.startswith(f"Compared are {targets:,} of 1,500 targets with {some}")
    assert re.search(r"A single missing edge is overlooked with a chance of 0\.\d+", said)


def test_more_pairs_than_can_be_numbered_are_compared_in_part(tmp_path: Path) -> None:
    text = "model wide\ninput x[300000]\nlayer y[300000]\nconnect x -> y : { i -> j : abs(i - j) <= 1 }\n"
    assert check_statements(text, tmp_path) == {"sampled": 1, "not stated": 0}


# ----------------------------------------------------------------------------------- all that is written down

# Between sides of one dimension, of two, of one unit, and with names; the last ones are not stated.
ODD = r"""
x -> y : { i -> j : i % j == 0, not chance(1) }
x -> y : { i -> j : chance(0.5), i % j < 2 or i // j == 3 or j == 0, j > 0 }
x -> y : random(p = 0.5, among = { i -> j : abs(i - j) < 100 })
z -> w : random(p = 0.5, among = { (r, c) -> (f, d) : abs(r - f) < 100 })
x -> y : random(p = 0.5, among = { i -> j : i < 7 or j < 7 })
x -> y : random(p = 0.5, among = { i -> j : chance(1) })
x -> y : random(p = 0.5, among = random(p = 1))
x -> y : random(p = 0.5, among = random(fan_in = 8))
x -> y : random(p = 0.5, among = random(edges = 64))
x -> y : random(p = 0.5, among = { [0, 1, 2, 3, 4, 5, 6, 7] -> j })
x -> y : random(p = 0.5, among = { i -> i + d : d in 0..7 ; outside = wrap })
x -> y : random(p = 0.5, among = { i -> j : i // 4 <= 1 and j % 2 <= 1 })
one -> only : random(p = 0.5, among = { 0 -> 0 })
one -> only : random(p = 0.5, among = window(1))
x -> y : random(p = 1, among = most | { 0 -> 0 })
x -> y : random(p = 0.5, among = { i -> j : i >= 0 })
x -> y : random(p = 0.5, among = { i -> j })
x -> y : random(p = 0.5, among = every)
x -> y : random(p = 0.5, among = most)
x -> y : random(p = 0.5, among = all - every)
x -> y : random(p = 0.5, among = all - empty)
x -> y : random(p = 0.5, among = all - most)
one -> only : random(p = 0.5, among = one_to_one)
x -> y : random(p = 0.5, among = every | one_to_one)
x -> y : random(p = 0.5, among = every - one_to_one)
x -> y : random(p = 0.5, among = most & { i -> j : i < j })
x -> y : random(p=0.5, among = window(15, pad = same))
x -> y : random(p = 0.5, among = all)
x -> y : random(p = 0.5, among = (all))
x -> y : random(p = 0.5, among = (all) - one_to_one)
x -> y : random(p = 0.5, among = all - (all - one_to_one))
x -> y : random(fan_in = 3, among = (all - (all - one_to_one)) | { i -> j : i < j + 4 })
x -> y : random(p = 0.5, among = random(p = 0.5))
x -> y : random(p = 0.5, among = every & every)
x -> y : random(p = 0.5, among = { i -> j : i + j >= 0 })
x -> y : random(p = 0.5, among = { i -> j : i * j >= 0 })
x -> y : { i -> j : chance(0.5), chance(0.7) ; seed = 7 }
x -> y : { i -> i + d : d in -2..2, chance(0.5) ; outside = wrap }
x -> y : { i -> i + d : d in -2..2, not chance(0.5) or i == 3 ; outside = skip }
x -> q : { i -> "a1" : i in [1, 2] }
x -> q : { i -> j : j in ["a1", "a3"], i != 2 }
x -> q : { [0, 1] -> ["a1", "a2"], 3 -> "a3" }
x -> q : { i -> j : j == "a1" or i < 2 }
z -> w : { (r, c) -> (r, d) : d in c..2 }
z -> w : window(2, 3, pad = same, dilation = (1, 1))
z -> w : random(fan_in = 2, among = one_to_one | { (r, c) -> (r, d) })
z -> w : { (a1, c) -> (1 - a1, min(c + 1, 2)) ; duplicate = merge }
z -> w : { (1, 2) -> (0, 0), (0, 1) -> [(1, 1), (1, 2)] }
z -> w : { (lambda, is) -> (lambda, range) : is <= range }
z -> w : { (sum, c_) -> (sum, c) : c_ < c }
x -> y : { i -> j : i ** j < 20, j < 5 }
x -> y : { i -> j : 2 ** (i - 4) > j }
x -> y : { i -> j : sqrt(i - j) <= 1, i >= j }
x -> y : { i -> j : (i + 0) in 0.5..3.5 }
x -> y : { i -> j : 0 < i in 0..3 }
x -> y : { i -> j : i / 2 == j }
x -> y : { i -> j : j in [1, i, 3] ; duplicate = merge }
x -> y : { -1 -> 0, 8 -> 8 ; outside = wrap }
x -> y : { i -> k : k in [1, 1, 2] ; duplicate = merge }
x -> y : { i -> k : k in -2..1 ; outside = wrap }
x -> y : { k -> k + 1 : k in -2..1 ; outside = wrap }
x -> y : random(edges = 5) - random(edges = 5, seed = 3)
x -> y : random(p = 1e-3, seed = 1234567890123456789)
x -> y : { (i) -> ((i)) }
x -> y : { i -> j : i in 2..4 or j == 2, i in 0..3 }
x -> y : { i -> j : min(i) == j }
x -> y : { i -> j : floor(i / 2) == j, not (i == j) and i > 0 }
x -> y : { i -> j : -i ** 2 + j < -2 ** 1 }
x -> y : { i -> j : (-i) ** 2 - (j - (i - 1)) > 1 }
""".strip().splitlines()


def test_odd_sets_raise_no_alarm(tmp_path: Path) -> None:
    text = """model odd
axis a = names("a.txt")
input x[8]
layer y[8]
input one[1]
layer only[1]
input z[2, 3]
layer w[2, 3]
layer q[a]
edges every : [8] -> [8] = all
edges most : [8] -> [8] = all - one_to_one
edges empty : [8] -> [8] = all - all
"""
    for number, line in enumerate(ODD):
        sides, _, edges = line.partition(" : ")
        text += f"connect {sides} as c{number} : {edges}\n"
    counts = check_statements(text, tmp_path, {"a.txt": b"a1\na2\na3\n"})
    ways = ("among = every ", "most &", "(all - one", "one -> only : random(p = 0.5, among")
    unstated = sum(any(way in line for way in ways) and "p = 0.5" in line for line in ODD)
    assert counts == {"whole": len(ODD) - unstated, "names": 1, "not stated": unstated}


def test_all_edges_of_the_examples_are_stated(examples_folder: Path) -> None:
    """They are compared where all generated tests of the examples run, in `tests/examples`."""
    for spec in sorted(examples_folder.glob("*.nnspec")):
        build = compile_spec(spec, ("numpy",))
        source = build.files[f"test_{spec.stem}.py"].decode()
        assert "NOT_STATED" not in source
        for connection in build.passage.model.connections:
            assert f"\ndef stated_{connection.name}(" in source


@pytest.mark.slow
@pytest.mark.parametrize("page", ["language", "connectivity"])
def test_all_edges_of_a_page_are_stated(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    frame, namespace = "", {"np": np}
    counts: Counter[str] = Counter()
    for block in blocks(ROOT / "docs" / f"{page}.md"):
        if block.rest not in ("", "frame", "fragment") and block.language != "diff":
            Path(block.rest).write_text(block.text, encoding="utf-8")
        if block.language == "python" and not block.rest and "np.save" in block.text:
            exec(block.text, namespace)
        if block.language == "nnspec" and block.rest == "frame":
            frame = block.text
        elif block.language == "nnspec":
            before = frame if block.rest == "fragment" else ""
            counts += check_statements(before + block.text, tmp_path)
    assert counts["whole"] > 100
    assert not counts["not stated"]


# ------------------------------------------------------------------------------------------------- files


@pytest.fixture
def reading(tmp_path: Path) -> tuple[Any, Path]:
    """Generated tests of a spec that reads a file, and the folder of the spec."""
    (tmp_path / "pairs.csv").write_bytes(FILES["pairs.csv"])
    text = 'model reading\ninput x[8]\nlayer y[8]\nconnect x -> y : load("pairs.csv", outside = skip)\n'
    (tmp_path / "reading.nnspec").write_text(text)
    return generated_tests(compile_spec(tmp_path / "reading.nnspec", ("numpy",)), tmp_path), tmp_path


def test_a_file_is_found_in_a_folder_around_the_tests(
    reading: tuple[Any, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tests, _ = reading
    monkeypatch.delenv("NNSPEC_SPEC_FOLDER", raising=False)
    tests.check_statement(tests.EXPECTED, "x_y", *tests.STATEMENTS["x_y"])


def test_a_file_is_found_in_the_folder_of_specs_beside_the_generated_code(
    reading: tuple[Any, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tests, folder = reading
    monkeypatch.delenv("NNSPEC_SPEC_FOLDER", raising=False)
    (folder / "specs").mkdir()
    (folder / "pairs.csv").rename(folder / "specs" / "pairs.csv")
    (folder / "generated").mkdir()
    content = tests.read_file("pairs.csv", tests.FILES["pairs.csv"], folder / "generated" / "test_reading.py")
    assert content == FILES["pairs.csv"]


def test_a_file_that_is_absent_is_named(
    reading: tuple[Any, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    tests, folder = reading
    (folder / "pairs.csv").unlink()
    with pytest.raises(pytest.skip.Exception, match=r"`pairs\.csv`, which the spec reads, is not here"):
        run_statements(tests, folder)


def test_a_file_that_has_changed_is_told_from_wrong_edges(reading: tuple[Any, Path]) -> None:
    tests, folder = reading
    (folder / "pairs.csv").write_bytes(FILES["pairs.csv"] + b"1,1\n")
    with pytest.raises(AssertionError, match=r"`pairs\.csv` has changed since the spec was compiled"):
        run_statements(tests, folder)


def test_what_is_not_stated_is_said(tmp_path: Path) -> None:
    import polars as pl

    pl.DataFrame({"source": [0, 1], "target": [1, 2]}).write_parquet(tmp_path / "pairs.parquet")
    text = 'model said\ninput x[4]\nlayer y[4]\nconnect x -> y : load("pairs.parquet")\n'
    assert check_statements(text, tmp_path) == {"not stated": 1}
    tests = generated_tests(compile_spec(tmp_path / "stated.nnspec", ("numpy",)), tmp_path)
    assert tests.NOT_STATED == {"x_y": "Python by itself reads no Parquet files"}
