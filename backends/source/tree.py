"""The nodes of a tree of source, and what names are in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import Literal, TypeAlias

from ...dsl.records import record


class Expression:
    """Anything that has a value. The methods build on it; holes of `Scope.expression` take all the rest."""

    __slots__ = ()

    def get(self, attribute: str) -> Attribute:
        """`self.attribute`."""
        return Attribute(self, attribute)

    def __call__(self, *arguments: Given, **keywords: Given) -> Call:
        """A call with these arguments."""
        return Call(self, (*map(node, arguments), *(Keyword(key, node(g)) for key, g in keywords.items())))

    def at(self, index: Given) -> Subscript:
        """`self[index]`."""
        return Subscript(self, node(index))


class Statement:
    """A line of code, or a block of them."""

    __slots__ = ()


Given: TypeAlias = "Expression | str | int | float | bool | tuple[Given, ...] | None"


@record
class Name(Expression):
    """A name, and what brings it into the module: a kernel, or an import line."""

    text: str
    kernel: str = ""
    imported: str = ""


@record
class Constant(Expression):
    """A string, a number, a truth value or None; `shown` is another way to write a number."""

    value: str | int | float | bool | None
    shown: str = ""


@record
class Attribute(Expression):
    """`of.name`."""

    of: Expression
    name: str


@record
class Call(Expression):
    """`function(arguments)`, with `Keyword` and `Starred` among the arguments."""

    function: Expression
    arguments: tuple[Expression, ...]


@record
class Keyword(Expression):
    """An argument `name=value`; without a name `**value`."""

    name: str
    value: Expression


@record
class Starred(Expression):
    """`*value`."""

    value: Expression


@record
class Subscript(Expression):
    """`of[index]`."""

    of: Expression
    index: Expression


@record
class Slice(Expression):
    """`lower:upper:step` in an index."""

    lower: Expression | None
    upper: Expression | None
    step: Expression | None


@record
class Unary(Expression):
    """`-operand`, `not operand`."""

    operator: str
    operand: Expression


@record
class Binary(Expression):
    """`left operator right`: arithmetic, comparisons, `and` and `or`."""

    left: Expression
    operator: str
    right: Expression


@record
class Comparison(Expression):
    """`first < second <= third`: several comparisons in one."""

    first: Expression
    operators: tuple[str, ...]
    others: tuple[Expression, ...]


@record
class Choice(Expression):
    """`then if test else otherwise`."""

    then: Expression
    test: Expression
    otherwise: Expression


@record
class Display(Expression):
    """A tuple `()`, list `[]`, or set or dict `{}` of items; `bare` tuples have no parentheses.

    What is `spread` has one item on each line, even where all would fit on one.
    """

    brackets: Literal["()", "[]", "{}"]
    items: tuple[Expression, ...]
    bare: bool = False
    spread: bool = False


@record
class Pair(Expression):
    """An entry `key: value` of a dict; without a key `**value`."""

    key: Expression | None
    value: Expression


@record
class Comprehension(Expression):
    """`element for target in iterable if conditions`, in brackets; a generator's are `()`."""

    brackets: Literal["()", "[]", "{}"]
    element: Expression
    loops: tuple[Loop, ...]


@record
class Loop(Expression):
    """`for target in iterable if conditions` within a comprehension."""

    target: Expression
    iterable: Expression
    conditions: tuple[Expression, ...]


@record
class Lambda(Expression):
    """`lambda parameters: body`."""

    parameters: tuple[Parameter, ...]
    body: Expression


@record
class Parameter(Expression):
    """A parameter of a function: `name: annotation = default`; `*` alone has that as its name."""

    name: Expression
    annotation: Expression | None = None
    default: Expression | None = None


@record
class Assign(Statement):
    """`target = value`, `target: annotation = value`, or `target |= value` with another operator."""

    target: Expression
    value: Expression
    operator: str = "="
    annotation: Expression | None = None


@record
class Evaluate(Statement):
    """An expression on its own line; `keyword` is `raise`, `assert`, `yield`, `yield from` or nothing."""

    value: Expression
    keyword: str = ""


@record
class Return(Statement):
    """`return value`."""

    value: Expression | None


@record
class Word(Statement):
    """`pass`, `continue`, `break`, or an empty line."""

    text: str


@record
class Comment(Statement):
    """`# text`, on one line."""

    text: str


@record
class If(Statement):
    """`if test:` and perhaps `else:`, which is `elif` if it is one `If` alone."""

    test: Expression
    body: tuple[Statement, ...]
    otherwise: tuple[Statement, ...] = ()


@record
class For(Statement):
    """`for target in iterable:`."""

    target: Expression
    iterable: Expression
    body: tuple[Statement, ...]


@record
class With(Statement):
    """`with context:` or `with context as name:`."""

    context: Expression
    name: Expression | None
    body: tuple[Statement, ...]


@record
class Function(Statement):
    """`def name(parameters) -> returns:` with a docstring, whose lines after the first are indented."""

    name: str
    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]
    returns: Expression | None = None
    docstring: str = ""
    decorators: tuple[Expression, ...] = ()


def node(given: Given) -> Expression:
    """A tree as it is; anything else as a constant, or a tuple of constants."""
    if isinstance(given, Expression):
        return given
    if isinstance(given, tuple):
        return Display("()", tuple(map(node, given)))
    if isinstance(given, int | float) and not isinstance(given, bool) and given < 0:
        return Unary("-", Constant(-given))
    return Constant(given)


# ------------------------------------------------------------------------------------ what is in a tree


def walk(*trees: object) -> Iterator[Expression | Statement]:
    """Every node of trees, or of sequences of them, from left to right."""
    ahead: list[object] = [*reversed(trees)]
    while ahead:
        tree = ahead.pop()
        if isinstance(tree, tuple | list):
            ahead.extend(reversed(tree))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        elif isinstance(tree, Expression | Statement):
            yield tree
            if type(tree) not in _LEAVES:
                ahead.extend(_backwards(type(tree))(tree))


_LEAVES = frozenset([Name, Constant])  # nodes, and most of them, with nothing below


@cache
def _backwards(kind: type[Expression | Statement]) -> Callable[[Expression | Statement], tuple[object, ...]]:
    """What is in a node of this kind, the last first."""
    last, *others = [entry.name for entry in fields(kind)][::-1]  # pyright: ignore[reportArgumentType]
    return attrgetter(last, *others) if others else lambda node: (getattr(node, last),)


def names_in(*trees: object) -> Iterator[Name]:
    """Every name that trees read or bind."""
    return (each for each in walk(*trees) if isinstance(each, Name))


@record
class Needs:
    """The kernels that trees call by name, and the import lines that they need."""

    kernels: frozenset[str]
    imports: frozenset[str]

    def __or__(self, other: Needs) -> Needs:
        return Needs(self.kernels | other.kernels, self.imports | other.imports)


def needs_of(*trees: object) -> Needs:
    """What the names in trees need."""
    needed = {(name.kernel, name.imported) for name in names_in(*trees)}
    kernels, imports = (frozenset(each[at] for each in needed) - {""} for at in (0, 1))
    return Needs(kernels, imports)
