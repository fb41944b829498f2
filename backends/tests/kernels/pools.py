"""Connections that pool otherwise than by a sum: the reference, and integers to the bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...common.kernels.stored import edges_of
from .exact import assert_exact, largest_whole
from .expected import Expected
from .rounding import around


def by_fan_in(target: np.ndarray, targets: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The units with as many edges each, for every number of edges but 0, and these: (units, fan-in)."""
    fan_in = np.bincount(target, minlength=targets)
    first = np.cumsum(fan_in) - fan_in
    for inputs in np.unique(fan_in[fan_in > 0]):
        units = np.flatnonzero(fan_in == inputs)
        yield units, first[units][:, None] + np.arange(inputs)


def pooled(
    x: np.ndarray,
    weight: np.ndarray | None,
    source: np.ndarray,
    target: np.ndarray,
    targets: int,
    pools: Callable[[np.ndarray, list[np.ndarray]], np.ndarray],
    empty: float,
    kinks: list[np.ndarray],
) -> np.ndarray:
    """What `pools` makes of what arrives at each unit, (batch, targets), complex numbers too.

    x is (batch, sources), `weight` (edges,) or None; edges are sorted by target. `pools` is given (batch,
    units, inputs), and adds to `kinks` how far it is from where its derivative jumps.
    """
    parts, ordered = list[np.ndarray](), list[np.ndarray]()
    for units, edges in by_fan_in(target, targets):
        arriving = x[:, source[edges]]
        parts.append(pools(arriving if weight is None else arriving * weight[edges], kinks))
        ordered.append(units)
    parts.append(np.full_like(x, empty, shape=(len(x), targets - sum(map(len, ordered)))))
    ordered.append(np.setdiff1d(np.arange(targets), np.concatenate([*ordered, np.empty(0, np.int64)])))
    return np.concatenate(parts, axis=1)[:, np.argsort(np.concatenate(ordered))]


def mean_of_inputs(z: np.ndarray, kinks: list[np.ndarray]) -> np.ndarray:
    """The mean along the last dimension."""
    return z.sum(axis=-1) / z.shape[-1]


def max_of_inputs(z: np.ndarray, kinks: list[np.ndarray]) -> np.ndarray:
    """The largest along the last dimension, by the real part; of equals, the first."""
    if z.shape[-1] > 1:
        ordered = np.sort(np.asarray(np.real(z)), axis=-1)
        kinks.append(ordered[..., -1] - ordered[..., -2])
    return np.take_along_axis(z, np.asarray(np.real(z)).argmax(axis=-1)[..., None], axis=-1)[..., 0]


def min_of_inputs(z: np.ndarray, kinks: list[np.ndarray]) -> np.ndarray:
    """The smallest along the last dimension, by the real part; of equals, the first."""
    return -max_of_inputs(-z, kinks)


def product_of_inputs(z: np.ndarray, kinks: list[np.ndarray]) -> np.ndarray:
    """The product along the last dimension, one factor after the other."""
    result = z[..., 0]
    for at in range(1, z.shape[-1]):
        result = result * z[..., at]
    return result


def logsumexp_of_inputs(z: np.ndarray, kinks: list[np.ndarray]) -> np.ndarray:
    """The logarithm of the sum of the exponentials along the last dimension."""
    z = around(z, np.real(z) + 1j * np.imag(z) if np.iscomplexobj(z) else z)
    top = np.real(z).max(axis=-1, keepdims=True)
    total = np.exp(z - top).sum(axis=-1)
    logarithm = np.log(np.real(total))
    if np.iscomplexobj(total):
        logarithm = logarithm + 1j * (np.imag(total) / np.real(total))
    return logarithm + top[..., 0]


# ------------------------------------------------------------------------------------------------ to the bit


def check_pools_exactly(expected: Expected, model: Any, dtype: str) -> None:
    """Every connection that pools what does not round (`check_pool_exactly`)."""
    for name, (reduction, _) in expected.pooled.items():
        if reduction != "logsumexp":
            check_pool_exactly(expected, name, model, dtype)


