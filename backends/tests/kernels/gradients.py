"""The checks of gradients: every target against the derivatives of the reference."""

from __future__ import annotations

from typing import Any

import numpy as np

from .expected import Expected
from .points import Point, assert_within, derivatives_at, point_of


def check_gradients(expected: Expected, model: Any, training: bool = True) -> None:
    """The loss is the reference's, and every gradient its derivative, to what rounding leaves of it.

    All entries of what is small, a seeded sample of what is large, and of each array all entries together
    along a direction in general position, where no error can hide.
    """
    point = point_of(expected, training, "float64")
    model.load(point.parameters)
    loss, gradients = model.differentiate(point.data, training)
    check_running(expected, model, point)
    assert_within(loss, point.wanted.loss, point.loss_error, f"{model.name}: loss")
    assert set(gradients) == {*expected.trained, *expected.moved}, f"{model.name}: gradients of other things"
    for name, wanted in derivatives_at(expected, point).items():
        gradient, what = gradients[name], f"{model.name}: d loss / d {name}"
        assert gradient.shape == wanted.direction.shape, f"{what} has the shape {gradient.shape}"
        for at, entry in wanted.entries.items():
            assert_within(gradient[at], entry, 2 * wanted.error, f"{what}{list(at)}")
        along = np.vdot(gradient, wanted.direction)
        assert_within(along, wanted.along, wanted.error, f"{what} along a direction")


def check_direction(
    model: str, point: Point, direction: dict[str, np.ndarray], gradients: dict[str, np.ndarray]
) -> None:
    """The derivative along a direction through all parameters and inputs together."""
    found = sum(np.vdot(gradients[name], along) for name, along in direction.items())
    assert_within(found, point.wanted.along, point.along_error, f"{model}: the derivative along a direction")


def check_running(expected: Expected, model: Any, point: Point) -> None:
    """The running statistics have moved once in training, and else not at all."""
    arrays = model.arrays()
    for name in expected.running:
        what = f"{model.name}: {name} after one step"
        if point.training:
            assert_within(arrays[name], point.wanted.running[name], point.running_errors[name], what)
        else:
            assert np.array_equal(arrays[name], point.parameters[name]), f"{what} has moved"
