"""Trees of functions: derivatives and simplified forms against numbers, and guards against infinities."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nnspec.compiler.functions.derive import derivative, reusing, switches
from nnspec.compiler.functions.evaluate import evaluate
from nnspec.compiler.functions.guard import guarded
from nnspec.compiler.functions.simplify import simplified
from nnspec.compiler.functions.tree import Argument, Tree, apply, depth

from .reading import tree_of

X = np.array([-7.3, -2.1, -0.6, -0.2, 0.3, 0.7, 1.4, 2.6, 6.7])


@pytest.mark.parametrize(
    "text",
    [
        *(
            "x**3 - 2*x",
            "x / (1 + x**2)",
            "exp(-x**2) * sin(3*x)",
            "log(1 + x**2)",
            "sqrt(2 + cos(x))",
            "2**x",
        ),
        *("abs(x) * x", "min(x, 1)", "max(min(x, 1), -1)", "where(x > 0, x, expm1(x))", "tan(x / 10)"),
        *("atan(x)", "atanh(x / 10)", "erf(x)", "x * sigmoid(2*x)", "softplus(-x)", "log_sigmoid(x)"),
        *(
            "sinh(x / 3)",
            "cosh(x / 3)",
            "tanh(x) ** 2",
            "log1p(x**2)",
            "sign(x) * x",
            "where(abs(x) > 1, x, 0)",
        ),
        *("(2 + sin(x)) ** (x / 5)", "stop(x) * x", "1 / (1 + exp(-x))", "x * sigmoid(x) * tanh(x)"),
    ],
)
def test_derivatives_are_those_of_differences(text: str) -> None:
    tree, h = tree_of(text), 1e-6
    slopes = evaluate(derivative(tree, "x"), {"x": X, "y": X})
    fixed = tree_of(text.replace("stop(x)", "z"))
    values = [evaluate(fixed, {"x": X + step, "z": X}) for step in (h, -h)]
    np.testing.assert_allclose(slopes, (values[0] - values[1]) / (2 * h), rtol=1e-6, atol=1e-7)


def test_every_argument_has_a_derivative() -> None:
    tree = tree_of("where(x > y, x * y, y**2) + max(x, y)", "xy")
    x, y = np.array([1.0, 3.0]), np.array([2.0, 0.5])
    np.testing.assert_allclose(evaluate(derivative(tree, "x"), {"x": x, "y": y}), [0, 1.5])
    np.testing.assert_allclose(evaluate(derivative(tree, "y"), {"x": x, "y": y}), [5, 3])


def shown(tree: Tree) -> str:
    """A tree as text, for tests to read."""
    match tree:
        case Argument(name):
            return name
        case _ if not hasattr(tree, "word"):
            return repr(tree.value)
        case _:
            return f"{tree.word}({', '.join(map(shown, tree.operands))})"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("tanh(x)", "1 - y**2"),
        ("sigmoid(x)", "y * (1 - y)"),
        ("exp(x)", "y"),
        ("sqrt(x)", "0.5 / y"),
        ("max(x, 0)", "where(x > 0, 1, 0)"),
        ("max(min(x, 1), -1)", "where(x > -1 and x < 1, 1, 0)"),
        ("where(x > 0, x, 0.1 * x)", "where(x > 0, 1, 0.1)"),
        ("where(x > 0, x, 2 * expm1(x))", "where(x > 0, 1, 2 * exp(x))"),
        ("x / (1 + abs(x))", "1 / (1 + abs(x))**2"),
        ("x - tanh(x)", "tanh(x)**2"),
        ("log_sigmoid(x)", "sigmoid(-x)"),
        ("min(max(x + 3, 0), 6)", "where(x < 3 and x > -3, 1, 0)"),
        ("2 * expm1(x / 2)", "exp(x / 2)"),
        ("x + stop(tanh(x) - x)", "1"),
        ("3", "0"),
    ],
)
def test_derivatives_read_as_a_person_writes_them(text: str, wanted: str) -> None:
    tree = tree_of(text)
    assert shown(reusing(derivative(tree, "x"), tree, "y")) == shown(simplified(tree_of(wanted, "xy")))


@pytest.mark.parametrize(
    "text",
    [
        *("where(x > 0, x, expm1(x))", "where(x <= 0, exp(x), 1 + x)", "where(x > 0, log(x), x)"),
        *("where(x > 1, sqrt(x), 1)", "where(x != 0, sin(x) / x, 1)", "where(abs(x) < 1, atanh(x / 2), x)"),
        "where(x > -2 and x < 2, log(2 + x), 0)",
    ],
)
def test_guards_keep_branches_finite_and_change_nothing(text: str) -> None:
    tree = tree_of(text)
    x = np.array([-1e4, -800.0, -2.0, -1.0, -0.0, 0.0, 0.5, 1.0, 1.5, 2.0, 800.0, 1e4])
    safe = guarded(tree)
    np.testing.assert_array_equal(evaluate(safe, {"x": x}), evaluate(tree, {"x": x}))
    np.testing.assert_array_equal(
        evaluate(derivative(safe, "x"), {"x": x}), evaluate(derivative(tree, "x"), {"x": x})
    )
    for branch in safe.operands[1:]:
        for each in (branch, derivative(branch, "x")):
            assert np.isfinite(evaluate(each, {"x": x})).all(), shown(each)


def test_switches_are_where_choices_are_made() -> None:
    tree = tree_of("abs(x - 1) + max(x, 3) + where(x**2 > 4 and x < 7, x, 0)")
    zeros = {1.0, 3.0, 2.0, 7.0}
    found = {x for x in zeros for switch in switches(tree) if evaluate(switch, {"x": x}) == 0}
    assert found == zeros


def test_values_keep_their_precision() -> None:
    for text in ("where(x > 0, x, 0.1 * expm1(x))", "erf(x)", "x**2.5", "min(x, 1)", "sigmoid(x)", "x / 3"):
        assert evaluate(tree_of(text), {"x": np.ones(2, np.float32)}).dtype == np.float32, text
    assert math.isclose(evaluate(tree_of("pi"), {}), math.pi)


def test_the_terms_of_a_sum_are_on_one_level() -> None:
    x, one = Argument("x"), apply("tanh", Argument("x"))
    tree: Tree = x
    for at in range(200):
        tree = apply("+-"[at % 2], tree, one)
    assert depth(tree) == 3
    assert depth(apply("*", apply("*", one, one), apply("/", one, x))) == 4
    assert depth(apply("-", x, apply("-", x, x))) == 3


@pytest.mark.parametrize(
    "text", ["-1 / x", "0 / x", "where(min(x, 1) == 1, 2, 3)", "where(max(1, x) != 1, 2, 3)"]
)
def test_what_is_simplified_has_the_same_values(text: str) -> None:
    tree, x = tree_of(text), np.array([-2.0, 0.5, 1.0, 3.0])
    np.testing.assert_array_equal(
        evaluate(simplified(tree), {"x": x}) + 0 * x, evaluate(tree, {"x": x}) + 0 * x
    )


def test_where_no_argument_helps_what_could_be_infinite_is_held_by_itself() -> None:
    """No x makes the root of what is below 0 a number: its operand is 1 where it is not taken."""
    safe = guarded(tree_of("where(x > 3, sqrt(-2 - sin(x)), tanh(x))"))
    wanted = "where(x > 3, sqrt(where(x > 3, -2 - sin(x), 1)), tanh(x))"
    assert shown(safe) == shown(tree_of(wanted))
