"""The checks of what a target does with other batches and large values, and of what it keeps and refuses."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ...common.kernels.digests import digest_of
from ...common.kernels.edge_digest import edge_digest
from ...common.kernels.stored import edges_of
from .checks import assert_close
from .expected import Expected, draw_data, edges_of_all_parts, load_module, moved_inside
from .points import (
    Doubt,
    Outcome,
    allowed,
    assert_within,
    coarse,
    direction_through,
    evaluated,
    grown,
    stepped,
)


def draw_moderate(expected: Expected, seed: int) -> dict[str, np.ndarray]:
    """Parameters, float64, that make no layer large or small, whatever the spec starts from.

    What holds for all parameters is tried at these: rounding then stays far below the tolerances.
    """
    rng = np.random.default_rng(seed)
    drawn: dict[str, np.ndarray] = {}
    shared = dict(expected.shared.values())
    for name, shape in expected.parameters.items():
        owner, *norm, kind = name.split(".") if "." in name else (name, "shared")
        values = rng.normal(size=shape)
        if name in shared:
            drawn[name] = values / math.sqrt(shared[name])
        elif kind == "running_var":
            drawn[name] = rng.uniform(0.5, 1.5, shape)
        elif kind != "weight":
            drawn[name] = 0.3 * values
        elif norm:
            drawn[name] = 1 + 0.1 * values
        else:
            targets, _, edges = expected.edges.get(owner, (1, 1, shape[1] if len(shape) > 1 else 1))
            drawn[name] = values / math.sqrt(max(1.0, edges / targets))
    return moved_inside(expected, drawn)


def slopes(
    expected: Expected,
    parameters: dict[str, np.ndarray],
    data: dict[str, np.ndarray],
    direction: dict[str, np.ndarray],
    training: bool,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The reference's derivatives along a direction, by layer and of "loss", each with the largest error.

    They come by the complex step, and what right code may err by, from rounding coarsely (see `stepped`).
    """
    at = expected, parameters, data, training, direction
    exact, unit = stepped(*at), coarse("float64")
    draws = [stepped(*at, unit, seed) for seed in range(4)]
    finer = [stepped(*at, unit / 64, seed) for seed in range(2)]

    def with_error(read: Callable[[Outcome], Any]) -> tuple[np.ndarray, np.ndarray]:
        slope = np.asarray(read(exact))
        error = grown(slope, [read(draw) for draw in draws], [read(draw) for draw in finer])
        return slope, allowed(error, np.abs(slope).max(initial=0.0), "float64")

    found = {name: with_error(lambda outcome, name=name: outcome.slopes[name]) for name in expected.layers}
    return found | {"loss": with_error(lambda outcome: outcome.along)}


def smooth_step(
    expected: Expected,
    parameters: dict[str, np.ndarray],
    data: dict[str, np.ndarray],
    direction: dict[str, np.ndarray],
) -> float:
    """The longest of a few steps along a direction, there and back, on which no kink is crossed."""

    def sides(shift: float) -> list[np.ndarray]:
        moved = {n: (parameters if n in parameters else data)[n] + shift * d for n, d in direction.items()}
        inputs = {name: moved.pop(name) for name in expected.inputs if name in moved}
        return [
            np.asarray(k) > 0 for k in expected.reference({**parameters, **moved}, data, False, inputs)[2]
        ]

    for step in (1e-4, 1e-5, 1e-6, 1e-7):
        ends = sides(step), sides(-step)
        if all(np.array_equal(a, b) for a, b in zip(*ends, strict=True)):
            return step
    return 1e-8


def check_slope(
    expected: Expected,
    who: str,
    parameters: dict[str, np.ndarray],
    data: dict[str, np.ndarray],
    gradients: dict[str, np.ndarray],
    training: bool,
) -> None:
    """Gradients are finite, and give the reference's slope along a direction of all parameters and inputs."""
    for name, gradient in gradients.items():
        assert np.isfinite(gradient).all(), f"{who}: gradient of {name} is not finite"
    direction = direction_through(expected, data, 0)
    for what, names in (("parameters", expected.trained), ("inputs", expected.moved)):
        along = {name: direction[name] for name in names}
        slope, error = slopes(expected, parameters, data, along, training)["loss"]
        got = sum(np.vdot(gradients[name], along[name]) for name in names)
        assert_within(got, slope, error, f"{who}: the derivative along a direction of {what}")


def check_evaluation(expected: Expected, model: Any) -> None:
    """Outside training too, loss and gradients are the reference's."""
    parameters, data = draw_moderate(expected, 20), draw_data(expected, 21)
    model.load(parameters)
    loss, gradients = model.differentiate(data, False)
    point, who = evaluated(expected, parameters, data, False), f"{model.name} in evaluation"
    assert_within(loss, point.wanted.loss, point.loss_error, f"{who}: loss")
    check_slope(expected, who, parameters, data, gradients, False)


