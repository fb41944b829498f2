"""Stored arrays, read once: whoever asks for them again gets the same ones."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import numpy as np

from .stored import load_stored


@cache
def cached_stored(module: str, name: str, digest: str) -> Mapping[str, np.ndarray]:
    """All arrays of the file `name`, as `load_stored` gives them, read-only."""
    return read_only(load_stored(module, name, digest))


def read_only(arrays: dict[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """The arrays, which nobody can change from here on: whoever asks for them gets the same ones."""
    for array in arrays.values():
        array.setflags(write=False)
    return MappingProxyType(arrays)
