"""A connection of whole blocks of units: many small matrix products at once."""

import base64
import zlib
from typing import Any

import keras
import numpy as np

from .along_edges import AlongEdges, check_edges
from .edges import IndexArrays, joined


class BlockPlan:
    """The index tables by which blocks of units are gathered and multiplied into other blocks.

    Blocks into which the same number `k` of blocks is multiplied form a group: one batched product of their
    inputs, side by side, with their weights. A weight is gathered in rows as long as a source block is wide.

    Args:
        member: integer array of shape (pairs,): the block that each pair reads.
        owner: non-decreasing integer array of shape (pairs,): the block that it is added to.
        shape: (number of blocks added to, number of blocks read).
        rows: integer array of shape (pairs, rows in a block): the rows of the weight of each pair.
        by_row: whether the rows of all pairs of a block are sorted by their number in the block, then by
            pair, as they are in the weight, or by pair first.
        indices: the `IndexArrays` to which the tables are added.

    Attributes, where each array is given by its place in `indices`, and None if it would change nothing:
        groups: a list of (`blocks`, `members`, `rows`, count, k): the blocks of a group, of shape (count,),
            what they read, of shape (count * k,), and the rows of their weights.
        place: where each block is among those of all groups, and a block of zeros behind them.
        row_place: where each row is among those of all groups.
    """

    def __init__(self, member, owner, shape, rows, by_row, indices):
        def add(array, size):
            return None if np.array_equal(array, np.arange(size)) else indices.add(array)

        degree = np.bincount(owner, minlength=shape[0])
        start = np.cumsum(degree) - degree
        order, row_order, self.groups = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], []
        for k in np.unique(degree[degree > 0]).tolist():
            blocks = np.flatnonzero(degree == k)
            pairs = start[blocks][:, None] + np.arange(k)
            of_group = rows[pairs]  # (count, k, rows in a block)
            of_group = (of_group.swapaxes(1, 2) if by_row else of_group).ravel()
            members = add(member[pairs].ravel(), shape[1])
            self.groups.append((add(blocks, shape[0]), members, add(of_group, rows.size), len(blocks), k))
            order.append(blocks)
            row_order.append(of_group)
        order = np.concatenate(order)
        place = np.full(shape[0], len(order))
        place[order] = np.arange(len(order))
        self.n_blocks, self.n_pairs, self.has_empty = shape[0], len(owner), len(order) < shape[0]
        self.place = add(place, shape[0])
        self.row_place = add(np.argsort(np.concatenate(row_order)), rows.size)
        self.indices = indices

    def taken(self, values, place, axis):
        """What a table, given by its place, reads along an axis."""
        return values if place is None else keras.ops.take(values, self.indices.read(place), axis=axis)

    def inputs(self, values):
        """For each group what it reads, of shape (count, batch, k * width), from (batch, blocks, width)."""
        shape: Any = keras.ops.shape(values)
        batch, width = shape[0], values.shape[2]
        for _, members, _, count, k in self.groups:
            read = keras.ops.reshape(self.taken(values, members, 1), (batch, count, k * width))
            yield keras.ops.transpose(read, (1, 0, 2))

    def multiply(self, inputs, rows, transposed, width, batch):
        """The sums over the pairs of each block.

        Args:
            inputs: what `inputs` gave, as a list.
            rows: the rows of the weight, of shape (all rows, source units in a block).
            transposed: whether the matrices of a group are its rows transposed.
            width: units in a block of the result.
            batch: size of the batch.

        Returns:
            An array of shape (batch, blocks * width).
        """
        products = []
        for read, (_, _, of_group, count, _) in zip(inputs, self.groups, strict=True):
            matrix = self.taken(rows, of_group, 0)
            if transposed:
                matrix = keras.ops.transpose(keras.ops.reshape(matrix, (count, width, -1)), (0, 2, 1))
            else:
                matrix = keras.ops.reshape(matrix, (count, -1, width))
            products.append(keras.ops.matmul(read, matrix))
        if self.has_empty:
            products.append(keras.ops.zeros((1, batch, width), rows.dtype))
        result = keras.ops.transpose(self.taken(joined(products), self.place, 0), (1, 0, 2))
        return keras.ops.reshape(result, (batch, self.n_blocks * width))

    def products(self, inputs, upstream, width):
        """The gradient of the weight, of shape (edges,).

        Args:
            inputs: what `inputs` gave for the values, as a list.
            upstream: array of shape (batch, blocks, units in a block), the gradient of the sums.
            width: source units in a block.
        """
        parts = []
        for read, (blocks, _, _, _, _) in zip(inputs, self.groups, strict=True):
            left = keras.ops.transpose(self.taken(upstream, blocks, 1), (1, 2, 0))
            parts.append(keras.ops.reshape(keras.ops.matmul(left, read), (-1, width)))
        if not parts:
            return keras.ops.zeros((0,), upstream.dtype)
        return keras.ops.reshape(self.taken(joined(parts), self.row_place, 0), (-1,))


def block_edges(source, target, shape, block):
    """The source and the target unit of every edge of whole blocks, by target, then source.

    Args:
        source: integer array of shape (pairs,): the source block of each pair.
        target: integer array of shape (pairs,): its target block; sorted by target, then source.
        shape: (number of target blocks, number of source blocks).
        block: (targets, sources) in a block.
    """
    rows = block_rows(target, shape, block)
    units = np.empty(rows.size, np.int64), np.empty(rows.size, np.int64)
    units[0][rows] = source[:, None]
    units[1][rows] = target[:, None] * block[0] + np.arange(block[0])
    return (units[0][:, None] * block[1] + np.arange(block[1])).ravel(), np.repeat(units[1], block[1])


