"""Expressions of values in a spec, such as the body of a function, as trees."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np

from ...dsl import syntax
from ...dsl.diagnostics import Report, fail
from ...dsl.records import record
from ...dsl.walk import called_name, written
from ...dsl.words import counted, suggest
from .. import codes
from ..names.arguments import bind
from ..names.reserved import BEFORE, OPERATIONS, argument_refusal
from .evaluate import evaluate
from .function import Function
from .text import said
from .tree import (
    ARITHMETIC,
    FUNCTIONS,
    ZERO,
    Apply,
    Argument,
    Number,
    Tree,
    apply,
    arguments_in,
    depth,
    is_condition,
    size,
    substituted,
    walk,
)

# A tree is walked by recursion, and its derivative is longer than it is.
DEPTH_LIMIT = 60
SIZE_LIMIT = 500


# What looks like a function, and takes more than one unit, or weights.
OF_SEVERAL_UNITS = {*OPERATIONS, "mean", "sum", "l1", "l2", "cross_entropy", "cosine"}


def as_held(number: int | float) -> int | float:
    """A number as arrays can take it: what no integer of theirs holds is a float."""
    return number if abs(number) < 2**53 else float(number)


@record
class Reader:
    """Reads expressions of values.

    `name` gives the tree that a name stands for, and `function` the function of a name, None if there is
    none; both raise `Failed` after recording a diagnostic. `functions` are all names that could be meant, and
    `own` those of them that the spec states. `before` gives the tree of a value of an earlier step, where
    there can be one.
    """

    report: Report
    name: Callable[[syntax.Reference], Tree]
    function: Callable[[str], Function | None]
    functions: Collection[str] = ()
    own: Collection[str] = ()
    before: Callable[[syntax.Call], Tree] | None = None

    def value(self, node: syntax.Expression) -> Tree:
        """An expression that has a value, element by element. Raises `Failed` after a diagnostic."""
        tree = self._checked(self._tree(node), node)
        if is_condition(tree):
            raise fail(self.report, codes.NOT_A_NUMBER, node.span, what="a condition")
        return tree

    def condition(self, node: syntax.Expression) -> Tree:
        """A condition. Raises `Failed` after a diagnostic where a value stands."""
        tree = self._checked(self._tree(node), node)
        if not is_condition(tree):
            shown = written(self.report, node)
            help = f"a value is no condition: write `{shown} != 0`, or `{shown} > 0`"
            raise fail(self.report, codes.NOT_A_CONDITION, node.span, help=help)
        return tree

    def _checked(self, tree: Tree, node: syntax.Expression) -> Tree:
        if depth(tree) > DEPTH_LIMIT or size(tree) > SIZE_LIMIT:
            raise fail(self.report, codes.FUNCTION_TOO_LARGE, node.span, limit=SIZE_LIMIT, depth=DEPTH_LIMIT)
        refuse_infinite(tree if isinstance(node, syntax.Call) else _constant(tree), node, self.report)
        return tree

    def _tree(self, node: syntax.Expression) -> Tree:
        match node:
            case syntax.Number():
                return Number(as_held(node.value))
            case syntax.Reference():
                return self.name(node)
            case syntax.Parenthesised():
                return self._tree(node.inner)
            case syntax.Unary(operator="not"):
                return apply("not", self.condition(node.operand))
            case syntax.Unary(operator="-"):
                return apply("negative", self.value(node.operand))
            case syntax.Unary():
                return self.value(node.operand)
            case syntax.Binary(operator="and" | "or" as word):
                return apply(word, self.condition(node.left), self.condition(node.right))
            case syntax.Binary(operator=word) if word in ARITHMETIC:
                return apply(word, self.value(node.left), self.value(node.right))
            case syntax.Comparison() if all(word != "in" for word, _ in node.rest):
                return self._comparison(node)
            case syntax.Call():
                return self._call(node)
            case _:
                shown = written(self.report, node)
                raise fail(self.report, codes.NOT_OF_VALUES, node.span, what=f"`{shown}`")

    def _comparison(self, node: syntax.Comparison) -> Tree:
        """A chain of comparisons holds where all of them do."""
        left, found = self.value(node.first), list[Tree]()
        for word, operand in node.rest:
            right = self.value(operand)
            found.append(apply(word, left, right))
            left = right
        tree = found[0]
        for each in found[1:]:
            tree = apply("and", tree, each)
        return tree

    def _call(self, node: syntax.Call) -> Tree:
        name = called_name(node)
        if name in FUNCTIONS:
            return self._word(name, node)
        if name == BEFORE:
            if self.before is None:
                raise fail(self.report, codes.NO_EARLIER_STEP, node.span)
            return self.before(node)
        function = self.function(name)
        if function is None and name in OF_SEVERAL_UNITS:
            help = "it takes several units or weights together: it stands outside, as a term or an operation"
            raise fail(self.report, codes.NOT_OF_VALUES, node.span, what=f"`{name}`", help=help)
        if function is None:
            known, name = (*FUNCTIONS, *self.functions), name or written(self.report, node.function)
            last = name.rpartition(".")[2]  # of `np.tanh`, say
            guess = last if last in known else suggest(last, known)
            listed = "functions are " + ", ".join(f"`{each}`" for each in (*self.own, *FUNCTIONS))
            help = f"did you mean `{guess}`?" if guess else f"{listed}, and those that layers can have"
            span = node.function.span
            raise fail(self.report, codes.UNKNOWN_FUNCTION, span, name=name, help=help)
        return self.called(function, node)

    def _word(self, name: str, node: syntax.Call) -> Tree:
        wanted, given = FUNCTIONS[name], [argument.value for argument in node.arguments]
        enough = len(given) >= wanted if name in ("min", "max") else len(given) == wanted
        if not enough or any(argument.name for argument in node.arguments):
            count = f"{counted(wanted, 'value')}{' or more' * (name in ('min', 'max'))}, without names"
            raise fail(self.report, codes.ARGUMENT_COUNT, node.span, name=name, count=count)
        if name == "where":
            return apply(name, self.condition(given[0]), *map(self.value, given[1:]))
        tree, *others = map(self.value, given)
        for other in others:
            tree = apply(name, tree, other)
        return tree if others else apply(name, tree)

    def called(self, function: Function, node: syntax.Call) -> Tree:
        """A call of a function: its tree with what it is given in it."""
        bound = bind(self.report, node, function.arguments)
        defaults = dict(function.defaults)
        values: dict[str, Tree] = {}
        for argument in function.arguments:
            if argument in bound:
                values[argument] = self.value(bound[argument].value)
            elif argument in defaults:
                values[argument] = Number(defaults[argument])
            else:
                fields = {"name": function.name, "argument": argument}
                raise fail(self.report, codes.MISSING_ARGUMENT, node.span, **fields)
        value = substituted(function.value, values)
        if function.declared is None:
            return value
        first, *numbers = function.arguments
        for argument in numbers:
            if not isinstance(values[argument], Number):
                span = bound[argument].value.span
                fields = {"name": function.name, "argument": argument, "first": first}
                raise fail(self.report, codes.NUMBER_WANTED, span, **fields)
        return apply("declared", values[first], value, substituted(function.declared, values))


def _constant(tree: Tree) -> Tree:
    """A tree, if it is of numbers alone, and else a number."""
    return tree if not arguments_in(tree) else ZERO


def refuse_infinite(tree: Tree, node: syntax.Expression, report: Report) -> None:
    """Refuse a tree with a part that is of numbers alone and not finite, such as `sqrt(-1)`."""
    for part in walk(tree):
        constant = isinstance(part, Apply) and not is_condition(part) and not arguments_in(part)
        if constant and not np.isfinite(evaluate(part, {})):
            raise fail(report, codes.NOT_FINITE, node.span, help=f"`{said(part)}` has no value")


def read_function(
    statement: syntax.FunctionStatement,
    name: str,
    report: Report,
    reader: Reader,
    number: Callable[[syntax.Expression], float],
) -> Function:
    """The function of a statement; `reader` reads what is no argument, `number` gives the defaults.

    Raises `Failed` after recording a diagnostic.
    """
    arguments, defaults = _head(statement, report, number)

    def named(reference: syntax.Reference) -> Tree:
        parts = reference.name.parts
        return (
            Argument(str(parts[0])) if len(parts) == 1 and parts[0] in arguments else reader.name(reference)
        )

    inner = replace(reader, name=named)
    value, declared = inner.value(statement.value), None
    for attribute in statement.attributes:
        if attribute.name != "derivative" or attribute.operator != "=":
            raise fail(report, codes.FUNCTION_ATTRIBUTE, attribute.span, name=attribute.name)
        if declared is not None:
            raise fail(report, codes.ARGUMENT_TWICE, attribute.span, name=attribute.name)
        declared = inner.value(attribute.value)
    read = {*arguments_in(value), *(arguments_in(declared) if declared is not None else ())}
    for parameter in statement.parameters:
        if parameter.name not in read:
            what = f"argument of `{name}` called"
            report.add(codes.UNUSED, parameter.span, what=what, name=parameter.name)
    return Function(name, tuple(arguments), tuple(defaults.items()), value, declared)


def _refuse_name(parameter: syntax.Parameter, report: Report) -> None:
    """Hold the name of an argument to the rules for names that come to stand in generated code."""
    name = parameter.name
    if name.startswith("_") or "__" in name:
        raise fail(report, codes.UNDERSCORES, parameter.span, name=name)
    if (why := argument_refusal(name)) is not None:
        raise fail(
            report, codes.RESERVED_NAME, parameter.span, name=name, why=why, help=f"`{name}_` would do"
        )


def _head(
    statement: syntax.FunctionStatement, report: Report, number: Callable[[syntax.Expression], float]
) -> tuple[list[str], dict[str, float]]:
    """The names of a function's arguments, and the numbers that some have."""
    arguments, defaults = list[str](), dict[str, float]()
    for parameter in statement.parameters:
        _refuse_name(parameter, report)
        if parameter.name in arguments:
            raise fail(report, codes.ARGUMENT_TWICE, parameter.span, name=parameter.name)
        if parameter.default is not None and not arguments:
            raise fail(report, codes.FIRST_ARGUMENT, parameter.span, name=parameter.name)
        if parameter.default is None and defaults:
            raise fail(report, codes.ARGUMENT_ORDER, parameter.span, name=parameter.name)
        arguments.append(parameter.name)
        if parameter.default is not None:
            defaults[parameter.name] = number(parameter.default)
    return arguments, defaults
