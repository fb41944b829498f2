"""Axes of some units of others: those that the edges of a set reach, `targets(SET, from = AXIS)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ...dsl import syntax
from ...dsl.diagnostics import Failed, fail
from ...dsl.records import record
from ...dsl.walk import called_name, written
from .. import codes
from ..data.axis import Axis
from ..edges.edge_set import Indices, TooManyEdges, distinct
from .arguments import bind
from .by_name import places, refuse_strays
from .file_arguments import column_name
from .file_axes import at_rows
from .names import Names
from .sides import Member, Side

HAS_NAMES = "an axis with names is `names(...)`, or made of such axes"

# What an axis of computed units is called, the end of a set's edges that it takes, and what bounds the other.
REACHED = {"targets": ("target", "from"), "sources": ("source", "to")}


@record
class UnitAxes:
    """Makes the axes of units that the edges of named sets reach.

    `member` gives the named set that a reference stands for, with its sides; `of_names` the axis that an
    expression makes, None if it makes none with names.
    """

    names: Names
    member: Callable[[syntax.Expression, Mapping[str, int]], Member]
    of_names: Callable[[str, syntax.Expression, Mapping[str, int]], Axis | None]

    def axis(self, name: str, node: syntax.Call, variables: Mapping[str, int]) -> Axis:
        """`targets(SET, from = AXIS)` and `sources(SET, to = AXIS)`."""
        word = called_name(node)
        end, bounding = REACHED[word]
        bound = bind(self.names.report, node, ("set", bounding), 1)
        if "set" not in bound:
            raise fail(self.names.report, codes.MISSING_ARGUMENT, node.span, name=word, argument="set")
        set_node = bound["set"].value
        member = self.member(set_node, variables)
        try:
            source, target = member.edges.edges()
        except TooManyEdges as error:
            count = f"{error.count:,}"
            raise fail(self.names.report, codes.TOO_MANY_EDGES, set_node.span, count=count) from None
        ends = ((member.source, source), (member.target, target))
        (side, units), (other, others) = ends if end == "source" else ends[::-1]
        axis = self._only_axis(side, end, set_node)
        if bounding in bound:
            other_axis = self._only_axis(other, "target" if end == "source" else "source", set_node)
            units = units[self._chosen(bound[bounding].value, other_axis, variables)[others]]
        if not len(units):
            reason = f"no edge of `{written_as(self.names, set_node, variables)}` leads "
            reason += (
                f"{bounding} `{written_as(self.names, bound[bounding].value, variables)}`"
                if bounding in bound
                else "anywhere"
            )
            raise empty_axis(self.names, name, node, reason, variables)
        return part_of(axis, name, distinct(units))

    def _only_axis(self, side: Side, end: str, node: syntax.Expression) -> Axis:
        """The axis with names that a side of a set is, all of it."""
        axis = side.axis(0) if len(side.shape) == 1 else None
        if axis is None or axis.names is None:
            what = f"the {end} of `{written(self.names.report, node)}`, `{side.name}`,"
            raise fail(self.names.report, codes.NO_NAMES, node.span, what=what, help=HAS_NAMES)
        return axis

    def _chosen(self, node: syntax.Expression, axis: Axis, variables: Mapping[str, int]) -> NDArray[np.bool_]:
        """Which units of an axis another axis or a list of names has, (units,)."""
        chosen = np.zeros(axis.size, bool)
        if isinstance(node, syntax.List):
            side = Side(axis.name, (axis.size,), (axis,))
            for item in node.items:
                named = column_name(item, self.names, variables, "a unit's name")
                chosen[side.unit_of_name(0, named, self.names.report, item.span)] = True
            return chosen
        if isinstance(node, syntax.Reference):
            self.names.find(node.name, variables, "axis")
        other = self.of_names(written_as(self.names, node, variables), node, variables)
        if other is None or other.names is None:
            what = f"`{written_as(self.names, node, variables)}`"
            raise fail(self.names.report, codes.NO_NAMES, node.span, what=what, help=HAS_NAMES)
        refuse_strays(other, axis, self.names.report, node.span)
        units = places(other, axis)
        chosen[units[units >= 0]] = True
        return chosen


def part_of(axis: Axis, name: str, units: Indices) -> Axis:
    """An axis of some units of another one, ascending, with its fields."""
    assert axis.names is not None
    names = axis.names
    fields = {key: at_rows(field, units) for key, field in axis.fields.items()}
    numbers: list[int] = units.tolist()
    return Axis(name, len(units), tuple(names[unit] for unit in numbers), fields)


def empty_axis(
    names: Names, name: str, node: syntax.Expression, reason: str, variables: Mapping[str, int]
) -> Failed:
    """Record that an axis would have no unit, and return the exception to raise."""
    turn = ", ".join(f"{variable} = {value}" for variable, value in variables.items())
    help = "end the loop before: there is no such level any more" if turn else ()
    fields = {"axis": name, "reason": reason}
    return fail(names.report, codes.EMPTY_AXIS, node.span, label=turn, help=help, **fields)


def written_as(names: Names, node: syntax.Expression, variables: Mapping[str, int]) -> str:
    """What stands in the spec, with the templates of a name filled in."""
    if isinstance(node, syntax.Reference):
        return names.text(node.name, variables)
    return written(names.report, node)
