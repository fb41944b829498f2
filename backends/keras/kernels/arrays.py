"""Variables as numpy arrays, checked on the way in."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np


def assign_arrays(
    variables: Mapping[str, keras.Variable],
    digests: Mapping[str, np.ndarray],
    arrays: Mapping[str, np.ndarray],
) -> None:
    """Assign arrays by name. Raises ValueError, before any is assigned, if names, shapes or edges differ.

    A Dense kernel is (in, out), its array (out, in). Digests may be absent, but if there they must be equal.
    """
    if missing := sorted(variables.keys() - arrays.keys()):
        raise ValueError(f"missing: {', '.join(missing)}")
    if unknown := sorted(arrays.keys() - variables.keys() - digests.keys()):
        raise ValueError(f"unknown: {', '.join(unknown)}")
    for name, variable in variables.items():
        if np.shape(arrays[name]) != tuple(variable.shape)[::-1]:
            raise ValueError(
                f"{name} has the shape {np.shape(arrays[name])}, not {tuple(variable.shape)[::-1]}"
            )
    for name in digests.keys() & arrays.keys():
        if not np.array_equal(arrays[name], digests[name]):
            raise ValueError(f"{name}: these arrays were made for other edges")
    for name, variable in variables.items():
        variable.assign(np.transpose(arrays[name]))
