"""Losses that are more than one line."""

from __future__ import annotations

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
