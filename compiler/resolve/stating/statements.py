"""All that a spec states of its edges: its axes, its named sets, and the sets of its connections."""

from __future__ import annotations

from collections.abc import Mapping

from ....dsl import syntax
from ....dsl.records import record
from ...data.axis import Axis
from ...graph import statement as stated
from ...names.names import Names
from ...sets.resolver import NamedSet
from ...sets.rules.rule import NoStatement, Sides
from .bound import Bound, Variables
from .expressions import Expressions
from .sets import Sets


@record
class Connecting:
    """A `connect` statement: its sides, its set, and the variables of the loops around it."""

    sides: Sides
    node: syntax.Expression
    variables: Variables


def statements(
    names: Names,
    axes: Mapping[str, Axis | None],
    sets: Mapping[str, NamedSet],
    connections: Mapping[str, Connecting],
) -> stated.Statements:
    """What a spec states of its edges."""
    bound = Bound(names, axes, sets)
    expressions = Expressions(bound)
    made, of_sets = expressions.axes.made, Sets(bound, expressions)
    for name, axis in axes.items():
        if axis is not None and axis.names is not None:
            declared = names.declared[name].placed
            assert isinstance(declared.statement, syntax.AxisStatement)
            try:
                made[name] = expressions.axes.axis(declared.statement.value, declared.variables)
            except NoStatement as error:
                made[name] = stated.Unstated(str(error))
    return stated.Statements(
        {name: of_sets.whole(c.sides, c.node, c.variables) for name, c in connections.items()},
        {name: of_sets.whole(own.sides, own.node, own.placed.variables) for name, own in sets.items()},
        made,
    )
