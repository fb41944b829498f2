"""What a spec says of its model, in the form in which the tests hold it against every target."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ...common.kernels.stored import edges_of


@dataclass(frozen=True, eq=False)
class Expected:
    """The facts that no target may differ from.

    `parameters` maps names to shapes; `trained` and `running` are names among them. `edges` maps sparse
    connections to (targets, sources, edges), `hashes` stored arrays to their sha256, `inputs` names to
    shapes, `classes` those of them that hold class codes to the number of classes, `targets` names to shapes
    and the number of classes or None, `dropout` layers to the step that drops and its probability, and
    `dropped_together` those whose units it drops in groups to the group of each. `loss_reads` are the
    arguments of `loss`, `compared` the pairs of prediction and target in it; `modes` are the options of the
    NumPy functions, where training is otherwise.

    Where nothing is compared, the tests have a loss of their own: the sum of all entries of the outputs, each
    times a number drawn, and the spec's penalties. `cotangents` are the names of these numbers by output.

    The `reference` takes parameters, data, whether it is for training, and inputs that are moved: what the
    loss compares with stays where it is. Units are dropped as data says. Complex parameters and inputs give a
    complex loss, whose imaginary part is a derivative.

    `digests` are those of units by input or layer, `batch` is the size that kernels were chosen for. There is
    a `surrogate` where a derivative is another one than the function's: declared, or stopped.

    Where weights are made of parameters, `made` gives those of every edge by connection, of parameters by
    name, and `shared` has the parameter of each of these connections and the edges that enter a unit of it.

    `pooled` are the sparse connections that pool otherwise than by a sum: how, and the value of a unit
    without an edge. A network is `partial` if a function in it is not finite everywhere, as a logarithm.

    `parts` are connections whose edges are divided by their delay among others, which stand for them
    everywhere else but in `digests`.

    `windows` are the connections whose shared weights are a convolution: under which name it is stored which
    entry every edge has, and the fields of `Windows`. Their layers take weights one an entry. Those of
    `pooled_windows` are of the `pooled` connections that are windows.

    A network may run over time. Then shapes of what is `over_time` begin with the number of `steps`, which
    `at_length` changes, values of layers in `timed` are (batch, steps * units), and outputs among these that
    are not over time are the last step. `memory` is how many steps back what is read, and how many units each
    step has.
    """

    name: str
    parameters: dict[str, tuple[int, ...]]
    trained: tuple[str, ...]
    running: tuple[str, ...]
    edges: dict[str, tuple[int, int, int]]
    hashes: dict[str, str]
    inputs: dict[str, tuple[int, ...]]
    classes: dict[str, int]
    targets: dict[str, tuple[tuple[int, ...], int | None]]
    layers: tuple[str, ...]
    outputs: dict[str, tuple[int, ...]]
    dropout: dict[str, tuple[str, float]]
    dropped_together: dict[str, np.ndarray]
    loss_reads: tuple[str, ...]
    compared: tuple[tuple[str, str], ...]
    cotangents: dict[str, str]
    modes: tuple[str, ...]
    digests: dict[str, str]
    batch: int
    stored: Mapping[str, np.ndarray]
    start: Callable[[int], dict[str, np.ndarray]]
    reference: Callable[..., Any]
    surrogate: bool = False
    made: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] | None = None
    shared: dict[str, tuple[str, int]] = field(default_factory=dict)
    pooled: dict[str, tuple[str, float]] = field(default_factory=dict)
    partial: bool = False
    parts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    windows: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    pooled_windows: dict[str, dict[str, Any]] = field(default_factory=dict)
    over_time: tuple[str, ...] = ()
    timed: tuple[str, ...] = ()
    memory: dict[str, tuple[int, int]] = field(default_factory=dict)
    steps: int = 1

    def at_length(self, steps: int) -> Expected:
        """The same of a network that is given another number of steps."""

        def of(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
            return (steps, *shape[1:]) if name in self.over_time else shape

        return replace(
            self,
            steps=steps,
            inputs={name: of(name, shape) for name, shape in self.inputs.items()},
            targets={name: (of(name, shape), classes) for name, (shape, classes) in self.targets.items()},
            outputs={name: of(name, shape) for name, shape in self.outputs.items()},
        )

    def is_last_step(self, name: str) -> bool:
        """Whether an output that differs from step to step is given as it is at the last one."""
        return name in self.outputs and name in self.timed and name not in self.over_time

    def of_output(self, name: str, values: np.ndarray) -> np.ndarray:
        """What an output is of its layer's values, (batch, units) or over time (batch, steps * units)."""
        count = int(np.prod(self.outputs[name]))
        return values[:, values.shape[1] - count :] if self.is_last_step(name) else values

    def given(self, name: str, value: Any, *, flat: bool = False) -> Any:
        """A layer's value (*batch, steps, ...) as the network gives it: of an output perhaps the last step.

        If it is `flat`, each step of it is (units,).
        """
        if not self.is_last_step(name):
            return value
        return value[(..., -1, *(slice(None) for _ in range(1 if flat else len(self.outputs[name]))))]

    @property
    def summed(self) -> dict[str, tuple[int, int, int]]:
        """The sparse connections whose edges are summed, as in `edges`."""
        return {name: sizes for name, sizes in self.edges.items() if name not in self.pooled}

    def weight(self, parameters: dict[str, np.ndarray], connection: str) -> np.ndarray | None:
        """The weights of a connection's edges, None for a plain sum."""
        made = {} if self.made is None else self.made(parameters)
        return made.get(connection, parameters.get(f"{connection}.weight"))

    @property
    def digested(self) -> list[str]:
        """The sparse connections whose layers have a digest of their own."""
        parts = {part for each in self.parts.values() for part in each}
        return [name for name in self.edges if name not in parts]

    def entry(self, connection: str) -> np.ndarray | None:
        """The entry of the weight that every edge has, of a convolution; None for any other connection."""
        return self.stored[self.windows[connection][0]] if connection in self.windows else None

    def given_weight(self, parameters: dict[str, np.ndarray], connection: str) -> np.ndarray | None:
        """The weights that the layer of a connection takes: those of its edges, or of its entries."""
        weight, entry = self.weight(parameters, connection), self.entry(connection)
        if weight is None or entry is None:
            return weight
        entries = np.zeros(entry.max() + 1, weight.dtype)
        entries[entry] = weight
        return entries

    @property
    def moved(self) -> tuple[str, ...]:
        """The inputs that hold numbers, and have derivatives."""
        return tuple(name for name in self.inputs if name not in self.classes)

    @property
    def size(self) -> int:
        """Number of parameters and of units that one evaluation of the reference passes through."""
        return sum(int(np.prod(shape)) for shape in self.parameters.values())


