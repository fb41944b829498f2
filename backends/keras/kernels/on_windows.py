"""Windows that slide over units on a grid: how units lie there, and what is beyond its ends."""

from typing import Any

import keras
import numpy as np

from ...common.kernels.edge_digest import edge_digest
from ...common.kernels.windows import Windows
from .along_edges import AlongEdges, check_edges


class OnWindows(AlongEdges):
    """A layer along edges that are windows, which Keras' own functions compute. It holds no weights.

    Digests of the edges are saved, and others refused.

    Args:
        windows: the fields of the `Windows` that the edges are.
        source: integer array of shape (edges,): the source unit of each edge.
        target: integer array of shape (edges,): the target unit of each edge, sorted by target, then source.
        digest: the SHA-256 of the edges, from a configuration, in place of `source` and `target`.
        **kwargs: of `keras.layers.Layer`.
    """

    # Whether weights come with what is read.
    reads_weights = False

    def __init__(self, windows, source: Any = None, target: Any = None, *, digest="", **kwargs):
        self.windows = Windows(*nested(windows))
        for fixed in ("shape", "weighted", "given", "regularizer"):
            kwargs.pop(fixed, None)
        super().__init__(self.windows.shape, False, None, given=self.reads_weights, **kwargs)
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

    def sum_dtype(self):
        """In which dtype sums are taken: float32 where the layer computes in half precision."""
        return "float32" if self.compute_dtype in ("float16", "bfloat16") else self.compute_dtype

    def _on_grid(self, x):
        """(batch, source units) -> (batch * copies, *grid, channels)."""
        windows = self.windows
        if windows.channels_last[0]:
            return keras.ops.reshape(x, (-1, *windows.grid, windows.sources))
        return keras.ops.moveaxis(keras.ops.reshape(x, (-1, windows.sources, *windows.grid)), 1, -1)

    def _on_units(self, y):
        """(batch * copies, *places, channels) -> (batch, target units)."""
        if not self.windows.channels_last[1]:
            y = keras.ops.moveaxis(y, -1, 1)
        return keras.ops.cast(keras.ops.reshape(y, (-1, self.shape[0])), self.compute_dtype)


def nested(value):
    """Lists, as a configuration has them, as tuples."""
    return tuple(map(nested, value)) if isinstance(value, list | tuple) else value


def padded(grid: Any, windows, beyond=0.0) -> Any:
    """The units of a grid with those `beyond` its ends, or around a ring those of the other end."""
    added = [(0, 0)]
    for at, (before, after) in enumerate(windows.pad):
        units, dimension = windows.grid[at], at + 1
        if windows.is_wrapped(at):
            pieces = [part(grid, dimension, units - before, units)] if before > 0 else []
            pieces += [grid, *([part(grid, dimension, 0, after)] if after > 0 else [])]
            grid = keras.ops.concatenate(pieces, axis=dimension) if len(pieces) > 1 else grid
        added.append((0, 0) if windows.is_wrapped(at) else (max(before, 0), max(after, 0)))
        if before < 0 or after < 0:
            grid = part(grid, dimension, max(-before, 0), grid.shape[dimension] + min(after, 0))
    added.append((0, 0))
    return keras.ops.pad(grid, added, constant_values=beyond) if any(map(any, added)) else grid


def part(grid, dimension, start, stop):
    """The units from `start` to `stop` - 1 along a dimension."""
    return grid[(slice(None),) * dimension + (slice(start, stop),)]
