"""A functional model whose batch has any number of dimensions."""

from typing import Any

import keras


class BatchedModel(keras.Model):
    """A functional model that takes inputs (*batch, ...), as `keras.layers.Dense` does.

    What stands before the shape of an input is the batch, any number of dimensions, none too; outputs have
    the same before theirs.

    Raises:
        ValueError: if an input has another shape, or the batch of one is not that of another.
    """

    @property
    def input_spec(self):
        """None: `call` looks at shapes, and Keras would take a last dimension of 1 that is not declared."""
        return

    @input_spec.setter
    def input_spec(self, spec):
        pass

    def call(self, inputs, training=None, mask=None, **kwargs):
        """Outputs (*batch, ...) of inputs (*batch, ...): one, a list, or a dict by their names."""
        arrays, batch = self._given(inputs)
        if len(batch) == 1:
            return super().call(inputs, training=training, mask=mask, **kwargs)
        shape: Any = keras.ops.shape(arrays[0])
        before = shape[: len(batch)]
        flat = [
            keras.ops.reshape(x, (-1, *tensor.shape[1:]))
            for tensor, x in zip(self.inputs, arrays, strict=True)
        ]
        outputs = super().call(flat if len(flat) > 1 else flat[0], training=training, **kwargs)
        return keras.tree.map_structure(lambda y: keras.ops.reshape(y, (*before, *y.shape[1:])), outputs)

    def load_weights(self, filepath, *arguments, **kwargs):
        """As that of `keras.Model`; where a layer refuses what was saved, all variables stay as they were."""
        before = self.get_weights()
        try:
            super().load_weights(filepath, *arguments, **kwargs)
        except Exception:
            self.set_weights(before)
            raise

    def compute_output_spec(self, inputs, training=None, mask=None):
        """What `call` gives, as Keras tensors."""
        arrays, batch = self._given(inputs)
        if len(batch) == 1:
            return super().compute_output_spec(inputs, training=training, mask=mask)
        flat = [
            keras.KerasTensor(tensor.shape, dtype=x.dtype)
            for tensor, x in zip(self.inputs, arrays, strict=True)
        ]
        outputs = super().compute_output_spec(flat if len(flat) > 1 else flat[0], training=training)
        return keras.tree.map_structure(
            lambda y: keras.KerasTensor((*batch, *y.shape[1:]), dtype=y.dtype), outputs
        )

    def _given(self, inputs):
        """What is given for each of `self.inputs`, as arrays, and the dimensions of the batch."""
        names = [tensor.name for tensor in self.inputs]
        given: Any = inputs
        if isinstance(inputs, dict):
            given = [inputs[name] for name in names if name in inputs]
        given = keras.tree.flatten(given)
        if len(given) != len(names):
            raise ValueError(f"The inputs are {', '.join(names)}, but {len(given)} are given.")
        arrays: Any = [x if hasattr(x, "shape") else keras.ops.convert_to_tensor(x) for x in given]
        shapes = [(t.name, x.shape, t.shape[1:]) for t, x in zip(self.inputs, arrays, strict=True)]
        return arrays, batch_of(shapes)


def batch_of(given):
    """The dimensions of the batch, None where unknown, of a list of (name, shape, declared shape).

    Raises ValueError if a shape is not (*batch, *declared), or if batches differ.
    """
    first = ""
    batch: Any = None
    for name, shape, declared in given:
        shape, declared = tuple(shape), tuple(declared)
        before = max(len(shape) - len(declared), 0)
        if batch is None and not same_sizes(shape[before:], declared):
            wanted = f"({', '.join(['...', *map(str, declared)])})"
            raise ValueError(f"`{name}` must have the shape {wanted}, but has {shape}.")
        if batch is None:
            first, batch = name, shape[:before]
        if not same_sizes(shape, batch + declared):
            why = f"since the batch of `{first}` is {batch}"
            raise ValueError(f"`{name}` must have the shape {batch + declared}, {why}, but has {shape}.")
    return batch


def same_sizes(one, other):
    """Whether two shapes can be the same; None is a size that is not known yet."""
    return len(one) == len(other) and all(a == b or None in (a, b) for a, b in zip(one, other, strict=True))
