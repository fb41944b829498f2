"""What a group of digits that are tied together allows: offsets, a named set, or a list of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import prod

import numpy as np

from ...dsl import syntax
from ...dsl.walk import children
from ..edges.edge_set import EdgeSet, Shape, nothing, product, shifted
from ..edges.structure import recognised
from ..names.arithmetic import Value
from ..names.budget import Budget
from ..names.sides import Side
from .digits import Digit, Form, Group, NotSymbolic
from .linear import is_deterministic, linear, modulus, number
from .search import Search
from .terms import bare, components, member_of

# A list of offsets longer than this is no description of a set.
OFFSET_LIMIT = 1 << 20
# Differences of indices that are tried to find the offsets.
LOOKED_AT = 40_000_000


def factor(form: Form, group: Group, *, is_whole: bool) -> EdgeSet:
    """What a group of digits allows: in closed form, or listed if that is not the whole builder.

    Raises `NotSymbolic`.
    """
    try:
        return _closed(form, group)
    except NotSymbolic:
        if is_whole or not group.digits:
            raise
        return _listed(form, group)


def _listed(form: Form, group: Group) -> EdgeSet:
    """The edges that a group allows between its own digits."""
    span = form.node.span
    indices: list[syntax.Expression] = []
    sides: list[Side] = []
    for end, side in (("source", form.scope.source), ("target", form.scope.target)):
        digits = group.of(end)
        parts = [
            digit.computed
            if digit.name is None and digit.computed is not None
            else syntax.Reference(span, syntax.Name(span, (str(digit.name),)))
            for digit in digits
        ]
        indices.append(parts[0] if len(parts) == 1 else syntax.Tuple(span, tuple(parts)))
        sides.append(Side(side.name, tuple(digit.size for digit in digits)))
    clauses = (*(form.ranges[name] for name in group.ranges), *group.conditions, *group.memberships)
    arrow = syntax.Arrow(span, *indices)
    scope = replace(form.scope, source=sides[0], target=sides[1])
    return recognised(form.listing(syntax.Builder(span, (arrow,), clauses, ()), scope, form.policies))


def _closed(form: Form, group: Group) -> EdgeSet:
    source, target = group.of("source"), group.of("target")
    if group.memberships:
        return _graph(form, group, source, target)
    if len(source) != len(target) or not source:
        raise NotSymbolic
    if all(digit.name for digit in group.digits):
        shared = [s.name == t.name for s, t in zip(source, target, strict=True)]
        if all(shared) and not group.conditions and not group.ranges:
            return _band(form, source, target, [(0,) * len(source)], [1] * len(source))
        crossed = {s.name for s in source} & {t.name for t in target}  # `(j, i) -> (i, j)`
        if crossed or group.ranges:
            raise NotSymbolic
        return _by_difference(form, group, source, target)
    return _by_formula(form, group, source, target)


def _graph(form: Form, group: Group, source: list[Digit], target: list[Digit]) -> EdgeSet:
    """The edges of a named set, whose ends are the digits as they stand."""
    (membership, *others) = group.memberships
    shared = {digit.name for digit in source} & {digit.name for digit in target}
    if others or group.conditions or group.ranges or shared:
        raise NotSymbolic  # `{ i -> i : i -> i in g }` are the loops of g alone
    member = member_of(membership, form.scope, form.scope.owners)
    for digits, index, side in (
        (source, membership.edge.source, member.source),
        (target, membership.edge.target, member.target),
    ):
        names = [bare(part, form.scope) for part in components(index)]
        if names != [digit.name for digit in digits] or side.shape != tuple(d.size for d in digits):
            raise NotSymbolic
    return member.edges


def _by_difference(form: Form, group: Group, source: list[Digit], target: list[Digit]) -> EdgeSet:
    """Offsets that meet conditions which look at differences of paired digits alone."""
    pairs = [(str(s.name), str(t.name)) for s, t in zip(source, target, strict=True)]
    if not all(_is_invariant(form, condition, pairs) for condition in group.conditions):
        raise NotSymbolic
    span = form.node.span
    clauses: list[syntax.Expression] = [
        syntax.Comparison(
            span,
            syntax.Reference(span, syntax.Name(span, (str(s.name),))),
            (("in", syntax.Range(span, number(1 - t.size, span), number(s.size - 1, span))),),
        )
        for s, t in zip(source, target, strict=True)
    ]
    rows = _assignments(form, [*clauses, *group.conditions], {name for _, name in pairs})
    offsets = np.stack([rows[name] for name, _ in pairs], axis=1)
    return _band(form, source, target, map(tuple, offsets.tolist()), [1] * len(source))


def _by_formula(form: Form, group: Group, source: list[Digit], target: list[Digit]) -> EdgeSet:
    """Offsets of sources computed from targets, or the other way round."""
    strides: list[int] = []
    signs: list[int] = []
    for s, t in zip(source, target, strict=True):
        stride, sign = 1, 1
        if s.name and t.name:
            if s.name != t.name:
                raise NotSymbolic
        elif s.name is None and t.name is not None:
            stride = _stride(form, s, t.name)
        elif s.name is not None:
            stride, sign = _stride(form, t, s.name), -1
            if stride != 1:
                raise NotSymbolic
        else:
            raise NotSymbolic
        strides.append(stride)
        signs.append(sign)
    names = {str(digit.name) for digit in group.digits if digit.name}
    clauses = [form.ranges[name] for name in group.ranges]
    if any(form.names(clause) & names for clause in (*group.conditions, *clauses)):
        raise NotSymbolic
    nowhere = number(0, form.node.span)
    columns = _assignments(
        form,
        [*clauses, *group.conditions],
        names,
        [
            next((d.computed for d in pair if d.name is None and d.computed is not None), nowhere)
            for pair in zip(source, target, strict=True)
        ],
    )
    offsets = np.stack([columns[f"={at}"] * sign for at, sign in enumerate(signs)], axis=1)
    if form.policies.duplicate == "error" and len({*map(tuple, offsets.tolist())}) < len(offsets):
        raise NotSymbolic  # for the message
    return _band(form, source, target, map(tuple, offsets.tolist()), strides)


def _stride(form: Form, digit: Digit, name: str) -> int:
    """The factor of the other end's index in a computed one, whose rest is made of ranges alone."""
    factors = linear(digit.computed, form.index_names, form.scope)
    if factors is None or {n for n, f in factors.items() if f} != {name}:
        raise NotSymbolic
    factor = factors[name]
    if factor < 1 or factor.denominator != 1:
        raise NotSymbolic
    return int(factor)


