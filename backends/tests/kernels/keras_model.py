"""The Keras target behind the interface of the checks, on whichever backend Keras has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import keras
import numpy as np

from .expected import Expected
from .keras_backends import (
    as_given,
    as_numpy,
    assign_all,
    called,
    differentiator,
    keras_needs,
    precision,
    pulled_back,
)
from .pieces import in_pieces


class KerasModel:
    """Adapter of the generated Keras module. Layers are made in the precision asked for."""

    name = "keras"
    needs = keras_needs()

    def __init__(self, module: ModuleType, expected: Expected, seed: int = 0, dtype: str = "float64") -> None:
        self.module, self.expected, self.dtype = module, expected, dtype
        with precision(dtype):
            self.model = module.build_model(seed)
        self._adopt()

    def _adopt(self) -> None:
        """Take note of what the model has; units are not dropped until `dropped` asks for it."""
        parts = [part for part in self.model.layers if isinstance(part, keras.layers.Dropout)]
        self.rates = {part.name: part.rate for part in parts}
        self._drop(dict.fromkeys(self.rates, 0.0))
        self.everything = keras.Model(self.model.inputs, self._everything())
        self.differentiators: dict[bool, Any] = {}

    def _everything(self) -> dict[str, Any]:
        """The tensor of every layer; of one that is returned as it is at the last step, that of all steps."""
        tensors: dict[str, Any] = {}
        for name in self.expected.layers:
            tensor = self.model.get_layer(name).output
            whole = len(self.expected.outputs[name]) + 2 if self.expected.is_last_step(name) else 0
            while len(tensor.shape) < whole:
                tensor = keras.tree.flatten(tensor._keras_history.operation.input)[0]
            tensors[name] = tensor
        return tensors

    def _parts(self) -> Iterator[Any]:
        """All layers of Keras, in place of a loop over time those of its step."""
        for part in self.model.layers:
            step = getattr(part, "step", None)
            yield from step.layers if isinstance(step, keras.Model) else [part]

    def _drop(self, rates: dict[str, float]) -> None:
        for name, rate in rates.items():
            self.model.get_layer(name).rate = rate

    def load(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over parameters, in this adapter's precision."""
        with precision(self.dtype):
            self.module.load_arrays(self.model, arrays)

    def arrays(self) -> dict[str, np.ndarray]:
        """All parameters."""
        return self.module.to_arrays(self.model)

    def trained(self) -> set[str]:
        """Names of the trained parameters."""
        trained = {id(variable) for variable in self.model.trainable_variables}
        return {
            name for name, variable in self.module.variables(self.model).items() if id(variable) in trained
        }

    def _tensors(self, data: dict[str, np.ndarray]) -> dict[str, Any]:
        dtypes = {name: self.dtype if array.dtype.kind == "f" else "int32" for name, array in data.items()}
        return {name: keras.ops.convert_to_tensor(array, dtypes[name]) for name, array in data.items()}

    def _inputs(self, data: dict[str, np.ndarray]) -> list[Any]:
        tensors = self._tensors(data)
        return [tensors[name] for name in self.expected.inputs]

    def layers(self, data: dict[str, np.ndarray], training: bool) -> dict[str, np.ndarray]:
        """Every layer's value."""
        with precision(self.dtype):
            values = called(self.everything, self._inputs(data), training)
            return {name: as_numpy(value) for name, value in values.items()}

    def outputs(self, data: dict[str, np.ndarray]) -> list[np.ndarray]:
        """What the model returns."""
        with precision(self.dtype):
            result = called(self.model, self._inputs(data), False)
            return [as_numpy(value) for value in keras.tree.flatten(result)]

    def differentiate(
        self, data: dict[str, np.ndarray], training: bool = True
    ) -> tuple[Any, dict[str, np.ndarray]]:
        """The loss, or that of the tests, and all gradients."""
        with precision(self.dtype):
            return self._differentiate(self._tensors(data), training)

    def _differentiate(self, tensors: dict[str, Any], training: bool) -> tuple[Any, dict[str, np.ndarray]]:
        if training not in self.differentiators:
            self.differentiators[training] = differentiator(self.model, training, self._objective)
        variables = {n: v for n, v in self.module.variables(self.model).items() if n in self.expected.trained}
        inputs = {name: tensors[name] for name in self.expected.inputs}
        arguments = list(variables.values()), list(inputs.values()), tensors
        loss, found = self.differentiators[training](*arguments)
        gradients: dict[str, np.ndarray] = {}
        for (name, of), gradient in zip((variables | inputs).items(), found, strict=True):
            if name in self.expected.classes:
                continue
            array = np.zeros(of.shape, self.dtype) if gradient is None else as_numpy(gradient)
            gradients[name] = array.T if name in variables else array
        return as_numpy(loss)[()], gradients

    def _objective(self, result: Any, losses: list[Any], tensors: dict[str, Any]) -> Any:
        """The loss with penalties: that of the spec, or that of the tests."""
        ops, several = keras.ops, getattr(self.module, "losses", None)
        values = dict(zip(self.expected.outputs, keras.tree.flatten(result), strict=True))
        loss = sum(losses) + sum(ops.sum(values[y] * tensors[d]) for y, d in self.expected.cotangents.items())
        if hasattr(self.module, "Network"):
            constant = {name: ops.stop_gradient(tensor) for name, tensor in tensors.items()}
            read = self.model.read_by_loss(*self._given(constant), result)
            return loss + ops.mean(self.model.loss_by_sample(*read))
        for y, t in self.expected.compared:
            function = several[y] if several else self.module.loss
            loss = loss + ops.mean(function(ops.stop_gradient(tensors[t]), values[y]))
        return loss

    def _given(self, data: dict[str, Any]) -> tuple[Any, Any]:
        """Inputs and targets, as a model that computes its own loss is given them."""
        x = as_given([data[name] for name in self.expected.inputs])
        return x, {name: data[name] for name in self.module.Network.targets} or None

    @contextmanager
    def _alone(self, connection: str) -> Iterator[Any]:
        """The layer of a connection, while what else a dense one has within is a bias of zeros."""
        named = next((part for part in self._parts() if part.name == connection), None)
        if connection in self.expected.shared:
            yield named
            return
        weight = self.module.variables(self.model).get(f"{connection}.weight")
        holders = [part for part in self._parts() if any(held is weight for held in part.weights)]
        part = holders[0] if holders else named
        if not isinstance(part, keras.layers.Dense):
            yield part
            return
        biases = [] if part.bias is None else [part.bias]
        before = [as_numpy(bias) for bias in biases]
        assign_all(biases, [np.zeros_like(bias) for bias in before])
        with patch.object(part, "activation", None):
            yield part
        assign_all(biases, before)

    def project(self, connection: str, x: np.ndarray) -> np.ndarray:
        """One sparse connection by itself."""
        with precision(self.dtype), self._alone(connection) as part:
            given: list[Any] = [x]
            if connection in self.expected.shared:
                given.append(self.expected.given_weight(self.arrays(), connection))
            tensors = [keras.ops.convert_to_tensor(array, self.dtype) for array in given]
            return as_numpy(part(as_given(tensors)))

    def dropped(self, layer: str, seed: int) -> np.ndarray:
        """What a layer's dropout makes of ones; it draws on from where it is, whatever the seed."""
        step = self.expected.dropout[layer][0]
        # What is shaped, or made over time, behind it has its name.
        others = {f"{step}_{what}" for what in ("flat", "alone", "dropout")}
        known = {step, *self.rates} - {name for name in self.expected.layers if name != step}
        part = self.model.get_layer(
            next(n for n in self.rates if n in known and (n == step or n.rstrip("_") in others))
        )
        part.rate = self.rates[part.name]
        units = len(self.expected.dropped_together.get(layer, range(50)))
        with precision(self.dtype):
            dropped = as_numpy(part(keras.ops.ones((500, units)), training=True))
        part.rate = 0.0
        return dropped

    def differentiate_projection(
        self, connection: str, x: np.ndarray, g: np.ndarray, given: np.ndarray | None
    ) -> tuple[Any, Any, Any]:
        """One connection by itself: its sums, the gradients of input and weights; None for frozen weights.

        Weights that are made of parameters are `given`.
        """
        inputs = [x] if given is None else [x, given]
        with precision(self.dtype), self._alone(connection) as part:
            tensors = [
                keras.ops.convert_to_tensor(array, "int32" if array.dtype.kind == "i" else self.dtype)
                for array in inputs
            ]
            y, gradients = pulled_back(part, tensors, keras.ops.convert_to_tensor(g, self.dtype))
            found = (None if d is None else as_numpy(d) for d in gradients)
            of_x, of_weight, *_ = *found, None
            if of_weight is not None and given is None:
                of_weight = of_weight.T  # a dense kernel is (sources, targets)
            elif not part.trainable:
                of_weight = None  # the layer leaves it out
            return as_numpy(y), of_x, of_weight

    def pieces(
        self, data: dict[str, np.ndarray], lengths: list[int]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """All layers' values, and the state behind the last step, of calls that go on from each other."""
        remembers, everything = bool(self.expected.memory), self._everything()
        with precision(self.dtype):
            model = self.module.with_state(self.model, everything) if remembers else self.everything

            def run(inputs: list[Any], state: Any) -> tuple[dict[str, Any], Any]:
                given = as_given(
                    [*self._tensors(dict(zip(self.expected.inputs, inputs, strict=True))).values()]
                )
                if state is not None:
                    state = self._tensors(state)
                elif remembers:
                    state = self.module.initial_state(self.model, len(inputs[0]))
                found: Any = called(model, [(given, state) if remembers else given], False)
                found = keras.tree.map_structure(as_numpy, found)
                return found if remembers else (found, {})

            return in_pieces(self.expected, data, lengths, run)

    def variables(self) -> tuple[dict[str, Any], list[Any], list[Any]]:
        """The variables by the names of parameters, those that are trained, and all of them."""
        return self.module.variables(self.model), self.model.trainable_variables, self.model.weights

    def overwritten(self, data: dict[str, np.ndarray]) -> list[str]:
        """The inputs and targets that are other ones after the loss was differentiated."""
        with precision(self.dtype):
            tensors = self._tensors(data)
            self._differentiate(tensors, True)
            arrays = {name: as_numpy(tensor) for name, tensor in tensors.items()}
        return [name for name, array in arrays.items() if not np.array_equal(array, data[name])]

    def saved(self, file: Path) -> KerasModel:
        """The adapter of this model saved to a `.keras` file and loaded again."""
        loaded = copy(self)
        with precision(self.dtype):
            self._drop(self.rates)
            self.model.save(file)
            self._drop(dict.fromkeys(self.rates, 0.0))
            loaded.model = keras.models.load_model(file, compile=False)
            loaded._adopt()
        return loaded

    def compiled(self, data: dict[str, np.ndarray], weights: np.ndarray) -> tuple[list[np.ndarray], float]:
        """The outputs, and the loss with weights of samples, as compiled functions of Keras give them."""
        with precision(self.dtype):
            x, y = self._compile(data, "sgd")
            outputs = keras.tree.flatten(self.model.predict_on_batch(x))
            return outputs, self.model.test_on_batch(x, y, weights, return_dict=True)["loss"]

    def optimise(self, data: dict[str, np.ndarray], steps: int, rate: float) -> list[float]:
        """Steps of Keras' Adam on the whole batch; returns the loss before each of them."""
        with precision(self.dtype):
            x, y = self._compile(data, keras.optimizers.Adam(rate))
            self.model.optimizer.build(self.model.trainable_variables)  # or TensorFlow traces a step twice
            options = {"batch_size": len(next(iter(data.values()))), "shuffle": False, "verbose": 0}
            return self.model.fit(x, y, epochs=steps, **options).history["loss"]

    def _compile(self, data: dict[str, np.ndarray], optimizer: Any) -> tuple[Any, Any]:
        """Compile the model for its loss, or for that of the tests; returns inputs, and targets by output."""

        def times(cotangent: Any, y: Any) -> Any:
            sizes: Any = keras.ops.shape(y)
            samples: Any = keras.ops.sum(keras.ops.reshape(y * cotangent, (sizes[0], -1)), axis=1)
            return samples * keras.ops.cast(sizes[0], samples.dtype)  # Keras takes the mean

        # On TensorFlow, compiling to machine code takes longer than all else here together.
        machine_code = "auto" if keras.backend.backend() == "jax" else False
        if hasattr(self.module, "Network"):
            self.model.compile(optimizer, jit_compile=machine_code)
            return self._given(data)
        losses = getattr(self.module, "losses", {})
        if not losses and self.expected.compared:
            losses = {self.expected.compared[0][0]: self.module.loss}
        losses = losses | dict.fromkeys(self.expected.cotangents, times)
        targets = dict([*self.expected.compared, *self.expected.cotangents.items()])
        batch = len(next(iter(data.values())))
        # An output that nothing is compared with has no loss, and what it is given for a target is not read.
        y = [
            data[targets[name]] if name in targets else np.zeros((batch, *shape), self.dtype)
            for name, shape in self.expected.outputs.items()
        ]
        loss = [losses.get(name) for name in self.expected.outputs]
        self.model.compile(optimizer, loss=as_given(loss), jit_compile=machine_code)
        return as_given([data[name] for name in self.expected.inputs]), as_given(y)
