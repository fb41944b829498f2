"""Interval arithmetic on many rows at once: bounds are loose by far more than rounding can amount to."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import reduce
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Ends: TypeAlias = "float | NDArray[np.float64]"

# Far above the rounding of a sum of hundreds of terms, and no obstacle to exact bounds below 2^40.
SLACK = 2.0**-40
# A result beyond this may leave 64 bits.
LARGE = 2.0**62


class Interval(NamedTuple):
    """Lowest and highest value, one number for all rows or one a row."""

    low: Ends
    high: Ends


WHOLE = Interval(-np.inf, np.inf)


def lowest(ends: Iterable[Ends]) -> Ends:
    """The lowest of some ends, in every row."""
    return reduce(np.minimum, ends)


def highest(ends: Iterable[Ends]) -> Ends:
    """The highest of some ends, in every row."""
    return reduce(np.maximum, ends)


def hull(intervals: Iterable[Interval]) -> Interval:
    """The least interval around some."""
    lows, highs = zip(*intervals, strict=True)
    return Interval(lowest(lows), highest(highs))


def widened(low: Ends, high: Ends, least: float = SLACK) -> Interval:
    """Ends further out by more than rounding; NaN is no bound."""
    low = low - (np.abs(low) * SLACK + least)
    high = high + (np.abs(high) * SLACK + least)
    return Interval(np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high))


def nearest(value: Fraction) -> float:
    """A float, infinite where the value is beyond all."""
    try:
        return float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf


def point(value: Fraction) -> Interval:
    """One value."""
    return Interval(nearest(value), nearest(value))


def has_zero(a: Interval) -> NDArray[np.bool_]:
    """Whether 0 is in an interval, in every row."""
    return np.asarray((a.low <= 0) & (a.high >= 0))


def product(a: Interval, b: Interval) -> Interval:
    """Where a product lies."""
    # 0 * inf is 0 here: an infinite end stands for large numbers, not for infinity.
    corners = [np.nan_to_num(np.multiply(x, y), nan=0.0, posinf=np.inf, neginf=-np.inf) for x in a for y in b]
    return Interval(lowest(corners), highest(corners))


def quotient(a: Interval, b: Interval) -> Interval:
    """Where a quotient lies: anywhere, where the divisor may be 0."""
    corners = [np.divide(x, y) for x in a for y in b]
    unknown = has_zero(b) | reduce(np.logical_or, map(np.isnan, corners))
    low = np.where(unknown, -np.inf, lowest(corners))
    return Interval(low, np.where(unknown, np.inf, highest(corners)))


# Beyond this an angle is no longer exact to a small part of a turn.
ANGLES = 2.0**20


def cosine(a: Interval) -> Interval:
    """Where the cosine of angles in an interval lies."""
    low, high = widened(np.asarray(a.low, float), np.asarray(a.high, float), 1e-9)
    ends = np.cos(low), np.cos(high)
    unknown = (low < -ANGLES) | (high > ANGLES) | (low > high)
    # 1 is reached at every whole turn, -1 half a turn later.
    most = np.floor(high / (2 * np.pi)) >= np.ceil(low / (2 * np.pi))
    least = np.floor((high - np.pi) / (2 * np.pi)) >= np.ceil((low - np.pi) / (2 * np.pi))
    return Interval(
        np.where(unknown | least, -1.0, np.minimum(*ends)), np.where(unknown | most, 1.0, np.maximum(*ends))
    )


def tangent(a: Interval) -> Interval:
    """Where the tangent of angles in an interval lies: it rises from one pole to the next."""
    low, high = widened(np.asarray(a.low, float), np.asarray(a.high, float), 1e-9)
    pole = np.floor(high / np.pi - 0.5) >= np.ceil(low / np.pi - 0.5)
    unknown = pole | (low < -ANGLES) | (high > ANGLES) | (low > high)
    return Interval(np.where(unknown, -LARGE, np.tan(low)), np.where(unknown, LARGE, np.tan(high)))


def root(value: Ends, exponent: int) -> Ends:
    """The root of some exponent, with the sign of the value."""
    return np.sign(value) * np.abs(value) ** (1 / exponent)
