"""What arrives along given edges, pooled by unit otherwise than by a sum: mean, max, min, product, logsumexp.

Computed with the units first and the batch last, as sums along edges are. Targets of one fan-in are pooled
together, from a table of what each of them reads; the gradient of the input is a sum over the reversed edges.
"""

import weakref
from typing import Any, ClassVar

import keras
import numpy as np

from .along_edges import ListedEdges
from .edges import GatherPlan, IndexArrays, batch_first, joined, units_first


class PoolTables:
    """The tables of edges that are pooled, in both directions.

    Args:
        source: int64 array of shape (edges,): the unit that each edge comes from.
        target: int64 array of shape (edges,): the unit that it goes to. Edges are sorted by target, those of
            one target by source, and occur once (`check_edges`).
        shape: (number of target units, number of source units).

    Attributes, where each array is given by its place in `indices`:
        groups: for each fan-in that there is, the sources in a table of shape (fan-in, units) and the units.
        order: the edges in the order in which the tables list them, shape (edges,).
        position: where each edge is in `order`, shape (edges,).
        place: where each target is among the units of all groups; behind them, if it has no edge.
        backward: the `GatherPlan` that adds up what is listed in `order` by source.
    """

    def __init__(self, source, target, shape):
        n_target, n_source = shape
        self.source, self.target = source.astype(np.int32), target.astype(np.int32)
        self.indices = IndexArrays()
        fan_in = np.bincount(target, minlength=n_target)
        first = np.cumsum(fan_in) - fan_in
        order, units_of, self.groups = [np.zeros(0, np.int64)], [], []
        for inputs in np.unique(fan_in[fan_in > 0]):
            units = np.flatnonzero(fan_in == inputs)
            table = first[units] + np.arange(inputs)[:, None]
            order.append(table.ravel())
            units_of.append(units)
            self.groups.append((self.indices.add(source[table]), self.indices.add(units)))
        order = np.concatenate(order)
        place = np.empty(n_target, np.int64)
        place[np.concatenate([*units_of, np.flatnonzero(fan_in == 0)])] = np.arange(n_target)
        filled = np.count_nonzero(fan_in)
        self.has_empty = filled < n_target
        self.n_target = n_target
        self.order, self.position = self.indices.add(order), self.indices.add(np.argsort(order))
        self.place = self.indices.add(np.minimum(place, filled))
        back = np.argsort(source[order], kind="stable")
        self.backward = GatherPlan(back, source[order][back], n_source, self.indices)
        self.indices.close()

    def arriving(self, values, weight):
        """What arrives at the targets of each group, (fan-in, units, batch), of `values` (sources, batch).

        `weight`, of shape (edges,), is in the order of the tables, or None.
        """
        used, parts = 0, []
        for table, _ in self.groups:
            k, n = table[1]
            part: Any = keras.ops.take(values, self.indices.read(table), axis=0)
            if weight is not None:
                part = part * keras.ops.reshape(weight[used : used + k * n], (k, n, 1))
                used += k * n
            parts.append(part)
        return parts


class EdgePool(ListedEdges):
    """Pools what arrives at each target unit: the source of every edge, times its weight if it is weighted.

    A layer that derives from it has `pools(parts)`, which gives what is made of `parts` (fan-in, units,
    batch), and `slopes(parts, upstream)`, the gradient of that by `parts`. Of equals in `max` and `min`, the
    first edge has the gradient. Half precision is pooled in float32. Edges are saved as those of an
    `EdgeProjection` are.

    Arguments, shapes and errors are those of `ListedEdges`, and

    Args:
        empty: the value of a target without edges.
    """

    living: ClassVar = weakref.WeakValueDictionary()

    def __init__(self, shape, source: Any = None, target: Any = None, *, empty=0.0, **kwargs):
        self.empty = float(empty)
        super().__init__(shape, source, target, **kwargs)

    def make_tables(self, source, target):
        """The tables of the edges."""
        return PoolTables(source, target, self.shape)

    def get_config(self):
        """The arguments of the constructor, with the edges given by their number and digest."""
        return {**super().get_config(), "empty": self.empty}

    def project(self, x, weight, dtype):
        """The output, and a function for the gradients (`AlongEdges`)."""
        tables: Any = self.tables
        indices = tables.indices
        values = units_first(keras.ops.cast(x, dtype), indices)
        if weight is not None:
            weight = keras.ops.take(weight, indices.read(tables.order), axis=0)
        shape: Any = keras.ops.shape(values)
        batch = shape[1]

        def pooled():
            made = [self.pools(part) for part in tables.arriving(values, weight)]
            if tables.has_empty:
                made.append(keras.ops.full((1, batch), self.empty, dtype))
            return keras.ops.take(joined(made), indices.read(tables.place), axis=0)

        def gradients(upstream, of_weight):
            upstream = units_first(keras.ops.cast(upstream, dtype), indices)
            by_edge, products = [], []
            read = tables.arriving(values, None)
            carried = read if weight is None else tables.arriving(values, weight)
            for (_, units), plain, part in zip(tables.groups, read, carried, strict=True):
                own = keras.ops.take(upstream, indices.read(units), axis=0)
                slope: Any = self.slopes(part, own)
                if of_weight:
                    products.append(keras.ops.reshape(keras.ops.sum(plain * slope, axis=-1), (-1,)))
                by_edge.append(keras.ops.reshape(slope, (-1, batch)))
            if not by_edge:
                return keras.ops.zeros_like(x), keras.ops.zeros((0,), dtype) if of_weight else None
            total = joined(by_edge)
            total = total if weight is None else total * weight[:, None]
            of_x = batch_first(tables.backward, total)
            if not of_weight:
                return of_x, None
            return of_x, keras.ops.take(joined(products), indices.read(tables.position), axis=0)

        y = indices.apart(pooled, (tables.n_target, batch), dtype)
        return keras.ops.transpose(y), gradients