def _band(
    form: Form,
    source: list[Digit],
    target: list[Digit],
    offsets: Iterable[tuple[int, ...]],
    strides: list[int],
) -> EdgeSet:
    sources, targets = tuple(d.size for d in source), tuple(d.size for d in target)
    wanted = sorted({*offsets})
    if not wanted:
        return nothing(sources, targets)
    if len(wanted) > OFFSET_LIMIT:
        raise NotSymbolic
    # What is computed is checked: a source by its formula, or a target that repeats the source's name.
    ends = [
        "source" if s.name is None else "target" if t.name in (None, s.name) else ""
        for s, t in zip(source, target, strict=True)
    ]
    computed = any(ends)
    if computed and form.policies.outside == "wrap":
        if sources != targets or {*strides} != {1}:
            raise NotSymbolic
        found = shifted(sources, targets, (1,) * len(sources), wanted, wrap=True)
        if found.count != prod(targets) * len(wanted):
            raise NotSymbolic  # offsets that are the same around the ring
        return _separated(sources, targets, strides, wanted, wrap=True) or found
    inside = _all_inside(sources, targets, strides, wanted, ends)
    if computed and form.policies.outside == "error" and not inside:
        raise NotSymbolic  # for the message
    found = _separated(sources, targets, strides, wanted, wrap=False)
    return found or shifted(sources, targets, tuple(strides), wanted)


