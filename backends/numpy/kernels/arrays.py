"""Arrays that come from outside and go back there: their shapes, and checks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...common.kernels.digests import check_digests


def batched(**given: Any) -> list[Any]:
    """Arrays with their leading dimensions, which are the batch, taken together as one.

    Args:
        given: by the name of an array, the array (*batch, *shape), `shape`, and where it holds codes, the
            number of classes, and the least code if it is not 0. The batch has any number of dimensions,
            none too, the same in all arrays.

    Returns:
        The batch's dimensions, then every array as (samples, *shape).

    Raises:
        ValueError: if an array has another shape, or holds anything else than codes below its classes.
    """
    first, batch, arrays = "", None, []
    for name, (array, shape, *codes) in given.items():
        array = np.asarray(array)
        before = max(array.ndim - len(shape), 0)
        if batch is None and array.shape[before:] != shape:
            wanted = f"({', '.join(['...', *map(str, shape)])})"
            raise ValueError(f"`{name}` must have the shape {wanted}, but has {array.shape}.")
        if batch is None:
            first, batch = name, array.shape[:before]
        if array.shape != batch + shape:
            why = f"since the batch of `{first}` is {batch}"
            raise ValueError(f"`{name}` must have the shape {batch + shape}, {why}, but has {array.shape}.")
        if codes:
            check_codes(name, array, *codes)
        arrays.append(array.reshape(-1, *shape))
    return [batch, *arrays]


def check_codes(name: str, codes: np.ndarray, classes: int, least: int = 0) -> None:
    """Raises ValueError unless the array holds integers from `least` to `classes` - 1."""
    wanted = f"`{name}` must hold integers from {least} to {classes - 1}"
    if codes.dtype.kind not in "iu":
        raise ValueError(f"{wanted}, but is an array of {codes.dtype}.")
    wrong = codes[(codes < least) | (codes >= classes)]
    if wrong.size:
        raise ValueError(f"{wanted}, but holds {wrong[0]}.")


def unbatched(values: dict[str, Any], batch: tuple[int, ...]) -> dict[str, Any]:
    """Values (samples, units) as (*batch, units); what is not there for every sample stays as it is."""
    samples = math.prod(batch)
    return {
        name: value.reshape(*batch, value.shape[-1]) if np.ndim(value) and len(value) == samples else value
        for name, value in values.items()
    }


def rebatched(values: dict[str, Any], batch: tuple[int, ...]) -> dict[str, Any]:
    """What `unbatched` gave, as it was before. Raises ValueError if it was for another batch."""
    samples = math.prod(batch)
    rows = {name: v.reshape(-1, v.shape[-1]) if np.ndim(v) else v for name, v in values.items()}
    lengths = {len(value) for value in rows.values() if np.ndim(value)}
    if samples not in lengths or lengths - {1, samples}:
        raise ValueError(f"`values` are of another batch than the inputs, which have {samples} samples.")
    return rows


def in_shape(value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(..., units) -> (..., *shape)."""
    return value.reshape(*value.shape[:-1], *shape)


def checked(
    arrays: Mapping[str, np.ndarray], held: Mapping[str, np.ndarray], digests: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The arrays that belong to a model, copied.

    Args:
        arrays: what is to be loaded, by name.
        held: an array of its shape by every name that is wanted.
        digests: what tells for which edges and units arrays were made. They may be absent from `arrays`.

    Raises:
        ValueError: if a name, a shape or a digest differs.
    """
    check_digests(arrays, digests)
    if missing := sorted(held.keys() - arrays.keys()):
        raise ValueError(f"missing: {', '.join(missing)}")
    if unknown := sorted(arrays.keys() - held.keys() - digests.keys()):
        raise ValueError(f"unknown: {', '.join(unknown)}")
    for name, array in held.items():
        if np.shape(arrays[name]) != array.shape:
            raise ValueError(f"{name} has the shape {np.shape(arrays[name])}, not {array.shape}")
    return {name: np.array(arrays[name]) for name in held}


def spread(parameter: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The entry `index[i]` of a parameter, counted along its rows, for every i, or 0 where that is -1."""
    return np.append(parameter, np.zeros(1, parameter.dtype))[index]


def gathered(d: np.ndarray, index: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Gradient (*shape) of the parameter of `spread`, from that of its result: the sums of equal indices."""
    size = math.prod(shape)
    return np.bincount(index + 1, d, minlength=size + 1)[1:].astype(d.dtype).reshape(shape)
