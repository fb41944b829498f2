"""Set builders, `{ source -> target : clauses ; policies }`, solved in time proportional to what they bound.

The index names of a builder are assigned one after the other, all partial assignments at once as arrays. A
clause that is affine in the name at hand (with whatever is assigned before it) narrows that name's range
exactly, so `abs(i - j) <= 2` looks at five sources per target and not at all of them. Clauses that cannot
narrow are tested as soon as their names are assigned; the candidates that may be looked at are limited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from ...dsl import syntax
from ...dsl.diagnostics import Report
from .. import codes
from ..expressions import COMPARISONS, Evaluator, Value, called_name, fail, is_integer
from .edge_set import EdgeSet, Indices, Shape, listed
from .policies import DUPLICATES, OUTSIDE, Policies, apply_outside, refuse_duplicates

# Candidates of one builder, about a minute of work; and those held in memory at once.
CANDIDATE_LIMIT = 400_000_000
CHUNK = 1 << 20


@dataclass(frozen=True)
class Side:
    """One end of a set of edges: what diagnostics call it, and its shape."""

    name: str
    shape: Shape

    @property
    def units(self) -> int:
        """Number of units."""
        return prod(self.shape)


@dataclass(frozen=True)
class Scope:
    """What a builder sees of its surroundings: names in full, `for` variables, numbers and declarations."""

    report: Report
    source: Side
    target: Side
    text: Callable[[syntax.Name], str]
    loop_variables: Mapping[str, int]
    outer: Callable[[syntax.Reference], Value]
    declared: Callable[[str], bool]


@dataclass(frozen=True)
class Domain:
    """The values an index name runs over: a range, ends included, or a list."""

    name: str
    first: int
    last: int
    values: Indices | None = None


Rows = dict[str, Indices]


class OverBudget(Exception):
    """More candidates than `CANDIDATE_LIMIT`."""


def build(node: syntax.Builder, scope: Scope) -> EdgeSet:
    """The edges of a builder. Raises `Failed` after recording a diagnostic."""
    policies = Policies.of(node.policies, scope.report, scope.text, (OUTSIDE, DUPLICATES))
    parts = [_edges_of(arrow, node, scope, policies) for arrow in node.edges]
    source = np.concatenate([part[0] for part in parts]) if parts else np.empty(0, np.int64)
    target = np.concatenate([part[1] for part in parts]) if parts else np.empty(0, np.int64)
    if policies.duplicates == "error":
        spans = [arrow.span for arrow in node.edges]
        owner = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
        refuse_duplicates(source, target, scope.source, scope.target, scope.report, lambda i: spans[owner[i]])
    return listed(source, target, scope.source.shape, scope.target.shape)


def index_names(node: syntax.Builder, scope: Scope) -> tuple[str, ...]:
    """The names that a builder with one arrow binds, in order."""
    return tuple(domain.name for domain in _domains(node.edges[0], node, scope))


def _edges_of(
    arrow: syntax.Arrow, node: syntax.Builder, scope: Scope, policies: Policies
) -> tuple[Indices, Indices]:
    """Source and target unit of every edge of one arrow, in the order they are made."""
    literal = _literal(arrow, node, scope)
    if literal is not None:
        return literal
    if isinstance(arrow.source, syntax.List) or isinstance(arrow.target, syntax.List):
        pairs = [
            _edges_of(syntax.Arrow(arrow.span, source, target), node, scope, policies)
            for target in _items(arrow.target)
            for source in _items(arrow.source)
        ]
        empty = np.empty(0, np.int64)
        return (
            np.concatenate([empty, *(pair[0] for pair in pairs)]),
            np.concatenate([empty, *(pair[1] for pair in pairs)]),
        )
    domains = _domains(arrow, node, scope)
    sources = [np.empty(0, np.int64)]
    targets = [np.empty(0, np.int64)]
    try:
        for rows in _solutions(domains, node, scope):
            source, kept = _flat(arrow.source, scope.source, rows, scope, policies)
            rows = {name: values[kept] for name, values in rows.items()}
            target, kept = _flat(arrow.target, scope.target, rows, scope, policies)
            sources.append(source[kept])
            targets.append(target)
    except OverBudget:
        raise fail(
            scope.report,
            codes.TOO_MANY_CANDIDATES,
            node.span,
            limit=f"{CANDIDATE_LIMIT:,}",
            help="write one side as a function of the other, as in `{ i -> i + k : k in 0..3 }`, "
            "or bound the distance, as in `abs(i - j) <= 3`",
        ) from None
    return np.concatenate(sources), np.concatenate(targets)


def _items(side: syntax.Expression) -> tuple[syntax.Expression, ...]:
    return side.items if isinstance(side, syntax.List) else (side,)


def _literal(arrow: syntax.Arrow, node: syntax.Builder, scope: Scope) -> tuple[Indices, Indices] | None:
    """The fast way for plain integers and lists of them, of which a spec may hold very many."""
    if node.clauses or len(scope.source.shape) != 1 or len(scope.target.shape) != 1:
        return None
    ends: list[Indices] = []
    for expression, side in ((arrow.source, scope.source), (arrow.target, scope.target)):
        numbers = [
            item.value
            for item in _items(expression)
            if isinstance(item, syntax.Number) and isinstance(item.value, int) and item.value < side.units
        ]
        if len(numbers) != len(_items(expression)):
            return None
        ends.append(np.array(numbers, np.int64))
    return np.tile(ends[0], len(ends[1])), np.repeat(ends[1], len(ends[0]))


# ------------------------------------------------------------------------------------------- index names


def _bare(expression: syntax.Expression, scope: Scope) -> str | None:
    """The index name that stands alone in an index position, if one does."""
    if isinstance(expression, syntax.Parenthesised):
        return _bare(expression.inner, scope)
    if not isinstance(expression, syntax.Reference):
        return None
    name = scope.text(expression.name)
    return None if name in scope.loop_variables else name


def components(side: syntax.Expression) -> tuple[syntax.Expression, ...]:
    """The index of a side, one expression per dimension."""
    return side.items if isinstance(side, syntax.Tuple) else (side,)


def _domains(arrow: syntax.Arrow, node: syntax.Builder, scope: Scope) -> list[Domain]:
    """The index names of an arrow and what they run over."""
    domains: dict[str, Domain] = {}
    generated = {domain.name: domain for domain in _generators(node, scope)}
    for expression, side in ((arrow.source, scope.source), (arrow.target, scope.target)):
        parts = components(expression)
        if len(parts) != len(side.shape):
            raise fail(
                scope.report,
                codes.RANK,
                expression.span,
                side=side.name,
                rank=len(side.shape),
                shape=list(side.shape),
                given=len(parts),
            )
        for part, size in zip(parts, side.shape, strict=True):
            name = _bare(part, scope)
            if name is None or name in domains:
                continue
            domains[name] = generated.get(name) or Domain(name, 0, size - 1)
            if name not in generated:
                _refuse_declared(part, name, scope)
    return [*domains.values(), *(d for name, d in generated.items() if name not in domains)]


def _refuse_declared(part: syntax.Expression, name: str, scope: Scope) -> None:
    """A param, layer or axis alone in an index position is almost surely meant as its number."""
    if scope.declared(name):
        raise fail(
            scope.report,
            codes.INDEX_IS_DECLARED,
            part.span,
            name=name,
            help=f"choose another name for the index, or write `{name} + 0` for the number",
        )


def _generators(node: syntax.Builder, scope: Scope) -> Iterator[Domain]:
    """The clauses `name in range` and `name in list`."""
    for clause in node.clauses:
        if not (
            isinstance(clause, syntax.Comparison)
            and len(clause.rest) == 1
            and clause.rest[0][0] == "in"
            and (name := _bare(clause.first, scope))
        ):
            continue
        evaluator = Evaluator(scope.report, scope.outer)
        match clause.rest[0][1]:
            case syntax.Range(first=first, last=last):
                yield Domain(
                    name,
                    evaluator.integer(first, "the first of a range"),
                    evaluator.integer(last, "the last of a range"),
                )
            case syntax.List(items=items):
                values = [evaluator.integer(item, "an index") for item in items]
                yield Domain(name, 0, len(values) - 1, np.array(values, np.int64))
            case other:
                raise fail(scope.report, codes.IN_WHAT, other.span)


# --------------------------------------------------------------------------------------------- solutions


@dataclass(frozen=True)
class Condition:
    """A condition and the index names it needs."""

    node: syntax.Expression
    needs: frozenset[str]


def _solutions(domains: list[Domain], node: syntax.Builder, scope: Scope) -> Iterator[Rows]:
    """All assignments of the index names that meet all clauses, in chunks of about `CHUNK` rows."""
    names = frozenset(domain.name for domain in domains)
    generated = [domain.name for domain in _generators(node, scope)]
    conditions: list[Condition] = []
    for clause in node.clauses:
        if isinstance(clause, syntax.Membership):
            raise fail(scope.report, codes.NOT_YET, clause.span, what="membership in a named set")
        for part in _conjuncts(clause):
            bare = _bare(part.first, scope) if isinstance(part, syntax.Comparison) else None
            if part is clause and bare in generated and _is_generator(part):
                continue
            conditions.append(Condition(part, names & frozenset(_names_in(part, scope))))
    nothing_assigned = {"": np.zeros(1, np.int64)}
    if _holds([c for c in conditions if not c.needs], nothing_assigned, scope).all():
        yield from _extend(nothing_assigned, domains, conditions, scope, [CANDIDATE_LIMIT])


def _is_generator(clause: syntax.Expression) -> bool:
    return isinstance(clause, syntax.Comparison) and len(clause.rest) == 1 and clause.rest[0][0] == "in"


def _conjuncts(clause: syntax.Expression) -> Iterator[syntax.Expression]:
    if isinstance(clause, syntax.Binary) and clause.operator == "and":
        yield from _conjuncts(clause.left)
        yield from _conjuncts(clause.right)
    elif isinstance(clause, syntax.Parenthesised):
        yield from _conjuncts(clause.inner)
    else:
        yield clause


def _names_in(node: object, scope: Scope) -> Iterator[str]:
    match node:
        case syntax.Reference():
            yield scope.text(node.name)
        case syntax.Call():
            for argument in node.arguments:
                yield from _names_in(argument.value, scope)
        case syntax.Unary():
            yield from _names_in(node.operand, scope)
        case syntax.Binary():
            yield from _names_in(node.left, scope)
            yield from _names_in(node.right, scope)
        case syntax.Parenthesised():
            yield from _names_in(node.inner, scope)
        case syntax.Range():
            yield from _names_in(node.first, scope)
            yield from _names_in(node.last, scope)
        case syntax.Comparison():
            yield from _names_in(node.first, scope)
            for _, value in node.rest:
                yield from _names_in(value, scope)
        case syntax.List() | syntax.Tuple():
            for item in node.items:
                yield from _names_in(item, scope)
        case _:
            return


def _extend(
    rows: Rows, domains: list[Domain], conditions: list[Condition], scope: Scope, budget: list[int]
) -> Iterator[Rows]:
    """Assign the next name in every row, in chunks, keep the rows that meet the conditions, and go on."""
    if not domains:
        yield rows
        return
    domain, rest = domains[0], domains[1:]
    first, last = _narrowed(domain, rows, conditions, scope)
    counts = np.maximum(last - first + 1, 0)
    if counts.sum(dtype=float) > budget[0]:
        raise OverBudget
    ends = np.cumsum(counts)
    budget[0] -= int(ends[-1])
    ready = [c for c in conditions if domain.name in c.needs and c.needs <= {*rows, domain.name}]
    for start in range(0, int(ends[-1]), CHUNK):
        position = np.arange(start, min(start + CHUNK, ends[-1]))
        row = np.searchsorted(ends, position, side="right")
        value = first[row] + position - (ends[row] - counts[row])
        extended = {name: values[row] for name, values in rows.items()}
        extended[domain.name] = domain.values[value] if domain.values is not None else value
        keep = _holds(ready, extended, scope)
        if keep.any():
            remaining = {name: values[keep] for name, values in extended.items()}
            yield from _extend(remaining, rest, conditions, scope, budget)


def _evaluator(rows: Rows, scope: Scope) -> Evaluator:
    def lookup(reference: syntax.Reference) -> Value:
        name = scope.text(reference.name)
        return rows[name] if name in rows else scope.outer(reference)

    return Evaluator(scope.report, lookup)


def _holds(conditions: list[Condition], rows: Rows, scope: Scope) -> NDArray[np.bool_]:
    keep = np.ones(len(rows[""]), bool)
    for condition in conditions:
        value = _evaluator(rows, scope).value(condition.node)
        if np.asarray(value).dtype.kind != "b":
            raise fail(scope.report, codes.NOT_A_CONDITION, condition.node.span)
        keep &= value
    return keep


# --------------------------------------------------------------------------------------------- narrowing


def _narrowed(
    domain: Domain, rows: Rows, conditions: list[Condition], scope: Scope
) -> tuple[Indices, Indices]:
    """First and last value of a name in every row, as narrow as affine conditions make them."""
    first = np.full(len(rows[""]), domain.first, np.int64)
    last = np.full(len(rows[""]), domain.last, np.int64)
    if domain.values is not None:
        return first, last
    known = frozenset(rows) | {domain.name}
    for condition in conditions:
        if domain.name not in condition.needs or not condition.needs <= known:
            continue
        for low, high in _bounds(condition.node, domain.name, rows, scope):
            if low is not None:
                np.maximum(first, low, out=first)
            if high is not None:
                np.minimum(last, high, out=last)
    return first, last


Bound = tuple[Value | None, Value | None]


def _bounds(node: syntax.Expression, name: str, rows: Rows, scope: Scope) -> Iterator[Bound]:
    """The bounds on `name` that a comparison implies."""
    if not isinstance(node, syntax.Comparison):
        return
    left = node.first
    for symbol, right in node.rest:
        if symbol == "in" and isinstance(right, syntax.Range):
            yield from _affine_bounds(right.first, "<=", left, name, rows, scope)
            yield from _affine_bounds(left, "<=", right.last, name, rows, scope)
        elif symbol in COMPARISONS:
            yield from _affine_bounds(left, symbol, right, name, rows, scope)
        left = right


_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "=="}


def _affine_bounds(
    left: syntax.Expression,
    symbol: str,
    right: syntax.Expression,
    name: str,
    rows: Rows,
    scope: Scope,
) -> Iterator[Bound]:
    """Bounds from `left symbol right` where their difference is affine in `name`."""
    if symbol not in _MIRRORED:
        return
    inner = _absolute(left)
    if inner is not None:
        if symbol in ("<", "<=", "=="):
            minus = syntax.Unary(right.span, "-", right)
            loose = "<=" if symbol == "==" else symbol
            yield from _affine_bounds(inner, loose, right, name, rows, scope)
            yield from _affine_bounds(minus, loose, inner, name, rows, scope)
        return
    if _absolute(right) is not None:
        yield from _affine_bounds(right, _MIRRORED[symbol], left, name, rows, scope)
        return
    a, b = _affine(left, name, rows, scope), _affine(right, name, rows, scope)
    if a is None or b is None or a[0] == b[0] or not (is_integer(a[1]) and is_integer(b[1])):
        return
    # coefficient * name  symbol  constant
    coefficient, constant = a[0] - b[0], np.asarray(b[1]) - np.asarray(a[1])
    if coefficient < 0:
        coefficient, constant, symbol = -coefficient, -constant, _MIRRORED[symbol]
    if symbol == "<":
        yield None, -(-constant // coefficient) - 1
    elif symbol == ">":
        yield constant // coefficient + 1, None
    else:
        yield (
            -(-constant // coefficient) if symbol in (">=", "==") else None,
            constant // coefficient if symbol in ("<=", "==") else None,
        )


def _absolute(node: syntax.Expression) -> syntax.Expression | None:
    if isinstance(node, syntax.Parenthesised):
        return _absolute(node.inner)
    if isinstance(node, syntax.Call) and called_name(node) == "abs" and len(node.arguments) == 1:
        return node.arguments[0].value
    return None


def _affine(node: syntax.Expression, name: str, rows: Rows, scope: Scope) -> tuple[int, Value] | None:
    """`(a, b)` with node == a * name + b, or None."""
    if name not in _names_in(node, scope):
        return 0, _evaluator(rows, scope).value(node)
    match node:
        case syntax.Reference():
            return 1, 0
        case syntax.Parenthesised():
            return _affine(node.inner, name, rows, scope)
        case syntax.Unary(operator="-" | "+"):
            inner = _affine(node.operand, name, rows, scope)
            if inner is None or node.operator == "+":
                return inner
            return -inner[0], -inner[1]
        case syntax.Binary(operator="+" | "-" | "*"):
            left = _affine(node.left, name, rows, scope)
            right = _affine(node.right, name, rows, scope)
            return None if left is None or right is None else _combined(node.operator, left, right)
        case _:
            return None


# Beyond this an intermediate sum could leave 64 bits: the condition is then tested, not solved.
_SAFE = 2**31


def _combined(symbol: str, left: tuple[int, Value], right: tuple[int, Value]) -> tuple[int, Value] | None:
    (a, b), (c, d) = left, right
    if not all(is_integer(v) and np.all(np.abs(v) < _SAFE) for v in (a, b, c, d)):
        return None
    if symbol == "*":
        if a and c:
            return None
        (slope, offset), factor = ((c, d), b) if c else ((a, b), d)
        if isinstance(factor, np.ndarray):
            return None
        return slope * int(factor), np.asarray(offset) * factor
    return (a + c, np.asarray(b) + d) if symbol == "+" else (a - c, np.asarray(b) - d)


# ------------------------------------------------------------------------------------------ from indices


def _flat(
    side_node: syntax.Expression, side: Side, rows: Rows, scope: Scope, policies: Policies
) -> tuple[Indices, Indices]:
    """The unit that an index names in every row: the units kept, and the rows they come from."""
    count = len(rows[""])
    unit = np.zeros(count, np.int64)
    kept = np.arange(count)
    for part, size in zip(components(side_node), side.shape, strict=True):
        index = np.broadcast_to(_index(part, rows, scope), (count,))[kept]
        index, inside = apply_outside(
            index, size, policies, side, scope, part, lambda i, k=kept: _assignment(rows, int(k[i]))
        )
        kept = kept[inside]
        unit = unit[inside] * size + index
    return unit, kept


def _index(part: syntax.Expression, rows: Rows, scope: Scope) -> Indices:
    value = np.atleast_1d(np.asarray(_evaluator(rows, scope).value(part)))
    if value.dtype.kind == "b":
        raise fail(scope.report, codes.NOT_A_NUMBER, part.span, what="a condition")
    if value.dtype.kind == "f":
        broken = np.flatnonzero(value != np.floor(value))
        if len(broken) or np.any(np.abs(value) > 2.0**62):
            at = int(broken[0]) if len(broken) else 0
            raise fail(
                scope.report,
                codes.INDEX_NOT_INTEGER,
                part.span,
                value=value[at],
                label=f"{_assignment(rows, at)} gives {value[at]:g}" if len(value) > 1 else "",
                help="`//` divides and rounds down",
            )
    return value.astype(np.int64)


def _assignment(rows: Rows, row: int) -> str:
    return ", ".join(f"{name} = {values[row]}" for name, values in rows.items() if name)
