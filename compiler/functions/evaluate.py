"""The value of a tree, in NumPy: what every target is held to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np

from .tree import Apply, Argument, Number, Tree


def evaluate(tree: Tree, values: Mapping[str, Any]) -> Any:
    """The value at some values of its arguments, arrays or numbers, in their precision.

    What is not defined is nan, as it is in every target, and what is too large is infinite.
    """
    with np.errstate(all="ignore"):
        return _evaluated(tree, values)


def _evaluated(tree: Tree, values: Mapping[str, Any]) -> Any:
    match tree:
        case Number(value):
            return value
        case Argument(name):
            return values[name]
        case Apply("stop", (operand,)) | Apply("declared", (_, operand, _)):
            return _evaluated(operand, values)
        case Apply(word, operands):
            return OF_NUMPY[word](*(_evaluated(each, values) for each in operands))


def _where(condition: Any, then: Any, otherwise: Any) -> Any:
    kinds = [np.asarray(each).dtype for each in (then, otherwise) if not isinstance(each, int | float)]
    floats = [kind for kind in kinds if kind.kind == "f"]  # a choice between whole numbers is none
    result = cast("np.ndarray", np.where(condition, then, otherwise))
    return result.astype(np.result_type(*floats) if floats else np.float64)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), without overflow."""
    e = np.exp(-np.abs(np.asarray(x)))
    above: Any = np.where(np.greater_equal(x, 0), np.ones_like(e), e)
    return above / (1 + e)


def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def log_sigmoid(x: Any) -> Any:
    """log(1 / (1 + exp(-x))), without overflow."""
    return -softplus(np.negative(x))


def _erf(x: Any) -> Any:
    array = np.asarray(x)
    dtype = array.dtype if array.dtype.kind == "f" else np.float64
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(array), dtype)


def _power(base: Any, exponent: Any) -> Any:
    return np.power(np.asarray(base, None if np.asarray(base).dtype.kind == "f" else float), exponent)


OF_NUMPY: dict[str, Callable[..., Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "**": _power,
    "negative": np.negative,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "where": _where,
    "abs": np.abs,
    "sign": np.sign,
    "floor": np.floor,
    "round": np.round,
    "min": np.minimum,
    "max": np.maximum,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "erf": _erf,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "log_sigmoid": log_sigmoid,
}
