"""The exact checks: numbers so whole and so small that every sum of them is exact, in whatever order."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ...common.kernels.stored import edges_of
from .checks import check_stored
from .expected import Expected


def assert_exact(got: Any, wanted: np.ndarray, dtype: str, what: str) -> None:
    """Fail unless an array has this dtype and shape and every number is the same, zeros of either sign."""
    assert got.dtype == dtype, f"{what} is of {got.dtype}, not of {dtype}"
    assert got.shape == wanted.shape, f"{what}: shape {got.shape}, expected {wanted.shape}"
    wrong = np.argwhere(got != wanted)  # what is not a number is not equal to any
    if len(wrong):
        at = tuple(wrong[0].tolist())
        message = f"{what}{list(at)} is {got[at]:.17g}, not {wanted[at]:.17g}"
        raise AssertionError(f"{message}; {len(wrong)} of {got.size} differ")


def largest_whole(dtype: str) -> int:
    """Up to this, a floating type holds every integer: what is added up below it is exact in any order."""
    return 2 ** (np.finfo(dtype).nmant + 1)


def carried(
    x: np.ndarray, weight: np.ndarray, source: np.ndarray, target: np.ndarray, targets: int
) -> np.ndarray:
    """What each edge carries, added at its target one by one: (batch, targets), of the type of x.

    x is (batch, sources), the others but `targets` (edges,).
    """
    y = np.zeros((len(x), targets), x.dtype)
    for sums, sample in zip(y, x, strict=True):
        np.add.at(sums, target, weight * sample[source])
    return y


def paired(x: np.ndarray, g: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The product of both ends of each edge, added up over the batch: (edges,)."""
    total = np.zeros(len(source), x.dtype)
    for at_source, at_target in zip(x, g, strict=True):
        total += at_source[source] * at_target[target]
    return total


