"""The Keras target behind the interface of the checks, on whichever backend Keras has."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import keras
import numpy as np

from .expected import Expected
from .keras_backends import called, differentiator, keras_needs, precision


class KerasModel:
    """Adapter of the generated Keras module. Layers are made in the precision asked for."""

    name = "keras"
    needs = keras_needs()

    def __init__(self, module: ModuleType, expected: Expected, seed: int = 0, dtype: str = "float64") -> None:
        self.module, self.expected, self.dtype = module, expected, dtype
        with precision(dtype):
            self.model = module.build_model(seed)
        self.rates = {
            part.name: part.rate for part in self.model.layers if isinstance(part, keras.layers.Dropout)
        }
        for name in self.rates:
            self.model.get_layer(name).rate = 0.0
        everything = {name: self.model.get_layer(name).output for name in expected.layers}
        self.everything = keras.Model(self.model.inputs, everything)
        self.differentiators: dict[bool, Any] = {}

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
            return {name: keras.ops.convert_to_numpy(value) for name, value in values.items()}

    def outputs(self, data: dict[str, np.ndarray]) -> list[np.ndarray]:
        """What the model returns."""
        with precision(self.dtype):
            result = called(self.model, self._inputs(data), False)
            return [keras.ops.convert_to_numpy(value) for value in keras.tree.flatten(result)]

    def differentiate(
        self, data: dict[str, np.ndarray], training: bool = True
    ) -> tuple[Any, dict[str, np.ndarray]]:
        """The loss, or that of the tests, and all gradients."""
        variables = {n: v for n, v in self.module.variables(self.model).items() if n in self.expected.trained}
        with precision(self.dtype):
            if training not in self.differentiators:
                self.differentiators[training] = differentiator(self.model, training, self._objective)
            arguments = list(variables.values()), self._inputs(data), self._tensors(data)
            loss, found = self.differentiators[training](*arguments)
            arrays = [None if part is None else keras.ops.convert_to_numpy(part) for part in found]
            loss = keras.ops.convert_to_numpy(loss)[()]
        shapes = [variable.shape for variable in variables.values()]
        shapes += [data[name].shape for name in self.expected.inputs]
        arrays = [np.zeros(s) if array is None else array for array, s in zip(arrays, shapes, strict=True)]
        gradients = dict(zip([*variables, *self.expected.inputs], arrays, strict=True))
        return loss, {n: array.T if n in variables else array for n, array in gradients.items()}

    def _objective(self, result: Any, losses: list[Any], tensors: dict[str, Any]) -> Any:
        """The loss with penalties: that of the spec, or that of the tests."""
        ops, several = keras.ops, getattr(self.module, "losses", None)
        values = dict(zip(self.expected.outputs, keras.tree.flatten(result), strict=True))
        loss = sum(losses) + sum(ops.sum(values[y] * tensors[d]) for y, d in self.expected.cotangents.items())
        for y, t in self.expected.compared:
            function = several[y] if several else self.module.loss
            loss = loss + ops.mean(function(ops.stop_gradient(tensors[t]), values[y]))
        return loss

    def project(self, connection: str, x: np.ndarray) -> np.ndarray:
        """One sparse connection by itself."""
        with precision(self.dtype):
            y = self.model.get_layer(connection)(keras.ops.convert_to_tensor(x, self.dtype))
            return keras.ops.convert_to_numpy(y)

    def dropped(self, layer: str, seed: int) -> np.ndarray:
        """What a layer's dropout makes of ones; it draws on from where it is, whatever the seed."""
        part = self.model.get_layer(self.expected.dropout[layer][0])
        part.rate = self.rates[part.name]
        with precision(self.dtype):
            dropped = keras.ops.convert_to_numpy(part(keras.ops.ones((500, 50)), training=True))
        part.rate = 0.0
        return dropped
