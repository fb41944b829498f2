"""Layers with their operations, and which of them are outputs."""

from __future__ import annotations

from dataclasses import replace

from ...dsl import syntax
from ...dsl.diagnostics import Failed, Report, fail
from ...dsl.findings import Label
from ...dsl.source import Span
from ...dsl.walk import call_parts
from .. import codes
from ..graph.model import Bias, Dropout, Layer, Normalise, Operation, Prelu
from ..names.names import Placed
from ..names.sides import Side
from .known import Known
from .operations import resolve_operation
from .sharing import tied_bias
from .timing import start_of
from .values import layer_value


def read_layer(statement: syntax.LayerStatement, placed: Placed, known: Known) -> None:
    """The operations of a `layer` statement."""
    name = known.own(statement.name, placed)
    if name not in known.shapes:
        raise Failed
    side = Side(name, known.shapes[name], known.side_axes[name])
    found: list[tuple[Operation, Span]] = []
    for node in statement.operations:
        try:
            operation = resolve_operation(node, side, known, placed.variables)
        except Failed:
            continue
        if isinstance(operation, Bias) and operation.share:
            operation = tied_bias(operation, node, known.ties, known.report)
        if operation is not None:
            found.append((operation, node.span))
    _refuse_repeats(found, known.report)
    operations = tuple(operation for operation, _ in found)
    known.operations[name] = tuple(found)
    start = start_of(statement, known, placed)
    plain = Layer(name, side.shape, operations, statement.name.span, start=start)
    if statement.value is not None:
        value, reads = layer_value(statement.value, side, known, placed.variables)
        known.network.layers[name] = replace(plain, value=value, reads=reads)
        return
    known.network.layers[name] = plain
    if not any((parts := call_parts(node)) and parts[0] == "bias" for node in statement.operations):
        known.unbiased.add(name)


def _refuse_repeats(operations: list[tuple[Operation, Span]], report: Report) -> None:
    """What an operation holds is named after the layer and the operation, so each kind can stand once."""
    seen: dict[str, Span] = {}
    for operation, span in operations:
        match operation:
            case Normalise():
                key = operation.norm.name
            case Bias():
                key = "bias"
            case Dropout():
                key = "dropout"
            case Prelu():
                key = "prelu"
            case _:
                continue
        if key in seen:
            report.add(codes.OPERATION_TWICE, span, name=key, others=(Label(seen[key], "first here"),))
        seen.setdefault(key, span)


def read_output(statement: syntax.OutputStatement, placed: Placed, known: Known) -> None:
    """An `output` statement."""
    for name in statement.names:
        found = known.names.find(name, placed.variables, "layer")
        if found.name in known.network.outputs:
            raise fail(known.report, codes.ARGUMENT_TWICE, name.span, name=found.name)
        known.network.outputs[found.name] = statement.over is not None
        known.over.setdefault(found.name, statement.over or name.span)
