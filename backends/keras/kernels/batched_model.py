"""A functional model whose batch has any number of dimensions."""

from typing import Any

import keras


class BatchedModel(keras.Model):
    """A functional model that takes inputs (*batch, ...), as `keras.layers.Dense` does.

    What stands before the shape of an input is the batch, any number of dimensions, none too; outputs have
    the same before theirs. An input over time is (*batch, steps, ...), with as many steps as there are.

    Raises:
        ValueError: if an input has another shape, or the batch of one is not that of another; over time, if
            numbers of steps differ, if there is none, or if there is a mask.
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
        if self._over_time() and any(each is not None for each in keras.tree.flatten(mask)):
            raise ValueError(
                "A network over time takes no mask: it computes every step of every sequence, so those that "
                "are given together have one length."
            )
        if len(batch) == 1:
            return super().call(inputs, training=training, mask=mask, **kwargs)
        shape: Any = keras.ops.shape(arrays[0])
        before = shape[: len(batch)]
        flat = [keras.ops.reshape(x, (-1, *sizes_behind(x, len(batch)))) for x in arrays]
        outputs = super().call(self._as_taken(inputs, flat), training=training, **kwargs)
        return keras.tree.map_structure(
            lambda y: keras.ops.reshape(y, (*before, *sizes_behind(y, 1))), outputs
        )

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
        outputs = super().compute_output_spec(self._as_taken(inputs, flat), training=training)
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
        batch = batch_of(shapes)
        steps = {name: shape[len(batch)] for name, shape, _ in shapes if name in self._over_time()}
        if len(sizes := {*steps.values()} - {None}) > 1 or 0 in sizes:
            said = ", ".join(f"`{name}` has {size}" for name, size in steps.items())
            raise ValueError(f"Inputs over time have one number of steps, and at least one: {said}.")
        return arrays, batch

    def _over_time(self):
        """The names of the inputs that have any number of steps."""
        return {tensor.name for tensor in self.inputs if tensor.shape[1:2] == (None,)}

    def _as_taken(self, inputs, arrays):
        """Arrays in the structure that the functional model takes."""
        if isinstance(inputs, tuple):
            return keras.tree.pack_sequence_as(inputs, arrays)
        return arrays if len(arrays) > 1 else arrays[0]


def sizes_behind(x, rank) -> Any:
    """The sizes of an array's dimensions behind some, numbers where they are known."""
    sizes: Any = keras.ops.shape(x)
    return sizes[rank:]


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
            wanted = f"({', '.join(['...', *('steps' if n is None else str(n) for n in declared)])})"
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
