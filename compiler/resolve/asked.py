"""What expressions and axes ask of the rest of a spec: lengths, fields, the edges of named sets."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from ...dsl import syntax
from ...dsl.diagnostics import fail
from ...dsl.source import Span
from ...dsl.words import suggest
from .. import codes
from ..data.axis import Axis
from ..data.tables import Texts
from ..edges.edge_set import EdgeSet, Indices, TooManyEdges
from ..names.names import Declaration
from ..names.sides import Member, rank_text
from ..names.surroundings import Surroundings
from .connections import read_edges
from .known import Known
from .sizes import axis_at, axis_of, shape_of


def surroundings(variables: Mapping[str, int], known: Known) -> Surroundings:
    """What expressions read of the rest of the spec."""
    return Surroundings(
        lambda reference: _length(reference, variables, known),
        lambda attribute: _numbered(attribute, variables, known),
        lambda node: _named_axis(node, variables, known),
    )


def reaching(node: syntax.Expression, variables: Mapping[str, int], known: Known) -> Member:
    """The named set whose ends are the units of an axis."""
    if isinstance(node, syntax.Reference):
        declared = known.names.declared.get(known.names.text(node.name, variables))
        if declared is not None and declared.kind == "edge set":
            _edges_of(declared, node.span, known)
    return known.sets.member(node, variables)


def declare_set(declared: Declaration, known: Known) -> None:
    """Read the statement of a named set whose turn has not come yet."""
    with known.names.needing(declared):
        _read_set(declared, known)


def _read_set(declared: Declaration, known: Known) -> None:
    statement = declared.placed.statement
    assert isinstance(statement, syntax.EdgesStatement)
    read_edges(statement, declared.placed, known)


def _named_axis(node: syntax.Expression, variables: Mapping[str, int], known: Known) -> Axis | None:
    """The axis that stands behind `in`, or the one that `names(...)` there makes."""
    if isinstance(node, syntax.Call):
        return known.axes.listed(node, variables)
    return axis_at(node, variables, known)


def _length(reference: syntax.Reference, variables: Mapping[str, int], known: Known) -> int:
    """Number of units of an axis, a layer or an input, or of edges in a set."""
    found = known.names.find(reference.name, variables, "axis", "layer", "input", "edge set")
    if found.kind == "axis":
        return axis_of(found, known).size
    if found.kind == "edge set":
        return _edges_of(found, reference.span, known).count
    return prod(shape_of(found, known))


def _numbered(attribute: syntax.Attribute, variables: Mapping[str, int], known: Known) -> Texts | Indices:
    """A field of an axis, or one of the two ends of all edges of a set."""
    found = known.names.find(attribute.value.name, variables, "axis", "edge set")
    if found.kind == "axis":
        fields = axis_of(found, known).fields
        if attribute.field in fields:
            return Texts(fields[attribute.field])
        there, what = tuple(fields), "field"
    else:
        there, what = ("source", "target"), "end"
        if attribute.field in there:
            return _ends(found, attribute, known)
    guess = suggest(attribute.field, there)
    listed = ", ".join(f"`{name}`" for name in there)
    help = f"did you mean `{guess}`?" if guess else f"its {what}s are {listed}" if there else ()
    given = {"name": found.name, "what": what, "field": attribute.field}
    raise fail(known.report, codes.NO_FIELD, attribute.span, help=help, **given)


def _ends(declared: Declaration, attribute: syntax.Attribute, known: Known) -> Indices:
    edges = _edges_of(declared, attribute.span, known)
    shape = edges.source_shape if attribute.field == "source" else edges.target_shape
    if len(shape) > 1:
        raise fail(
            known.report,
            codes.RANK,
            attribute.span,
            side=f"{declared.name}.{attribute.field}",
            rank=rank_text(shape),
            shape=list(shape),
            given=1,
            help="the ends of an edge are known where its sides have one dimension",
        )
    try:
        if declared.name not in known.edge_ends:
            known.edge_ends[declared.name] = edges.edges()
        return known.edge_ends[declared.name][0 if attribute.field == "source" else 1]
    except TooManyEdges as error:
        count = f"{error.count:,}"
        raise fail(known.report, codes.TOO_MANY_EDGES, attribute.span, count=count) from None


def _edges_of(declared: Declaration, span: Span, known: Known) -> EdgeSet:
    """The edges of a named set, resolved when they are first asked for."""
    if known.sets.resolved.get(declared.name) is not None:
        return known.sets.edges_of(declared.name, span)
    with known.names.needing(declared):
        _read_set(declared, known)
        return known.sets.edges_of(declared.name, span)
