"""Arguments of rules, operations and losses: bound by name or position, typos suggested."""

from __future__ import annotations

from collections.abc import Collection

from ...dsl import syntax
from ...dsl.diagnostics import Failed, Report, fail
from ...dsl.walk import call_parts, name_of
from ...dsl.words import suggest
from .. import codes

Bound = dict[str, syntax.Argument]


def no_choice(report: Report, node: syntax.Expression, name: str, choices: Collection[str]) -> Failed:
    """Record that a value is none of the words that it can be, and return the exception to raise."""
    word = name_of(report, node)
    # What is left when a choice loses its beginning means something else: `positive`, `nonpositive`.
    guess = suggest(word, [choice for choice in choices if not choice.endswith(word)])
    help = f"did you mean `{guess}`?" if guess else ()
    listed = ", ".join(choice if " " in choice else f"`{choice}`" for choice in choices)
    return fail(report, codes.UNKNOWN_CHOICE, node.span, name=name, choices=listed, help=help)


def bind(
    report: Report,
    node: syntax.Expression,
    parameters: Collection[str],
    positional: int | None = None,
) -> Bound:
    """The arguments of a call by parameter name. Raises `Failed` on an unknown, repeated or surplus one.

    The first `positional` parameters may go without their names, all of them if None.
    """
    parts = call_parts(node)
    assert parts is not None
    name, arguments = parts
    names = list(parameters)
    limit = len(names) if positional is None else positional
    bound: Bound = {}
    takes = (
        ", ".join(f"`{n}`" if at < limit else f"`{n} = ...`" for at, n in enumerate(names)) or "no arguments"
    )
    for position, argument in enumerate(arguments):
        key = argument.name
        if key is None:
            if position >= limit or any(a.name for a in arguments[:position]):
                raise fail(
                    report,
                    codes.SURPLUS_ARGUMENT,
                    argument.span,
                    name=name,
                    help=f"`{name}` takes {takes}",
                )
            key = names[position]
        if key not in names:
            guess = suggest(key, names)
            help = f"did you mean `{guess}`?" if guess else f"`{name}` takes {takes}"
            raise fail(report, codes.UNKNOWN_ARGUMENT, argument.span, name=name, argument=key, help=help)
        if key in bound:
            raise fail(report, codes.ARGUMENT_TWICE, argument.span, name=key)
        bound[key] = argument
    return bound
