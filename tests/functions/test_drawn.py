"""Drawn functions, nested five deep: the same value and derivative on every target."""

from __future__ import annotations

import random

import numpy as np
import pytest

from nnspec.compiler.functions.derive import derivative
from nnspec.compiler.functions.evaluate import evaluate
from nnspec.compiler.functions.function import Function, kinks
from nnspec.compiler.functions.tree import Tree, size
from nnspec.dsl.diagnostics import Failed

from .reading import tree_of
from .test_catalogue import TARGETS

UNARY = [
    "abs",
    "sin",
    "cos",
    "tanh",
    "atan",
    "erf",
    "sigmoid",
    "softplus",
    "log_sigmoid",
    "stop",
    "-",
    "sign",
    "floor",
    "round",
]
BOUNDED = ["exp(min({0}, 2))", "expm1(min({0}, 2))", "log1p(abs({0}))", "sqrt(1 + ({0})**2)", "({0})**2"]
BINARY = [
    "({0} + {1})",
    "({0} - {1})",
    "({0} * {1})",
    "({0} / (1 + ({1})**2))",
    "min({0}, {1})",
    "max({0}, {1})",
]
CHOICES = [
    "where({0} > {1}, {0}, {1})",
    "where({0} > 0 and {1} < 1, sqrt({0}), {1})",
    "where({0} != 0, {1}, 0.5)",
]


def drawn(rng: random.Random, depth: int) -> str:
    """An expression of x."""
    if depth == 0:
        return rng.choice(["x", "x", "x", "0.5", "(x + 1.25)", "2.5"])
    kind = rng.random()
    inner = drawn(rng, depth - 1)
    if kind < 0.4:
        return f"{rng.choice(UNARY)}({inner})"
    if kind < 0.6:
        return rng.choice(BOUNDED).format(inner)
    return rng.choice(BINARY if kind < 0.9 else CHOICES).format(inner, drawn(rng, rng.randrange(depth)))


def functions(seed: int) -> Function:
    """A function whose tree is of a size that people write, and that the language has (E216)."""
    rng = random.Random(seed)
    while True:
        try:
            tree = tree_of(drawn(rng, 5))
        except Failed:
            continue
        if size(tree) <= 120 and "x" in repr(tree):
            return Function("drawn", ("x",), (), tree)


def away_from_kinks(function: Function, points: np.ndarray) -> np.ndarray:
    """The points at which nothing switches, and nothing is undefined."""
    parts: list[Tree] = [function.value, function.slope]
    keep = np.ones(len(points), bool)
    for kink in kinks(function, ()):
        keep &= np.abs(evaluate(kink, {"x": points}) + 0 * points) > 1e-6
    for part in parts:
        keep &= np.isfinite(evaluate(part, {"x": points}) + 0 * points)
    return points[keep]


SEEDS = [*range(20), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(20, 500))]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("target", TARGETS)
def test_every_target_agrees_on_drawn_functions(seed: int, target: str) -> None:
    function = functions(seed)
    x = away_from_kinks(function, np.linspace(-3.1, 3.3, 65))
    wanted = [evaluate(part, {"x": x}) + 0 * x for part in (function.value, derivative(function.value, "x"))]
    found = TARGETS[target](function, (), x)
    for got, right, what in zip(found, wanted, ("value", "derivative"), strict=True):
        scale = np.abs(right).max(initial=1.0)
        np.testing.assert_allclose(got / scale, right / scale, 1e-12, 1e-12, err_msg=what)
