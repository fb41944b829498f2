"""Windows of units that are pooled by channel: Keras' own pooling."""

from typing import Any

import keras
import numpy as np

from ...common.kernels.windows import units_read
from .on_windows import OnWindows, padded


class WindowPool(OnWindows):
    """Pools the units of each channel that a window reads, of edges that are such windows.

    A layer that derives from it has `pools(grid)`. Half precision is pooled in float32.

    Input: (batch, source units). Output: (batch, target units).
    """

    def call(self, x):
        """(batch, source units) -> (batch, target units)."""
        return self._on_units(self.pools(self._on_grid(keras.ops.cast(x, self.sum_dtype()))))


class WindowMax(WindowPool):
    """The largest of what each window reads; of equals, the first has the gradient.

    In TensorFlow's pooling along three dimensions all equals have it, so the last of them is pooled before.
    """

    def pools(self, grid):
        """(batch, *grid, channels) -> (batch, *places, channels)."""
        windows = self.windows
        extents, stride = windows.kernel[2:], windows.stride
        whole: Any = padded(grid, windows, -np.inf)
        if len(extents) < 3:
            return keras.ops.max_pool(whole, extents, stride, "valid", "channels_last")
        *sizes, units, channels = whole.shape[1:]
        lines = keras.ops.reshape(whole, (-1, units, channels))
        lines = keras.ops.max_pool(lines, extents[2], stride[2], "valid", "channels_last")
        planes = keras.ops.reshape(lines, (-1, *sizes, windows.places[2] * channels))
        planes = keras.ops.max_pool(planes, extents[:2], stride[:2], "valid", "channels_last")
        return keras.ops.reshape(planes, (-1, *windows.places, channels))


class WindowMin(WindowMax):
    """The smallest of what each window reads; of equals, the first has the gradient."""

    def pools(self, grid):
        """(batch, *grid, channels) -> (batch, *places, channels)."""
        largest: Any = super().pools(-grid)
        return -largest


class WindowMean(WindowPool):
    """The mean of what each window reads: where some of it lies beyond an end, a sum over its offsets."""

    def pools(self, grid):
        """(batch, *grid, channels) -> (batch, *places, channels)."""
        windows, counts, total = self.windows, self.windows.counts(), 0.0
        extents, grid = windows.kernel[2:], padded(grid, windows)
        if counts.min() == np.prod(extents):
            return keras.ops.average_pool(grid, extents, windows.stride, "valid", "channels_last")
        for offset in np.ndindex(extents):
            total = total + grid[(slice(None), *units_read(windows, offset))]
        count: Any = keras.ops.convert_to_tensor(counts[..., None], grid.dtype)
        return total / count
