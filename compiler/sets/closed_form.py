"""Set builders in closed form: bands, windows, blocks and graphs between channels, of any size.

Each dimension of a side is a digit of its units' numbers. `i // 16` and `i % 16` split a dimension into two
digits where nothing else is said of it. Conditions and computed indices tie digits of the source to digits of
the target; groups of digits that nothing ties together are independent, so that the set is the product of
what each group allows: every pair, a list of offsets, or the edges of a named set.

Conditions on i and j that look at `i - j` alone allow the same offsets everywhere: they are tried with j = 0.
"""

from __future__ import annotations

from dataclasses import replace

from ...dsl import syntax
from ...dsl.diagnostics import Failed, Report
from ..edges.edge_set import EdgeSet, Full, TooManyEdges, listed, product
from ..edges.structure import is_worth
from ..names.budget import OverBudget
from ..names.policies import Policies
from ..names.sides import Scope
from .digits import Form, Group, Listing, NotSymbolic, taken_apart
from .factors import factor


def symbolic(node: syntax.Builder, scope: Scope, policies: Policies, listing: Listing) -> EdgeSet | None:
    """The set of a builder without looking at its edges, or None if that cannot be done.

    Groups of digits that have no closed form are listed by themselves if there are several. Raises `Failed`
    for what is wrong with the builder wherever its names are.
    """
    report = Report(scope.report.source)
    try:
        return _set(taken_apart(node, replace(scope, report=report), policies, listing))
    except (NotSymbolic, OverBudget, TooManyEdges):
        return None
    except Failed:
        if report.diagnostics:  # to be found again, with the assignment at fault
            return None
        raise


def _set(form: Form) -> EdgeSet:
    """The set."""
    groups = _groups(form)
    shapes = form.scope.source.shape, form.scope.target.shape
    tied = sum(len(group.digits) for group in groups)
    is_whole = len(groups) == 1 and tied == len(form.digits)
    found = product(
        *shapes, _in_order(form, [(group, factor(form, group, is_whole=is_whole)) for group in groups])
    )
    return found if is_worth(found) else listed(*found.edges(), *shapes)


def _groups(form: Form) -> list[Group]:
    """The digits by what ties them together; a digit that nothing ties stands in no group."""
    ties = [form.names(condition) for condition in form.conditions]
    ties += [form.ends(membership) for membership in form.memberships]
    ties += [
        form.names(digit.computed) | {f"#{at}"} for at, digit in enumerate(form.digits) if digit.name is None
    ]
    sources, targets = ({digit.name for digit in side if digit.name} for side in (form.source, form.target))
    ties += [{name} for name in sources & targets]
    ties += [{name} | form.names(values.rest[0][1]) for name, values in form.ranges.items()]
    pools: list[set[str]] = []
    for names in ties:
        if not names:
            raise NotSymbolic  # true everywhere or nowhere
        touching = [pool for pool in pools if pool & names]
        pools = [pool for pool in pools if not pool & names] + [names.union(*touching)]
    groups: list[Group] = []
    for pool in pools:
        group = Group()
        group.digits = [d for at, d in enumerate(form.digits) if (d.name or f"#{at}") in pool]
        group.ranges = [name for name in form.ranges if name in pool]
        group.conditions = [c for c in form.conditions if form.names(c) <= pool]
        group.memberships = [m for m in form.memberships if form.ends(m) <= pool]
        groups.append(group)
    return groups


def _in_order(form: Form, factors: list[tuple[Group, EdgeSet]]) -> list[EdgeSet]:
    """The factors in the order of their digits, with `all` between the digits that none speaks of."""
    result: list[EdgeSet] = []
    done = [0, 0]
    waiting = [([_place(form, group, side) for side in (0, 1)], factor) for group, factor in factors]
    while waiting:
        for entry in waiting:
            places, factor = entry
            others = [other for other, _ in waiting if other is not places]
            if all(_comes_first(places, other) for other in others):
                break
        else:
            raise NotSymbolic  # the digits of the two sides stand in different orders
        waiting.remove(entry)
        _pass(form, done, [at if p is None else p[0] for at, p in zip(done, places, strict=True)], result)
        result.append(factor)
        done = [at if p is None else p[1] for at, p in zip(done, places, strict=True)]
    _pass(form, done, [len(form.source), len(form.target)], result)
    return result


def _place(form: Form, group: Group, side: int) -> tuple[int, int] | None:
    """Where the digits of a group stand on a side; they stand together, or it is no factor."""
    digits = (form.source, form.target)[side]
    at = [place for place, digit in enumerate(digits) if any(digit is d for d in group.digits)]
    if at and at != list(range(at[0], at[-1] + 1)):
        raise NotSymbolic
    return (at[0], at[-1] + 1) if at else None


def _pass(form: Form, done: list[int], until: list[int], result: list[EdgeSet]) -> None:
    if any(last < first for first, last in zip(done, until, strict=True)):
        raise NotSymbolic  # the digits of the two sides stand in different orders
    sources, targets = (
        tuple(digit.size for digit in side[first:last])
        for side, first, last in zip((form.source, form.target), done, until, strict=True)
    )
    if sources or targets:
        result.append(Full(sources, targets))


def _comes_first(places: list[tuple[int, int] | None], other: list[tuple[int, int] | None]) -> bool:
    """Whether a group stands before another on every side where both have digits."""
    return all(p is None or q is None or p[1] <= q[0] for p, q in zip(places, other, strict=True))
