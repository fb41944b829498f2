"""How long `spec-compile` takes to be ready: a small spec, and all examples, beside `import numpy`.

Each is a process of its own, in an environment that has the package as pip installs it and no extra; they are
run in turn, so that what else the machine does meets them alike. Prints medians of the time that the
processors spent, and of the time that went by.

    python -m benchmarks.startup             installs into an environment of its own, which takes a minute
    python -m benchmarks.startup --here      in this environment, which may have more installed
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from . import machine

ROOT = Path(__file__).parent.parent
TURNS = 10
# An example whose data is made before, by `examples/hundred_thousand_data.py`.
LATER = "hundred_thousand"
# What may be spent, in times of `import numpy`.
MOST = {"graph_mlp, three targets and tests": 2.0, "check of all examples": 4.0}


def installed(folder: Path) -> Path:
    """The interpreter of a new environment in a folder, with the package and what that needs, no extra."""
    venv.create(folder, with_pip=True)
    # Of a copy: pip would leave what it builds in the folders here.
    source = folder / "source"
    for part in ("dsl", "compiler", "backends"):
        shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), str(source)], check=True)
    return python


def commands(python: Path, output: Path) -> dict[str, list[str]]:
    """What is timed."""
    compiler = [str(python.with_name("spec-compile"))]
    examples = [path for path in sorted((ROOT / "examples").glob("*.nnspec")) if path.stem != LATER]
    compile_one = [*compiler, str(ROOT / "examples" / "graph_mlp.nnspec"), "-o", str(output), "--force"]
    compile_one_name, check_name = MOST
    return {
        "import numpy": [str(python), "-c", "import numpy"],
        compile_one_name: compile_one,
        check_name: [*compiler, "check", *map(str, examples)],
    }


def timed(command: list[str], folder: Path) -> tuple[float, float]:
    """Milliseconds that processors spend on a command and what it starts, and that go by."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, cwd=folder, env=_environment(), stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 1e3 * spent, 1e3 * wall


def _environment() -> dict[str, str]:
    """The variables of this process, without those that keep bytecode from being written and read."""
    without = {"PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"}
    return {name: value for name, value in os.environ.items() if name not in without}


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        here = "--here" in sys.argv[1:]
        python = Path(sys.executable) if here else installed(folder / "environment")
        runs = commands(python, folder / "build")
        for command in runs.values():
            timed(command, folder)  # reads from the disk, and writes bytecode where there is none
        found = {what: list[tuple[float, float]]() for what in runs}
        for _ in range(TURNS):
            for what, command in runs.items():
                found[what].append(timed(command, folder))
    title = f"medians of {TURNS} processes{'' if here else ' in a clean environment'}; {machine.described()}"
    table = Table("", "CPU, ms", "times numpy", "at most", "wall, ms", title=title)
    base = median(cpu for cpu, _ in found["import numpy"])
    for what, times in found.items():
        cpu, wall = (median(column) for column in zip(*times, strict=True))
        most = f"{MOST[what]:g}" if what in MOST else ""
        table.add_row(what, f"{cpu:.0f}", f"{cpu / base:.2f}", most, f"{wall:.0f}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
