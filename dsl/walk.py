"""What an expression is made of: its parts, the names in it, and what it calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from . import syntax
from .diagnostics import Report


def children(node: object) -> tuple[syntax.Expression, ...]:
    """The expressions that an expression is made of, as far as they are values."""
    match node:
        case syntax.Call():
            return tuple(argument.value for argument in node.arguments)
        case syntax.Unary():
            return (node.operand,)
        case syntax.Binary():
            return node.left, node.right
        case syntax.Parenthesised():
            return (node.inner,)
        case syntax.Range():
            return node.first, node.last
        case syntax.Comparison():
            return node.first, *(value for _, value in node.rest)
        case syntax.List() | syntax.Tuple():
            return node.items
        case _:
            return ()


def mapped(
    node: syntax.Expression, change: Callable[[syntax.Expression], syntax.Expression]
) -> syntax.Expression:
    """An expression with its parts changed."""
    match node:
        case syntax.Parenthesised():
            return replace(node, inner=change(node.inner))
        case syntax.Unary():
            return replace(node, operand=change(node.operand))
        case syntax.Binary():
            return replace(node, left=change(node.left), right=change(node.right))
        case syntax.Comparison():
            rest = tuple((symbol, change(right)) for symbol, right in node.rest)
            return replace(node, first=change(node.first), rest=rest)
        case syntax.Range():
            return replace(node, first=change(node.first), last=change(node.last))
        case syntax.List() | syntax.Tuple():
            return replace(node, items=tuple(change(item) for item in node.items))
        case syntax.Call():
            arguments = tuple(replace(argument, value=change(argument.value)) for argument in node.arguments)
            return replace(node, arguments=arguments)
        case _:
            return node


def names_in(node: object, text: Callable[[syntax.Name], str]) -> set[str]:
    """The names that stand as values in an expression, in full."""
    if isinstance(node, syntax.Reference):
        return {text(node.name)}
    names: set[str] = set()
    for child in children(node):
        names |= names_in(child, text)
    return names


def seeds_in(node: object) -> Iterator[syntax.Argument | syntax.Attribution]:
    """The seeds that a set of edges gives, by `random(..., seed = 1)` or `{ ... ; seed = 1 }`."""
    if isinstance(node, syntax.Call) and called_name(node) == "random":
        yield from (argument for argument in node.arguments if argument.name == "seed")
    if isinstance(node, syntax.Builder):
        yield from (policy for policy in node.policies if policy.name == "seed")
    for child in children(node):
        yield from seeds_in(child)


def called_name(node: syntax.Call) -> str:
    """The name of the function that is called; empty when it is a field or a template."""
    function = node.function
    if isinstance(function, syntax.Reference) and len(function.name.parts) == 1:
        part = function.name.parts[0]
        return part if isinstance(part, str) else ""
    return ""


def call_parts(node: syntax.Expression) -> tuple[str, tuple[syntax.Argument, ...]] | None:
    """Name and arguments of `name(...)` or of a bare `name`; None for anything else."""
    if isinstance(node, syntax.Call):
        return called_name(node), node.arguments
    if (
        isinstance(node, syntax.Reference)
        and len(node.name.parts) == 1
        and isinstance(node.name.parts[0], str)
    ):
        return node.name.parts[0], ()
    return None


def name_of(report: Report, node: syntax.Expression) -> str:
    """The name that is called or stands alone, or else the text of what stands there instead."""
    parts = call_parts(node)
    if parts is not None and parts[0]:
        return parts[0]
    return written(report, node.function if isinstance(node, syntax.Call) else node)


def written(report: Report, node: syntax.Expression) -> str:
    """What stands in the spec, shortened."""
    text = report.source.text[node.span.start : node.span.end]
    return text if len(text) <= 40 else text[:39] + "…"
