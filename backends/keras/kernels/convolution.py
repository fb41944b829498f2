"""Shared weights of windows on a grid: Keras' own convolution, where every backend has it."""

from typing import Any

import keras
import numpy as np

from ...common.kernels.windows import units_read
from .on_windows import OnWindows, padded


class ConvolutionProjection(OnWindows):
    """Sums along given edges that are a convolution, with weights that are made elsewhere.

    `keras.ops.conv` computes it, channels last, as TensorFlow has to on CPUs. What not all backends compute,
    with gradients, is a sum over the offsets of the window instead: groups of channels, strides together with
    dilation, and dilation along three dimensions.

    Input: [(batch, source units), (entries of the weight,)]. Output: (batch, target units).
    """

    reads_weights = True

    def call(self, x):
        """[(batch, source units), (entries,)] -> (batch, target units)."""
        x, weight = x
        windows, sums = self.windows, self.sum_dtype()
        strides: Any = windows.stride
        rate: Any = windows.dilation
        grid = padded(self._on_grid(keras.ops.cast(x, sums)), windows)
        kernel = self._kernel(keras.ops.cast(weight * 1.0, sums))
        strided = max(windows.stride) > 1 or len(windows.grid) > 2
        if windows.groups > 1 or (strided and max(windows.dilation) > 1):
            y = by_offset(grid, kernel, windows)
        else:
            y = keras.ops.conv(
                grid,
                keras.ops.transpose(kernel, (*range(2, len(windows.kernel)), 1, 0)),
                strides=strides,
                padding="valid",
                data_format="channels_last",
                dilation_rate=rate,
            )
        return self._on_units(y)

    def _kernel(self, weight):
        """(entries,) -> (targets, sources of a group, *extents)."""
        windows = self.windows
        order = windows.order or tuple(range(len(windows.kernel)))
        kernel = keras.ops.reshape(weight, [windows.kernel[at] for at in order])
        kernel = keras.ops.transpose(kernel, [order.index(at) for at in range(len(order))])
        return keras.ops.flip(kernel, windows.flipped) if windows.flipped else kernel


def by_offset(grid, kernel, windows):
    """A convolution as a product of matrices by offset: (batch, *padded, channels) -> (..., targets)."""
    groups, total = windows.groups, None
    matrices: Any = keras.ops.reshape(kernel, (groups, windows.kernel[0] // groups, *windows.kernel[1:]))
    for offset in np.ndindex(windows.kernel[2:]):
        read = grid[(slice(None), *units_read(windows, offset))]
        read = keras.ops.reshape(read, (-1, *windows.places, groups, windows.kernel[1]))
        made = keras.ops.einsum("...gc,gkc->...gk", read, matrices[(slice(None),) * 3 + offset])
        total = made if total is None else total + made
    return keras.ops.reshape(total, (-1, *windows.places, windows.kernel[0]))
