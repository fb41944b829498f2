"""The checks of dropout: its masks, and the derivatives that it leaves."""

from __future__ import annotations

from typing import Any

import numpy as np

from .checks import assert_close
from .expected import Expected, draw_data, draw_parameters
from .gradients import check_direction, check_running
from .points import assert_within, direction_through, evaluated


def check_dropout(expected: Expected, model: Any) -> None:
    """Dropout makes zeros of its share of ones, each by itself, anew each time, and 1 / (1 - p) of the rest.

    So it does at every step of a layer that differs from step to step.

    Right code fails each of these with a probability of less than 1e-12: the share is held against Chernoff's
    bound, P(KL(share, p) >= x) <= 2 exp(-n x), and what could be equal by chance is not looked at.
    """
    never = np.log(1e-12)
    for name, (_, p) in expected.dropout.items():
        what = f"{model.name}: dropout of {name}"
        dropped = one_a_group(expected, name, np.asarray(model.dropped(name, 0)), what)
        kept = dropped != 0
        assert_close(dropped[kept] * (1 - p), np.ones(kept.sum()), 1e-5, f"{what}: what it keeps")
        share = 1 - kept.mean()
        message = f"{what} drops {share:.3f} of its units, not {p}"
        assert kept.size * divergence(share, p) <= np.log(2) - never, message
        again = one_a_group(expected, name, np.asarray(model.dropped(name, 1)), what) != 0
        if kept.size * np.log(p**2 + (1 - p) ** 2) < never:
            assert not np.array_equal(kept, again), f"{what} drops the same units each time"
        axes = ("in all samples", *["at all steps"] * (kept.ndim - 2), "throughout a sample")
        for axis, along in enumerate(axes):
            length = kept.shape[axis]
            if kept.size / length * np.log(p**length + (1 - p) ** length) < never:
                first = kept.take([0], axis)
                assert not np.array_equal(kept, np.broadcast_to(first, kept.shape)), f"{what} is one {along}"


def one_a_group(expected: Expected, layer: str, dropped: np.ndarray, what: str) -> np.ndarray:
    """What is dropped of each group, (batch, groups), or over time (batch, steps, groups)."""
    groups = expected.dropped_together.get(layer)
    if groups is None:
        return dropped
    _, first = np.unique(groups, return_index=True)
    each = dropped[..., first]
    assert np.array_equal(dropped, each[..., groups]), f"{what} drops a part of what goes together"
    return each


def divergence(share: float, p: float) -> float:
    """KL(share, p) of two coins, infinite where a share is there that has no probability."""
    parts = [(share, p), (1 - share, 1 - p)]
    return sum(a * (np.log(a) - np.log(b)) if b > 0 else np.inf for a, b in parts if a > 0)


def check_dropped_gradients(expected: Expected, model: Any) -> None:
    """With some units dropped, layers, loss and derivatives are the reference's without the same units."""
    parameters, data = draw_parameters(expected, 10), draw_data(expected, 11, batch=32)
    model.load(parameters)
    masks, layers, loss, gradients = model.differentiate_dropped(data, 12)
    kept: dict[str, np.ndarray] = {}
    for step, p in expected.dropout.values():
        wanted = (masks[step] != 0) / (1 - p)
        assert_close(masks[step], wanted, 1e-6, f"{model.name}: mask of {step}")
        # The mask is float32, so what is kept is 1 but for that rounding.
        kept[f"{step} kept"] = masks[step].astype(np.float64) * (1 - p)
    name = f"{model.name} with dropout"
    direction = direction_through(expected, data, 13)
    point = evaluated(expected, parameters, data | kept, True, direction)
    for layer in expected.layers:
        wanted, error = point.wanted.values[layer], point.value_errors[layer]
        assert_within(layers[layer].reshape(wanted.shape), wanted, error, f"{name}: layer {layer}")
    assert_within(loss, point.wanted.loss, point.loss_error, f"{name}: loss")
    check_running(expected, model, point)
    check_direction(name, point, direction, gradients)
