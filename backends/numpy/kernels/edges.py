"""A sparse projection as sums over sorted edges: cost and memory proportional to edges, a slice at a time."""

from __future__ import annotations

import numpy as np


def project(
    x: np.ndarray, weight: np.ndarray | None, source: np.ndarray, target: np.ndarray, targets: int
) -> np.ndarray:
    """y[b, t] = sum over edges e = (s -> t) of weight[e] x[b, s].

    Args:
        x: (batch, sources).
        weight: (edges,), or None for a plain sum.
        source: (edges,) integers.
        target: (edges,) integers, ascending.
        targets: number of target units; those without edges get 0.

    Returns:
        (batch, targets).
    """
    y = np.zeros((targets, len(x)), x.dtype if weight is None else np.result_type(x, weight))
    units_first = np.ascontiguousarray(x.T)
    for first, last in segments(target, 1 + 10**7 // max(len(x), 1)):
        gathered = units_first[source[first:last]]
        if weight is not None:
            gathered = gathered * weight[first:last, None]
        starts = np.flatnonzero(np.diff(target[first:last], prepend=-1))
        y[target[first:last][starts]] += np.add.reduceat(gathered, starts, axis=0)
    return y.T


def segments(target: np.ndarray, length: int) -> list[tuple[int, int]]:
    """Ranges of at most `length` edges; the sums of a unit whose edges are in two of them add up."""
    return [(first, min(first + length, len(target))) for first in range(0, len(target), length)]


def project_back(
    d: np.ndarray, weight: np.ndarray | None, source: np.ndarray, target: np.ndarray, sources: int
) -> np.ndarray:
    """Gradient (batch, sources) of the input of `project` from that of its output: its edges turned."""
    order = np.argsort(source, kind="stable")
    turned = None if weight is None else weight[order]
    return project(d, turned, target[order], source[order], sources)


def project_weight(x: np.ndarray, d: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Gradient (edges,) of the weight of `project`: the sum over the batch of x[b, s] d[b, t]."""
    x_first, d_first = np.ascontiguousarray(x.T), np.ascontiguousarray(d.T)
    gradient = np.empty(len(source), np.result_type(x, d))
    for first, last in segments(target, 1 + 10**7 // max(len(x), 1)):
        pairs = x_first[source[first:last]], d_first[target[first:last]]
        gradient[first:last] = np.einsum("eb,eb->e", *pairs)
    return gradient
