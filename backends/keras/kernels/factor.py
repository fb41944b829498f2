"""Multiplication by a constant and the leaky rectifier, exact in every precision.

The built-in ones round their constant to single precision on TensorFlow, which double precision would notice.
"""

from __future__ import annotations

import keras


class Scale(keras.layers.Layer):
    """factor * x."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = float(factor)

    def call(self, x):
        """Any shape -> the same shape."""
        return self.factor * x

    def compute_output_shape(self, input_shape):
        """The same shape."""
        return input_shape

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "factor": self.factor}


class LeakyRectifier(keras.layers.Layer):
    """x where x > 0, slope * x elsewhere."""

    def __init__(self, slope, **kwargs):
        super().__init__(**kwargs)
        self.slope = float(slope)

    def call(self, x):
        """Any shape -> the same shape."""
        return keras.ops.where(x > 0, x, self.slope * x)

    def compute_output_shape(self, input_shape):
        """The same shape."""
        return input_shape

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "slope": self.slope}
