"""The syntax tree of a spec: frozen dataclasses, each with the `Span` of the text it stands for.

The tree says what was written, not what it means: names are not bound, loops not unrolled, numbers not
folded. Parentheses are kept, so that the formatter can print a tree back and so that mixing `|` and `-`
without them can be refused.
"""

from __future__ import annotations

from typing import TypeAlias

from .records import record
from .source import Source, Span

# --------------------------------------------------------------------------------------------- names


@record(slots=True)
class Name:
    """An identifier; `h{k-1}` has the parts `("h", <k-1>)`, a plain name has one part, its text."""

    span: Span
    parts: tuple[str | Expression, ...]


# --------------------------------------------------------------------------------------- expressions


@record(slots=True)
class Number:
    """A literal number: `500` is an int, `1e-4` a float. `text` is the literal as written."""

    span: Span
    value: int | float
    text: str


@record(slots=True)
class String:
    """A string literal; `"level{d}.csv"` has the parts `("level", <d>, ".csv")`."""

    span: Span
    parts: tuple[str | Expression, ...]


@record(slots=True)
class Reference:
    """A name used as a value."""

    span: Span
    name: Name


@record(slots=True)
class Argument:
    """One argument of a call; `name` is None for a positional one."""

    span: Span
    name: str | None
    value: Expression


@record(slots=True)
class Call:
    """`function(arguments)`. The function is a name, or `axis.field` / `edges.source` as an `Attribute`."""

    span: Span
    function: Reference | Attribute
    arguments: tuple[Argument, ...]


@record(slots=True)
class Attribute:
    """`value.field`."""

    span: Span
    value: Reference
    field: str


@record(slots=True)
class Unary:
    """`-x`, `+x` or `not x`."""

    span: Span
    operator: str
    operand: Expression


@record(slots=True)
class Binary:
    """A binary operator: `+ - * / // % ** | &`, or `and` / `or`."""

    span: Span
    operator: str
    left: Expression
    right: Expression


@record(slots=True)
class Comparison:
    """A chained comparison `first op1 rest1 op2 rest2 ...`; operators are `== != < <= > >= in`."""

    span: Span
    first: Expression
    rest: tuple[tuple[str, Expression], ...]


@record(slots=True)
class Range:
    """`first..last`, both ends included."""

    span: Span
    first: Expression
    last: Expression


@record(slots=True)
class Parenthesised:
    """`(expression)`."""

    span: Span
    inner: Expression


@record(slots=True)
class Tuple:
    """`(a, b, ...)`: a multi-dimensional index or a key; `(a,)` has one item, `()` none."""

    span: Span
    items: tuple[Expression, ...]


@record(slots=True)
class List:
    """`[a, b, ...]`."""

    span: Span
    items: tuple[Expression, ...]


@record(slots=True)
class Arrow:
    """`source -> target`: an edge, or many when either side is a list or a pattern."""

    span: Span
    source: Expression
    target: Expression


@record(slots=True)
class Membership:
    """`source -> target in set`, a clause of a builder."""

    span: Span
    edge: Arrow
    set: Expression


@record(slots=True)
class Attribution:
    """`name = value` after `;` in a builder, or `name = value` / `name ~ value` after `with`."""

    span: Span
    name: str
    name_span: Span
    operator: str
    value: Expression


@record(slots=True)
class Builder:
    """`{ edges : clauses ; policies }`."""

    span: Span
    edges: tuple[Arrow, ...]
    clauses: tuple[Expression | Membership, ...]
    policies: tuple[Attribution, ...]


Expression: TypeAlias = (
    Number
    | String
    | Reference
    | Call
    | Attribute
    | Unary
    | Binary
    | Comparison
    | Range
    | Parenthesised
    | Tuple
    | List
    | Builder
)

# ---------------------------------------------------------------------------------------- statements


@record(slots=True)
class Shape:
    """`[a, b, ...]` after a name or as a side of `edges`."""

    span: Span
    dimensions: tuple[Expression, ...]


@record(slots=True)
class ModelStatement:
    """`model NAME`."""

    span: Span
    name: Name


@record(slots=True)
class ParamStatement:
    """`param NAME = expression`."""

    span: Span
    name: Name
    value: Expression


@record(slots=True)
class AxisStatement:
    """`axis NAME = expression`: a size, or `names(...)`."""

    span: Span
    name: Name
    value: Expression


@record(slots=True)
class Parameter:
    """`name` or `name = value` in the head of a function."""

    span: Span
    name: str
    default: Expression | None


@record(slots=True)
class FunctionStatement:
    """`function NAME(parameters) = expression with attributes`."""

    span: Span
    name: Name
    parameters: tuple[Parameter, ...]
    value: Expression
    attributes: tuple[Attribution, ...]


@record(slots=True)
class DataStatement:
    """`input NAME[shape]` or `target NAME[shape]`, real values or, with `classes`, integer codes.

    `over` is where `over time` stands, None where one array is for all steps.
    """

    span: Span
    keyword: str
    name: Name
    shape: Shape | None
    classes: Expression | None
    over: Span | None = None


@record(slots=True)
class LayerStatement:
    """`layer NAME[shape] = value : operation, operation(...)`; without a value, connections enter it.

    `attributes` are `name = value` among the operations.
    """

    span: Span
    name: Name
    shape: Shape | None
    value: Expression | None
    operations: tuple[Reference | Call, ...]
    attributes: tuple[Attribution, ...] = ()


@record(slots=True)
class EdgesStatement:
    """`edges NAME : A -> B = set`."""

    span: Span
    name: Name
    source: Name | Shape
    target: Name | Shape
    set: Expression


@record(slots=True)
class ConnectStatement:
    """`connect A -> B as NAME : set with attributes`."""

    span: Span
    source: Name
    target: Name
    name: Name | None
    set: Expression
    attributes: tuple[Attribution, ...]


@record(slots=True)
class StepsStatement:
    """`steps count`: how many there are where no input is over time."""

    span: Span
    value: Expression


@record(slots=True)
class OutputStatement:
    """`output NAME, ...`; `over` is where `over time` stands, None where the last step is meant."""

    span: Span
    names: tuple[Name, ...]
    over: Span | None = None


@record(slots=True)
class LossStatement:
    """`loss expression`."""

    span: Span
    value: Expression


@record(slots=True)
class ForStatement:
    """`for NAME in values { statements }`; values are a `Range` or a `List`. `header` ends at the brace."""

    span: Span
    header: Span
    variable: Name
    values: Expression
    body: tuple[Statement, ...]


Statement: TypeAlias = (
    ModelStatement
    | ParamStatement
    | AxisStatement
    | FunctionStatement
    | DataStatement
    | LayerStatement
    | EdgesStatement
    | ConnectStatement
    | StepsStatement
    | OutputStatement
    | LossStatement
    | ForStatement
)


@record(slots=True)
class Comment:
    """`# text` to the end of the line, the `#` included."""

    span: Span
    text: str


@record(slots=True)
class Spec:
    """A whole file: its statements in order and its comments, which the formatter puts back."""

    source: Source
    statements: tuple[Statement, ...]
    comments: tuple[Comment, ...]
