"""Expressions of layers and inputs, element by element: those of the loss, and those that are layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ...dsl import syntax
from ...dsl.diagnostics import Failed, fail
from ...dsl.findings import Label
from ...dsl.source import Span
from .. import codes
from ..functions.function import Function, is_somewhere_finite
from ..functions.simplify import simplified
from ..functions.tree import Argument, Tree, arguments_in
from ..graph.model import Read
from ..names.arithmetic import CONSTANTS
from ..names.sides import Side
from .functions import reader
from .known import Known
from .timing import read_before


def read_values(
    node: syntax.Expression,
    kinds: tuple[str, ...],
    known: Known,
    variables: Mapping[str, int],
    also: Callable[[str], Function | None] | None = None,
    *,
    late: bool = False,
) -> tuple[Tree, dict[str, Read]]:
    """An expression of what is declared as some `kinds`, and of numbers, simplified.

    Also gives what its value depends on, by what stands for it in the tree, with the first place of each.
    `also` gives the functions that it can call besides those of layers. `before(...)` can stand in it if it
    may read `late`. Raises `Failed` after recording a diagnostic.
    """
    read: dict[str, Read] = {}
    numbers = reader(known, variables)

    def named(reference: syntax.Reference) -> Tree:
        name = known.names.text(reference.name, variables)
        if name in variables or (name in CONSTANTS and name not in known.names.declared):
            return numbers.name(reference)
        found = known.names.find(reference.name, variables, *kinds, "param")
        if found.kind == "param":
            return numbers.name(reference)
        _refuse_codes(found.name, reference, known)
        read.setdefault(found.name, Read(found.name, reference.span))
        return Argument(found.name)

    def before(node: syntax.Call) -> Tree:
        reference, delay = read_before(node, known, variables)
        found = known.names.find(reference.name, variables, *kinds)
        _refuse_codes(found.name, reference, known)
        made = Read(found.name, node.span, delay)
        return Argument(read.setdefault(made.key, made).key)

    def called(name: str) -> Function | None:
        return numbers.function(name) or (also(name) if also else None)

    values = replace(numbers, name=named, function=called, before=before if late else None)
    tree = simplified(values.value(node))
    return tree, {key: read[key] for key in arguments_in(tree)}


def _refuse_codes(name: str, reference: syntax.Reference, known: Known) -> None:
    data = known.network.inputs.get(name) or known.network.targets.get(name)
    if data is not None and data.classes is not None:
        label = Label(data.span, "declared here")
        raise fail(known.report, codes.CODES_IN_LOSS, reference.span, name=name, others=(label,))


def layer_value(
    node: syntax.Expression, side: Side, known: Known, variables: Mapping[str, int]
) -> tuple[Tree, tuple[Read, ...]]:
    """The expression that a layer is, and what it reads: each has the layer's shape, or one unit.

    Raises `Failed` after recording a diagnostic.
    """
    tree, read = read_values(node, ("layer", "input"), known, variables, late=True)
    if not read:
        raise fail(known.report, codes.VALUE_READS_NOTHING, node.span, name=side.name)
    places: dict[str, Span] = {}
    for each in read.values():
        places.setdefault(each.name, each.span)
    shapes = {name: _shape_of(name, known) for name in places}
    for name, shape in shapes.items():
        if shape != side.shape and any(size != 1 for size in shape):
            raise fail(
                known.report,
                codes.VALUE_SHAPES,
                places[name],
                name=name,
                shape=list(shape),
                layer=side.name,
                wanted=list(side.shape),
                others=(Label(known.names.declared[name].span, "declared here"),),
                help="what an expression reads has the shape of its layer, or one unit",
            )
    if side.units > 1 and side.shape not in shapes.values():
        names = ", ".join(f"`{name}`" for name in shapes)
        wanted = {"name": side.name, "shape": list(side.shape), "read": names}
        raise fail(known.report, codes.VALUE_OF_ONE_UNIT, node.span, **wanted)
    if not is_somewhere_finite(tree):
        raise fail(known.report, codes.NOWHERE_FINITE, node.span, name=side.name)
    return tree, tuple(read.values())


def _shape_of(name: str, known: Known) -> tuple[int, ...]:
    """The shape of a layer or an input. Raises `Failed` if it has an error, which is recorded."""
    if name not in known.shapes:
        raise Failed
    return known.shapes[name]
