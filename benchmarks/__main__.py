"""Every kernel against what people use today: `python -m benchmarks`.

Prints a table of kernels and peers and one of the figures that this project is held to, and writes
`results.json` and, with matplotlib, `plot.png`. Each framework is measured in a process of its own, in which
the versions take turns. Peers are in `benchmarks/requirements.txt`; one that is not installed is a row that
says so.

    python -m benchmarks            the evidence: about six minutes on two cores
    python -m benchmarks --quick    smaller problems, nothing compiled: about one minute, and no evidence
    python -m benchmarks --docs     writes the tables into docs/performance.md too, as those of a processor of
                                    this maker
    python -m benchmarks time       networks over time, which no other of these has: see `over_time.py`
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from . import machine, over_time, report
from .evidence import findings, planned_kernels
from .harness import QUICK, ROOT, Sizes, in_process

MODULES = ("torch_versions", "keras_versions", "jax_versions")
PAGE = ROOT / "docs" / "performance.md"
PACKAGES = ("torch", "tensorflow", "keras", "jax", "kpnn2", "numpy")


def about(sizes: Sizes) -> dict[str, Any]:
    """The machine and the versions of packages."""
    packages = dict[str, str]()
    for name in PACKAGES:
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            packages[name] = "not installed"
    return {
        "machine": f"{platform.machine()}, {machine.described()}",
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "packages": packages,
        "units": sizes.units,
        "batch": sizes.batch,
        "rounds": sizes.rounds,
    }


def setting(facts: dict[str, Any]) -> str:
    """The same in a sentence."""
    packages = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    return (
        f"{facts['units']:,} units, batch {facts['batch']}, float32, {facts['rounds']} rounds, "
        f"load before {facts['load']};\n{facts['machine']};\n{packages}."
    )


def measure(sizes: Sizes, console: Console) -> tuple[dict[str, Any], list[str]]:
    """All cases of all frameworks by name, and what went wrong beside them."""
    cases, problems = dict[str, Any](), list[str]()
    with console.status("starting") as status:
        for module in MODULES:
            done, wrong = in_process(
                module, sizes, lambda at, module=module: status.update(f"{module}: {at}")
            )
            cases |= {case["case"]: case for case in done}
            problems += wrong
    return cases, problems


def main() -> None:
    """Measure, print, write."""
    if sys.argv[1:2] == ["time"]:
        over_time.main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Kernels against peers.")
    parser.add_argument("--quick", action="store_true", help="smaller problems, nothing compiled")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "benchmarks", metavar="FOLDER")
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/performance.md")
    chosen = parser.parse_args()
    if chosen.quick and chosen.docs:
        parser.error("the page holds evidence, which --quick does not give")
    sizes, console = QUICK if chosen.quick else Sizes(), Console(width=None if os.isatty(1) else 120)

    facts = about(sizes)
    transposing = [sys.executable, "-m", "benchmarks.transposes", "--units", str(sizes.units)]
    subprocess.run([*transposing, *["--docs"] * chosen.docs], cwd=ROOT, check=True)
    cases, problems = measure(sizes, console)
    try:
        planned = planned_kernels(sizes)
    except Exception as error:  # the rest was measured, and is worth printing
        planned = {}
        problems.append(f"plan: {type(error).__name__}: {error}")
    found = findings(cases, planned, sizes)
    facts |= {"planned": planned, "problems": problems}

    chosen.out.mkdir(parents=True, exist_ok=True)
    report.write_json(chosen.out / "results.json", cases, found, facts)
    console.print(report.versions_table(cases, setting(facts)))
    console.print(report.density_table(cases, planned, sizes))
    console.print(report.evidence_table(found, ", at smaller sizes: no evidence" * chosen.quick))
    if (facts["load"] or 0) > (os.cpu_count() or 1) / 4:
        console.print(
            f"The machine was busy, load {facts['load']} at the start: measure again when it is idle."
        )
    for problem in problems:
        console.print(f"went wrong: {problem}")
    console.print(f"results: {chosen.out / 'results.json'}")
    console.print(report.plot(chosen.out / "plot.png", cases))
    if chosen.docs:
        tables = report.page_tables(cases, found, planned, setting(facts), machine.maker())
        PAGE.write_text(report.filled_in(PAGE.read_text(encoding="utf-8"), tables), encoding="utf-8")
        console.print(f"page: {PAGE}")


if __name__ == "__main__":
    main()
