"""What stands after `delay =`: how many steps late a connection reads, as a whole or edge by edge."""

from __future__ import annotations

import numpy as np

from ...dsl import syntax
from ...dsl.diagnostics import fail
from ...dsl.walk import written
from .. import codes
from ..edges.edge_set import EdgeSet, Indices, TooManyEdges
from ..names.names import Placed
from ..sets.rules.rule import Sides
from .edge_values import EdgeValues
from .known import Known

# Each delay is a projection of its own in generated code.
MOST_DELAYS = 1000


def delay_of(
    statement: syntax.ConnectStatement,
    sides: Sides,
    edges: EdgeSet,
    known: Known,
    placed: Placed,
    classes: int,
) -> tuple[int, Indices | None]:
    """How many steps late a connection reads, at least, and the delay of each edge where they differ.

    It is 0 without a delay. `classes` are those of `resolve_weight`. Raises `Failed` after recording a
    diagnostic.
    """
    given = {attribution.name: attribution for attribution in statement.attributes}
    if "delay" not in given:
        return 0, None
    attribution, report = given["delay"], known.report
    if attribution.operator != "=":
        raise fail(report, codes.NOT_DRAWN, attribution.span, name="delay")
    values = EdgeValues(statement, sides, edges, known.sets, placed.variables, classes)
    try:
        delay = values.whole(attribution.value, "a delay")
    except TooManyEdges as error:
        raise fail(report, codes.TOO_MANY_EDGES, attribution.span, count=f"{error.count:,}") from None
    if isinstance(delay, int):
        return delay, None
    different = np.unique(delay)
    if len(different) > MOST_DELAYS:
        fields = {"name": sides.owner, "count": f"{len(different):,}", "limit": f"{MOST_DELAYS:,}"}
        help = "longer steps have fewer of them, and `//` rounds"
        raise fail(report, codes.TOO_MANY_DELAYS, attribution.value.span, help=help, **fields)
    if len(different) < 2:
        return int(different[0]) if len(different) else 1, None
    if "reduce" in given:
        reduce = f"reduce = {written(report, given['reduce'].value)}"
        fields = {"first": reduce, "second": "delays that differ"}
        help = "edges of one delay are pooled together: give those of each delay a layer, and pool these"
        raise fail(report, codes.NOT_TOGETHER, attribution.span, help=help, **fields)
    return int(different[0]), delay
