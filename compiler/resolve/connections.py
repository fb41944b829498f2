"""Named sets of edges, and the connections between layers."""

from __future__ import annotations

from dataclasses import replace

from ...dsl import syntax
from ...dsl.diagnostics import Failed, fail
from ...dsl.findings import Label
from ...dsl.walk import seeds_in
from .. import codes
from ..edges.edge_set import Full
from ..graph.model import Bias, Connection
from ..names.names import Names, Placed
from ..sets.resolver import NamedSet
from ..sets.rules.rule import Sides
from .delays import delay_of
from .known import Known
from .pooling import resolve_pooling
from .sizes import side_of
from .stating.statements import Connecting
from .weights import resolve_weight


def connection_name(statement: syntax.ConnectStatement, placed: Placed, names: Names) -> str:
    """The name of a connection: its own, or that of its two ends."""
    if statement.name:
        return names.text(statement.name, placed.variables)
    source = names.text(statement.source, placed.variables)
    target = names.text(statement.target, placed.variables)
    return f"{source}_{target}"


def _warn_of_same_seed(
    node: syntax.Expression, placed: Placed, known: Known, statement: syntax.ConnectStatement | None = None
) -> None:
    """Warn of a seed that is a number in a loop, unless the edges have to be the same to share a weight."""
    shared = [each for each in statement.attributes if each.name == "share"] if statement else []
    tied = any(isinstance(each.value, syntax.Reference) for each in shared)
    if not placed.variables or tied:
        return
    for seed in seeds_in(node):
        if isinstance(seed.value, syntax.Number):
            help = "leave `seed` out, or let it depend on the loop"
            known.report.add(codes.SAME_SEED, seed.span, help=help)


def read_edges(statement: syntax.EdgesStatement, placed: Placed, known: Known) -> None:
    """The sides of an `edges` statement."""
    name = known.own(statement.name, placed)
    if name not in known.sets.named:
        sides = Sides(
            side_of(statement.source, placed, known), side_of(statement.target, placed, known), name
        )
        known.sets.named[name] = NamedSet(sides, statement.set, placed)
        _warn_of_same_seed(statement.set, placed, known)


def resolve_edges(statement: syntax.EdgesStatement, placed: Placed, known: Known) -> None:
    """The edges of an `edges` statement."""
    name = known.own(statement.name, placed)
    if name in known.sets.named:
        known.sets.named_edges(name)


def read_connection(statement: syntax.ConnectStatement, placed: Placed, known: Known) -> None:
    """A `connect` statement: its edges and its weights, and the bias that comes with them."""
    network = known.network
    name = known.holding(connection_name(statement, placed, known.names), placed)
    source = known.names.find(statement.source, placed.variables, "layer", "input")
    target = known.names.find(statement.target, placed.variables, "layer")
    if source.name not in known.shapes or target.name not in known.shapes:
        raise Failed
    layer = network.layers.get(target.name)
    if layer is not None and layer.value is not None:
        raise fail(
            known.report,
            codes.VALUE_ENTERED,
            statement.target.span,
            name=layer.name,
            others=(Label(layer.span, "declared here"),),
            help=f"connect to a layer of its own, `{layer.name}_input` say, and read that in the expression",
        )
    sides = Sides(side_of(statement.source, placed, known), side_of(statement.target, placed, known), name)
    _warn_of_same_seed(statement.set, placed, known, statement)
    edges = known.sets.resolve(statement.set, sides, placed.variables)
    if not edges.count:
        known.report.add(codes.NO_EDGES, statement.set.span, name=name)
    pooling = resolve_pooling(statement, sides, edges, known.names, placed.variables)
    data = network.inputs.get(source.name)
    classes = data.classes if data and data.classes else 1
    weight = resolve_weight(statement, sides, edges, known, placed, classes, pooled=pooling is not None)
    delay, delays = delay_of(statement, sides, edges, known, placed, classes)
    looked_up = isinstance(edges, Full) and weight is not None and pooling is None
    if data is not None and data.classes is not None and not looked_up:
        help = f"write `connect {data.name} -> {target.name} : all`: each code has a row of weights"
        at = statement.set.span if not isinstance(edges, Full) else statement.span
        others = (Label(data.span, "declared here"),)
        raise fail(known.report, codes.CODES_READ, at, name=data.name, help=help, others=others)
    network.connections[name] = Connection(
        name, source.name, target.name, edges, weight, statement.span, pooling, delay, delays
    )
    known.connecting[name] = Connecting(sides, statement.set, placed.variables)
    if layer and weight is not None and layer.name in known.unbiased:
        known.unbiased.remove(layer.name)
        bias = Bias(layer.units, 0.0, None, None)
        network.layers[layer.name] = replace(layer, operations=(bias, *layer.operations))
