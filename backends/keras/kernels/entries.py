"""What weights and biases are made of where they are no variable of the layer that reads them.

A variable that several read is in a `SharedWeight`; the layers behind it make of it what each reads. None of
their arrays has a batch.
"""

import base64
import zlib
from typing import Any

import keras
import numpy as np

from .edges import GatherPlan, IndexArrays
from .same_shape import SameShape


def packed(array, dtype):
    """An array as text for a configuration: base64 of its zlib-compressed values."""
    return base64.b64encode(zlib.compress(np.asarray(array).astype(dtype).tobytes())).decode("ascii")


def unpacked(array, dtype):
    """What `packed` gave, as an array; an array as it is."""
    if isinstance(array, str):
        return np.frombuffer(zlib.decompress(base64.b64decode(array)), dtype)
    return np.asarray(array)


class SharedWeight(keras.layers.Layer):
    """A variable that other layers read: `layer(x)` is its value, whatever x is.

    Args:
        shape: the shape of the value. A matrix is held as Keras holds that of a `Dense`, transposed.
        regularizer: a Keras regularizer of the variable, or None.
        **kwargs: of `keras.layers.Layer`; `trainable=False` freezes the variable.

    Variables: `weight`, zero until values are loaded.
    """

    def __init__(self, shape, *, regularizer=None, **kwargs):
        super().__init__(**kwargs)
        self.shape = tuple(shape)
        self.regularizer = keras.regularizers.get(regularizer)
        self.build(None)

    def build(self, input_shape):
        """Makes the variable."""
        self.weight = self.add_weight(
            name="weight",
            shape=self.shape[::-1],
            initializer="zeros",
            regularizer=self.regularizer,
            autocast=False,
        )

    def call(self, x):
        """The value, of the shape that was given."""
        value = self.weight * 1.0
        return keras.ops.transpose(value) if len(self.shape) > 1 else value

    def compute_output_shape(self, input_shape):
        """The shape that was given."""
        return self.shape

    def get_config(self):
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "shape": list(self.shape),
            "regularizer": keras.regularizers.serialize(self.regularizer),
        }


class Spread(keras.layers.Layer):
    """entries[e] = value[index[e]], the value counted along its rows, and 0 where the index is -1.

    The gradient of a value's entry is the sum of those of its places, sorted: nothing is scattered.

    Args:
        index: integer array: the entry at each place. A configuration holds it as text.
        shape: the shape of the value.
        entries: the shape of what is made, flattened in `index`.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if the index is out of range.
    """

    def __init__(self, index, shape, entries, **kwargs):
        super().__init__(**kwargs)
        self.shape, self.entries = tuple(shape), tuple(entries)
        self.index, size = unpacked(index, "<i4"), int(np.prod(self.shape))
        if len(self.index) and not (self.index.min() >= -1 and self.index.max() < size):
            raise ValueError(
                f"`index` must lie in -1 to {size - 1}, but has {self.index.min()} to {self.index.max()}."
            )
        order = np.argsort(self.index, kind="stable")
        order = order[self.index[order] >= 0]
        self._indices = IndexArrays()
        self._plan = GatherPlan(order, self.index[order], size, self._indices)
        # Places without an entry read a zero behind the last one.
        self._place = self._indices.add(np.where(self.index < 0, size, self.index))
        self._padded = bool((self.index < 0).any())
        self._indices.close()

    def call(self, value):
        """The value -> its entry at each place."""

        def spread(flat):
            padded = keras.ops.pad(flat, (0, 1)) if self._padded else flat
            entries = keras.ops.take(padded, self._indices.read(self._place), axis=0)

            def gradient(*arguments, upstream=None):
                # The torch backend passes `upstream` by name, after the inputs; the others by position.
                if upstream is None:
                    (upstream,) = arguments
                sums: Any = self._plan.sum(keras.ops.reshape(upstream, (-1, 1)))
                return keras.ops.reshape(sums, (-1,))

            return entries, gradient

        flat = keras.ops.custom_gradient(spread)(keras.ops.reshape(value, (-1,)))
        return keras.ops.reshape(flat, self.entries)

    def compute_output_shape(self, input_shape):
        """The shape of what is made."""
        return self.entries

    def get_config(self):
        """The arguments of the constructor, the index as text."""
        return {
            **super().get_config(),
            "index": packed(self.index, "<i4"),
            "shape": list(self.shape),
            "entries": list(self.entries),
        }


class Cut(keras.layers.Layer):
    """entries[first] to entries[last - 1]: those of some of a connection's edges.

    Args:
        first: the number of the first of them.
        last: the number behind the last of them.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, first, last, **kwargs):
        super().__init__(**kwargs)
        self.first, self.last = int(first), int(last)

    def call(self, entries):
        """(edges,) -> (last - first,)."""
        return entries[self.first : self.last]

    def compute_output_shape(self, input_shape):
        """(last - first,)."""
        return (self.last - self.first,)

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "first": self.first, "last": self.last}


class Turned(keras.layers.Layer):
    """A matrix (targets, sources) as (sources, targets)."""

    def call(self, matrix):
        """(rows, columns) -> (columns, rows)."""
        return keras.ops.transpose(matrix)

    def compute_output_shape(self, input_shape):
        """The shape turned round."""
        return tuple(input_shape)[::-1]


class Times(SameShape):
    """factor * entries, a number of its own for each.

    Args:
        factor: array, flattened, a float32 for each entry. A configuration holds it as text.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = unpacked(factor, "<f4").reshape(-1)

    def call(self, entries):
        """Any shape -> the same shape."""
        dtype = keras.backend.standardize_dtype(entries.dtype)
        factor: Any = keras.ops.convert_to_tensor(self.factor, dtype)
        return keras.ops.reshape(factor, entries.shape) * entries

    def get_config(self):
        """The arguments of the constructor, the factor as text."""
        return {**super().get_config(), "factor": packed(self.factor, "<f4")}


class DenseProduct(keras.layers.Layer):
    """y = x W^T, with a weight W (targets, sources) that is made elsewhere: `layer([x, weight])`."""

    def call(self, inputs):
        """(batch, sources) and (targets, sources) -> (batch, targets)."""
        x, weight = inputs
        return keras.ops.matmul(x, keras.ops.transpose(weight))

    def compute_output_shape(self, input_shape):
        """(batch, targets)."""
        x, weight = input_shape
        return x[0], weight[0]


class DiagonalProduct(keras.layers.Layer):
    """y = weight * x, unit by unit, with a weight that is made elsewhere: `layer([x, weight])`."""

    def call(self, inputs):
        """(batch, units) and (units,) -> (batch, units)."""
        x, weight = inputs
        return x * weight

    def compute_output_shape(self, input_shape):
        """(batch, units)."""
        return input_shape[0]


class AddShared(keras.layers.Layer):
    """y = x + bias, with a bias that is made elsewhere: `layer([x, bias])`."""

    def call(self, inputs):
        """(batch, units) and (units,) -> (batch, units)."""
        x, bias = inputs
        return x + bias

    def compute_output_shape(self, input_shape):
        """(batch, units)."""
        return input_shape[0]
