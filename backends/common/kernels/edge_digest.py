"""The fingerprint of a set of edges, the same on every target."""

import hashlib

import numpy as np


def edge_digest(source: np.ndarray, target: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the fingerprint of the edges `source[e] -> target[e]`.

    It is the SHA-256 of `shape`, then `source`, then `target`, each as little-endian 64-bit integers. Saved
    with the weights, it tells whether they were trained on these edges.

    Args:
        source: (edges,) integers, the source unit of every edge.
        target: (edges,) integers, the target unit of every edge.
        shape: number of target units, number of source units.

    Returns:
        (4,) int64, the 256 bits of the hash read as little-endian integers.
    """
    digest = hashlib.sha256(np.array(shape, dtype="<i8").tobytes())
    edges_at_once = 1 << 16  # the 64-bit copies stay small, whatever the number of edges
    for units in (source, target):
        for start in range(0, len(units), edges_at_once):
            digest.update(np.ascontiguousarray(units[start : start + edges_at_once], dtype="<i8").data)
    return np.frombuffer(digest.digest(), dtype="<i8").astype(np.int64)
