"""A connection along a band or a ring: each target reads the sources at given offsets from its own place.

Everything is a sum of slices, so there is no table of edges but for some targets at the ends. The batch stays
first: a slice along the units is as contiguous as the array, and nothing has to be transposed.
"""

from typing import Any

import keras
import numpy as np

from ...common.kernels.rules import shifted_edges
from .along_edges import AlongEdges
from .edges import IndexArrays, joined


class BandOrder:
    """How a weight of shape (edges,), sorted by target, then source, is arranged by offsets.

    Between the ends, where no source is left out or counted from the other end, the weights of a target are
    in the order of the offsets: they are a matrix as they stand. Tables hold the others.

    Args:
        band: (number of target units, number of source units, ascending offsets, stride, wrap).
        indices: the `IndexArrays` to which the tables are added.

    Attributes:
        count: number of edges.
        parts: a list of (start, stop, size, table, inverse): the targets `start` to `stop - 1` have `size`
            edges. `table`, of shape (targets * offsets,), tells which of these belongs to a target and an
            offset, `size` where there is none; `inverse`, of shape (size,), where each is in that table.
            Both are given by their place in `indices`, and None where the weights are a matrix as they stand.
    """

    def __init__(self, band, indices):
        n_target, n_source, offsets, stride, wrap = band
        self.n_offsets, self.indices = len(offsets), indices
        # The longest run of targets all of whose sources are on the same lap of the ring; of three laps, one
        # is whole if any is.
        lap = offsets[0] // n_source if wrap else 0
        even = (0, 0)
        for low in (lap * n_source, (lap + 1) * n_source, (lap + 2) * n_source)[: 3 if wrap else 1]:
            start = max(0, -((offsets[0] - low) // stride))
            stop = min(n_target, -((offsets[-1] - low - n_source) // stride))
            even = max(even, (start, stop), key=lambda run: run[1] - run[0])
        start, stop = even
        size = (stop - start) * self.n_offsets
        self.parts = [
            self._part(band, 0, start),
            (start, stop, size, None, None),
            self._part(band, stop, n_target),
        ]
        self.parts = [part for part in self.parts if part[0] < part[1]]
        self.count = sum(size for _, _, size, _, _ in self.parts)

    def _part(self, band, start, stop):
        """The part of some targets, with tables."""
        _, n_source, offsets, stride, wrap = band
        source = stride * np.arange(start, stop)[:, None] + np.array(offsets)
        inside = np.full(source.shape, True) if wrap else (source >= 0) & (source < n_source)
        # By target, then by source, and what is not there last.
        key = np.arange(stop - start)[:, None] * n_source + source % n_source
        inverse = np.argsort(np.where(inside, key, np.iinfo(np.int64).max), axis=None, kind="stable")
        size = int(inside.sum())
        inverse = inverse[:size]
        table = np.full(inside.size, size)
        table[inverse] = np.arange(size)
        return start, stop, size, self.indices.add(table), self.indices.add(inverse)

    def matrix(self, weight):
        """The weight as an array of shape (offsets, targets) that is zero where there is no edge."""
        rows, used = [], 0
        for start, stop, size, table, _ in self.parts:
            row = weight[used : used + size]
            used += size
            if table is not None:
                row = keras.ops.take(keras.ops.pad(row, (0, 1)), self.indices.read(table), axis=0)
            rows.append(keras.ops.reshape(row, (stop - start, self.n_offsets)))
        return keras.ops.transpose(joined(rows))

    def flat(self, matrix):
        """The entries of an array of shape (offsets, targets) that are edges, of shape (edges,)."""
        rows = []
        for start, stop, _, _, inverse in self.parts:
            row = keras.ops.reshape(keras.ops.transpose(matrix[:, start:stop]), (-1,))
            rows.append(row if inverse is None else keras.ops.take(row, self.indices.read(inverse), axis=0))
        return joined(rows)


def extended(values, before, behind, wrap):
    """An array (rows, units) with more units at both ends: zeros, or with `wrap` those of the other end."""
    if not before and not behind:
        return values
    if not wrap:
        return keras.ops.pad(values, ((0, 0), (before, behind)))
    units, at, parts = values.shape[1], -before, []
    while at < units + behind:
        stop = min(at - at % units + units, units + behind)
        parts.append(values[:, at % units : at % units + stop - at])
        at = stop
    return keras.ops.concatenate(parts, axis=1)


class BandProjection(AlongEdges):
    """y[b, t] = sum over the offsets o of weight[e] * x[b, stride * t + o], where e is the edge of t and o.

    Sources beyond an end are left out, or with `wrap` counted from the other end. Sums are taken in float32
    where the layer computes in half precision; the weight is not rounded to half precision first. The
    arguments say the edges, so these are not saved; their digest is, and weights for others are refused.

    Args:
        shape: (number of target units, number of source units).
        offsets: integers, all different; with `wrap`, different modulo the number of sources.
        stride: how far the source moves from one target to the next, at least 1.
        wrap: whether sources are counted on a ring.
        weighted: whether each edge has a weight; otherwise the layer is a plain sum without variables.
        regularizer: a Keras regularizer of the weight, or None.
        **kwargs: of `keras.layers.Layer`; `trainable=False` freezes the weight.

    Variables: `weight`, of shape (edges,), sorted by target, then source; zero until values are loaded.
    Input: (batch, source units). Output: (batch, target units).

    Raises:
        ValueError: if there are no units or no edges, if offsets are equal or `stride` is less than 1; if
            weights are loaded that were saved with other edges.
    """

    def __init__(self, shape, offsets, stride=1, wrap=False, *, weighted=True, regularizer=None, **kwargs):
        super().__init__(shape, weighted, regularizer, **kwargs)
        self.stride, self.wrap = int(stride), bool(wrap)
        n_target, n_source = self.shape
        if min(n_target, n_source, self.stride) < 1:
            raise ValueError(
                f"Units and `stride` must be at least 1, not {n_target}, {n_source} and {self.stride}."
            )
        offsets = [int(offset) for offset in offsets]
        if wrap:  # by the shorter way round
            offsets = [(offset + (n_source - 1) // 2) % n_source - (n_source - 1) // 2 for offset in offsets]
        if len({*offsets}) < len(offsets):
            raise ValueError(f"`offsets` must be different, but are {sorted(offsets)}.")
        self.offsets = tuple(sorted(offset for offset in offsets if wrap or self._reaches(offset)))
        if not self.offsets:
            raise ValueError(f"None of the offsets {sorted(offsets)} leads to one of {n_source} sources.")
        self.indices = IndexArrays()
        self._order = BandOrder((n_target, n_source, self.offsets, self.stride, self.wrap), self.indices)
        self.indices.close()
        self.add_edges(self._order.count)

    def _reaches(self, offset):
        """Whether any target has a source at the offset, without wrapping."""
        n_target, n_source = self.shape
        first = max(0, -(offset // self.stride))
        return first < n_target and self.stride * first + offset < n_source

    def edges(self):
        """The source and the target of every edge, integer arrays of shape (edges,)."""
        n_target, n_source = self.shape
        made = shifted_edges(n_source, n_target, self.offsets, self.stride, self.wrap)
        return made.source, made.target

    def get_config(self):
        """The arguments of the constructor."""
        rule = {"offsets": list(self.offsets), "stride": self.stride, "wrap": self.wrap}
        return {**super().get_config(), **rule}

    def project(self, x: Any, weight, dtype):
        """The output, and a function for the gradients (`AlongEdges`)."""
        (n_target, n_source), offsets, stride = self.shape, self.offsets, self.stride
        weight = keras.ops.ones((self.count,), dtype) if weight is None else weight
        matrix: Any = self.indices.apart(lambda: self._order.matrix(weight), (len(offsets), n_target), dtype)
        before = max(0, -offsets[0])
        behind = max(0, stride * (n_target - 1) + offsets[-1] + 1 - n_source)
        x = self._extended(keras.ops.cast(x, dtype), before, behind, self.wrap)
        by_rest: Any = [x]
        if stride > 1:  # a slice with a stride is slow, so those with the same remainder are put together
            x = keras.ops.pad(x, ((0, 0), (0, -x.shape[1] % stride)))
            by_rest = keras.ops.reshape(x, (-1, x.shape[1] // stride, stride))
            by_rest = keras.ops.unstack(keras.ops.transpose(by_rest, (2, 0, 1)), stride)

        def read(offset):
            first, rest = divmod(before + offset, stride)
            return by_rest[rest][:, first : first + n_target]

        def gradients(upstream, of_weight):
            upstream = keras.ops.cast(upstream, dtype)
            of_x = self._back(upstream, matrix, before, behind)
            if not of_weight:
                return of_x, None
            sums = self.indices.apart(
                lambda: keras.ops.stack([keras.ops.sum(read(o) * upstream, axis=0) for o in offsets]),
                (len(offsets), n_target),
                dtype,
            )
            return of_x, self._order.flat(sums)

        total = None
        for k, offset in enumerate(offsets):
            term = read(offset) * matrix[k]
            total = term if total is None else total + term
        return total, gradients

    def _extended(self, values, before, behind, wrap):
        """`extended`, where the compiler would otherwise do it number by number in the loop that reads it."""
        rows: Any = keras.ops.shape(values)
        shape = (rows[0], before + values.shape[1] + behind)
        return self.indices.apart(lambda: extended(values, before, behind, wrap), shape, values.dtype)

    def _back(self, upstream, matrix, before, behind):
        """The gradient of x: for every source the sum over the targets that read it, (batch, sources)."""
        n_target, n_source = self.shape
        if not self.wrap or n_source == self.stride * n_target:
            return self._spread(upstream, matrix, self.offsets, n_source, self.wrap)
        # Laps of another length than the ring of targets: as if on a line, which is then laid round the ring.
        offsets = [before + offset for offset in self.offsets]
        line: Any = self._spread(upstream, matrix, offsets, before + n_source + behind, False)
        line = keras.ops.pad(line, ((0, 0), (-before % n_source, -behind % n_source)))
        return keras.ops.sum(keras.ops.reshape(line, (-1, line.shape[1] // n_source, n_source)), axis=1)

    def _spread(self, upstream: Any, matrix: Any, offsets, n_source, wrap):
        """As `_back`. For sources with the same remainder by the stride it is a band, the other way round."""
        stride, n_target = self.stride, self.shape[0]
        length = -(-n_source // stride)  # how many sources have the same remainder, or one less
        shifts = [offset // stride for offset in offsets]
        before, behind = max(0, shifts[-1]), max(0, length - n_target - shifts[0])
        upstream = self._extended(upstream, before, behind, wrap)
        matrix = self._extended(matrix, before, behind, wrap)
        sums: Any = [None] * stride
        for k, (offset, shift) in enumerate(zip(offsets, shifts, strict=True)):
            read = slice(before - shift, before - shift + length)
            term, rest = upstream[:, read] * matrix[k, read], offset % stride
            sums[rest] = term if sums[rest] is None else sums[rest] + term
        sums = [keras.ops.zeros_like(upstream[:, :length]) if part is None else part for part in sums]
        if stride == 1:
            return sums[0]
        line: Any = keras.ops.reshape(keras.ops.stack(sums, axis=2), (-1, stride * length))
        return line[:, :n_source]
