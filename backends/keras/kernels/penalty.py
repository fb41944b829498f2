"""The penalty of a weight, its coefficients exact in every precision.

The built-in regularizers hold theirs in single precision, which double precision would notice.
"""

from __future__ import annotations

from typing import Any

import keras


class Penalty(keras.regularizers.Regularizer):
    """l1 * sum(abs(w)) + l2 * sum(w^2)."""

    def __init__(self, l1=0.0, l2=0.0):
        self.l1 = float(l1)
        self.l2 = float(l2)

    def __call__(self, w) -> Any:
        """Any shape -> a scalar."""
        penalty = 0.0
        if self.l1:
            size: Any = keras.ops.sum(keras.ops.abs(w))
            penalty = self.l1 * size
        if self.l2:
            squares: Any = keras.ops.sum(keras.ops.square(w))
            penalty = penalty + self.l2 * squares
        return penalty

    def get_config(self):
        """The arguments of the constructor."""
        return {"l1": self.l1, "l2": self.l2}
