"""Numbers and conditions of a statement as Python, which has the same words for most, and their precedence.

Where a condition may have no value, say for a division by zero, it is placed as a function that is called
only if no other condition decides. Nothing reaches the text but names that are checked, numbers, and texts as
literals.
"""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass

from ...compiler.graph import statement as stated
from ...compiler.graph.statement import Expression
from ..kernels import names_of

# How tightly the operators bind, loosest first; what needs no parentheses anywhere binds tightest.
_OR, _AND, _NOT, _COMPARED, _SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(9)
_BINDING = {"or": _OR, "and": _AND, "+": _SUM, "-": _SUM, **dict.fromkeys(("*", "/", "//", "%"), _PRODUCT)}
# Functions of NumPy's, for the same numbers as the compiler's.
_OF_NUMPY = ("sqrt", "exp", "log", "sin", "cos", "tan")
_TAKEN = frozenset(
    {
        *dir(builtins),
        "np",
        "pytest",
        "product",
        "floor",
        "sources",
        "targets",
        "source",
        "target",
        "row",
        "rows",
        "pair",
        "edges",
    }
)


def literal(text: str) -> str:
    """A text as a literal of ASCII letters, in double quotes where it has none."""
    quoted = ascii(text)
    return f'"{quoted[1:-1]}"' if quoted[0] == "'" and '"' not in quoted else quoted


def variable(name: str) -> str:
    """An index name as a variable that hides nothing."""
    hides = keyword.iskeyword(name) or name in _TAKEN or name in names_of("tests")
    return f"{name}_" if hides or name.startswith(("stated_", "axis_")) or name.endswith("_") else name


def axis_call(name: str) -> str:
    """The call that gives an axis; one that has no name in the spec has a number here."""
    return f"names_{name[1:]}()" if name.startswith("#") else f"axis_{name}()"


def parts_of(node: object) -> Iterator[object]:
    """A statement's tree, node by node."""
    yield node
    if isinstance(node, tuple):
        for item in node:  # pyright: ignore[reportUnknownVariableType]
            yield from parts_of(item)  # pyright: ignore[reportUnknownArgumentType]
    elif is_dataclass(node):
        for each in fields(node):
            yield from parts_of(getattr(node, each.name))


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


