"""A connection of many of the possible edges: one product with a matrix that is zero elsewhere.

Worth it where edges are so many that a gather for each costs more than a product with all pairs.
"""

import weakref
from typing import Any, ClassVar

import keras
import numpy as np

from .along_edges import ListedEdges
from .edges import IndexArrays


class MatrixPlaces:
    """Where each of a set of edges stands in a flattened (target units, source units) matrix.

    Args:
        source: int64 array of shape (edges,): the unit that each edge comes from.
        target: int64 array of shape (edges,): the unit that it goes to.
        shape: (number of target units, number of source units), together at most 2^31 pairs.
    """

    def __init__(self, source, target, shape):
        self.shape = shape
        self.source, self.target = source.astype(np.int32), target.astype(np.int32)
        places = target.astype(np.int64) * shape[1] + source
        self.indices = IndexArrays()
        self._places = self.indices.add(places)
        self.indices.close()

    def matrix(self, weight):
        """The weights of the edges, of shape (edges,), in a matrix of zeros."""
        n_target, n_source = self.shape
        # The places are distinct, so this adds nothing up and comes out the same in any order.
        places: Any = self.indices.read(self._places)
        flat = keras.ops.scatter(places[:, None], weight, (n_target * n_source,))
        return keras.ops.reshape(flat, self.shape)

    def entries(self, matrix):
        """The entries of a matrix at the edges, of shape (edges,)."""
        return keras.ops.take(keras.ops.reshape(matrix, (-1,)), self.indices.read(self._places), axis=0)


class MaskedProjection(ListedEdges):
    """y[b, t] = sum over the edges e = (s -> t) of weight[e] * x[b, s], by a product with a matrix.

    Does what `EdgeProjection` does, and saves its edges in the same way. The matrix is made of the weight at
    each call and is no variable, so nothing that an optimiser does to the weight gives absent edges a value.
    In one respect it differs: an absent edge counts as zero times its source, so a source that is infinite or
    not a number makes all targets not a number.

    Arguments, shapes and errors are those of `ListedEdges`; of more than 2^31 pairs of units it raises a
    ValueError, too.
    """

    living: ClassVar = weakref.WeakValueDictionary()

    def make_tables(self, source, target):
        """The places of the edges."""
        if self.shape[0] * self.shape[1] > 2**31:
            raise ValueError(f"A matrix of shape {self.shape} has more than 2^31 entries.")
        return MatrixPlaces(source, target, self.shape)

    def project(self, x, weight, dtype):
        """The output, and a function for the gradients (`AlongEdges`)."""
        places = self.tables
        x = keras.ops.cast(x, dtype)
        matrix = places.matrix(keras.ops.ones((self.count,), dtype) if weight is None else weight)

        def gradients(upstream, of_weight):
            upstream = keras.ops.cast(upstream, dtype)
            of_x = keras.ops.matmul(upstream, matrix)
            if not of_weight:
                return of_x, None
            return of_x, places.entries(keras.ops.matmul(keras.ops.transpose(upstream), x))

        return keras.ops.matmul(x, keras.ops.transpose(matrix)), gradients
