"""Start values: drawn with numpy from (seed, parameter name), the same on every target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def uniform(seed: int, name: str, shape: tuple[int, ...], low: Any, high: Any) -> np.ndarray:
    """Start values of `shape`, float32, uniform in [low, high); the bounds may be arrays of that shape."""
    drawn = np.random.default_rng([seed, *name.encode()]).random(shape)
    return (low + (high - low) * drawn).astype(np.float32)


def normal(seed: int, name: str, shape: tuple[int, ...], mean: Any, std: Any) -> np.ndarray:
    """Start values of `shape`, float32, normal; mean and std may be arrays of that shape."""
    drawn = np.random.default_rng([seed, *name.encode()]).standard_normal(shape)
    return (mean + std * drawn).astype(np.float32)


def unit_fan_in(units: int, *targets: np.ndarray, also: int = 0) -> np.ndarray:
    """Number of edges into each of `units` units, given all edges' targets, and `also` more into each."""
    counts = np.full(units, also)
    for target in targets:
        counts += np.bincount(target, minlength=units)
    return counts


def targets_of(stored: Mapping[str, np.ndarray], *connections: str) -> np.ndarray:
    """The target units of the edges of some connections, one after the other."""
    return np.concatenate([stored[f"{connection}.target"] for connection in connections])


def largest_of_entry(values: np.ndarray, index: np.ndarray, size: int) -> np.ndarray:
    """The largest of the values, one an edge, of all edges that have each of `size` entries by `index`."""
    largest = np.zeros(size, values.dtype)
    np.maximum.at(largest, index, values)
    return largest


def uniform_by_fan_in(seed: int, name: str, shape: tuple[int, ...], fan_in: Any) -> np.ndarray:
    """Start values of `shape`, float32, uniform in [-b, b), b = 1/sqrt(fan_in) of each weight's own unit."""
    bound = 1 / np.sqrt(fan_in)
    return uniform(seed, name, shape, -bound, bound)
