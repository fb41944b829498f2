"""The generated tests' reference: its definitions, their derivatives, and the errors that it grants."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nnspec.backends.numpy.kernels import activations, losses
from nnspec.backends.tests.kernels import plain
from nnspec.backends.tests.kernels.rounding import Rounding, around, rounding
from nnspec.compiler.catalogue.activations import ACTIVATIONS
from nnspec.compiler.catalogue.losses import LOSSES, PENALTIES
from nnspec.compiler.catalogue.norms import NORMS

STEP = 1e-200
WRITTEN = {**vars(activations), **vars(losses), "np": np}
ACTIVATION = {"softmax": lambda x: torch.softmax(x, -1), "log_softmax": lambda x: torch.log_softmax(x, -1)}
LOSS = {
    "cross_entropy": lambda y, t: F.cross_entropy(y.movedim(-1, 1), t),
    "binary_cross_entropy": F.binary_cross_entropy_with_logits,
    "mse": F.mse_loss,
    "squared_error": lambda y, t: (y - t).square().sum() / len(y),
    "mae": F.l1_loss,
    "cosine": lambda y, t: 1 - F.cosine_similarity(y.flatten(1), t.flatten(1)).mean(),
}
PENALTY = {"l1": lambda w: w.abs().sum(), "l2": lambda w: w.square().sum()}


def by_step(function, x, *others):
    """A number, and its derivative by every entry of x, by the complex step."""
    gradient = np.empty(x.shape)
    for at in np.ndindex(x.shape):
        moved = x.astype(complex)
        moved[at] += 1j * STEP
        gradient[at] = function(moved, *others).imag / STEP
    return function(x, *others), gradient


def by_torch(function, x, *others):
    leaf = torch.tensor(x, requires_grad=True)
    value = function(leaf, *map(torch.tensor, others))
    value.backward()
    return value.item(), leaf.grad.numpy()


def test_every_entry_of_the_catalogue_is_defined():
    assert ACTIVATION.keys() == ACTIVATIONS.keys()
    assert LOSS.keys() == LOSSES.keys()
    assert PENALTY.keys() == PENALTIES.keys()
    for name in (*ACTIVATIONS, *LOSSES, *PENALTIES):
        assert callable(getattr(plain, name))


@pytest.mark.parametrize("scale", [1e-3, 1, 30, 1000, 1e4])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name, scale):
    entry, own, of_framework = ACTIVATIONS[name], getattr(plain, name), ACTIVATION[name]
    x = scale * np.random.default_rng(0).normal(size=(4, 5))
    d = np.random.default_rng(1).normal(size=x.shape)
    value, gradient = by_step(lambda x: (own(x) * d).sum(), x)
    of_torch = by_torch(lambda x: (of_framework(x) * torch.tensor(d)).sum(), x)
    names = {**WRITTEN, "x": x, "d": d, "along": {}}
    names["y"] = eval(entry.formula, names)
    written = eval(entry.gradient, names)
    np.testing.assert_allclose(value, of_torch[0], rtol=1e-13)
    for other in (of_torch[1], written):
        np.testing.assert_allclose(gradient, other, rtol=1e-12, atol=1e-15)


def test_groups_of_units_are_those_of_their_numbers():
    x = np.arange(12.0).reshape(2, 6)
    groups = np.array([0, 1, 2, 0, 1, 2])
    apart = plain.in_groups(x, groups)
    np.testing.assert_array_equal(apart[1], [[6, 9], [7, 10], [8, 11]])
    np.testing.assert_array_equal(plain.as_units(apart, groups), x)


@pytest.mark.parametrize("scale", [1e-3, 1, 30, 1000])
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, scale):
    entry, rng = LOSSES[name], np.random.default_rng(2)
    y = scale * rng.normal(size=(3, 2, 4))
    t = rng.integers(4, size=(3, 2)) if entry.codes else rng.uniform(size=y.shape)
    if entry.kink_at_target:
        y[0, 0, 0] = t[0, 0, 0]
    value, gradient = by_step(getattr(plain, name), y, t)
    names = {**WRITTEN, "y": y, "t": t}
    written = entry.factor * eval(entry.derivative, names)
    of_torch, other = by_torch(LOSS[name], y, t)
    np.testing.assert_allclose(value, [eval(entry.formula, names), of_torch], rtol=1e-13)
    for wanted in (written, other):
        np.testing.assert_allclose(gradient, wanted, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties(name):
    entry, w = PENALTIES[name], np.array([-800.0, -1e-9, 0.0, 0.5, 40.0])
    value, gradient = by_step(getattr(plain, name), w)
    written = entry.factor * eval(entry.derivative, {"w": w, "np": np})
    of_torch, other = by_torch(PENALTY[name], w)
    np.testing.assert_allclose(value, [eval(entry.formula, {"w": w, "np": np}), of_torch])
    for wanted in (written, other):
        np.testing.assert_allclose(gradient, wanted, rtol=1e-14)


@pytest.mark.parametrize("units", [1, 2, 3, 7])
@pytest.mark.parametrize("name", NORMS)
def test_norms(name, units):
    axis = 0 if name == "batch_norm" else 1
    x = 3 * np.random.default_rng(3).normal(size=(6, units))
    d = np.random.default_rng(4).normal(size=x.shape)

    def of_torch(x):
        if axis == 0:
            return F.batch_norm(x, None, None, training=True)
        return F.layer_norm(x, (units,)) if name == "layer_norm" else F.rms_norm(x, (units,), eps=1e-5)

    def own(x):
        return plain.rms_normalised(x, 1e-5) if name == "rms_norm" else plain.normalised(x, axis, 1e-5)

    value, gradient = by_step(lambda x: (own(x) * d).sum(), x)
    wanted, other = by_torch(lambda x: (of_torch(x) * torch.tensor(d)).sum(), x)
    np.testing.assert_allclose(value, wanted, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(gradient, other, rtol=1e-9, atol=1e-9)


def test_weighted_sum():
    rng = np.random.default_rng(5)
    source, target = np.array([0, 2, 2, 1]), np.array([1, 0, 1, 1])
    x, weight = rng.normal(size=(3, 4)), rng.normal(size=4)
    dense = np.zeros((3, 4))
    np.add.at(dense, (target, source), weight)
    np.testing.assert_allclose(plain.weighted_sum(x, weight, source, target, 3), x @ dense.T)
    both = x + 1j * rng.normal(size=x.shape)
    np.testing.assert_allclose(plain.weighted_sum(both, weight, source, target, 3), both @ dense.T)


# ------------------------------------------------------------------------------------------ coarse rounding


def coarse(array, unit, seed=0):
    return rounding({"x": np.asarray(array)}, seed, unit)["x"]


def spread(function, *arrays, unit=1e-10):
    """The largest change of a result in ten draws."""
    exact = np.asarray(function(*arrays))
    drawn = [function(*(coarse(array, unit, seed) for array in arrays)) for seed in range(10)]
    return max(np.abs(np.asarray(result) - exact).max() for result in drawn)


@pytest.mark.parametrize(
    ("function", "y", "size"),
    [
        (lambda x, y: x + y, 1e-5, 1),
        (lambda x, y: (x + y) - y, 1e3, 1e3),  # the digits that the sum lost
        (lambda x, y: np.exp(x) * y, 3, 3 * np.e),
        (lambda x, y: np.where(x > 0, x * y, 0), -1e3, 1e3),
        (lambda x, y: np.mean([x * y, -x * y], axis=0), 1e3, 1e3),
        (lambda x, y: (np.ones((1, 10)) * x) @ (np.ones((10, 1)) * y), 1e3, 1e4),
    ],
)
def test_coarse_rounding_moves_a_result_as_its_condition_says(function, y, size):
    """By about the unit times the size of what was added up, and not by a hundred times more or less."""
    assert 1e-12 * size < spread(function, np.array(1.0), np.array(y)) < 1e-9 * size


def test_coarse_rounding_of_parts_and_of_zero():
    z = coarse(np.array([1 + 1e-200j, 0, 1e-200j]), 1e-3) * 1.0
    assert isinstance(z, Rounding)
    z = np.asarray(z)
    assert 0 < abs(z[0].real - 1) <= 1e-3
    assert 0 < abs(z[0].imag / 1e-200 - 1) <= 1e-3
    assert z[1] == 0
    assert z[2].real == 0
    assert around(np.ones(2), np.ones(2)).tolist() == [1, 1]
    assert not np.array_equal(around(coarse(np.zeros(2), 1e-3), np.ones(2)), np.zeros(2))


@pytest.mark.parametrize("eps", [1e-5, 1e-3])
def test_what_the_tests_grant_is_more_than_right_code_needs_and_less_than_a_fault_makes(eps):
    """For a layer norm over two units: PyTorch in both types, and one with another eps."""
    x, d = np.random.default_rng(6).normal(size=(2, 8, 2))

    def loss(x):
        return (plain.normalised(x, 1, 1e-5) * d).sum()

    def gradient(dtype, eps):
        leaf = torch.tensor(x, dtype=dtype, requires_grad=True)
        (F.layer_norm(leaf, (2,), eps=eps) * torch.tensor(d, dtype=dtype)).sum().backward()
        return leaf.grad.numpy()

    direction = np.random.default_rng(7).choice([-1.0, 1.0], x.shape)
    for dtype in (torch.float64, torch.float32):
        unit = 256 * torch.finfo(dtype).eps / 2
        exact = loss(x + 1j * STEP * direction).imag / STEP
        drawn = [loss(coarse(x, unit, n) + 1j * STEP * direction).imag / STEP for n in range(4)]
        error = max(abs(float(value) - exact) for value in drawn)
        off = abs((gradient(dtype, eps) * direction).sum() - exact)
        assert off <= error if eps == 1e-5 else off > error
