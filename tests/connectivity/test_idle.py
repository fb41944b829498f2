"""Policies that cannot act: never said of one that does, and with a form that means what was meant."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from . import drawn
from .specs import pairs, refusal, resolved, spec

# Of units and connections that have no edge, or rows that were skipped: beside the point here.
EMPTY = ("W301", "W302", "W330", "W331")


def found(edges: str, *sides, **rest) -> list[str]:
    """The codes of what is found in a connection, but for units without edges."""
    return [d.code.code for d in resolved(spec(edges, *sides, **rest))[1] if d.code.code not in EMPTY]


@pytest.mark.parametrize(
    ("edges", "shape", "around"),
    [
        ("abs(i - j) == 1", 8, "{ i -> i + d : d in [-1, 1] ; outside = wrap }"),
        ("abs(i - j) <= 2", 8, "{ i -> i + d : d in -2..2 ; outside = wrap }"),
        ("abs(i - j) <= 2, i != j", 8, "{ i -> i + d : d in [-2, -1, 1, 2] ; outside = wrap }"),
        ("abs(i - j) == 4", 9, "{ i -> i + d : d in [-4, 4] ; outside = wrap }"),
        ("abs(i - j) == 4", 8, "{ i -> i + 4 ; outside = wrap }"),
        ("j - i == 3", 8, "{ i -> i + 3 ; outside = wrap }"),
        ("i - j == 1", 8, "{ i -> i - 1 ; outside = wrap }"),
        ("abs(i - j) in [1, 7]", 8, "{ i -> i + d : d in [-1, 1] ; outside = wrap }"),
    ],
)
def test_the_ring_that_was_meant(edges, shape, around):
    diagnostic = refusal(f"{{ i -> j : {edges} ; outside = wrap }}", shape, shape)
    assert (diagnostic.code.code, diagnostic.help) == ("E350", (f"write `{around}`",))
    n = range(shape)
    holds = eval("lambda i, j: " + edges.replace(", i", " and i"))
    # Of the ring, some turn of the target meets the conditions.
    wanted = {(i, j) for i in n for j in n if any(holds(i, j + turn) for turn in (-shape, 0, shape))}
    assert pairs(around, shape, shape) == wanted


def test_the_torus_that_was_meant():
    both = "{ (r, c) -> (p, q) : abs(r - p) <= 1, abs(q - c) in [0, 2] ; outside = wrap }"
    around = "{ (r, c) -> (r + a, c + b) : a in -1..1, b in [-2, 0, 2] ; outside = wrap }"
    assert refusal(both, [5, 7], [5, 7]).help == (f"write `{around}`",)
    assert len(pairs(around, [5, 7], [5, 7])) == 35 * 9
    one = "{ (r, c) -> (r, q) : abs(q - c) == 1 ; outside = wrap }"
    assert found(one, [5, 7], [5, 7]) == []  # the second `r` may lie outside, were there fewer rows
    mixed = "{ (m, c) -> (n, q) : abs(q - c) == 1 ; outside = wrap }"
    around = "{ (m, c) -> (n, c + a) : a in [-1, 1] ; outside = wrap }"
    assert refusal(mixed, [5, 7], [5, 7]).help == (f"write `{around}`",)


@pytest.mark.parametrize(
    "condition", ["i * j == 4", "abs(i - j) < 9", "i < j", "", "chance(0.5)", "i == j", "i // 2 == j // 2"]
)
def test_no_form_is_made_up(condition):
    clauses = f" : {condition}" if condition else ""
    (help,) = refusal(f"{{ i -> j{clauses} ; outside = wrap }}", 8, 8).help
    assert help.startswith("write one side as a function of the other")


@pytest.mark.parametrize(
    ("edges", "codes"),
    [
        ("{ i -> j : i < j ; outside = skip }", ["W340"]),
        ("{ i -> j : i < j ; outside = error }", []),
        ("{ i -> j : i < j ; outside = skip, duplicate = merge }", ["W340", "W340"]),
        ("{ i -> i + 1 ; outside = skip, duplicate = merge }", ["W340"]),
        ("{ i -> i + 1 ; outside = wrap, duplicate = merge }", []),
        ("{ i -> i ; outside = skip }", []),
        ("{ i -> j : i in 0..20 ; outside = skip }", []),
        ("{ i -> j : i in [1, 1] ; duplicate = merge }", []),
        ("{ i -> i + k : k in 1..2 ; outside = skip, duplicate = merge }", []),
        ("{ i -> j : i -> j in e ; duplicate = merge }", ["W340"]),
        ("{ i -> j : i -> k in e, k -> j in e ; duplicate = merge }", []),
        ("{ i -> j : i // 2 -> j // 2 in e ; duplicate = merge }", ["W340"]),
        ("{ 0 -> 1, 0 -> 1 ; duplicate = merge }", []),
        ("{ 0 -> 12 ; outside = skip }", []),
        ("{ [0, 0] -> i ; duplicate = merge }", []),
    ],
)
def test_what_is_said(edges, codes):
    assert found(edges, before="edges e : [10] -> [10] = { i -> i + 1 ; outside = skip }") == codes


@given(st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_policy_without_effect_has_none(data):
    source, target = (
        data.draw(st.tuples(*[st.integers(1, 4)] * rank))
        for rank in data.draw(st.sampled_from([(1, 1), (1, 1), (1, 2), (2, 2)]))
    )
    case = data.draw(drawn.builder(source, target, wild=False))
    assume(not case.errors)

    def text(edges: str) -> str:
        before, _, connect = spec(edges, source, target, before="param p = 3").partition("connect")
        return f"{before}for t in 2..2 {{ connect{connect}}}"

    network, diagnostics = resolved(text(case.text))
    assert network is not None
    for diagnostic in diagnostics:
        if diagnostic.code.code == "W340":
            policy = re.match("`(.*?)`", diagnostic.message)[1]
            left = re.sub(f"(, )?{policy}", "", case.text).replace(" ;  }", " }").replace("; , ", "; ")
            without, _ = resolved(text(left))
            assert without is not None, (case.text, left)
            assert without.connections[0].edges.count == len(case.edges)


def test_numbers_below_zero_count_from_the_end_where_it_wraps():
    assert pairs("{ 0 -> -1, 1 -> 10, [2, -3] -> -2 ; outside = wrap }") == {(0, 9), (1, 0), (2, 8), (7, 8)}


def test_policies_of_files(tmp_path):
    (tmp_path / "n.txt").write_text("a\nb\n")
    (tmp_path / "named.csv").write_text("source,target\na,b\n")
    (tmp_path / "mixed.csv").write_text("source,target\na,9\nc,0\n")
    (tmp_path / "numbers.csv").write_text("source,target\n0,1\n7,1\n")

    def codes(left, right, load):
        text = f'model m\naxis n = names("n.txt")\ninput x[{left}]\nlayer y[{right}]\nconnect x -> y : {load}'
        return [d.code.code for d in resolved(text, tmp_path)[1] if d.code.code not in EMPTY]

    assert codes("n", "n", 'load("named.csv", unknown = skip)') == []
    assert codes("n", "n", 'load("named.csv", outside = wrap)') == ["W340"]
    assert codes("n", "n", 'load("named.csv", outside = skip, unknown = skip)') == ["W340"]
    assert codes("n", 3, 'load("mixed.csv", outside = skip, unknown = skip)') == []
    assert codes(8, 8, 'load("numbers.csv", unknown = skip)') == ["W340"]
    assert codes(8, 8, 'load("numbers.csv", outside = skip, duplicate = merge)') == []
