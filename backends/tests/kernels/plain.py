"""The plain definitions that the reference network is written in, apart from every target's code."""

from __future__ import annotations

import numpy as np


def weighted_sum(
    x: np.ndarray, weight: np.ndarray | None, source: np.ndarray, target: np.ndarray, targets: int
) -> np.ndarray:
    """A sparse projection: a product with a masked matrix, or a loop over neurons where that is too big."""
    weight = np.ones(len(source)) if weight is None else weight
    if targets * x.shape[1] <= 2**22:
        matrix = np.zeros((targets, x.shape[1]))
        matrix[target, source] = weight
        return x @ matrix.T
    bounds = np.searchsorted(target, np.arange(targets + 1))
    y = np.zeros((len(x), targets))
    for neuron in np.flatnonzero(np.diff(bounds)):
        own = slice(bounds[neuron], bounds[neuron + 1])
        y[:, neuron] = x[:, source[own]] @ weight[own]
    return y


def normalised(x: np.ndarray, axis: int, eps: float) -> np.ndarray:
    """x less its mean, over the root of its biased variance plus eps, along `axis`."""
    centred = x - x.mean(axis=axis, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=axis, keepdims=True) + eps)


def moved(
    parameters: dict[str, np.ndarray], name: str, x: np.ndarray, momentum: float
) -> dict[str, np.ndarray]:
    """The running statistics of the batch norm `name` after a batch x (batch, units)."""
    new = {"running_mean": x.mean(axis=0), "running_var": x.var(axis=0, ddof=1)}
    return {
        f"{name}.{what}": (1 - momentum) * parameters[f"{name}.{what}"] + momentum * value
        for what, value in new.items()
    }


def biases(bias: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The bias of every unit; -1 is none."""
    return np.where(index < 0, 0.0, bias[np.maximum(index, 0)] if len(bias) else 0.0)
