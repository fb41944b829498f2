"""Class codes as sums of rows of weights: what `all` makes of them, without an array of zeros and ones."""

from __future__ import annotations

import numpy as np

from .edges import segments


def looked_up(codes: np.ndarray, weight: np.ndarray, classes: int) -> np.ndarray:
    """y[b, t] = sum over positions p of weight[t, p * classes + codes[b, p]]; a code of -1 adds nothing.

    Args:
        codes: (batch, positions), or (batch,) of one position, integers from -1 to `classes` - 1.
        weight: (targets, positions * classes).
        classes: number of classes.

    Returns:
        (batch, targets).
    """
    y = np.zeros((len(codes), len(weight)), weight.dtype)
    for position, column in enumerate(codes.reshape(len(codes), -1).T):
        there = np.flatnonzero(column >= 0)
        y[there] += weight[:, position * classes + column[there]].T
    return y


def looked_up_weight(codes: np.ndarray, d: np.ndarray, shape: tuple[int, int], classes: int) -> np.ndarray:
    """Gradient, of `shape`, of the weight of `looked_up`: rows of d (batch, targets), added up code by code.

    They are sorted by code first, so that each code's are a run of them, and added up a slice at a time.
    """
    codes = codes.reshape(len(codes), -1)
    sample, position = np.nonzero(codes >= 0)
    row = position * classes + codes[sample, position]
    order = np.argsort(row, kind="stable")
    row, sample = row[order], sample[order]
    table = np.zeros(shape[::-1], d.dtype)
    for first, last in segments(row, 1 + 10**7 // max(shape[0], 1)):
        starts = np.flatnonzero(np.diff(row[first:last], prepend=-1))
        table[row[first:last][starts]] += np.add.reduceat(d[sample[first:last]], starts, axis=0)
    return table.T
