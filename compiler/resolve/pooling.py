"""`reduce` and `empty` after `with`: how a unit pools what arrives over a connection."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from ...dsl import syntax
from ...dsl.diagnostics import fail
from ...dsl.walk import call_parts
from .. import codes
from ..catalogue.reductions import REDUCTIONS, Reduction
from ..edges.degrees import unreached
from ..edges.edge_set import EdgeSet
from ..graph.model import Pooling
from ..names.arguments import no_choice
from ..names.arithmetic import FLOAT32_MAX
from ..names.names import Names
from ..names.sides import unit_text
from ..sets.rules.rule import Sides
from .weights import GIVING

CHOICES = ("sum", *REDUCTIONS)


def resolve_pooling(
    statement: syntax.ConnectStatement,
    sides: Sides,
    edges: EdgeSet,
    names: Names,
    variables: Mapping[str, int],
) -> Pooling | None:
    """How the units of a connection pool, or None for a sum. What stands there twice is refused elsewhere."""
    given = {attribution.name: attribution for attribution in statement.attributes}
    reduction = _reduction(given["reduce"], names) if "reduce" in given else None
    if reduction is None:
        if "empty" in given:
            raise fail(names.report, codes.EMPTY_SUM, given["empty"].span)
        return None
    if "trainable" in given and not given.keys() & {*GIVING}:
        raise fail(names.report, codes.NOTHING_TO_TRAIN, given["trainable"].span, reduction=reduction.name)
    if "empty" in given:
        return Pooling(reduction, _number(given["empty"], names, variables))
    if reduction.empty is None:
        _refuse_empty(given["reduce"], reduction, sides, edges, names)
    return Pooling(reduction, reduction.empty or 0.0)


def _reduction(attribution: syntax.Attribution, names: Names) -> Reduction | None:
    parts = call_parts(attribution.value)
    if attribution.operator != "=" or parts is None or parts[1] or parts[0] not in CHOICES:
        raise no_choice(names.report, attribution.value, attribution.name, CHOICES)
    return REDUCTIONS.get(parts[0])


def _number(attribution: syntax.Attribution, names: Names, variables: Mapping[str, int]) -> float:
    if attribution.operator != "=":
        raise fail(names.report, codes.NOT_A_NUMBER, attribution.value.span, what="a distribution")
    number = float(names.evaluator(variables).number(attribution.value))
    if abs(number) > FLOAT32_MAX:
        raise fail(names.report, codes.BEYOND_FLOAT32, attribution.value.span, what="`empty`")
    return number


def _refuse_empty(
    attribution: syntax.Attribution, reduction: Reduction, sides: Sides, edges: EdgeSet, names: Names
) -> None:
    """Refuse units that nothing arrives at, where pooling nothing gives no number."""
    count, first = unreached([edges], "target", most=5)
    if not count:
        return
    named = ", ".join(unit_text(int(unit), sides.target) for unit in first)
    raise fail(
        names.report,
        codes.POOLS_NOTHING,
        attribution.span,
        reduction=reduction.name,
        side=sides.target.name,
        first=named + (", ..." if count > len(first) else ""),
        count=count,
        of=prod(sides.target.shape),
        help=f"`with reduce = {reduction.name}, empty = 0` gives them a 0, and any other number is as good",
    )