def chosen(parts, pooled, upstream):
    """`upstream` (units, batch) at the first of `parts` (fan-in, units, batch) that is `pooled`, else 0."""
    # Of numbers, and not of what they are equal to, TensorFlow would take -0 before 0.
    first: Any = keras.ops.argmax(keras.ops.cast(keras.ops.equal(parts, pooled[None]), "int32"), axis=0)
    numbers = keras.ops.reshape(keras.ops.arange(parts.shape[0], dtype="int32"), (-1, 1, 1))
    here = keras.ops.equal(numbers, keras.ops.expand_dims(keras.ops.cast(first, "int32"), 0))
    given = keras.ops.expand_dims(upstream, 0)
    return keras.ops.where(here, given, keras.ops.zeros_like(given))


class EdgeMean(EdgePool):
    """The mean of what arrives at each target unit (`EdgePool`)."""

    def pools(self, parts):
        """(fan-in, units, batch) -> (units, batch)."""
        return keras.ops.sum(parts, axis=0) / parts.shape[0]

    def slopes(self, parts, upstream):
        """The gradient of `parts`."""
        return keras.ops.repeat(upstream[None] / parts.shape[0], parts.shape[0], axis=0)


class EdgeMax(EdgePool):
    """The largest of what arrives at each target unit (`EdgePool`)."""

    def pools(self, parts):
        """(fan-in, units, batch) -> (units, batch)."""
        return keras.ops.max(parts, axis=0)

    def slopes(self, parts, upstream):
        """The gradient of `parts`: that of the first of the largest."""
        return chosen(parts, self.pools(parts), upstream)


class EdgeMin(EdgePool):
    """The smallest of what arrives at each target unit (`EdgePool`)."""

    def pools(self, parts):
        """(fan-in, units, batch) -> (units, batch)."""
        return keras.ops.min(parts, axis=0)

    def slopes(self, parts, upstream):
        """The gradient of `parts`: that of the first of the smallest."""
        return chosen(parts, self.pools(parts), upstream)


class EdgeProduct(EdgePool):
    """The product of what arrives at each target unit (`EdgePool`), and a gradient without division."""

    def pools(self, parts):
        """(fan-in, units, batch) -> (units, batch)."""
        return keras.ops.prod(parts, axis=0)

    def slopes(self, parts, upstream):
        """The gradient of `parts`: of each, the product of all the others."""
        after: Any = keras.ops.flip(products_before(keras.ops.flip(parts, 0)), 0)
        return after * products_before(parts) * upstream


def products_before(parts):
    """For each along the first axis, the product of those before it."""
    ones = keras.ops.ones_like(parts[:1])
    if parts.shape[0] > 16:
        return keras.ops.cumprod(keras.ops.concatenate([ones, parts[:-1]], axis=0), axis=0)
    products = [ones]
    for at in range(parts.shape[0] - 1):
        products.append(products[-1] * parts[at : at + 1])
    return keras.ops.concatenate(products, axis=0)


class EdgeLogSumExp(EdgePool):
    """The logarithm of the sum of the exponentials of what arrives at each target unit (`EdgePool`)."""

    def pools(self, parts):
        """(fan-in, units, batch) -> (units, batch)."""
        return keras.ops.logsumexp(parts, axis=0)

    def slopes(self, parts, upstream):
        """The gradient of `parts`."""
        return keras.ops.softmax(parts, axis=0) * upstream
