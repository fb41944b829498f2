"""The check of optimisers: a framework's own Adam moves every weight as a plain statement of Adam does.

It holds adapters that have `optimise(data, steps, rate)`, which takes so many steps of the framework's Adam
on the whole batch, with its own default betas and epsilon, and returns the loss before each of them if the
framework reports it, or None. NumPy has no optimiser.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .expected import Expected, draw_data, draw_parameters
from .points import assert_within, evaluated


def check_optimiser(expected: Expected, model: Any, tolerance: float) -> None:
    """Three steps of Adam move what is trained as `adam` does, and leave what is frozen as it was to the bit.

    How far right code may lie from that, is found by stating the steps once more, shorter by `tolerance` and
    with gradients moved by 1e-9 of the largest, towards zero and beyond: a gradient that is zero but for
    rounding has a step of any sign, and a kink may lie in between. Of what both move, ten times is allowed.
    """
    parameters, data = draw_parameters(expected, 13), draw_data(expected, 14)
    steps, rate = 3, 1e-3
    wanted = adam(expected, model, parameters, data, steps, rate)
    disturbed = adam(expected, model, parameters, data, steps, rate * (1 - tolerance), 1e-9)
    model.load(parameters)
    reported = model.optimise(data, steps, rate)
    found = model.arrays()
    if reported is not None:
        point, what = evaluated(expected, parameters, data, True), f"{model.name}: loss of Adam's first step"
        assert_within(reported[0], point.wanted.loss, point.loss_error, what)
    for name in expected.parameters:
        array, start = found[name], parameters[name]
        if name not in expected.trained and name not in expected.running:
            assert np.array_equal(array, start), f"{model.name}: {name} is frozen, but Adam moves it"
            continue
        assert np.isfinite(array).all(), f"{model.name}: {name} is not finite after {steps} steps of Adam"
        step = steps * rate if name in expected.trained else np.abs(wanted[name]).max(initial=0.0)
        allowed = 10 * (np.abs(disturbed[name] - wanted[name]) + tolerance * step)
        excess = np.abs(array - wanted[name]) - allowed - 1e-12 * np.abs(start)
        at = np.unravel_index(np.argmax(excess), excess.shape) if excess.size else ()
        message = f"{model.name}: {steps} steps of Adam move {name}{list(map(int, at))} by "
        assert excess.size == 0 or excess[at] <= 0, (
            f"{message}{(array - start)[at]:.6g}, not {(wanted[name] - start)[at]:.6g}"
        )


def adam(
    expected: Expected,
    model: Any,
    start: dict[str, np.ndarray],
    data: dict[str, np.ndarray],
    steps: int,
    rate: float,
    noise: float = 0.0,
) -> dict[str, np.ndarray]:
    """Parameters after steps of Adam (Kingma and Ba 2015, Algorithm 1) with the gradients of `differentiate`.

    Running statistics move as they do in training. `noise` is taken off gradients, as part of the largest.
    """
    p = {**start}
    first = {name: np.zeros_like(start[name]) for name in expected.trained}
    second = {name: np.zeros_like(start[name]) for name in expected.trained}
    for step in range(1, steps + 1):
        model.load(p)
        _, gradients = model.differentiate(data, True)
        arrays = model.arrays()
        p |= {name: arrays[name] for name in expected.running}
        largest = max((np.abs(gradients[name]).max(initial=0.0) for name in expected.trained), default=0.0)
        for name in expected.trained:
            gradient = gradients[name] - np.copysign(noise * largest, gradients[name])
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.999 * second[name] + 0.001 * gradient**2
            p[name] = p[name] - rate * adam_direction(model.name, first[name], second[name], step)
    return p


def adam_direction(framework: str, first: np.ndarray, second: np.ndarray, step: int) -> np.ndarray:
    """What a step of Adam is a multiple of, by the running means of the gradient and of its square.

    PyTorch adds its epsilon, 1e-8, to the root of the corrected second moment, as Algorithm 1 has it. Keras
    adds its own, 1e-7, to the root of the second moment as it is: the epsilon hat of the paper's section 2.
    """
    corrected, root = first / (1 - 0.9**step), np.sqrt(1 - 0.999**step)
    if framework == "keras":
        return corrected * root / (np.sqrt(second) + 1e-7)
    return corrected / (np.sqrt(second) / root + 1e-8)
