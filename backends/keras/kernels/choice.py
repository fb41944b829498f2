"""Functions that choose, with the derivatives that every target has where there is a choice of those too."""

from typing import Any

import keras

from .same_shape import SameShape


def smaller(a, b) -> Any:
    """The smaller of both; where they are equal it is `b`, whose derivative counts. nan where one is."""
    return keras.ops.where(keras.ops.logical_or(a >= b, b != b), b, a)


def larger(a, b) -> Any:
    """The larger of both; where they are equal it is `b`, whose derivative counts. nan where one is."""
    return keras.ops.where(keras.ops.logical_or(a <= b, b != b), b, a)


def squared(a) -> Any:
    """The square of each number: TensorFlow's power rounds whole numbers."""
    return keras.ops.square(a)


def sloped(x, value, slope):
    """`value(x)`, whose derivative is declared to be `slope(x)`.

    A line through the point where `x` is, at which the slope is that half the way along it: so the derivative
    of the slope is the second one.
    """
    at: Any = keras.ops.stop_gradient(x)
    step: Any = keras.ops.where(keras.ops.isfinite(at), x - at, keras.ops.zeros_like(x))
    return value(at) + slope(at + step / 2) * step


class Elementwise(SameShape):
    """Applies a function to each unit, with numbers for its other arguments."""

    def __init__(self, function, numbers=None, **kwargs):
        super().__init__(**kwargs)
        self.function = function
        self.numbers = dict(numbers or {})

    def call(self, x):
        """Any shape -> the same shape."""
        return self.function(x, **self.numbers)

    def get_config(self):
        """The arguments of the constructor."""
        function = keras.saving.serialize_keras_object(self.function)
        return {**super().get_config(), "function": function, "numbers": self.numbers}

    @classmethod
    def from_config(cls, config):
        """The layer of what `get_config` gave; the function is found by its registered name."""
        function = keras.saving.deserialize_keras_object(config["function"])
        return cls(**{**config, "function": function})


class Combined(keras.layers.Layer):
    """Applies a function to several values, unit by unit; one of one unit goes to all units of the others."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def call(self, inputs):
        """A list of (batch, units) and (batch, 1) -> (batch, units)."""
        return self.function(*inputs)

    def compute_output_shape(self, input_shape):
        """The shape of the inputs that have the most units."""
        return max(input_shape, key=lambda shape: shape[-1])

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "function": keras.saving.serialize_keras_object(self.function)}

    @classmethod
    def from_config(cls, config):
        """The layer of what `get_config` gave; the function is found by its registered name."""
        function = keras.saving.deserialize_keras_object(config["function"])
        return cls(**{**config, "function": function})
