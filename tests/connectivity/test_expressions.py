"""Numbers and conditions: exact integers, faults of single entries, Python's reading of operators."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnspec.compiler.sets.intervals import Interval, cosine, tangent

from .specs import Refused, model, pairs, refusal

LIMIT = 2**63 - 1


def param(text: str) -> float:
    """The value of a param."""
    spec = f"model m\nparam q = {text}\ninput left[1]\nlayer right[1]\nconnect left -> right : all\n"
    return dict(model(spec).params)["q"]


def code(text: str) -> list[str]:
    with pytest.raises(Refused) as refused:
        param(text)
    return refused.value.codes


LARGE = st.one_of(
    st.integers(-9, 9), st.sampled_from([2**31, 2**32 + 1, 2**53 + 1, 2**62, LIMIT, -LIMIT, 3037000500])
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    LARGE, st.sampled_from(["+", "-", "*", "//", "%", "**"]), LARGE, st.sampled_from(["+", "-", "*"]), LARGE
)
def test_integers_are_exact(a, first, b, second, c):
    text = f"(({a}) {first} ({b})) {second} ({c})"
    if first == "**" and (b < 0 or (b > 70 and abs(a) > 1)):
        return
    try:
        inner = eval(f"({a}) {first} ({b})") if first != "**" or b < 100 else a ** (2 - b % 2)
        expected = eval(f"inner {second} ({c})", {"inner": inner, "c": c})
    except ZeroDivisionError:
        assert code(text) == ["E217"]
        return
    if abs(inner) > LIMIT or abs(expected) > LIMIT:
        assert code(text) == ["E215"]
    else:
        assert param(text) == expected
        assert isinstance(param(text), int)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2**62 + (2**62 - 1)", LIMIT),
        ("abs(-4611686018427387904) + 1", 2**62 + 1),
        ("max(4611686018427387904, 1) - 1", 2**62 - 1),
        ("(-1) ** 9223372036854775807", -1),
        ("0 ** 0", 1),
        ("2 ** -1", 0.5),
        ("2 ** 0.5", math.sqrt(2)),
        ("-2 ** 2", -4),
        ("2 ** 3 ** 2", 512),
        ("7 // -2", -4),
        ("-7 % 3", 2),
        ("7 % -3", -2),
        ("-7.5 // 2", -4.0),
        ("-7.5 % 2", 0.5),
        ("floor(-2.5)", -3),
        ("floor(7)", 7),
        ("floor(1.5 * 2**61) - 3 * 2**60", 0),
        ("min(3, 1, 2) + max(1, 2.5)", 3.5),
        ("1 - 2 - 3", -4),
        ("10 / 4", 2.5),
        ("exp(0) + log(1) + sqrt(9)", 4.0),
        ("sin(0) + cos(0) + tan(0)", 1.0),
        ("2 * pi", 2 * math.pi),
        ("floor(1000 * cos(pi / 3 + 0.001))", 499),
        ("sin(1) ** 2 + tan(0.5)", math.sin(1) ** 2 + math.tan(0.5)),
    ],
)
def test_values(text, value):
    assert param(text) == value
    assert type(param(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9**9**9", "E215"),
        ("2 ** 63", "E215"),
        ("2 ** 62 * 4", "E215"),
        ("abs(-4611686018427387904) * 4", "E215"),
        ("9223372036854775808", "E215"),
        ("9223372036854775807 + 1", "E215"),
        ("-9223372036854775807 - 1", "E215"),
        ("floor(1e300)", "E215"),
        ("1e308 * 10", "E216"),
        ("exp(1000)", "E216"),
        ("log(0)", "E216"),
        ("sqrt(-1)", "E216"),
        ("(-8) ** 0.5", "E216"),
        ("0 ** -1", "E216"),
        ("1 / 0", "E217"),
        ("1.5 // 0", "E217"),
        ("1 % 0.0", "E217"),
        ("1 < 2", "E212"),
        ("1 + (1 < 2)", "E212"),
        ("abs(1 < 2)", "E212"),
        ("1 | 2", "E221"),
        ("abs(1, 2)", "E220"),
        ("min()", "E220"),
        ("sqr(2)", "E219"),
        ('"a"', "E212"),
        ("[1]", "E212"),
    ],
)
def test_refusals(text, expected):
    assert code(text) == [expected]


def test_the_same_on_single_entries():
    """Overflow and division by zero concern the entries they happen in, and no others."""
    assert pairs("{ i -> j : i * 9223372036854775807 == j, i <= 0 }") == {(0, 0)}
    assert refusal("{ i -> j : i * 9223372036854775807 == j }").code.code == "E215"
    assert pairs("{ i -> j : 10 ** (9*i) // 10 ** (9*i) == 1, i < 3, i == j }") == {(0, 0), (1, 1), (2, 2)}
    assert pairs("{ i -> j : i ** (60 * i) >= 0, i < 2, i == j }") == {(0, 0), (1, 1)}
    assert refusal("{ i -> 9**9**9 }").code.code == "E215"
    assert refusal("{ i -> i * 9223372036854775807 ; outside = skip }").label == "i = 2"


def test_a_fault_matters_where_nothing_else_decides():
    divisors = {(i, j) for i in range(10) for j in range(1, 10) if i % j == 0}
    for text in (
        "i % j == 0, j != 0",
        "j != 0, i % j == 0",
        "j != 0 and i % j == 0",
        "i % j == 0 and not (j == 0)",
        "not (j == 0 or i % j > 0)",
        "not (i % j > 0 or j == 0)",
        "0 == i % j, 0 < j",
    ):
        assert pairs(f"{{ i -> j : {text} }}") == divisors, text
    zero = divisors | {(i, 0) for i in range(10)}
    assert pairs("{ i -> j : i % j == 0 or j == 0 }") == zero
    found = refusal("{ i -> j : i % j == 0 }")
    assert (found.code.code, found.label) == ("E217", "i = 0, j = 0")
    assert refusal("{ i -> j : i % j == 0, j < 5 }").code.code == "E217"
    # The fault is in `i` alone; what excludes it needs `j` as well.
    assert pairs("{ i -> j : 4 // i == 2, i * j == 2 }") == {(2, 1)}
    assert refusal("{ i -> j : 4 // i == 2, i * j == 0 }").label == "i = 0, j = 0"
    # A condition that fails narrows nothing, though what it says of `j` could not be met.
    assert refusal("{ i -> j : max(-j, 10 // i) <= -3, j < 2 }").label == "i = 0, j = 0"
    assert refusal("{ i -> j : max(j, 10 // i) <= 3, j > 5 }").label == "i = 0, j = 6"
    assert pairs("{ i -> j : log(j) > 2, j > 0, i == j }") == {(8, 8), (9, 9)}
    assert pairs("{ i -> j : sqrt(i - 7) <= j, i >= 7, j <= 1 }") == {(7, 0), (7, 1), (8, 1)}


def test_large_numbers_are_compared_exactly():
    # As floats, 2^53 and 2^53 + 1 are the same.
    assert pairs("{ i -> j : i + 9007199254740992 == 9007199254740992.0, i == j }") == {(0, 0)}
    assert pairs("{ i -> j : i + 9223372036854775000 <= 9223372036854775001, i == j }") == {(0, 0), (1, 1)}


@pytest.mark.parametrize(
    ("clauses", "expected"),
    [
        ("i + 1", "E218"),
        ("i", "E218"),
        ("not i", "E218"),
        ("i and j > 1", "E218"),
        ("(i < j) < 3", "E212"),
        ("i + 1 in 3", "E222"),
        ("i in j", "E222"),
        ("i + 1 in 0..3 < 5", "E212"),
        ("i + 1 in (1 < 2)..3", "E212"),
        ("i + 1 in [1 < 2]", "E212"),
        ("q > 3", "E207"),
        ("i > 100, q > 3", "E207"),
        ("foo(i) > 3", "E219"),
        ("i | j", "E221"),
        ("i < all", "E207"),
        ("i in 0..j, j in 0..i", "E320"),
        ("k in 0..k", "E320"),
        ("k in 0..2.5", "E213"),
        ("k in 0..i/2", "E213"),
        ("k in [1, 0.5]", "E213"),
        ("k in (1 < 2)..2", "E212"),
        ("k in 0..1 // 0", "E217"),
    ],
)
def test_clauses_refused(clauses, expected):
    assert refusal(f"{{ i -> j : {clauses} }}").code.code == expected


# ------------------------------------------------------------------------------------------------- angles


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.sampled_from(["sin", "cos", "tan"]),
    st.sampled_from(["j <= {} and j >= 0", "{} > 0.3", "abs({}) < 0.5", "floor({}) == j - 4", "{} * j < i"]),
    st.sampled_from(["1", "4", "-3", "0.5"]),
    st.sampled_from(
        ["i / 3", "(i - j) * pi / 7", "i * j / 5 - 2", "-i", "i + 2**18", "(i + 1) * pi / 2 + 0.1"]
    ),
)
def test_angles_in_conditions(function, condition, factor, angle):
    text = condition.format(f"({factor} * {function}({angle}))")
    known = {"abs": abs, "floor": math.floor, "pi": math.pi, function: getattr(math, function)}
    holds = eval(f"lambda i, j: {text}", known)
    found = pairs(f"{{ i -> j : {text} }}", 11, 13)
    assert found == {(i, j) for i in range(11) for j in range(13) if holds(i, j)}


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.sampled_from(["sin", "cos", "tan"]),
    st.floats(-50, 50),
    st.one_of(st.floats(0, 0.01), st.floats(0, 4), st.floats(0, 9)),
)
def test_enclosed_angles(function, low, width):
    """No angle in an interval has a value outside of what it is enclosed by."""
    enclose = tangent if function == "tan" else cosine
    turn = math.pi / 2 if function == "sin" else 0.0
    found = enclose(Interval(low - turn, low + width - turn))
    values = getattr(np, function)(np.linspace(low, low + width, 1001))
    assert np.all(values >= found.low - 1e-9 * np.abs(values))
    assert np.all(values <= found.high + 1e-9 * np.abs(values))
    if function != "tan" and width < 0.5:
        assert found.high - found.low < width + 1e-6


def test_pi_may_be_something_else():
    assert param("pi") == math.pi
    assert pairs("{ pi -> pi + 1 ; outside = skip }", 3, 3) == {(0, 1), (1, 2)}
    assert pairs("{ i -> pi + 0 }", 3, 3, before="param pi = 2") == {(0, 2), (1, 2), (2, 2)}
    assert pairs("{ i -> j : j < pi }", 1, 9) == {(0, j) for j in range(4)}


@pytest.mark.parametrize(
    "condition",
    [
        *("log(i + 1) <= j", "log(1 + abs(i - j)) < 1", "cos(i) < cos(j)", "cos(i - j) > 0.5", "sin(i) <= 0"),
        *("tan(i + j) > 1", "sqrt(i) < j", "exp(i) <= 20 * j", "sqrt(i + 1) == j"),
    ],
)
def test_conditions_of_functions_hold_where_python_says(condition):
    holds = eval(f"lambda i, j: {condition}", vars(math) | {"abs": abs})
    wanted = {(i, j) for i in range(12) for j in range(9) if holds(i, j)}
    assert wanted
    assert pairs(f"{{ i -> j : {condition} }}", 12, 9) == wanted
