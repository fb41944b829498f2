"""What differs between the backends of Keras: how to differentiate, and how double precision is allowed.

Each imports its own framework alone, where it is used: Keras has it by then.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import keras
import numpy as np


def as_numpy(value: Any) -> np.ndarray:
    """The array of a tensor, on whichever backend."""
    return np.asarray(keras.ops.convert_to_numpy(value))


def keras_needs() -> tuple[str, str]:
    """The packages of the Keras target. Its backend is what KERAS_BACKEND says, or Keras' own settings.

    These are read here as Keras reads them, because Keras cannot be imported without its backend.
    """
    settings: dict[str, str] = {}
    with suppress(OSError, ValueError):
        home = os.environ.get("KERAS_HOME", os.path.expanduser("~/.keras"))
        settings = json.loads(Path(home, "keras.json").read_text(encoding="utf-8"))
    return "keras", os.environ.get("KERAS_BACKEND") or settings.get("backend", "tensorflow")


@contextmanager
def precision(dtype: str) -> Iterator[None]:
    """What is made or computed within has this data type, and losses are added up in it."""
    usual = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        with doubles() if dtype == "float64" else nullcontext():
            yield
    finally:
        keras.config.set_floatx(usual[0])
        keras.config.set_dtype_policy(usual[1])


@contextmanager
def doubles() -> Iterator[None]:
    """Double precision is double within, whatever the backend.

    JAX has it only if told so. And on every backend but TensorFlow, whatever the policy is, Keras rounds what
    some of its functions return, such as `mean`, to the single precision of this table.
    """
    from keras.src.backend.common import dtypes

    with patch.dict(dtypes.BIT64_TO_BIT32_DTYPE, {"float64": "float64"}), ExitStack() as restored:
        if keras.backend.backend() == "jax":
            import jax

            restored.callback(jax.config.update, "jax_enable_x64", jax.config.read("jax_enable_x64"))
            jax.config.update("jax_enable_x64", True)
        yield


def as_given(inputs: list[Any]) -> Any:
    """What a model is called with: its one input, or a list of them."""
    return inputs[0] if len(inputs) == 1 else inputs


def called(model: Any, inputs: list[Any], training: bool) -> Any:
    """What a model returns, whose running statistics move in training. On JAX it is compiled."""
    given = as_given(inputs)
    if keras.backend.backend() != "jax":
        return model(given, training=training)
    import jax

    trained, others = model.trainable_variables, model.non_trainable_variables
    compiled = jax.jit(lambda *state: model.stateless_call(*state, given, training=training))
    result, moved = compiled([v.value for v in trained], [v.value for v in others])
    assign_all(others, moved)
    return result


def assign_all(variables: list[Any], values: list[Any]) -> None:
    """Give variables their new values."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def differentiator(
    model: Any, training: bool, objective: Callable[[Any, list[Any], dict[str, Any]], Any]
) -> Any:
    """A function from a model's inputs, and the data of an objective, to its value and its gradients.

    The objective is a scalar of what the model returns, of the model's losses and of the data. Gradients are
    those of some variables and of the inputs, lists in this order, None for what it does not depend on, and
    nothing that means anything for inputs of codes.
    """
    ways = {
        "tensorflow": differentiator_on_tensorflow,
        "jax": differentiator_on_jax,
        "torch": differentiator_on_torch,
    }
    backend = keras.backend.backend()
    if backend not in ways:
        raise ValueError(f"Keras trains nothing on {backend}: set KERAS_BACKEND to one of {', '.join(ways)}.")
    return ways[backend](model, training, objective)


