"""A fingerprint of an array."""

from __future__ import annotations

import hashlib

import numpy as np


def array_hash(array: np.ndarray) -> str:
    """sha256 of type, shape and little-endian content."""
    content = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return hashlib.sha256(f"{content.dtype.str}{content.shape}".encode() + content.tobytes()).hexdigest()
