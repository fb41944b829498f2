"""Edges restated from rules in generated code: those of the compiler, in its order."""

from __future__ import annotations

import importlib.util
from itertools import product as every
from math import prod
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnspec.backends import parts
from nnspec.backends.common.kernels import rules
from nnspec.backends.common.kernels.names import places_of, units_in_table
from nnspec.backends.common.kernels.stored import edges_of
from nnspec.backends.emit import write
from nnspec.backends.source import Scope, flat
from nnspec.compiler import compile_spec
from nnspec.compiler.edges.edge_set import Diagonal, Full, Listed, Product, Shifted, listed
from nnspec.compiler.plan.plan import part_name

# ---------------------------------------------------------------------------------------- drawn sets


def shape(rank: int, largest: int = 6):
    return st.tuples(*[st.integers(1, largest)] * rank)


@st.composite
def bands(draw, source=None, target=None):
    """A `Shifted` whose offsets reach some target, or go around."""
    rank = draw(st.integers(1, 3)) if source is None else len(source)
    source = source or draw(shape(rank, {1: 12, 2: 6, 3: 4}[rank]))
    target = target or draw(st.one_of(st.just(source), shape(rank, {1: 12, 2: 6, 3: 4}[rank])))
    wrap = draw(st.booleans())
    strides = draw(st.one_of(st.just((1,) * rank), st.tuples(*[st.integers(1, 3)] * rank)))
    if wrap:
        far = [range(-((size - 1) // 2), size // 2 + 1) for size in source]
    else:
        far = [range(-s * (m - 1), n) for s, n, m in zip(strides, source, target, strict=True)]
    offsets = draw(st.sets(st.tuples(*map(st.sampled_from, far)), min_size=1, max_size=9))
    if rank == 1 and draw(st.booleans()):  # evenly spaced, which is written as a range
        low = min(offsets)[0]
        offsets = {(o,) for o in range(low, low + 9, draw(st.integers(1, 3))) if o in far[0]}
    return Shifted(source, target, strides, tuple(sorted(offsets)), wrap)


@st.composite
def lists(draw):
    """A few listed edges between lines."""
    (n,), (m,) = draw(shape(1)), draw(shape(1))
    pairs = draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, m - 1)), max_size=5, unique=True))
    source, target = np.array(pairs, np.int64).reshape(-1, 2).T
    found = listed(source, target, (n,), (m,))
    return Listed((n,), (m,), *found.edges())


FACTORS = st.one_of(
    st.builds(Full, shape(1, 4), shape(1, 4)),
    shape(1, 4).map(lambda units: Diagonal(units, units)),
    shape(2, 3).map(lambda units: Diagonal(units, units)),
    shape(1).flatmap(lambda n: shape(1).flatmap(lambda m: bands(n, m))),
    shape(2, 3).flatmap(lambda n: bands(n, n)),
    lists(),
)


@st.composite
def products(draw):
    factors = draw(st.lists(FACTORS, min_size=1, max_size=3))
    source, target = (
        tuple(size for factor in factors for size in getattr(factor, f"{end}_shape"))
        for end in ("source", "target")
    )
    return Product(source, target, tuple(factors))


def brute_force(edges):
    """The edges of a set by its definition, as pairs of units."""
    sources, targets = (list(every(*map(range, s))) for s in (edges.source_shape, edges.target_shape))
    match edges:
        case Full():
            return {(s, t) for s in range(len(sources)) for t in range(len(targets))}
        case Diagonal():
            return {(s, s) for s in range(len(sources))}
        case Listed():
            return set(zip(edges.source.tolist(), edges.target.tolist(), strict=True))
        case Shifted():
            found = set()
            for t, place in enumerate(targets):
                for offset in edges.offsets:
                    index = [s * q + o for s, q, o in zip(edges.strides, place, offset, strict=True)]
                    if edges.wrap:
                        index = [i % size for i, size in zip(index, edges.source_shape, strict=True)]
                    if tuple(index) in sources:
                        found.add((sources.index(tuple(index)), t))
            return found
        case Product():
            found = {(0, 0)}
            for factor in edges.factors:
                n, m = prod(factor.source_shape), prod(factor.target_shape)
                found = {(s * n + a, t * m + b) for s, t in found for a, b in brute_force(factor)}
            return found


def restated(edges, name: str = "wire"):
    """What the words in generated code make of a set."""
    stored = {}
    if isinstance(edges, Product):
        for at, factor in enumerate(edges.factors):
            if isinstance(factor, Listed):
                part = part_name(name, at)
                stored |= {f"{part}.source": factor.source, f"{part}.target": factor.target}
    kernels = {kernel: getattr(rules, kernel) for kernel in dir(rules) if not kernel.startswith("_")}
    scope = Scope(parts.vocabulary("numpy"), frozenset())
    return eval(flat(parts.rule(scope, edges, name)), {**kernels, "edges_of": edges_of, "stored": stored})


