"""Drawn builders and set expressions have exactly the edges, or the error, that brute force finds."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import nullcontext
from functools import cache
from math import prod
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from nnspec.compiler.edges.degrees import degrees, unreached
from nnspec.compiler.edges.edge_set import Listed
from nnspec.compiler.edges.structure import recognised

from . import drawn, drawn_sets, oracle
from .drawn_sets import Sides
from .specs import resolved


def check(case: drawn.Case, sides: Sides) -> None:
    """The edges of a case between two sides, and what else is told of them."""
    with tempfile.TemporaryDirectory() if case.files or sides.files else nullcontext("/nowhere") as folder:
        for name, content in (*case.files.items(), *sides.files):
            Path(folder, name).write_bytes(content)
        text = spec_of(case, sides)
        network, diagnostics = resolved(text, Path(folder))
    event(f"errors: {sorted(case.errors)}")
    codes = [d.code.code for d in diagnostics if d.severity == "error"]
    if case.errors:
        # A named set is refused in its own statement, and what uses others besides may be as well.
        assert 1 <= len(codes) <= 1 + len(case.before), (text, codes)
        assert {*codes} <= case.errors, (text, codes, case.errors)
        return
    assert network is not None, (text, diagnostics)
    edges = network.connections[0].edges
    event(type(edges).__name__)
    found = edges.edges()
    assert list(zip(found[1].tolist(), found[0].tolist(), strict=True)) == sorted(
        (t, s) for s, t in case.edges
    ), text
    assert edges.count == len(case.edges), text
    source, target = sides.source, sides.target
    assert (edges.source_shape, edges.target_shape) == (source, target), text
    if isinstance(edges, Listed):  # a set of another kind is never written out as pairs
        assert case.edges != oracle.every_pair(source, target)
        assert source != target or case.edges != oracle.one_to_one(source)
    for end, shape, units in (("source", source, found[0]), ("target", target, found[1])):
        counts = Counter(units.tolist())
        wanted = Counter(counts[unit] for unit in range(prod(shape)))
        assert dict(degrees(edges, end).units) == dict(wanted), (text, end)
        absent = [unit for unit in range(prod(shape)) if not counts[unit]]
        count, first = unreached([edges], end, 3)
        assert (count, first.tolist()) == (len(absent), absent[:3]), (text, end)
    again = recognised(Listed(source, target, *found))
    for one, other in zip(again.edges(), found, strict=True):
        np.testing.assert_array_equal(one, other, text)
    assert again.count == len(case.edges), text


def spec_of(case: drawn.Case, sides: Sides) -> str:
    """A spec with a param and a loop around the set."""
    declared = [
        text or str(list(shape))
        for text, shape in zip(sides.declared, (sides.source, sides.target), strict=True)
    ]
    statements = "".join(f"  {statement}\n" for statement in dict.fromkeys(case.before))
    before = "".join(f"{statement}\n" for statement in sides.before)
    return (
        f"model m\nparam p = 3\n{before}input left{declared[0]}\nlayer right{declared[1]}\n"
        f"for t in 2..2 {{\n{statements}  connect left -> right as wire : {case.text}\n}}\n"
    )


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
# Sizes that have divisors, for digits.
LONG = st.sampled_from([1, 2, 3, 4, 5, 6, 6, 8, 8, 9, 10, 12, 12])
FLAT = st.one_of(st.tuples(LONG), st.tuples(LONG), st.tuples(st.integers(1, 12)))
WIDE = st.tuples(st.integers(1, 3), st.sampled_from([1, 2, 3, 4, 4, 6, 6]))
DEEP = st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 4))
EACH = st.one_of(FLAT, WIDE, DEEP)
STRUCTURED = st.one_of(
    FLAT.map(lambda shape: (shape, shape)),
    st.tuples(FLAT, FLAT),
    st.tuples(WIDE, WIDE),
    WIDE.map(lambda shape: (shape, shape)),
    DEEP.map(lambda shape: (shape, shape)),
    st.tuples(DEEP, DEEP),
    st.tuples(EACH, EACH),
)
SMALL = st.one_of(shapes(1, 6), st.tuples(st.integers(1, 3), st.integers(1, 4)), shapes(3, 2))
MIXED = st.one_of(SMALL.map(lambda shape: (shape, shape)), st.tuples(SMALL, SMALL))
WINDOWS = drawn_sets.fitting_sides(st.one_of(shapes(1, 12), shapes(2, 5), shapes(3, 4)))


def plain(shapes):
    """Sides that are no axes."""
    return shapes.map(lambda both: Sides(*both))


def of_shapes(strategy):
    """A strategy that knows nothing of names."""
    made = cache(strategy)  # to make it anew for every set would take long
    return lambda sides: made(sides.source, sides.target)


def with_names(strategy):
    made = cache(strategy)
    return lambda sides: made(sides.source, sides.target, sides.names)


# What is drawn, between which sides, and how often in the normal suite and in the long one.
FORMS = {
    "builders on lines": (of_shapes(drawn.builder), plain(LINES), 100, 8_000),
    "builders on grids": (of_shapes(drawn.builder), plain(GRIDS), 40, 5_000),
    "algebra of builders": (
        of_shapes(drawn.algebra),
        plain(st.one_of(EQUAL, EQUAL, LINES, GRIDS)),
        50,
        5_000,
    ),
    "explicit pairs": (with_names(drawn.explicit), drawn_sets.sides(st.one_of(LINES, GRIDS)), 30, 3_000),
    "structured builders": (of_shapes(drawn_sets.structured), plain(STRUCTURED), 120, 14_000),
    "windows": (of_shapes(drawn_sets.window), plain(WINDOWS), 40, 3_000),
    "tables": (with_names(drawn_sets.table), drawn_sets.sides(MIXED), 20, 2_000),
    "everything": (with_names(drawn_sets.anything), drawn_sets.sides(MIXED), 100, 10_000),
}


def _run(form: str, examples: settings) -> None:
    strategy, sides, *_ = FORMS[form]

    @examples
    @given(st.data())
    def run(data):
        between = data.draw(sides)
        check(data.draw(strategy(between)), between)

    run()


def test_numbers():
    assert sum(few for *_, few, _ in FORMS.values()) == 500
    assert sum(many for *_, many in FORMS.values()) == 50_000


@pytest.mark.parametrize("form", FORMS)
def test_drawn(form):
    _run(form, cases(FORMS[form][2]))


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_many_more(form):
    _run(form, settings(cases(FORMS[form][3]), derandomize=False))
