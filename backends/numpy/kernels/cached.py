"""Stored arrays, read once: every function of a NumPy module asks for them again."""

from __future__ import annotations

from functools import cache

import numpy as np

from ...common.kernels.stored import load_stored


@cache
def cached_stored(module: str, name: str, digest: str) -> dict[str, np.ndarray]:
    """All arrays of the file `name`, as `load_stored` gives them."""
    return load_stored(module, name, digest)
