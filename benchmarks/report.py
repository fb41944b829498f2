"""Tables, JSON, a plot and a page of what was measured."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from .evidence import Cases, Finding
from .harness import Sizes

Cells = list[str]

VERSIONS = ("version", "ms", "min to max", "forward", "backward", "in R", "extra MB")
DENSITY = ("density and batch", "nnspec masked", "nnspec edges", "masked dense", "R", "planned")
EVIDENCE = ("work", "figure", "rounds", "unit", "floor", "aim", "verdict")


def number(value: float) -> str:
    """A figure to about three digits."""
    return f"{value:.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def version_cells(case: Mapping[str, Any]) -> list[Cells]:
    """A row for R and for each version, quickest first, failures at the end."""
    copying = statistics.median(case["R"])
    rows = [["R: copying three arrays", number(copying), spread(case["R"]), "", "", "1", ""]]
    ran = [row for row in case["rows"] if row["both"]]
    for row in sorted(ran, key=lambda row: statistics.median(row["both"])):
        both = statistics.median(row["both"])
        forward = statistics.median(row["forward"]) if row["forward"] else None
        peak = row["peak_bytes"]
        rows.append(
            [
                row["version"],
                number(both),
                spread(row["both"]),
                "" if forward is None else number(forward),
                "" if forward is None else number(max(0.0, both - forward)),
                number(both / copying),
                "" if peak is None else number(peak / 1e6),
            ]
        )
    failed = [row for row in case["rows"] if not row["both"]]
    return rows + [[f"{row['version']}: {row['failure']}", *[""] * 6] for row in failed]


def spread(times: Sequence[float]) -> str:
    """The least and the most."""
    return f"{number(min(times))} to {number(max(times))}"


def evidence_cells(found: Sequence[Finding]) -> list[Cells]:
    """A row for each figure."""
    return [
        [
            finding.work,
            "" if finding.figure is None else number(finding.figure.value),
            ""
            if finding.figure is None or finding.figure.low == finding.figure.high
            else f"{number(finding.figure.low)} to {number(finding.figure.high)}",
            finding.unit,
            f"{finding.floor:g}",
            "" if finding.aim is None else f"{finding.aim:g}",
            finding.verdict,
        ]
        for finding in found
    ]


def by_density(name: str) -> bool:
    """Whether a case is one of the dense ones, which have a table of their own."""
    return " at batch " in name


def title(case: Mapping[str, Any]) -> str:
    """What a case is, in words."""
    return f"{case['case']} ({case['framework']})"


def density_cells(cases: Cases, planned: Mapping[str, str]) -> list[Cells]:
    """A row for each density and batch: medians in milliseconds, and which kernel is planned."""
    rows = list[Cells]()
    for name, case in cases.items():
        if by_density(name):
            cells = list[str]()
            for row in case["rows"]:
                cells.append(number(statistics.median(row["both"])) if row["both"] else row["failure"])
            rows.append([name, *cells, number(statistics.median(case["R"])), planned.get(name, "")])
    return rows


def density_table(cases: Cases, planned: Mapping[str, str], sizes: Sizes) -> Table:
    """The dense cases, a row each."""
    units = sizes.dense_units
    table = Table(title=f"{units} x {units} by density and batch (PyTorch): median ms, all gradients")
    for heading in DENSITY:
        table.add_column(heading, justify="left" if heading in (DENSITY[0], DENSITY[-1]) else "right")
    for cells in density_cells(cases, planned):
        table.add_row(*cells)
    return table


def versions_table(cases: Cases, setting: str) -> Table:
    """All cases below each other."""
    table = Table(
        title=setting,
        caption="ms: forward and all gradients, or the training step; backward: the former less forward; "
        "extra: held at the peak beyond inputs and results",
    )
    for heading in VERSIONS:
        table.add_column(
            heading, justify="left" if heading == "version" else "right", overflow="fold", no_wrap=False
        )
    for name, case in cases.items():
        if by_density(name):
            continue
        table.add_row(f"[bold]{title(case)}[/bold]")
        for position, cells in enumerate(rows := version_cells(case)):
            table.add_row(*cells, end_section=position == len(rows) - 1)
    return table


def evidence_table(found: Sequence[Finding], note: str) -> Table:
    """What was reached of what the project is held to."""
    table = Table(title="Evidence: ratios of medians of this run" + note)
    for heading in EVIDENCE:
        table.add_column(heading, justify="left" if heading in ("work", "unit", "verdict") else "right")
    for cells in evidence_cells(found):
        table.add_row(*cells)
    return table


def write_json(path: Path, cases: Cases, found: Sequence[Finding], about: Mapping[str, Any]) -> None:
    """Everything that was measured, every round."""
    evidence = [{**asdict(finding), "verdict": finding.verdict} for finding in found]
    content = {"about": about, "evidence": evidence, "cases": list(cases.values())}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def plot(path: Path, cases: Cases) -> str:
    """Draw the times of each case in R, and say where; or why there is no plot."""
    try:
        import matplotlib
    except ImportError:
        return "no plot: matplotlib is not installed"
    matplotlib.use("agg")
    from matplotlib import pyplot

    shown = [c for name, c in cases.items() if not by_density(name) and any(row["both"] for row in c["rows"])]
    heights = [1 + sum(bool(row["both"]) for row in case["rows"]) for case in shown]
    figure, axes = pyplot.subplots(
        len(shown),
        1,
        figsize=(9, 0.26 * sum(heights) + 1),
        gridspec_kw={"height_ratios": heights},
        sharex=True,
        squeeze=False,
        layout="constrained",
    )
    for axis, case in zip(axes[:, 0], shown, strict=True):
        copying = statistics.median(case["R"])
        rows = [row for row in case["rows"] if row["both"]]
        rows.sort(key=lambda row: -statistics.median(row["both"]))
        for row in rows:
            colour = "tab:blue" if row["version"].startswith("nnspec") else "dimgrey"
            reach = [[min(row["both"]) / copying, max(row["both"]) / copying], [row["version"]] * 2]
            axis.plot(*reach, color=colour)
            axis.plot(statistics.median(row["both"]) / copying, row["version"], "o", color=colour)
        axis.set_xscale("log")
        axis.set_title(title(case), fontsize=9, loc="left")
        axis.set_ylim(-0.7, len(rows) - 0.3)
        axis.tick_params(labelsize=8)
        axis.grid(axis="x", alpha=0.3)
        axis.xaxis.set_major_formatter("{x:g}")
    axes[-1, 0].set_xlabel("in R, the time to copy three (batch, units) arrays: median, from least to most")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return f"plot: {path}"


# ------------------------------------------------------------------------------------------------- page


def markdown(headings: Sequence[str], rows: Sequence[Cells]) -> str:
    """A table of Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def page_tables(
    cases: Cases, found: Sequence[Finding], planned: Mapping[str, str], setting: str, maker: str
) -> dict[str, str]:
    """What stands between the markers of the page, by the marker's name; it ends with a maker's."""
    tables = {"setting": setting, "evidence": markdown(EVIDENCE, evidence_cells(found))}
    for name, case in cases.items():
        if not by_density(name):
            tables[name] = f"{case['framework']}:\n\n{markdown(VERSIONS, version_cells(case))}"
    tables["density"] = markdown(DENSITY, density_cells(cases, planned))
    return {f"{name}, {maker}": table for name, table in tables.items()}


def filled_in(page: str, tables: Mapping[str, str]) -> str:
    """A page with new text between `<!-- benchmarks: NAME -->` and `<!-- end -->`.

    What no table is given for stays, such as what another machine measured. Raises KeyError where the page
    has no place for any of the tables.
    """
    places = re.findall(r"<!-- benchmarks: ([^>]+) -->", page)
    if not set(places) & set(tables):
        raise KeyError(f"the page has no place for any of {', '.join(tables)}")
    return re.sub(
        r"(<!-- benchmarks: ([^>]+) -->\n)(.*?)(<!-- end -->)",
        lambda found: f"{found[1]}{tables[found[2]]}\n{found[4]}" if found[2] in tables else found[0],
        page,
        flags=re.DOTALL,
    )
