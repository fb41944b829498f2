"""Numbers and conditions of a statement as Python, which has the same words for most.

Where a condition may have no value, say for a division by zero, it is placed as a function that is called
only if no other condition decides. Nothing reaches the code but names that are checked, numbers, and texts as
literals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field, fields, is_dataclass

from ...compiler.graph import statement as stated
from ...compiler.graph.statement import Expression
from ...dsl.records import record
from ..source import Binary, Comparison, Display, Lambda, Name, Scope, Unary
from ..source import Expression as Tree
from ..source import node as constant

# Functions of NumPy's, for the same numbers as the compiler's.
_OF_NUMPY = ("sqrt", "exp", "log", "sin", "cos", "tan")


def parts_of(node: object) -> Iterator[object]:
    """A statement's tree, node by node."""
    ahead = [node]
    while ahead:
        yield (part := ahead.pop())
        if isinstance(part, tuple):
            ahead.extend(reversed(part))  # pyright: ignore[reportUnknownArgumentType]
        elif is_dataclass(part):
            ahead.extend([getattr(part, each.name) for each in reversed(fields(part))])


def indices_of(node: object) -> set[str]:
    """The index names in an expression."""
    return {part.name for part in parts_of(node) if isinstance(part, stated.Index)}


def draws(node: object) -> bool:
    """Whether a condition asks for `chance`."""
    return any(isinstance(part, stated.Chance) for part in parts_of(node))


def is_whole(node: Expression) -> bool:
    """Whether an expression is a whole number, whatever its names are."""
    match node:
        case stated.Number(value):
            return isinstance(value, int)
        case stated.Index() | stated.Unit() | stated.Length() | stated.EdgeEnd():
            return True
        case stated.Operation("+" | "-" | "*" | "//" | "%", operands):
            return all(map(is_whole, operands))
        case stated.Operation("**", (base, stated.Number(int() as exponent))):
            return exponent >= 0 and is_whole(base)
        case stated.Function("floor"):
            return True
        case stated.Function("abs" | "min" | "max", arguments):
            return all(map(is_whole, arguments))
        case _:
            return False


def can_fail(node: object) -> bool:
    """Whether an expression may be without a value for some of its names."""
    return any(map(_fails, parts_of(node)))


def _fails(node: object) -> bool:
    match node:
        case stated.Operation("/" | "//" | "%", (_, stated.Number(value))):
            return value == 0
        case stated.Operation("/" | "//" | "%"):
            return True
        case stated.Operation("**", (_, exponent)):
            return not (isinstance(exponent, stated.Number) and exponent.value >= 0)
        case stated.Function("floor", (argument,)) | stated.Comparison(argument):
            calls = (part for part in parts_of(argument) if isinstance(part, stated.Function))
            return any(call.name in _OF_NUMPY for call in calls)
        case stated.Field(unit=unit) | stated.EdgeEnd(edge=unit):
            return not isinstance(unit, stated.Index)
        case _:
            return False


@record(frozen=False)
class Naming:
    """What sets, axes and index names of the spec are called in code: as they are, unless something is."""

    scope: Scope
    names: dict[tuple[str, str], Name] = field(default_factory=dict[tuple[str, str], Name])

    def set(self, name: str) -> Name:
        """The statement of a connection or of a named set."""
        return self._named("set", name, f"stated_{name}")

    def axis(self, name: str) -> Name:
        """The function that gives an axis."""
        return self._named("axis", name, f"axis_{name}")

    def variable(self, name: str) -> Name:
        """An index name as a variable."""
        return self._named("index", name, name)

    def _named(self, kind: str, name: str, wish: str) -> Name:
        if (kind, name) not in self.names:
            self.names[kind, name] = self.scope.new(wish)
        return self.names[kind, name]


