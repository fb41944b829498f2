"""The tree of a function: numbers, arguments, and words applied to them, element by element.

A word is an operator or a function of the language that targets spell each in their own way (`WORDS`). A tree
has a value, or is a condition; `where` chooses by one. At a tie `max` and `min` are their second operand,
whose derivative counts there, and the derivative of `abs` is 0 at 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from ...dsl.records import record


@record(slots=True)
class Number:
    """A constant, finite."""

    value: int | float


@record(slots=True)
class Argument:
    """An argument of the function: an array, or a number that is known when it is called."""

    name: str


@record(slots=True)
class Apply:
    """A word applied to operands."""

    word: str
    operands: tuple[Tree, ...]


Tree: TypeAlias = Number | Argument | Apply

ARITHMETIC = ("+", "-", "*", "/", "**", "negative")
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
CONNECTIVES = ("and", "or", "not")
# What specs can call, by the number of their operands; `min` and `max` of more are made of two at a time.
FUNCTIONS = {
    **dict.fromkeys(("abs", "sign", "exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tan", "sinh"), 1),
    **dict.fromkeys(("cosh", "tanh", "atan", "atanh", "erf", "sigmoid", "softplus", "log_sigmoid"), 1),
    **dict.fromkeys(("floor", "round"), 1),
    **dict.fromkeys(("min", "max"), 2),
    "stop": 1,
    "where": 3,
}
# `declared`: at the value of an expression, the value of a function and the derivative that is declared.
WORDS = frozenset([*ARITHMETIC, *COMPARISONS, *CONNECTIVES, *FUNCTIONS, "declared"])

ZERO, ONE = Number(0), Number(1)


def apply(word: str, *operands: Tree | float) -> Apply:
    """A word applied to trees and numbers."""
    assert word in WORDS, word
    return Apply(word, tuple(each if isinstance(each, Tree) else Number(each) for each in operands))


def is_condition(tree: Tree) -> bool:
    """Whether a tree is true or false, and no number."""
    return isinstance(tree, Apply) and tree.word in (*COMPARISONS, *CONNECTIVES)


def is_name(tree: Tree) -> bool:
    """Whether the value of a tree is that of an argument as it is."""
    match tree:
        case Apply("stop", (operand,)):
            return is_name(operand)
        case _:
            return isinstance(tree, Argument)


def walk(tree: Tree) -> Iterator[Tree]:
    """Every node, operands behind what is applied to them."""
    ahead = [tree]
    while ahead:
        yield (part := ahead.pop())
        if isinstance(part, Apply):
            ahead.extend(reversed(part.operands))


def arguments_in(tree: Tree) -> tuple[str, ...]:
    """The names of the arguments that are read, each once, from left to right."""
    return tuple(dict.fromkeys(each.name for each in walk(tree) if isinstance(each, Argument)))


def substituted(tree: Tree, values: Mapping[str, Tree | float]) -> Tree:
    """A tree with trees or numbers in place of arguments."""
    match tree:
        case Argument(name) if name in values:
            value = values[name]
            return value if isinstance(value, Tree) else Number(value)
        case Apply(word, operands):
            return Apply(word, tuple(substituted(each, values) for each in operands))
        case _:
            return tree


def replaced(tree: Tree, known: Mapping[Tree, Tree]) -> Tree:
    """A tree with others in place of parts of it, the largest part first."""
    if tree in known:
        return known[tree]
    if isinstance(tree, Apply):
        return Apply(tree.word, tuple(replaced(each, known) for each in tree.operands))
    return tree


def size(tree: Tree) -> int:
    """The number of nodes."""
    return sum(1 for _ in walk(tree))


def depth(tree: Tree) -> int:
    """The number of nodes on the longest way down; the terms of a sum, or of a product, are on one level."""
    below = 0
    while isinstance(tree, Apply):
        first, *others = tree.operands
        below = max(below, *map(depth, others)) if others else below
        if others and isinstance(first, Apply) and _on_one_level(tree.word, first.word):
            tree = first
        else:
            return 1 + max(below, depth(first))
    return 1 + below


def _on_one_level(word: str, first: str) -> bool:
    """Whether a word stands behind another without parentheses, as in `a + b - c`."""
    return {word, first} <= {"+", "-"} or word == first == "*"
