"""Syntax tree to canonical text, comments kept.

Numbers, strings and names are printed as they were written, and so are whole statements that have
comments inside them. Spaces follow precedence: `2*i + k`, `(r+a, c+b)`, `1..d-1`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from .records import record
from .source import Span
from .syntax import (
    Argument,
    Arrow,
    Attribute,
    Attribution,
    AxisStatement,
    Binary,
    Builder,
    Call,
    Comment,
    Comparison,
    ConnectStatement,
    DataStatement,
    EdgesStatement,
    Expression,
    ForStatement,
    FunctionStatement,
    LayerStatement,
    List,
    LossStatement,
    Membership,
    ModelStatement,
    Name,
    Number,
    OutputStatement,
    ParamStatement,
    Parenthesised,
    Range,
    Reference,
    Shape,
    Spec,
    Statement,
    StepsStatement,
    String,
    Tuple,
    Unary,
)

WIDTH = 100
INDENT = "  "

_SUMS = {"+", "-"}
_PRODUCTS = {"*", "/", "//", "%"}


def format_spec(spec: Spec) -> str:
    """The canonical text of a spec, ending in a line break; an empty spec gives an empty text."""
    layout = _Layout(spec.source.text, list(reversed(spec.comments)))
    layout.body(spec.statements, len(layout.text), "")
    return "".join(line + "\n" for line in layout.lines)


# ------------------------------------------------------------------------------------------ the page


@record(frozen=False)
class _Layout:
    """The page being written: its lines, and the comments not yet placed, the next one last."""

    text: str
    comments: list[Comment]
    lines: list[str] = field(default_factory=list[str])
    # Where in the source the last thing written ends; None where no blank line may follow.
    written: int | None = None

    def body(self, statements: Sequence[Statement], end: int, indent: str) -> None:
        """The statements of a file or of a `for`, and the comments before `end`."""
        for statement in statements:
            self.own_lines(statement.span.start, indent)
            if isinstance(statement, ForStatement):
                self.loop(statement, indent)
            else:
                self.statement(statement, indent)
        self.own_lines(end, indent)

    def own_lines(self, before: int, indent: str) -> None:
        """The comments that stand on lines of their own before a place."""
        for comment in self.take(before):
            self.write([comment.text.rstrip()], comment.span, indent)

    def statement(self, statement: Statement, indent: str) -> None:
        if self.take(statement.span.end):
            self.write(_as_written(statement.span, self.text), statement.span, indent)
        else:
            self.write(_statement(statement, self.text, indent), statement.span, indent)
        self.trailing()

    def loop(self, loop: ForStatement, indent: str) -> None:
        if self.take(loop.header.end):
            self.write(_as_written(loop.header, self.text), loop.header, indent)
        else:
            values = _expression(loop.values, self.text)
            self.write([f"for {_name(loop.variable, self.text)} in {values} {{"], loop.header, indent)
        self.trailing()
        self.written = None
        self.body(loop.body, loop.span.end, indent + INDENT)
        self.written = None
        self.write(["}"], Span(loop.span.end - 1, loop.span.end), indent)
        self.trailing()

    def write(self, lines: Sequence[str], span: Span, indent: str) -> None:
        """Add lines that stand for `span`, after a blank one if the source has one before it."""
        if self.written is not None and self.text.count("\n", self.written, span.start) > 1:
            self.lines.append("")
        self.lines.append(indent + lines[0])
        self.lines.extend(lines[1:])
        self.written = span.end

    def trailing(self) -> None:
        """Put a comment that follows on the same line behind what was written last."""
        if self.comments and self.written is not None:
            comment = self.comments[-1]
            if not self.text[self.written : comment.span.start].strip(" \t\f\ufeff"):
                self.lines[-1] += "  " + comment.text.rstrip()
                self.written = comment.span.end
                self.comments.pop()

    def take(self, before: int) -> list[Comment]:
        """The comments before a place, which count as placed."""
        taken: list[Comment] = []
        while self.comments and self.comments[-1].span.start < before:
            taken.append(self.comments.pop())
        return taken


def _as_written(span: Span, text: str) -> list[str]:
    return [line.rstrip() for line in text[span.start : span.end].split("\n")]


# ---------------------------------------------------------------------------------------- statements


def _statement(statement: Statement, text: str, indent: str) -> list[str]:
    """The lines of a statement without comments; more than one if they are too long for one."""
    line = _line(statement, text, broken=False)
    if len(indent) + len(line) <= WIDTH:
        return [line]
    first, *rest = _line(statement, text, broken=True).split("\n")
    return [first, *(indent + line for line in rest)]


def _line(statement: Statement, text: str, *, broken: bool) -> str:
    def name(node: Name | Shape) -> str:
        return _shape(node, text) if isinstance(node, Shape) else _name(node, text)

    def value(node: Expression) -> str:
        return _expression(node, text, broken=broken)

    match statement:
        case ModelStatement():
            return f"model {name(statement.name)}"
        case ParamStatement():
            return f"param {name(statement.name)} = {value(statement.value)}"
        case AxisStatement():
            return f"axis {name(statement.name)} = {value(statement.value)}"
        case FunctionStatement():
            given = ", ".join(
                each.name if each.default is None else f"{each.name} = {value(each.default)}"
                for each in statement.parameters
            )
            attributes = ", ".join(_attribution(attribute, text) for attribute in statement.attributes)
            ending = f" with {attributes}" if attributes else ""
            return f"function {name(statement.name)}({given}) = {value(statement.value)}{ending}"
        case DataStatement():
            classes = f": class[{value(statement.classes)}]" if statement.classes is not None else ""
            over = _over(statement)
            shape = _shape(statement.shape, text)
            return f"{statement.keyword} {name(statement.name)}{shape}{classes}{over}"
        case LayerStatement():
            made = f" = {value(statement.value)}" if statement.value is not None else ""
            parts = [value(operation) for operation in statement.operations]
            parts += [_attribution(attribute, text) for attribute in statement.attributes]
            operations = ", ".join(parts)
            then = f" : {operations}" if operations else ""
            return f"layer {name(statement.name)}{_shape(statement.shape, text)}{made}{then}"
        case EdgesStatement():
            sides = f"{name(statement.source)} -> {name(statement.target)}"
            return f"edges {name(statement.name)} : {sides} = {value(statement.set)}"
        case ConnectStatement():
            called = f" as {name(statement.name)}" if statement.name is not None else ""
            attributes = ", ".join(_attribution(attribute, text) for attribute in statement.attributes)
            edges = value(statement.set)
            gap = "\n  " if broken and "\n" not in edges else " "
            ending = f"{gap}with {attributes}" if attributes else ""
            sides = f"{name(statement.source)} -> {name(statement.target)}"
            return f"connect {sides}{called} : {edges}{ending}"
        case OutputStatement():
            return f"output {', '.join(name(output) for output in statement.names)}{_over(statement)}"
        case StepsStatement():
            return f"steps {value(statement.value)}"
        case LossStatement():
            return f"loss {value(statement.value)}"
        case ForStatement():
            raise AssertionError("a `for` is laid out line by line")


# --------------------------------------------------------------------------------------- expressions


def _over(statement: DataStatement | OutputStatement) -> str:
    return " over time" if statement.over is not None else ""


def _slice(span: Span, text: str) -> str:
    return text[span.start : span.end]


def _name(name: Name, text: str) -> str:
    # As written: a template has no blanks to set right.
    return _slice(name.span, text)


def _shape(shape: Shape | None, text: str) -> str:
    return f"[{_items(shape.dimensions, text)}]" if shape is not None else ""


def _attribution(attribution: Attribution, text: str) -> str:
    return f"{attribution.name} {attribution.operator} {_expression(attribution.value, text)}"


def _items(items: Sequence[Expression], text: str) -> str:
    """Several items, each printed tight so that the commas part them at sight, or one alone."""
    return ", ".join(_expression(item, text, tight=len(items) > 1) for item in items)


def _expression(node: Expression, text: str, *, tight: bool = False, broken: bool = False) -> str:
    """An expression in one line, arithmetic without blanks if `tight`; or, if `broken`, with one line for
    each edge of its lists of edges.
    """

    def inner(operand: Expression, tight: bool = tight) -> str:
        return _expression(operand, text, tight=tight, broken=broken)

    match node:
        case Number():
            return node.text
        case String():
            return _slice(node.span, text)
        case Reference():
            return _name(node.name, text)
        case Attribute():
            return f"{_name(node.value.name, text)}.{node.field}"
        case Call():
            return f"{inner(node.function)}({_arguments(node.arguments, text)})"
        case Unary():
            return ("not " if node.operator == "not" else node.operator) + inner(node.operand)
        case Binary():
            return _binary(node, text, tight, broken)
        case Comparison():
            rest = "".join(f" {operator} {inner(operand)}" for operator, operand in node.rest)
            return inner(node.first) + rest
        case Range():
            return f"{inner(node.first, True)}..{inner(node.last, True)}"
        case Parenthesised():
            return f"({inner(node.inner)})"
        case Tuple():
            return f"({_items(node.items, text)}{',' if len(node.items) == 1 else ''})"
        case List():
            return f"[{_items(node.items, text)}]"
        case Builder():
            return _builder(node, text, broken)


def _binary(node: Binary, text: str, tight: bool, broken: bool) -> str:
    def operand(side: Expression) -> str:
        hugging = tight or (node.operator in _SUMS and _is_short_product(side))
        return _expression(side, text, tight=hugging, broken=broken)

    left, right = operand(node.left), operand(node.right)
    hugs = node.operator == "**" or (tight and node.operator in _SUMS | _PRODUCTS)
    return f"{left}{node.operator}{right}" if hugs else f"{left} {node.operator} {right}"


def _is_short_product(node: Expression) -> bool:
    """Whether an operand of a sum is one like `2*i`: names and numbers multiplied."""
    while isinstance(node, Binary) and node.operator in _PRODUCTS:
        if not isinstance(node.right, Number | Reference):
            return False
        node = node.left
        if isinstance(node, Number | Reference):
            return True
    return False


def _arguments(arguments: Sequence[Argument], text: str) -> str:
    several = len(arguments) > 1
    return ", ".join(
        _expression(argument.value, text, tight=several)
        if argument.name is None
        else f"{argument.name} = {_expression(argument.value, text)}"
        for argument in arguments
    )


def _arrow(arrow: Arrow, text: str) -> str:
    return f"{_expression(arrow.source, text)} -> {_expression(arrow.target, text)}"


def _clause(clause: Expression | Membership, text: str) -> str:
    if isinstance(clause, Membership):
        return f"{_arrow(clause.edge, text)} in {_expression(clause.set, text)}"
    return _expression(clause, text)


def _builder(builder: Builder, text: str, broken: bool) -> str:
    edges = [_arrow(edge, text) for edge in builder.edges]
    clauses = ", ".join(_clause(clause, text) for clause in builder.clauses)
    policies = ", ".join(_attribution(policy, text) for policy in builder.policies)
    if broken and not clauses and len(edges) > 1:
        listed = f",\n{INDENT}".join(edges)
        return f"{{\n{INDENT}{listed}\n" + (f"{INDENT}; {policies}\n}}" if policies else "}")
    condition = f" : {clauses}" if clauses else ""
    ending = f" ; {policies}" if policies else ""
    return f"{{ {', '.join(edges)}{condition}{ending} }}"
