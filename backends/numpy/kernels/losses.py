"""Losses that are more than one line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .activations import log_softmax


def cross_entropy(logits: np.ndarray, codes: np.ndarray) -> np.floating:
    """Mean of -log softmax(logits)[code]; logits (..., classes), codes (...) integers."""
    return -np.take_along_axis(log_softmax(logits), codes[..., None], axis=-1).mean()


def cross_entropy_gradient(logits: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """(softmax(logits) - one_hot(codes)) / number of codes."""
    d = np.exp(log_softmax(logits))
    picked = np.take_along_axis(d, codes[..., None], axis=-1)
    np.put_along_axis(d, codes[..., None], picked - 1, axis=-1)
    return d / codes.size


def soft_cross_entropy(
    logits: np.ndarray, codes: np.ndarray, smoothing: float, weights: Sequence[float] | None
) -> np.floating:
    """Mean over the codes of -sum(weights q log softmax(logits)), where q is a code's distribution.

    A part `smoothing` of it is even among all classes. Logits (..., classes), codes (...) integers.
    """
    q = soft_codes(logits, codes, smoothing, weights)
    return -np.sum(q * log_softmax(logits)) / codes.size


def soft_cross_entropy_gradient(
    logits: np.ndarray, codes: np.ndarray, smoothing: float, weights: Sequence[float] | None
) -> np.ndarray:
    """The derivative of `soft_cross_entropy` by the logits."""
    q = soft_codes(logits, codes, smoothing, weights)
    return (np.exp(log_softmax(logits)) * q.sum(axis=-1, keepdims=True) - q) / codes.size


def soft_codes(
    logits: np.ndarray, codes: np.ndarray, smoothing: float, weights: Sequence[float] | None
) -> np.ndarray:
    """The distribution of each code, a part `smoothing` of it even, times the weights of the classes."""
    q = np.full_like(logits, smoothing / logits.shape[-1])
    np.put_along_axis(q, codes[..., None], q[..., :1] + (1 - smoothing), axis=-1)
    return q if weights is None else q * np.asarray(weights, logits.dtype)


def cosine(y: np.ndarray, t: np.ndarray) -> np.floating:
    """Mean over the batch of 1 - cos(y, t), all units of a sample a vector; norms are 1e-8 at least."""
    return np.mean(1 - cosines(y, t))


def cosines(y: np.ndarray, t: np.ndarray) -> np.ndarray:
    """cos(y, t) of each sample, (batch, 1)."""
    return np.sum(direction(y) * direction(t), axis=1, keepdims=True)


def direction(x: np.ndarray) -> np.ndarray:
    """x / |x| of each sample, (batch, units)."""
    x = x.reshape(len(x), -1)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-8)


def cosine_gradient(y: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The derivative of `cosine` by y."""
    norm = np.linalg.norm(y.reshape(len(y), -1), axis=1, keepdims=True)
    along = np.where(norm > 1e-8, cosines(y, t), 0) * direction(y)
    return ((along - direction(t)) / np.maximum(norm, 1e-8) / len(y)).reshape(y.shape)