@record
class Python:
    """Writes expressions. The variable `pair` holds an edge's unit numbers, `row` the row of a table."""

    naming: Naming

    def tree(self, node: Expression) -> Tree:
        """An expression."""
        scope = self.naming.scope
        match node:
            case stated.Number(value) | stated.Text(value):
                return constant(value)
            case stated.Index(name):
                return self.naming.variable(name)
            case stated.Operation():
                return self._operation(node)
            case stated.Comparison():
                return self._comparison(node)
            case stated.Items(items):
                return scope.expression("[*items]", items=self.trees(items))
            case stated.Interval(first, last):
                return self.range(first, last)
            case stated.Member():
                return self._member(node)
            case stated.Function("min" | "max", (argument,)):
                return self.tree(argument)
            case stated.Function(name, arguments):
                function = scope.name("np").get(name) if name in _OF_NUMPY else scope.name(name)
                return function(*self.trees(arguments))
            case _:
                return self._lookup(node)

    def trees(self, nodes: Iterable[Expression]) -> list[Tree]:
        """Expressions."""
        return [self.tree(node) for node in nodes]

    def axis(self, name: str) -> Tree:
        """An axis with its names."""
        return self.naming.axis(name)()

    def _lookup(self, node: Expression) -> Tree:
        """What is looked up in an axis, a set or a row, or drawn."""
        quote = self.naming.scope.expression
        match node:
            case stated.Chance(number, probability, seed):
                return quote(
                    "chance(probability, seed, number, *pair)",
                    probability=self.tree(probability),
                    seed=self.seed(seed),
                    number=number,
                )
            case stated.Unit(axis, name):
                return self.axis(axis).get("places").at(name)
            case stated.UnitName(axis, unit):
                return self.axis(axis).get("names").at(self.tree(unit))
            case stated.Names(axis):
                return self.axis(axis).get("places")
            case stated.Field(axis, name, unit, numeric):
                return self.axis(axis).get("number" if numeric else "text")(name, self.tree(unit))
            case stated.Alike(left, right):
                ends = [(self.axis(end.axis), end.field, self.tree(end.unit)) for end in (left, right)]
                return quote("alike(*left, *right)", left=ends[0], right=ends[1])
            case stated.Column(name, numeric):
                return quote("number(row[name])" if numeric else "row[name]", name=name)
            case stated.Length(name):
                return quote("len(edges)", edges=self.naming.set(name))
            case stated.EdgeEnd(name, end, edge):
                return self.naming.set(name).get("ordered").at(self.tree(edge)).at(int(end == "target"))
            case stated.Moved(unit, own, other):
                return quote(
                    "renamed(unit, own, other)",
                    unit=self.tree(unit),
                    own=self.axis(own),
                    other=self.axis(other),
                )
            case _:
                raise AssertionError(type(node).__name__)

    def seed(self, seed: stated.Seed) -> Tree:
        """A seed."""
        if seed.given is not None:
            return self.tree(seed.given)
        return self.naming.scope.expression("seed_of(*place)", place=seed.place)

    def _operation(self, node: stated.Operation) -> Tree:
        if len(node.operands) == 1:
            return Unary("not " if node.operator == "not" else "-", self.tree(node.operands[0]))
        left, right = node.operands
        if node.operator == "**" and not (is_whole(left) and is_whole(node)):
            return self.naming.scope.name("power")(self.tree(left), self.tree(right))
        if node.operator in ("and", "or") and can_fail(node):
            how = "holds" if node.operator == "and" else "either"
            return self.deciding(how, list(_flat(node.operator, node)))
        return Binary(self.tree(left), node.operator, self.tree(right))

    def deciding(self, how: str, conditions: Iterable[Expression]) -> Tree:
        """A call that asks conditions of which one may decide before another one fails."""
        return self.naming.scope.name(how)(*self._deferred(conditions))

    def _deferred(self, nodes: Iterable[Expression]) -> list[Tree]:
        return [Lambda((), tree) for tree in self.trees(nodes)]

    def _comparison(self, node: stated.Comparison) -> Tree:
        left, links = node.first, list[stated.Comparison]()
        is_plain = True
        for symbol, right in node.rest:
            links.append(stated.Comparison(left, ((symbol, right),)))
            if symbol == "in" and isinstance(right, stated.Interval):
                is_plain = is_plain and is_whole(right.first) and is_whole(right.last)
            left = left if symbol == "in" else right
        in_between = any(symbol == "in" for symbol, _ in node.rest)
        if len(links) > 1 and (can_fail(node) or in_between):
            return self.deciding("holds", links)
        if not is_plain:
            ((_, interval),) = node.rest
            assert isinstance(interval, stated.Interval)
            return self.naming.scope.name("within")(*self.trees((node.first, interval.first, interval.last)))
        symbols, rest = zip(*node.rest, strict=True)
        first, others = self.tree(node.first), tuple(self.trees(rest))
        return Comparison(first, symbols, others) if len(others) > 1 else Binary(first, *symbols, *others)

    def _member(self, node: stated.Member) -> Tree:
        quote, edges = self.naming.scope.expression, self.naming.set(node.set)
        if can_fail((node.source, node.target)):
            return quote(
                "joined(edges, [*source], [*target])",
                edges=edges,
                source=self._deferred(node.source),
                target=self._deferred(node.target),
            )
        pair = Display("()", (self.unit(node.source), self.unit(node.target)))
        return Binary(pair, "in", edges)

    def unit(self, parts: Sequence[Expression]) -> Tree:
        """An index: a number, or a tuple of them."""
        return one_or_tuple(self.trees(parts))

    def range(self, first: Expression, last: Expression) -> Tree:
        """`first..last` as a range, which leaves out its end."""
        bounds = [_plus_one(last)] if first == stated.Number(0) else [first, _plus_one(last)]
        return self.naming.scope.name("range")(*self.trees(bounds))


def one_or_tuple(items: Sequence[Tree]) -> Tree:
    """The item where there is one, else a tuple of them."""
    return items[0] if len(items) == 1 else Display("()", tuple(items))


def _flat(operator: str, node: Expression) -> Iterator[Expression]:
    """What an operator joins, in a chain or not."""
    if isinstance(node, stated.Operation) and node.operator == operator:
        for operand in node.operands:
            yield from _flat(operator, operand)
    else:
        yield node


def _plus_one(node: Expression) -> Expression:
    match node:
        case stated.Number(value):
            return stated.Number(value + 1)
        case stated.Operation("-", (stated.Number(value),)):
            return stated.Number(1 - value)
        case stated.Operation("+", (left, stated.Number(value))):
            return stated.Operation("+", (left, stated.Number(value + 1)))
        case stated.Operation("-", (left, stated.Number(1))):
            return left
        case stated.Operation("-", (left, stated.Number(value))):
            return stated.Operation("-", (left, stated.Number(value - 1)))
        case _:
            return stated.Operation("+", (node, stated.Number(1)))
