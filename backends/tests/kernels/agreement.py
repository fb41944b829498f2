"""The checks of targets against each other: the same values, gradients and training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .checks import assert_close
from .expected import Expected, draw_data, draw_parameters
from .gradients import loss_scale


def check_agreement(expected: Expected, one: Any, other: Any, tolerance: float, gradient: float) -> None:
    """Two targets agree on every layer (the first that differs is named), the loss and every gradient."""
    parameters, data = draw_parameters(expected, 7), draw_data(expected, 8)
    pair = f"{one.name} and {other.name}"
    one.load(parameters)
    other.load(parameters)
    layers, others = one.layers(data, False), other.layers(data, False)
    for name in expected.layers:
        a, b = layers[name].reshape(len(layers[name]), -1), others[name].reshape(len(others[name]), -1)
        assert_close(a, b, tolerance, f"{pair}: layer {name}, the first that differs,")
    (loss, gradients), (other_loss, other_gradients) = one.differentiate(data), other.differentiate(data)
    scale = loss_scale(expected, data)
    assert_close(np.asarray(loss), np.asarray(other_loss), tolerance, f"{pair}: loss", scale)
    # A gradient that is zero but for rounding, as of a bias before a norm, is held against the others.
    scale = 0.1 * max(np.abs(array).max(initial=0.0) for array in gradients.values())
    for name in gradients:
        what = f"{pair}: gradient of {name}"
        assert_close(gradients[name], other_gradients[name], gradient, what, max(scale, 1e-3))


def check_training(expected: Expected, models: Sequence[Any], steps: int = 5) -> None:
    """All targets are in the same place after gradient descent, and what is not trained has not moved."""
    data = draw_data(expected, 9)
    start = expected.start(0)
    results: list[dict[str, np.ndarray]] = []
    rate = 0.0
    for model in models:
        model.load({name: array.astype(np.float64) for name, array in start.items()})
        for _ in range(steps):
            _, gradients = model.differentiate(data)
            arrays = model.arrays()
            if rate == 0.0:  # so short a step that it leads downhill: what diverges differs in the end
                squares = sum(np.square(gradients[name]).sum() for name in expected.trained)
                rate = 0.01 / max(1e-6, float(np.sqrt(squares)))
            for name in expected.trained:
                arrays[name] = arrays[name] - rate * gradients[name]
            model.load(arrays)
        results.append(model.arrays())
        for name in expected.parameters.keys() - {*expected.trained, *expected.running}:
            assert np.array_equal(results[-1][name], start[name]), f"{model.name}: {name} is frozen but moved"
        for name, array in results[-1].items():
            assert_close(
                array,
                results[0][name],
                1e-10,
                f"{model.name} and {models[0].name} after {steps} steps: {name}",
            )
