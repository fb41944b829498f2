"""Class codes as sums of rows of weights."""

from typing import Any

import keras
import numpy as np


class CodeEmbedding(keras.layers.Layer):
    """y[b, t] = sum over positions p of weight[p * classes + codes[b, p], t]; a code of -1 adds nothing.

    It is what `keras.layers.Dense` would make of zeros and ones, without these. In a function that is being
    traced, it is not known what the codes are: there a code that is out of range makes its sample NaN.

    Args:
        shape: (targets, positions * classes).
        classes: number of classes.
        source: what the input is called that holds the codes.
        given: whether the weight, (targets, sources), is made elsewhere: `layer([codes, weight])`.
        regularizer: a Keras regularizer of the weight, or None.
        **kwargs: of `keras.layers.Layer`; `trainable=False` freezes the weight.

    Variables: `weight`, of shape (positions * classes, targets), zero until values are loaded; none if given.
    Input: codes (batch, positions), integers from -1 to `classes` - 1. Output: (batch, targets).

    Raises:
        ValueError: if codes are known, and are out of range.
    """

    def __init__(self, shape, classes, source, *, given=False, regularizer=None, **kwargs):
        super().__init__(**kwargs)
        self.shape, self.classes, self.source = tuple(shape), int(classes), source
        self.positions = self.shape[1] // self.classes
        self.given = given
        self.regularizer = keras.regularizers.get(regularizer)
        codes = keras.layers.InputSpec(ndim=2, axes={-1: self.positions})
        self.input_spec = [codes, keras.layers.InputSpec(shape=self.shape)] if given else codes
        self.build((None, self.positions))

    def build(self, input_shape):
        """Makes the weight."""
        if not self.given:
            self.weight = self.add_weight(
                name="weight", shape=self.shape[::-1], initializer="zeros", regularizer=self.regularizer
            )

    def call(self, inputs: Any):
        """Maps codes (batch, positions) to (batch, targets)."""
        given, weight = inputs if self.given else (inputs, None)
        codes: Any = keras.ops.cast(given, "int32")
        right = (codes >= -1) & (codes < self.classes)
        there = (codes != -1) & right
        dtype = "int32" if self.shape[1] < 2**31 else "int64"
        first: Any = keras.ops.arange(0, self.shape[1], self.classes, dtype)
        rows: Any = keras.ops.where(there, keras.ops.cast(codes, dtype) + first, 0)
        # On TensorFlow the gradient of `take` is a list of rows, a code's several times, and optimisers would
        # square each by itself; that of `reshape` is an array.
        rows_first: Any = self.weight if weight is None else keras.ops.transpose(weight)
        table: Any = keras.ops.reshape(rows_first, self.shape[::-1])
        found: Any = keras.ops.take(table, rows, axis=0)
        y: Any = keras.ops.sum(keras.ops.where(there[..., None], found, keras.ops.zeros_like(found)), axis=1)
        try:
            known, all_right = np.asarray(codes), np.asarray(right)
        except (NotImplementedError, TypeError, RuntimeError):
            mark: Any = keras.ops.where(keras.ops.all(right, axis=-1, keepdims=True), 0.0, float("nan"))
            return y + keras.ops.cast(mark, y.dtype)
        if not all_right.all():
            wanted = f"`{self.source}` must hold integers from -1 to {self.classes - 1}"
            raise ValueError(f"{wanted}, but holds {known[~all_right][0]}.")
        return y

    def compute_output_spec(self, inputs):
        """What `call` gives, as a Keras tensor."""
        codes = inputs[0] if self.given else inputs
        return keras.KerasTensor((codes.shape[0], self.shape[0]), dtype=self.compute_dtype)

    def get_config(self):
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "shape": self.shape,
            "classes": self.classes,
            "source": self.source,
            "given": self.given,
            "regularizer": keras.regularizers.serialize(self.regularizer),
        }