def check_pool_exactly(expected: Expected, name: str, model: Any, dtype: str) -> None:
    """What a connection pools and both gradients are, to the bit, those of whole numbers.

    There are many equals among these, and zeros among what is multiplied. Means are compared where a unit has
    as many inputs as a power of two.
    """
    reduction, empty = expected.pooled[name]
    targets, sources, _ = expected.edges[name]
    source, target = (end.astype(np.int64) for end in edges_of(expected.stored, name))
    made = name in expected.shared
    trained, own = f"{name}.weight" in expected.trained, f"{name}.weight" in expected.parameters and not made
    for draw, samples in enumerate((1, 7, 64)):
        rng = np.random.default_rng(draw)
        x, g, weight = drawn_for(reduction, rng, samples, sources, source, target, targets)
        if not (own or made):
            weight = np.ones(len(source), np.int64)
        y, of_x, of_weight, exact = in_integers(reduction, empty, x, g, weight, source, target)
        if max(np.abs(each).max(initial=0) for each in (y[:, exact], of_x, of_weight)) > largest_whole(dtype):
            continue
        start = {key: array.astype(np.float64) for key, array in expected.start(0).items()}
        weights = weight.astype(np.float64)
        model.load(start | ({f"{name}.weight": weights} if own else {}))
        found = model.differentiate_projection(
            name, x.astype(np.float64), (g * exact).astype(np.float64), weights if made else None
        )
        what = f"{model.name}, {dtype}: {reduction} of {name} of a batch of {samples}"
        assert_exact(found[0][:, exact], y[:, exact].astype(dtype), dtype, f"{what}: value ")
        if found[1] is None:
            continue
        assert_exact(found[1], of_x, dtype, f"{what}: gradient of input ")
        message = f"{what}: a gradient of frozen weights, or none of trained"
        assert made or (found[2] is not None) == trained, message
        if found[2] is not None:
            assert_exact(found[2], of_weight, dtype, f"{what}: gradient of weights ")


def drawn_for(
    reduction: str,
    rng: np.random.Generator,
    samples: int,
    sources: int,
    source: np.ndarray,
    target: np.ndarray,
    targets: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Integers for sources, for the gradient of what is pooled, and for weights.

    Of what is multiplied, nearly all are 1 or -1, and about one that arrives at a unit is 0 or 2.
    """
    g = rng.integers(-3, 3, (samples, targets), endpoint=True)
    if reduction != "product":
        inputs = rng.integers(-3, 3, (samples, sources), endpoint=True)
        if reduction == "mean":
            fan_in = np.bincount(target, minlength=targets)
            g, inputs = g * fan_in, inputs * np.where(fan_in & fan_in - 1, 1, fan_in).max(initial=1)
        return inputs, g, rng.integers(-2, 2, len(source), endpoint=True)
    inputs = rng.choice([-1, 1], (samples, sources))
    rare = rng.random(inputs.shape) < min(0.4, 1 / max(1.0, len(source) / max(1, targets)))
    inputs = np.where(rare, rng.choice([0, 2, -2], inputs.shape), inputs)
    weight = rng.choice([-1, 1, 1, 1], len(source))
    return inputs, g, np.where(rng.random(len(source)) < 0.05, 0, weight)


def in_integers(
    reduction: str,
    empty: float,
    x: np.ndarray,
    g: np.ndarray,
    weight: np.ndarray,
    source: np.ndarray,
    target: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What is pooled, both gradients, and the targets where that is exact; others have no part in gradients.

    Of equals, the first has the gradient; a product's is that of all the others.
    """
    targets = g.shape[1]
    y, of_x, of_weight = np.full(g.shape, empty), np.zeros(x.shape, np.int64), np.zeros(len(source), np.int64)
    exact = np.ones(targets, bool)
    for units, edges in by_fan_in(target, targets):
        z, inputs = x[:, source[edges]] * weight[edges], edges.shape[1]
        own = g[:, units][..., None]
        if reduction == "mean":
            exact[units] = inputs & inputs - 1 == 0
            y[:, units] = z.sum(axis=-1) / inputs
            slope = np.repeat(own // inputs, inputs, axis=-1) * exact[units][:, None]
        elif reduction == "product":
            y[:, units] = z.prod(axis=-1)
            others = [np.delete(z, at, axis=-1).prod(axis=-1) for at in range(inputs)]
            slope = np.stack(others, axis=-1) * own
        else:
            best = (z if reduction == "max" else -z).argmax(axis=-1)[..., None]
            y[:, units] = np.take_along_axis(z, best, axis=-1)[..., 0]
            slope = own * (np.arange(inputs) == best)
        of_weight[edges] = (slope * x[:, source[edges]]).sum(axis=0)
        np.add.at(of_x.T, source[edges], np.moveaxis(slope * weight[edges], 0, -1))
    return y, of_x, of_weight, exact
