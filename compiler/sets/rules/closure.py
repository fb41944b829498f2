"""The rule `closure`: an edge for every path, of one edge or more, in a named set."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ....dsl import syntax
from ....dsl.diagnostics import fail
from ....dsl.findings import Label
from ... import codes
from ...edges.edge_set import EdgeSet, Indices, distinct, from_keys, pair_keys, refuse_many
from ...graph import statement as stated
from ...names.arguments import bind
from ...names.budget import CANDIDATE_LIMIT, Budget, OverBudget
from ...names.by_name import between, is_placed
from .rule import Rule, Setting, Stating

_NONE: Indices = np.empty(0, np.int64)


def _edges(node: syntax.Expression, setting: Setting) -> EdgeSet:
    names, report = setting.names, setting.names.report
    bound = bind(report, node, ("set",))
    if "set" not in bound:
        raise fail(report, codes.MISSING_ARGUMENT, node.span, name="closure", argument="set")
    inner = bound["set"].value
    member = setting.member(inner)
    source, target = ends = member.source, member.target
    assert isinstance(inner, syntax.Reference)
    if source.shape != target.shape or is_placed((source, source), (target, target)):
        raise fail(
            report,
            codes.CLOSURE_SIDES,
            inner.span,
            name=(name := names.text(inner.name, setting.variables)),
            source=source.name,
            target=target.name,
            others=(Label(names.declared[name].span, "declared here"),),
        )
    setting.refuse_sides(inner)
    try:
        found = closure(member.edges, setting.budget)
    except OverBudget:
        count, help = f"{CANDIDATE_LIMIT:,}", "the paths of this set are too many to follow"
        raise fail(report, codes.TOO_MANY_CANDIDATES, node.span, limit=count, help=help) from None
    wanted = setting.sides.both
    return between(found, ends, wanted) if is_placed(ends, wanted) else found


def _state(node: syntax.Expression, stating: Stating) -> stated.Set:
    return stating.named(bind(stating.report, node, ("set",))["set"].value, True)


CLOSURE = Rule("closure", _edges, _state)


def closure(edges: EdgeSet, budget: Budget) -> EdgeSet:
    """The pairs of units that a path joins, of a set between two sides of one shape; cycles are allowed.

    Takes the units that each component reaches from the components behind it, so that the work is that of the
    paths that it does not know already. Raises `TooManyEdges`, or `OverBudget`.
    """
    if not edges.count:
        return edges
    source, target = edges.edges()
    units = distinct(np.concatenate([source, target]))
    ends = np.searchsorted(units, np.concatenate([source, target]))
    tail, head = ends[: len(source)], ends[len(source) :]
    members = _components(len(units), tail, head)
    place = np.empty(len(units), np.int64)  # the component of each unit, all that it leads to before it
    place[np.concatenate(members)] = np.repeat(np.arange(len(members)), [*map(len, members)])
    reached = _reached(members, _onwards(place[tail], place[head], len(members)), len(units), budget)
    shapes = edges.source_shape, edges.target_shape
    sizes = [len(found) for found, some in zip(reached, members, strict=True) for _ in some]
    to_units = [found for found, some in zip(reached, members, strict=True) for _ in some]
    from_units = np.repeat(np.concatenate(members), sizes)
    keys = pair_keys(units[from_units], units[np.concatenate(to_units)], *shapes)
    return from_keys(np.sort(keys), *shapes)


def _onwards(tail: Indices, head: Indices, count: int) -> list[list[int]]:
    """The components that edges lead to from each, the nearest first; itself if it has an edge within."""
    keys = distinct(tail * count + head)
    heads: list[int] = (keys % count).tolist()
    first: list[int] = np.searchsorted(keys, count * np.arange(count + 1)).tolist()
    return [heads[start:end][::-1] for start, end in pairwise(first)]


def _reached(members: list[Indices], onwards: list[list[int]], units: int, budget: Budget) -> list[Indices]:
    """The units that each component reaches, those of its own only if they are on a cycle."""
    reached: list[Indices] = []
    known = np.full(units, -1)  # the last component that was found to reach a unit
    count = 0
    for component, (some, others) in enumerate(zip(members, onwards, strict=True)):
        parts: list[Indices] = []
        for other in others:
            if other == component:
                found = some
            elif len(others) > 1 and known[members[other][0]] == component:
                continue  # what it reaches has been found by way of a nearer one
            else:
                cyclic = onwards[other][:1] == [other]
                found = reached[other] if cyclic else np.concatenate([members[other], reached[other]])
            budget.spend(len(found))
            if len(others) > 1:
                found = found[known[found] != component]
                known[found] = component
            parts.append(found)
        reached.append(np.concatenate(parts) if len(parts) > 1 else parts[0] if parts else _NONE)
        count += len(reached[-1]) * len(some)
        refuse_many(count)
    return reached


def _components(count: int, tail: Indices, head: Indices) -> list[Indices]:
    """The strongly connected components, each behind all that it leads to (Tarjan 1972)."""
    order = np.argsort(tail, kind="stable")
    heads: list[int] = head[order].tolist()
    first: list[int] = np.searchsorted(tail[order], np.arange(count + 1)).tolist()
    following = first[:-1]
    number, lowest = [0] * count, [0] * count
    on_path = [False] * count
    path: list[int] = []
    found: list[Indices] = []
    met = 0
    for root in range(count):
        stack = [] if number[root] else [root]
        while stack:
            unit = stack[-1]
            if not number[unit]:
                met += 1
                number[unit] = lowest[unit] = met
                path.append(unit)
                on_path[unit] = True
            at, last = following[unit], first[unit + 1]
            while at < last and number[heads[at]]:
                if on_path[heads[at]]:
                    lowest[unit] = min(lowest[unit], lowest[heads[at]])
                at += 1
            following[unit] = at
            if at < last:
                stack.append(heads[at])
                continue
            stack.pop()
            if lowest[unit] == number[unit]:
                members: list[int] = []
                while not members or members[-1] != unit:
                    members.append(path.pop())
                    on_path[members[-1]] = False
                found.append(np.array(members, np.int64))
    return found
