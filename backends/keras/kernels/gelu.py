"""Both forms of gelu (Hendrycks and Gimpel 2016), exact in every precision.

The built-in ones round a constant to single precision on TensorFlow, which double precision would notice.
"""

from __future__ import annotations

import math

import keras


class Gelu(keras.layers.Layer):
    """x Phi(x) = x / 2 (1 + erf(x / sqrt(2)))."""

    def call(self, x):
        """Any shape -> the same shape."""
        return x / 2 * (1 + keras.ops.erf(x / math.sqrt(2)))

    def compute_output_shape(self, input_shape):
        """The same shape."""
        return input_shape


class GeluTanh(keras.layers.Layer):
    """x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))."""

    def call(self, x):
        """Any shape -> the same shape."""
        return x / 2 * (1 + keras.ops.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))

    def compute_output_shape(self, input_shape):
        """The same shape."""
        return input_shape
