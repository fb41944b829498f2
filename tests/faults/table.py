"""Prints which planted faults the generated tests catch: `python tests/faults/table.py [SPEC]...`.

Without a spec these are all examples, at their full size, a network of everything and one without a loss.
The last columns are linear faults in a network that does not round, run against the exact tests alone.
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

from planting import EXACT, KINDS, LINEAR, Outcome, plant_all
from rich.console import Console
from rich.progress import track
from rich.table import Table

ROOT = Path(__file__).parent.parent.parent
TARGETS = ("numpy", "torch", "keras")
DYADIC = ROOT / "tests" / "specs" / "dyadic.nnspec"


def cell(outcomes: list[Outcome]) -> str:
    """`caught`, with how many if several, `MISSED` if any was, `-` if none applies."""
    results = [outcome.result for outcome in outcomes if outcome.result != "-"]
    if "MISSED" in results:
        return "[red]MISSED"
    return f"caught {len(results)}" if results else "-"


def main(specs: list[Path]) -> int:
    """Plant everything in every spec, print the table, and return 1 if a fault was missed."""
    begun = time.perf_counter()
    builds = [(spec, target, KINDS, "") for spec in specs for target in TARGETS]
    builds += [(DYADIC, target, LINEAR, EXACT) for target in TARGETS]
    columns: list[list[Outcome]] = []
    for spec, target, kinds, chosen in track(builds, description="planting"):
        with tempfile.TemporaryDirectory() as scratch:
            columns.append(plant_all(spec, target, Path(scratch), kinds, chosen))
    heads = [f"{spec.stem}\n{target}" + "\nexact alone" * bool(chosen) for spec, target, _, chosen in builds]
    table = Table("fault", *heads)
    for kind in KINDS:
        table.add_row(kind, *(cell([o for o in column if o.kind == kind]) for column in columns))
    Console(width=40 + 19 * len(builds)).print(table)
    found = [outcome for column in columns for outcome in column]
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
