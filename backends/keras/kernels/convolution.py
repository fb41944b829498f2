"""Shared weights of windows on a grid: Keras' own convolution, where every backend has it."""

from typing import Any

import keras
import numpy as np

from ...common.kernels.edge_digest import edge_digest
from ...common.kernels.windows import Windows, units_read
from .along_edges import AlongEdges, check_edges


class ConvolutionProjection(AlongEdges):
    """Sums along given edges that are a convolution, with weights that are made elsewhere.

    `keras.ops.conv` computes it, channels last, as TensorFlow has to on CPUs. What not all backends compute,
    with gradients, is a sum over the offsets of the window instead: groups of channels, strides together with
    dilation, and dilation along three dimensions. Sums are taken in float32 where the layer computes in half
    precision. Digests of the edges are saved, and others refused.

    Args:
        windows: the fields of the `Windows` that the edges are.
        source: integer array of shape (edges,): the source unit of each edge.
        target: integer array of shape (edges,): the target unit of each edge, sorted by target, then source.
        digest: the SHA-256 of the edges, from a configuration, in place of `source` and `target`.
        **kwargs: of `keras.layers.Layer`.

    Input: [(batch, source units), (entries of the weight,)]. Output: (batch, target units).
    """

    def __init__(self, windows, source: Any = None, target: Any = None, *, digest="", **kwargs):
        self.windows = Windows(*nested(windows))
        for fixed in ("shape", "weighted", "given", "regularizer"):
            kwargs.pop(fixed, None)
        super().__init__(self.windows.shape, False, None, given=True, **kwargs)
        if digest:
            self._digest = np.frombuffer(bytes.fromhex(digest), "<i8").astype(np.int64)
        else:
            source, target = np.asarray(source, np.int64), np.asarray(target, np.int64)
            check_edges(source, target, self.shape)
            self._digest = edge_digest(source, target, self.shape)
        self.add_edges(0 if source is None else len(source))

    def get_config(self):
        """The arguments of the constructor, with the edges given by their digest."""
        digest = self._digest.astype("<i8").tobytes().hex()
        return {**super().get_config(), "windows": list(self.windows), "digest": digest}

    def call(self, x):
        """[(batch, source units), (entries,)] -> (batch, target units)."""
        x, weight = x
        windows, dtype = self.windows, self.compute_dtype
        strides: Any = windows.stride
        rate: Any = windows.dilation
        sums = "float32" if dtype in ("float16", "bfloat16") else dtype
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
        if not windows.channels_last[1]:
            y = keras.ops.moveaxis(y, -1, 1)
        return keras.ops.cast(keras.ops.reshape(y, (-1, self.shape[0])), dtype)

    def _kernel(self, weight):
        """(entries,) -> (targets, sources of a group, *extents)."""
        windows = self.windows
        order = windows.order or tuple(range(len(windows.kernel)))
        kernel = keras.ops.reshape(weight, [windows.kernel[at] for at in order])
        kernel = keras.ops.transpose(kernel, [order.index(at) for at in range(len(order))])
        return keras.ops.flip(kernel, windows.flipped) if windows.flipped else kernel

    def _on_grid(self, x):
        """(batch, source units) -> (batch * copies, *grid, channels)."""
        windows = self.windows
        if windows.channels_last[0]:
            return keras.ops.reshape(x, (-1, *windows.grid, windows.sources))
        return keras.ops.moveaxis(keras.ops.reshape(x, (-1, windows.sources, *windows.grid)), 1, -1)


def nested(value):
    """Lists, as a configuration has them, as tuples."""
    return tuple(map(nested, value)) if isinstance(value, list | tuple) else value


def padded(grid: Any, windows) -> Any:
    """The units of a grid with those beyond its ends: zeros, or around a ring those of the other end."""
    zeros = [(0, 0)]
    for at, (before, after) in enumerate(windows.pad):
        units, dimension = windows.grid[at], at + 1
        if windows.is_wrapped(at):
            pieces = [part(grid, dimension, units - before, units)] if before > 0 else []
            pieces += [grid, *([part(grid, dimension, 0, after)] if after > 0 else [])]
            grid = keras.ops.concatenate(pieces, axis=dimension) if len(pieces) > 1 else grid
        zeros.append((0, 0) if windows.is_wrapped(at) else (max(before, 0), max(after, 0)))
        if before < 0 or after < 0:
            grid = part(grid, dimension, max(-before, 0), grid.shape[dimension] + min(after, 0))
    zeros.append((0, 0))
    return keras.ops.pad(grid, zeros) if any(map(any, zeros)) else grid


def part(grid, dimension, start, stop):
    """The units from `start` to `stop` - 1 along a dimension."""
    return grid[(slice(None),) * dimension + (slice(start, stop),)]


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