def _assignments(
    form: Form,
    clauses: list[syntax.Expression],
    zero: set[str],
    indices: list[syntax.Expression] | None = None,
) -> dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """What the clauses' ranges run over where the conditions hold and some names are zero.

    Under `=0`, `=1`, ... stand the values of the indices.
    """
    nowhere = Side("", ())
    outer = form.scope.outer

    def at_zero(reference: syntax.Reference) -> Value:
        return 0 if form.scope.text(reference.name) in zero else outer(reference)

    known = {**form.scope.loop_variables, **dict.fromkeys(zero, 0)}
    scope = replace(form.scope, source=nowhere, target=nowhere, loop_variables=known, outer=at_zero)
    span, empty = form.node.span, syntax.Tuple(form.node.span, ())
    arrow = syntax.Arrow(span, empty, empty)
    search = Search(arrow, syntax.Builder(span, (arrow,), tuple(clauses), ()), scope, Budget(LOOKED_AT))
    columns: dict[str, list[np.ndarray[tuple[int], np.dtype[np.int64]]]] = {
        name: [np.empty(0, np.int64)]
        for name in (*search.names, *(f"={at}" for at in range(len(indices or []))))
    }
    count = 0
    for rows in search.solutions():
        count += len(rows[""])
        if count > OFFSET_LIMIT:
            raise NotSymbolic
        for name in search.names:
            columns[name].append(rows[name])
        for at, index in enumerate(indices or []):
            value, faulty = search.values.attempt(index, rows)
            value = np.asarray(value)
            if np.any(faulty) or value.dtype.kind not in "iu":
                raise NotSymbolic
            columns[f"={at}"].append(np.broadcast_to(value.astype(np.int64), rows[""].shape))
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def _is_invariant(form: Form, node: syntax.Expression, pairs: list[tuple[str, str]]) -> bool:
    """Whether a condition has one value wherever the differences of paired names are the same."""
    if not form.names(node):
        return is_deterministic(node)
    factors = linear(node, form.index_names, form.scope)
    # Sums of whole multiples are exact; others round differently from place to place.
    if factors is not None and all(factor.denominator == 1 for factor in factors.values()):
        return all(factors.get(i, 0) == -factors.get(j, 0) for i, j in pairs)
    match node:
        case syntax.Comparison():
            lefts = (node.first, *(right for _, right in node.rest[:-1]))
            return all(
                _is_link(form, left, symbol, right, pairs)
                for left, (symbol, right) in zip(lefts, node.rest, strict=True)
            )
        case syntax.Call():
            return is_deterministic(node) and all(
                _is_invariant(form, argument.value, pairs) for argument in node.arguments
            )
        case _:
            inner = children(node)
            return bool(inner) and all(_is_invariant(form, child, pairs) for child in inner)


def _is_link(
    form: Form, left: syntax.Expression, symbol: str, right: syntax.Expression, pairs: list[tuple[str, str]]
) -> bool:
    if symbol == "in":
        return _is_invariant(form, left, pairs) and not form.names(right)
    moduli = [modulus(side, form.scope) for side in (left, right)]
    if symbol in ("==", "!=") and moduli[0] is not None and moduli[1] is not None:
        (first, by), (second, other) = moduli[0], moduli[1]
        if by == other and _is_invariant(form, syntax.Binary(left.span, "-", first, second), pairs):
            return True
    return _is_invariant(form, syntax.Binary(left.span, "-", left, right), pairs)


def _all_inside(
    sources: Shape, targets: Shape, strides: list[int], offsets: list[tuple[int, ...]], ends: list[str]
) -> bool:
    """Whether the end of every edge that is computed along a dimension is there."""
    for at, (n_source, n_target, stride) in enumerate(zip(sources, targets, strides, strict=True)):
        low, high = min(o[at] for o in offsets), max(o[at] for o in offsets)
        if ends[at] == "source" and (low < 0 or stride * (n_target - 1) + high >= n_source):
            return False
        if ends[at] == "target" and (high > 0 or n_source - 1 - low >= n_target):
            return False
    return True


def _separated(
    sources: Shape, targets: Shape, strides: list[int], offsets: list[tuple[int, ...]], *, wrap: bool
) -> EdgeSet | None:
    """A box of offsets as one band a dimension."""
    along = [sorted({offset[at] for offset in offsets}) for at in range(len(sources))]
    if len(sources) < 2 or prod(map(len, along)) != len(offsets):
        return None
    bands = [
        shifted((n_source,), (n_target,), (stride,), [(o,) for o in some], wrap)
        for n_source, n_target, stride, some in zip(sources, targets, strides, along, strict=True)
    ]
    return product(sources, targets, bands)
