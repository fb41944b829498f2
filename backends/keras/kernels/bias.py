"""A bias for each unit, or one that units share, or that some of them lack."""

import base64
import zlib

import keras
import numpy as np

from .same_shape import SameShape


class Bias(SameShape):
    """y[b, u] = x[b, u] + bias[index[u]], and y[b, u] = x[b, u] where index[u] is -1.

    The index is part of the configuration, compressed, and is saved with the weights as well, so that weights
    for another index are refused.

    Args:
        size: number of biases.
        index: integer array of shape (units,), -1 to size - 1: the bias of each unit, or -1 for none. By
            default there are as many units as biases, and each has its own. A configuration holds it as text.
        **kwargs: of `keras.layers.Layer`; `trainable=False` freezes the bias.

    Variables: `bias`, of shape (size,), zero until values are loaded. Input and output: (batch, units).

    Raises:
        ValueError: if the index is out of range, or if weights are loaded that were saved with another.
    """

    def __init__(self, size, index=None, **kwargs):
        super().__init__(**kwargs)
        self.size = int(size)
        if isinstance(index, str):
            index = np.frombuffer(zlib.decompress(base64.b64decode(index)), "<i4")
        self.index = np.arange(self.size) if index is None else np.asarray(index)
        if self.index.ndim != 1:
            raise ValueError(f"`index` must be one-dimensional, but has the shape {self.index.shape}.")
        if len(self.index) and not (self.index.min() >= -1 and self.index.max() < self.size):
            raise ValueError(
                f"`index` must lie in -1 to {self.size - 1}, "
                f"but has {self.index.min()} to {self.index.max()}."
            )
        self._place = None
        if not np.array_equal(self.index, np.arange(self.size)):
            # Units without a bias read a zero behind the last one.
            place = np.where(self.index < 0, self.size, self.index)
            self._place = keras.ops.convert_to_tensor(place, dtype="int32")
        self.input_spec = keras.layers.InputSpec(ndim=2, axes={-1: len(self.index)})
        self.build((None, len(self.index)))

    def build(self, input_shape):
        """Makes the bias."""
        self.bias = self.add_weight(name="bias", shape=(self.size,), initializer="zeros")

    def call(self, x):
        """Maps (batch, units) to the same shape."""
        if self._place is None:
            return x + self.bias
        padded = keras.ops.pad(self.bias, (0, 1))
        return x + keras.ops.take(padded, self._place, axis=0)

    def get_config(self):
        """The arguments of the constructor, the index as base64 of its zlib-compressed int32 values."""
        index = None
        if self._place is not None:
            index = base64.b64encode(zlib.compress(self.index.astype("<i4").tobytes())).decode("ascii")
        return {**super().get_config(), "size": self.size, "index": index}

    def save_own_variables(self, store):
        """Saves the bias and the index."""
        store["bias"] = keras.ops.convert_to_numpy(self.bias)
        store["index"] = self.index.astype(np.int32)

    def load_own_variables(self, store):
        """Loads the bias; one that was saved with another index is refused."""
        if set(store.keys()) != {"bias", "index"}:
            raise ValueError(
                f"Layer `{self.name}` expects ['bias', 'index'], but the file holds {sorted(store.keys())}."
            )
        if not np.array_equal(np.asarray(store["index"]), self.index):
            raise ValueError(f"Layer `{self.name}` has another index than the bias was saved with.")
        self.bias.assign(np.asarray(store["bias"]))
