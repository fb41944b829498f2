"""Values over time: (batch, steps, ...), and (batch * steps, units) where steps are computed as samples.

What does not recur is computed for all steps at once, and what does in a `Loop`, whose step is a model.
"""

import math
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import keras

from .batched_model import BatchedModel


def with_all_steps(x: Any, steps: Any, shape: tuple[int, ...]) -> Any:
    """The Keras tensor (batch, steps, *shape) that layers give of what they read."""
    return keras.KerasTensor((x.shape[0], steps, *shape), dtype=x.dtype)


class Folded(keras.layers.Layer):
    """(batch, steps, ...) -> (batch * steps, units)."""

    def call(self, x):
        """Every step as a sample."""
        return keras.ops.reshape(x, (-1, math.prod(x.shape[2:])))

    def compute_output_spec(self, x):
        """What `call` gives, as a Keras tensor."""
        return keras.KerasTensor((None, math.prod(x.shape[2:])), dtype=x.dtype)


class InSteps(keras.layers.Layer):
    """A layer that gives (batch, steps, *shape).

    Args:
        shape: the shape of one step.
        steps: how many there are. Without it, there are as many as in a tensor (batch, steps, ...) that comes
            with what is read: `layer([x, clock])` in place of `layer(x)`.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, shape, steps=None, **kwargs):
        super().__init__(**kwargs)
        self.shape, self.steps = tuple(shape), steps

    def given(self, inputs) -> Any:
        """What is read, and how many steps there are: None for Keras tensors whose steps are not known."""
        if self.steps is not None:
            return inputs, self.steps
        x, clock = inputs
        if isinstance(clock, keras.KerasTensor):
            return x, clock.shape[1]
        sizes: Any = keras.ops.shape(clock)
        return x, sizes[1]

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "shape": list(self.shape), "steps": self.steps}


class OverTime(InSteps):
    """(batch * steps, units) -> (batch, steps, *shape)."""

    def call(self, inputs):
        """The steps of each sample."""
        x, steps = self.given(inputs)
        return keras.ops.reshape(x, (-1, steps, *self.shape))

    def compute_output_spec(self, inputs):
        """What `call` gives, as a Keras tensor."""
        x, steps = self.given(inputs)
        return keras.KerasTensor((None, steps, *self.shape), dtype=x.dtype)


class EveryStep(InSteps):
    """(batch, ...) -> (batch, steps, *shape): what is the same at every step."""

    def call(self, inputs):
        """The same for each step."""
        x, steps = self.given(inputs)
        sizes: Any = keras.ops.shape(x)
        once = keras.ops.reshape(x, (-1, 1, *self.shape))
        return keras.ops.broadcast_to(once, (sizes[0], steps, *self.shape))

    def compute_output_spec(self, inputs):
        """What `call` gives, as a Keras tensor."""
        x, steps = self.given(inputs)
        return with_all_steps(x, steps, self.shape)


class Ones(InSteps):
    """Ones (batch * steps, units), of which a layer behind it drops some."""

    def call(self, inputs):
        """A one for each unit at each step of each sample that is given."""
        x, steps = self.given([inputs, inputs] if self.steps is None else inputs)
        sizes: Any = keras.ops.shape(x)
        return keras.ops.ones((sizes[0] * steps, *self.shape), self.compute_dtype)

    def compute_output_spec(self, inputs):
        """What `call` gives, as a Keras tensor."""
        return keras.KerasTensor((None, *self.shape), dtype=self.compute_dtype)


class Before(keras.layers.Layer):
    """What a value was before the first step, (batch, steps, *shape): of a call for as many samples as x has.

    Args:
        steps: how many steps back it is read.
        shape: the shape of one step.
        start: what it was, at all these steps: a number, or None for a parameter of one number a unit.
        **kwargs: of `keras.layers.Layer`.

    Variables: `start`, of shape (units,), zero until values are loaded; none where a number is given.
    """

    def __init__(self, steps, shape, start: float | None = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.steps, self.shape, self.number = int(steps), tuple(shape), start
        self.build(None)

    def build(self, input_shape):
        """Makes the parameter."""
        self.start: Any = None
        if self.number is None:
            self.start = self.add_weight(name="start", shape=(math.prod(self.shape),), initializer="zeros")

    def call(self, x):
        """x of shape (batch, ...) -> (batch, steps, *shape)."""
        sizes: Any = keras.ops.shape(x)
        start: Any = self.start
        if start is None:
            start = keras.ops.full((math.prod(self.shape),), self.number, self.compute_dtype)
        start = keras.ops.reshape(start, (1, 1, *self.shape))
        return keras.ops.broadcast_to(start, (sizes[0], self.steps, *self.shape))

    def compute_output_spec(self, x):
        """What `call` gives, as a Keras tensor."""
        return keras.KerasTensor((x.shape[0], self.steps, *self.shape), dtype=self.compute_dtype)

    def get_config(self):
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "steps": self.steps,
            "shape": list(self.shape),
            "start": self.number,
        }


class Delayed(keras.layers.Layer):
    """What a value (batch, steps, ...) was some steps before each step.

    Args:
        delay: how many.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, delay, **kwargs):
        super().__init__(**kwargs)
        self.delay = int(delay)

    def call(self, inputs):
        """A value, and what it was before the first step -> as many steps as it has."""
        x, before = inputs
        first = before[:, before.shape[1] - self.delay :]
        joined: Any = keras.ops.concatenate([first, x], axis=1)
        return joined[:, : -self.delay]

    def compute_output_spec(self, inputs):
        """That of the value."""
        return keras.KerasTensor(inputs[0].shape, dtype=inputs[0].dtype)

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "delay": self.delay}


