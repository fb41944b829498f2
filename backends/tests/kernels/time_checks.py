"""The checks of networks that run over time: other lengths, and calls that go on from each other."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np

from .expected import Expected, draw_data
from .gradients import check_direction
from .points import Point, assert_within, direction_through, evaluated, fits
from .robustness import draw_moderate


def check_lengths(expected: Expected, build: Any) -> None:
    """One step, two, and more than are read back: layers, loss and gradients are the reference's."""
    longest = max((steps for steps, _ in expected.memory.values()), default=0)
    for steps in dict.fromkeys((1, 2, longest + 1, 2 * longest + 5)):
        other, point, direction = of_length(expected, steps)
        model = build(other)
        model.load(point.parameters)
        who = f"{model.name}, {steps} steps"
        if not fits(point):
            warnings.warn(f"{who}: nothing is compared, because {expected.name} overflows", stacklevel=2)
            continue
        layers, (loss, gradients) = model.layers(point.data, False), model.differentiate(point.data, False)
        for name in other.layers:
            wanted, error = point.wanted.values[name], point.value_errors[name]
            assert_within(layers[name].reshape(wanted.shape), wanted, error, f"{who}: layer {name}")
        assert_within(loss, point.wanted.loss, point.loss_error, f"{who}: loss")
        check_direction(who, point, direction, gradients)


@cache
def of_length(expected: Expected, steps: int) -> tuple[Expected, Point, dict[str, np.ndarray]]:
    """What is expected of so many steps, the reference there, and a direction that it is derived along."""
    other = expected.at_length(steps)
    parameters, data = draw_moderate(other, 70), draw_data(other, 71)
    direction = direction_through(other, data, 0)
    return other, evaluated(other, parameters, data, False, direction), direction


def check_pieces(expected: Expected, build: Any) -> None:
    """Called for some steps after the other, with the state from one call to the next, it is as in one call.

    The state behind the last step is what layers and inputs were at the last steps.
    """
    lengths = [1, 2, 1, 4]
    whole, point, _ = of_length(expected, sum(lengths))
    model, data, who = build(whole), point.data, f"{expected.name} in pieces"
    model.load(point.parameters)
    if not fits(point):
        warnings.warn(f"{model.name}: {who} is not compared, because it overflows", stacklevel=2)
        return
    values = {**data, **point.wanted.values}
    found, state = model.pieces(data, lengths)
    for name in whole.layers:
        wanted, error = values[name], point.value_errors[name]
        assert_within(found[name].reshape(wanted.shape), wanted, error, f"{model.name}, {who}: layer {name}")
    assert state.keys() == expected.memory.keys(), f"{model.name}: the state is of other values"
    for name, (steps, units) in expected.memory.items():
        wanted = values[name].reshape(len(values[name]), -1, units)
        wanted = wanted if name in expected.timed or name in data else np.repeat(wanted, 8, axis=1)
        last = state[name].reshape(len(wanted), steps, units)
        known = wanted[:, -steps:]
        error = 1e-9 * np.abs(known).max(initial=1e-2)
        if name in whole.layers:
            error = max(error, float(np.max(point.value_errors[name])))
        assert_within(last[:, -known.shape[1] :], known, error, f"{model.name}: the state of {name}")
