"""Drawn builders and set expressions have exactly the edges, or the error, that brute force finds."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from nnspec.compiler.connectivity.edge_set import Listed

from . import drawn, oracle
from .specs import resolved, spec


def check(case: drawn.Case, source: tuple[int, ...], target: tuple[int, ...]) -> None:
    text = spec(case.text, source, target, before="param p = 3")
    head, _, wire = text.rpartition("\nconnect")
    text = f"{head}\nfor t in 2..2 {{ connect{wire} }}\n"
    event(f"errors: {sorted(case.errors)}")
    network, diagnostics = resolved(text)
    codes = [d.code.code for d in diagnostics if d.severity == "error"]
    if case.errors:
        assert len(codes) == 1, (text, codes)
        assert codes[0] in case.errors, (text, codes, case.errors)
        return
    assert network is not None, (text, diagnostics)
    edges = network.connections[0].edges
    found = edges.edges()
    assert list(zip(found[1].tolist(), found[0].tolist(), strict=True)) == sorted(
        (t, s) for s, t in case.edges
    ), text
    if isinstance(edges, Listed):  # a set of another kind is never written out as pairs
        assert case.edges != oracle.every_pair(source, target)
        assert source != target or case.edges != oracle.one_to_one(source)


def shapes(rank: int, largest: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[st.integers(1, largest)] * rank)


def cases(examples: int):
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


LINES = st.tuples(shapes(1, 8), shapes(1, 8))
GRIDS = st.one_of(
    st.tuples(shapes(2, 4), shapes(2, 4)),
    st.tuples(shapes(1, 6), shapes(2, 3)),
    st.tuples(shapes(3, 3), shapes(2, 3)),
    st.tuples(shapes(2, 3), shapes(1, 5)),
)
EQUAL = st.one_of(shapes(1, 6), shapes(2, 3)).map(lambda shape: (shape, shape))


def _case(strategy, sides, data):
    source, target = data.draw(sides)
    check(data.draw(strategy(source, target)), source, target)


@cases(1000)
@given(st.data())
def test_builders_on_lines(data):
    _case(drawn.builder, LINES, data)


@cases(300)
@given(st.data())
def test_builders_on_grids(data):
    _case(drawn.builder, GRIDS, data)


@cases(300)
@given(st.data())
def test_explicit_pairs(data):
    _case(drawn.explicit, st.one_of(LINES, GRIDS), data)


@cases(400)
@given(st.data())
def test_algebra(data):
    _case(drawn.algebra, st.one_of(EQUAL, EQUAL, LINES, GRIDS), data)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "sides"),
    [(drawn.builder, LINES), (drawn.builder, GRIDS), (drawn.explicit, GRIDS), (drawn.algebra, EQUAL)],
)
def test_many_more(strategy, sides):
    @settings(cases(10_000), derandomize=False)
    @given(st.data())
    def run(data):
        _case(strategy, sides, data)

    run()
