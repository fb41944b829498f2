"""The checks: every target against the reference and its central differences, and targets against each other.

A target is an adapter (`NumpyModel`, `TorchModel`, `KerasModel`): `load(arrays)`, `arrays()`, `layers(data,
training)`, `outputs(data)`, `differentiate(data)`, `project(connection, x)` and `dropped(layer, seed)`; that
of NumPy, whose derivatives are written out, has `differentiate_dropped(data, seed)` too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...common.kernels.array_hash import array_hash
from .expected import Expected, draw_data, draw_parameters


def assert_close(
    got: np.ndarray, wanted: np.ndarray, tolerance: float, what: str, scale: float = 1e-3
) -> None:
    """Fail unless the largest difference is at most `tolerance` of the largest entry, or of `scale`."""
    got, wanted = np.asarray(got, np.float64), np.asarray(wanted, np.float64)
    assert got.shape == wanted.shape, f"{what}: shape {got.shape}, expected {wanted.shape}"
    assert np.isfinite(got).all(), f"{what} is not finite"
    largest = np.abs(wanted).max(initial=scale)
    difference = np.abs(got - wanted).max(initial=0.0) / largest
    assert difference <= tolerance, f"{what} differs by {difference:.1e} of its largest entry"


def check_stored(expected: Expected) -> None:
    """The stored arrays are those of the spec; edges are counted, in range, sorted and each there once."""
    for name, (targets, sources, count) in expected.edges.items():
        source, target = (expected.stored[f"{name}.{end}"].astype(np.int64) for end in ("source", "target"))
        assert len(source) == len(target) == count, f"{name} has {len(source)} edges, expected {count}"
        keys = target * sources + source
        assert (np.diff(keys) > 0).all(), f"{name}: edges are not sorted, or one is there twice"
        assert count == 0 or (source.min() >= 0 and source.max() < sources), f"{name}: a source is outside"
        assert count == 0 or (target.min() >= 0 and target.max() < targets), f"{name}: a target is outside"
    # Edges of a rule that are more than a million have no hash.
    ends = {f"{name}.{end}" for name in expected.edges for end in ("source", "target")}
    assert expected.hashes.keys() <= expected.stored.keys() <= expected.hashes.keys() | ends
    for name, sha256 in expected.hashes.items():
        assert array_hash(expected.stored[name]) == sha256, f"{name} is not as the spec says"


def check_wiring(expected: Expected, wiring: Mapping[str, np.ndarray]) -> None:
    """What a module says of its edges is what the tests know of them, also where no kernel reads it."""
    assert wiring.keys() == expected.stored.keys()
    for name, array in expected.stored.items():
        assert np.array_equal(wiring[name], array), f"{name} is stated otherwise"


def check_parameters(expected: Expected, model: Any) -> None:
    """Names and shapes of parameters, which of them are trained, and how many numbers that is."""
    arrays = {name: array for name, array in model.arrays().items() if not name.endswith(".digest")}
    assert {name: array.shape for name, array in arrays.items()} == expected.parameters
    assert model.trained() == set(expected.trained)
    counted = sum(arrays[name].size for name in model.trained())
    assert counted == sum(int(np.prod(expected.parameters[name])) for name in expected.trained)


def check_start(expected: Expected, build: Any) -> None:
    """The start values of two seeds are those that the spec draws, to the bit, and not the same."""
    for seed in (0, 1):
        arrays = build(seed).arrays()
        for name, wanted in expected.start(seed).items():
            assert np.array_equal(arrays[name].astype(np.float32), wanted), f"{name} starts otherwise"


def check_outputs(expected: Expected, model: Any, training: bool, tolerance: float) -> None:
    """Every layer, the outputs' shapes and, in training, the running statistics are the reference's."""
    parameters, data = draw_parameters(expected, 1), draw_data(expected, 2)
    model.load(parameters)
    layers = model.layers(data, training)
    values, _, _, running = expected.reference(parameters, data, training)
    for name in expected.layers:
        wanted = values[name]
        assert_close(layers[name].reshape(wanted.shape), wanted, tolerance, f"{model.name}: layer {name}")
    if training:
        arrays = model.arrays()
        for name in expected.running:
            assert_close(arrays[name], running[name], tolerance, f"{model.name}: {name}")
        return
    outputs = model.outputs(data)
    for (name, shape), output in zip(expected.outputs.items(), outputs, strict=True):
        assert output.shape == (len(output), *shape), f"{name} has the shape {output.shape}"
        assert_close(output.reshape(len(output), -1), values[name], tolerance, f"{model.name}: output {name}")


def check_projections(expected: Expected, model: Any, tolerance: float) -> None:
    """Every sparse connection by itself: 64 units of it by hand, and that absent edges have no influence.

    Of the sources a half is moved, then a quarter and so on, at least one: units that read none of what is
    moved keep their value to the bit.
    """
    stored, rng = expected.stored, np.random.default_rng(3)
    parameters = draw_parameters(expected, 4)
    model.load(parameters)
    for name, (targets, sources, _) in expected.edges.items():
        source, target = stored[f"{name}.source"], stored[f"{name}.target"]
        weight = parameters.get(f"{name}.weight", np.ones(len(source)))
        x = rng.normal(size=(3, sources))
        y = model.project(name, x)
        for neuron in rng.choice(targets, min(targets, 64), replace=False):
            own = target == neuron
            wanted = x[:, source[own]] @ weight[own]
            assert_close(y[:, neuron], wanted, tolerance, f"{model.name}: unit {neuron} of {name}")
        for halvings in range(1, 17):
            moved = rng.random(sources) < 0.5**halvings
            moved[rng.integers(sources)] = True
            untouched = np.bincount(target, moved[source], minlength=targets) == 0
            again = model.project(name, x + 1e3 * moved)
            message = f"{model.name}: {name} lets units act on units that they are not connected to"
            assert np.array_equal(again[:, untouched], y[:, untouched]), message


# -------------------------------------------------------------------------------------------- gradients


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


# -------------------------------------------------------------------------------------------- agreement


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


def check_training(expected: Expected, models: Sequence[Any], steps: int = 20) -> None:
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


def check_dropout(expected: Expected, model: Any) -> None:
    """Dropout makes zeros of its share of ones, each by itself, anew each time, and 1 / (1 - p) of the rest.

    Right code fails each of these with a probability of less than 1e-12: the share is held against Chernoff's
    bound, P(KL(share, p) >= x) <= 2 exp(-n x), and what could be equal by chance is not looked at.
    """
    never = np.log(1e-12)
    for name, (_, p) in expected.dropout.items():
        dropped = np.asarray(model.dropped(name, 0))
        kept, what = dropped != 0, f"{model.name}: dropout of {name}"
        assert_close(dropped[kept] * (1 - p), np.ones(kept.sum()), 1e-5, f"{what}: what it keeps")
        share = 1 - kept.mean()
        message = f"{what} drops {share:.3f} of its units, not {p}"
        assert kept.size * divergence(share, p) <= np.log(2) - never, message
        again = np.asarray(model.dropped(name, 1)) != 0
        if kept.size * np.log(p**2 + (1 - p) ** 2) < never:
            assert not np.array_equal(kept, again), f"{what} drops the same units each time"
        for axis, along in enumerate(("in all samples", "throughout a sample")):
            length = kept.shape[axis]
            if kept.size / length * np.log(p**length + (1 - p) ** length) < never:
                first = kept.take([0], axis)
                assert not np.array_equal(kept, np.broadcast_to(first, kept.shape)), f"{what} is one {along}"


def divergence(share: float, p: float) -> float:
    """KL(share, p) of two coins, infinite where a share is there that has no probability."""
    parts = [(share, p), (1 - share, 1 - p)]
    return sum(a * (np.log(a) - np.log(b)) if b > 0 else np.inf for a, b in parts if a > 0)


def check_dropped_gradients(expected: Expected, model: Any, tolerance: float) -> None:
    """With some units dropped, layers, loss and derivatives are the reference's without the same units."""
    parameters, data = draw_parameters(expected, 10), draw_data(expected, 11, batch=32)
    model.load(parameters)
    masks, layers, loss, gradients = model.differentiate_dropped(data, 12)
    kept: dict[str, np.ndarray] = {}
    for step, p in expected.dropout.values():
        kept[f"{step} kept"] = masks[step] != 0
        wanted = kept[f"{step} kept"] / (1 - p)
        assert_close(masks[step], wanted, 1e-6, f"{model.name}: mask of {step}")
    data = data | kept
    values, wanted_loss, _, running = expected.reference(parameters, data, True)
    for name in expected.layers:
        wanted = values[name]
        assert_close(layers[name].reshape(wanted.shape), wanted, 1e-6, f"{model.name}: layer {name}, dropped")
    scale = loss_scale(expected, data)
    what = f"{model.name}: loss with dropout"
    assert_close(np.asarray(loss), np.asarray(wanted_loss), max(tolerance, 1e-6), what, scale)
    check_running(expected, model, running, 1e-6)
    size = max(abs(float(wanted_loss)), scale)
    check_directions(expected, f"{model.name} with dropout", parameters, data, gradients, True, 1e-6, size)


def check_running(expected: Expected, model: Any, running: dict[str, np.ndarray], tolerance: float) -> None:
    """The running statistics have moved once."""
    arrays = model.arrays()
    for name in expected.running:
        assert_close(arrays[name], running[name], tolerance, f"{model.name}: {name} after one step")
