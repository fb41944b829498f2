"""The losses that are functions of a unit's prediction and its target, which ship with the compiler."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

from .catalogue import read, stated
from .function import Function

Pool: TypeAlias = Literal["mean", "sum"]

PLACE = Path(__file__).with_name("losses.nnspec")
# What is taken over the units of a sample, if it is not the mean.
SUMMED = ("kl_divergence", "squared_error")


@cache
def statements() -> dict[str, str]:
    """The losses' statements as text, by their names."""
    return stated(PLACE)


def loss_function(name: str) -> Function | None:
    """The loss of a name, a function of a prediction `y`, a target `t` and numbers; None if there is none."""
    return _read(name) if name in statements() else None


@cache
def _read(name: str) -> Function:
    return read(name, PLACE, statements()[name])


def pool_of(name: str) -> Pool:
    """What is taken of a loss over the units of a sample."""
    return "sum" if name in SUMMED else "mean"
