"""Multiplication by a constant and the leaky rectifier, exact in every precision.

The built-in ones round their constant to single precision on TensorFlow, which double precision would notice.
"""

from __future__ import annotations

import keras

from .same_shape import SameShape


class Scale(SameShape):
    """factor * x."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = float(factor)

    def call(self, x):
        """Any shape -> the same shape."""
        return self.factor * x

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "factor": self.factor}


class LeakyRectifier(SameShape):
    """x where x > 0, slope * x elsewhere."""

    def __init__(self, slope, **kwargs):
        super().__init__(**kwargs)
        self.slope = float(slope)

    def call(self, x):
        """Any shape -> the same shape."""
        return keras.ops.where(x > 0, x, self.slope * x)

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "slope": self.slope}