def batch_shapes(expected: Expected) -> list[tuple[int, ...]]:
    """No batch at all, one of one, even and odd ones, two dimensions, that of the plan, and a larger one.

    A network of more than 200,000 parameters is tried with small ones alone.
    """
    small: list[tuple[int, ...]] = [(), (1,), (2, 3)]
    return [*small, (2,), (min(expected.batch, 1024),), (257,)] if expected.size <= 200_000 else small


def check_batches(expected: Expected, model: Any, tolerance: float) -> None:
    """Any batch gives the reference's layers, and the loss and gradients of its parts, weighted by size.

    This is outside training. Losses are means over the batch, so a part counts by its share of the samples.
    """
    shapes = batch_shapes(expected)
    stops = np.cumsum([0, *(math.prod(shape) for shape in shapes)]).tolist()
    parameters, data = draw_moderate(expected, 22), draw_data(expected, 23, stops[-1])
    model.load(parameters)
    values, *_ = expected.reference(parameters, data, False)
    doubt = Doubt(expected, parameters, data, False)

    def try_one(shape: tuple[int, ...], part: slice) -> tuple[float, dict[str, np.ndarray]]:
        who = f"{model.name}, a batch {shape}"
        piece = {name: array[part].reshape((*shape, *array.shape[1:])) for name, array in data.items()}
        # In Keras what gives all layers is a model of the tests' own, which takes a batch of one dimension.
        plain = model.name == "keras"
        layers = model.layers({n: a[part] for n, a in data.items()} if plain else piece, False)
        for name in expected.layers:
            wanted = values[name][part]
            assert plain or layers[name].shape[: len(shape)] == shape, (
                f"{who}: layer {name} is {layers[name].shape}"
            )
            found, error = layers[name].reshape(wanted.shape), partial(doubt.value, name)
            assert_close(found, wanted, tolerance, f"{who}: layer {name}", error=error)
        for (name, units), output in zip(expected.outputs.items(), model.outputs(piece), strict=True):
            assert output.shape == (*shape, *units), f"{who}: {name} has the shape {output.shape}"
            wanted = expected.of_output(name, values[name][part])
            found, error = output.reshape(wanted.shape), partial(doubt.output, name)
            assert_close(found, wanted, tolerance, f"{who}: output {name}", error=error)
        share = (part.stop - part.start) / stops[-1]
        # What is summed over the samples, and not averaged, is made a mean by its factor.
        loss, gradients = model.differentiate(
            piece | {name: piece[name] / share for name in expected.cotangents.values()}, False
        )
        for name in expected.moved:
            assert gradients[name].shape == piece[name].shape, f"{who}: gradient of {name}"
            gradients[name] = gradients[name].reshape(data[name][part].shape)
        return share * float(loss), {name: share * gradient for name, gradient in gradients.items()}

    loss, gradients = try_one((stops[-1],), slice(0, stops[-1]))
    parts = [
        try_one(shape, slice(start, stop))
        for shape, (start, stop) in zip(shapes, pairwise(stops), strict=True)
    ]
    size = max(1.0, sum(abs(part) for part, _ in parts))
    what, whole = (
        f"{model.name}: the loss of {stops[-1]} samples, against that of its parts,",
        np.asarray(loss),
    )
    assert_close(whole, np.asarray(sum(part for part, _ in parts)), tolerance, what, size, doubt.loss)
    largest = max(np.abs(gradient).max(initial=0.0) for gradient in gradients.values())
    for name, gradient in gradients.items():
        pieces = [part[name] for _, part in parts]
        whole = np.concatenate(pieces) if name in expected.inputs else np.sum(pieces, axis=0)
        scale = max(1e-2 * largest, 1e-3, sum(np.abs(piece).max(initial=0.0) for piece in pieces))
        what = f"{model.name}: gradient of {name} by {stops[-1]} samples, against that by parts,"
        assert_close(gradient, whole, tolerance, what, scale, partial(doubt.gradient, name))