class LastStep(keras.layers.Layer):
    """(batch, steps, ...) -> (batch, ...)."""

    def call(self, x):
        """The last step."""
        return x[:, -1]

    def compute_output_spec(self, x):
        """What `call` gives, as a Keras tensor."""
        return keras.KerasTensor((x.shape[0], *x.shape[2:]), dtype=x.dtype)


class Beside(keras.layers.Layer):
    """Passes on the first of its inputs; the others are in the model because it reads them."""

    def call(self, inputs):
        """The first."""
        return inputs[0]

    def compute_output_spec(self, inputs):
        """That of the first."""
        return keras.KerasTensor(inputs[0].shape, dtype=inputs[0].dtype)


class LastSteps(keras.layers.Layer):
    """What a value is before the first step of a call that goes on behind the last step of this one."""

    def call(self, inputs):
        """What it was before the first step of this one, and it at all steps -> as many steps as before."""
        before, x = inputs
        joined: Any = keras.ops.concatenate([before, x], axis=1)
        return joined[:, -before.shape[1] :]

    def compute_output_spec(self, inputs):
        """That of what it was before."""
        return keras.KerasTensor(inputs[0].shape, dtype=inputs[0].dtype)


class StepCell(keras.layers.Layer):
    """One step of a `Loop`, as `keras.layers.RNN` calls it.

    Its state is what layers were at as many earlier steps as they are read, the oldest first, layer by layer.
    What is the same at every step stands in `constants` while the loop runs.
    """

    def __init__(self, step, sequences, delays, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.step, self.delays = step, [(at, back) for at, back in delays]
        self.widths = [tensor.shape[1] for tensor in step.inputs[:sequences]]
        sizes = [tensor.shape[1] for tensor in step.outputs]
        self.memory = {at: max(b for a, b in self.delays if a == at) for at, _ in self.delays}
        self.state_size = [sizes[at] for at, steps in self.memory.items() for _ in range(steps)]
        self.output_size = sum(sizes)
        self.constants = SimpleNamespace(values=[])  # out of sight for what looks for variables
        self.built = True

    @contextmanager
    def holding(self, constants):
        """The cell as it is within: with these constants."""
        self.constants.values = constants
        try:
            yield
        finally:
            self.constants.values = []

    def call(self, inputs, states):
        """What enters at a step, (batch, units of all), and the state -> all layers, and the state."""
        given, begin = [], 0
        for width in self.widths:
            given.append(inputs[:, begin : begin + width])
            begin += width
        held, begin = {}, 0
        for at, steps in self.memory.items():
            held[at] = [*states[begin : begin + steps]]
            begin += steps
        earlier = [held[at][-back] for at, back in self.delays]
        values: Any = keras.tree.flatten(self.step([*given, *self.constants.values, *earlier]))
        values = [keras.ops.cast(value, self.compute_dtype) for value in values]
        moved = [x for at, steps in held.items() for x in [*steps[1:], values[at]]]
        return values[0] if len(values) == 1 else keras.ops.concatenate(values, axis=1), moved


class Loop(keras.layers.Layer):
    """Layers that read earlier steps of themselves, or of each other, computed step by step.

    Args:
        step: a model of one step. Its inputs, (batch, units) each, are what enters at a step, then what is
            the same at every step, then what layers were at earlier steps; its outputs are the layers.
        shapes: the shapes of the layers.
        delays: for each of the last inputs the number of a layer, and how many steps before it is read.
        sequences: how many inputs are first.
        steps: how many steps there are, where nothing enters that has steps.
        **kwargs: of `keras.layers.Layer`.

    Input: a list of what enters, (batch, steps, ...) each, of what is the same at every step, and of what
    each layer that is read was before the first step, (batch, how many, ...). Output: the layers, (batch,
    steps, *shape) each; one alone is no list.
    """

    def __init__(self, step, shapes, delays, *, sequences, steps=None, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.step, self.shapes = step, [tuple(shape) for shape in shapes]
        self.delays, self.sequences, self.steps = [tuple(each) for each in delays], int(sequences), steps
        self.cell = StepCell(step, self.sequences, self.delays, dtype=self.dtype_policy)
        self.rnn = keras.layers.RNN(self.cell, return_sequences=True, dtype=self.dtype_policy)
        self.rnn.build((None, None, sum(self.cell.widths) or 1))
        self.rnn.built = True
        self.build(None)

    def build(self, input_shape):
        """The variables are those of the step."""
        self.built = True

    def call(self, inputs):
        """All layers at all steps."""
        first = len(inputs) - len(self.cell.memory)
        constants, before = inputs[self.sequences : first], inputs[first:]
        sizes: Any = keras.ops.shape(before[0])
        entering = [self._flat(x) for x in inputs[: self.sequences]]
        if not entering:
            entering = [keras.ops.zeros((sizes[0], self.steps, 1), self.compute_dtype)]
        entering = entering[0] if len(entering) == 1 else keras.ops.concatenate(entering, axis=2)
        state = [
            x[:, at]
            for x, steps in zip(map(self._flat, before), self.cell.memory.values(), strict=True)
            for at in range(x.shape[1] - steps, x.shape[1])
        ]
        with self.cell.holding(constants):
            values: Any = self.rnn(entering, initial_state=state)
        sizes = keras.ops.shape(values)
        layers, begin = [], 0
        for shape in self.shapes:
            units = math.prod(shape)
            value = values[:, :, begin : begin + units]
            begin += units
            layers.append(value if len(shape) == 1 else keras.ops.reshape(value, (-1, sizes[1], *shape)))
        return layers[0] if len(layers) == 1 else layers

    def _flat(self, x: Any) -> Any:
        """(batch, steps, ...) -> (batch, steps, units)."""
        sizes: Any = keras.ops.shape(x)
        x = keras.ops.cast(x, self.compute_dtype)
        return x if len(sizes) == 3 else keras.ops.reshape(x, (-1, sizes[1], math.prod(x.shape[2:])))

    def compute_output_spec(self, inputs):
        """What `call` gives, as Keras tensors."""
        steps = inputs[0].shape[1] if self.sequences else self.steps
        layers = [
            keras.KerasTensor((inputs[-1].shape[0], steps, *shape), dtype=self.compute_dtype)
            for shape in self.shapes
        ]
        return layers[0] if len(layers) == 1 else layers

    def get_config(self):
        """The arguments of the constructor, the step as a configuration of its own."""
        return {
            **super().get_config(),
            "step": keras.saving.serialize_keras_object(self.step),
            "shapes": [list(shape) for shape in self.shapes],
            "delays": [list(each) for each in self.delays],
            "sequences": self.sequences,
            "steps": self.steps,
        }

    @classmethod
    def from_config(cls, config):
        """The layer of what `get_config` gave."""
        return cls(**{**config, "step": keras.saving.deserialize_keras_object(config["step"])})


def continued(model, state, outputs=None):
    """The model for calls that go on from each other, of the same layers: see `with_state`.

    `state` has, by the name of what is read late, the layers of `model` that give what it was before the
    first step, and it at all steps.
    """

    def like(tensor, name):
        return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=name)

    def one_or_all(tensors):
        return tensors[0] if len(tensors) == 1 else list(tensors)

    # No name of a spec has two underscores together.
    given = [like(tensor, tensor.name) for tensor in model.inputs]
    before = {
        name: like(model.get_layer(first).output, f"{name}__before") for name, (first, _) in state.items()
    }
    names = {first: name for name, (first, _) in state.items()}
    returned = one_or_all(model.outputs) if outputs is None else outputs
    late = [model.get_layer(layer).output for _, layer in state.values()]
    wanted = keras.Model([*model.inputs, *before.values()], [*keras.tree.flatten(returned), *late])

    def called(layer, *arguments, **named):
        return before[names[layer.name]] if layer.name in names else layer(*arguments, **named)

    # Called once more, layers have a second place in a graph, and the model stays as it is.
    again = keras.models.clone_model(
        wanted,
        input_tensors=[*given, *before.values()],
        clone_function=lambda layer: layer,
        call_function=called,
    )
    count = len(again.outputs) - len(late)
    returned = keras.tree.pack_sequence_as(returned, again.outputs[:count])
    behind = {
        name: LastSteps(name=f"{name}__behind")([before[name], x])
        for name, x in zip(state, again.outputs[count:], strict=True)
    }
    return BatchedModel((one_or_all(given), before), (returned, behind), name=f"{model.name}_on")


def before_first(model, state, batch):
    """What values were before the first step, by name, (batch, how many steps are read, ...)."""
    samples = keras.ops.zeros((batch, 1))
    return {name: model.get_layer(first)(samples) for name, (first, _) in state.items()}
