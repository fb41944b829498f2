"""From the syntax tree to what it states: names bound, numbers of params and loops filled in, nothing solved.

This is a translation, statement by statement. It is made of specs in which nothing is wrong, and records no
diagnostics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from itertools import product
from typing import TypeAlias

from ...dsl import syntax
from ...dsl.records import record
from ...dsl.walk import call_parts, called_name, name_of
from ..data.axis import Axis
from ..graph import statement as stated
from ..names.arguments import Bound, bind
from ..names.axes import REACHED
from ..names.evaluate import FUNCTIONS
from ..names.names import Names
from ..names.sides import Side
from ..sets.resolver import NamedSet
from ..sets.rules import RULES
from ..sets.rules.load import refuse_parquet
from ..sets.rules.rule import NoStatement, Sides, Stating
from ..sets.terms import calls, components, conjuncts

Variables: TypeAlias = Mapping[str, int]


@record
class Connecting:
    """A `connect` statement: its sides, its set, and the variables of the loops around it."""

    sides: Sides
    node: syntax.Expression
    variables: Variables


def statements(
    names: Names,
    axes: Mapping[str, Axis | None],
    sets: Mapping[str, NamedSet],
    connections: Mapping[str, Connecting],
) -> stated.Statements:
    """What a spec states of its edges."""
    reader = _Reader(names, axes, sets)
    for name, axis in axes.items():
        if axis is not None and axis.names is not None:
            declared = names.declared[name].placed
            assert isinstance(declared.statement, syntax.AxisStatement)
            try:
                made = reader.axis(declared.statement.value, declared.variables)
            except NoStatement as error:
                made = stated.Unstated(str(error))
            reader.axis_statements[name] = made
    return stated.Statements(
        {name: reader.whole_set(c.sides, c.node, c.variables) for name, c in connections.items()},
        {name: reader.whole_set(own.sides, own.node, own.placed.variables) for name, own in sets.items()},
        reader.axis_statements,
    )


def _end(side: Side) -> stated.End:
    axes = (side.axis(at) for at in range(len(side.shape)))
    return stated.End(side.shape, tuple(axis.name if axis and axis.names else None for axis in axes))


@record(frozen=False)
class _Scope:
    """What an expression sees: loops, index names with the axis of each, and the calls of `chance`."""

    variables: Variables
    indices: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    chances: Mapping[int, int] = field(default_factory=dict[int, int])
    seed: stated.Seed = field(default_factory=lambda: stated.Seed(None))


@record(frozen=False)
class _Reader:
    """Translates; `axis_statements` are those of the axes that have been met."""

    names: Names
    axes: Mapping[str, Axis | None]
    sets: Mapping[str, NamedSet]
    axis_statements: dict[str, stated.AxisNames] = field(default_factory=dict[str, "stated.AxisNames"])

    def whole_set(self, sides: Sides, node: syntax.Expression, variables: Variables) -> stated.Stated:
        """A whole set between its sides."""
        try:
            made = self.set(node, sides, variables, "0")
        except NoStatement as error:
            made = stated.Unstated(str(error))
        return stated.Stated(_end(sides.source), _end(sides.target), made)

    # -------------------------------------------------------------------------------------------- sets

    def set(self, node: syntax.Expression, sides: Sides, variables: Variables, place: str) -> stated.Set:
        """A set expression; `place` is what a seed is made from."""
        match node:
            case syntax.Parenthesised():
                return self.set(node.inner, sides, variables, place)
            case syntax.Binary():
                left = self.set(node.left, sides, variables, place + "0")
                return stated.Combined(
                    node.operator, left, self.set(node.right, sides, variables, place + "1")
                )
            case syntax.Builder():
                return self._builder(node, sides, variables, stated.Seed(None, (sides.owner, place)))
            case _:
                return self._rule(node, sides, variables, place)

    def _rule(self, node: syntax.Expression, sides: Sides, variables: Variables, place: str) -> stated.Set:
        rule = RULES.get(name_of(self.names.report, node))
        if rule is None:
            return self._named(node, sides, variables)
        scope = _Scope(variables)
        stating = Stating(
            sides,
            place,
            self.names.report,
            expression=lambda inner: self.expression(inner, scope),
            string=lambda inner: self._string(inner, variables),
            within=lambda inner, place: self.set(inner, sides, variables, place),
            named=lambda inner, closure: self._named(inner, sides, variables, closure=closure),
        )
        return rule.state(node, stating)

    def _named(
        self, node: syntax.Expression, sides: Sides, variables: Variables, *, closure: bool = False
    ) -> stated.Named:
        assert isinstance(node, syntax.Reference)
        name = self.names.text(node.name, variables)
        own = self.sets[name].sides
        ends = (
            tuple(zip(_end(mine).axes, _end(other).axes, strict=True))
            for mine, other in zip(own.both, sides.both, strict=True)
        )
        source, target = (tuple((a, b) if a and b and a != b else None for a, b in end) for end in ends)
        return stated.Named(name, source, target, closure)

    def _file(self, bound: Bound, variables: Variables) -> str:
        file = self._string(bound["file"].value, variables)
        refuse_parquet(file)
        return file

    def _string(self, node: syntax.Expression, variables: Variables) -> str:
        assert isinstance(node, syntax.String)
        return self.names.string(node, variables)

    # -------------------------------------------------------------------------------------------- axes

    def axis(self, node: syntax.Expression, variables: Variables) -> stated.AxisNames:
        """The names that an expression of axes makes."""
        match node:
            case syntax.Parenthesised():
                return self.axis(node.inner, variables)
            case syntax.Reference():
                return stated.SameNames(self.names.text(node.name, variables))
            case syntax.Binary():
                return stated.CombinedNames(
                    node.operator, self.axis(node.left, variables), self.axis(node.right, variables)
                )
            case syntax.Call() if called_name(node) in REACHED:
                return self._reached(node, variables)
            case _:
                return self._names_of_file(node, variables)

    def _reached(self, node: syntax.Call, variables: Variables) -> stated.ReachedNames:
        end, bounding = REACHED[called_name(node)]
        bound = bind(self.names.report, node, ("set", bounding), 1)
        wanted = bound["set"].value
        assert isinstance(wanted, syntax.Reference)
        name = self.names.text(wanted.name, variables)
        ends = [_end(side).axes[0] for side in self.sets[name].sides.both]
        axis, other = ends if end == "source" else ends[::-1]
        assert axis is not None
        bounds: stated.AxisNames | tuple[str, ...] | None = None
        if bounding in bound:
            value = bound[bounding].value
            listed = isinstance(value, syntax.List)
            bounds = (
                tuple(self._string(item, variables) for item in value.items)
                if listed
                else self.axis(value, variables)
            )
        return stated.ReachedNames(name, end, axis, other, bounds)

    def _names_of_file(self, node: syntax.Expression, variables: Variables) -> stated.FileNames:
        bound = bind(self.names.report, node, ("file", "column", "where", "header", "duplicate"), 1)
        where = None
        if "where" in bound:
            where = self.expression(bound["where"].value, _Scope(variables))
        column = self._string(bound["column"].value, variables) if "column" in bound else None
        file = self._file(bound, variables)
        return stated.FileNames(file, column, "header" not in bound, where)

    def _axis_behind_in(self, node: syntax.Expression, variables: Variables) -> str | None:
        """The axis with names that is meant behind `in`; `names(...)` there is one with a number instead."""
        if isinstance(node, syntax.Parenthesised):
            return self._axis_behind_in(node.inner, variables)
        if isinstance(node, syntax.Call) and called_name(node) in ("names", *REACHED):
            found = self.axis(node, variables)
            for name, known in self.axis_statements.items():
                if known == found:
                    return name
            name = str(len(self.axis_statements))
            self.axis_statements[name] = found
            return name
        if isinstance(node, syntax.Reference):
            name = self.names.text(node.name, variables)
            axis = self.axes.get(name)
            return name if name not in variables and axis and axis.names else None
        return None

    # ---------------------------------------------------------------------------------------- builders

    def _builder(
        self, node: syntax.Builder, sides: Sides, variables: Variables, seed: stated.Seed
    ) -> stated.Builder:
        wraps = False
        for policy in node.policies:
            if policy.name == "seed":
                seed = stated.Seed(self.expression(policy.value, _Scope(variables)))
            elif policy.name == "outside":
                wraps = call_parts(policy.value) == ("wrap", ())
        chances = {id(call): at for at, call in enumerate(calls(node, "chance"))}
        arrows: list[stated.Arrow | stated.Pairs] = []
        for arrow in node.edges:
            ends = [
                [components(item) for item in (end.items if isinstance(end, syntax.List) else (end,))]
                for end in (arrow.source, arrow.target)
            ]
            lone = (self._bare(part, variables) for end in ends for item in end for part in item)
            if not node.clauses and not any(lone):
                listed = [
                    tuple(self._index(item, side, _Scope(variables)) for item in end)
                    for end, side in zip(ends, sides.both, strict=True)
                ]
                arrows.append(stated.Pairs(listed[0], listed[1]))
                continue
            arrows += [
                self._arrow(source, target, node, sides, _Scope(variables, {}, chances, seed))
                for source, target in product(*ends)
            ]
        return stated.Builder(tuple(arrows), wraps)

    def _arrow(
        self,
        source: tuple[syntax.Expression, ...],
        target: tuple[syntax.Expression, ...],
        node: syntax.Builder,
        sides: Sides,
        scope: _Scope,
    ) -> stated.Arrow:
        variables = scope.variables
        places: dict[str, stated.Domain] = {}
        axes: dict[str, str | None] = {}
        for name, size, axis, end, at in self._positions(source, target, node, sides, variables):
            places.setdefault(name, stated.Domain(name, size, end, at))
            axes.setdefault(name, axis)
        generated: dict[str, syntax.Expression] = {}
        conditions: list[syntax.Expression | syntax.Membership] = []
        for clause in node.clauses:
            for part in [clause] if isinstance(clause, syntax.Membership) else conjuncts(clause):
                name = self._generated(part, variables)
                if name is None or name in generated:
                    conditions.append(part)
                    continue
                assert isinstance(part, syntax.Comparison)
                values = part.rest[0][1]
                if isinstance(values, syntax.Range | syntax.List):
                    generated[name] = part
                    axes.setdefault(name, None)
                else:
                    conditions.append(part)
        scope = _Scope(variables, axes, scope.chances, scope.seed)
        domains = dict(places)
        for name, part in generated.items():
            made = self.expression(part, scope)
            assert isinstance(made, stated.Comparison)
            values = made.rest[0][1]
            assert isinstance(values, stated.Interval | stated.Items)
            place = places.get(name)
            # A name that an end of a membership's set binds first has no place in the arrow.
            domains[name] = stated.Domain(
                name, values, place.end if place else "", place.dimension if place else 0
            )
        return stated.Arrow(
            self._index(source, sides.source, scope),
            self._index(target, sides.target, scope),
            tuple(domains.values()),
            tuple(self._condition(condition, scope) for condition in conditions),
        )

    def _positions(
        self,
        source: tuple[syntax.Expression, ...],
        target: tuple[syntax.Expression, ...],
        node: syntax.Builder,
        sides: Sides,
        variables: Variables,
    ) -> Iterator[tuple[str, int, str | None, str, int]]:
        """The index names that stand alone in an index: size, axis, and the end and place in the arrow."""
        for end, index, side in (("source", source, sides.source), ("target", target, sides.target)):
            for at, part in enumerate(index):
                if (name := self._bare(part, variables)) is not None:
                    yield name, side.shape[at], _end(side).axes[at], end, at
        for clause in node.clauses:
            if not isinstance(clause, syntax.Membership):
                continue
            own = self._member_sides(clause, variables)
            for index, side in zip((clause.edge.source, clause.edge.target), own.both, strict=True):
                for at, part in enumerate(components(index)):
                    name = self._bare(part, variables)
                    if name is not None and name not in self.names.declared:
                        yield name, side.shape[at], _end(side).axes[at], "", 0

    def _member_sides(self, clause: syntax.Membership, variables: Variables) -> Sides:
        assert isinstance(clause.set, syntax.Reference)
        return self.sets[self.names.text(clause.set.name, variables)].sides

    def _bare(self, node: syntax.Expression, variables: Variables) -> str | None:
        """The name that stands alone, unless it is the variable of a loop."""
        if isinstance(node, syntax.Parenthesised):
            return self._bare(node.inner, variables)
        if not isinstance(node, syntax.Reference):
            return None
        name = self.names.text(node.name, variables)
        return None if name in variables else name

    def _generated(self, node: syntax.Expression | syntax.Membership, variables: Variables) -> str | None:
        """The name of `name in values`."""
        if isinstance(node, syntax.Comparison) and len(node.rest) == 1 and node.rest[0][0] == "in":
            return self._bare(node.first, variables)
        return None

    def _index(
        self, index: tuple[syntax.Expression, ...], side: Side, scope: _Scope
    ) -> tuple[stated.Expression, ...]:
        """An index of a side; a unit's name is its number."""
        parts: list[stated.Expression] = []
        for part, axis in zip(index, _end(side).axes, strict=True):
            if isinstance(part, syntax.String):
                assert axis is not None
                parts.append(stated.Unit(axis, self.names.string(part, scope.variables)))
            else:
                parts.append(self.expression(part, scope))
        return tuple(parts)

    def _condition(self, node: syntax.Expression | syntax.Membership, scope: _Scope) -> stated.Expression:
        if not isinstance(node, syntax.Membership):
            return self.expression(node, scope)
        assert isinstance(node.set, syntax.Reference)
        own = self._member_sides(node, scope.variables)
        ends: list[tuple[stated.Expression, ...]] = []
        for index, side in zip((node.edge.source, node.edge.target), own.both, strict=True):
            written = components(index)
            parts = list(self._index(written, side, scope))
            for at, (part, axis) in enumerate(zip(written, _end(side).axes, strict=True)):
                other = scope.indices.get(self._bare(part, scope.variables) or "")
                if axis is not None and other is not None and axis != other:
                    parts[at] = stated.Moved(parts[at], other, axis)
            ends.append(tuple(parts))
        return stated.Member(self.names.text(node.set.name, scope.variables), ends[0], ends[1])

    # ------------------------------------------------------------------------------------- expressions

    def expression(self, node: syntax.Expression, scope: _Scope) -> stated.Expression:
        """A number, a condition, or what stands behind `in`."""
        match node:
            case syntax.Parenthesised():
                return self.expression(node.inner, scope)
            case syntax.Number():
                return stated.Number(node.value)
            case syntax.String():
                return stated.Text(self.names.string(node, scope.variables))
            case syntax.Reference():
                return self._reference(node, scope)
            case syntax.Unary(operator="+"):
                return self.expression(node.operand, scope)
            case syntax.Unary():
                return stated.Operation(node.operator, (self.expression(node.operand, scope),))
            case syntax.Binary():
                operands = self.expression(node.left, scope), self.expression(node.right, scope)
                return stated.Operation(node.operator, operands)
            case syntax.Range():
                return stated.Interval(self.expression(node.first, scope), self.expression(node.last, scope))
            case syntax.List():
                return stated.Items(tuple(self.expression(item, scope) for item in node.items))
            case syntax.Comparison():
                return self._comparison(node, scope)
            case syntax.Call():
                return self._call(node, scope, numeric=True)
            case _:
                raise NoStatement(f"it has a {type(node).__name__.lower()} among its numbers")

    def _reference(self, node: syntax.Reference, scope: _Scope) -> stated.Expression:
        name = self.names.text(node.name, scope.variables)
        if name in scope.indices and name not in scope.variables:
            return stated.Index(name)
        value = self.names.number(node, scope.variables)
        assert isinstance(value, int | float)
        return stated.Number(value)

    def _call(self, node: syntax.Call, scope: _Scope, *, numeric: bool) -> stated.Expression:
        if isinstance(node.function, syntax.Attribute):
            return self._attribute(node.function, node.arguments[0].value, scope, numeric=numeric)
        name = called_name(node)
        if name == "chance":
            probability = self.expression(node.arguments[0].value, scope)
            return stated.Chance(scope.chances[id(node)], probability, scope.seed)
        if name == "column":
            wanted = bind(self.names.report, node, ("name",))["name"].value
            return stated.Column(self._string(wanted, scope.variables), numeric)
        if name == "len":
            return self._length(node, scope)
        assert name in FUNCTIONS
        arguments = (self.expression(argument.value, scope) for argument in node.arguments)
        return stated.Function(name, tuple(arguments))

    def _attribute(
        self, node: syntax.Attribute, argument: syntax.Expression, scope: _Scope, *, numeric: bool
    ) -> stated.Expression:
        name = self.names.text(node.value.name, scope.variables)
        value = self.expression(argument, scope)
        if self.names.declared[name].kind == "axis":
            return stated.Field(name, node.field, value, numeric)
        return stated.EdgeEnd(name, node.field, value)

    def _length(self, node: syntax.Call, scope: _Scope) -> stated.Expression:
        reference = node.arguments[0].value
        assert isinstance(reference, syntax.Reference)
        name = self.names.text(reference.name, scope.variables)
        if self.names.declared[name].kind == "edge set":
            return stated.Length(name)
        return stated.Number(self.names.surroundings(scope.variables).length(reference))

    def _comparison(self, node: syntax.Comparison, scope: _Scope) -> stated.Expression:
        operands = [_open(node.first), *(_open(operand) for _, operand in node.rest)]
        names = (self._bare(operand, scope.variables) or "" for operand in operands)
        indices = (scope.indices[name] for name in names if name in scope.indices)
        owner = next(indices, None)
        if len(node.rest) > 1 and self._speaks_of_texts(operands, scope):
            links = [
                self._comparison(syntax.Comparison(node.span, left, (link,)), scope)
                for left, link in zip(operands, node.rest, strict=False)
            ]
            made = links[0]
            for link in links[1:]:
                made = stated.Operation("and", (made, link))
            return made
        if owner is not None:
            return self._of_units(node, owner, scope)
        symbol, right = node.rest[0] if node.rest else ("", node.first)
        if self._speaks_of_texts(operands, scope):
            return self._of_texts(node.first, symbol, _open(right), scope)
        if fields := self._fields(operands, symbol, scope):
            return fields
        rest = tuple((symbol, self.expression(operand, scope)) for symbol, operand in node.rest)
        return stated.Comparison(self.expression(node.first, scope), rest)

    def _of_units(self, node: syntax.Comparison, axis: str, scope: _Scope) -> stated.Expression:
        """A comparison in which names stand for units of an axis."""

        def part(node: syntax.Expression) -> stated.Expression:
            node = _open(node)
            if isinstance(node, syntax.String):
                return stated.Unit(axis, self.names.string(node, scope.variables))
            if isinstance(node, syntax.List):
                return stated.Items(tuple(map(part, node.items)))
            return self.expression(node, scope)

        first = part(node.first)
        if node.rest[0][0] == "in" and len(node.rest) == 1:
            other = self._axis_behind_in(node.rest[0][1], scope.variables)
            if other is not None:
                name = stated.UnitName(axis, first)
                return stated.Comparison(name, (("in", stated.Names(other)),))
        return stated.Comparison(first, tuple((symbol, part(operand)) for symbol, operand in node.rest))

    def _speaks_of_texts(self, operands: list[syntax.Expression], scope: _Scope) -> bool:
        """Whether a text, or the names of an axis, are among what is compared."""
        listed = [item for o in operands if isinstance(o, syntax.List) for item in map(_open, o.items)]
        return any(isinstance(operand, syntax.String) for operand in (*operands, *listed)) or any(
            self._axis_behind_in(operand, scope.variables) is not None for operand in operands[1:]
        )

    def _of_texts(
        self, left: syntax.Expression, symbol: str, right: syntax.Expression, scope: _Scope
    ) -> stated.Expression:
        axis = self._axis_behind_in(right, scope.variables) if symbol == "in" else None
        if axis is not None:
            return stated.Comparison(self._text(left, scope), (("in", stated.Names(axis)),))
        return stated.Comparison(self._text(left, scope), ((symbol, self._text(right, scope)),))

    def _text(self, node: syntax.Expression, scope: _Scope) -> stated.Expression:
        node = _open(node)
        if isinstance(node, syntax.Call):
            return self._call(node, scope, numeric=False)
        if isinstance(node, syntax.List):
            return stated.Items(tuple(self._text(item, scope) for item in node.items))
        return self.expression(node, scope)

    def _fields(
        self, operands: list[syntax.Expression], symbol: str, scope: _Scope
    ) -> stated.Expression | None:
        """A comparison of two fields, which may be numbers or texts."""
        if len(operands) != 2 or symbol not in ("==", "!="):
            return None
        if not all(isinstance(o, syntax.Call) and called_name(o) not in FUNCTIONS for o in operands):
            return None
        left, right = (self._text(operand, scope) for operand in operands)
        if isinstance(left, stated.Column) and isinstance(right, stated.Column):
            raise NoStatement("two columns are compared with each other")
        if not (isinstance(left, stated.Field) and isinstance(right, stated.Field)):
            return None
        alike = stated.Alike(left, right)
        return alike if symbol == "==" else stated.Operation("not", (alike,))


def _open(node: syntax.Expression) -> syntax.Expression:
    """What stands within parentheses."""
    return _open(node.inner) if isinstance(node, syntax.Parenthesised) else node
