"""What stands after `share =`: which edges have one weight, and which connections one parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...dsl import syntax
from ...dsl.diagnostics import Report, fail
from ...dsl.findings import Label
from ...dsl.records import record
from ...dsl.source import Span
from ...dsl.walk import call_parts, called_name, names_in
from .. import codes
from ..edges.edge_set import EdgeSet, Full, Indices, weight_shape
from ..graph.model import Bias, Drawn, DrawnByFanIn, Given, Share, Start
from ..names.names import IN_KEYS, Names, Placed
from ..sets.rules import RULES

Keys = NDArray[np.float64]


@record
class Tie:
    """A parameter that several connections or layers may use, and the one that has used it first.

    `edges` are those of the first connection, which leads `into` a layer; a bias has none.
    """

    share: Share
    start: Start | float
    trainable: bool
    edges: EdgeSet | None
    span: Span
    into: str = ""


def share_name(node: syntax.Expression, edges: syntax.Expression | None, names: Names, placed: Placed) -> str:
    """The name of the parameter that `share = ...` speaks of; empty where it has none of its own.

    A name alone is that of a parameter, unless it stands for an index of the set `edges` or for a number.
    """
    if isinstance(node, syntax.Call) and isinstance(node.function, syntax.Reference):
        known = called_name(node) in IN_KEYS
        return "" if known else names.text(node.function.name, placed.variables)
    if not isinstance(node, syntax.Reference):
        return ""
    name = names.text(node.name, placed.variables)
    return (
        ""
        if is_number(name, names, placed)
        or name in ("fan_in", "fan_out")
        or name in _indices(edges, names, placed)
        else name
    )


def is_number(name: str, names: Names, placed: Placed) -> bool:
    """Whether a name is that of a param or of the variable of a loop."""
    found = names.declared.get(name)
    return name in placed.variables or (found is not None and found.kind == "param")


def _indices(edges: syntax.Expression | None, names: Names, placed: Placed) -> set[str]:
    """The names in the ends and clauses of a set in braces, or those that a rule gives to indices."""
    if isinstance(edges, syntax.Call) and (rule := RULES.get(called_name(edges))):
        return {*rule.names(edges)}
    if not isinstance(edges, syntax.Builder):
        return set()

    def text(name: syntax.Name) -> str:
        return names.text(name, placed.variables)

    ends = (end for arrow in edges.edges for end in (arrow.source, arrow.target))
    found = [names_in(end, text) for end in ends]
    for clause in edges.clauses:
        parts = (
            (clause.edge.source, clause.edge.target) if isinstance(clause, syntax.Membership) else (clause,)
        )
        found += [names_in(part, text) for part in parts]
    return {name for some in found for name in some} - {*names.declared}


def declare_share(
    node: syntax.Expression, edges: syntax.Expression | None, names: Names, placed: Placed
) -> None:
    """Enter the name of a shared parameter, which may be there already."""
    name = share_name(node, edges, names, placed)
    found = names.declared.get(name)
    if not name or (found is not None and found.kind == SHARED):
        return
    function = node.function if isinstance(node, syntax.Call) else node
    assert isinstance(function, syntax.Reference)
    names.declare(function.name, SHARED, placed)


SHARED = "shared weight"


def shares_of(statement: syntax.Statement) -> list[tuple[syntax.Expression, syntax.Expression | None]]:
    """What stands after each `share =` of a statement, and the set of edges that it is about, if it is."""
    match statement:
        case syntax.ConnectStatement():
            return [(each.value, statement.set) for each in statement.attributes if each.name == "share"]
        case syntax.LayerStatement():
            biases = [parts for node in statement.operations if (parts := call_parts(node))]
            return [
                (argument.value, None)
                for name, arguments in biases
                for argument in arguments
                if name == "bias" and argument.name == "share"
            ]
        case _:
            return []


# ------------------------------------------------------------------------------------------------- by key


def key_items(node: syntax.Expression) -> Sequence[syntax.Expression]:
    """The expressions that a key is made of."""
    match node:
        case syntax.Tuple():
            return node.items
        case syntax.Parenthesised():
            return key_items(node.inner)
        case _:
            return (node,)


def by_key(name: str, named: bool, columns: Sequence[NDArray[np.float64]], edges: EdgeSet) -> Share:
    """The share of edges whose keys, a column each, are given in canonical order.

    Entries are ordered by key. A matrix keeps its shape where each of its entries has one, or is turned.
    """
    index = np.zeros(edges.count, np.int64)
    for column in columns:
        _, place = np.unique(column, return_inverse=True)
        _, index = np.unique(index * (place.max(initial=0) + 1) + place.reshape(-1), return_inverse=True)
        index = index.reshape(-1)
    size = int(index.max(initial=-1)) + 1
    keys = np.empty((size, len(columns)))
    for at, column in enumerate(columns):
        keys[index, at] = column
    whole = size == edges.count
    if whole and np.array_equal(index, np.arange(size)):
        return Share(name, named, weight_shape(edges), None, False, keys)
    if whole and isinstance(edges, Full) and np.array_equal(index, turned_index(edges)):
        return Share(name, named, weight_shape(edges)[::-1], None, True, keys)
    return Share(name, named, (size,), index, False, keys)


def turned_index(edges: EdgeSet) -> Indices:
    """Where each edge stands among these edges turned round, in the canonical order of those."""
    source, target = edges.edges()
    return np.argsort(np.argsort(source * (int(target.max(initial=0)) + 1) + target, kind="stable"))


def entry_of(share: Share, edges: EdgeSet) -> Indices | None:
    """The entry of each edge; None where entries are the edges, in their order."""
    return turned_index(edges) if share.turned else share.index


# ------------------------------------------------------------------------------------------------ by name


def as_first(share: Share, first: Tie, edges: EdgeSet, source: str, span: Span, names: Names) -> Share:
    """The share in a parameter that another connection has used first, of a connection from a `source`.

    Raises `Failed` if it does not fit.
    """
    own = first.share
    others = (Label(first.span, "shared first here"),)
    if first.edges is None:
        help = "weights and biases cannot be one parameter"
        fields = {"name": own.parameter, "what": "what they are"}
        raise fail(names.report, codes.SHARE_DIFFERS, span, others=others, help=help, **fields)
    if share.keys is None and own.keys is None:
        if source == first.into and first.span != span and _is_square(first.edges) and _is_square(edges):
            names.report.add(codes.SHARED_AS_IT_IS, span, name=own.parameter, others=others)
        return _same_edges(own, first.edges, edges, span, others, names)
    if share.texts != own.texts:
        help, fields = _about_texts(share, own), {"name": own.parameter, "what": "their keys"}
        raise fail(names.report, codes.SHARE_DIFFERS, span, others=others, help=help, **fields)
    if share.keys is None or own.keys is None or not np.array_equal(share.keys, own.keys):
        help, fields = _about_keys(share.keys, own.keys), {"name": own.parameter, "what": "their keys"}
        raise fail(names.report, codes.SHARE_DIFFERS, span, others=others, help=help, **fields)
    if share.index is None and share.shape == own.shape:
        return share
    index = entry_of(share, edges)
    if index is None:
        index = np.arange(edges.count)
    return Share(own.parameter, True, own.shape, index, False, own.keys, own.texts)


def _same_edges(
    own: Share, first: EdgeSet, edges: EdgeSet, span: Span, others: tuple[Label, ...], names: Names
) -> Share:
    """One weight an edge: of the same edges, or of the same turned round."""
    if isinstance(first, Full) and isinstance(edges, Full):
        if weight_shape(first) == weight_shape(edges):
            return own
        if weight_shape(first) == weight_shape(edges)[::-1]:
            return Share(own.parameter, True, own.shape, None, True, None)
    elif first.count == edges.count:
        ends, own_ends = first.edges(), edges.edges()
        if all(map(np.array_equal, ends, own_ends)):
            return (
                own
                if len(own.shape) == 1
                else Share(own.parameter, True, own.shape, np.arange(edges.count), False, None)
            )
        index = turned_index(edges)
        if all(map(np.array_equal, (ends[1][index], ends[0][index]), own_ends)):
            return Share(own.parameter, True, own.shape, index, False, None)
    help = f"a key says which edges have one weight: `share = {own.parameter}(i, j)`"
    fields = {"name": own.parameter, "what": "their edges"}
    raise fail(names.report, codes.SHARE_DIFFERS, span, others=others, help=help, **fields)


def _is_square(edges: EdgeSet) -> bool:
    """Whether a set is every pair of as many units as there are on the other side, and of more than one."""
    return isinstance(edges, Full) and len({*weight_shape(edges)}) == 1 < edges.count


def _about_keys(given: Keys | None, first: Keys | None) -> str:
    if given is None or first is None:
        return "either all connections that use a name give a key, or none does"
    if given.shape[1] != first.shape[1]:
        return f"a key has {given.shape[1]} numbers here, and {first.shape[1]} there"
    lacking = {tuple(row) for row in given.tolist()} ^ {tuple(row) for row in first.tolist()}
    key = ", ".join(f"{number:g}" for number in min(lacking))
    where = "here" if tuple(min(lacking)) in {tuple(row) for row in given.tolist()} else "there"
    return f"the key ({key}) is {where} alone"


def _about_texts(share: Share, own: Share) -> str:
    """How the texts of two keys differ."""
    here, there = dict(share.texts), dict(own.texts)
    for at in sorted(here.keys() | there.keys()):
        if at not in here or at not in there:
            where = ("here", "there") if at in here else ("there", "here")
            return "number {} of a key is a text {}, and not {}".format(at + 1, *where)
        if lacking := {*here[at]} ^ {*there[at]}:
            text = min(lacking)
            return f'the text "{text}" is {"here" if text in here[at] else "there"} alone'
    return "the keys are other ones"


def same_start(one: Start | float, other: Start | float) -> bool:
    """Whether two parameters start as the same."""
    match one, other:
        case (Drawn(), Drawn()):
            given = (
                zip(one.arguments, other.arguments, strict=True)
                if one.distribution == other.distribution
                else ()
            )
            return one.distribution == other.distribution and all(np.array_equal(a, b) for a, b in given)
        case (Given(), Given()):
            return np.array_equal(one.value, other.value)
        case _:
            return type(one) is type(other) and (not isinstance(one, float) or one == other)


def tied_bias(bias: Bias, node: syntax.Expression, ties: dict[str, Tie], report: Report) -> Bias:
    """A bias that layers share, starting as the first of them says. Raises `Failed` if it does not fit it."""
    assert bias.share is not None
    share = Share(bias.share, True, (bias.size,), None, False, None)
    first = ties.setdefault(bias.share, Tie(share, bias.start, True, None, node.span))
    parts = call_parts(node)
    says = parts is not None and any(argument.name == "start" for argument in parts[1])
    for what, differs in (
        ("their sizes", first.share.shape != share.shape),
        ("their starts", says and not same_start(bias.start, first.start)),
    ):
        if differs:
            others = (Label(first.span, "shared first here"),)
            raise fail(report, codes.SHARE_DIFFERS, node.span, name=bias.share, what=what, others=others)
    assert not isinstance(first.start, Drawn | DrawnByFanIn)
    return replace(bias, start=first.start)
