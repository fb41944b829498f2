"""Sizes, numbers and nestings beyond measure give a diagnostic or a symbolic set, soon, in little memory."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import pytest

from nnspec.compiler.edges.degrees import unreached
from nnspec.compiler.edges.edge_set import Diagonal, Full, Listed, Product, Shifted

from .specs import connection, pairs, refusal, resolved, spec

BILLION = 10**9
# Seconds after which what does not end is ended: a thousand times what any test here takes.
FOR_EVER = 120


@pytest.fixture(autouse=True)
def bounded():
    """No test here may go on for ever, or take more than 2 GB beyond what is used already."""
    status = Path("/proc/self/status")
    limits = resource.getrlimit(resource.RLIMIT_AS)
    if status.exists():  # Linux
        used = int(status.read_text().partition("VmSize:")[2].split()[0]) * 1024
        resource.setrlimit(resource.RLIMIT_AS, (used + (2 << 30), limits[1]))
    signal.alarm(FOR_EVER)
    yield
    signal.alarm(0)
    resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.parametrize(
    ("edges", "kind", "count"),
    [
        ("all", Full, BILLION**2),
        ("all | one_to_one", Full, BILLION**2),
        ("all & one_to_one", Diagonal, BILLION),
        ("one_to_one - all", Listed, 0),
        ("one_to_one", Diagonal, BILLION),
        ("{ i -> j }", Full, BILLION**2),
        ("{ i -> i }", Diagonal, BILLION),
        (f"random(fan_in = {BILLION})", Full, BILLION**2),
        ("random(fan_in = 0)", Listed, 0),
        ("{ 0 -> 999999999, 5 -> 3 }", Listed, 2),
        ("{ i -> j : i == 7, 2 * j == i + 1 }", Listed, 1),
        ("{ i -> j : i < 3, j > 999999996 } & all", Product, 9),
        ("{ i -> j : i + j <= 2 }", Listed, 6),
        ("{ i + 1000000000 -> i : i in 0..2 ; outside = wrap }", Listed, 3),
        ("{ i -> i + 1 ; outside = wrap }", Shifted, BILLION),
    ],
)
def test_a_billion_units(edges, kind, count):
    found = connection(edges, BILLION, BILLION).edges
    assert isinstance(found, kind)
    assert found.count == count


WIDE = (40_000, 50_000)


@pytest.mark.parametrize(
    ("edges", "sides", "wanted"),
    [
        ("{ i -> i + 999999997 ; outside = skip }", BILLION, {(k, k + 999_999_997) for k in range(3)}),
        ("{ 2 * i + 999999995 -> i ; outside = skip }", BILLION,
         {(2 * k + 999_999_995, k) for k in range(3)}),
        ("{ i -> i + d : d in [-999999999, 999999998] ; outside = skip }", BILLION,
         {(999_999_999, 0), (0, 999_999_998), (1, 999_999_999)}),
        ("{ (r + 39999, c - d) -> (r, c) : d in 49998..49999 ; outside = skip }", WIDE,
         {(39_999 * 50_000 + c - d, c) for d in (49_998, 49_999) for c in range(d, 50_000)}),
    ],
)  # fmt: skip
def test_few_edges_of_a_rule_among_a_billion(edges, sides, wanted):
    assert pairs(edges, sides, sides) == wanted


@pytest.mark.parametrize(
    ("edges", "end", "count", "first"),
    [
        ("{ 2 * i -> i ; outside = skip }", "source", BILLION // 2, [1, 3, 5, 7]),
        ("{ i -> i + 2 ; outside = skip }", "target", 2, [0, 1]),
        ("{ i -> i - 3 ; outside = skip }", "target", 3, [BILLION - 3, BILLION - 2, BILLION - 1]),
        ("{ 5 * i + a -> i : a in 1..2 ; outside = skip }", "source", 3 * BILLION // 5, [0, 3, 4, 5]),
    ],
)
def test_units_without_an_edge_among_a_billion(edges, end, count, first):
    found, units = unreached([connection(edges, BILLION, BILLION).edges], end, 4)
    assert (found, units.tolist()) == (count, first)


@pytest.mark.parametrize(
    ("edges", "code"),
    [
        ("random(fan_in = 1)", "E314"),
        ("random(fan_in = 999999999)", "E314"),
        ("all - one_to_one", "E314"),
        ("all - { 0 -> 0 }", "E314"),
        ("one_to_one | { 0 -> 1 }", "E314"),
        ("{ i -> j : i != j }", "E313"),
        ("{ i -> j : (i - j) % 2 == 0 }", "E313"),
        ("{ i -> i : k in -9223372036854775807..9223372036854775807 }", "E313"),
        ("{ i -> j : i < 3, j in 0..2**62 }", "E313"),
        ("{ 1000000000 -> 0 }", "E204"),
    ],
)
def test_a_billion_units_refused(edges, code):
    assert refusal(edges, BILLION, BILLION).code.code == code


def test_weights_of_a_billion_units():
    assert connection("all", BILLION, BILLION, attributes="weight = 1 / fan_in").weight.start.value == 1e-9
    assert refusal("{ i -> j }", BILLION, BILLION, attributes="weight = i").code.code == "E313"
    found = connection("{ 0 -> 1, 2 -> 1 }", BILLION, BILLION, attributes="weight = fan_in + fan_out")
    assert found.weight.start.value.tolist() == [3, 3]


def test_more_units_than_there_may_be():
    assert refusal("all", 10**11, 3).code.code == "E302"
    assert refusal("all", (10**6, 10**6), 3).code.code == "E302"
    # The pairs of two such sides are more than 64 bits can number.
    assert refusal("{ 0 -> 0 }", 10**10, 10**10).code.code == "E314"
    assert refusal("{ i -> j : i == 1, j == 1 }", 10**10, 10**10).code.code == "E314"


@pytest.mark.parametrize(
    ("edges", "found"),
    [
        ("{ i -> j : j % -3 == -1, i == 0 }", {(0, 2), (0, 5), (0, 8)}),
        ("{ i -> j : -i % 4 == 1, j == 0 }", {(3, 0), (7, 0)}),
        ("{ i -> j : -i // 4 == -2, j == 0 }", {(5, 0), (6, 0), (7, 0), (8, 0)}),
        ("{ i -> -i % 4 : i in 0..2 }", {(0, 0), (1, 3), (2, 2)}),
        ("{ i -> i : i in 3..1 }", set()),
        ("{ i -> i : i in [] }", set()),
        ("{ i -> j : i in [0, 1, 0], j == 1 ; duplicate = merge }", {(0, 1), (1, 1)}),
        ("{ i -> k : k in 0..3, k in 2..5, i == k }", {(2, 2), (3, 3)}),
        ("{ i -> j : j in 0..i, i in 0..1 }", {(0, 0), (1, 0), (1, 1)}),
        ("{ i -> j : (i in 0..1 and j in 8..9) }", {(0, 8), (0, 9), (1, 8), (1, 9)}),
        ("{ i -> j : not i in 1..9, j in [i, i + 1] }", {(0, 0), (0, 1)}),
        ("{ i -> i + k : i in [k, 2*k], k in 1..2 }", {(1, 2), (2, 3), (2, 4), (4, 6)}),
        ("{ (i) -> (j) : i == 1, j == 2 }", {(1, 2)}),
        ("{ [i, i + 1] -> i : i < 2 }", {(0, 0), (1, 0), (1, 1), (2, 1)}),
        ("{ 1.0 -> 2.0 }", {(1, 2)}),
        ("{ i -> i / 2 : i % 2 == 0 }", {(0, 0), (2, 1), (4, 2), (6, 3), (8, 4)}),
        ("{ i -> 2 ** i : i < 4 }", {(0, 1), (1, 2), (2, 4), (3, 8)}),
    ],
)
def test_small_ones(edges, found):
    assert pairs(edges) == found


@pytest.mark.parametrize(
    ("edges", "code", "label"),
    [
        ("{ i -> i / 2 }", "E310", "i = 1 gives 0.5"),
        ("{ i -> i + 0.5 : i > 2 }", "E310", "i = 3 gives 3.5"),
        ("{ i -> i * 1e300 : i > 2 }", "E215", "i = 3 gives 3e+300"),
        ("{ i -> i + 1 }", "E204", "i = 9 gives 10"),
        ("{ i - 1 -> i }", "E204", "i = 0 gives -1"),
        ("{ i -> j : i < 2, j in i..10 }", "E204", None),
        ("{ i -> (i, i) }", "E303", None),
        ("{ () -> i }", "E303", None),
        ("{ i -> (i < 3) }", "E212", None),
        ("{ i -> i : i in 0..20, i in 0..3 }", None, None),
        ("{ i -> i ; outsid = skip }", "E312", None),
        ("{ i -> i ; outside = drop }", "E227", None),
        ("{ i -> i ; outside = skip, outside = skip }", "E225", None),
        ("{ left -> j }", "E309", None),
        ("{ i -> j : left in 0..3 }", "E309", None),
        ("{ 0 -> 1, 2 -> 3, 0 -> 1, 2 -> 3 }", "E311", None),
        ("{ i // 2 -> 0 : i in 0..9 }", "E311", None),
        ("{ i -> i : i -> i in e }", "E340", None),
        ("{ i -> j : j == q }", "E207", None),
        ("{ i -> j : 1 / 0 > i }", "E217", "i = 0, j = 0"),
        ("{ i -> j : i // j == 1 or j > 1 }", "E217", "i = 0, j = 0"),
        ("3", "E306", None),
        ("al", "E307", None),
        ("all(3)", "E224", None),
        ("one_to_one & nothing", "E307", None),
    ],
)
def test_refusals(edges, code, label):
    if code is None:
        assert pairs(edges)
        return
    found = refusal(edges)
    assert found.code.code == code
    assert label in (found.label, None)


def test_shapes_of_one_to_one():
    assert refusal("one_to_one", 3, 4).code.code == "E304"
    assert refusal("one_to_one", (2, 3), (3, 2)).code.code == "E304"
    assert pairs("one_to_one", (2, 3), (2, 3)) == {(i, i) for i in range(6)}


@pytest.mark.parametrize("depth", [190, 5000])
@pytest.mark.parametrize(
    "edges",
    [
        "{open}all{close}",
        "{{ i -> j : {open}i{close} == j }}",
        "{{ i -> j : {open}i == j{close} }}",
        "{{ {open}i{close} -> i }}",
        "{{ i -> j : {minus}i <= j }}",
        "{{ i -> j : {no}i == j }}",
        "{{ i -> j : {sum} == j }}",
        "{{ i -> j : {ors} }}",
        "{{ i -> j : {calls}i - j{half} <= 2 }}",
        "{alls}",
    ],
)
def test_nesting(edges, depth):
    text = edges.format(
        open="(" * depth,
        close=")" * depth,
        minus="-" * depth,
        no="not " * depth,
        sum=" + ".join(["i"] * depth),
        ors=" or ".join(["i == j"] * depth),
        calls="abs(" * (depth // 2),
        half=")" * (depth // 2),
        alls=" | ".join(["one_to_one", "all"] * (depth // 2)),
    )
    network, found = resolved(spec(text))
    assert network is not None if depth < 200 else [d.code.code for d in found] == ["E112"]


def test_many_clauses_and_lists():
    clauses = ", ".join(f"i + j != {n}" for n in range(3, 500))
    assert pairs(f"{{ i -> j : {clauses} }}") == {(i, j) for i in range(3) for j in range(3 - i)}
    numbers = ", ".join(map(str, range(0, 20_000, 2)))
    assert len(pairs(f"{{ i -> j : i in [{numbers}], j == i // 2 }}", 20_000, 10_000)) == 10_000
    assert len(pairs(f"{{ i -> j : i + 0 in [{numbers}], j == i // 2 }}", 20_000, 10_000)) == 10_000
    assert len(pairs(f"{{ [{numbers}] -> 3 }}", 20_000, 10_000)) == 10_000


def test_many_names_and_dimensions():
    count = 300
    names = ", ".join(f"k{n} in 0..k{n + 1}" for n in range(count)) + f", k{count} in 0..1"
    assert pairs(f"{{ i -> i : {names}, k0 == 1 }}", 2, 2) == {(0, 0), (1, 1)}
    shape = [2] + [1] * 70
    last = "(" + "0, " * 70 + "0)"
    assert pairs(f"{{ {last} -> 1 }}", shape, 2) == {(0, 1)}
    assert refusal(f"{{ {last} -> 1, {last} -> 1 }}", shape, 2).code.code == "E311"


def test_chains_of_names():
    forwards = "for k in 1..300 { edges e{k} : left -> right = e{k-1} | { k % 10 -> 0 } }"
    forwards = forwards.replace("}} }", "} }") + "\nedges e0 : left -> right = all"
    assert len(pairs("e300", before=forwards)) == 100
    for before in (
        "for k in 1..300 { edges e{k} : left -> right = e{k+1} }\nedges e301 : left -> right = all",
        "for k in 1..300 { param p{k} = p{k+1} + 1 }\nparam p301 = 1",
        "for k in 1..40 { param p{k} = " + "(" * 100 + "p{k+1}" + ")" * 100 + " }\nparam p41 = 1",
    ):
        _, found = resolved(spec("all", before=before))
        assert {d.code.code for d in found} <= {"E232"}
    assert (
        refusal("e", before="edges e : left -> right = f\nedges f : left -> right = e | all").code.code
        == "E308"
    )
    assert refusal("e", before="edges e : left -> right = e").code.code == "E308"
    assert refusal("all", before="edges e : left -> right = { 0 -> 77 }").code.code == "E204"
    assert refusal("e", before="edges e : left -> [9] = all").code.code == "E305"


@pytest.mark.parametrize(
    "before",
    [
        "for k in 1..1000000000000 { }",
        pytest.param(
            "for k in 1..1000000 { for l in 1..1000000 { for m in 1..0 { param q = 1 } } }",
            marks=pytest.mark.slow,
        ),
        "for k in 1..1000000000000 { param q{k} = 1 }",
    ],
)
def test_endless_loops(before):
    assert refusal("all", before=before).code.code == "E211"
