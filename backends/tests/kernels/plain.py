"""The plain definitions that the reference network is written in, apart from every target's code."""

from __future__ import annotations

import numpy as np


def weighted_sum(
    x: np.ndarray, weight: np.ndarray | None, source: np.ndarray, target: np.ndarray, targets: int
) -> np.ndarray:
    """A sparse projection (batch, targets): in every sample, what each edge carries is added to its target.

    x is (batch, sources), the others but `targets` (edges,), in whatever order.
    """
    weight = np.ones(len(source)) if weight is None else weight
    return np.stack([np.bincount(target, weight * sample[source], minlength=targets) for sample in x])


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