def check(edges) -> None:
    made = restated(edges)
    assert (made.sources, made.targets) == (prod(edges.source_shape), prod(edges.target_shape))
    wanted = sorted(brute_force(edges), key=lambda edge: edge[::-1])
    assert list(zip(made.source.tolist(), made.target.tolist(), strict=True)) == wanted
    for mine, compilers in zip(made[:2], edges.edges(), strict=True):
        np.testing.assert_array_equal(mine, compilers)
    ends = rules.ends_of("wire", made)
    assert [*ends] == ["wire.source", "wire.target"]
    for end, units in zip(ends.values(), made[:2], strict=True):
        assert end.dtype == np.int32
        np.testing.assert_array_equal(end, units)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(bands())
def test_bands(edges):
    check(edges)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(products())
def test_products(edges):
    check(edges)


@given(shape(2, 5), shape(1, 9))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_every_pair_and_equal_indices(source, target):
    check(Full(source, target))
    check(Diagonal(source, source))


def test_edges_of_many_units_have_wide_numbers():
    few = np.array([5])
    for units, dtype in ((2**31 - 1, np.int32), (2**31, np.int64)):
        for sources, targets in ((units, 6), (6, units)):
            ends = rules.ends_of("w", rules.Edges(few, few, sources, targets))
            assert {end.dtype for end in ends.values()} == {np.dtype(dtype)}


# --------------------------------------------------------------------------------------- whole modules


def compiled(text: str, folder: Path):
    """The build of a spec for NumPy, and its module."""
    path = folder / "net.nnspec"
    path.write_text("model net\n" + text)
    build = compile_spec(path, ["numpy"])
    write(build.files, folder)
    spec = importlib.util.spec_from_file_location("net_numpy", folder / "net_numpy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return build, module


# The set, its sides, and whether it needs a stored part.
SPECS = [
    ("{ i -> j : abs(i - j) <= 2 }", [30], [30], False),
    ("{ i -> j : abs(i - j) in [1, 4, 5, 6] }", [30], [25], False),
    ("{ i -> i + k : k in [-2, 1, 5] ; outside = wrap }", [30], [30], False),
    ("{ 3 * i + a -> i : a in 0..4 ; outside = skip }", [30], [10], False),
    ("window(3, stride = 2, pad = same)", [30], [15], False),
    ("window(3, 3, pad = same)", [2, 7, 6], [2, 7, 6], False),
    ("window(2, 3, stride = (2, 1), dilation = (1, 2), pad = 1)", [3, 8, 9], [3, 5, 7], False),
    ("{ (m, r + a, c + b) -> (k, r, c) : a in -1..1, b in -1..1 ; outside = skip }", [2, 6, 5], [3, 6, 5],
     False),
    ("{ (k, r + a) -> (k, r) : a in -1..1 ; outside = wrap }", [3, 9], [3, 9], False),
    ("{ (r, c) -> (p, q) : (r - p) ** 2 + (c - q) ** 2 <= 4 }", [8, 9], [8, 9], False),
    ("{ i -> j : i // 4 == j // 4 }", [24], [24], False),
    ("{ i -> j : i % 6 == j % 6 }", [24], [24], False),
    ("{ i -> j : abs(i // 6 - j // 3) <= 1, i % 6 < 3 }", [36], [18], None),
    ("{ i -> j : i // 6 -> j // 8 in graph }", [30], [24], True),
    ("{ (u, f) -> (v, k) : u -> v in graph }", [5, 6], [3, 8], True),
    ("{ (f, u) -> (f, v) : u -> v in graph }", [12, 5], [12, 3], True),
    ("random(fan_in = 3)", [20], [10], True),
    ("all - one_to_one", [9], [9], None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "source", "target", "stores"), SPECS, ids=[case[0] for case in SPECS])
def test_the_wiring_of_a_module(text, source, target, stores, tmp_path):
    index = ", ".join(f"i{at}" for at in range(len(target)))
    build, module = compiled(
        "edges graph : [5] -> [3] = { 0 -> 1, 3 -> 1, 1 -> 2, 4 -> 0 }\n"
        f"input x{source}\nlayer y{target}\nlayer z{target}\n"
        f"connect x -> y as wire : {text}\n"
        # Something restated beside it, so that there is a `wiring`.
        f"connect y -> z as band : {{ ({index}) -> ({index.replace('i0', 'i0 + 1')}) ; outside = skip }}\n",
        tmp_path,
    )
    wiring = module.wiring()
    for connection in build.passage.model.connections:
        for end, units in zip(("source", "target"), connection.edges.edges(), strict=True):
            np.testing.assert_array_equal(wiring[f"{connection.name}.{end}"], units)
    if stores is not None:
        stored = (tmp_path / "net.npz").exists()
        assert stored is stores
        if not stores:
            assert {"wire", "band"} <= {*build.passage.plan.restated}


# ----------------------------------------------------------------------------------------------- names


NAMES = st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=8, unique=True)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(NAMES, st.data())
def test_places_of_names(names, data):
    columns = data.draw(st.permutations([*names, *(f"other {at}" for at in range(3))]))
    columns += ["other 0"]  # twice, but no unit
    places = places_of(np.array(names), columns)
    assert places.dtype == np.int64
    assert [columns[place] for place in places] == names
    lacking, doubled = data.draw(st.sampled_from(names)), data.draw(st.sampled_from(names))
    with pytest.raises(ValueError, match=f"lacks {lacking} \\(1 of {len(names)}\\)"):
        places_of(np.array(names), [column for column in columns if column != lacking])
    with pytest.raises(ValueError, match=f"two columns for {doubled} \\(1 of"):
        places_of(np.array(names), [*columns, doubled])


