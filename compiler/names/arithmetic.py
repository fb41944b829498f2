"""Operations and functions of numbers, on Python numbers or on numpy arrays alike, entry by entry."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from ...dsl.findings import Code
from .. import codes

Array: TypeAlias = NDArray[Any]
Value: TypeAlias = bool | int | float | Array

INT_LIMIT = 2**63 - 1
FLOAT32_MAX = float(np.finfo(np.float32).max)


# A result, and the entries that have none because of `Code`; what is not finite is found by `Faults`.
Outcome: TypeAlias = tuple[Value, Code, "Array | bool"]


def _whole(function: Callable[..., Value]) -> Callable[..., Outcome]:
    """A function that itself never fails."""
    return lambda *values: (function(*values), codes.NOT_FINITE, False)


def fold(function: Callable[[Value, Value], Value], values: Sequence[Value]) -> Value:
    """A function of two values over some, from left to right."""
    result = values[0]
    for value in values[1:]:
        result = function(result, value)
    return result


def _floor(value: Value) -> Outcome:
    if is_integer(value):
        return value, codes.NOT_FINITE, False
    too_large = np.abs(value) > 2.0**62
    return np.floor(np.where(too_large, 0, value)).astype(np.int64), codes.NUMBER_TOO_LARGE, too_large


FUNCTIONS: dict[str, tuple[int | None, Callable[..., Outcome]]] = {
    "abs": (1, _whole(np.abs)),
    "min": (None, _whole(lambda *v: fold(np.minimum, v))),
    "max": (None, _whole(lambda *v: fold(np.maximum, v))),
    "floor": (1, _floor),
    "sqrt": (1, _whole(np.sqrt)),
    "exp": (1, _whole(np.exp)),
    "log": (1, _whole(np.log)),
    "sin": (1, _whole(np.sin)),
    "cos": (1, _whole(np.cos)),
    "tan": (1, _whole(np.tan)),
}
# Numbers with a name, unless the spec gives it to something of its own.
CONSTANTS = {"pi": np.pi}


def _extent(value: Value) -> tuple[int, int]:
    """Smallest and largest entry of an integer value."""
    if isinstance(value, np.ndarray):
        return (int(value.min()), int(value.max())) if value.size else (0, 0)
    return int(value), int(value)


def is_integer(value: Value) -> bool:
    """Whether a value is an integer or an array of them."""
    return isinstance(value, int) or (isinstance(value, np.ndarray) and value.dtype.kind in "iub")


def _bounded(exact: Any) -> tuple[Array, Array]:
    """Python integers as int64, and where they do not fit; those become 0."""
    exact = np.asarray(exact, object)
    too_large = np.asarray(np.abs(exact) > INT_LIMIT, bool)
    return np.where(too_large, 0, exact).astype(np.int64), too_large


def _checked(function: Callable[[Any, Any], Any]) -> Callable[[Value, Value], Outcome]:
    """An integer operation, largest at a corner of its operands; exact when a corner leaves 64 bits."""

    def apply(a: Value, b: Value) -> Outcome:
        if is_integer(a) and is_integer(b):
            corners: list[int] = [function(x, y) for x in _extent(a) for y in _extent(b)]
            if max(map(abs, corners)) > INT_LIMIT:
                result, too_large = _bounded(function(np.asarray(a, object), np.asarray(b, object)))
                return result, codes.NUMBER_TOO_LARGE, too_large
        return function(a, b), codes.NUMBER_TOO_LARGE, False

    return apply


def _division(function: Callable[[Any, Any], Any]) -> Callable[[Value, Value], Outcome]:
    def apply(a: Value, b: Value) -> Outcome:
        zero = np.equal(b, 0)
        return function(a, np.where(zero, 1, b) if np.any(zero) else b), codes.DIVISION_BY_ZERO, zero

    return apply


def _power(a: Value, b: Value) -> Outcome:
    (least, most) = _extent(b) if is_integer(b) else (-1, -1)
    if least < 0 or not is_integer(a):
        return np.power(np.asarray(a, float), b), codes.NUMBER_TOO_LARGE, False
    base, exponent = np.asarray(a, np.int64), np.asarray(b, np.int64)
    if max(map(abs, _extent(a))) < 2 or most * max(map(abs, _extent(a))).bit_length() < 63:
        return np.power(base, exponent), codes.NUMBER_TOO_LARGE, False
    # No power is computed that is far beyond the limit, of which `9**9**9` would fill the memory.
    far = exponent * np.log2(np.maximum(np.abs(base), 1)) > 64
    exponent = np.where((np.abs(base) < 2) & (exponent > 1), 2 - exponent % 2, exponent)
    exact = np.where(far, 0, base).astype(object) ** np.where(far, 1, exponent).astype(object)
    result, too_large = _bounded(exact)
    return result, codes.NUMBER_TOO_LARGE, too_large | far


ARITHMETIC: dict[str, Callable[[Value, Value], Outcome]] = {
    "+": _checked(operator.add),
    "-": _checked(operator.sub),
    "*": _checked(operator.mul),
    "/": _division(np.true_divide),
    "//": _division(lambda a, b: a // b),
    "%": _division(operator.mod),
    "**": _power,
}
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def compared(symbol: str, a: Value, b: Value) -> Value:
    """A comparison, exact also between a float and an integer that no float equals."""
    if is_integer(a) != is_integer(b) and max(map(abs, _extent(a if is_integer(a) else b))) > 2**53:
        return np.asarray(COMPARISONS[symbol](np.asarray(a, object), np.asarray(b, object)), bool)
    return COMPARISONS[symbol](a, b)


def plain(value: Value) -> Value:
    """Numpy scalars and arrays without dimensions as Python numbers."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return cast("bool | int | float", value.item())
    return value
