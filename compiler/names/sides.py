"""The two ends of a set of edges, and what an expression between them sees."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from math import prod

from ...dsl import syntax
from ...dsl.diagnostics import Failed, Report, fail
from ...dsl.records import record
from ...dsl.source import Span
from .. import codes
from ..data.axis import Axis
from ..edges.edge_set import EdgeSet, Shape
from .arithmetic import Value
from .budget import Budget
from .surroundings import Surroundings

# Letters of a name that a message shows.
NAME_SHOWN = 60


@record
class Side:
    """One end of a set of edges: what diagnostics call it, its shape, and the axis of each dimension."""

    name: str
    shape: Shape
    axes: tuple[Axis | None, ...] = ()

    @property
    def units(self) -> int:
        """Number of units."""
        return prod(self.shape)

    def axis(self, dimension: int) -> Axis | None:
        """The axis of a dimension, if it is one."""
        return self.axes[dimension] if self.axes else None

    def along(self, dimensions: tuple[int, ...]) -> Side:
        """The side that has some of the dimensions alone."""
        shape = tuple(self.shape[dimension] for dimension in dimensions)
        return Side(self.name, shape, tuple(self.axis(dimension) for dimension in dimensions))

    def unit_of_name(self, dimension: int, name: str, report: Report, span: Span) -> int:
        """The index along a dimension that a name stands for. Raises `Failed` if it stands for none."""
        axis = self.axis(dimension)
        if axis is None or axis.names is None:
            what = f"`{axis.name}`" if axis else f"`{self.name}`"
            if not axis and len(self.shape) > 1:
                what = f"dimension {dimension} of {what}"
            help = 'names come from an axis: `axis gene = names("genes.txt")`'
            raise fail(report, codes.NO_NAMES_HERE, span, name=name, what=what, help=help)
        if name not in axis.positions:
            raise unknown_name(axis, name, report, span)
        return axis.positions[name]


def unknown_name(
    axis: Axis, name: str, report: Report, span: Span, label: str = "", hint: str = ""
) -> Failed:
    """Record that a name is not on an axis and return the exception to raise."""
    helps = (*about_unknown(axis, name), *((hint,) if hint else ()))
    fields = {"axis": axis.name, "name": shortened(name)}
    return fail(report, codes.UNKNOWN_UNIT, span, label=label, help=helps, **fields)


def about_unknown(axis: Axis, name: str) -> tuple[str, ...]:
    """What ends the search for a name that is not on an axis."""
    bare = name.strip()
    if bare in axis.positions:
        return (f'blanks count: this is "{shortened(name)}", and the axis has "{shortened(bare)}"',)
    guess = axis.nearest(name)
    if guess is None:
        return ()
    if guess.strip() == name.strip():
        return (f'blanks count: the axis has "{shortened(guess)}", with blanks around it',)
    if unicodedata.normalize("NFC", guess) == unicodedata.normalize("NFC", name):
        return ("the axis has it with other code points for the same letters: Unicode's NFC and NFD differ",)
    return (f"did you mean `{shortened(guess)}`?",)


def shortened(name: str) -> str:
    """A name as messages show it: not more than they can hold."""
    return name if len(name) <= NAME_SHOWN else f"{name[: NAME_SHOWN - 3]}..."


def named_first(names: Sequence[str], most: int = 3) -> str:
    """The first of some names, in quotes."""
    listed = ", ".join(f'"{name[:60]}"' for name in names[:most])
    return f"{listed}, ..." if len(names) > most else listed


def unit_text(unit: int, side: Side) -> str:
    """How a unit is written: its number or name, or its indices in parentheses."""
    indices: list[str] = []
    for dimension in reversed(range(len(side.shape))):
        unit, index = divmod(unit, side.shape[dimension])
        axis = side.axis(dimension)
        indices.append(f'"{shortened(axis.names[index])}"' if axis and axis.names else str(index))
    return indices[0] if len(indices) == 1 else "(" + ", ".join(reversed(indices)) + ")"


@record(eq=False)
class Member:
    """A named set of edges and its ends."""

    source: Side
    target: Side
    edges: EdgeSet


def rank_text(shape: Shape) -> str:
    """How many parts an index has."""
    return "1 part" if len(shape) == 1 else f"{len(shape)} parts"


@record
class Scope:
    """What a builder sees of its surroundings: names in full, `for` variables, numbers, what is declared.

    `declared` gives the kind of thing that a name stands for, if there is one; `surroundings` is for the
    `Evaluator` of its expressions. `owners` has the side and dimension that index names run over where the
    sides themselves no longer say so.
    """

    report: Report
    source: Side
    target: Side
    text: Callable[[syntax.Name], str]
    string: Callable[[syntax.String], str]
    loop_variables: Mapping[str, int]
    outer: Callable[[syntax.Reference], Value]
    declared: Callable[[str], str | None]
    member: Callable[[syntax.Expression], Member]
    seed: Callable[[], int]
    budget: Budget
    surroundings: Surroundings | None = None
    owners: Mapping[str, tuple[Side, int]] = field(default_factory=dict[str, "tuple[Side, int]"])
