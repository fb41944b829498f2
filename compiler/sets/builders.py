"""Set builders, `{ source -> target : clauses ; policies }`: from assignments of the index names to edges."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...dsl import syntax
from ...dsl.diagnostics import fail
from ...dsl.walk import names_in
from .. import codes
from ..edges.edge_set import EDGE_LIMIT, EdgeSet, Indices, TooManyEdges, distinct, from_keys, pair_keys
from ..names.budget import CANDIDATE_LIMIT, OverBudget
from ..names.evaluate import Evaluator
from ..names.policies import DUPLICATE, OUTSIDE, Policies, apply_outside, refuse_duplicates
from ..names.sides import Scope, Side
from .closed_form import symbolic
from .idle import refuse_idle
from .rows import Rows, RowValues
from .search import Search
from .terms import calls, components, numbered


def build(node: syntax.Builder, scope: Scope) -> EdgeSet:
    """The edges of a builder. Raises `Failed` after recording a diagnostic, or `TooManyEdges`."""
    scope, policies = seeded(node, scope)
    node, written = with_numbers(node, scope), node
    refuse_idle(written, scope, policies, lambda: symbolic(node, scope, Policies(), _edge_by_edge))
    form = symbolic(node, scope, policies, _edge_by_edge)
    if form is not None:
        return form
    with _refusing(node, scope):
        return _edge_by_edge(node, scope, policies)


def _edge_by_edge(node: syntax.Builder, scope: Scope, policies: Policies) -> EdgeSet:
    """The edges of a builder, all assignments of its names tried. Raises `OverBudget` too."""
    parts: list[Indices] = []
    owners: list[syntax.Arrow] = []
    for arrow in node.edges:
        for _, keys in _keys_of(arrow, node, scope, policies):
            parts.append(keys)
            owners.append(arrow)
    keys = np.concatenate([np.empty(0, np.int64), *parts])
    once = distinct(keys)
    if policies.duplicate == "error" and len(once) < len(keys):
        ends = np.cumsum([len(part) for part in parts])
        refuse_duplicates(
            keys,
            scope.source,
            scope.target,
            scope.report,
            lambda at: owners[int(np.searchsorted(ends, at, side="right"))].span,
        )
    return from_keys(once, scope.source.shape, scope.target.shape)


def index_columns(node: syntax.Builder, scope: Scope) -> dict[str, Indices]:
    """The value on every edge, in canonical order, of each index name that the edge determines.

    For a builder with one arrow between sides that are no lists; of any other the result is empty.
    """
    node = with_numbers(node, scope)
    arrow, *others = node.edges
    if others or isinstance(arrow.source, syntax.List) or isinstance(arrow.target, syntax.List):
        return {}
    scope, policies = seeded(node, scope)
    with _refusing(node, scope):
        made = list(_searched(arrow, node, scope, policies))
    if not made:  # what no edge has is no mistake of what reads it
        ends = names_in(arrow.source, scope.text) | names_in(arrow.target, scope.text)
        return {name: np.empty(0, np.int64) for name in ends if scope.declared(name) is None}
    keys = np.concatenate([keys for _, keys in made])
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    again = keys[1:] == keys[:-1]
    first = np.ones(len(keys), bool)
    first[1:] = ~again
    columns: dict[str, Indices] = {}
    for name in made[0][0]:
        column = np.concatenate([rows[name] for rows, _ in made])[order]
        if name and not np.any(again & (column[1:] != column[:-1])):
            columns[name] = column[first]
    return columns


def with_numbers(node: syntax.Builder, scope: Scope) -> syntax.Builder:
    """A builder with the numbers of units in place of their names."""
    arrows = (
        syntax.Arrow(
            arrow.span,
            numbered(arrow.source, scope.source, scope),
            numbered(arrow.target, scope.target, scope),
        )
        for arrow in node.edges
    )
    return replace(node, edges=tuple(arrows))


def seeded(node: syntax.Builder, scope: Scope) -> tuple[Scope, Policies]:
    """The policies of a builder, and its scope with the seed that it may give for `chance`."""
    seeds = [policy for policy in node.policies if policy.name == "seed"]
    others = tuple(policy for policy in node.policies if policy.name != "seed")
    policies = Policies.of(others, scope.report, scope.text, (OUTSIDE, DUPLICATE))
    if not seeds:
        return scope, policies
    first, *more = seeds
    if more:
        raise fail(scope.report, codes.ARGUMENT_TWICE, more[0].span, name="seed")
    if not any(calls(node, "chance")):
        help = "a seed is for edges that are drawn, by `chance(p)` or `random(...)`"
        raise fail(scope.report, codes.UNKNOWN_POLICY, first.name_span, name="seed", help=help)
    seed = Evaluator(scope.report, scope.outer, surroundings=scope.surroundings).integer(
        first.value, "`seed`", least=0
    )
    return replace(scope, seed=lambda: seed), policies


def _keys_of(
    arrow: syntax.Arrow, node: syntax.Builder, scope: Scope, policies: Policies
) -> Iterator[tuple[Rows, Indices]]:
    """Assignments and `pair_keys` of the edges of one arrow, in the order they are made."""
    literal = _literal(arrow, node, scope)
    if literal is not None:
        yield {}, literal
        return
    for target in _items(arrow.target):
        for source in _items(arrow.source):
            yield from _searched(syntax.Arrow(arrow.span, source, target), node, scope, policies)


def _searched(
    arrow: syntax.Arrow, node: syntax.Builder, scope: Scope, policies: Policies
) -> Iterator[tuple[Rows, Indices]]:
    search = Search(arrow, node, scope, scope.budget)
    count = 0
    for rows in search.solutions():
        source, source_kept = _units(arrow.source, scope.source, rows, search.values, policies)
        target, target_kept = _units(arrow.target, scope.target, rows, search.values, policies)
        kept = source_kept & target_kept
        count += int(np.count_nonzero(kept))
        if count > EDGE_LIMIT:
            raise TooManyEdges(count)
        keys = pair_keys(source[kept], target[kept], scope.source.shape, scope.target.shape)
        yield {name: values[kept] for name, values in rows.items()}, keys


@contextmanager
def _refusing(node: syntax.Builder, scope: Scope) -> Generator[None]:
    """Turn `OverBudget` into a diagnostic at the condition that does not bound an index."""
    try:
        yield
    except OverBudget as error:
        over = error.name if not error.name.startswith("#") else ""
        label = f"this does not bound `{over}`" if error.condition and over else ""
        failed = fail(
            scope.report,
            codes.TOO_MANY_CANDIDATES,
            error.condition.span if error.condition and over else node.span,
            limit=f"{CANDIDATE_LIMIT:,}",
            label=label,
            help="write one side as a function of the other, as in `{ i -> i + k : k in 0..3 }`, "
            "or bound the distance, as in `abs(i - j) <= 3`",
        )
        scope.report.check()  # nothing else could be searched for
        raise failed from None


def _items(side: syntax.Expression) -> tuple[syntax.Expression, ...]:
    return side.items if isinstance(side, syntax.List) else (side,)


def _literal(arrow: syntax.Arrow, node: syntax.Builder, scope: Scope) -> Indices | None:
    """The fast way for plain integers and lists of them, of which a spec may hold very many."""
    if node.clauses:
        return None
    ends: list[Indices] = []
    for expression, side in ((arrow.source, scope.source), (arrow.target, scope.target)):
        units = [_literal_unit(item, side) for item in _items(expression)]
        if None in units:
            return None
        ends.append(np.array(units, np.int64))
    source, target = np.tile(ends[0], len(ends[1])), np.repeat(ends[1], len(ends[0]))
    return pair_keys(source, target, scope.source.shape, scope.target.shape)


def _literal_unit(index: syntax.Expression, side: Side) -> int | None:
    parts, unit = components(index), 0
    if len(parts) != len(side.shape):
        return None
    for part, size in zip(parts, side.shape, strict=True):
        if not (isinstance(part, syntax.Number) and isinstance(part.value, int) and part.value < size):
            return None
        unit = unit * size + part.value
    return unit


# ------------------------------------------------------------------------------------------ from indices


def _units(
    index: syntax.Expression, side: Side, rows: Rows, values: RowValues, policies: Policies
) -> tuple[Indices, NDArray[np.bool_]]:
    """The unit that an index names in every row, and whether it is kept."""
    unit: Indices = np.zeros(rows[""].shape, np.int64)
    kept: NDArray[np.bool_] = np.ones(rows[""].shape, bool)
    for part, size in zip(components(index), side.shape, strict=True):
        along, inside = apply_outside(
            _integers(part, rows, values),
            size,
            policies,
            side,
            values.scope,
            part,
            lambda row: values.assignment(rows, row),
        )
        unit = unit * size + along
        kept &= inside
    return unit, kept


def _integers(part: syntax.Expression, rows: Rows, values: RowValues) -> Indices:
    """An index in every row; a float is one if it is whole."""
    value, faulty = values.attempt(part, rows)
    values.refuse_faults(rows, faulty)
    value = np.broadcast_to(np.asarray(value), rows[""].shape)
    if value.dtype.kind != "f":
        return value
    for wrong, code in (
        (value != np.floor(value), codes.INDEX_NOT_INTEGER),
        (abs(value) > 2.0**62, codes.NUMBER_TOO_LARGE),
    ):
        if wrong.any():
            at = int(np.argmax(wrong))
            given = values.assignment(rows, at)
            raise fail(
                values.scope.report,
                code,
                part.span,
                value=value[at],
                label=f"{given} gives {value[at]:g}" if given else "",
                help="`//` divides and rounds down",
            )
    return value.astype(np.int64)
