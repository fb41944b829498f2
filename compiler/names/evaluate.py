"""Evaluation of number and condition expressions, on Python numbers or on numpy arrays alike.

Integers are exact: a result outside 64 bits is a diagnostic, never a wrapped number, and no operation is
carried out whose result could be far larger. Of an array, each entry has a value or a fault of its own, and
`and` and `or` need no operand that the other one makes irrelevant: `j != 0 and i % j == 0` is false at j = 0.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from ...dsl import syntax
from ...dsl.diagnostics import Failed, Report, fail
from ...dsl.findings import Code
from ...dsl.records import record
from ...dsl.source import Span
from ...dsl.walk import called_name, written
from ...dsl.words import suggest
from .. import codes

if TYPE_CHECKING:
    from ..data.axis import Axis
    from ..data.tables import Texts

Array: TypeAlias = NDArray[Any]
Value: TypeAlias = bool | int | float | Array
Lookup: TypeAlias = Callable[[syntax.Reference], Value]

INT_LIMIT = 2**63 - 1
FLOAT32_MAX = float(np.finfo(np.float32).max)


# For each entry of a value the number of its fault in `Evaluator.faults`, from 1; 0 where it has none.
Faulty: TypeAlias = "int | Array"


# A result, and the entries that have none because of `Code`; what is not finite is found by `Evaluator`.
Outcome: TypeAlias = tuple[Value, Code, "Array | bool"]


def _whole(function: Callable[..., Value]) -> Callable[..., Outcome]:
    """A function that itself never fails."""
    return lambda *values: (function(*values), codes.NOT_FINITE, False)


def _fold(function: Callable[[Value, Value], Value], values: Sequence[Value]) -> Value:
    result = values[0]
    for value in values[1:]:
        result = function(result, value)
    return result


def _floor(value: Value) -> Outcome:
    if is_integer(value):
        return value, codes.NOT_FINITE, False
    too_large = np.abs(value) > 2.0**62
    return np.floor(np.where(too_large, 0, value)).astype(np.int64), codes.NUMBER_TOO_LARGE, too_large


FUNCTIONS: dict[str, tuple[int | None, Callable[..., Outcome]]] = {
    "abs": (1, _whole(np.abs)),
    "min": (None, _whole(lambda *v: _fold(np.minimum, v))),
    "max": (None, _whole(lambda *v: _fold(np.maximum, v))),
    "floor": (1, _floor),
    "sqrt": (1, _whole(np.sqrt)),
    "exp": (1, _whole(np.exp)),
    "log": (1, _whole(np.log)),
    "sin": (1, _whole(np.sin)),
    "cos": (1, _whole(np.cos)),
    "tan": (1, _whole(np.tan)),
}
# Numbers with a name, unless the spec gives it to something of its own.
CONSTANTS = {"pi": np.pi}


def _extent(value: Value) -> tuple[int, int]:
    """Smallest and largest entry of an integer value."""
    if isinstance(value, np.ndarray):
        return (int(value.min()), int(value.max())) if value.size else (0, 0)
    return int(value), int(value)


def is_integer(value: Value) -> bool:
    """Whether a value is an integer or an array of them."""
    return isinstance(value, int) or (isinstance(value, np.ndarray) and value.dtype.kind in "iub")


def _bounded(exact: Any) -> tuple[Array, Array]:
    """Python integers as int64, and where they do not fit; those become 0."""
    exact = np.asarray(exact, object)
    too_large = np.asarray(np.abs(exact) > INT_LIMIT, bool)
    return np.where(too_large, 0, exact).astype(np.int64), too_large


def _checked(function: Callable[[Any, Any], Any]) -> Callable[[Value, Value], Outcome]:
    """An integer operation, largest at a corner of its operands; exact when a corner leaves 64 bits."""

    def apply(a: Value, b: Value) -> Outcome:
        if is_integer(a) and is_integer(b):
            corners: list[int] = [function(x, y) for x in _extent(a) for y in _extent(b)]
            if max(map(abs, corners)) > INT_LIMIT:
                result, too_large = _bounded(function(np.asarray(a, object), np.asarray(b, object)))
                return result, codes.NUMBER_TOO_LARGE, too_large
        return function(a, b), codes.NUMBER_TOO_LARGE, False

    return apply


def _division(function: Callable[[Any, Any], Any]) -> Callable[[Value, Value], Outcome]:
    def apply(a: Value, b: Value) -> Outcome:
        zero = np.equal(b, 0)
        return function(a, np.where(zero, 1, b) if np.any(zero) else b), codes.DIVISION_BY_ZERO, zero

    return apply


def _power(a: Value, b: Value) -> Outcome:
    (least, most) = _extent(b) if is_integer(b) else (-1, -1)
    if least < 0 or not is_integer(a):
        return np.power(np.asarray(a, float), b), codes.NUMBER_TOO_LARGE, False
    base, exponent = np.asarray(a, np.int64), np.asarray(b, np.int64)
    if max(map(abs, _extent(a))) < 2 or most * max(map(abs, _extent(a))).bit_length() < 63:
        return np.power(base, exponent), codes.NUMBER_TOO_LARGE, False
    # No power is computed that is far beyond the limit, of which `9**9**9` would fill the memory.
    far = exponent * np.log2(np.maximum(np.abs(base), 1)) > 64
    exponent = np.where((np.abs(base) < 2) & (exponent > 1), 2 - exponent % 2, exponent)
    exact = np.where(far, 0, base).astype(object) ** np.where(far, 1, exponent).astype(object)
    result, too_large = _bounded(exact)
    return result, codes.NUMBER_TOO_LARGE, too_large | far


_ARITHMETIC: dict[str, Callable[[Value, Value], Outcome]] = {
    "+": _checked(operator.add),
    "-": _checked(operator.sub),
    "*": _checked(operator.mul),
    "/": _division(np.true_divide),
    "//": _division(lambda a, b: a // b),
    "%": _division(operator.mod),
    "**": _power,
}
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _compared(symbol: str, a: Value, b: Value) -> Value:
    """A comparison, exact also between a float and an integer that no float equals."""
    if is_integer(a) != is_integer(b) and max(map(abs, _extent(a if is_integer(a) else b))) > 2**53:
        return np.asarray(COMPARISONS[symbol](np.asarray(a, object), np.asarray(b, object)), bool)
    return COMPARISONS[symbol](a, b)


@record
class Surroundings:
    """What calls in an expression read of the rest of the spec; each raises `Failed` where there is nothing.

    `length` is for `len(NAME)`; `numbered` gives all of `AXIS.FIELD` or `SET.source`, of which the call takes
    some; `named` the axis whose names are meant after `in`, if it is one; `column` is for `column("name")`,
    where there is a table.
    """

    length: Callable[[syntax.Reference], int]
    numbered: Callable[[syntax.Attribute], Texts | Array]
    named: Callable[[syntax.Expression], Axis | None]
    column: Callable[[syntax.Call], Texts] | None = None


@record
class Fault:
    """Why an expression has no value: a code without fields, and the operation that fails."""

    code: Code
    span: Span


class Evaluator:
    """Evaluates expressions whose names `lookup` resolves. Raises `Failed` after recording a diagnostic."""

    def __init__(
        self,
        report: Report,
        lookup: Lookup,
        functions: Mapping[str, Callable[[syntax.Call], Value]] | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        self.report = report
        self.lookup = lookup
        self.functions = functions or {}
        self.surroundings = surroundings
        self.faults: list[Fault] = []
        self._faulty: Faulty = 0  # of the expression under evaluation

    def value(self, expression: syntax.Expression) -> Value:
        """The value of an expression: a Python number or bool, or an array if a name stands for one."""
        value, faulty = self.attempt(expression)
        if np.any(faulty):
            raise self.failure(int(np.max(faulty)))
        return value

    def attempt(self, expression: syntax.Expression) -> tuple[Value, Faulty]:
        """As `value`, with the faults of the entries instead of a failure; faulty entries are arbitrary."""
        with np.errstate(all="ignore"):
            value, faulty = self._isolated(expression)
        return _plain(value), faulty

    def failure(self, fault: int, label: str = "") -> Failed:
        """Record the fault of this number and return the exception to raise."""
        return fail(self.report, self.faults[fault - 1].code, self.faults[fault - 1].span, label=label)

    def number(self, expression: syntax.Expression) -> int | float:
        """A single number, not an array and not a truth value."""
        value = self.value(expression)
        if isinstance(value, bool | np.ndarray):
            raise fail(self.report, codes.NOT_A_NUMBER, expression.span, what="a condition")
        return value

    def integer(self, expression: syntax.Expression, what: str, least: int | None = None) -> int:
        """A single integer, at least `least` if that is given."""
        value = self.number(expression)
        if not isinstance(value, int):
            raise self.not_an_integer(expression, what, value)
        if least is not None and value < least:
            raise fail(self.report, codes.TOO_SMALL, expression.span, what=what, value=value, least=least)
        return value

    def not_an_integer(self, expression: syntax.Expression, what: str, value: object) -> Failed:
        """Record that something must be an integer and return the exception to raise."""
        return fail(
            self.report,
            codes.NOT_AN_INTEGER,
            expression.span,
            what=what,
            value=value,
            help="`//` divides and rounds down",
        )

    # --------------------------------------------------------------------------------------- faults

    def _isolated(self, node: syntax.Expression) -> tuple[Value, Faulty]:
        """The value of an operand and its own faults."""
        around, self._faulty = self._faulty, 0
        value = self._value(node)
        own, self._faulty = self._faulty, around
        return value, own

    def _add_faults(self, faulty: Faulty) -> None:
        if np.any(faulty):
            self._faulty = np.where(self._faulty, self._faulty, faulty)

    def _mark(self, entries: Array | bool, code: Code, node: syntax.Expression) -> None:
        if np.any(entries):
            fault = Fault(code, node.span)
            if fault not in self.faults:
                self.faults.append(fault)
            self._add_faults(np.where(entries, self.faults.index(fault) + 1, 0))

    # ------------------------------------------------------------------------------- by node type

    def _value(self, node: syntax.Expression) -> Value:
        match node:
            case syntax.Number():
                if isinstance(node.value, int) and node.value > INT_LIMIT:
                    raise fail(self.report, codes.NUMBER_TOO_LARGE, node.span)
                return node.value
            case syntax.Reference():
                return self.lookup(node)
            case syntax.Parenthesised():
                return self._value(node.inner)
            case syntax.Unary():
                return self._unary(node)
            case syntax.Binary():
                return self._binary(node)
            case syntax.Comparison():
                return self._comparison(node)
            case syntax.Call():
                return self._call(node)
            case syntax.String():
                raise fail(self.report, codes.NOT_A_NUMBER, node.span, what="a string")
            case _:
                raise fail(self.report, codes.NOT_A_NUMBER, node.span, what=_described(node))

    def _unary(self, node: syntax.Unary) -> Value:
        operand = self._value(node.operand)
        if node.operator == "not":
            return np.logical_not(self._truth(operand, node.operand))
        self._numeric(operand, node.operand)
        return -operand if node.operator == "-" else operand

    def _binary(self, node: syntax.Binary) -> Value:
        if node.operator in ("and", "or"):
            operands = (self._isolated(node.left), self._isolated(node.right))
            for (value, _), side in zip(operands, (node.left, node.right), strict=True):
                self._truth(value, side)
            return self._combined(operands, decisive=node.operator == "or")
        left, right = self._value(node.left), self._value(node.right)
        if node.operator not in _ARITHMETIC:
            raise fail(self.report, codes.SET_AMONG_NUMBERS, node.span, operator=node.operator)
        self._numeric(left, node.left)
        self._numeric(right, node.right)
        return self._computed(node, *_ARITHMETIC[node.operator](left, right))

    def _combined(self, operands: Iterable[tuple[Value, Faulty]], decisive: bool) -> Value:
        """Whether an operand without fault is `decisive`; if none is, all faults count."""
        decided: Value = False
        undecided: Faulty = 0
        for value, faulty in operands:
            decided = np.logical_or(decided, np.equal(value, decisive) & np.equal(faulty, 0))
            undecided = np.where(undecided, undecided, faulty) if np.any(faulty) else undecided
        self._add_faults(np.where(decided, 0, undecided) if np.any(undecided) else 0)
        return decided if decisive else np.logical_not(decided)

    def _computed(self, node: syntax.Expression, result: Value, code: Code, without: Array | bool) -> Value:
        """The result of an operation, its faults marked."""
        self._mark(without, code, node)
        if not is_integer(result := _plain(result)) and not np.all(finite := np.isfinite(result)):
            self._mark(np.logical_not(finite) & np.logical_not(without), codes.NOT_FINITE, node)
            result = np.where(finite, result, 0.0)
        return result

    def _comparison(self, node: syntax.Comparison) -> Value:
        if self._speaks_of_texts(node):
            return self._text_comparison(node)
        links: list[tuple[Value, Faulty]] = []
        left, left_faulty = self._isolated(node.first)
        self._numeric(left, node.first)
        for symbol, operand in node.rest:
            if symbol == "in":
                around, self._faulty = self._faulty, left_faulty
                links.append((self._contained(left, operand), self._faulty))
                self._faulty = around
                if operand is not node.rest[-1][1]:
                    self._value(operand)  # `i in 0..3 < 5` compares a range, which is no number
                continue
            right, right_faulty = self._isolated(operand)
            self._numeric(right, operand)
            faulty = np.where(left_faulty, left_faulty, right_faulty)
            links.append((_compared(symbol, left, right), faulty))
            left, left_faulty = right, right_faulty
        return self._combined(links, decisive=False)

    def _speaks_of_texts(self, node: syntax.Comparison) -> bool:
        """Whether something is compared with a string, or two columns of texts with each other."""
        operands = [_bare(node.first), *(_bare(operand) for _, operand in node.rest)]
        lists = (operand.items for operand in operands if isinstance(operand, syntax.List))
        items = (_bare(item) for items in lists for item in items)
        if any(isinstance(operand, syntax.String) for operand in (*operands, *items)):
            return True
        if any(symbol == "in" and self._names(operand) is not None for symbol, operand in node.rest):
            return True
        # Whether columns hold numbers is looked up only where it matters.
        if not all(isinstance(operand, syntax.Call) for operand in operands):
            return False
        around = self._faulty
        texts = [self._texts(operand) for operand in operands]
        self._faulty = around
        return None not in texts and not all(text.is_numeric for text in texts if text)

    def _text_comparison(self, node: syntax.Comparison) -> Value:
        if len(node.rest) != 1:
            firsts = (node.first, *(operand for _, operand in node.rest))
            links = [
                self._isolated(syntax.Comparison(node.span, first, (link,)))
                for first, link in zip(firsts, node.rest, strict=False)
            ]
            return self._combined(links, decisive=False)
        ((symbol, operand),) = node.rest
        left = self._text(node.first)
        if symbol == "in" and isinstance(_bare(operand), syntax.List):
            items = cast("syntax.List", _bare(operand)).items
            return _fold(np.logical_or, [False, *(_same(left, self._text(item)) for item in items)])
        if symbol == "in" and (names := self._names(operand)) is not None:
            return left in names if isinstance(left, str) else left.among(names)
        right = self._text(operand)
        if symbol not in ("==", "!="):
            raise fail(self.report, codes.TEXT_ORDER, node.span, operator=symbol)
        same = _same(left, right)
        return same if symbol == "==" else np.logical_not(same)

    def _text(self, node: syntax.Expression) -> Texts | str:
        """A string, or what is compared with one."""
        node = _bare(node)
        if isinstance(node, syntax.String):
            if any(not isinstance(part, str) for part in node.parts):
                raise fail(self.report, codes.NOT_A_NUMBER, node.span, what="a string with holes")
            return "".join(part for part in node.parts if isinstance(part, str))
        texts = self._texts(node)
        if texts is None:
            self._value(node)
            raise fail(self.report, codes.TEXT_AND_NUMBER, node.span)
        return texts

    def _names(self, node: syntax.Expression) -> tuple[str, ...] | None:
        """The names that `in AXIS` or `in names(...)` speaks of; None for anything else."""
        node = _bare(node)
        if self.surroundings is None or not isinstance(node, syntax.Reference | syntax.Call):
            return None
        axis = self.surroundings.named(node)
        return axis.names if axis else None

    def _texts(self, node: syntax.Expression) -> Texts | None:
        """The texts that `column("name")` or `AXIS.FIELD(i)` stands for; None for anything else."""
        node = _bare(node)
        if not isinstance(node, syntax.Call) or self.surroundings is None:
            return None
        if isinstance(node.function, syntax.Attribute):
            found = self.surroundings.numbered(node.function)
            if isinstance(found, np.ndarray):
                return None
            return found.at(self._index(node, len(found)))
        if called_name(node) == "column" and self.surroundings.column is not None:
            return self.surroundings.column(node)
        return None

    def _numbered(self, node: syntax.Call, function: syntax.Attribute) -> Value:
        """`AXIS.FIELD(i)` as a number, `SET.source(e)`, `SET.target(e)`."""
        if self.surroundings is None:
            raise fail(self.report, codes.NOT_A_NUMBER, node.span, what=_described(function))
        found = self.surroundings.numbered(function)
        if isinstance(found, np.ndarray):
            return found[self._index(node, len(found))]
        return found.at(self._index(node, len(found))).numbers()

    def _index(self, node: syntax.Call, size: int) -> Any:
        """The argument of `AXIS.FIELD(i)`, a number below a size; where it is none, a fault is marked."""
        if len(node.arguments) != 1 or node.arguments[0].name:
            name, count = written(self.report, node.function), "one number, without a name"
            raise fail(self.report, codes.ARGUMENT_COUNT, node.span, name=name, count=count)
        argument = node.arguments[0].value
        index = self._value(argument)
        self._numeric(index, argument)
        if not is_integer(index) and np.size(index):
            raise self.not_an_integer(argument, "an index", np.asarray(index).reshape(-1)[:1].tolist()[0])
        outside = np.logical_or(np.less(index, 0), np.greater_equal(index, size))
        self._mark(outside, codes.INDEX_OUTSIDE, node)
        if size == 0:
            raise fail(self.report, codes.INDEX_OUTSIDE, node.span)
        return np.where(outside, 0, index).astype(np.int64)

    def _contained(self, value: Value, container: syntax.Expression) -> Value:
        match container:
            case syntax.Range(first=first, last=last):
                ends = self._value(first), self._value(last)
                for end, node in zip(ends, (first, last), strict=True):
                    self._numeric(end, node)
                inside = np.logical_and(_compared("<=", ends[0], value), _compared("<=", value, ends[1]))
                return inside if is_integer(value) else inside & np.equal(value, np.floor(value))
            case syntax.List(items=items):
                members = [self._value(item) for item in items]
                for member, item in zip(members, items, strict=True):
                    self._numeric(member, item)
                if is_integer(value) and all(isinstance(member, int) for member in members):
                    return np.isin(value, np.array(members, np.int64))
                return _fold(np.logical_or, [False, *(_compared("==", value, m) for m in members)])
            case other:
                raise fail(self.report, codes.IN_WHAT, other.span)

    def _call(self, node: syntax.Call) -> Value:
        name = called_name(node)
        if name in self.functions:
            return self.functions[name](node)
        if isinstance(node.function, syntax.Attribute):
            return self._numbered(node, node.function)
        if name == "chance":
            help = "`chance(p)` is a condition of edges in braces: `{ i -> j : chance(0.1) }`"
            raise fail(self.report, codes.UNKNOWN_FUNCTION, node.function.span, name=name, help=help)
        if name == "len" and self.surroundings is not None:
            return self._length(node, self.surroundings)
        if name == "column":
            texts = self._texts(node)
            if texts is None:
                raise fail(self.report, codes.COLUMN_WITHOUT_TABLE, node.span)
            return texts.numbers()
        if name not in FUNCTIONS:
            known = (*FUNCTIONS, *self.functions)
            written_out = (function for function in known if name.startswith(function))  # `cosine`, `minimum`
            guess = next(written_out, None) or suggest(name, known)
            raise fail(
                self.report,
                codes.UNKNOWN_FUNCTION,
                node.function.span,
                name=name,
                help=f"did you mean `{guess}`?" if guess else "functions of numbers: " + ", ".join(known),
            )
        count, function = FUNCTIONS[name]
        wrong = not node.arguments if count is None else len(node.arguments) != count
        if wrong or any(argument.name for argument in node.arguments):
            takes = "one number, without a name" if count else "one number or more, without names"
            raise fail(self.report, codes.ARGUMENT_COUNT, node.span, name=name, count=takes)
        values = [self._value(argument.value) for argument in node.arguments]
        for value, argument in zip(values, node.arguments, strict=True):
            self._numeric(value, argument.value)
        return self._computed(node, *function(*values))

    def _length(self, node: syntax.Call, surroundings: Surroundings) -> int:
        """`len(NAME)`."""
        arguments = [argument.value for argument in node.arguments if not argument.name]
        if len(node.arguments) != 1 or len(arguments) != 1 or not isinstance(arguments[0], syntax.Reference):
            count = "the name of an axis, a layer, an input or an edge set"
            raise fail(self.report, codes.ARGUMENT_COUNT, node.span, name="len", count=count)
        return surroundings.length(arguments[0])

    def _truth(self, value: Value, node: syntax.Expression) -> Value:
        if np.asarray(value).dtype.kind != "b":
            raise fail(self.report, codes.NOT_A_CONDITION, node.span)
        return value

    def _numeric(self, value: Value, node: syntax.Expression) -> None:
        if np.asarray(value).dtype.kind == "b":
            raise fail(self.report, codes.NOT_A_NUMBER, node.span, what="a condition")


def _same(left: Texts | str, right: Texts | str) -> Value:
    if isinstance(left, str):
        return left == right if isinstance(right, str) else right.equal(left)
    return left.equal(right)


def _bare(node: syntax.Expression) -> syntax.Expression:
    """What stands within parentheses."""
    return _bare(node.inner) if isinstance(node, syntax.Parenthesised) else node


def _plain(value: Value) -> Value:
    """Numpy scalars and arrays without dimensions as Python numbers."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return cast("bool | int | float", value.item())
    return value


def _described(node: syntax.Expression) -> str:
    words: dict[type, str] = {
        syntax.Builder: "a set of edges",
        syntax.Range: "a range",
        syntax.List: "a list",
        syntax.Tuple: "a tuple",
        syntax.Attribute: "a field",
    }
    return words.get(type(node), "this")
