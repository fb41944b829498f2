"""What stands in a builder: the parts of indices, names alone, conditions that `and` joins, units by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

from ...dsl import syntax
from ...dsl.diagnostics import fail
from ...dsl.walk import called_name, children, mapped
from .. import codes
from ..names.by_name import between, goes_by_name, is_placed, no_common_name, places
from ..names.sides import Member, Scope, Side, rank_text


def components(side: syntax.Expression) -> tuple[syntax.Expression, ...]:
    """The index of a side, one expression per dimension."""
    return side.items if isinstance(side, syntax.Tuple) else (side,)


def parts_of(index: syntax.Expression, side: Side, name: str, scope: Scope) -> tuple[syntax.Expression, ...]:
    """The index of a side that messages call `name`, one expression per dimension of the side."""
    parts = components(index)
    if len(parts) != len(side.shape):
        raise fail(
            scope.report,
            codes.RANK,
            index.span,
            side=name,
            rank=rank_text(side.shape),
            shape=list(side.shape),
            given=len(parts),
        )
    return parts


def bare(expression: syntax.Expression, scope: Scope) -> str | None:
    """The index name that stands alone in an index position, if one does."""
    if isinstance(expression, syntax.Parenthesised):
        return bare(expression.inner, scope)
    if not isinstance(expression, syntax.Reference):
        return None
    name = scope.text(expression.name)
    return None if name in scope.loop_variables else name


def calls(node: object, name: str) -> Iterator[syntax.Call]:
    """The calls of a function in a clause or a whole builder."""
    if isinstance(node, syntax.Builder):
        for clause in node.clauses:
            yield from calls(clause, name)
    elif isinstance(node, syntax.Call):
        if called_name(node) == name:
            yield node
        for argument in node.arguments:
            yield from calls(argument.value, name)
    elif isinstance(node, syntax.Expression):
        for child in children(node):
            yield from calls(child, name)


def conjuncts(clause: syntax.Expression) -> Iterator[syntax.Expression]:
    """The conditions that a clause joins by `and`."""
    if isinstance(clause, syntax.Binary) and clause.operator == "and":
        yield from conjuncts(clause.left)
        yield from conjuncts(clause.right)
    elif isinstance(clause, syntax.Parenthesised):
        yield from conjuncts(clause.inner)
    else:
        yield clause


def generator_of(node: syntax.Expression, scope: Scope) -> str | None:
    """The name of `name in values`."""
    if isinstance(node, syntax.Comparison) and len(node.rest) == 1 and node.rest[0][0] == "in":
        return bare(node.first, scope)
    return None


def numbered(index: syntax.Expression, side: Side, scope: Scope) -> syntax.Expression:
    """The index of a side, or a list of them, with the numbers of units in place of their names."""
    if isinstance(index, syntax.List):
        return replace(index, items=tuple(numbered(item, side, scope) for item in index.items))
    parts = components(index)
    if len(parts) != len(side.shape) or not any(isinstance(part, syntax.String) for part in parts):
        return index
    units: list[syntax.Expression] = []
    for dimension, part in enumerate(parts):
        if isinstance(part, syntax.String):
            unit = side.unit_of_name(dimension, scope.string(part), scope.report, part.span)
            part = syntax.Number(part.span, unit, str(unit))
        units.append(part)
    return replace(index, items=tuple(units)) if isinstance(index, syntax.Tuple) else units[0]


def owners_of(arrow: syntax.Arrow, node: syntax.Builder, scope: Scope) -> dict[str, tuple[Side, int]]:
    """The side and dimension that each index name runs over: of an arrow, or of a membership's set."""
    owners = dict(scope.owners)
    ends = [(arrow.source, scope.source), (arrow.target, scope.target)]
    for clause in node.clauses:
        if isinstance(clause, syntax.Membership):
            member = scope.member(clause.set)
            ends += [(clause.edge.source, member.source), (clause.edge.target, member.target)]
    for index, side in ends:
        for dimension, part in enumerate(components(index)[: len(side.shape)]):
            name = bare(part, scope)
            if name is not None:
                owners.setdefault(name, (side, dimension))
    return owners


def with_units(
    node: syntax.Expression, scope: Scope, owners: Mapping[str, tuple[Side, int]]
) -> syntax.Expression:
    """A condition with the numbers of units in place of names that an index name is compared with."""
    if not isinstance(node, syntax.Comparison):
        return mapped(node, lambda part: with_units(part, scope, owners))
    operands = (node.first, *(operand for _, operand in node.rest))
    names = (bare(operand, scope) or "" for operand in operands)
    owner = next((owners[name] for name in names if name in owners), None)
    if owner is None:
        return node
    side, dimension = owner
    for (left, right), (symbol, _) in zip(pairwise(operands), node.rest, strict=True):
        if symbol[0] in "<>" and (isinstance(left, syntax.String) or isinstance(right, syntax.String)):
            raise fail(scope.report, codes.TEXT_ORDER, node.span, operator=symbol)

    def numbered_part(part: syntax.Expression) -> syntax.Expression:
        if isinstance(part, syntax.String):
            unit = side.unit_of_name(dimension, scope.string(part), scope.report, part.span)
            return syntax.Number(part.span, unit, str(unit))
        if isinstance(part, syntax.List | syntax.Parenthesised):
            return mapped(part, numbered_part)
        return part

    def contained(operand: syntax.Expression) -> syntax.Expression:
        listed, axis = scope.surroundings and scope.surroundings.named(operand), side.axis(dimension)
        if not listed or axis is None or axis.names is None or listed.names is None:
            return numbered_part(operand)
        units = [unit for unit in places(listed, axis).tolist() if unit >= 0]
        if not units:
            raise no_common_name(listed, axis, scope.report, operand.span)
        items = (syntax.Number(operand.span, unit, str(unit)) for unit in units)
        return syntax.List(operand.span, tuple(items))

    rest = tuple(
        (symbol, contained(part) if symbol == "in" else numbered_part(part)) for symbol, part in node.rest
    )
    return replace(node, first=numbered_part(node.first), rest=rest)


def member_of(membership: syntax.Membership, scope: Scope, owners: Mapping[str, tuple[Side, int]]) -> Member:
    """The named set of a membership, its units as the index names number them that stand for whole indices.

    Where such a name runs over an axis with other names than that of the set, units are matched by name.
    """
    member = scope.member(membership.set)
    sides = (member.source, member.target)
    wanted: list[Side] = []
    for index, side in zip((membership.edge.source, membership.edge.target), sides, strict=True):
        axes, shape = [side.axis(at) for at in range(len(side.shape))], list(side.shape)
        for at, part in enumerate(components(index)[: len(shape)]):
            owner = owners.get(bare(part, scope) or "")
            own, other = axes[at], owner[0].axis(owner[1]) if owner else None
            if own is None or other is None or not goes_by_name(own, other):
                continue
            if own.positions.keys().isdisjoint(other.positions):
                raise no_common_name(other, own, scope.report, part.span)
            axes[at], shape[at] = other, other.size
        wanted.append(Side(side.name, tuple(shape), tuple(axes)))
    source, target = wanted
    if not is_placed(sides, (source, target)):
        return member
    return Member(source, target, between(member.edges, sides, (source, target)))
