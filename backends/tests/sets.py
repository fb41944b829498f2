"""Statements of sets as Python functions, which give the edges between some sources and some targets."""

from __future__ import annotations

from dataclasses import field

from ...compiler.graph import statement as stated
from ...dsl.records import record
from ..source import (
    Assign,
    Binary,
    Expression,
    Function,
    Given,
    Name,
    Parameter,
    Return,
    Statement,
)
from .expressions import Naming, Python
from .loops import BuilderLoops, table_body


def set_functions(naming: Naming, name: Name, own: stated.Stated, account: str) -> list[Function]:
    """The function of a set, behind those of its parts. The account of what is compared documents it."""
    writer = _Writer(naming, name, own)
    body = writer.body(own.set)
    quote = naming.scope.expression
    some = quote("Collection[Any]")
    function = Function(
        name.text,
        tuple(Parameter(naming.scope.name(end), some) for end in ("sources", "targets")),
        body,
        quote("Any" if isinstance(body[-1], Return) else "Iterator[Any]"),
        account,
        (quote("stated(source, target)", source=own.source.shape, target=own.target.shape),),
    )
    return [*writer.parts, function]


@record(frozen=False)
class _Writer:
    """Writes the function of one set, and in `parts` those of what it is combined from."""

    naming: Naming
    name: Name
    own: stated.Stated
    parts: list[Function] = field(default_factory=list[Function])
    named: dict[stated.Set, Name] = field(default_factory=dict["stated.Set", Name])

    @property
    def python(self) -> Python:
        """Expressions with the same names."""
        return Python(self.naming)

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Those of both ends."""
        return self.own.source.shape, self.own.target.shape

    def body(self, node: stated.Set) -> tuple[Statement, ...]:
        """The statements of a function that gives the edges of a set."""
        scope = self.naming.scope
        match node:
            case stated.Builder():
                return BuilderLoops(self.naming, self.own).body(node)
            case stated.Table():
                return table_body(self.naming, self.own, node)
            case stated.Window():
                return scope.statements("return window(sources, targets, *given)", given=self._window(node))
            case stated.Random():
                given, options = self._random(node)
                return scope.statements(
                    "return random_edges(sources, targets, *given, **options)", given=given, options=options
                )
            case stated.Matrix(file, rows):
                source, target = self.shapes
                return scope.statements(
                    "edges = matrix(file, content(file), rows, source, target)\n"
                    "return among(edges, sources, targets)",
                    file=file,
                    rows=rows,
                    source=source,
                    target=target,
                )
            case stated.Combined():
                lines: list[Statement] = []
                result = self._combined(node, lines)
                return (*lines, Return(result))
            case _:
                return (Return(self.term(node)),)

    def _combined(self, node: stated.Combined, lines: list[Statement]) -> Expression:
        """Combined sets as an expression of one operator; what is not so simple has a line before it."""
        match node.left:
            case stated.Combined(node.operator):
                left = self._combined(node.left, lines)
            case _:
                left = self._operand(node.left, lines)
        return Binary(left, node.operator, self._operand(node.right, lines))

    def _operand(self, node: stated.Set, lines: list[Statement]) -> Expression:
        """A set that others are combined with: a name where it is combined itself, or made from all edges."""
        if isinstance(node, stated.Combined):
            value = self._combined(node, lines)
        else:
            value = self.term(node)
            if not (isinstance(node, stated.Named) and moves(node)):
                return value
        name = Name(f"set_{len(lines) + 1}")
        lines.append(Assign(name, value))
        return name

    def term(self, node: stated.Set) -> Expression:
        """A set as an expression."""
        quote = self.naming.scope.expression
        match node:
            case stated.All():
                return quote("set(product(sources, targets))")
            case stated.OneToOne():
                return quote("{(unit, unit) for unit in sources if unit in targets}")
            case stated.Named():
                edges = self._edges(node)
                call = "among(edges, sources, targets)" if moves(node) else "edges(sources, targets)"
                return quote(call, edges=edges)
            case stated.Builder() | stated.Table() | stated.Matrix() | stated.Window() | stated.Random():
                return quote("part(sources, targets)", part=self.part(node))
            case stated.Combined() | stated.Unstated():
                raise AssertionError(node)

    def part(self, node: stated.Set) -> Name:
        """The name of a function for a part of the set, written when it is first asked for."""
        if node not in self.named:
            name = self.naming.scope.new(f"{self.name.text}__{len(self.named) + 1}")
            self.named[node] = name
            part = stated.Stated(self.own.source, self.own.target, node)
            self.parts += set_functions(self.naming, name, part, "")
        return self.named[node]

    def _edges(self, node: stated.Named) -> Expression:
        """The edges of a named set, or what follows from all of them."""
        quote, edges = self.naming.scope.expression, self.naming.set(node.name)
        if not moves(node):
            return edges
        whole = quote("closure_of(edges)" if node.closure else "edges.whole", edges=edges)
        if not any((*node.source, *node.target)):
            return whole
        source, target = (
            [None if pair is None else tuple(map(self.python.axis, pair)) for pair in end]
            for end in (node.source, node.target)
        )
        return quote("by_name(edges, [*source], [*target])", edges=whole, source=source, target=target)

    def _window(self, node: stated.Window) -> list[Given]:
        sizes = (node.extents, node.strides, node.dilations, node.pads)
        return [self.own.source.shape, *(tuple(self.python.trees(each)) for each in sizes)]

    def _random(self, node: stated.Random) -> tuple[list[Given], dict[str, bool]]:
        """The arguments of `random_edges`: those by position, and those by name."""
        given: list[Given] = [
            self.shapes,
            node.form,
            self.python.tree(node.value),
            self.python.seed(node.seed),
        ]
        if node.among is None or isinstance(node.among, stated.All):
            return given, {}
        same = isinstance(node.among, stated.Named) and not moves(node.among)
        among = self._edges(node.among) if same else self.part(node.among)  # pyright: ignore
        return [*given, among], {"complement": True} if node.form == "p" and node.complement else {}


def moves(node: stated.Named) -> bool:
    """Whether all edges of a named set are needed to know some: of a closure, or where units go by name."""
    return node.closure or any((*node.source, *node.target))