class PlainMap:
    """A connection of any kind in plain arithmetic, in whole numbers if such are given: y = W x, and W'g.

    `longest` is the number of terms of its longest sum over units. Of class codes, `x` holds the codes.
    """

    def __init__(self, expected: Expected, name: str, structure: tuple[Any, ...]) -> None:
        self.kind, self.targets, self.sources, *classes = structure
        whole = self.kind in ("all", "codes")
        self.shape = (self.targets, self.sources) if whole else (self.sources,)
        self.longest = max(self.targets, self.sources) if whole else 1
        # Of codes, how many classes there are, and which column of weights is the first of each position.
        self.classes = classes[0] if classes else 0
        self.first = np.arange(0, self.sources, self.classes) if classes else np.empty(0, np.int64)
        if self.kind == "edges":
            self.source, self.target = (end.astype(np.int64) for end in edges_of(expected.stored, name))
            self.shape = self.source.shape
            self.longest = max(np.bincount(end).max(initial=1) for end in (self.source, self.target))
        # Of a convolution, the entry of the weight that each edge has, and the most edges that have one.
        self.entry, self.most_alike = None, 1

    def share(self, entry: np.ndarray | None) -> None:
        """Give edges of one entry one weight."""
        if entry is not None:
            self.entry, alike = entry, np.bincount(entry)
            self.shape, self.most_alike = alike.shape, int(alike.max())

    def by_edge(self, weight: np.ndarray) -> np.ndarray:
        """The weight of every edge."""
        return weight if self.entry is None else weight[self.entry]

    def forward(self, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """(batch, sources) -> (batch, targets)."""
        if self.kind == "codes":
            y = np.zeros((len(x), self.targets), weight.dtype)
            for sums, codes in zip(y, x, strict=True):
                for column in (self.first + codes)[codes >= 0]:
                    sums += weight[:, column]
            return y
        if self.kind == "edges":
            return carried(x, self.by_edge(weight), self.source, self.target, self.targets)
        return x @ weight.T if self.kind == "all" else x * weight

    def backward(self, g: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """(batch, targets) -> (batch, sources)."""
        if self.kind == "edges":
            return carried(g, self.by_edge(weight), self.target, self.source, self.sources)
        return g @ weight if self.kind == "all" else g * weight

    def of_weight(self, x: np.ndarray, g: np.ndarray) -> np.ndarray:
        """The gradient of the weights, in their shape."""
        if self.kind == "codes":
            total = np.zeros(self.shape, g.dtype)
            for own, codes in zip(g, x, strict=True):
                for column in (self.first + codes)[codes >= 0]:
                    total[:, column] += own
            return total
        if self.kind == "edges":
            pairs = paired(x, g, self.source, self.target)
            if self.entry is None:
                return pairs
            total = np.zeros(self.shape, pairs.dtype)
            np.add.at(total, self.entry, pairs)
            return total
        return g.T @ x if self.kind == "all" else (g * x).sum(axis=0)


# ------------------------------------------------------------------------------- every connection by itself


def check_linear_parts(
    expected: Expected,
    connections: Mapping[str, tuple[Any, ...]],
    draws: tuple[int, int, int],
    model: Any,
    dtype: str,
) -> None:
    """The sums and both gradients of every connection are those of integer arithmetic over its edges.

    `connections` are their kinds, targets, sources, and of codes the number of classes; `draws` the largest
    batch, the largest integer drawn, and how many draws there are, of batches of several sizes down to one.
    """
    check_stored(expected)
    batch, most, count = draws
    maps = {name: PlainMap(expected, name, structure) for name, structure in connections.items()}
    for name, each in maps.items():
        each.share(expected.entry(name))
    start = {name: array.astype(np.float64) for name, array in expected.start(0).items()}
    for draw in range(count):
        rng = np.random.default_rng(draw)
        weights = {
            f"{name}.weight": rng.integers(-most, most, expected.parameters[f"{name}.weight"], endpoint=True)
            for name in connections
            if f"{name}.weight" in expected.parameters and name not in expected.shared
        }
        made = {
            name: rng.integers(-most, most, each.shape, endpoint=True)
            for name, each in maps.items()
            if name in expected.shared
        }
        model.load(start | {name: array.astype(np.float64) for name, array in weights.items()})
        samples = max(1, (batch >> 2 * draw) - draw % 2) if draw < count - 1 else 1
        for name, each in maps.items():
            weight = made.get(name, weights.get(f"{name}.weight"))
            if each.kind == "one to one" and weight is None:
                continue  # it is the value itself, and nothing computes it
            ends = each.sources, each.targets
            x, g = (rng.integers(-most, most, (samples, units), endpoint=True) for units in ends)
            if each.kind == "codes":
                x = rng.integers(-1, each.classes, (samples, len(each.first)))
            terms = max(each.longest, samples * each.most_alike)
            assert terms * most**2 <= largest_whole(dtype), f"{name}: integers are too large for {dtype}"
            read = x if each.kind == "codes" else x.astype(np.float64)
            given = made[name].astype(np.float64) if name in made else None
            found = model.differentiate_projection(name, read, g.astype(np.float64), given)
            if found is not None:  # else it is a part of the whole network alone
                what = f"{model.name}, {dtype}: {name} of a batch of {samples}"
                check_linear_part(what, each, dtype, found, x, g, weight)
                trained = f"{name}.weight" in expected.trained
                message = f"{what}: a gradient of frozen weights, or none of trained ones"
                unknown = name in made or (found[1] is None and each.kind != "codes")
                assert unknown or (found[2] is not None) == trained, message


def check_linear_part(
    what: str,
    plain: PlainMap,
    dtype: str,
    found: tuple[Any, Any, Any],
    x: np.ndarray,
    g: np.ndarray,
    weight: np.ndarray | None,
) -> None:
    """W x, W'g and the gradient of the weights as they were found, to the bit, and that they fit together."""
    y, of_x, of_weight = found
    entries = np.ones(plain.shape, np.int64) if weight is None else weight
    assert_exact(y, plain.forward(x, entries), dtype, f"{what}: sum ")
    if of_x is None and of_weight is None:
        return
    products = {inner(g, y)}
    if of_x is not None:
        assert_exact(of_x, plain.backward(g, entries), dtype, f"{what}: gradient of input ")
        products.add(inner(of_x, x))
    if of_weight is not None:
        assert_exact(of_weight, plain.of_weight(x, g), dtype, f"{what}: gradient of weights ")
        products.add(inner(entries, of_weight))
    assert len(products) == 1, f"{what}: <g, Wx>, <W'g, x> and <w, dw> are {sorted(products)}"


def inner(a: np.ndarray, b: np.ndarray) -> int:
    """<a, b> of whole numbers, modulo 2^64."""
    return int(np.vdot(a.astype(np.int64), b.astype(np.int64)))


# ------------------------------------------------------------------------------------------ the whole network


class Inexact(Exception):
    """A sum is so large that the order of its terms could be seen."""


def grain(x: np.ndarray) -> float:
    """The largest power of two that all numbers are multiples of; infinite if all are zeros."""
    fractions, exponents = np.frexp(x[x != 0].astype(np.float64))
    whole = np.ldexp(fractions, 53).astype(np.int64)
    return float(np.ldexp((whole & -whole).astype(np.float64), exponents - 53).min(initial=np.inf))


class ExactSum:
    """A sum of products, of which every partial sum is exact in any order, in a type that holds `largest`.

    That is so if the terms are multiples of a power of two, their `grain`, and their absolute values add up
    to at most `largest` grains. `value` and `total`, the sum of absolute values, are arrays of one shape.
    """

    def __init__(self, largest: int, shape: tuple[int, ...]) -> None:
        self.largest, self.value, self.total = largest, np.zeros(shape), np.zeros(shape)
        self.grain = np.inf

    def add(self, function: Callable[..., Any], *factors: np.ndarray) -> None:
        """Add a function that is linear in each of its factors. Raises `Inexact`."""
        self.value = self.value + function(*factors)
        self.total = self.total + function(*map(np.abs, factors))
        self.grain = min(self.grain, float(np.prod([grain(factor) for factor in factors])))
        if self.total.max(initial=0.0) > self.largest * self.grain:
            raise Inexact


class Checked(np.ndarray):
    """An array each operation of which is exact in a type that holds integers up to `largest`.

    Raises `Inexact` at one that may not be.
    """

    largest: int

    def __array_finalize__(self, obj: Any) -> None:
        if isinstance(obj, Checked):
            self.largest = obj.largest

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        arrays = [np.asarray(array) for array in inputs]
        result = np.asarray(getattr(ufunc, method)(*arrays, **options))
        if result.dtype.kind != "f":
            return result
        size, unit = np.abs(result), min(map(grain, arrays))
        if ufunc in (np.add, np.subtract):
            size = np.abs(arrays[0]) + np.abs(arrays[1])
        elif ufunc is np.multiply:
            unit = grain(arrays[0]) * grain(arrays[1])
        elif ufunc is np.divide:
            unit = grain(arrays[0]) / float(np.abs(arrays[1]))  # a power of two
        elif ufunc in (np.power, np.square):
            unit = grain(arrays[0]) ** float(arrays[1] if len(arrays) > 1 else 2)
        if size.max(initial=0.0) > self.largest * unit:
            raise Inexact
        return checked_exactly(result, self.largest)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        result = super().__array_function__(func, types, args, kwargs)
        return checked_exactly(result, self.largest) if isinstance(result, np.ndarray) else result


def checked_exactly(array: np.ndarray, largest: int) -> Any:
    """An array of floats as a `Checked` one."""
    if array.dtype.kind != "f":
        return array
    result = np.asarray(array).view(Checked)
    result.largest = largest
    return result


def carried_back(d: np.ndarray, slope: np.ndarray, units: int) -> np.ndarray:
    """The gradient of what an expression reads, (batch, units); of one unit that all read, their sum."""
    product = d * slope
    return product if product.shape[1] == units else product.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Step:
    """A step of a network: `values` (batch, units) by input, layer and value of an earlier step.

    `passed` has by layer what goes into each of its operations and comes out.
    """

    values: dict[str, np.ndarray]
    passed: dict[str, list[tuple[Any, np.ndarray]]]


@dataclass(frozen=True)
class Gradients:
    """The gradients of values, by step and name, and of trained parameters, while they are added up."""

    of_value: list[dict[str, ExactSum]]
    of_parameter: dict[str, ExactSum]


class ExactNetwork:
    """A network in numbers that are integers over a power of two, and its gradients, or `Inexact`.

    It is interpreted from its facts, apart from the reference and from every target: `layers` maps each layer
    to the connections that enter it, with what they come from, and its operations, of which an expression of
    other layers is the first; `losses` and `penalties` have functions and derivatives, coefficients included,
    and `inexact` are parameters whose penalties have a coefficient that rounds. Sums are taken edge by edge.

    Of a network that runs over time, `delays` are by name the values of earlier steps that layers read: what
    of, how many steps late, and the number or the parameter that there is before the first step. Every step
    is computed by itself, for as many `steps` as `expected` says, and what does not differ from step to step
    in the first alone.
    """

    def __init__(self, expected: Expected, facts: dict[str, Any], largest: int, batch: int) -> None:
        self.expected, self.facts, self.largest, self.batch = expected, facts, largest, batch
        self.delays: dict[str, tuple[str, int, Any]] = facts.get("delays", {})
        self.steps = expected.steps
        self.maps = {
            name: PlainMap(expected, name, facts["connections"][name])
            for connections, _ in facts["layers"].values()
            for name in connections
        }

    def held(self, x: np.ndarray) -> np.ndarray:
        """An array whose numbers are exact, each by itself. Raises `Inexact`."""
        result = ExactSum(self.largest, x.shape)
        result.add(np.positive, x)
        return x

    def weight(self, p: dict[str, np.ndarray], connection: str) -> np.ndarray:
        """The weights of a connection; ones where there are none."""
        if connection in self.expected.shared:
            return self.made(p, connection)[0]
        weight = p.get(f"{connection}.weight")
        return np.ones(self.maps[connection].shape) if weight is None else weight

    def made(self, p: dict[str, np.ndarray], connection: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weights that are made of a parameter, their derivative by its entry, and which entry that is."""
        name, *steps = self.facts["weights"][connection]
        x, shape = p[name].ravel(), self.maps[connection].shape
        slope, place = np.ones(x.shape), np.arange(x.size)
        for kind, what, how in steps:
            if kind == "function":
                before, x = x, what(x)
                slope = how(slope, before, x)
            elif kind == "entries":
                index = np.asarray(what(self.expected.stored), np.int64).ravel()
                x, slope, place = x[index], slope[index], place[index]
            else:
                factor = np.ravel(what(self.expected.stored))
                x, slope = x * factor, slope * factor
        return x.reshape(shape), slope.reshape(shape), place.reshape(shape)

    def entries(self, index: Any, bias: np.ndarray) -> np.ndarray:
        """The entry of a bias that each unit has, -1 for none."""
        return np.arange(len(bias)) if index is None else np.asarray(index(self.expected.stored), np.int64)

    def forward(self, p: dict[str, np.ndarray], data: dict[str, np.ndarray]) -> list[Step]:
        """The steps of the network; without time it has one."""
        steps: list[Step] = []
        for at in range(self.steps):
            v = {name: self.read(data, name, at) for name in self.expected.inputs}
            v |= {late: self.before(steps, p, *delay) for late, delay in self.delays.items()}
            steps.append(Step(v, {}))
            for layer in self.facts["layers"]:
                if at and self.is_static(layer):
                    v[layer] = steps[0].values[layer]
                else:
                    v[layer], steps[at].passed[layer] = self.computed(p, v, layer)
        return steps

    def is_static(self, name: str) -> bool:
        """Whether an input or a layer is the same at every step."""
        return not any(name in some for some in (self.expected.timed, self.expected.over_time, self.delays))

    def read(self, data: dict[str, np.ndarray], name: str, at: int) -> np.ndarray:
        """An input or what stands for a loss at a step, (batch, units)."""
        array = data[name]
        return (array[:, at] if name in self.expected.over_time else array).reshape(len(array), -1)

    def before(
        self, steps: list[Step], p: dict[str, np.ndarray], name: str, delay: int, start: Any
    ) -> np.ndarray:
        """The value of an earlier step, or what there is before the first."""
        if len(steps) >= delay:
            return steps[-delay].values[name]
        units = self.expected.memory[name][1]
        return np.broadcast_to(p[start] if isinstance(start, str) else start, (self.batch, units))

    def computed(
        self, p: dict[str, np.ndarray], v: dict[str, np.ndarray], layer: str
    ) -> tuple[np.ndarray, list[tuple[Any, np.ndarray]]]:
        """A layer's value of one step, and what goes into each of its operations and comes out."""
        connections, operations = self.facts["layers"][layer]
        x = ExactSum(self.largest, (1, 1))
        for name, read in connections.items():
            if self.maps[name].kind == "codes":
                x.add(partial(self.maps[name].forward, v[read]), self.weight(p, name))
            else:
                x.add(self.maps[name].forward, v[read], self.weight(p, name))
        passed: list[tuple[Any, np.ndarray]] = []
        for kind, what, how in operations:
            before: Any = x.value
            if kind == "expression":
                before = {name: checked_exactly(v[name], self.largest) for name in how}
                value = np.asarray(what(before))
                x = ExactSum(self.largest, value.shape)
                x.add(np.positive, value)
            elif kind == "bias":
                entries = self.entries(how, p[what])
                x.add(lambda bias, entries=entries: np.append(bias, 0.0)[entries], p[what])
            else:
                x = ExactSum(self.largest, before.shape)
                x.add(np.positive, what(before))
            passed.append((before, x.value))
        return x.value, passed

    def value(self, steps: list[Step], name: str) -> np.ndarray:
        """A value as the network gives it: (batch, units), or of all steps (batch, steps * units)."""
        return self.at_all_steps(steps[-1:] if self.expected.is_last_step(name) else steps, name)

    def at_all_steps(self, steps: list[Step], name: str) -> np.ndarray:
        """A value (batch, steps * units), or (batch, units) if it is the same at every step."""
        some = steps[:1] if self.is_static(name) else steps
        return np.concatenate([step.values[name] for step in some], axis=1)

    def backward(
        self, p: dict[str, np.ndarray], data: dict[str, np.ndarray], steps: list[Step]
    ) -> tuple[float, dict[str, np.ndarray]]:
        """The loss and its gradients by name, but for penalties that are not exact."""
        sums = Gradients(
            [{name: ExactSum(self.largest, x.shape) for name, x in step.values.items()} for step in steps],
            {name: ExactSum(self.largest, p[name].shape) for name in self.expected.trained},
        )
        for later in sums.of_value[1:]:  # what is the same at every step has one gradient
            later |= {name: each for name, each in sums.of_value[0].items() if self.is_static(name)}
        loss = self.losses(p, data, steps, sums)
        for at, step in reversed([*enumerate(steps)]):
            for layer in reversed(self.facts["layers"]):
                if not (at and self.is_static(layer)):
                    self.pass_back(p, layer, step, sums.of_value[at], sums.of_parameter)
            for late, (name, delay, start) in self.delays.items():
                d = sums.of_value[at][late].value
                if at >= delay:
                    sums.of_value[at - delay][name].add(np.positive, d)
                elif start in sums.of_parameter:
                    sums.of_parameter[start].add(partial(np.sum, axis=0), d)
        gradients = {name: each.value for name, each in sums.of_parameter.items()}
        for name in self.expected.moved:
            each = [of_step[name].value for of_step in sums.of_value[: 1 if self.is_static(name) else None]]
            gradients[name] = np.concatenate(each, axis=1).reshape(data[name].shape)
        return float(loss), gradients

    def losses(
        self, p: dict[str, np.ndarray], data: dict[str, np.ndarray], steps: list[Step], sums: Gradients
    ) -> np.ndarray:
        """The loss, whose derivatives by values and parameters are added to their gradients."""
        loss = ExactSum(self.largest, ())
        for y, t, formula, derivative in self.facts["losses"]:
            target = data[t].reshape(-1, *data[t].shape[2:]) if t in self.expected.over_time else data[t]
            shaped = self.value(steps, y).reshape(target.shape)
            self.squared(shaped, -target)
            loss.add(np.positive, self.held(np.asarray(formula(shaped, target))))
            self.give(y, np.asarray(derivative(shaped, target)), sums)
        for y, name in self.expected.cotangents.items():
            loss.add(np.vdot, self.value(steps, y), data[name])
            self.give(y, data[name], sums)
        for name, formula, derivative in self.facts["penalties"]:
            self.squared(p[name])
            loss.add(np.positive, self.held(np.asarray(formula(p[name]))))
            sums.of_parameter[name].add(np.positive, derivative(p[name]))
        return loss.value

    def give(self, y: str, d: np.ndarray, sums: Gradients) -> None:
        """Add the gradient of what is given of a value to that of the steps that it is of."""
        once = self.is_static(y) or self.expected.is_last_step(y)
        to = [each[y] for each in sums.of_value[-1:]] if once else [each[y] for each in sums.of_value]
        for each, own in zip(to, np.split(d.reshape(self.batch, -1), len(to), axis=1), strict=True):
            each.add(np.positive, own)

    def pass_back(
        self,
        p: dict[str, np.ndarray],
        layer: str,
        step: Step,
        of_value: dict[str, ExactSum],
        of_parameter: dict[str, ExactSum],
    ) -> None:
        """Add what the gradient of a layer at a step gives to those of what it reads, and of parameters."""
        (connections, operations), v = self.facts["layers"][layer], step.values
        d = of_value[layer].value
        for (kind, what, how), (x, y) in zip(reversed(operations), reversed(step.passed[layer]), strict=True):
            if kind == "expression":
                for name, slope in how.items():
                    back = partial(carried_back, units=v[name].shape[1])
                    of_value[name].add(back, d, np.asarray(slope(x)))
            elif kind == "bias":
                entries = self.entries(how, p[what])
                of_parameter[what].add(partial(gathered_at, entries=entries, size=len(p[what])), d)
            else:
                d = self.held(how(d, x, y))
        for name, read in connections.items():
            codes = self.maps[name].kind == "codes"
            if not codes:
                of_value[read].add(self.maps[name].backward, d, self.weight(p, name))
            parameter, of_weight, *slope = self.of_parameter(p, name)
            if parameter in of_parameter:
                factors: tuple[Any, ...] = (partial(of_weight, v[read]),) if codes else (of_weight, v[read])
                of_parameter[parameter].add(*factors, *slope, d)

    def of_parameter(self, p: dict[str, np.ndarray], connection: str) -> tuple[Any, ...]:
        """The parameter of a connection, its gradient by what edges read and give, and their slopes if any.

        The gradient is linear in what is read, in the slopes, and in the gradient of what is given.
        """
        of_weight = self.maps[connection].of_weight
        if connection not in self.expected.shared:
            return f"{connection}.weight", of_weight
        _, slope, place = self.made(p, connection)
        parameter = self.facts["weights"][connection][0]
        shape = p[parameter].shape

        def summed(x: np.ndarray, slope: np.ndarray, d: np.ndarray) -> np.ndarray:
            total = np.zeros(int(np.prod(shape)))
            np.add.at(total, place.ravel(), (slope * of_weight(x, d)).ravel())
            return total.reshape(shape)

        return parameter, summed, slope

    def squared(self, *terms: np.ndarray) -> None:
        """See to it that the squares of a sum of arrays can be added up, and so can absolute values."""
        total = ExactSum(self.largest, terms[0].shape)
        for term in terms:
            total.add(np.positive, term)
        squares = ExactSum(self.largest, ())
        squares.add(np.vdot, total.value, total.value)


def gathered_at(d: np.ndarray, entries: np.ndarray, size: int) -> np.ndarray:
    """The gradient of each of `size` biases from that of the units, (batch, units); -1 is none."""
    total = np.zeros(size + 1)
    for sample in d:
        np.add.at(total, entries, sample)
    return total[:size]


def draw_exactly(
    network: ExactNetwork, seed: int, most: int, arriving: float
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray], Any]:
    """Parameters, data, and for these the network's values, loss and gradients: integers up to `most`.

    Of the weights that arrive at a unit all but about `arriving` are zeros. Of those whose penalty rounds,
    one half is zero with the seed 0, the other with 1, and all with 2: there, penalty and gradient are exact.
    What the loss compares with is less than the prediction by what is drawn. Raises `Inexact`.
    """
    expected, facts, rng = network.expected, network.facts, np.random.default_rng(seed)
    batch = network.batch

    def drawn(shape: tuple[int, ...]) -> np.ndarray:
        return rng.integers(-most, most, shape, endpoint=True).astype(np.float64)

    p = {name: array.astype(np.float64) for name, array in expected.start(0).items()}
    for connections, operations in facts["layers"].values():
        for name in connections:
            key, _ = expected.shared.get(name, (f"{name}.weight", 0))
            if key in p:
                edges = np.prod(network.maps[name].shape)
                share = arriving * facts["connections"][name][1] / max(1, edges)
                share *= max(1, network.maps[name].classes)
                p[key] = drawn(p[key].shape) * (rng.random(p[key].shape) < share)
                if key in facts["inexact"]:
                    half = np.random.default_rng(list(key.encode())).random(p[key].shape) < 0.5
                    p[key] *= (half, ~half, False)[seed]
        p |= {what: drawn(p[what].shape) for kind, what, _ in operations if kind == "bias"}
    p |= {start: drawn(p[start].shape) for *_, start in network.delays.values() if isinstance(start, str)}
    data = {
        name: rng.integers(-1, expected.classes[name], (batch, *shape))
        if name in expected.classes
        else drawn((batch, *shape))
        for name, shape in expected.inputs.items()
    }
    steps = network.forward(p, data)
    for y, t, *_ in facts["losses"]:
        if t not in data:
            shape = (batch, *expected.targets[t][0])
            data[t] = network.value(steps, y).reshape(shape) - drawn(shape)
    data |= {name: drawn((batch, *expected.outputs[y])) for y, name in expected.cotangents.items()}
    values = {name: network.at_all_steps(steps, name) for name in facts["layers"]}
    return p, data, values, network.backward(p, data, steps) if facts["whole"] else None


def check_network_exactly(expected: Expected, facts: dict[str, Any], model: Any, dtype: str) -> None:
    """Layers, and if all functions are exact loss and gradients, are to the bit those of whole numbers.

    What is drawn is made smaller, and more of it zeros, until no sum can be rounded. Where even few small
    numbers give sums that can, nothing is compared, and a warning says so. If the coefficient of a weight's
    penalty rounds, the gradient is held where the weight is zero.

    A network with inputs over time is held for two steps and twice as many, again and again, until these are
    more than are read back: powers of two, so that means over the steps are exact.
    """
    check_stored(expected)
    longest = max((steps for steps, _ in expected.memory.values()), default=0)
    lengths = [2**power for power in range(1, max(2, longest.bit_length()) + 1)]
    if not any(name in expected.over_time for name in expected.inputs):
        lengths = [expected.steps]
    for steps in lengths:
        check_exactly(expected.at_length(steps), facts, model, dtype)


def check_exactly(expected: Expected, facts: dict[str, Any], model: Any, dtype: str) -> None:
    """The same of as many steps as `expected` says."""
    ranges = [(3, 16.0), (2, 8.0), (1, 8.0), (1, 4.0), (1, 2.0), (1, 1.0), (1, 0.5), (1, 0.25)]
    network = ExactNetwork(expected, facts, largest_whole(dtype), 8)
    if sum(np.prod(each.shape) for each in network.maps.values()) * expected.steps >= 10**5:
        network.batch = 2
    what = f"{model.name}, {dtype}" + f", {expected.steps} steps" * bool(expected.over_time)
    for seed in range(3):
        while ranges:
            with suppress(Inexact):
                p, data, v, wanted = draw_exactly(network, seed, *ranges[0])
                break
            ranges.pop(0)
        else:
            why = "not compared exactly, because numbers of its sums have more bits than that has"
            warnings.warn(f"{expected.name} as a whole, {what}: {why}", stacklevel=3)
            return
        model.load(p)
        layers = model.layers(data, False)
        for name in facts["layers"]:
            got = layers[name].reshape(v[name].shape)
            assert_exact(got, v[name], dtype, f"{what}: layer {name}, the first that differs, ")
        if wanted is None:
            continue
        loss, gradients = model.differentiate(data)
        for name, gradient in gradients.items():
            exact = p[name] == 0 if name in facts["inexact"] else np.ones(gradient.shape, bool)
            got, whole = np.where(exact, gradient, 0), np.where(exact, wanted[1][name], 0)
            assert_exact(got, whole, dtype, f"{what}: gradient of {name} ")
        if all(not p[name].any() for name in facts["inexact"]):
            assert float(loss) == wanted[0], f"{what}: loss is {loss}, not {wanted[0]}"
