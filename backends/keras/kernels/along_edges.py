"""What all layers along edges share, however their edges are given."""

from contextlib import nullcontext
from typing import Any

import keras
import numpy as np

from ...common.kernels.edge_digest import edge_digest


def check_edges(source, target, shape):
    """Raises ValueError unless the edges are in range, sorted by target and then source, and distinct."""
    if source.ndim != 1 or source.shape != target.shape:
        raise ValueError(
            "`source` and `target` must be one-dimensional and of equal length, but have the shapes "
            f"{source.shape} and {target.shape}."
        )
    for name, unit, size in (("target", target, shape[0]), ("source", source, shape[1])):
        if len(unit) and not (unit.min() >= 0 and unit.max() < size):
            raise ValueError(f"`{name}` must lie in 0 to {size - 1}, but has {unit.min()} to {unit.max()}.")
    later = (target[1:] > target[:-1]) | ((target[1:] == target[:-1]) & (source[1:] > source[:-1]))
    if not later.all():
        at = int(np.argmin(later))
        raise ValueError(
            "Edges must be distinct and sorted by target, then source, but edge "
            f"{at} is {source[at]} -> {target[at]} and edge {at + 1} is {source[at + 1]} -> {target[at + 1]}."
        )


class AlongEdges(keras.layers.Layer):
    """y[b, t] = sum over the edges e = (s -> t) of weight[e] * x[b, s].

    A layer that derives from it calls `add_edges` at the end of its constructor, and has the methods

    - `edges()`, which gives the source and the target of every edge, integer arrays of shape (edges,),
      sorted by target, those of one target by source;
    - `project(x, weight, dtype)`, which computes y from `x`, of shape (batch, source units), and `weight`, of
      shape (edges,), or None where the layer is a plain sum, adding up in `dtype`. It returns y and a
      function, `gradients(upstream, of_weight)`, from the gradient of y to those of x and of the weight, the
      latter only if `of_weight` is true.

    `indices` are the `IndexArrays` that both of these functions read, if there are any.
    What is saved with the weight is the digest of the edges; with another, the weight is refused. Where
    weights are `given`, they are made elsewhere: the layer has none, and is called as `layer([x, weight])`.
    """

    indices: Any = None

    def __init__(self, shape, weighted, regularizer, given=False, **kwargs):
        super().__init__(**kwargs)
        self.given = given
        self.shape = (int(shape[0]), int(shape[1]))
        self.weighted = weighted
        self.regularizer = keras.regularizers.get(regularizer)
        self._digest: Any = None

    def add_edges(self, count):
        """Makes the layer one of `count` edges."""
        self.count = int(count)
        if not self.given:
            self.input_spec = keras.layers.InputSpec(ndim=2, axes={-1: self.shape[1]})
        self.build((None, self.shape[1]))

    def build(self, input_shape):
        """Makes the weight, of shape (edges,), zero until values are loaded."""
        self.weight: Any = None
        if self.weighted:
            self.weight = self.add_weight(
                name="weight",
                shape=(self.count,),
                initializer="zeros",
                regularizer=self.regularizer,
                autocast=False,
            )

    def call(self, x):
        """Maps (batch, source units) to (batch, target units); `given` weights come with x, as a list."""
        x, weight = x if self.given else (x, self.weight)
        dtype = self.compute_dtype
        sum_dtype = "float32" if dtype in ("float16", "bfloat16") else dtype

        def project(x, weight=None):
            # In TensorFlow, what a gradient reads within a loop over time must be of the loop.
            indices = self.indices if keras.backend.backend() == "tensorflow" else None
            reading = nullcontext if indices is None else indices.traced()
            with reading():
                y, gradients = self.project(x, weight, sum_dtype)

            def gradient(*arguments, upstream=None):
                # The torch backend passes `upstream` by name, after the inputs; the others by position.
                if upstream is None:
                    (upstream,) = arguments
                with reading():
                    of_x, of_weight = gradients(upstream, weight is not None and self.trainable)
                of_x = keras.ops.cast(of_x, x.dtype)
                if weight is None:
                    return of_x
                return of_x, keras.ops.zeros_like(weight) if of_weight is None else of_weight

            return y, gradient

        if weight is None:
            y = keras.ops.custom_gradient(project)(keras.ops.cast(x, sum_dtype))
        else:
            # With the variable itself, TensorFlow asks `gradient` for its gradient by name.
            copied = keras.backend.backend() == "tensorflow"
            weight = keras.ops.copy(weight) if copied else keras.ops.convert_to_tensor(weight)
            weight = keras.ops.cast(weight, sum_dtype)
            y = keras.ops.custom_gradient(project)(x, weight)
        return keras.ops.cast(y, dtype)

    @property
    def digest(self):
        """The SHA-256 of the edges as four int64."""
        if self._digest is None:
            source, target = self.edges()
            self._digest = edge_digest(source, target, self.shape)
        return self._digest.copy()

    def compute_output_shape(self, input_shape):
        """(batch, target units)."""
        return ((input_shape[0] if self.given else input_shape)[0], self.shape[0])

    def get_config(self):
        """The arguments of the constructor that say no edges."""
        return {
            **super().get_config(),
            "shape": list(self.shape),
            "weighted": self.weighted,
            "regularizer": keras.regularizers.serialize(self.regularizer),
            **({"given": True} if self.given else {}),
        }

    def save_own_variables(self, store):
        """Saves the digest of the edges and the weight."""
        store["digest"] = self.digest
        if self.weight is not None:
            store["weight"] = keras.ops.convert_to_numpy(self.weight)

    def load_own_variables(self, store):
        """Loads the weight; one that was saved with other edges is refused."""
        self.check_names(store, "digest")
        self.check_digest(np.asarray(store["digest"]))
        if self.weight is not None:
            self.weight.assign(np.asarray(store["weight"]))

    def check_names(self, store, *names):
        """Raises ValueError unless a file holds these names, and the weight if there is one."""
        expected = {*names, "weight"} if self.weighted else {*names}
        if set(store.keys()) != expected:
            raise ValueError(
                f"Layer `{self.name}` expects {sorted(expected)}, but the file holds {sorted(store.keys())}."
            )

    def check_digest(self, digest):
        """Raises ValueError unless this is the digest of the edges."""
        if not np.array_equal(digest, self.digest):
            raise ValueError(
                f"Layer `{self.name}` has other edges ({self.count}) than those the weights were saved with: "
                "weights belong to edges one by one, so they cannot be loaded."
            )


