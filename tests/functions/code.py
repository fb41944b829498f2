"""Functions of the language as the code of each target, run on arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nnspec.backends.definitions import Definitions
from nnspec.backends.functions import KERAS, NUMPY, REFERENCE, TORCH, Spellings
from nnspec.backends.keras import spelling
from nnspec.backends.numpy.kernels import activations
from nnspec.backends.numpy.module import VOCABULARY as NUMPY_NAMES
from nnspec.backends.source import Name, Scope, Vocabulary, flat, printed
from nnspec.backends.tests.kernels import plain
from nnspec.backends.tests.target import VOCABULARY as REFERENCE_NAMES
from nnspec.backends.torch.names import VOCABULARY as TORCH_NAMES
from nnspec.compiler.functions.function import Function, Numbers

Run = Callable[..., Any]


def _definitions(words: Spellings, vocabulary: Vocabulary) -> Definitions:
    scope = Scope(vocabulary, frozenset())
    return Definitions(scope, scope, words, "object")


def _called(made: Definitions, text: str, names: tuple[str, ...], namespace: Mapping[str, Any]) -> Run:
    filled = {**namespace, "math": math, "np": np}
    source = f"{printed(made.statements)}\nresult = lambda {', '.join(names)}: {text}\n"
    exec(source, filled)
    return filled["result"]


def in_numpy(function: Function, numbers: Numbers) -> tuple[Run, Run]:
    """The value of x, and the derivative of x and the value, as NumPy modules have them."""
    made = _definitions(NUMPY, NUMPY_NAMES)
    x, y = Name("x"), Name("y")
    value = flat(made.value(function, numbers, x))
    slope = flat(made.slope(function, numbers, x, y))
    kernels = vars(activations)
    return _called(made, value, ("x",), kernels), _called(made, slope, ("x", "y"), kernels)


def in_torch(function: Function, numbers: Numbers) -> Run:
    """The value of a tensor, spelled out."""
    import torch

    from nnspec.backends.torch.kernels import choice

    made = _definitions(TORCH, TORCH_NAMES)
    name, _ = made.defined(function, numbers)
    names = {**vars(choice), "torch": torch, "F": torch.nn.functional}
    return _with(_called(made, name.text, (), names)(), made, function, numbers)


def in_keras(function: Function, numbers: Numbers) -> Run:
    """The value of a tensor of the active backend, spelled out."""
    import keras

    from nnspec.backends.keras.kernels import choice

    made = _definitions(KERAS, spelling.VOCABULARY)
    name, _ = made.defined(function, numbers)
    found = _called(made, name.text, (), {**vars(choice), "keras": keras})()
    return _with(found, made, function, numbers)


def _with(run: Run, made: Definitions, function: Function, numbers: Numbers) -> Run:
    _, (_, *parameters) = made.defined(function, numbers)
    given = {each.text: value for each, (_, value) in zip(parameters, numbers, strict=True)}
    return lambda x: run(x, **given)


def in_reference(function: Function, numbers: Numbers) -> Run:
    """The value of real or complex numbers, as the generated tests have it."""
    made = _definitions(REFERENCE, REFERENCE_NAMES)
    text = flat(made.value(function, numbers, Name("x")))
    return _called(made, text, ("x",), vars(plain))
