"""Where trees are finite: what is found to be bounded is, and what is warned of is not."""

from __future__ import annotations

import random

import numpy as np
import pytest

from nnspec.compiler.functions.derive import derivative
from nnspec.compiler.functions.domain import range_of, undefined
from nnspec.compiler.functions.evaluate import evaluate
from nnspec.compiler.functions.guard import guarded
from nnspec.compiler.functions.simplify import simplified
from nnspec.compiler.functions.text import said
from nnspec.compiler.functions.tree import apply
from nnspec.dsl.diagnostics import Failed

from .reading import tree_of
from .test_drawn import drawn

X = np.concatenate([np.linspace(-4, 4, 401), [-30.0, 30.0, 1e-9, -1e-9]])
FINITE = [
    *("log(exp(x))", "log(max(x, 1e-6))", "sqrt(x**2 + 1)", "sqrt(x * x + 1)", "x**-2", "1 / (1 + abs(x))"),
    *("where(x > 0, log(x), 0)", "where(x > 1, log(x - 1), 0)", "where(x > y, log(x - y), 0)"),
    *("where(abs(x) < 1, atanh(x), 0)", "where(0.2 < x < 0.8, log(x / (1 - x)), 0)", "log1p(exp(x))"),
    *("where(not (x <= 0 or y <= 0), log(x * y), 0)", "atanh(0.9 * tanh(x))", "log(1 - sigmoid(x))"),
    *("where(max(x, 0) != 0, 1 / max(x, 0), 0)", "2**x", "max(x, 0)**1.5", "log(sin(x) + 2)", "1 / sign(x)"),
    "1 / (max(x, 0) + max(1 - x, 0))",
]
NOT_FINITE = {
    "log(x)": "log(max(x, 1e-6))",
    "log(x - 5)": "log(max(x - 5, 1e-6))",
    "log(max(x, 0))": "log(max(x, 1e-6))",
    "x**0.5": "max(x, 1e-6)**0.5",
    "x**2.5": "max(x, 1e-6)**2.5",
    "sqrt(1 - x**2)": "sqrt(max(1 - x**2, 1e-6))",
    "sqrt(max(x, 0))": "sqrt(max(x, 1e-6))",
    "log1p(x)": "log1p(max(x, -0.999999))",
    "atanh(x)": "atanh(max(min(x, 0.999999), -0.999999))",
    "1 / max(x, 0)": "1 / max(x, 1e-6)",
    "x**x": "max(x, 1e-6)**x",
    "1 / (1 - sign(x))": "1 / max(1 - sign(x), 1e-6)",
    "where(x > 0, x, log(x))": "log(max(x, 1e-6))",
}


@pytest.mark.parametrize("text", FINITE)
def test_what_is_bounded_is_finite(text: str) -> None:
    tree = simplified(tree_of(text))
    assert not [*undefined(tree, {})]
    values = {"x": X[X != 0], "y": X[X != 0][::-1] - 0.123}
    for each in (tree, derivative(guarded(tree), "x")):
        assert np.isfinite(evaluate(each, values)).all()


@pytest.mark.parametrize("text", NOT_FINITE)
def test_what_is_warned_of_is_not_finite_and_its_remedy_is(text: str) -> None:
    tree = simplified(tree_of(text))
    (found, *_) = undefined(tree, {})
    assert said(found.inside) == NOT_FINITE[text]
    assert not [*undefined(simplified(found.inside), {})]
    at = {"x": X}
    # Frameworks multiply the derivative of a root by that of its operand, infinity by 0.
    wrong = apply("/", 1, found.part) if found.derivative else found.part
    assert not np.isfinite(evaluate(wrong, at) + 0 * X).all()
    assert np.isfinite(evaluate(found.inside, at)).all()


def test_a_bound_that_is_never_reached_is_not_in_the_range() -> None:
    found = range_of(tree_of("sigmoid(x)"), {})
    assert 0 < found.low < found.high < 1


def test_a_power_of_what_may_be_negative_may_be_anything() -> None:
    assert range_of(tree_of("exp(x)**y"), {}).low == 0
    found = range_of(tree_of("tanh(x)**y"), {})
    assert (found.low, found.high) == (-np.inf, np.inf)


@pytest.mark.parametrize("seed", range(200))
def test_drawn_trees_stay_within_their_ranges(seed: int) -> None:
    """Where nothing is warned of, the tree is finite; its values are in its range."""
    rng = random.Random(seed)
    try:
        tree = simplified(tree_of(drawn(rng, 4)))
    except Failed:
        return  # a number that is not finite, which the language refuses
    values, found = evaluate(tree, {"x": X}) + 0 * X, range_of(tree, {})
    kept = values[np.isfinite(values)]
    near = 1e-9 * (1 + np.abs(kept).max(initial=0.0))
    assert ((kept >= found.low - near) & (kept <= found.high + near)).all()
    if not [*undefined(tree, {})]:
        assert len(kept) == len(values)


@pytest.mark.parametrize("seed", range(100))
def test_trees_are_said_such_that_they_read_as_themselves(seed: int) -> None:
    try:
        tree = tree_of(drawn(random.Random(seed), 4))
    except Failed:
        return
    assert said(tree_of(said(tree))) == said(tree)
    assert simplified(tree_of(said(tree))) == simplified(tree)