def test_many_names_are_not_all_told():
    names = np.array([f"n{at}" for at in range(20)])
    with pytest.raises(ValueError, match=r"lacks n0, n1, n2, n3, n4 and 15 more \(20 of 20\)"):
        places_of(names, [])


def test_biases_of_a_module_start_as_their_file_says(tmp_path):
    (tmp_path / "genes.txt").write_text("TP53\nBRCA1\nEGFR\n")
    (tmp_path / "t.csv").write_text("unit,value\nEGFR,1\nTP53,2\nBRCA1,3\n")
    np.save(tmp_path / "only.npy", [1, 0, 1])
    _, module = compiled(
        'axis gene = names("genes.txt")\ninput x[gene]\nconnect x -> y : one_to_one\nconnect y -> z : all\n'
        'layer y[gene] : bias(start = load("t.csv"))\n'
        'layer z[gene, 2] : bias(per = 0, start = load("t.csv"))\n'
        'layer w[gene] : bias(start = load("t.csv"), only = load("only.npy"))\nconnect y -> w : all\n',
        tmp_path,
    )
    start = module.init()
    assert {name: start[f"{name}.bias"].tolist() for name in "yzw"} == {
        "y": [2, 3, 1],
        "z": [2, 3, 1],
        "w": [2, 1],
    }
    assert all(start[f"{name}.bias"].dtype == np.float32 for name in "yzw")


def test_in_order_of_a_module(tmp_path):
    (tmp_path / "genes.txt").write_text("TP53\nBRCA1\nEGFR\n")
    _, module = compiled(
        'axis gene = names("genes.txt")\ninput x[gene]\nlayer y[gene]\n'
        "connect x -> y : { i -> i + 1 ; outside = wrap }\n",
        tmp_path,
    )
    assert module.unit_names("gene").tolist() == ["TP53", "BRCA1", "EGFR"]
    assert module.in_order(["id", "EGFR", "TP53", "id", "BRCA1"], "gene").tolist() == [2, 4, 1]
    with pytest.raises(ValueError, match="lacks BRCA1"):
        module.in_order(["EGFR", "TP53", "brca1"], "gene")
    with pytest.raises(ValueError, match="two columns for TP53"):
        module.in_order(["TP53", "EGFR", "TP53", "BRCA1"], "gene")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("missing", [0, 0.0, np.nan, 2.5])
def test_a_table_in_order_is_filled_where_it_lacks_units(dtype, missing):
    names, columns = np.array(["a", "b", "c", "d"]), ["c", "other", "a"]
    table = np.arange(12).reshape(2, 2, 3).astype(dtype)
    filled = units_in_table(names, columns, table, missing)
    wanted = np.stack([table[..., 2], *[np.full((2, 2), missing)] * 3], -1).astype(filled.dtype)
    wanted[..., 2] = table[..., 0]
    np.testing.assert_array_equal(filled, wanted)
    assert filled.dtype == (np.float64 if dtype == np.int64 and isinstance(missing, float) else dtype)
    # Where nothing lacks, it is what indexing gives, which a table by itself gives too.
    whole = units_in_table(names[[0, 2]], columns, table, missing)
    np.testing.assert_array_equal(whole, table[..., [2, 0]])
    np.testing.assert_array_equal(units_in_table(names[[0, 2]], columns, table, None), whole)


def test_tables_that_cannot_be_filled():
    names, table = np.array(["a", "b"]), np.ones((2, 3))
    with pytest.raises(ValueError, match="lacks b"):
        units_in_table(names, ["a", "x", "y"], table, None)
    with pytest.raises(ValueError, match="lacks all 2 units"):
        units_in_table(names, ["x", "y", "z"], table, 0.0)
    with pytest.raises(ValueError, match="two columns for a"):
        units_in_table(names, ["a", "x", "a"], table, 0.0)
    with pytest.raises(ValueError, match=r"`table` has the shape \(2, 3\), but there are 2 `columns`"):
        units_in_table(names, ["a", "b"], table, 0.0)
    with pytest.raises(ValueError, match="must hold numbers"):
        units_in_table(names, ["a", "x", "y"], table.astype(str), 0.0)
    with pytest.raises(ValueError, match="give the `table` too"):
        units_in_table(names, ["a", "b"], None, 0.0)