def check_repeated_samples(expected: Expected, model: Any, tolerance: float) -> None:
    """In training a batch several times over has the batch's own loss and gradients, norms and all."""
    parameters, data = draw_moderate(expected, 24), draw_data(expected, 25, 3)
    doubt = Doubt(expected, parameters, data, True)

    def try_one(times: int) -> tuple[float, dict[str, np.ndarray]]:
        many = {name: np.tile(array, (times, *[1] * (array.ndim - 1))) for name, array in data.items()}
        model.load(parameters)
        loss, gradients = model.differentiate(
            many | {name: many[name] / times for name in expected.cotangents.values()}
        )
        for name in expected.moved:
            gradients[name] = times * gradients[name][-3:]
        return float(loss), gradients

    # 6 samples are what the other tests have.
    loss, wanted = try_one(2)
    largest = max(np.abs(gradient).max(initial=0.0) for gradient in wanted.values())
    for times in (1, 22, 87):
        what = f"{model.name}: {3 * times} samples in training"
        other, gradients = try_one(times)
        assert_close(np.asarray(other), np.asarray(loss), tolerance, f"{what}: loss", 1.0, doubt.loss)
        for name, gradient in gradients.items():
            scale, error = max(1e-2 * largest, 1e-3), partial(doubt.gradient, name)
            assert_close(gradient, wanted[name], tolerance, f"{what}: gradient of {name}", scale, error)


def check_large_values(expected: Expected, model: Any, tolerance: float) -> None:
    """Where biases, inputs or weights are large, values and gradients are finite and the reference's.

    What makes the reference itself larger than 1e30 is left out.
    """
    start, given = draw_moderate(expected, 26), draw_data(expected, 27)
    rng = np.random.default_rng(28)
    signs = {n: rng.choice([-1.0, 1.0], size=array.shape) for n, array in (start | given).items()}
    biases = [name for name in start if name.endswith(".bias")]
    weights = [name for name in start if name.count(".") == 1 and name.endswith(".weight")]
    weights += [name for name in dict(expected.shared.values()) if name not in weights]
    for what, names, factor in (
        ("biases of 1e2", biases, 1e2),
        ("biases of 1e4", biases, 1e4),
        ("biases of -1e4", biases, -1e4),
        ("inputs of 1e4", expected.moved, 1e4),
        ("weights of 1e2", weights, 1e2),
    ):
        parameters, data, who = {**start}, {**given}, f"{model.name}, {what}"
        for name in names:
            place = parameters if name in parameters else data
            place[name] = place[name] + factor * signs[name]
        with np.errstate(all="ignore"):
            values, loss, kinks, _ = expected.reference(parameters, data, False)
        if expected.partial and not all(np.isfinite(kink).all() for kink in kinks):
            continue  # a function is not finite there, which another one hides
        sizes = [abs(float(loss)), *(np.abs(values[name]).max() for name in expected.layers)]
        if not all(size < 1e30 for size in sizes):  # or are no numbers
            continue
        model.load(parameters)
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            layers = model.layers(data, False)
            found, gradients = model.differentiate(data, False)
        doubt = Doubt(expected, parameters, data, False)
        for name in expected.layers:
            wanted, error = values[name], partial(doubt.value, name)
            layer = layers[name].reshape(wanted.shape)
            assert_close(layer, wanted, tolerance, f"{who}: layer {name}", 1.0, error)
        size = max([1.0, *(1e4 * float(np.linalg.norm(data[n])) for n in expected.cotangents.values())])
        assert_close(np.asarray(found), np.asarray(loss), tolerance, f"{who}: loss", size, doubt.loss)
        check_slope(expected, who, parameters, data, gradients, False)


