"""Source code as a tree, which targets build, and a printer that lays it out as ruff and black would.

A `Name` says what it stands for, so that what a module imports and which kernels are copied into it follow
from the tree: `names_in` walks it. Trees are made by quoting: `Scope.expression("f(x) + 1", x=...)` parses
Python once, and puts other trees, numbers and strings where the names of holes stand. Names that the spec
gave stay as they are; whatever of ours would be called the same gets an underscore behind it.
"""

from __future__ import annotations

from .printer import WIDTH, flat, printed
from .quote import Scope, Vocabulary
from .sums import power_of_ten, returned_sum, scaled, sum_of, summed, times
from .tree import (
    Assign,
    Attribute,
    Binary,
    Call,
    Choice,
    Comment,
    Comparison,
    Constant,
    Display,
    Evaluate,
    Expression,
    For,
    Function,
    Given,
    If,
    Keyword,
    Lambda,
    Name,
    Needs,
    Pair,
    Parameter,
    Return,
    Starred,
    Statement,
    Subscript,
    Unary,
    With,
    Word,
    names_in,
    needs_of,
    node,
    walk,
)

__all__ = [
    "WIDTH",
    "Assign",
    "Attribute",
    "Binary",
    "Call",
    "Choice",
    "Comment",
    "Comparison",
    "Constant",
    "Display",
    "Evaluate",
    "Expression",
    "For",
    "Function",
    "Given",
    "If",
    "Keyword",
    "Lambda",
    "Name",
    "Needs",
    "Pair",
    "Parameter",
    "Return",
    "Scope",
    "Starred",
    "Statement",
    "Subscript",
    "Unary",
    "Vocabulary",
    "With",
    "Word",
    "flat",
    "names_in",
    "needs_of",
    "node",
    "power_of_ten",
    "printed",
    "returned_sum",
    "scaled",
    "sum_of",
    "summed",
    "times",
    "walk",
]
