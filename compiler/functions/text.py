"""Trees as people write them, in the words of the language."""

from __future__ import annotations

import math

from .simplify import simplified
from .tree import COMPARISONS, Apply, Argument, Number, Tree

# How tightly words bind, the loosest first; what is called binds as an atom does.
_LOOSEST, _ATOM = 0, 8
_BINDING = {
    "or": 1,
    "and": 2,
    "not": 3,
    **dict.fromkeys(COMPARISONS, 4),
    **dict.fromkeys(("+", "-"), 5),
    **dict.fromkeys(("*", "/"), 6),
    "negative": 6.5,
    "**": 7,
}


def said(tree: Tree) -> str:
    """A tree as an expression of the language, without a parenthesis that it could go without."""
    return _said(tree, _LOOSEST)


def said_number(value: float) -> str:
    """A number as people write it: one that is whole without its `.0`."""
    if value == math.pi:
        return "pi"
    if float(value).is_integer() and abs(value) < 1e16:
        return repr(int(value))
    return repr(value).replace("e-0", "e-").replace("e+", "e")


def _said(tree: Tree, outside: float) -> str:
    binding, text = _part(tree)
    return f"({text})" if binding < outside else text


def _part(tree: Tree) -> tuple[float, str]:
    """How tightly the outermost word binds, and the text."""
    match tree:
        case Number(value):
            return (_ATOM if value >= 0 else _BINDING["negative"]), said_number(value)
        case Argument(name):
            return _ATOM, name
        case Apply("declared", (_, value, _)):
            return _part(simplified(value))
        case Apply("negative" | "not" as word, (operand,)):
            sign = "-" if word == "negative" else "not "
            return _BINDING[word], f"{sign}{_said(operand, _BINDING[word])}"
        case Apply("**", (base, exponent)):
            return _BINDING["**"], f"{_said(base, _ATOM)}**{_said(exponent, _BINDING['negative'])}"
        case Apply(word, (left, right)) if word in _BINDING:
            binding = _BINDING[word]
            chained = word in COMPARISONS
            one = _said(left, binding + 1 if chained else binding)
            other = _said(right, binding if word in ("and", "or") else binding + 0.5)
            return binding, f"{one} {word} {other}"
        case Apply(word, operands):
            return _ATOM, f"{word}({', '.join(map(said, operands))})"
