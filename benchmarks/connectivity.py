"""What connectivity costs at compile time: from the spec to written files, by number of edges.

Each compile is a process of its own, `spec-compile FILE -t numpy`, so that peak memory is that of the whole
compiler. Prints time, edges and memory for each kind of set, and the slope of log time over log edges over
the last two decades: 1 is proportional, 0 is a rule that is never written out.

    python -m benchmarks.connectivity              up to 10^7 edges
    python -m benchmarks.connectivity --units      also 10^7 units where that is more edges (needs 8 GB)
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from . import machine

DECADES = [10_000, 100_000, 1_000_000, 10_000_000]


# Runs a command from a small process: a child's peak memory begins with that of its parent.
WATCH = """
import resource, subprocess, sys, time
start = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@dataclass(frozen=True)
class Case:
    """A kind of set: its spec for some units, and how many edges a unit has about."""

    name: str
    spec: Callable[[int, Path], str]
    fan_in: int
    symbolic: bool = False


def line(edges: str) -> Callable[[int, Path], str]:
    """The spec of a set between two lines of units."""
    return lambda n, folder: f"model m\nparam n = {n}\ninput x[n]\nlayer y[n]\nconnect x -> y : {edges}\n"


def grid(n: int, folder: Path) -> str:
    """A window over a square image with channels that mix."""
    side = round((n / 2) ** 0.5)
    window = "{ (m, r+a, c+b) -> (k, r, c) : a in -1..1, b in -1..1 ; outside = skip }"
    return f"model m\ninput x[2, {side}, {side}]\nlayer y[2, {side}, {side}]\nconnect x -> y : {window}\n"


def named_pairs(n: int, folder: Path) -> str:
    """A table of ten distinct pairs a name, in random order."""
    rng = np.random.default_rng(0)
    (folder / "names.txt").write_text("\n".join(f"unit{i:07d}" for i in range(n)) + "\n")
    keys = np.unique(rng.integers(0, n * n, round(10.05 * n)))
    rng.shuffle(keys)
    with (folder / "pairs.csv").open("w") as file:
        file.write("source,target\n")
        for some in np.array_split(keys[: 10 * n], max(1, n // 10_000)):
            file.writelines(f"unit{key // n:07d},unit{key % n:07d}\n" for key in some.tolist())
    return (
        'model m\naxis name = names("names.txt")\ninput x[name]\nlayer y[name]\n'
        'connect x -> y : load("pairs.csv")\n'
    )


CASES = [
    Case("{ i -> j : abs(i - j) <= 2 }", line("{ i -> j : abs(i - j) <= 2 }"), 5, symbolic=True),
    Case("3 x 3 window, 2 channels to 2", grid, 18, symbolic=True),
    Case(
        "{ i -> j : i % 16 == j % 16, abs(i - j) <= 64 }",
        line("{ i -> j : i % 16 == j % 16, abs(i - j) <= 64 }"),
        9,
        symbolic=True,
    ),
    Case("random(fan_in = 4)", line("random(fan_in = 4)"), 4),
    Case("random(p = 10 / n)", line("random(p = 10 / n)"), 10),
    Case("a csv of named pairs", named_pairs, 10),
    Case(
        "{ i -> j : abs(i - j) <= 2 } - random(fan_in = 4)",
        line("{ i -> j : abs(i - j) <= 2 } - random(fan_in = 4)"),
        5,
    ),
]


@dataclass(frozen=True)
class Run:
    """One compile: units, edges, seconds, and the compiler's peak memory in MB."""

    units: int
    edges: int
    seconds: float
    megabytes: float


def measure(case: Case, units: int) -> Run:
    """Compile a case for some units."""
    compiler = str(Path(sys.executable).with_name("spec-compile"))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "m.nnspec"
        path.write_text(case.spec(units, path.parent))
        command = [sys.executable, "-c", WATCH, compiler, str(path), "-t", "numpy", "-o", name]
        watched = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds, kilobytes = map(float, watched.stdout.split())
        explained = [compiler, "explain", str(path), "--format", "json"]
        facts = subprocess.run(explained, check=True, capture_output=True, text=True).stdout
        return Run(units, json.loads(facts)[0]["edges"], seconds, kilobytes / 1024)


def slope(runs: list[Run]) -> float:
    """Of log time over log edges, by least squares over the last two decades of edges."""
    last = [run for run in runs if run.edges >= runs[-1].edges / 200]
    x, y = (np.log([getattr(run, what) for run in last]) for what in ("edges", "seconds"))
    return float(np.polyfit(x, y, 1)[0])


def main() -> None:
    """Print the table."""
    more = "--units" in sys.argv[1:]
    title = f"spec-compile -t numpy: spec to files; {machine.described()}"
    table = Table("set", "units", "edges", "s", "MB", "slope", title=title)
    for case in CASES:
        sizes = [edges // case.fan_in for edges in DECADES]
        if case.symbolic or more:
            sizes.append(DECADES[-1])
        runs: list[Run] = []
        for size in sizes:
            runs.append(measure(case, size))
            run = runs[-1]
            first, last = size == sizes[0], size == sizes[-1]
            table.add_row(
                case.name if first else "",
                f"{run.units:,}",
                f"{run.edges:,}",
                f"{run.seconds:.2f}",
                f"{run.megabytes:.0f}",
                f"{slope(runs):.2f}" if last else "",
                end_section=last,
            )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