def check_calls(expected: Expected, model: Any) -> None:
    """A call gives the same whatever was called before; nothing but the running statistics is changed.

    What is handed out or taken in as parameters shares no memory with the model.
    """
    parameters, data = draw_moderate(expected, 29), draw_data(expected, 30)
    given = {name: array.copy() for name, array in parameters.items()}
    model.load(given)
    for array in given.values():
        array += 1.0

    def try_one(data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        layers, (loss, gradients) = model.layers(data, False), model.differentiate(data, False)
        found = {f"layer {name}": layers[name] for name in expected.layers}
        found |= {f"gradient of {name}": gradient for name, gradient in gradients.items()}
        return {name: np.array(array) for name, array in found.items()} | {"loss": np.array(loss)}

    def check_held(when: str, except_for: tuple[str, ...] = ()) -> None:
        arrays = model.arrays()
        for name, array in parameters.items():
            if name not in except_for:
                assert np.array_equal(arrays[name], array), f"{model.name}: {name} has changed {when}"

    check_held("with the arrays that were loaded")
    first = try_one(data)
    try_one(draw_data(expected, 31, 3))
    check_held("in evaluation")
    for array in model.arrays().values():
        array += 1
    check_held("with the arrays that were handed out")
    model.differentiate(data)
    check_held("in training", expected.running)
    model.load(parameters)
    for name, again in try_one(data).items():
        assert_close(again, first[name], 1e-12, f"{model.name}: {name}, again,", 1.0)
    model.load(model.arrays())
    check_held("by loading what was handed out")


def check_held_digests(expected: Expected, model: Any) -> None:
    """Arrays carry the digests of the spec's edges and units; those of others are refused, and load nothing.

    So are arrays with a name or a shape that is not the model's; those without any digest are taken.
    """
    parameters = draw_moderate(expected, 32)
    model.load(parameters)
    held = model.arrays()
    wanted = {
        f"{name}.digest": edge_digest(*edges_of(expected.stored, name), expected.edges[name][:2])
        for name in expected.digested
    } | {f"{name}.digest": digest_of(text) for name, text in expected.digests.items()}
    for name in expected.parts.keys() & expected.digests.keys():
        ends, shape = edges_of_all_parts(expected, name), expected.edges[expected.parts[name][0]][:2]
        wanted[f"{name}.digest"] = edge_digest(*ends, shape)
    found = {name: array for name, array in held.items() if name.endswith(".digest")}
    assert found.keys() == wanted.keys(), f"{model.name}: digests of other things"
    for name, digest in wanted.items():
        assert np.array_equal(found[name], digest), f"{model.name}: {name} is that of something else"
    other = {name: array + (0 if name in wanted else 1) for name, array in held.items()}
    some = next(iter(expected.parameters), None)
    tried = np.random.default_rng(34).permutation(sorted(wanted))[:12].tolist()
    wrong = {name: other | {name: wanted[name] + 1} for name in tried}
    if some is not None:
        wrong[f"no {some}"] = {name: array for name, array in other.items() if name != some}
        wrong[f"{some} of another shape"] = other | {some: np.append(other[some], 0.0)}
        wrong["another name"] = other | {f"{some} again": other[some]}
    for what, arrays in wrong.items():
        try:
            model.load(arrays)
        except (RuntimeError, ValueError):
            pass
        else:
            raise AssertionError(f"{model.name} loads arrays with {what} of another model")
        now = model.arrays()
        for name in parameters:
            assert np.array_equal(now[name], held[name]), f"{model.name}: refused ({what}), but {name} moved"


def check_other_stored(
    expected: Expected, module: ModuleType, folder: Path, build: Callable[[Path], Any]
) -> None:
    """A module refuses stored arrays that are not those it was compiled with, when it first reads them."""
    place = Path(str(module.__file__))
    shutil.copy(place, folder)
    with np.load(place.with_name(f"{expected.name}.npz"), allow_pickle=False) as held:
        arrays = {name: held[name] for name in held.files}
    last = list(arrays)[-1]

    def read() -> None:
        model = build(folder / place.name)
        model.outputs(draw_data(expected, 0))  # where biases alone are stored by entry, this reads them
        other = load_module(folder / place.name, module.__package__)
        for name in expected.stored:
            if name.endswith(".names"):  # where names alone are stored, nothing else reads them
                other.unit_names(name.removesuffix(".names"))

    for changed in ({**arrays, last: arrays[last][::-1]}, {**arrays, last: arrays[last] + 1}):
        if not np.array_equal(changed[last], arrays[last]):
            np.savez(folder / f"{expected.name}.npz", **changed)
            with pytest.raises(ValueError, match="compiled with"):
                read()


def check_names(expected: Expected, module: ModuleType) -> None:
    """`unit_names` are those of the spec, and `in_order` finds them among columns in any order."""
    for axis in (name.removesuffix(".names") for name in expected.stored if name.endswith(".names")):
        text = expected.stored[f"{axis}.names"].tobytes()
        ends = [0, *expected.stored[f"{axis}.name_ends"].tolist()]
        names = [text[start:end].decode() for start, end in pairwise(ends)]
        given = module.unit_names(axis)
        assert given.tolist() == names, f"unit_names({axis!r}) are others"
        given[:] = "changed"
        assert module.unit_names(axis).tolist() == names, f"unit_names({axis!r}) can be changed"
        rng = np.random.default_rng(33)
        extra = ["".join(names) + str(number) for number in range(3)]
        columns = [[*names, *extra][at] for at in rng.permutation(len(names) + 3)]
        places = module.in_order(columns, axis)
        assert [columns[at] for at in places] == names, f"in_order(..., {axis!r}) is in another order"
        table = rng.normal(size=(2, len(columns)))
        wanted = np.stack([table[:, columns.index(name)] for name in names], axis=1)
        assert np.array_equal(module.in_order(columns, axis, table), wanted)
        lacking = [column for column in columns if column != names[0]]
        rest = np.delete(table, columns.index(names[0]), axis=1)
        if len(names) > 1:
            wanted[:, 0] = -7.0
            filled = module.in_order(lacking, axis, rest, missing=-7.0)
            assert np.array_equal(filled, wanted), f"in_order(..., {axis!r}, missing) fills in another place"
        for refused in (lacking, [*columns, names[-1]]):
            with pytest.raises(ValueError, match="table"):
                module.in_order(refused, axis)