def load_module(path: Path, package: str | None = None) -> ModuleType:
    """A generated module from its file, whatever the import path is; as if in a package, if one is named."""
    name = f"{package}.{path.stem}" if package else path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Place:
    """Where all functions of a network are finite: what is drawn is scaled, given a sign and shifted.

    Before, it is bounded by 2, so that no rare draw leaves the place. A sign is 1 or -1 for all that is
    drawn, or 0 for that of each draw. Shifts are numbers, or arrays of the shape of a parameter or of one
    sample.
    """

    scale: float = 1.0
    sign: float = 0.0
    shifts: dict[str, Any] = field(default_factory=dict)

    def of(
        self, expected: Expected, arrays: dict[str, np.ndarray], spread: float = 1.0
    ) -> dict[str, np.ndarray]:
        """Parameters, or data, moved there; what is no number and has no gradient stays."""
        moved: dict[str, np.ndarray] = {}
        for name, array in arrays.items():
            if name in expected.moved or (name in expected.parameters and name not in expected.running):
                bounded = spread * 2.0 * np.tanh(array / 2.0)
                signed = self.sign * np.abs(bounded) if self.sign else bounded
                array = self.scale * signed + self.shifts.get(name, 0.0)
            moved[name] = array
        return moved


def moved_inside(expected: Expected, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Parameters, or data, moved to where all functions of a network are finite, if some are not everywhere.

    Where no such place is found, there is nothing to compare. One test fails for it, with what is not finite,
    and this test is skipped. So is what grows from step to step until it overflows, if it can be.
    """
    if not expected.partial and is_steady(expected):
        return arrays
    place = place_of(expected)
    if place is None and not expected.partial:
        return arrays
    if place is None:
        pytest.skip(f"{expected.name} is finite nowhere that was looked: see test_functions_are_finite")
    return place.of(expected, arrays)


def check_finite(expected: Expected) -> None:
    """There is a place where all functions of a network are finite, and their gradients can be compared."""
    if place_of(expected) is not None:
        return
    reached, place = set[str](), Place()
    for place in plain_places():
        for layer in expected.layers:
            reached |= {layer} if is_finite_at(expected, layer, place) else set()
    what = next((f"layer {layer}" for layer in expected.layers if layer not in reached), "the loss")
    raise AssertionError(
        f"{what} of {expected.name} is not finite at any parameters and inputs that were tried, of any sign"
        " and of many sizes, so no value and no gradient can be compared. Bound what a function is given to"
        " where it is finite, as in `log(max(x, 1e-6))`: `spec-compile check` says with W401 what that is."
    )


def largest_steady() -> float:
    """Above this, squares and derivatives of values that grow from step to step could overflow."""
    return 1e60


@cache
def is_steady(expected: Expected) -> bool:
    """Whether nothing grows by much from step to step, as it does not without time."""
    draws = (reference_at(expected, Place(), seed, 100) for seed in range(2 * bool(expected.memory)))
    every = (value for values, _, _ in draws for value in values.values())
    return all(np.abs(value).max(initial=0.0) < largest_steady() for value in every)


@cache
def place_of(expected: Expected) -> Place | None:
    """A place where all functions of a network are finite, None if none is found.

    Layer by layer, each is moved by its biases until it is finite; then the loss by all that it reads. Where
    this finds none, every number goes its own way.
    """
    unsound: Place | None = None
    for place in places(expected):
        if is_sound_at(expected, place):
            return place
        unsound = unsound or place
    return unsound


def places(expected: Expected) -> Iterator[Place]:
    """Places where all layers and the loss are finite, the plainest first."""
    for place in plain_places():
        found: Place | None = place
        for layer in (*expected.layers, ""):
            found = shifted_to(expected, layer, found)
            if found is None:
                break
        if found is not None:
            yield found
    yield from filter(None, (wandered_to(expected, seed) for seed in range(4)))


def plain_places() -> list[Place]:
    """Places without a shift."""
    return [Place(scale, sign) for sign in (0.0, 1.0, -1.0) for scale in (1.0, 0.01, 1e-4)]


def shifted_to(expected: Expected, layer: str, place: Place) -> Place | None:
    """A place with what a layer needs to be finite, or, without one, the loss; None if none is found."""
    if is_finite_at(expected, layer, place):
        return place
    moved = [layer] if layer else [name for pair in expected.compared for name in pair]
    names = [name for name in expected.parameters if name.endswith(".bias") and name.split(".")[0] in moved]
    names += [name for name in expected.moved if name in expected.loss_reads and not layer]
    for size in (3.0, 8.0, 30.0, 100.0, 1.0, 0.3) if names else ():
        for shift in (size, -size):
            tried = Place(place.scale, place.sign, place.shifts | dict.fromkeys(names, shift))
            if is_finite_at(expected, layer, tried):
                return tried
    return None


def wandered_to(expected: Expected, seed: int) -> Place | None:
    """A place that a walk at random comes to; None if it does not.

    From parameters and one sample that are drawn, it moves some numbers of an array at a time, and stays
    where it is if more values of layers would be no numbers. What is drawn around the place that it comes to
    is so near that it is finite.
    """
    rng = np.random.default_rng(seed)
    sample = {name: array[0] for name, array in some_data(expected, seed, 1).items()}
    start = some_parameters(expected, seed) | sample
    names = [name for name in (*expected.trained, *expected.moved) if start[name].size]
    place = Place(0.01, 0.0, {name: start[name] for name in (*expected.parameters, *expected.moved)})
    least = not_finite_at(expected, place)
    for _ in range(min(1000, 10**7 // max(1, expected.size))):
        if not least:
            near = (Place(scale, 0.0, place.shifts) for scale in (0.01, 1e-3, 1e-4))
            return next((each for each in near if is_all_finite_at(expected, each)), None)
        name = rng.choice(names)
        array = place.shifts[name]
        some = rng.uniform(size=array.shape) < rng.choice([1.0, 0.3, 1.0 / array.size])
        step = some * rng.choice([0.1, 1.0, 4.0]) * rng.normal(size=array.shape)
        tried = Place(0.01, 0.0, place.shifts | {name: array + step})
        count = not_finite_at(expected, tried)
        if count <= least:
            place, least = tried, count
    return None


def not_finite_at(expected: Expected, place: Place) -> int:
    """How many values of all layers, and of the loss, are no numbers for a few samples."""
    values, loss, kinks = reference_at(expected, place, 0, 4)
    return sum(int((~np.isfinite(value)).sum()) for value in (*values.values(), np.asarray(loss), *kinks))


def is_all_finite_at(expected: Expected, place: Place) -> bool:
    """Whether all layers and the loss are finite there."""
    return all(is_finite_at(expected, layer, place) for layer in (*expected.layers, ""))


def is_finite_at(expected: Expected, layer: str, place: Place) -> bool:
    """Whether a layer, or without one the loss, is finite for a few draws that are spread out by half."""
    for seed in range(3):
        values, loss, _ = reference_at(expected, place, seed, 100)
        found = values[layer] if layer else loss
        if not (np.abs(found) < (largest_steady() if expected.memory else np.inf)).all():
            return False
    return True


def is_sound_at(expected: Expected, place: Place) -> bool:
    """Whether no function hides that it is given no number, as `relu` does: its distance from 0 is none."""
    kinks = [kink for seed in range(3) for kink in reference_at(expected, place, seed, 100)[2]]
    return all(np.isfinite(kink).all() for kink in kinks)


def reference_at(
    expected: Expected, place: Place, seed: int, batch: int
) -> tuple[dict[str, np.ndarray], np.ndarray, list[np.ndarray]]:
    """Values, loss and kinks for a draw around a place, spread out by half; the first in training."""
    parameters, data = some_parameters(expected, seed), some_data(expected, seed + 40, batch)
    with np.errstate(all="ignore"):
        at = place.of(expected, parameters, 1.5), place.of(expected, data, 1.5)
        values, loss, kinks, _ = expected.reference(*at, seed == 0)
    return values, loss, kinks


def draw_data(expected: Expected, seed: int, batch: int = 6) -> dict[str, np.ndarray]:
    """Inputs, targets and cotangents, float64 or integer codes, by name."""
    return moved_inside(expected, some_data(expected, seed, batch))


def some_data(expected: Expected, seed: int, batch: int) -> dict[str, np.ndarray]:
    """What `draw_data` draws before it is moved."""
    rng = np.random.default_rng(seed)
    data = {
        name: rng.integers(-1, expected.classes[name], (batch, *shape))
        if name in expected.classes
        else rng.normal(size=(batch, *shape))
        for name, shape in expected.inputs.items()
    }
    for name, (shape, classes) in expected.targets.items():
        if classes is None:
            data.setdefault(name, rng.uniform(0.05, 0.95, size=(batch, *shape)))
        else:
            data[name] = rng.integers(classes, size=(batch, *shape))
    for output, name in expected.cotangents.items():
        data[name] = rng.normal(size=(batch, *expected.outputs[output]))
    return data


def edges_of_all_parts(expected: Expected, connection: str) -> tuple[np.ndarray, np.ndarray]:
    """Source and target unit of every edge of a connection, which may be divided, by target, then source.

    No edge is in two parts.
    """
    parts = [edges_of(expected.stored, part) for part in expected.parts.get(connection, (connection,))]
    source, target = (np.concatenate(ends).astype(np.int64) for ends in zip(*parts, strict=True))
    order = np.lexsort((source, target))
    source, target = source[order], target[order]
    again = (np.diff(source) == 0) & (np.diff(target) == 0)
    assert not again.any(), f"{connection}: an edge has two delays"
    return source, target


def draw_parameters(expected: Expected, seed: int) -> dict[str, np.ndarray]:
    """Parameters in general position, float64, wherever they start: no layer fades or grows by much.

    Running variances are positive. The start values are held by themselves.
    """
    return moved_inside(expected, some_parameters(expected, seed))


def some_parameters(expected: Expected, seed: int) -> dict[str, np.ndarray]:
    """What `draw_parameters` draws before it is moved."""
    rng = np.random.default_rng(seed)
    drawn = {name: general(rng, shape) for name, shape in expected.parameters.items()}
    for name, (targets, _, edges) in expected.edges.items():
        if f"{name}.weight" in drawn and name not in expected.shared:
            drawn[f"{name}.weight"] /= np.sqrt(max(edges / targets, 1))
    for name, fan_in in dict(expected.shared.values()).items():
        drawn[name] /= np.sqrt(fan_in)
    for name, array in drawn.items():
        if array.ndim == 2 and name not in dict(expected.shared.values()):
            array /= np.sqrt(array.shape[1])
        if name in expected.running and name.endswith(".running_var"):
            np.abs(array, out=array)
    return drawn


def general(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of either sign, none of them small, of which no few cancel."""
    return rng.choice([-1.0, 1.0], shape) * rng.uniform(0.5, 1.5, shape)
