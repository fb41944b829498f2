"""Lines of generated code, broken where ruff and black would break them."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 110

# Python nests a sum once for each term, and stops at about 3,000 levels; so do tools that read its code.
MOST_TERMS = 100


def call(head: str, arguments: Sequence[str], tail: str = ")", indent: int = 0) -> str:
    """`head` + arguments + `tail`: on one line if it fits, else all arguments on one, else one on each.

    `head` ends with the opening bracket. Lines after the first are indented by `indent` and four more.
    """
    flat = head + ", ".join(arguments) + tail
    if indent + len(flat) <= WIDTH:
        return flat
    inner, outer = " " * (indent + 4), " " * indent
    joined = ", ".join(arguments)
    if indent + 4 + len(joined) <= WIDTH:
        return f"{head}\n{inner}{joined}\n{outer}{tail}"
    return head + "".join(f"\n{inner}{argument}," for argument in arguments) + f"\n{outer}{tail}"


def chained(head: str, arguments: Sequence[str], argument: str, indent: int = 0) -> str:
    """`head` + arguments + `)(argument)`: the second call is broken before the first."""
    first = f"{head}{', '.join(arguments)})("
    if indent + len(first) <= WIDTH < indent + len(first) + len(argument) + 1:
        return f"{first}\n{' ' * (indent + 4)}{argument}\n{' ' * indent})"
    return call(head, arguments, f")({argument})", indent)


def collection(head: str, items: Sequence[str], tail: str, indent: int = 0) -> str:
    """`head` + items + `tail` for a dict, list or tuple: on one line if it fits, else one item on each."""
    flat = head + ", ".join(items) + tail
    if indent + len(flat) <= WIDTH:
        return flat
    inner, outer = " " * (indent + 4), " " * indent
    return head + "".join(f"\n{inner}{item}," for item in items) + f"\n{outer}{tail.lstrip(',')}"


def total(head: str, terms: Sequence[str], indent: int = 0) -> str:
    """`head` + sum of terms: on one line if it fits, else in parentheses on one, else one on each.

    A term that begins with a minus is subtracted.
    """
    signed = [("- ", term[1:]) if term.startswith("-") else ("+ ", term) for term in terms]
    first = signed[0][0].strip("+ ") + signed[0][1]
    joined = " ".join([first, *(sign + term for sign, term in signed[1:])])
    if indent + len(head) + len(joined) <= WIDTH:
        return head + joined
    inner, outer = " " * (indent + 4), " " * indent
    if indent + 4 + len(joined) <= WIDTH:
        return f"{head}(\n{inner}{joined}\n{outer})"
    rest = "".join(f"\n{inner}{sign}{term}" for sign, term in signed[1:])
    return f"{head}(\n{inner}{first}{rest}\n{outer})"


def summed(variable: str, terms: Sequence[str], indent: int = 0) -> list[str]:
    """Statements that make `variable` the sum of terms: one, or several where there are very many terms."""
    parts = [terms[at : at + MOST_TERMS] for at in range(0, len(terms), MOST_TERMS)]
    return [total(f"{variable} = ", [*[variable] * (at > 0), *part], indent) for at, part in enumerate(parts)]


def returned_sum(terms: Sequence[str], indent: int = 0) -> tuple[str, ...]:
    """Statements that return the sum of terms, as `summed` has them."""
    if len(terms) <= MOST_TERMS:
        return (total("return ", terms, indent),)
    return (*summed("total", terms, indent), "return total")
