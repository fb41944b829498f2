"""Policies that cannot act, by the form of what they stand beside, whatever sizes and params are."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...dsl import syntax
from ...dsl.diagnostics import Report, fail
from .. import codes
from ..edges.edge_set import Diagonal, EdgeSet, Full, Product, Shifted
from ..names.policies import Policies
from ..names.sides import Scope, Side
from .terms import bare, components, conjuncts, generator_of

# An offset a unit is shown in full in a help, up to this many.
SHOWN = 12


def refuse_idle(
    node: syntax.Builder, scope: Scope, policies: Policies, form: Callable[[], EdgeSet | None]
) -> None:
    """Warn of a policy of a builder that cannot act, or raise `Failed` where it was to change the edges.

    `form` gives the builder's edges without policies in closed form, if they have one.
    """
    written = {policy.name: policy for policy in node.policies}
    if policies.outside == "wrap" and not _may_be_outside(node, scope):
        around = _around(node, scope, form())
        example = "as in `{ i -> i + d : d in -1..1 ; outside = wrap }`"
        help = f"write `{around}`" if around else f"write one side as a function of the other, {example}"
        raise fail(scope.report, codes.CANNOT_WRAP, written["outside"].span, help=help)
    if policies.outside == "skip" and not _may_be_outside(node, scope):
        why = "every index runs over the units of its own side, so that no edge lies outside"
        scope.report.add(codes.IDLE_POLICY, written["outside"].span, policy="outside = skip", why=why)
    if policies.duplicate == "merge" and policies.outside != "wrap" and not _may_be_twice(node, scope):
        why = "every index stands alone on a side of the arrow, so that no edge is made twice"
        scope.report.add(codes.IDLE_POLICY, written["duplicate"].span, policy="duplicate = merge", why=why)


def _items(side: syntax.Expression) -> tuple[syntax.Expression, ...]:
    return side.items if isinstance(side, syntax.List) else (side,)


def _generated(node: syntax.Builder, scope: Scope) -> dict[str, syntax.Expression]:
    """The index names with an `in` of their own, and what stands behind it."""
    found: dict[str, syntax.Expression] = {}
    for clause in node.clauses:
        for part in () if isinstance(clause, syntax.Membership) else conjuncts(clause):
            name = generator_of(part, scope)
            if name is not None and isinstance(part, syntax.Comparison):
                found.setdefault(name, part.rest[0][1])
    return found


def _may_be_outside(node: syntax.Builder, scope: Scope) -> bool:
    """Whether some index is more than a unit's name, or an index name that runs over that very dimension."""
    generated = _generated(node, scope)
    for arrow in node.edges:
        for source in _items(arrow.source):
            for target in _items(arrow.target):
                bound: set[str] = set()
                for part in (*components(source), *components(target)):
                    if isinstance(part, syntax.String):
                        continue
                    name = bare(part, scope)
                    if name is None or name in bound or name in generated:
                        return True
                    bound.add(name)
    return False


def _may_be_twice(node: syntax.Builder, scope: Scope) -> bool:
    """Whether two assignments of the index names may make one edge."""
    arrow, *others = node.edges
    if others or isinstance(arrow.source, syntax.List) or isinstance(arrow.target, syntax.List):
        return True
    generated = _generated(node, scope)
    if any(not isinstance(values, syntax.Range) for values in generated.values()):
        return True  # a list may hold a value twice
    names = {*generated}
    for clause in node.clauses:
        if isinstance(clause, syntax.Membership):
            ends = (*components(clause.edge.source), *components(clause.edge.target))
            names |= {name for part in ends if (name := bare(part, scope)) is not None}
    alone = {bare(part, scope) for side in (arrow.source, arrow.target) for part in components(side)}
    return not names <= alone


# ---------------------------------------------------------------------------------------------- around a ring


def _around(node: syntax.Builder, scope: Scope, form: EdgeSet | None) -> str | None:
    """A builder whose conditions allow the same offsets everywhere, written such that it goes around."""
    arrow = node.edges[0]
    sources, targets = components(arrow.source), components(arrow.target)
    factors = form.factors if isinstance(form, Product) else () if form is None else (form,)
    if len(factors) != len(sources) or len(sources) != len(targets):
        return None
    known = {bare(part, scope) for part in (*sources, *targets)}
    letters = [
        letter for letter in ("d" if len(sources) == 1 else "abcdefghuvw") if _is_free(letter, known, scope)
    ]
    left: list[str] = []
    right: list[str] = []
    ranges: list[str] = []
    for factor, s, t in zip(factors, sources, targets, strict=True):
        left.append(str(bare(s, scope)))
        match factor:
            case Full(source_shape=(_,), target_shape=(_,)):
                right.append(str(bare(t, scope)))
            case Diagonal(source_shape=(_,)):
                right.append(left[-1])
            case Shifted(strides=(1,)) if factor.source_shape == factor.target_shape:
                steps = _steps([-offset for (offset,) in factor.offsets], factor.source_shape[0])
                if not 0 < len(steps) <= SHOWN or (len(steps) > 1 and not letters):
                    return None
                right.append(f"{left[-1]} {_signed(steps[0])}")
                if len(steps) > 1:
                    right[-1] = f"{left[-1]} + {letters[0]}"
                    ranges.append(f"{letters.pop(0)} in {_values(steps)}")
            case _:
                return None
    if not any(isinstance(factor, Shifted) for factor in factors):
        return None
    clauses = f" : {', '.join(ranges)}" if ranges else ""
    return f"{{ {_index(left)} -> {_index(right)}{clauses} ; outside = wrap }}"


def _is_free(letter: str, known: set[str | None], scope: Scope) -> bool:
    return letter not in known and letter not in scope.loop_variables and scope.declared(letter) is None


def _steps(offsets: list[int], size: int) -> list[int]:
    """Steps around a ring by the shorter way, ascending; none if they lead everywhere."""
    half = (size - 1) // 2
    steps = sorted({(offset + half) % size - half for offset in offsets})
    return steps if len(steps) < size and {*steps} <= {*offsets} else []


def _signed(step: int) -> str:
    return f"- {-step}" if step < 0 else f"+ {step}"


def _values(steps: list[int]) -> str:
    if len(steps) > 2 and steps[-1] - steps[0] == len(steps) - 1:
        return f"{steps[0]}..{steps[-1]}"
    return f"[{', '.join(map(str, steps))}]"


def _index(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"


# -------------------------------------------------------------------------------------------------- in a file


def warn_of_idle(
    policies: Policies, bound: Mapping[str, syntax.Argument], sides: tuple[Side, Side], report: Report
) -> None:
    """Warn of a policy of `load` that speaks of names where there are none, or of numbers where there are."""
    named = [(axis := side.axis(at)) and axis.names for side in sides for at in range(len(side.shape))]
    if policies.unknown == "skip" and not any(named):
        why = "neither side has names, so that the file holds numbers of units"
        report.add(codes.IDLE_POLICY, bound["unknown"].span, policy="unknown = skip", why=why, help=_OUTSIDE)
    if policies.outside != "error" and all(named):
        why = "both sides have names, so that the file holds no numbers of units"
        given = f"outside = {policies.outside}"
        report.add(codes.IDLE_POLICY, bound["outside"].span, policy=given, why=why, help=_UNKNOWN)


_OUTSIDE = "for a number that is no unit it is `outside = skip`"
_UNKNOWN = "for a name that is no unit it is `unknown = skip`"
