"""A plain sum of all sources, for every target: `all` without weights."""

from __future__ import annotations

import keras


class DenseSum(keras.layers.Layer):
    """(batch, sources) -> (batch, targets): every target is the sum of all sources."""

    def __init__(self, targets, **kwargs):
        super().__init__(**kwargs)
        self.targets = int(targets)

    def call(self, x):
        """(batch, sources) -> (batch, targets)."""
        return keras.ops.repeat(keras.ops.sum(x, axis=1, keepdims=True), self.targets, axis=1)

    def compute_output_shape(self, input_shape):
        """(batch, targets)."""
        return (input_shape[0], self.targets)

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "targets": self.targets}
