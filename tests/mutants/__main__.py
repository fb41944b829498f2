"""Changes the compiler in small ways, and counts how many of these mutants the normal suite notices.

`make mutants` runs it. What it does is written down in `README.md` beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
MUTATED = ("compiler", "dsl")
PARTS = (*MUTATED, "backends")
# Tests of these folders that need a framework are left out: none can be imported there (`serving.py`).
NEAR = (
    "tests/dsl",
    "tests/compiler",
    "tests/connectivity",
    "tests/bad",
    "tests/golden",
    "tests/emit",
    "tests/fuzz",
    "tests/functions",
    "tests/statements",
    "tests/drawn",
)
# How many seconds of tests a mutant is tried with, by what they take with coverage, before the others' turn.
STAGES = (3.0, 30.0, float("inf"))
OPTIONS = ("-q", "-s", "-m", "not slow", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0")
OPTIONS += ("--continue-on-collection-errors",)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--number", type=int, default=500, help="how many mutants")
    parser.add_argument("--seed", type=int, default=1, help="which")
    parser.add_argument("--folder", type=Path, help="where to work, and to go on with what is there")
    given = parser.parse_args()
    from reporting import report

    folder = (given.folder or Path(tempfile.mkdtemp(prefix="nnspec-mutants-"))).resolve()
    print(f"working in {folder}", flush=True)
    root = copy(folder)
    mutants = drawn(root, folder, given.number, given.seed)
    reach = recorded(root, folder)
    for most in STAGES:
        serve(root, folder, mutants, reach, most)
    for number in outcomes_in_doubt(root, folder):
        print(f"mutant {number} was killed by a test that fails without it, too", flush=True)
    sys.exit(report(mutants, outcomes(folder)))


def copy(folder: Path) -> Path:
    """The tree in a folder of its own; a run that was cut off has left a mutant there, which goes."""
    root, kept = folder / "copy", folder / "kept"
    if not root.exists():
        ignored = shutil.ignore_patterns(".*", "build", "__pycache__")
        shutil.copytree(ROOT, root, ignore=ignored)
        package = folder / "package" / "nnspec"
        package.mkdir(parents=True)
        for part in PARTS:
            (package / part).symlink_to(root / part)
        for mutated in MUTATED:
            shutil.copytree(root / mutated, kept / mutated)
    for mutated in MUTATED:
        shutil.copytree(kept / mutated, root / mutated, dirs_exist_ok=True)
    return root


def drawn(root: Path, folder: Path, number: int, seed: int) -> list[dict[str, Any]]:
    """The mutants, by number."""
    file = folder / "mutants.json"
    if not file.exists():
        from sampling import draw

        mutants = []
        for at, mutant in enumerate(draw(root, number, seed)):
            before, after = mutant.lines((root / mutant.file).read_text())
            mutants.append({"number": at, **asdict(mutant), "before": before, "after": after})
        file.write_text(json.dumps(mutants, indent=1))
    return json.loads(file.read_text())


def recorded(root: Path, folder: Path) -> dict[str, Any]:
    """Which tests reach which lines."""
    file = folder / "reach.json"
    if not file.exists():
        run_pytest(root, folder, {"do": "record", "reach": str(file)}, NEAR)
    reach = json.loads(file.read_text())
    if not reach["tests"]:
        file.unlink()
        sys.exit("no tests could be collected")
    for test in reach["failed"]:
        print(f"fails or is skipped without any mutation: {test}", flush=True)
    return reach


def serve(
    root: Path, folder: Path, mutants: list[dict[str, Any]], reach: dict[str, Any], most: float
) -> None:
    """Try what no earlier stage has killed."""
    settled = {
        number
        for number, result in outcomes(folder).items()
        if result["outcome"] != "survived" or result["most"] >= most
    }
    tasks = []
    for mutant in mutants:
        if mutant["number"] not in settled:
            tests = tests_of(mutant, reach, most)
            tasks.append(
                {
                    **{key: mutant[key] for key in ("number", "file", "start", "end", "replacement")},
                    "tests": [reach["tests"][test] for test in tests],
                    "seconds": sum(reach["seconds"][test] for test in tests),
                    "imported": mutant["line"] in reach["imported"].get(mutant["file"], []),
                }
            )
    if tasks:
        task = {
            "do": "serve",
            "most": most,
            "control": [],
            "mutants": tasks,
            "results": str(folder / "results.jsonl"),
        }
        run_pytest(root, folder, task, NEAR)


def outcomes(folder: Path) -> dict[int, dict[str, Any]]:
    """The last result of each mutant so far."""
    file = folder / "results.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return {result["number"]: result for result in map(json.loads, lines)}


def outcomes_in_doubt(root: Path, folder: Path) -> list[int]:
    """Mutants killed by tests that fail in a fork of the compiler as it is, or in another order."""
    found = outcomes(folder)
    killers = sorted({result["by"] for result in found.values() if result["by"]})
    file = folder / "control.json"
    task = {"do": "serve", "most": 0, "control": killers, "mutants": [], "results": str(file)}
    run_pytest(root, folder, task, NEAR)
    failed = set(json.loads(file.read_text())["failed"])
    return [number for number, result in found.items() if result["by"] in failed]


def tests_of(mutant: dict[str, Any], reach: dict[str, Any], most: float) -> list[int]:
    """Tests that reach a mutant's line: of each file its quickest first, the files in turn."""
    of_file = {int(line): tests for line, tests in reach["reached"].get(mutant["file"], {}).items()}
    # Of a statement of several lines, not every one is seen to run.
    line = max((line for line in of_file if line <= mutant["line"]), default=0)
    found = of_file.get(line, [])
    if not found and line in reach["imported"].get(mutant["file"], []):
        found = {test for tests in of_file.values() for test in tests} or range(len(reach["tests"]))
    # What no test reaches itself may run in a process that one starts.
    found = found or reach["starting"]
    by_file: dict[str, list[int]] = defaultdict(list)
    for test in sorted(found, key=lambda test: reach["seconds"][test]):
        by_file[reach["tests"][test].partition("::")[0]].append(test)
    turns = sorted(
        (at, reach["seconds"][test], test) for tests in by_file.values() for at, test in enumerate(tests)
    )
    chosen: list[int] = []
    spent = 0.0
    for _, _, test in turns:
        if spent + reach["seconds"][test] <= most or not chosen:
            chosen.append(test)
            spent += reach["seconds"][test]
    return chosen


def run_pytest(root: Path, folder: Path, task: dict[str, Any], tests: tuple[str, ...]) -> None:
    """pytest with the plugin, in the copy."""
    file = folder / "task.json"
    options = [*OPTIONS, f"--basetemp={folder / 'tmp'}"]
    file.write_text(json.dumps({"root": str(root), "options": options, **task}))
    environment = {
        **os.environ,
        "NNSPEC_MUTANTS": str(file),
        "PYTHONPATH": os.pathsep.join([str(folder / "package"), str(HERE), *extra_paths()]),
        "POLARS_MAX_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "pytest", "-p", "serving", *options, *tests]
    subprocess.run(command, cwd=root, env=environment, check=False)


def extra_paths() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


if __name__ == "__main__":
    main()
