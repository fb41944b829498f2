"""Variables as numpy arrays, checked on the way in."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from ...common.kernels.digests import check_digests


def assign_arrays(
    variables: Mapping[str, keras.Variable],
    digests: Mapping[str, np.ndarray],
    arrays: Mapping[str, np.ndarray],
) -> None:
    """Assign copies of arrays by name. Raises ValueError, before any is assigned, if one does not fit.

    A Dense kernel is (in, out), its array (out, in). Digests may be absent, but if there they must be equal.
    """
    check_digests(arrays, digests)
    if missing := sorted(variables.keys() - arrays.keys()):
        raise ValueError(f"missing: {', '.join(missing)}")
    if unknown := sorted(arrays.keys() - variables.keys() - digests.keys()):
        raise ValueError(f"unknown: {', '.join(unknown)}")
    for name, variable in variables.items():
        if np.shape(arrays[name]) != tuple(variable.shape)[::-1]:
            raise ValueError(
                f"{name} has the shape {np.shape(arrays[name])}, not {tuple(variable.shape)[::-1]}"
            )
    for name, variable in variables.items():
        variable.assign(np.array(np.transpose(arrays[name])))  # JAX would keep the array itself


def array_of(variable: keras.Variable) -> np.ndarray:
    """A copy of a variable as a numpy array, a Dense kernel as (out, in)."""
    return np.array(np.transpose(variable.numpy()))
