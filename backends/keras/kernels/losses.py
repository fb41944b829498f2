"""Losses that are more than one line, by sample or by code."""

from typing import Any

import keras


def soft_cross_entropy(codes, logits: Any, smoothing, weights) -> Any:
    """-sum(weights q log softmax(logits)) of each code (...); logits (..., classes).

    q is the distribution of a code, a part `smoothing` of it even among all classes; `weights` is one number
    for each class, or None.
    """
    classes = logits.shape[-1]
    q: Any = keras.ops.one_hot(codes, classes, dtype=logits.dtype)
    q = (1 - smoothing) * q + smoothing / classes
    if weights is not None:
        q = q * keras.ops.convert_to_tensor(weights, logits.dtype)
    return -keras.ops.sum(q * keras.ops.log_softmax(logits, axis=-1), axis=-1)


def cosine(y: Any, t: Any, axes) -> Any:
    """1 - cos(y, t) of each sample, for the angle of all units along `axes`; norms are 1e-8 at least."""

    def direction(x: Any) -> Any:
        square: Any = keras.ops.sum(x * x, axis=axes, keepdims=True)
        return x / keras.ops.sqrt(keras.ops.maximum(square, 1e-16))

    return 1 - keras.ops.sum(direction(y) * direction(t), axis=axes)
