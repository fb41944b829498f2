"""Prints which planted faults the generated tests catch: `python tests/faults/table.py [SPEC]...`.

Without a spec these are all examples, at their full size, a network of everything and one without a loss.
"""

from __future__ import annotations

import os
import runpy
import shutil
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
sys.path.insert(0, str(Path(__file__).parent))

from planting import KINDS, Outcome, plant_all
from rich.console import Console
from rich.progress import track
from rich.table import Table

ROOT = Path(__file__).parent.parent.parent
TARGETS = ("numpy", "torch", "keras")


def cell(outcomes: list[Outcome]) -> str:
    """`caught`, with how many if several, `MISSED` if any was, `-` if none applies."""
    results = [outcome.result for outcome in outcomes if outcome.result != "-"]
    if "MISSED" in results:
        return "[red]MISSED"
    return f"caught {len(results)}" if results else "-"


def main(specs: list[Path]) -> int:
    """Plant everything in every spec, print the table, and return 1 if a fault was missed."""
    begun = time.perf_counter()
    found: list[Outcome] = []
    builds = [(spec, target) for spec in specs for target in TARGETS]
    for spec, target in track(builds, description="planting"):
        with tempfile.TemporaryDirectory() as scratch:
            found += plant_all(spec, target, Path(scratch))
    table = Table("fault", *(f"{spec.stem}\n{target}" for spec, target in builds))
    for kind in KINDS:
        rows = [[o for o in found if (o.kind, o.spec, o.target) == (kind, s.stem, t)] for s, t in builds]
        table.add_row(kind, *map(cell, rows))
    Console(width=40 + 19 * len(builds)).print(table)
    missed = sum(outcome.result == "MISSED" for outcome in found)
    caught = sum(outcome.result == "caught" for outcome in found)
    print(f"{caught} faults caught, {missed} missed, in {time.perf_counter() - begun:.0f} s")
    return 1 if missed else 0


def everything(folder: Path) -> list[Path]:
    """All examples, copied into a folder with the edges of the large one, and two specs of the tests."""
    shutil.copytree(ROOT / "examples", folder, dirs_exist_ok=True)
    runpy.run_path(str(folder / "hundred_thousand_data.py"))["main"](folder / "hundred_thousand")
    specs = ROOT / "tests" / "specs"
    return [*sorted(folder.glob("*.nnspec")), specs / "zoo.nnspec", specs / "part.nnspec"]


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as copy:
        sys.exit(main(given or everything(Path(copy))))
