"""A one-to-one connection: each unit times its own weight."""

import keras

from .same_shape import SameShape


class Diagonal(SameShape):
    """y[b, u] = weight[u] * x[b, u].

    Args:
        size: number of units.
        regularizer: a Keras regularizer of the weight, or None.
        **kwargs: of `keras.layers.Layer`; `trainable=False` freezes the weight.

    Variables: `weight`, of shape (units,), zero until values are loaded. Input and output: (batch, units).
    """

    def __init__(self, size, *, regularizer=None, **kwargs):
        super().__init__(**kwargs)
        self.size = int(size)
        self.regularizer = keras.regularizers.get(regularizer)
        self.input_spec = keras.layers.InputSpec(ndim=2, axes={-1: self.size})
        self.build((None, self.size))

    def build(self, input_shape):
        """Makes the weight."""
        self.weight = self.add_weight(
            name="weight", shape=(self.size,), initializer="zeros", regularizer=self.regularizer
        )

    def call(self, x):
        """Maps (batch, units) to the same shape."""
        return x * self.weight

    def get_config(self):
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "size": self.size,
            "regularizer": keras.regularizers.serialize(self.regularizer),
        }