class ListedEdges(AlongEdges):
    """A layer whose edges are a list, saved with the weight; a configuration names them by their digest.

    A layer that derives from it has `make_tables(source, target)`, which gives an object with `source` and
    `target` and whatever else `project` reads, and `living`, a dictionary of these by digest: equal layers
    share their tables.

    Args:
        shape: (number of target units, number of source units).
        source: integer array of shape (edges,): the source unit of each edge.
        target: integer array of shape (edges,): the target unit of each edge. Edges are sorted by target,
            those of one target by source, and occur once.
        weighted: whether each edge has a weight; otherwise the layer is a plain sum without variables.
        regularizer: a Keras regularizer of the weight, or None.
        edges: {"count": number of edges, "digest": their SHA-256}, from a configuration, in place of
            `source` and `target`.
        **kwargs: of `keras.layers.Layer`; `trainable=False` freezes the weight.

    Input: (batch, source units). Output: (batch, target units).

    Raises:
        ValueError: if the edges are out of range, out of order or not distinct; if weights are loaded that
            were saved with other edges; if the layer is called before it has edges.
    """

    def __init__(
        self,
        shape,
        source: Any = None,
        target: Any = None,
        *,
        weighted=True,
        regularizer=None,
        edges: Any = None,
        **kwargs,
    ):
        super().__init__(shape, weighted, regularizer, **kwargs)
        if edges is not None:
            self._digest = np.frombuffer(bytes.fromhex(edges["digest"]), "<i8").astype(np.int64)
            self._tables = self.living.get(edges["digest"])
        elif source is None or target is None:
            raise ValueError(f"`{type(self).__name__}` needs `source` and `target`.")
        else:
            source, target = np.asarray(source, np.int64), np.asarray(target, np.int64)
            check_edges(source, target, self.shape)
            self._digest = edge_digest(source, target, self.shape)
            self._adopt(source, target)
        self.add_edges(len(source) if edges is None else edges["count"])

    def _name_of_edges(self):
        return self._digest.astype("<i8").tobytes().hex()

    def _adopt(self, source, target):
        """Takes on the edges of the digest."""
        self._tables = self.living.get(self._name_of_edges()) or self.make_tables(source, target)
        self.living[self._name_of_edges()] = self._tables

    @property
    def tables(self):
        """What `make_tables` gave. Raises ValueError if the layer has no edges yet."""
        if self._tables is None:
            raise ValueError(
                f"Layer `{self.name}` has no edges yet: it was made from a configuration alone. Load weights "
                "that were saved with its edges, or make it from `source` and `target`."
            )
        return self._tables

    @property
    def indices(self):
        """The indices in the tables."""
        return self.tables.indices

    def edges(self):
        """The source and the target of every edge, int32 arrays of shape (edges,)."""
        return self.tables.source, self.tables.target

    def get_config(self):
        """The arguments of the constructor, with the edges given by their number and digest."""
        edges = {"count": self.count, "digest": self._name_of_edges()}
        return {**super().get_config(), "edges": edges}

    def save_own_variables(self, store):
        """Saves the edges and the weight."""
        store["source"], store["target"] = self.edges()
        if self.weight is not None:
            store["weight"] = keras.ops.convert_to_numpy(self.weight)

    def load_own_variables(self, store):
        """Loads the weight, and the edges if the layer has none yet; other edges are refused."""
        self.check_names(store, "source", "target")
        source, target = np.asarray(store["source"]), np.asarray(store["target"])
        self.check_digest(edge_digest(source, target, self.shape))
        if self._tables is None:
            self._adopt(source, target)
        if self.weight is not None:
            self.weight.assign(np.asarray(store["weight"]))
