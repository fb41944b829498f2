"""A connection along a given set of edges, each edge with its own weight.

The work is done with the units first and the batch last, so that every edge reads one contiguous run of the
batch, and it consists of gathers and sums only: the gradient of the input is the same sum over the reversed
edges, which are worked out once, in numpy, when the layer is made. Nothing of size units x units or
edges x batch is ever held.
"""

import math
import weakref
from contextlib import contextmanager
from typing import Any, ClassVar

import keras
import numpy as np

from .along_edges import ListedEdges


class IndexArrays:
    """Integer arrays that are kept one after the other in a single int32 tensor.

    The tensor is made once, outside of any function, so a compiled function takes it as an input instead of
    holding its values as constants. It is one tensor because TensorFlow exports the gradient along with the
    function, and then refuses tensors that the gradient alone reads.
    """

    def __init__(self):
        self._parts, self._size = [], 0
        self._tensor: Any = None

    def add(self, array):
        """Adds an array; returns the (start, shape) under which `read` finds it."""
        self._parts.append(np.asarray(array, np.int32).ravel())
        start = self._size
        self._size += array.size
        return start, array.shape

    def close(self):
        """Makes the tensor, when all arrays are added; the last element is a zero that belongs to none."""
        self._tensor = keras.ops.convert_to_tensor(np.concatenate([*self._parts, np.zeros(1, np.int32)]))
        self._parts = []

    def read(self, place):
        """The array at (start, shape)."""
        start, shape = place
        return keras.ops.reshape(self._tensor[start : start + math.prod(shape)], shape)

    def traced(self):
        """A context in which the tensor is one of the function that is being traced now, for later, too."""
        own = keras.ops.copy(self._tensor)

        @contextmanager
        def reading():
            before, self._tensor = self._tensor, own
            try:
                yield
            finally:
                self._tensor = before

        return reading

    def apart(self, function, shape, dtype):
        """`function()`, kept by the compiler apart from what comes before and after.

        XLA would otherwise merge a transposition with the gathers that read it, which then jump through
        memory and are 10 times slower (measured on CPUs). It does not look into a branch that depends on the
        last index, of whose value it knows nothing.
        """
        return keras.ops.cond(self._tensor[-1] == 0, function, lambda: keras.ops.zeros(shape, dtype))


class GatherPlan:
    """The index tables by which rows of an array are gathered and added up into groups.

    A group of more than `LONGEST` members is cut into pieces of that length and a rest, and the sums of its
    pieces are added up by a further stage in the same way, so a group of any size takes few operations and
    there is no padding. In a stage all pieces of the same length `k` form one table of shape
    (`k`, number of pieces).

    Args:
        member: integer array of shape (edges,): the row that each edge reads.
        group: non-decreasing integer array of shape (edges,): the group that each edge belongs to.
        n_groups: number of groups; a group without edges has the sum zero.
        indices: the `IndexArrays` to which the tables are added.
        edge: integer array of shape (edges,), the number of each edge, where they are not numbered as given.

    Attributes, where each array is given by its place in `indices`:
        stages: a list for each stage, of pairs (`table`, `owner`). `table` has shape (k, pieces) and holds
            rows of what the stage reads: the array itself in the first stage, the sums of the stage before
            in any other. `owner`, of shape (pieces,), is the group of each piece, or None where piece i
            belongs to group i throughout.
        order: the edges in the order in which the tables of the first stage list them, shape (edges,).
        position: where each edge is in `order`, shape (edges,), for `products`; None if `edge` is given.
        place: where each group's sum is found among the sums of all stages one after the other, followed by
            a row of zeros; None where they are in order already.
    """

    LONGEST = 16

    def __init__(self, member, group, n_groups, indices, edge=None):
        place = np.full(n_groups, -1)
        order, base = [np.zeros(0, np.int64)], 0
        self.stages = []
        while len(member):
            rank = np.arange(len(group)) - np.searchsorted(group, group)
            start = np.flatnonzero(rank % self.LONGEST == 0)
            length = np.diff(start, append=len(group))
            owner = group[start]
            row = np.empty(len(start), np.int64)
            stage, filled = [], 0
            for k in np.unique(length):
                pieces = np.flatnonzero(length == k)
                table = start[pieces] + np.arange(k)[:, None]
                if not self.stages:
                    order.append(table.ravel())
                row[pieces] = filled + np.arange(len(pieces))
                filled += len(pieces)
                in_order = np.array_equal(owner[pieces], np.arange(n_groups))
                stage.append((indices.add(member[table]), None if in_order else indices.add(owner[pieces])))
            self.stages.append(stage)
            shared = np.bincount(owner, minlength=n_groups)[owner] > 1
            place[owner[~shared]] = base + row[~shared]
            member, group = row[shared], owner[shared]
            base += filled
        order = np.concatenate(order)
        self.order = indices.add(order if edge is None else edge[order])
        self.position = indices.add(np.argsort(order)) if edge is None else None
        self.n_groups = n_groups
        self.has_empty = bool((place < 0).any())
        place[place < 0] = base
        self.place = None if np.array_equal(place, np.arange(base)) else indices.add(place)
        self.indices = indices

    def sum(self, values, weight=None):
        """Adds up the members of each group, times their weights if there are any.

        Args:
            values: array of shape (rows, batch).
            weight: array of shape (edges,), of the data type to add up in, or None.

        Returns:
            An array of shape (groups, batch), of the data type of `weight`, or else of `values`.
        """
        read = self.indices.read
        dtype = values.dtype if weight is None else weight.dtype
        if weight is not None:
            weight = keras.ops.take(weight, read(self.order), axis=0)
        sums = []
        for stage in self.stages:
            used, pieces = 0, []
            for table, _ in stage:
                k, n = table[1]
                factor = None
                if weight is not None:
                    factor = keras.ops.reshape(weight[used : used + k * n], (k, n, 1))
                    used += k * n
                pieces.append(sum_rows(values, read(table), factor, dtype))
            values, weight = joined(pieces), None
            sums.append(values)
        if self.has_empty:
            shape: Any = keras.ops.shape(values)
            sums.append(keras.ops.zeros((1, shape[1]), dtype))
        sums = joined(sums)
        return sums if self.place is None else keras.ops.take(sums, read(self.place), axis=0)

    def products(self, values, upstream, dtype):
        """The gradient of the weights: for each edge the sum over the batch of member times group.

        Args:
            values: array of shape (rows, batch).
            upstream: array of shape (groups, batch).
            dtype: the data type to add up in.

        Returns:
            An array of shape (edges,).
        """
        read = self.indices.read
        products = []
        for table, owner in self.stages[0] if self.stages else ():
            right = upstream if owner is None else keras.ops.take(upstream, read(owner), axis=0)
            right = keras.ops.cast(right, dtype)
            rows = read(table)
            for j in range(table[1][0]):
                left: Any = keras.ops.cast(keras.ops.take(values, rows[j], axis=0), dtype)
                products.append(keras.ops.sum(left * right, axis=1))
        if not products:
            return keras.ops.zeros((0,), dtype)
        return keras.ops.take(joined(products), read(self.position), axis=0)


