"""The Keras target behind the interface of the checks, on the TensorFlow backend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .expected import Expected


@contextmanager
def precision(dtype: str) -> Iterator[None]:
    """Layers made within have this data type, and losses are added up in it."""
    usual = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx(usual[0])
        keras.config.set_dtype_policy(usual[1])


class KerasModel:
    """Adapter of the generated Keras module. Layers are made in the precision asked for."""

    name = "keras"
    needs = ("keras", "tensorflow")

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

    def load(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over parameters, in this adapter's precision."""
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
        return {n: tf.constant(a, self.dtype if a.dtype.kind == "f" else "int32") for n, a in data.items()}

    def _inputs(self, tensors: dict[str, Any]) -> Any:
        values = [tensors[name] for name in self.expected.inputs]
        return values[0] if len(values) == 1 else values

    def layers(self, data: dict[str, np.ndarray], training: bool) -> dict[str, np.ndarray]:
        """Every layer's value."""
        values = self.everything(self._inputs(self._tensors(data)), training=training)
        return {name: value.numpy() for name, value in values.items()}

    def outputs(self, data: dict[str, np.ndarray]) -> list[np.ndarray]:
        """What the model returns."""
        result = self.model(self._inputs(self._tensors(data)), training=False)
        return [value.numpy() for value in (result if isinstance(result, list | tuple) else [result])]

    def differentiate(
        self, data: dict[str, np.ndarray], training: bool = True
    ) -> tuple[Any, dict[str, np.ndarray]]:
        """The loss, or that of the tests, and all gradients."""
        tensors = self._tensors(data)
        inputs = {name: tensors[name] for name in self.expected.inputs}
        variables = {n: v for n, v in self.module.variables(self.model).items() if n in self.expected.trained}
        several = getattr(self.module, "losses", None)
        with precision(self.dtype), tf.GradientTape() as tape:
            tape.watch(list(inputs.values()))
            result = self.model(self._inputs(inputs), training=training)
            outputs = result if isinstance(result, list | tuple) else [result]
            values = dict(zip(self.expected.outputs, outputs, strict=True))
            parts = [
                (several[y] if several else self.module.loss)(tf.stop_gradient(tensors[t]), values[y])
                for y, t in self.expected.compared
            ]
            loss = sum(tf.reduce_mean(part) for part in parts) + sum(self.model.losses)
            loss += sum(tf.reduce_sum(values[y] * tensors[d]) for y, d in self.expected.cotangents.items())
        wanted = {n: v.value for n, v in variables.items()} | inputs
        gradients = tape.gradient(loss, wanted, unconnected_gradients="zero")
        arrays = {name: np.asarray(gradient) for name, gradient in gradients.items()}
        return loss.numpy(), {n: a.T if n in variables else a for n, a in arrays.items()}

    def project(self, connection: str, x: np.ndarray) -> np.ndarray:
        """One sparse connection by itself."""
        return self.model.get_layer(connection)(tf.constant(x, self.dtype)).numpy()

    def dropped(self, layer: str, seed: int) -> np.ndarray:
        """What a layer's dropout makes of ones; it draws on from where it is, whatever the seed."""
        part = self.model.get_layer(self.expected.dropout[layer][0])
        if part.name not in self.rates:  # of an output on a grid, the name is that of its shape
            part = next(
                self.model.get_layer(n) for n in self.rates if self.model.get_layer(n).output is part.input
            )
        part.rate = self.rates[part.name]
        dropped = part(tf.ones((500, 50)), training=True).numpy()
        part.rate = 0.0
        return dropped