def block_rows(target, shape, block):
    """The rows of a weight, each as long as a source block, that belong to each pair of blocks.

    A weight is sorted by target unit, then source unit. The arguments are those of `block_edges`; returns an
    integer array of shape (pairs, targets in a block).
    """
    degree = np.bincount(target, minlength=shape[0])
    first = np.cumsum(degree) - degree
    rank = np.arange(len(target)) - first[target]
    return (first[target] * block[0] + rank)[:, None] + degree[target][:, None] * np.arange(block[0])


class BlockProjection(AlongEdges):
    """y[b, t] = sum over the sources s of the blocks that feed the block of t of weight[e] * x[b, s].

    A block is a run of consecutive units. A target block that nothing feeds is exactly zero. Sums are taken
    in float32 where the layer computes in half precision; the weight is not rounded to half precision first.
    The pairs of blocks are part of the configuration, compressed. What is saved with the weight is the digest
    of the edges, and weights for others are refused.

    Args:
        shape: (number of target units, number of source units).
        block: (targets, sources) in a block; these divide `shape`.
        source: integer array of shape (pairs,): the source block of each pair. By default, and without
            `target`, every block feeds its own counterpart. A configuration holds it as text.
        target: integer array of shape (pairs,): the target block of each pair. Pairs are sorted by target,
            those of one target by source, and occur once.
        weighted: whether each edge has a weight; otherwise the layer is a plain sum without variables.
        regularizer: a Keras regularizer of the weight, or None.
        **kwargs: of `keras.layers.Layer`; `trainable=False` freezes the weight.

    Variables: `weight`, of shape (edges,), sorted by target unit, then source unit; zero until values are
    loaded. Input: (batch, source units). Output: (batch, target units).

    Raises:
        ValueError: if `block` does not divide `shape`, or the numbers of blocks differ where each feeds its
            counterpart; if pairs are out of range, out of order or not distinct; if weights are loaded that
            were saved with other edges.
    """

    def __init__(self, shape, block, source=None, target=None, *, weighted=True, regularizer=None, **kwargs):
        super().__init__(shape, weighted, regularizer, **kwargs)
        self.block = (int(block[0]), int(block[1]))
        if min(self.block) < 1 or self.shape[0] % self.block[0] or self.shape[1] % self.block[1]:
            raise ValueError(f"Blocks of {self.block} units do not divide a layer of {self.shape}.")
        self.blocks = (self.shape[0] // self.block[0], self.shape[1] // self.block[1])
        if source is None and target is None:
            if self.blocks[0] != self.blocks[1]:
                raise ValueError(f"{self.blocks[1]} blocks cannot each feed one of {self.blocks[0]}.")
            source = target = np.arange(self.blocks[0])
        self.source, self.target = self._blocks(source), self._blocks(target)
        check_edges(self.source, self.target, self.blocks)
        self.indices = IndexArrays()
        rows = block_rows(self.target, self.blocks, self.block)
        self._forward = BlockPlan(self.source, self.target, self.blocks, rows, True, self.indices)
        back = np.argsort(self.source, kind="stable")
        reverse = self.target[back], self.source[back], self.blocks[::-1], rows[back]
        self._backward = BlockPlan(*reverse, False, self.indices)
        self.indices.close()
        self.add_edges(rows.size * self.block[1])

    @staticmethod
    def _blocks(numbers):
        """Numbers of blocks as an array; a configuration holds them as text."""
        if isinstance(numbers, str):
            return np.frombuffer(zlib.decompress(base64.b64decode(numbers)), "<i4").astype(np.int64)
        return np.asarray(numbers, np.int64)

    def edges(self):
        """The source and the target of every edge, int64 arrays of shape (edges,)."""
        return block_edges(self.source, self.target, self.blocks, self.block)

    def get_config(self):
        """The arguments of the constructor, blocks as base64 of their zlib-compressed int32 numbers."""
        source, target = (
            base64.b64encode(zlib.compress(numbers.astype("<i4").tobytes())).decode("ascii")
            for numbers in (self.source, self.target)
        )
        return {**super().get_config(), "block": list(self.block), "source": source, "target": target}

    def project(self, x, weight, dtype):
        """The output, and a function for the gradients (`AlongEdges`)."""
        shape: Any = keras.ops.shape(x)
        batch, (height, width) = shape[0], self.block
        weight = keras.ops.ones((self.count,), dtype) if weight is None else weight
        rows = keras.ops.reshape(weight, (-1, width))
        x = keras.ops.reshape(keras.ops.cast(x, dtype), (batch, self.blocks[1], width))
        inputs = list(self._forward.inputs(x))

        def gradients(upstream, of_weight):
            upstream = keras.ops.reshape(keras.ops.cast(upstream, dtype), (batch, self.blocks[0], height))
            back = list(self._backward.inputs(upstream))
            of_x = self._backward.multiply(back, rows, False, width, batch)
            return of_x, self._forward.products(inputs, upstream, width) if of_weight else None

        return self._forward.multiply(inputs, rows, True, height, batch), gradients
