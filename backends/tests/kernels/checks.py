"""The checks of what a target is made of: arrays, parameters, start values, layers and connections.

A target is an adapter (`NumpyModel`, `TorchModel`, `KerasModel`): `load(arrays)`, `arrays()`, `layers(data,
training)`, `outputs(data)`, `differentiate(data)`, `project(connection, x)` and `dropped(layer, seed)`; that
of NumPy, whose derivatives are written out, has `differentiate_dropped(data, seed)` too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...common.kernels.array_hash import array_hash
from .expected import Expected, draw_parameters
from .points import assert_within, point_of


def assert_close(
    got: np.ndarray,
    wanted: np.ndarray,
    tolerance: float,
    what: str,
    scale: float = 1e-3,
    error: Callable[[], Any] | None = None,
) -> None:
    """Fail unless the largest difference is at most `tolerance` of the largest entry, or of `scale`.

    Where rounding may make more of it, `error` says how much; it is asked only if the difference is larger.
    """
    got, wanted = np.asarray(got, np.float64), np.asarray(wanted, np.float64)
    assert got.shape == wanted.shape, f"{what}: shape {got.shape}, expected {wanted.shape}"
    assert np.isfinite(got).all(), f"{what} is not finite"
    largest = np.abs(wanted).max(initial=scale)
    difference = np.abs(got - wanted).max(initial=0.0) / largest
    if difference > tolerance and error is not None:
        assert_within(got, wanted, np.maximum(error(), tolerance * largest), what)
        return
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


def check_outputs(expected: Expected, model: Any, training: bool) -> None:
    """Every layer, the outputs' shapes and, in training, the running statistics are the reference's."""
    point = point_of(expected, training, "float64")
    model.load(point.parameters)
    layers = model.layers(point.data, training)
    for name in expected.layers:
        wanted, error = point.wanted.values[name], point.value_errors[name]
        assert_within(layers[name].reshape(wanted.shape), wanted, error, f"{model.name}: layer {name}")
    if training:
        arrays = model.arrays()
        for name in expected.running:
            assert_within(
                arrays[name], point.wanted.running[name], point.running_errors[name], f"{model.name}: {name}"
            )
        return
    outputs = model.outputs(point.data)
    for (name, shape), output in zip(expected.outputs.items(), outputs, strict=True):
        assert output.shape == (len(output), *shape), f"{name} has the shape {output.shape}"
        wanted = expected.of_output(name, point.wanted.values[name])
        error = expected.of_output(name, point.value_errors[name][None])[0]
        assert_within(output.reshape(len(output), -1), wanted, error, f"{model.name}: output {name}")


def check_projections(expected: Expected, model: Any, tolerance: float) -> None:
    """Every sparse connection by itself: 64 units of a sum by hand, and that absent edges have no influence.

    Of the sources a half is moved, then a quarter and so on, at least one: units that read none of what is
    moved keep their value to the bit.
    """
    stored, rng = expected.stored, np.random.default_rng(3)
    parameters = draw_parameters(expected, 4)
    model.load(parameters)
    for name, (targets, sources, _) in expected.edges.items():
        source, target = stored[f"{name}.source"], stored[f"{name}.target"]
        weight = expected.weight(parameters, name)
        weight = np.ones(len(source)) if weight is None else weight
        x = rng.normal(size=(3, sources))
        y = model.project(name, x)
        by_hand = min(targets, 64) if name in expected.summed else 0
        for neuron in rng.choice(targets, by_hand, replace=False):
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
