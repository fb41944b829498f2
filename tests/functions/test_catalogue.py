"""The catalogue's functions on every target, and what targets have of their own against definitions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nnspec.backends.definitions import native
from nnspec.backends.keras.spelling import NAMED_FUNCTIONS
from nnspec.backends.keras.spelling import NATIVE as KERAS_NATIVE
from nnspec.backends.torch.target import NATIVE as TORCH_NATIVE
from nnspec.compiler.functions import catalogue
from nnspec.compiler.functions.evaluate import evaluate
from nnspec.compiler.functions.function import Function, Numbers, is_exact, kinks
from nnspec.compiler.functions.tree import substituted
from nnspec.dsl.diagnostics import Report
from nnspec.dsl.formatter import format_spec
from nnspec.dsl.parser import parse
from nnspec.dsl.source import Source

from . import code

NAMES = catalogue.names()
# Of functions that grow as exp does, squares overflow in single precision.
POINTS = np.concatenate([np.linspace(-30, 30, 9_991), [-0.0, 0.0, -1e4, 1e4, -88.0, 88.0, -1e-9, 1e-9, 1.0]])


def functions_of(name: str) -> Function:
    found = catalogue.function(name)
    assert found is not None
    return found


def at(points: np.ndarray, function: Function) -> tuple[np.ndarray, np.ndarray]:
    """The value and the derivative by the definition."""
    numbers, given = dict(function.defaults), {function.first: points}
    value, slope = (
        np.broadcast_to(evaluate(substituted(tree, numbers), given), points.shape).astype(points.dtype)
        for tree in (function.value, function.slope)
    )
    return value, slope


def by_torch(run, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    import torch

    x = torch.tensor(points, requires_grad=True)
    y = run(x)
    assert y.dtype == x.dtype
    if not y.requires_grad:  # what does not depend on x, or stops
        return y.numpy(), np.zeros_like(points)
    (slope,) = torch.autograd.grad(y.sum(), x)
    return y.detach().numpy(), slope.numpy()


def by_tensorflow(run, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    import tensorflow as tf

    x = tf.Variable(points)
    with tf.GradientTape() as tape:
        y = run(tf.convert_to_tensor(x))
    slope = tape.gradient(y, x)
    assert y.dtype == x.dtype
    return y.numpy(), (np.zeros_like(points) if slope is None else tf.convert_to_tensor(slope).numpy())


def assert_near(got: np.ndarray, wanted: np.ndarray, what: str, bits: int = 12) -> None:
    """Fail unless numbers agree but for roundings; what is not finite, in kind."""
    unit = float(np.finfo(wanted.dtype).eps) * 2**bits
    finite = np.isfinite(wanted)
    np.testing.assert_array_equal(np.isfinite(got), finite, what)
    np.testing.assert_allclose(got[finite], wanted[finite], rtol=unit, atol=unit, err_msg=what)


def by_numpy(function: Function, numbers: Numbers, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    value, slope = code.in_numpy(function, numbers)
    with np.errstate(all="ignore"):
        y = value(points) + 0.0 * points
        return y, slope(points, y) + 0.0 * points


# The value and the derivative of a function at points, as the code of each target computes them.
TARGETS: dict[str, Callable[[Function, Numbers, np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "numpy": by_numpy,
    "torch": lambda function, numbers, points: by_torch(code.in_torch(function, numbers), points),
    "keras": lambda function, numbers, points: by_tensorflow(code.in_keras(function, numbers), points),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", TARGETS)
def test_every_target_computes_the_definition(name: str, target: str) -> None:
    """Spelled out: values and derivatives agree to 1e-12, far out, near kinks and on them."""
    function = functions_of(name)
    found, wanted = TARGETS[target](function, function.defaults, POINTS), at(POINTS, function)
    for got, right, what in zip(found, wanted, ("value", "derivative"), strict=True):
        assert_near(got, right, f"the {what} of {name}")


@pytest.mark.parametrize("name", NAMES)
def test_the_derivative_in_numpy_is_no_warning_and_keeps_precision(name: str) -> None:
    """Where the function is finite there is no 0 * inf in its derivative, nor an overflow on the way."""
    function = functions_of(name)
    points = POINTS[np.abs(POINTS) < 80] if name in ("exp", "expm1", "sinh", "cosh") else POINTS
    value, slope = code.in_numpy(function, function.defaults)
    for dtype in (np.float64, np.float32):
        x = points.astype(dtype)
        with np.errstate(all="raise", under="ignore"):
            y = value(x)
            d = np.ones_like(x) * slope(x, y)
        assert y.dtype == dtype
        assert d.dtype == dtype
        assert np.isfinite(d).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_of_generated_tests_steps_to_the_derivative(name: str) -> None:
    function, h = functions_of(name), 1e-200
    points = POINTS[np.abs(POINTS) < 40]
    value, slope = at(points, function)
    stepped = code.in_reference(function, function.defaults)(points + 1j * h)
    assert_near(stepped.real, value, name)
    assert_near(stepped.imag / h, slope, name)


@pytest.mark.parametrize("name", TORCH_NATIVE)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_pytorch_has_of_its_own_is_the_definition(name: str, dtype: type) -> None:
    from torch import nn

    function = functions_of(name)
    text = native(TORCH_NATIVE, function, function.defaults)
    assert text is not None
    module = eval(text, {"nn": nn, **dict(function.defaults)})
    points = POINTS.astype(dtype)
    for got, wanted in zip(by_torch(module, points), at(points, function), strict=True):
        assert_near(got, wanted, name)
    # Where the definition says nothing, as of inf * 0, PyTorch's own may, and the other way about.
    ends = np.array([-np.inf, np.inf], dtype)
    for got, wanted in zip(by_torch(module, ends), at(ends, function), strict=True):
        said = ~np.isnan(wanted) & ~np.isnan(got)
        np.testing.assert_array_equal(got[said], wanted[said], name)


@pytest.mark.parametrize("name", KERAS_NATIVE)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_what_keras_has_of_its_own_is_the_definition(name: str, dtype: str) -> None:
    import keras

    from nnspec.backends.keras.kernels import factor, gelu

    function = functions_of(name)
    names = {**vars(gelu), **vars(factor), "keras": keras, "own": "own", **dict(function.defaults)}
    keras.config.set_dtype_policy(dtype)
    try:
        layer = eval(KERAS_NATIVE[name], names)
        points = POINTS.astype(dtype)
        for got, wanted in zip(by_tensorflow(layer, points), at(points, function), strict=True):
            assert_near(got, wanted, name)
    finally:
        keras.config.set_dtype_policy("float32")
    assert {*NAMED_FUNCTIONS} <= {*KERAS_NATIVE}


def zeros(function: Function) -> set[float]:
    """Where the kinks of a function are."""
    grid = np.arange(-8, 8.001, 1 / 8)
    numbers = dict(function.defaults)
    found = [
        evaluate(substituted(k, numbers), {function.first: grid}) for k in kinks(function, function.defaults)
    ]
    return {float(x) for values in found for x in grid[np.abs(values) < 1e-12]}


KINKS = {
    **{name: {0.0} for name in ("relu", "leaky_relu", "selu", "threshold", "abs")},
    "relu6": {0.0, 6.0},
    "hard_sigmoid": {-3.0, 3.0},
    "hard_silu": {-3.0, 3.0},
    "hard_tanh": {-1.0, 1.0},
    "hard_shrink": {-0.5, 0.5},
    "soft_shrink": {-0.5, 0.5},
    "sparse_sigmoid": {-1.0, 1.0},
}


@pytest.mark.parametrize("name", NAMES)
def test_kinks_are_found_and_no_others(name: str) -> None:
    assert zeros(functions_of(name)) >= KINKS.get(name, set())
    if name not in KINKS:
        assert kinks(functions_of(name), functions_of(name).defaults) == ()


def test_exactness_follows_from_the_tree() -> None:
    exact = {name for name in NAMES if is_exact(functions_of(name), functions_of(name).defaults)}
    assert exact == {
        *("relu", "relu6", "hard_tanh", "hard_shrink", "soft_shrink", "threshold", "sparse_sigmoid", "abs")
    }
    leaky = functions_of("leaky_relu")
    assert is_exact(leaky, (("slope", 0.25),))
    assert not is_exact(leaky, (("slope", 0.1),))


def test_the_file_is_one_function_on_each_line_in_canonical_layout() -> None:
    text = catalogue.PLACE.read_text()
    source = Source("catalogue.nnspec", text)
    report = Report(source)
    spec = parse(source, report)
    assert not report.found
    assert format_spec(spec) == text
    assert len(spec.statements) == 1 + len(catalogue.statements())
