"""The checks of targets against each other: the same values, gradients and training."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from .expected import Expected, draw_data, moved_inside
from .gradients import check_direction, check_running
from .points import assert_within, derivatives_at, direction_through, evaluated, point_of


def check_agreement(expected: Expected, one: Any, other: Any, dtype: str = "float64") -> None:
    """Two targets agree on every layer (the first that differs is named), the loss and every gradient.

    They may differ by what rounding in `dtype`, which they compute in, may make of both. What overflows in it
    wherever it is looked at is not compared, and a warning says so.
    """
    pair = f"{one.name} and {other.name}"
    try:
        point = point_of(expected, False, dtype)
    except OverflowError as error:
        warnings.warn(f"{pair} are not compared: {error}", stacklevel=2)
        return
    one.load(point.parameters)
    other.load(point.parameters)
    layers, others = one.layers(point.data, False), other.layers(point.data, False)
    for name in expected.layers:
        a, b = layers[name].reshape(len(layers[name]), -1), others[name].reshape(len(others[name]), -1)
        assert_within(a, b, 2 * point.value_errors[name], f"{pair}: layer {name}, the first that differs,")
    point = point_of(expected, True, dtype)
    one.load(point.parameters)
    other.load(point.parameters)
    (loss, gradients), (other_loss, other_gradients) = (
        one.differentiate(point.data),
        other.differentiate(point.data),
    )
    assert_within(loss, other_loss, 2 * point.loss_error, f"{pair}: loss")
    for name, wanted in derivatives_at(expected, point).items():
        assert_within(gradients[name], other_gradients[name], 4 * wanted.error, f"{pair}: gradient of {name}")


def check_training(expected: Expected, models: Sequence[Any], steps: int = 2) -> None:
    """Each target takes the same steps of gradient descent from the start values of the spec.

    All take each step from the same place, so that no rounding grows from one to the next. What is trained
    moves by the gradient alone, what is frozen not at all, running statistics as in the reference.
    """
    data = draw_data(expected, 9)
    place = {name: array.astype(np.float64) for name, array in expected.start(0).items()}
    place = moved_inside(expected, place)
    for step in range(steps):
        direction = direction_through(expected, data, step)
        point = evaluated(expected, place, data, True, direction)
        moved = place | point.wanted.running
        for model in models:
            model.load(place)
            _, gradients = model.differentiate(data)
            arrays, what = model.arrays(), f"{model.name}, step {step + 1} of gradient descent"
            for name in expected.parameters.keys() - {*expected.running}:
                assert np.array_equal(arrays[name], place[name]), f"{what}: {name} has moved by itself"
            check_running(expected, model, point)
            check_direction(what, point, direction, gradients)
            if model is models[0]:  # so short a step that it leads downhill
                squares = sum(np.square(gradients[name]).sum() for name in expected.trained)
                rate = 0.01 / max(1e-6, float(np.sqrt(squares)))
                moved |= {name: place[name] - rate * gradients[name] for name in expected.trained}
        place = moved
