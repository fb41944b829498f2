"""Activations that numpy has no function for, and their derivatives."""

from __future__ import annotations

import math

import numpy as np


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), without overflow for large negative x."""
    z = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, z) / (1 + z)


def erf(x: np.ndarray) -> np.ndarray:
    """The error function, in the precision of x."""
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(x), x.dtype)


def softmax(x: np.ndarray, axis: int | tuple[int, ...] = -1) -> np.ndarray:
    """exp(x) over its sum along an axis, or several."""
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def softmax_gradient(y: np.ndarray, d: np.ndarray, axis: int | tuple[int, ...] = -1) -> np.ndarray:
    """Gradient of the input of softmax, from its output y and the gradient d of that."""
    return y * (d - (d * y).sum(axis=axis, keepdims=True))


def log_softmax(x: np.ndarray, axis: int | tuple[int, ...] = -1) -> np.ndarray:
    """x - log(sum(exp(x))) along an axis, or several."""
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def log_softmax_gradient(y: np.ndarray, d: np.ndarray, axis: int | tuple[int, ...] = -1) -> np.ndarray:
    """Gradient of the input of log_softmax, from its output y and the gradient d of that."""
    return d - np.exp(y) * d.sum(axis=axis, keepdims=True)