class EdgeTables:
    """The tables of a set of edges, in both directions.

    Args:
        source: int64 array of shape (edges,): the unit that each edge comes from.
        target: int64 array of shape (edges,): the unit that it goes to. Edges are sorted by target, those of
            one target by source, and occur once (`check_edges`).
        shape: (number of target units, number of source units).
    """

    def __init__(self, source, target, shape):
        n_target, n_source = shape
        self.source, self.target = source.astype(np.int32), target.astype(np.int32)
        self.indices = IndexArrays()
        self.forward = GatherPlan(source, target, n_target, self.indices)
        back = np.argsort(source, kind="stable")
        self.backward = GatherPlan(target[back], source[back], n_source, self.indices, edge=back)
        self.indices.close()


def joined(arrays):
    """Arrays one after the other."""
    return arrays[0] if len(arrays) == 1 else keras.ops.concatenate(arrays, axis=0)


def sum_rows(values, table, factor, dtype):
    """The sum over j of `values[table[j]] * factor[j]`, shape (pieces, batch).

    Args:
        values: array of shape (rows, batch).
        table: integer tensor of shape (k, pieces).
        factor: array of shape (k, pieces, 1), or None.
        dtype: the data type to add up in.
    """
    k, n = table.shape
    if k * n <= 16384:
        # Few enough to gather at once; otherwise row by row, which holds k times less memory.
        rows = keras.ops.cast(keras.ops.take(values, table, axis=0), dtype)
        return keras.ops.sum(rows if factor is None else rows * factor, axis=0)
    total = None
    for j in range(k):
        rows = keras.ops.cast(keras.ops.take(values, table[j], axis=0), dtype)
        rows = rows if factor is None else rows * factor[j]
        total = rows if total is None else total + rows
    return total


def units_first(x, indices):
    """Transposes (batch, units) to (units, batch), in memory too: flattening leaves no other choice."""
    shape: Any = keras.ops.shape(x)
    batch, units = shape[0], x.shape[1]

    def flat():
        return keras.ops.reshape(keras.ops.transpose(x), (-1,))

    return keras.ops.reshape(indices.apart(flat, (units * batch,), x.dtype), (units, batch))


def batch_first(plan, values, weight=None):
    """`plan.sum`, transposed to (batch, groups)."""
    shape: Any = keras.ops.shape(values)
    dtype = values.dtype if weight is None else weight.dtype
    sums = plan.indices.apart(lambda: plan.sum(values, weight), (plan.n_groups, shape[1]), dtype)
    return keras.ops.transpose(sums)


class EdgeProjection(ListedEdges):
    """y[b, t] = sum over the edges e = (s -> t) of weight[e] * x[b, s].

    A target without edges is exactly zero. Sums are taken in float32 where the layer computes in half
    precision; the weight is not rounded to half precision first. Gradients of the input and of the weight
    are dense arrays; in a compiled function, one that nobody asks for costs nothing.

    The edges are part of what is saved (`model.save`, `save_weights`), not of the configuration, which
    names them by their digest. A layer made from a configuration alone (`load_model`, `clone_model`) shares
    the edges of a living layer with the same digest, if there is one in the process, and otherwise has none
    until weights are loaded.

    Arguments, shapes and errors are those of `ListedEdges`.
    """

    living: ClassVar = weakref.WeakValueDictionary()

    def make_tables(self, source, target):
        """The tables of the edges."""
        return EdgeTables(source, target, self.shape)

    def project(self, x, weight, dtype):
        """The output, and a function for the gradients (`AlongEdges`)."""
        tables = self.tables
        values = units_first(x, tables.indices)

        def gradients(upstream, of_weight):
            upstream = units_first(upstream, tables.indices)
            of_x = batch_first(tables.backward, upstream, weight)
            return of_x, tables.forward.products(values, upstream, dtype) if of_weight else None

        return batch_first(tables.forward, values, weight), gradients
