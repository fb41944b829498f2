"""What a loss compares: shapes that are checked, and codes in range."""

from typing import Any

import keras
import numpy as np

from .batched_model import batch_of


def check_compared(prediction, y_pred, target, y_true, shape):
    """Raises ValueError unless both are (*batch, *shape): what differs would be broadcast.

    `prediction` and `target` are what they are called.
    """
    batch_of([(prediction, y_pred.shape, shape), (target, y_true.shape, shape)])


def coded(prediction, y_pred: Any, target, y_true: Any, shape):
    """Class codes (*batch, ...) as int32, and logits (*batch, ..., classes) to compare them with.

    Keras makes codes floats on their way here, and gives them a last dimension of 1 by custom: both are
    taken. In a function that is being traced, it is not known what the codes are: there the logits of a code
    that is out of range become NaN, unless TensorFlow stops at it with an error of its own.

    Raises:
        ValueError: if a shape differs, or if codes are known, and are not integers from 0 to classes - 1.
    """
    y_true = keras.ops.convert_to_tensor(y_true)
    if len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == 1:
        y_true = keras.ops.squeeze(y_true, axis=-1)
    batch_of([(prediction, y_pred.shape, shape), (target, y_true.shape, shape[:-1])])
    classes = shape[-1]
    codes: Any = keras.ops.cast(y_true, "int32")
    right = (codes >= 0) & (codes < classes) & (keras.ops.cast(codes, y_true.dtype) == y_true)
    wanted = f"`{target}` must hold integers from 0 to {classes - 1}"
    if keras.backend.standardize_dtype(y_true.dtype) == "bool":
        raise ValueError(f"{wanted}, but is an array of bool.")
    try:
        known, all_right = np.asarray(y_true), np.asarray(right)
    except (NotImplementedError, TypeError, RuntimeError):
        mark: Any = keras.ops.where(right, 0.0, float("nan"))
        if keras.backend.backend() != "tensorflow":  # JAX would leave the sample out
            codes = keras.ops.clip(codes, 0, classes - 1)
        mark = keras.ops.cast(mark, y_pred.dtype)
        return codes, y_pred + mark[..., None]
    if not all_right.all():
        raise ValueError(f"{wanted}, but holds {known[~all_right][0]}.")
    return codes, y_pred
