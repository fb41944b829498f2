"""Makes tree nodes out of the grammar's rules, as lark reduces them: one method a rule.

A rule's children are tokens and finished nodes, all tokens kept, so that a node's span runs from its first
child to its last. Nothing here recurses: a child is complete before its parent is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, TypeVar, cast

from . import syntax
from .lalr import Token
from .records import record
from .source import Span
from .syntax import Argument, Arrow, Attribution, Expression, Membership, Name, Reference, Shape
from .tokens import span_of


@record(slots=True)
class ForHeader:
    """`for NAME in values {`. The parser makes a `ForStatement` of it when it meets the closing brace."""

    span: Span
    variable: Name
    values: Expression


Node: TypeAlias = (
    syntax.Statement
    | syntax.Parameter
    | ForHeader
    | Expression
    | Name
    | Shape
    | Argument
    | Arrow
    | Membership
    | Attribution
)
Child: TypeAlias = Token | Node
T = TypeVar("T")


def _start(child: Child) -> int:
    return child.start_pos if isinstance(child, Token) else child.span.start


def _end(child: Child) -> int:
    return child.end_pos if isinstance(child, Token) else child.span.end


def _span(children: Sequence[Child]) -> Span:
    return Span(_start(children[0]), _end(children[-1]))


def _all(children: Sequence[Child], kind: type[T]) -> tuple[T, ...]:
    return tuple(child for child in children if isinstance(child, kind))


def _one(children: Sequence[Child], kind: type[T]) -> T | None:
    return next((child for child in children if isinstance(child, kind)), None)


def _expressions(children: Sequence[Child]) -> tuple[Expression, ...]:
    """The children that are neither tokens nor names; the rules that call this have no other kinds."""
    return tuple(cast(Expression, child) for child in children if not isinstance(child, Token | Name | Shape))


def _over(children: Sequence[Child]) -> Span | None:
    """Where `over time` stands among the children."""
    words = [child for child in children if isinstance(child, Token) and child.type in {"OVER", "TIME"}]
    return _span(words) if words else None


def _parts(children: Sequence[Child]) -> tuple[str | Expression, ...]:
    """Text and expressions of a template, without its braces and without empty texts."""
    parts: list[str | Expression] = [
        str(child) if isinstance(child, Token) else cast(Expression, child)
        for child in children
        if not (isinstance(child, Token) and (child == "" or child.type in {"HOLE_OPEN", "HOLE_CLOSE"}))
    ]
    return tuple(parts) or ("",)


class TreeBuilder:
    """The callbacks of the grammar, named like its rules and aliases."""

    # ------------------------------------------------------------------------------------- statements

    def model(self, children: list[Child]) -> syntax.ModelStatement:
        """`model NAME`."""
        return syntax.ModelStatement(_span(children), cast(Name, children[1]))

    def param(self, children: list[Child]) -> syntax.ParamStatement:
        """`param NAME = expression`."""
        return syntax.ParamStatement(_span(children), cast(Name, children[1]), cast(Expression, children[3]))

    def axis(self, children: list[Child]) -> syntax.AxisStatement:
        """`axis NAME = expression`."""
        return syntax.AxisStatement(_span(children), cast(Name, children[1]), cast(Expression, children[3]))

    def function(self, children: list[Child]) -> syntax.FunctionStatement:
        """`function NAME(parameters) = expression with derivative = expression`."""
        return syntax.FunctionStatement(
            _span(children),
            cast(Name, children[1]),
            _all(children, syntax.Parameter),
            next(e for e in _expressions(children) if not isinstance(e, Attribution | syntax.Parameter)),
            _all(children, Attribution),
        )

    def parameter(self, children: list[Child]) -> syntax.Parameter:
        """`name` or `name = value`."""
        default = cast(Expression, children[2]) if len(children) > 1 else None
        return syntax.Parameter(_span(children), str(children[0]), default)

    def data(self, children: list[Child]) -> syntax.DataStatement:
        """`input` and `target`."""
        classes = _expressions(children)
        return syntax.DataStatement(
            _span(children),
            str(children[0]),
            cast(Name, children[1]),
            _one(children, Shape),
            classes[0] if classes else None,
            _over(children),
        )

    def layer(self, children: list[Child]) -> syntax.LayerStatement:
        """`layer NAME[shape] = value : operations`."""
        attributes = _all(children, Attribution)
        expressions = [each for each in _expressions(children) if not isinstance(each, Attribution)]
        has_value = any(isinstance(child, Token) and child.type == "EQUAL" for child in children)
        value = expressions[0] if has_value else None
        operations = cast("tuple[Reference | syntax.Call, ...]", tuple(expressions[has_value:]))
        return syntax.LayerStatement(
            _span(children), cast(Name, children[1]), _one(children, Shape), value, operations, attributes
        )

    def edges(self, children: list[Child]) -> syntax.EdgesStatement:
        """`edges NAME : A -> B = set`."""
        name, source, target = (cast("Name | Shape", children[i]) for i in (1, 3, 5))
        return syntax.EdgesStatement(
            _span(children), cast(Name, name), source, target, cast(Expression, children[7])
        )

    def connect(self, children: list[Child]) -> syntax.ConnectStatement:
        """`connect A -> B as NAME : set with attributes`."""
        source, target, *named = _all(children, Name)
        set_ = next(child for child in _expressions(children) if not isinstance(child, Attribution))
        name = named[0] if named else None
        return syntax.ConnectStatement(
            _span(children), source, target, name, set_, _all(children, Attribution)
        )

    def output(self, children: list[Child]) -> syntax.OutputStatement:
        """`output NAME, ...`."""
        return syntax.OutputStatement(_span(children), _all(children, Name), _over(children))

    def steps(self, children: list[Child]) -> syntax.StepsStatement:
        """`steps expression`."""
        return syntax.StepsStatement(_span(children), cast(Expression, children[1]))

    def loss(self, children: list[Child]) -> syntax.LossStatement:
        """`loss expression`."""
        return syntax.LossStatement(_span(children), cast(Expression, children[1]))

    def for_header(self, children: list[Child]) -> ForHeader:
        """`for NAME in values {`; a list stands there in pieces, its brackets being the grammar's."""
        _, variable, _, *values, _ = children
        name = Name(span_of(cast(Token, variable)), (str(variable),))
        return ForHeader(
            _span(children), name, self.list(values) if len(values) > 1 else cast(Expression, values[0])
        )

    def shape(self, children: list[Child]) -> Shape:
        """`[a, b, ...]` after a name."""
        return Shape(_span(children), _expressions(children))

    def attribution(self, children: list[Child]) -> Attribution:
        """`name = value` or `name ~ value`."""
        name, operator, value = children
        return Attribution(
            _span(children), str(name), span_of(cast(Token, name)), str(operator), cast(Expression, value)
        )

    # ------------------------------------------------------------------------------------ expressions

    def binary(self, children: list[Child]) -> syntax.Binary:
        """`left operator right`."""
        left, operator, right = children
        return syntax.Binary(_span(children), str(operator), cast(Expression, left), cast(Expression, right))

    def unary(self, children: list[Child]) -> syntax.Unary:
        """`-x`, `+x`, `not x`."""
        operator, operand = children
        return syntax.Unary(_span(children), str(operator), cast(Expression, operand))

    def comparison(self, children: list[Child]) -> syntax.Comparison:
        """`a < b <= c`."""
        operators = [str(child) for child in children[1::2]]
        rest = zip(operators, (cast(Expression, child) for child in children[2::2]), strict=True)
        return syntax.Comparison(_span(children), cast(Expression, children[0]), tuple(rest))

    def range(self, children: list[Child]) -> syntax.Range:
        """`first..last`."""
        first, _, last = children
        return syntax.Range(_span(children), cast(Expression, first), cast(Expression, last))

    def number(self, children: list[Child]) -> syntax.Number:
        """An integer or a decimal number."""
        text = str(children[0])
        return syntax.Number(_span(children), int(text) if text.isdigit() else float(text), text)

    def string(self, children: list[Child]) -> syntax.String:
        """A string, its escapes already resolved."""
        return syntax.String(_span(children), _parts(children))

    def reference(self, children: list[Child]) -> Reference:
        """A name as a value."""
        name = cast(Name, children[0])
        return Reference(name.span, name)

    def attribute(self, children: list[Child]) -> syntax.Attribute:
        """`value.field`."""
        return syntax.Attribute(_span(children), self.reference(children), str(children[2]))

    def call(self, children: list[Child]) -> syntax.Call:
        """`function(arguments)` or `value.field(arguments)`."""
        dotted = isinstance(children[1], Token) and children[1].type == "DOT"
        function = self.attribute(children[:3]) if dotted else self.reference(children[:1])
        return syntax.Call(_span(children), function, _all(children, Argument))

    def argument(self, children: list[Child]) -> Argument:
        """`value` or `name = value`."""
        name = str(children[0]) if len(children) > 1 else None
        return Argument(_span(children), name, cast(Expression, children[-1]))

    def tuple(self, children: list[Child]) -> syntax.Tuple | syntax.Parenthesised:
        """`(a)`, which only groups, or `()`, `(a,)`, `(a, b)`."""
        if len(children) == 3:
            return syntax.Parenthesised(_span(children), cast(Expression, children[1]))
        return syntax.Tuple(_span(children), _expressions(children))

    def list(self, children: list[Child]) -> syntax.List:
        """`[a, b]`."""
        return syntax.List(_span(children), _expressions(children))

    def builder(self, children: list[Child]) -> syntax.Builder:
        """`{ edges : clauses ; policies }`."""
        clauses = tuple(
            cast("Expression | Membership", child)
            for child in children
            if not isinstance(child, Token | Arrow | Attribution)
        )
        return syntax.Builder(_span(children), _all(children, Arrow), clauses, _all(children, Attribution))

    def arrow(self, children: list[Child]) -> Arrow:
        """`source -> target`."""
        source, _, target = children
        return Arrow(_span(children), cast(Expression, source), cast(Expression, target))

    def membership(self, children: list[Child]) -> Membership:
        """`source -> target in set`."""
        edge, _, set_ = children
        return Membership(_span(children), cast(Arrow, edge), cast(Expression, set_))

    # ------------------------------------------------------------------------------------------ names

    def name(self, children: list[Child]) -> Name:
        """A name, with the expressions of its template if it is one."""
        return Name(_span(children), _parts(children))
