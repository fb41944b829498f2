"""Both forms of gelu (Hendrycks and Gimpel 2016), exact in every precision.

The built-in ones round a constant to single precision on TensorFlow, which double precision would notice.
"""

from __future__ import annotations

import math
from typing import Any

import keras

from .same_shape import SameShape


class Gelu(SameShape):
    """x Phi(x) = x / 2 (1 + erf(x / sqrt(2)))."""

    def call(self, x):
        """Any shape -> the same shape."""
        error_function: Any = keras.ops.erf(x / math.sqrt(2))
        return x / 2 * (1 + error_function)


class GeluTanh(SameShape):
    """x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))."""

    def call(self, x):
        """Any shape -> the same shape."""
        share: Any = keras.ops.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))
        return x / 2 * (1 + share)
