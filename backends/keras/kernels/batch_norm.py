"""Batch normalisation with the conventions of PyTorch."""

from typing import Any

import keras

from .same_shape import SameShape


class BatchNorm(SameShape):
    """y[b, u] = (x[b, u] - mean[u]) / sqrt(variance[u] + eps) * weight[u] + bias[u].

    In training, `mean` and `variance` are those of the batch, the variance with the divisor n, and the
    running statistics move by `momentum` towards them, the running variance towards the variance with the
    divisor n - 1. Otherwise the running statistics are used. These are the conventions of
    `torch.nn.BatchNorm1d`; `keras.layers.BatchNormalization` differs in all of them. A layer that is not
    trainable uses its running statistics in training too, as that of Keras does. Statistics are taken in
    float32 where the layer computes in half precision.

    A batch of one has no unbiased variance. Where the size of the batch is known when the layer is called in
    training, a batch of one is an error, as it is in PyTorch; where it is not known (`fit` traces a batch of
    any size), the running variance stays as it was and the output is `bias`.

    Args:
        size: number of units.
        eps: added to the variance.
        momentum: the part of the new statistic in the running one, 0 to 1.
        **kwargs: of `keras.layers.Layer`.

    Variables of shape (units,): `weight` (ones), `bias` (zeros), `running_mean` (zeros),
    `running_var` (ones).
    Input and output: (batch, units).

    Raises:
        ValueError: if called in training with a batch known to be of one.
    """

    def __init__(self, size, eps=1e-5, momentum=0.1, **kwargs):
        super().__init__(**kwargs)
        self.size = int(size)
        self.eps = float(eps)
        self.momentum = float(momentum)
        self.input_spec = keras.layers.InputSpec(ndim=2, axes={-1: self.size})
        self.build((None, self.size))

    def build(self, input_shape):
        """Makes the two parameters and the two running statistics."""

        def variable(name, initializer, trainable):
            return self.add_weight(
                name=name, shape=(self.size,), initializer=initializer, trainable=trainable, autocast=False
            )

        self.weight = variable("weight", "ones", True)
        self.bias = variable("bias", "zeros", True)
        self.running_mean = variable("running_mean", "zeros", False)
        self.running_var = variable("running_var", "ones", False)

    def call(self, x: Any, training=False):
        """Maps (batch, units) to the same shape; `training` says which statistics to use."""
        dtype = self.compute_dtype
        x = keras.ops.cast(x, "float32" if dtype in ("float16", "bfloat16") else dtype)
        if training and self.trainable:
            if x.shape[0] == 1:
                raise ValueError(
                    f"Layer `{self.name}` cannot be trained on a batch of one: it has no variance."
                )
            mean: Any = keras.ops.mean(x, axis=0)
            centred = x - mean
            variance: Any = keras.ops.mean(keras.ops.square(centred), axis=0)
            shape: Any = keras.ops.shape(x)
            self._move_statistics(mean, variance, keras.ops.cast(shape[0], x.dtype))
        else:
            centred = x - keras.ops.cast(self.running_mean, x.dtype)
            variance = keras.ops.cast(self.running_var, x.dtype)
        weight: Any = keras.ops.cast(self.weight, x.dtype)
        bias: Any = keras.ops.cast(self.bias, x.dtype)
        factor = weight * keras.ops.rsqrt(variance + self.eps)
        return keras.ops.cast(centred * factor + bias, dtype)

    def _move_statistics(self, mean, variance, n):
        """Moves the running statistics towards those of a batch of `n`."""
        unbiased = variance * (n / keras.ops.maximum(n - 1, 1))
        for running, new in ((self.running_mean, mean), (self.running_var, unbiased)):
            new = keras.ops.cast(keras.ops.stop_gradient(new), running.dtype)
            old = running.value
            if running is self.running_var:
                new = keras.ops.where(n > 1, new, old)
            running.assign(old + self.momentum * (new - old))

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "size": self.size, "eps": self.eps, "momentum": self.momentum}