def differentiator_on_tensorflow(model: Any, training: bool, objective: Any) -> Any:
    """As `differentiator`, by a tape."""
    import tensorflow as tf

    def differentiate(variables: list[Any], inputs: list[Any], data: dict[str, Any]) -> tuple[Any, list[Any]]:
        moved = [tensor for tensor in inputs if tensor.dtype.is_floating]
        with tf.GradientTape() as tape:
            tape.watch(moved)
            value = objective(called(model, inputs, training), model.losses, data)
        found = tape.gradient(value, [*(variable.value for variable in variables), *moved])
        rest = iter(found[len(variables) :])
        of_inputs = [next(rest) if tensor.dtype.is_floating else None for tensor in inputs]
        return value, [*found[: len(variables)], *of_inputs]

    return differentiate


def differentiator_on_jax(model: Any, training: bool, objective: Any) -> Any:
    """As `differentiator`, of the model as a function of its variables, compiled once."""
    import jax

    trained, others = model.trainable_variables, model.non_trainable_variables

    def state_and_value(
        of: list[Any], inputs: list[Any], state: list[Any], data: dict[str, Any]
    ) -> tuple[Any, list[Any]]:
        options = {"training": training, "return_losses": True}
        result, moved, losses = model.stateless_call(of, state, as_given(inputs), **options)
        return objective(result, losses, data), moved

    compiled = jax.jit(jax.value_and_grad(state_and_value, argnums=(0, 1), has_aux=True, allow_int=True))

    def differentiate(variables: list[Any], inputs: list[Any], data: dict[str, Any]) -> tuple[Any, list[Any]]:
        state = [variable.value for variable in others]
        (value, moved), gradients = compiled([v.value for v in trained], inputs, state, data)
        assign_all(others, moved)
        found = {id(variable): gradient for variable, gradient in zip(trained, gradients[0], strict=True)}
        return value, [*(found.get(id(variable)) for variable in variables), *gradients[1]]

    return differentiate


def differentiator_on_torch(model: Any, training: bool, objective: Any) -> Any:
    """As `differentiator`, by autograd."""
    import torch

    def differentiate(variables: list[Any], inputs: list[Any], data: dict[str, Any]) -> tuple[Any, list[Any]]:
        inputs = [tensor.detach().requires_grad_(tensor.is_floating_point()) for tensor in inputs]
        value = objective(called(model, inputs, training), model.losses, data)
        wanted = [*(variable.value for variable in variables), *(x for x in inputs if x.requires_grad)]
        found = iter(torch.autograd.grad(value, wanted, allow_unused=True))
        of_variables = [next(found) for _ in variables]
        return value, [*of_variables, *(next(found) if x.requires_grad else None for x in inputs)]

    return differentiate


def pulled_back(layer: Any, inputs: list[Any], g: Any) -> tuple[Any, list[Any]]:
    """What a layer gives, and the gradients of its product with g: of its inputs and of what is trained.

    There is none, None, of an input that holds codes.
    """
    trained = [variable.value for variable in layer.trainable_variables]
    floating = [at for at, x in enumerate(inputs) if "float" in keras.backend.standardize_dtype(x.dtype)]
    leaves = [*(inputs[at] for at in floating), *trained]
    match keras.backend.backend():
        case "jax":
            import jax

            fixed = [variable.value for variable in layer.non_trainable_variables]

            def computed(*leaves: Any) -> Any:
                moved = dict(zip(floating, leaves, strict=False))
                given = as_given([moved.get(at, x) for at, x in enumerate(inputs)])
                return layer.stateless_call(leaves[len(floating) :], fixed, given)[0]

            y, pull = jax.vjp(computed, *leaves)
            gradients = list(pull(g))
        case "torch":
            import torch

            for at in floating:
                inputs[at].requires_grad_()
            y = layer(as_given(inputs))
            gradients = list(torch.autograd.grad(y, leaves, g)) if leaves else []
        case _:
            import tensorflow as tf

            with tf.GradientTape() as tape:
                tape.watch(leaves)
                y = layer(as_given(inputs))
            gradients = list(tape.gradient(y, leaves, g))
    of_inputs = dict(zip(floating, gradients, strict=False))
    return y, [*(of_inputs.get(at) for at in range(len(inputs))), *gradients[len(floating) :]]
