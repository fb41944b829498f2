"""The two ends of a set of edges, and what an expression between them sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

from ...dsl import syntax
from ...dsl.diagnostics import Report
from ..expressions import Value
from .edge_set import Shape


@dataclass(frozen=True)
class Side:
    """One end of a set of edges: what diagnostics call it, and its shape."""

    name: str
    shape: Shape

    @property
    def units(self) -> int:
        """Number of units."""
        return prod(self.shape)


def rank_text(shape: Shape) -> str:
    """How many parts an index has."""
    return "1 part" if len(shape) == 1 else f"{len(shape)} parts"


@dataclass(frozen=True)
class Scope:
    """What a builder sees of its surroundings: names in full, `for` variables, numbers, what is declared.

    `declared` gives the kind of thing that a name stands for, if there is one.
    """

    report: Report
    source: Side
    target: Side
    text: Callable[[syntax.Name], str]
    loop_variables: Mapping[str, int]
    outer: Callable[[syntax.Reference], Value]
    declared: Callable[[str], str | None]
