"""Statements of sets as Python functions, which give the edges between some sources and some targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field, replace

from ...compiler.graph import statement as stated
from ...dsl.records import record
from ..source import (
    Assign,
    Binary,
    Display,
    Expression,
    For,
    Function,
    Given,
    If,
    Name,
    Parameter,
    Return,
    Starred,
    Statement,
    node,
)
from .axes import rows_of_table
from .cost import loops_of
from .expressions import Naming, Python, can_fail, draws, indices_of, one_or_tuple


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
class _Block:
    """Loops and conditions, each within the one before, and assignments between them."""

    steps: list[Assign | For | If] = field(default_factory=list[Assign | For | If])

    def loop(self, target: Expression, iterable: Expression) -> None:
        """`for target in iterable:`."""
        self.steps.append(For(target, iterable, ()))

    def assign(self, target: Expression, value: Expression) -> None:
        """`target = value`."""
        self.steps.append(Assign(target, value))

    def ask(self, conditions: Iterable[Expression]) -> None:
        """`if` all conditions hold, together with those that are asked just before."""
        for condition in conditions:
            match self.steps:
                case [*_, If(test=test)]:
                    self.steps[-1] = If(Binary(test, "and", condition), ())
                case _:
                    self.steps.append(If(condition, ()))

    def around(self, body: tuple[Statement, ...]) -> tuple[Statement, ...]:
        """The statements, with `body` innermost."""
        for step in reversed(self.steps):
            body = (step, *body) if isinstance(step, Assign) else (replace(step, body=body),)
        return body


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
                return self._builder(node)
            case stated.Table():
                return self._table(node)
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

    # ------------------------------------------------------------------------------------------- tables

    def _table(self, node: stated.Table) -> tuple[Statement, ...]:
        scope, block = self.naming.scope, _Block()
        block.loop(scope.name("row"), rows_of_table(scope, node.file, header=node.header))
        if node.where is not None:
            block.ask([self.python.tree(node.where)])
        for word, columns, end in (
            ("source", node.source, self.own.source),
            ("target", node.target, self.own.target),
        ):
            parts: list[Expression] = []
            for column, axis, size in zip(columns, end.axes, end.shape, strict=True):
                if axis:
                    unit = scope.expression(
                        "axis.places.get(row[column])", axis=self.python.axis(axis), column=column
                    )
                else:
                    unit = scope.expression("whole(row[column])", column=column)
                    unit = scope.expression("unit % size", unit=unit, size=size) if node.wraps else unit
                parts.append(unit)
            block.assign(scope.name(word), one_or_tuple(parts))
        block.ask([scope.expression("source in sources"), scope.expression("target in targets")])
        return block.around(scope.statements("yield source, target"))

    # ----------------------------------------------------------------------------------------- builders

    def _builder(self, node: stated.Builder) -> tuple[Statement, ...]:
        lines: list[Statement] = []
        pairs = [arrow for arrow in node.arrows if isinstance(arrow, stated.Pairs)]
        if pairs:
            lines += self._pairs(pairs, wraps=node.wraps)
        for arrow in node.arrows:
            if isinstance(arrow, stated.Arrow):
                lines += self._arrow(arrow, wraps=node.wraps)
        return tuple(lines) or self.naming.scope.statements("return ()")

    def _pairs(self, pairs: Sequence[stated.Pairs], *, wraps: bool) -> tuple[Statement, ...]:
        """Listed units, an arrow an item."""
        scope, items = self.naming.scope, list[Expression]()
        for arrow in pairs:
            sources, targets = (
                [self._unit(index, side, wraps=wraps) for index in listed]
                for listed, side in ((arrow.sources, self.own.source), (arrow.targets, self.own.target))
            )
            if len(sources) == len(targets) == 1:
                items.append(Display("()", (*sources, *targets)))
            else:
                listed = scope.expression("product([*sources], [*targets])", sources=sources, targets=targets)
                items.append(Starred(listed))
        return scope.statements("edges = [*items]\nyield from among(edges, sources, targets)", items=items)

    def _unit(self, index: Sequence[stated.Expression], side: stated.End, *, wraps: bool) -> Expression:
        return one_or_tuple([
            self._around(part, size, wraps=wraps) for part, size in zip(index, side.shape, strict=True)
        ])  # fmt: skip

    def _around(self, part: stated.Expression, size: int, *, wraps: bool) -> Expression:
        """An index, counted around the ends where it may be outside."""
        inside = isinstance(part, stated.Unit) or (isinstance(part, stated.Number) and 0 <= part.value < size)
        tree = self.python.tree(part)
        return tree if inside or not wraps else Binary(tree, "%", node(size))

    def _arrow(self, arrow: stated.Arrow, *, wraps: bool) -> tuple[Statement, ...]:
        loops = loops_of(arrow, self.own, wraps=wraps)
        scope, python, block = self.naming.scope, self.python, _Block()
        units = {"source": python.trees(arrow.source), "target": python.trees(arrow.target)}
        waiting, known = [*loops.conditions, *arrow.conditions], set[str]()

        def ask_ready() -> None:
            ready = [c for c in waiting if not can_fail(c) and not draws(c) and indices_of(c) <= known]
            for condition in ready:
                waiting.remove(condition)
            block.ask(python.trees(ready))

        ask_ready()
        for end in loops.ends:
            block.loop(_listed(units[end]), scope.name(f"{end}s"))
            known |= indices_of(arrow.source if end == "source" else arrow.target)
            ask_ready()
        for domain in loops.others:
            values = domain.values
            over = scope.name("range")(values) if isinstance(values, int) else python.tree(values)
            block.loop(self.naming.variable(domain.name), over)
            known.add(domain.name)
            ask_ready()
        failing = [condition for condition in waiting if not draws(condition)]
        drawing = [condition for condition in waiting if draws(condition)]
        if failing and drawing:
            drawing, failing = [*drawing, *failing], []  # what is drawn may make a failure irrelevant
        block.ask([python.deciding("holds", failing)] if len(failing) > 1 else python.trees(failing))
        source, target = self._ends(block, arrow, loops.ends, wraps=wraps)
        if drawing:
            shapes = [(source, self.own.source.shape), (target, self.own.target.shape)]
            block.assign(scope.name("pair"), _listed([scope.name("number_of")(*each) for each in shapes]))
            mixed = any(not draws(condition) for condition in drawing)
            block.ask([python.deciding("holds", drawing)] if mixed else python.trees(drawing))
        return block.around(scope.statements("yield source, target", source=source, target=target))

    def _ends(
        self, block: _Block, arrow: stated.Arrow, looped: Sequence[str], *, wraps: bool
    ) -> list[Expression]:
        """Both units of an edge; those that are not looped over are computed, and asked for."""
        scope, units, asked = self.naming.scope, list[Expression](), list[Expression]()
        for end, index, side in (
            ("source", arrow.source, self.own.source),
            ("target", arrow.target, self.own.target),
        ):
            if end in looped:
                units.append(self.python.unit(index))
                continue
            parts = [
                self._around(part, size, wraps=wraps and not _runs_inside(part, arrow, size))
                for part, size in zip(index, side.shape, strict=True)
            ]
            units.append(scope.name(end))
            block.assign(units[-1], one_or_tuple(parts))
            asked.append(Binary(units[-1], "in", scope.name(f"{end}s")))
        block.ask(asked)
        return units


def _listed(items: Sequence[Expression]) -> Expression:
    """The item where there is one, else a tuple of them without parentheses."""
    return items[0] if len(items) == 1 else Display("()", tuple(items), bare=True)


def _runs_inside(part: stated.Expression, arrow: stated.Arrow, size: int) -> bool:
    """Whether a name alone runs over no more than the units of a dimension."""
    if not isinstance(part, stated.Index):
        return False
    values = next(domain.values for domain in arrow.names if domain.name == part.name)
    return isinstance(values, int) and values <= size


def moves(node: stated.Named) -> bool:
    """Whether all edges of a named set are needed to know some: of a closure, or where units go by name."""
    return node.closure or any((*node.source, *node.target))
