"""What the command prints as tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from ...dsl.printing import printable
from ..names.sides import Side
from .console import table_console
from .edge_table import EndSummary, Summary
from .explain import ConnectionFacts, Explanation


def show_explanation(explanation: Explanation) -> None:
    """Print what a plan holds: connections, expressions, the kernels that could compute each, transposes."""
    console, facts = table_console(), explanation.connections
    console.print(_columns("connection edges density fan-in parameters memory kernel", map(_sizes, facts)))
    for f in facts:
        console.print(f"{f.connection}: {f.reason}", highlight=False, soft_wrap=True)
        if f.weight:
            console.print(f"{f.connection}: {f.weight}", highlight=False, soft_wrap=True, markup=False)
    for e in explanation.expressions:
        text = f"{e.layer} = {e.expression}, by unit, of {', '.join(e.reads)}"
        console.print(text, highlight=False, soft_wrap=True, markup=False)
    console.print(f"\nfor batches of {explanation.batch}, a training step:", highlight=False)
    rows = (row for f in facts for row in _candidates(f))
    console.print(_columns("kernel moves operations takes chosen", rows))
    for line in _stages(explanation):
        console.print(line, highlight=False, soft_wrap=True)
    for line in _transposes(explanation):
        console.print(line, highlight=False, soft_wrap=True)


def _sizes(f: ConnectionFacts) -> tuple[str, ...]:
    fan_in = f"{f.fan_in_min}" if f.fan_in_min == f.fan_in_max else f"{f.fan_in_min}..{f.fan_in_max}"
    ends = f"{f.connection}: {f.source} -> {f.target}"
    return (
        *(ends, f"{f.edges:,}", f"{f.density:.3g}", fan_in),
        *(f"{f.parameters:,}", _bytes(f.memory), f.kernel),
    )


def _candidates(f: ConnectionFacts) -> list[tuple[str, ...]]:
    """The kernels that could compute a connection, the quickest first."""
    return [
        (
            f"{f.connection}, by {candidate.kernel}",
            *(_bytes(candidate.bytes), f"{candidate.operations:,}"),
            f"{candidate.cost / f.candidates[0].cost:.1f}",
            "chosen" if candidate.kernel == f.kernel else "",
        )
        for candidate in f.candidates
    ]


def _stages(explanation: Explanation) -> list[str]:
    """How layers are computed of a network that runs over time."""
    how = {"once": "once", "all steps": "for all steps together", "loop": "step by step"}
    lines: list[str] = []
    for stage in explanation.stages:
        before = f", behind the sums of {', '.join(stage.before)} for all steps" if stage.before else ""
        few = f"; PyTorch has those of {', '.join(stage.each_step)} step by step" if stage.each_step else ""
        lines.append(f"{how[stage.kind]}: {', '.join(stage.layers)}{before}{few}")
    return lines


def _transposes(explanation: Explanation) -> list[str]:
    targets = {f.connection: f.target for f in explanation.connections}
    lines: list[str] = []
    for t in explanation.transposes:
        summed = targets.get(t.connection or "") == t.value
        of = f"the sum of {t.connection}" if summed else t.value
        lines.append(f"PyTorch transposes {of} to {t.to}, {t.units:,} units: {t.reason}")
    return lines


def _columns(headings: str, rows: Iterable[Sequence[str]]) -> Table:
    """Rows under headings, words on the left, numbers on the right."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings.split():
        words = heading in ("connection", "kernel", "chosen")
        table.add_column("" if heading == "chosen" else heading, justify="left" if words else "right")
    for row in rows:
        table.add_row(*row)
    return table


def _bytes(count: int) -> str:
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def show_summary(connection: str, sides: tuple[Side, Side], summary: Summary) -> None:
    """The numbers of a connection as a table."""

    def listed(end: EndSummary) -> str:
        more = ", ..." if end.missing > len(end.first) else ""
        return f"{end.missing:,}" + (f": {', '.join(end.first)}{more}" if end.first else "")

    def spread(end: EndSummary) -> str:
        return f"{end.degrees.low:,} to {end.degrees.high:,}, median {end.degrees.median:g}"

    source, target = sides
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in (
        ("connection", f"{connection}: {source.name} -> {target.name}"),
        ("units", f"{source.units:,} -> {target.units:,}"),
        ("edges", f"{summary.edges:,}"),
        ("density", f"{summary.density:.3g}"),
        ("fan-in", spread(summary.target)),
        ("fan-out", spread(summary.source)),
        ("components", f"{summary.components:,}, the largest of {summary.largest:,} units"),
        ("without input", listed(summary.target)),
        ("unread", listed(summary.source)),
    ):
        table.add_row(name, Text(printable(value)))
    table_console().print(table, highlight=False)
