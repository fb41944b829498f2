"""Checks on arrays that come from outside."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def checked(arrays: Mapping[str, np.ndarray], held: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays that belong to a model, copied. Raises ValueError if names, shapes or edge digests differ.

    `held` maps every name that is wanted to an array of its shape; names that end in `.digest` may be absent,
    but if they are there they must be equal.
    """
    wanted = {name for name in held if not name.endswith(".digest")}
    if missing := sorted(wanted - arrays.keys()):
        raise ValueError(f"missing: {', '.join(missing)}")
    if unknown := sorted(arrays.keys() - held.keys()):
        raise ValueError(f"unknown: {', '.join(unknown)}")
    for name, array in arrays.items():
        if np.shape(array) != held[name].shape:
            raise ValueError(f"{name} has the shape {np.shape(array)}, not {held[name].shape}")
        if name.endswith(".digest") and not np.array_equal(array, held[name]):
            raise ValueError(f"{name}: these arrays were made for other edges")
    return {name: np.array(arrays[name]) for name in held if name in wanted}


def flat(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(batch, *shape) -> (batch, units). Raises ValueError for any other shape."""
    if x.shape[1:] != shape:
        raise ValueError(f"expected an array of shape (batch, {', '.join(map(str, shape))}), got {x.shape}")
    return x.reshape(len(x), -1)


def spread(bias: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The bias of every unit, (units,): entry `index[unit]` of `bias`, or 0 where that is -1."""
    return np.append(bias, np.zeros(1, bias.dtype))[index]


def gathered(d: np.ndarray, index: np.ndarray, size: int) -> np.ndarray:
    """Gradient (size,) of the bias of `spread`, from the gradient (batch, units) of what it was added to."""
    return np.bincount(index + 1, d.sum(axis=0), minlength=size + 1)[1:].astype(d.dtype)
