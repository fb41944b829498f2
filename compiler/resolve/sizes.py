"""The sizes of things: axes and shapes, each worked out when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from ...dsl import syntax
from ...dsl.diagnostics import Failed, fail
from ...dsl.source import Span
from .. import codes
from ..data.axis import Axis
from ..edges.edge_set import Shape
from ..graph.model import Data
from ..names.names import Declaration, Placed
from ..names.sides import Side
from .known import Known

# Units of one side; sizes are 64-bit, and a batch of one must fit in memory.
UNIT_LIMIT = 10**10


def read_axis(statement: syntax.AxisStatement, placed: Placed, known: Known) -> None:
    """An `axis` statement."""
    declared = known.names.declared[known.names.text(statement.name, placed.variables)]
    # A chain of axes that is too long is told once, not again for each axis further on.
    if declared.kind == "axis" and not known.report.has_any(codes.LONG_CHAIN):
        axis_of(declared, known)


def read_layer_shape(statement: syntax.LayerStatement, placed: Placed, known: Known) -> None:
    """The shape in a `layer` statement."""
    shape_of(known.names.declared[known.own(statement.name, placed)], known)


def read_data(statement: syntax.DataStatement, placed: Placed, known: Known) -> None:
    """An `input` or `target` statement."""
    name = known.own(statement.name, placed)
    shape: Shape = ()
    classes = _classes(statement, placed, known)
    if statement.keyword == "input":
        units = shape_of(known.names.declared[name], known)
        shape = units if classes is None else units[:-1]
    elif statement.shape is not None:
        shape, _ = _sizes(statement.shape, placed, f"`{name}`", known)
    elif classes is None:
        raise _no_shape(statement, statement.keyword, name, known)
    data = Data(name, shape, classes, statement.name.span, statement.over is not None)
    if statement.keyword == "input":
        known.network.inputs[name] = data
    else:
        known.network.targets[name] = data


def _classes(statement: syntax.DataStatement, placed: Placed, known: Known) -> int | None:
    """How many classes the codes of an input or a target are of; None if it holds numbers."""
    if statement.classes is None:
        return None
    evaluator = known.names.evaluator(placed.variables)
    return evaluator.integer(statement.classes, "the number of classes", least=2)


def axis_of(declared: Declaration, known: Known) -> Axis:
    """An axis, worked out when it is first asked for."""
    axis = known.axes.find(declared)
    _refuse_many_units(axis.size, declared.span, known)
    return axis


def axis_at(size: syntax.Expression, variables: Mapping[str, int], known: Known) -> Axis | None:
    """The axis that stands where a size could stand, if one does."""
    if not isinstance(size, syntax.Reference):
        return None
    name = known.names.text(size.name, variables)
    declared = known.names.declared.get(name)
    if declared is None or declared.kind != "axis" or name in variables:
        return None
    return axis_of(declared, known)


def shape_of(declared: Declaration, known: Known) -> Shape:
    """The shape of a layer's or an input's units, worked out when it is first asked for.

    An input of class codes has a unit for every class of each code.
    """
    name, statement = declared.name, declared.placed.statement
    assert isinstance(statement, syntax.LayerStatement | syntax.DataStatement)
    if name not in known.shapes:
        with known.names.needing(declared):
            if name in known.shapeless:
                raise Failed
            known.shapeless.add(name)
            classes = None
            if isinstance(statement, syntax.DataStatement):
                classes = _classes(statement, declared.placed, known)
            if statement.shape is None and classes is None:
                raise _no_shape(statement, declared.kind, name, known)
            shape, axes = (), ()
            if statement.shape is not None:
                shape, axes = _sizes(statement.shape, declared.placed, f"`{name}`", known)
            if classes is not None:
                shape, axes = (*shape, classes), (*axes, None)
                _refuse_many_units(prod(shape), statement.span, known)
            known.shapes[name], known.side_axes[name] = shape, axes
            known.shapeless.remove(name)
    return known.shapes[name]


def side_of(side: syntax.Name | syntax.Shape, placed: Placed, known: Known) -> Side:
    """One end of a set: a layer, an input, an axis or a shape."""
    if isinstance(side, syntax.Shape):
        shape, axes = _sizes(side, placed, "a side", known)
        sizes = (axis.name if axis else str(size) for size, axis in zip(shape, axes, strict=True))
        return Side(f"[{', '.join(sizes)}]", shape, axes)
    found = known.names.find(side, placed.variables, "layer", "input", "axis")
    if found.kind == "axis":
        axis = axis_of(found, known)
        return Side(axis.name, (axis.size,), (axis,))
    shape = shape_of(found, known)
    return Side(found.name, shape, known.side_axes[found.name])


def _sizes(
    shape: syntax.Shape, placed: Placed, what: str, known: Known
) -> tuple[Shape, tuple[Axis | None, ...]]:
    """Sizes, and the axis of each dimension that is one."""
    evaluator = known.names.evaluator(placed.variables)
    axes = tuple(axis_at(size, placed.variables, known) for size in shape.dimensions)
    sizes = tuple(
        axis.size if axis else evaluator.integer(size, f"a size of {what}", least=1)
        for size, axis in zip(shape.dimensions, axes, strict=True)
    )
    _refuse_many_units(prod(sizes), shape.span, known)
    return sizes, axes


def _refuse_many_units(units: int, span: Span, known: Known) -> None:
    if units > UNIT_LIMIT:
        raise fail(known.report, codes.TOO_MANY_UNITS, span, units=f"{units:,}", limit=f"{UNIT_LIMIT:,}")


def _no_shape(statement: syntax.Statement, what: str, name: str, known: Known) -> Failed:
    help = f"units stand in brackets: `{what} {name}[10]`"
    return fail(known.report, codes.NO_SHAPE, statement.span, what=what, name=name, help=help)
