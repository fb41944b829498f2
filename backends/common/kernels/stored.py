"""Edges and given values from the file beside a generated module."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np


def load_stored(module: str, name: str) -> dict[str, np.ndarray]:
    """All arrays of the file `name` in the folder of the module whose `__file__` is given."""
    with np.load(Path(module).with_name(name), allow_pickle=False) as arrays:
        return dict(arrays)


def edges_of(stored: Mapping[str, np.ndarray], connection: str) -> tuple[np.ndarray, np.ndarray]:
    """Source and target unit of every edge of a connection, sorted by (target, source)."""
    return stored[f"{connection}.source"], stored[f"{connection}.target"]
