"""The checks of gradients: every target against the central differences of the reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .checks import assert_close
from .expected import Expected, draw_data, draw_parameters


def check_gradients(expected: Expected, model: Any, training: bool, tolerance: float) -> None:
    """The loss is the reference's, and every gradient its central difference, entry by entry.

    All entries of what is small, a seeded sample of what is large, and random directions through everything;
    entries whose step crosses a kink are left out, and at least half must remain.
    """
    parameters, data = draw_parameters(expected, 5), draw_data(expected, 6)
    model.load(parameters)
    loss, gradients = model.differentiate(data, training)
    _, wanted, _, running = expected.reference(parameters, data, training)
    check_running(expected, model, running if training else parameters, tolerance)
    scale = loss_scale(expected, data)
    assert_close(np.asarray(loss), np.asarray(wanted), tolerance, f"{model.name}: loss", scale)
    loss_size = max(abs(float(wanted)), scale)
    assert set(gradients) == {*expected.trained, *expected.inputs}, f"{model.name}: gradients of other things"
    largest = max(np.abs(gradient).max(initial=0.0) for gradient in gradients.values())
    slack = max(tolerance, 1e-6)
    for name, gradient in gradients.items():
        point = parameters if name in parameters else data
        held = total = 0
        for at in entries(name, gradient.shape, 64 if expected.size < 10**5 else 8):
            direction = np.zeros(gradient.shape)
            direction[at] = 1.0
            difference = central_difference(expected, parameters, data, {name: direction}, training)
            total += 1
            if difference is None:
                continue
            held += 1
            allowed = slack * max(np.abs(gradient).max(), 1e-2 * largest) + rounding(loss_size)
            error = abs(gradient[at] - difference)
            message = f"{model.name}: d loss / d {name}{list(at)} is {gradient[at]:.6g}, not {difference:.6g}"
            assert error <= allowed, message
        assert 2 * held >= total, f"{name}: too many entries lie at a kink to be checked"
        assert gradient.shape == point[name].shape
    check_directions(expected, model.name, parameters, data, gradients, training, slack, loss_size)


def loss_scale(expected: Expected, data: dict[str, np.ndarray]) -> float:
    """The size that a loss is held against if it is smaller: terms of a sum with cotangents may cancel."""
    return max([1e-3, *(float(np.linalg.norm(data[name])) for name in expected.cotangents.values())])


def rounding(loss: float, step: float = 1e-5) -> float:
    """What the last bits of a loss of this size alone make of a difference quotient."""
    return 16 * float(np.finfo(np.float64).eps) * loss / (2 * step)


def check_directions(
    expected: Expected,
    model: str,
    parameters: dict[str, np.ndarray],
    data: dict[str, np.ndarray],
    gradients: dict[str, np.ndarray],
    training: bool,
    slack: float,
    loss_size: float,
) -> None:
    """The derivatives along random directions, through all parameters and all inputs: no entry can hide.

    Where the step crosses a kink, a smaller one is taken in another direction.
    """
    for what, names in (("parameters", expected.trained), ("inputs", tuple(expected.inputs))):
        for seed, step in enumerate((1e-5, 1e-6, 1e-7, 1e-8, 1e-8, 1e-8)):
            rng = np.random.default_rng(seed)
            direction = {name: rng.normal(size=gradients[name].shape) for name in names}
            difference = central_difference(expected, parameters, data, direction, training, step)
            if difference is not None:
                break
        assert difference is not None, f"too many kinks to differentiate along a direction of {what}"
        found = sum(np.vdot(gradients[name], direction[name]) for name in names)
        size = np.sqrt(sum(np.vdot(gradients[name], gradients[name]) for name in names))
        allowed = 10 * slack * max(size, 1e-3) + rounding(loss_size, step)
        message = f"{model}: the derivative along a direction of {what} is {found:.6g}, not {difference:.6g}"
        assert abs(found - difference) <= allowed, message


def entries(name: str, shape: tuple[int, ...], most: int) -> Iterator[tuple[int, ...]]:
    """All indices of a small array, a seeded sample of a large one."""
    size = int(np.prod(shape))
    rng = np.random.default_rng(list(name.encode()))
    chosen: Sequence[int] = range(size) if size <= most else sorted(rng.choice(size, most, replace=False))
    for place in chosen:
        yield tuple(int(index) for index in np.unravel_index(place, shape))


def central_difference(
    expected: Expected,
    parameters: dict[str, np.ndarray],
    data: dict[str, np.ndarray],
    direction: dict[str, np.ndarray],
    training: bool,
    step: float = 1e-5,
) -> float | None:
    """(loss(+h) - loss(-h)) / 2h of the reference, or None if a kink lies in between; h is `step`."""
    losses: list[float] = []
    sides: list[list[np.ndarray]] = []
    for sign in (1, -1):
        moved_parameters = {**parameters}
        moved_inputs: dict[str, np.ndarray] = {}
        for name, along in direction.items():
            if name in parameters:
                moved_parameters[name] = parameters[name] + sign * step * along
            else:
                moved_inputs[name] = data[name] + sign * step * along
        _, loss, side, _ = expected.reference(moved_parameters, data, training, moved_inputs)
        losses.append(float(loss))
        sides.append(side)
    if any(not np.array_equal(a, b) for a, b in zip(*sides, strict=True)):
        return None
    return (losses[0] - losses[1]) / (2 * step)


def check_running(expected: Expected, model: Any, running: dict[str, np.ndarray], tolerance: float) -> None:
    """The running statistics have moved once."""
    arrays = model.arrays()
    for name in expected.running:
        assert_close(arrays[name], running[name], tolerance, f"{model.name}: {name} after one step")
