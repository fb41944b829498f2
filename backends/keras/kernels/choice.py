"""Functions that choose, with the derivatives that every target has where there is a choice of those too."""

import keras


def smaller(a, b):
    """The smaller of both; where they are equal it is `b`, whose derivative counts. nan where one is."""
    return keras.ops.where(keras.ops.logical_or(a >= b, b != b), b, a)


def larger(a, b):
    """The larger of both; where they are equal it is `b`, whose derivative counts. nan where one is."""
    return keras.ops.where(keras.ops.logical_or(a <= b, b != b), b, a)


def sloped(x, value, slope):
    """`value(x)`, whose derivative is declared to be `slope(x)`.

    A line through the point where `x` is, at which the slope is that half the way along it: so the derivative
    of the slope is the second one.
    """
    at = keras.ops.stop_gradient(x)
    step = keras.ops.where(keras.ops.isfinite(at), x - at, keras.ops.zeros_like(x))
    return value(at) + slope(at + step / 2) * step
