"""Rows of tables and sets in braces as loops of Python, which yield the edges between some units."""

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
    If,
    Starred,
    Statement,
    node,
)
from .axes import rows_of_table
from .cost import loops_of
from .expressions import Naming, Python, can_fail, draws, indices_of, one_or_tuple


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


def table_body(naming: Naming, own: stated.Stated, node: stated.Table) -> tuple[Statement, ...]:
    """The statements that give the edges of a table's rows."""
    scope, python, block = naming.scope, Python(naming), _Block()
    block.loop(scope.name("row"), rows_of_table(scope, node.file, header=node.header))
    if node.where is not None:
        block.ask([python.tree(node.where)])
    for word, columns, end in (
        ("source", node.source, own.source),
        ("target", node.target, own.target),
    ):
        parts: list[Expression] = []
        for column, axis, size in zip(columns, end.axes, end.shape, strict=True):
            if axis:
                unit = scope.expression("axis.places.get(row[column])", axis=python.axis(axis), column=column)
            else:
                unit = scope.expression("whole(row[column])", column=column)
                unit = scope.expression("unit % size", unit=unit, size=size) if node.wraps else unit
            parts.append(unit)
        block.assign(scope.name(word), one_or_tuple(parts))
    block.ask([scope.expression("source in sources"), scope.expression("target in targets")])
    return block.around(scope.statements("yield source, target"))


@record
class BuilderLoops:
    """Writes what gives the edges of a set in braces."""

    naming: Naming
    own: stated.Stated

    @property
    def python(self) -> Python:
        """Expressions with the same names."""
        return Python(self.naming)

    def body(self, node: stated.Builder) -> tuple[Statement, ...]:
        """The statements that give the edges of a set in braces."""
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
