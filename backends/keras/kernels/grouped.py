"""Parts of a layer that take units together by their place in its shape, and others that hold parameters.

Each takes (batch, units) and gives the same. The units of a sample are seen in `shape`; `over` are the
dimensions, the batch being 0, along which units are taken together.
"""

from __future__ import annotations

import math
from typing import Any

import keras

from .batch_norm import BatchNorm
from .same_shape import SameShape


class OfShape(keras.layers.Layer):
    """A layer that sees the units of a sample in a `shape`, and takes together what differs along `over`."""

    shape: tuple[int, ...]
    over: tuple[int, ...]

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "shape": self.shape, "over": self.over}


class GroupedBatchNorm(OfShape, BatchNorm):
    """A batch norm of `size` statistics: what is pooled over units counts as more samples.

    Args:
        size: number of groups of units that are pooled.
        shape: of the units of a sample.
        over: the dimensions along which units are pooled.
        **kwargs: of `BatchNorm`.
    """

    def __init__(self, size, shape, over, **kwargs):
        super().__init__(size, **kwargs)
        self.shape, self.over = tuple(shape), tuple(over)
        self.input_spec = keras.layers.InputSpec(ndim=2, axes={-1: math.prod(self.shape)})

    def call(self, x: Any, training=False):
        """Maps (batch, units) to the same shape; `training` says which statistics to use."""
        order = [0, *self.over, *(at for at in range(1, 1 + len(self.shape)) if at not in self.over)]
        sizes = [self.shape[at - 1] for at in order[1:]]
        grid: Any = keras.ops.transpose(keras.ops.reshape(x, (-1, *self.shape)), order)
        y: Any = super().call(keras.ops.reshape(grid, (-1, self.size)), training)
        back = sorted(range(len(order)), key=order.__getitem__)
        grid = keras.ops.transpose(keras.ops.reshape(y, (-1, *sizes)), back)
        return keras.ops.reshape(grid, (-1, math.prod(self.shape)))


class GroupedNorm(SameShape):
    """y = (x - mean) / sqrt(variance + eps) * weight + bias, of the units that differ along `over` alone.

    With `centred` off, x / sqrt(mean of x^2 + eps) * weight: a root mean square norm (Zhang and Sennrich
    2019). What is normalised is computed in float32 where the layer computes in half precision.

    Args:
        shape: of the units of a sample.
        over: the dimensions along which units are pooled.
        eps: added to the variance, or to the mean square.
        centred: whether the mean is taken off, and there is a bias.
        **kwargs: of `keras.layers.Layer`.

    Variables of shape (units,): `weight` (ones), `bias` (zeros). Input and output: (batch, units).
    """

    def __init__(self, shape, over, eps=1e-5, centred=True, **kwargs):
        super().__init__(**kwargs)
        self.shape, self.over = tuple(shape), tuple(over)
        self.eps, self.centred = float(eps), bool(centred)
        self.input_spec = keras.layers.InputSpec(ndim=2, axes={-1: math.prod(self.shape)})
        self.build((None, math.prod(self.shape)))

    def build(self, input_shape):
        """Makes the parameters."""
        size = (math.prod(self.shape),)
        self.weight = self.add_weight(name="weight", shape=size, initializer="ones", autocast=False)
        if self.centred:
            self.bias = self.add_weight(name="bias", shape=size, initializer="zeros", autocast=False)

    def call(self, x: Any):
        """Maps (batch, units) to the same shape."""
        dtype = self.compute_dtype
        x = keras.ops.cast(x, "float32" if dtype in ("float16", "bfloat16") else dtype)
        grid: Any = keras.ops.reshape(x, (-1, *self.shape))
        if self.centred:
            grid = grid - keras.ops.mean(grid, axis=self.over, keepdims=True)
        square: Any = keras.ops.mean(keras.ops.square(grid), axis=self.over, keepdims=True)
        hat: Any = keras.ops.reshape(grid * keras.ops.rsqrt(square + self.eps), (-1, math.prod(self.shape)))
        y = hat * keras.ops.cast(self.weight, x.dtype)
        if self.centred:
            y = y + keras.ops.cast(self.bias, x.dtype)
        return keras.ops.cast(y, dtype)

    def get_config(self):
        """The arguments of the constructor."""
        own = {"shape": self.shape, "over": self.over, "eps": self.eps, "centred": self.centred}
        return {**super().get_config(), **own}


class GroupedDropout(OfShape, keras.layers.Dropout):
    """Zeroes together the units of a sample that differ along `over` alone.

    Args:
        rate: the probability of being zeroed.
        shape: of the units of a sample.
        over: the dimensions along which units are zeroed together.
        **kwargs: of `keras.layers.Dropout`.
    """

    def __init__(self, rate, shape, over, **kwargs):
        super().__init__(rate, **kwargs)
        self.shape, self.over = tuple(shape), tuple(over)

    def call(self, inputs: Any, training=False):
        """Maps (batch, units) to the same shape."""
        if not training or self.rate == 0:
            return inputs
        entries = [1 if at in self.over else size for at, size in enumerate(self.shape, 1)]
        grid: Any = keras.ops.reshape(inputs, (-1, *self.shape))
        given: Any = keras.ops.shape(inputs)
        ones: Any = keras.ops.ones((given[0], *entries), inputs.dtype)
        mask: Any = keras.random.dropout(ones, self.rate, seed=self.seed_generator)
        return keras.ops.reshape(grid * mask, (-1, math.prod(self.shape)))


class Prelu(OfShape, SameShape):
    """x where x > 0, else a slope times x, which units have in common that differ along `over` alone.

    `keras.layers.PReLU` has a derivative of 0 at 0; this one has the slope there, as below 0.

    Args:
        shape: of the units of a sample.
        over: the dimensions along which units share a slope; none if each has its own.
        **kwargs: of `keras.layers.Layer`.

    Variables: `weight`, the slopes, of shape (groups of units,). Input and output: (batch, units).
    """

    def __init__(self, shape, over=(), **kwargs):
        super().__init__(**kwargs)
        self.shape, self.over = tuple(shape), tuple(over)
        self.entries = tuple(1 if at in self.over else size for at, size in enumerate(self.shape, 1))
        self.input_spec = keras.layers.InputSpec(ndim=2, axes={-1: math.prod(self.shape)})
        self.build((None, math.prod(self.shape)))

    def build(self, input_shape):
        """Makes the slopes."""
        self.weight = self.add_weight(name="weight", shape=(math.prod(self.entries),), initializer="zeros")

    def call(self, x: Any):
        """Maps (batch, units) to the same shape."""
        grid: Any = keras.ops.reshape(x, (-1, *self.shape))
        slope: Any = keras.ops.reshape(self.weight, self.entries)
        return keras.ops.reshape(keras.ops.where(grid > 0, grid, slope * grid), (-1, math.prod(self.shape)))


class LogSoftmax(SameShape):
    """x - log(sum(exp(x))) along an axis, or several.

    Args:
        axis: a number, or several; the batch is 0.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, axis, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis if isinstance(axis, int) else tuple(axis)

    def call(self, x: Any):
        """Any shape -> the same shape."""
        return x - keras.ops.logsumexp(x, axis=self.axis, keepdims=True)

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "axis": self.axis}