class Python:
    """Writes expressions. The variable `pair` holds an edge's unit numbers, `row` the row of a table."""

    def text(self, node: Expression, binding: int = 0) -> str:
        """An expression, in parentheses where what is around it binds tighter."""
        text, own = self._text(node)
        return f"({text})" if own < binding else text

    def _text(self, node: Expression) -> tuple[str, int]:
        match node:
            case stated.Number(value):
                return repr(value), _SIGN if value < 0 else _ATOM
            case stated.Text(value):
                return literal(value), _ATOM
            case stated.Index(name):
                return variable(name), _ATOM
            case stated.Operation():
                return self._operation(node)
            case stated.Comparison():
                return self._comparison(node)
            case stated.Items(items):
                return f"[{', '.join(map(self.text, items))}]", _ATOM
            case stated.Interval(first, last):
                return self.range(first, last), _ATOM
            case stated.Member():
                return self._member(node)
            case stated.Function(name, arguments):
                listed = ", ".join(map(self.text, arguments))
                if name in ("min", "max") and len(arguments) == 1:
                    return self._text(arguments[0])
                return f"{'np.' if name in _OF_NUMPY else ''}{name}({listed})", _ATOM
            case _:
                return self._lookup(node), _ATOM

    def _lookup(self, node: Expression) -> str:
        """What is looked up in an axis, a set or a row, or drawn."""
        match node:
            case stated.Chance(number, probability, seed):
                return f"chance({self.text(probability)}, {self.seed(seed)}, {number}, *pair)"
            case stated.Unit(axis, name):
                return f"{axis_call(axis)}.places[{literal(name)}]"
            case stated.UnitName(axis, unit):
                return f"{axis_call(axis)}.names[{self.text(unit)}]"
            case stated.Names(axis):
                return f"{axis_call(axis)}.places"
            case stated.Field(axis, name, unit, numeric):
                way = "number" if numeric else "text"
                return f"{axis_call(axis)}.{way}({literal(name)}, {self.text(unit)})"
            case stated.Alike(left, right):
                ends = (
                    f"{axis_call(each.axis)}, {literal(each.field)}, {self.text(each.unit)}"
                    for each in (left, right)
                )
                return f"alike({', '.join(ends)})"
            case stated.Column(name, numeric):
                return f"number(row[{literal(name)}])" if numeric else f"row[{literal(name)}]"
            case stated.Length(name):
                return f"len(stated_{name})"
            case stated.EdgeEnd(name, end, edge):
                return f"stated_{name}.ordered[{self.text(edge)}][{int(end == 'target')}]"
            case stated.Moved(unit, own, other):
                return f"renamed({self.text(unit)}, {axis_call(own)}, {axis_call(other)})"
            case _:
                raise AssertionError(type(node).__name__)

    def seed(self, seed: stated.Seed) -> str:
        """A seed."""
        if seed.given is not None:
            return self.text(seed.given)
        return f"seed_of({', '.join(map(literal, seed.place))})"

    def _operation(self, node: stated.Operation) -> tuple[str, int]:
        if node.operator == "not":
            return f"not {self.text(node.operands[0], _NOT)}", _NOT
        if len(node.operands) == 1:
            return f"-{self.text(node.operands[0], _SIGN)}", _SIGN
        left, right = node.operands
        if node.operator == "**":
            if is_whole(left) and is_whole(node):
                return f"{self.text(left, _ATOM)} ** {self.text(right, _ATOM)}", _POWER
            return f"power({self.text(left)}, {self.text(right)})", _ATOM
        if node.operator in ("and", "or") and can_fail(node):
            how = "holds" if node.operator == "and" else "either"
            return self.deciding(how, list(_flat(node.operator, node))), _ATOM
        own = _BINDING[node.operator]
        return f"{self.text(left, own)} {node.operator} {self.text(right, own + 1)}", own

    def deciding(self, how: str, conditions: Sequence[Expression]) -> str:
        """A call that asks conditions of which one may decide before another one fails."""
        return f"{how}({', '.join(f'lambda: {self.text(condition)}' for condition in conditions)})"

    def _comparison(self, node: stated.Comparison) -> tuple[str, int]:
        left, links = node.first, list[stated.Comparison]()
        plain = f"{self.text(left, _COMPARED + 1)}"
        is_plain = True
        for symbol, right in node.rest:
            links.append(stated.Comparison(left, ((symbol, right),)))
            if symbol == "in" and isinstance(right, stated.Interval):
                is_plain = is_plain and is_whole(right.first) and is_whole(right.last)
            plain += f" {symbol} {self.text(right, _COMPARED + 1)}"
            left = left if symbol == "in" else right
        in_between = any(symbol == "in" for symbol, _ in node.rest)
        if len(links) > 1 and (can_fail(node) or in_between):
            return self.deciding("holds", links), _ATOM
        if not is_plain:
            ((_, interval),) = node.rest
            assert isinstance(interval, stated.Interval)
            listed = (node.first, interval.first, interval.last)
            return f"within({', '.join(map(self.text, listed))})", _ATOM
        return plain, _COMPARED

    def _member(self, node: stated.Member) -> tuple[str, int]:
        if can_fail((node.source, node.target)):
            ends = (self._lambdas(end) for end in (node.source, node.target))
            return f"joined(stated_{node.set}, {', '.join(ends)})", _ATOM
        return f"({self.index(node.source)}, {self.index(node.target)}) in stated_{node.set}", _COMPARED

    def _lambdas(self, parts: Sequence[Expression]) -> str:
        return f"[{', '.join(f'lambda: {self.text(part)}' for part in parts)}]"

    def index(self, parts: Sequence[Expression]) -> str:
        """An index: a number, or a tuple of them."""
        texts = [self.text(part) for part in parts]
        return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"

    def range(self, first: Expression, last: Expression) -> str:
        """`first..last` as a range, which leaves out its end."""
        beyond = self.text(_plus_one(last))
        return f"range({beyond})" if first == stated.Number(0) else f"range({self.text(first)}, {beyond})"


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
