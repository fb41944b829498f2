"""Calls in expressions: functions of numbers, `len`, fields and columns, and what a place adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from ...dsl import syntax
from ...dsl.diagnostics import Report, fail
from ...dsl.walk import called_name
from ...dsl.words import suggest
from .. import codes
from .arithmetic import FUNCTIONS, Value
from .faults import Faults, refuse_condition
from .fields import Fields
from .surroundings import Surroundings

Functions: TypeAlias = Mapping[str, Callable[[syntax.Call], Value]]


class Calls:
    """Evaluates calls, whose arguments `value` evaluates; `functions` are known in one place alone."""

    def __init__(
        self,
        report: Report,
        functions: Functions,
        surroundings: Surroundings | None,
        fields: Fields,
        faults: Faults,
        value: Callable[[syntax.Expression], Value],
    ) -> None:
        self._report = report
        self._functions = functions
        self._surroundings = surroundings
        self._fields = fields
        self._faults = faults
        self._value = value

    def call(self, node: syntax.Call) -> Value:
        """The value of a call."""
        name = called_name(node)
        if name in self._functions:
            return self._functions[name](node)
        if isinstance(node.function, syntax.Attribute):
            return self._fields.number(node, node.function)
        if name == "chance":
            help = "`chance(p)` is a condition of edges in braces: `{ i -> j : chance(0.1) }`"
            raise fail(self._report, codes.UNKNOWN_FUNCTION, node.function.span, name=name, help=help)
        if name == "len" and self._surroundings is not None:
            return self._length(node, self._surroundings)
        if name == "column":
            texts = self._fields.texts(node)
            if texts is None:
                raise fail(self._report, codes.COLUMN_WITHOUT_TABLE, node.span)
            return texts.numbers()
        if name not in FUNCTIONS:
            known = (*FUNCTIONS, *self._functions)
            written_out = (function for function in known if name.startswith(function))  # `cosine`, `minimum`
            guess = next(written_out, None) or suggest(name, known)
            raise fail(
                self._report,
                codes.UNKNOWN_FUNCTION,
                node.function.span,
                name=name,
                help=f"did you mean `{guess}`?" if guess else "functions of numbers: " + ", ".join(known),
            )
        count, function = FUNCTIONS[name]
        wrong = not node.arguments if count is None else len(node.arguments) != count
        if wrong or any(argument.name for argument in node.arguments):
            takes = "one number, without a name" if count else "one number or more, without names"
            raise fail(self._report, codes.ARGUMENT_COUNT, node.span, name=name, count=takes)
        values = [self._value(argument.value) for argument in node.arguments]
        for value, argument in zip(values, node.arguments, strict=True):
            refuse_condition(value, argument.value, self._report)
        return self._faults.computed(node, *function(*values))

    def _length(self, node: syntax.Call, surroundings: Surroundings) -> int:
        """`len(NAME)`."""
        arguments = [argument.value for argument in node.arguments if not argument.name]
        if len(node.arguments) != 1 or len(arguments) != 1 or not isinstance(arguments[0], syntax.Reference):
            count = "the name of an axis, a layer, an input or an edge set"
            raise fail(self._report, codes.ARGUMENT_COUNT, node.span, name="len", count=count)
        return surroundings.length(arguments[0])
