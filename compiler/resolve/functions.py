"""The functions of a spec, each read when it is first asked for, and those of the catalogue."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...dsl import syntax
from ...dsl.diagnostics import Failed, fail
from .. import codes
from ..functions import catalogue
from ..functions.function import Function
from ..functions.read import Reader, as_held, read_function
from ..functions.tree import Number, Tree
from ..names.arithmetic import FLOAT32_MAX
from ..names.names import Declaration, Placed
from .known import Known


def read_function_statement(statement: syntax.FunctionStatement, placed: Placed, known: Known) -> None:
    """A `function` statement, whether or not anything uses it."""
    _stated(known.names.declared[known.own(statement.name, placed)], known)


def function_of(name: str, known: Known) -> Function | None:
    """The function of a name: the spec's own, or else the catalogue's; None if there is none.

    Raises `Failed` if the spec's has an error, which is recorded.
    """
    declared = known.names.declared.get(name)
    if declared is not None and declared.kind == "function":
        known.functions_used.add(name)
        return _stated(declared, known)
    return catalogue.function(name)


def function_names(known: Known) -> tuple[str, ...]:
    """The names of all functions, for suggestions."""
    return (*own_names(known), *catalogue.names())


def own_names(known: Known) -> tuple[str, ...]:
    """The names of the functions that the spec states."""
    return tuple(each.name for each in known.names.declared.values() if each.kind == "function")


def reader(known: Known, variables: Mapping[str, int]) -> Reader:
    """What reads expressions of values, in which names are numbers."""

    def named(reference: syntax.Reference) -> Tree:
        return _number(known.names.number(reference, variables), reference, known)

    functions, own = function_names(known), own_names(known)
    return Reader(known.report, named, lambda name: function_of(name, known), functions, own)


def _number(value: object, node: syntax.Expression, known: Known) -> Number:
    """A number of the spec in a tree: finite, in single precision too."""
    assert isinstance(value, int | float)
    if not math.isfinite(value) or abs(value) > FLOAT32_MAX:
        raise fail(known.report, codes.BEYOND_FLOAT32, node.span, what="this number")
    return Number(as_held(value))


def _stated(declared: Declaration, known: Known) -> Function:
    """The function of a statement."""
    name, statement = declared.name, declared.placed.statement
    assert isinstance(statement, syntax.FunctionStatement)
    started = known.functions_being_read
    if name in started:
        chain = " -> ".join([*started[started.index(name) :], name])
        raise fail(known.report, codes.FUNCTION_CYCLE, declared.span, chain=chain)
    if name in known.functions:
        found = known.functions[name]
        if found is None:
            raise Failed
        return found
    known.functions_being_read.append(name)
    known.functions[name] = None  # unless it can be read
    variables = declared.placed.variables
    try:
        known.functions[name] = found = read_function(
            statement,
            name,
            known.report,
            reader(known, variables),
            lambda node: _number(known.names.evaluator(variables).number(node), node, known).value,
        )
    except RecursionError:
        raise fail(known.report, codes.LONG_CHAIN, declared.span, name=name) from None
    finally:
        known.functions_being_read.remove(name)
    return found


def warn_of_unused(known: Known) -> None:
    """Warn of the functions that nothing calls."""
    for declared in known.names.declared.values():
        if declared.kind == "function" and declared.name not in known.functions_used:
            known.report.add(codes.UNUSED, declared.span, what="function", name=declared.name)
