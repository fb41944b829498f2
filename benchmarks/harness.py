"""How versions are measured: they are checked, take turns, and what fails becomes a row that says so.

The versions of a framework run in a process of its own, which writes a line of JSON for every case. A version
that ends the process, which a kernel out of memory can do, is left out of the next one, and named.
"""

from __future__ import annotations

import gc
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .problems import Problem

# What a version may ask for beyond what its process holds before the first one runs.
MEMORY_LIMIT = 8 << 30

OWN_PROCESS = "growth of resident memory in the first calls of a process of its own"

ROOT = Path(__file__).parent.parent


class NotInstalled(Exception):
    """A peer that a version needs is not installed."""


@dataclass(frozen=True)
class Made:
    """A version set up for a problem.

    `forward` gives the output; `both` gives the output and all gradients, and has waited for them, or makes a
    training step; `in_order` turns what `both` gave into arrays like those of the problem's reference.
    """

    both: Callable[[], Any]
    in_order: Callable[[Any], Sequence[Any]]
    forward: Callable[[], Any] | None = None


@dataclass(frozen=True)
class Version:
    """One way of computing problems of a kind."""

    name: str
    make: Callable[[Any], Made]
    compiled: bool = False


@dataclass(frozen=True)
class Case:
    """A problem, the same at toy size, and the versions that compute it."""

    name: str
    problem: Callable[[], Problem]
    toy: Callable[[], Problem]
    versions: tuple[Version, ...]


@dataclass(frozen=True)
class Sizes:
    """How large the problems are. The defaults are those of the evidence."""

    units: int = 100_000
    batch: int = 64
    many_units: int = 1_000_000
    many_batch: int = 16
    dense_units: int = 1000
    densities: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3)
    dense_batches: tuple[int, ...] = (1, 64, 1024)
    rounds: int = 7
    compile: bool = True


QUICK = Sizes(
    units=10_000, many_units=100_000, dense_units=300, dense_batches=(1, 64, 256), rounds=3, compile=False
)
TOY = Sizes(
    units=48,
    batch=4,
    many_units=96,
    many_batch=2,
    dense_units=16,
    dense_batches=(1, 8),
    rounds=1,
    compile=False,
)


@dataclass
class Row:
    """What became of a version: milliseconds of every round and the most bytes, or why there are none."""

    version: str
    failure: str | None = None
    compiled: bool = False
    forward: list[float] = field(default_factory=list)
    both: list[float] = field(default_factory=list)
    peak_bytes: int | None = None


@dataclass(frozen=True)
class Framework:
    """What the versions of a framework are measured with.

    `copies` returns a function that copies three arrays of some bytes; `peak_bytes` gives the most bytes held
    beyond what was held before and what a call returned, or is None: such a framework keeps memory that it
    has had, so the first call in a process of its own is watched (`high_water`).
    """

    name: str
    memory: str
    copies: Callable[[int], Callable[[], object]]
    peak_bytes: Callable[[Callable[[], Any], int], int] | None


def milliseconds(run: Callable[[], Any]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - start)


def reason(error: BaseException) -> str:
    """Why a version failed, in a few words."""
    text = str(error)
    if isinstance(error, NotInstalled):
        return text
    if found := re.search(r"allocat\w* (\d{6,}) bytes", text):
        return f"fails: asks for {int(found[1]) / 1e9:.0f} GB"
    if found := re.search(r"OOM when allocating tensor with shape\[([\d,]+)\]", text):
        return f"fails: asks for {4 * np.prod([float(n) for n in found[1].split(',')]) / 1e9:.0f} GB"
    if isinstance(error, MemoryError):
        return "fails: out of memory"
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return f"fails: {type(error).__name__}: {first}"[:64]


def check(made: Made, problem: Problem) -> None:
    """Compare with the reference. Raises AssertionError where a result differs."""
    results = made.in_order(made.both())
    for position, (result, wanted) in enumerate(zip(results, problem.reference, strict=True)):
        result = np.asarray(result)
        assert result.shape == np.shape(wanted), (position, result.shape, np.shape(wanted))
        # Sums over a long batch or of many terms differ by their order, as far as the largest goes.
        tolerance = 1e-4 * max(1.0, float(np.abs(wanted).max(initial=0.0)))
        worst = float(np.abs(result - wanted).max(initial=0.0))
        assert worst <= tolerance, f"result {position} is {worst:.2g} off"


def prepared(
    case: Case, problem: Problem, lost: Mapping[str, str], say: Callable[[str], None]
) -> dict[str, Made | Row]:
    """Set every version up and check it, at toy size first; a row instead where that fails."""
    toy, versions = case.toy(), dict[str, Made | Row]()
    for version in case.versions:
        if version.name in lost:
            versions[version.name] = Row(version.name, lost[version.name])
            continue
        say(version.name)
        toy_is_right = False
        try:
            if not version.compiled:
                check(version.make(toy), toy)
                toy_is_right = True
            made = version.make(problem)
            check(made, problem)
            versions[version.name] = made
        except Exception as error:  # whatever a version does wrong is its row, not the end of the run
            note = "; right at toy size" if toy_is_right and "fails" in reason(error) else ""
            versions[version.name] = Row(version.name, reason(error) + note)
        gc.collect()
    return versions


def measured(
    case: Case,
    framework: Framework,
    rounds: int,
    lost: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda name: None,
) -> dict[str, Any]:
    """Measure the versions of a case, in turns; return its rows and R, as plain data."""
    problem = case.problem()
    versions = prepared(case, problem, lost or {}, say)
    copy, copying = framework.copies(problem.array_bytes), list[float]()
    rows = {name: made if isinstance(made, Row) else Row(name) for name, made in versions.items()}
    for version in case.versions:
        rows[version.name].compiled = version.compiled
    running = {name: made for name, made in versions.items() if isinstance(made, Made)}
    gc.collect()
    gc.disable()  # a collection would hit one version, not all
    for turn in range(rounds + 1):
        spent = milliseconds(copy)
        copying += [spent] if turn else []  # the first turn warms up
        for name, made in running.items():
            forward = milliseconds(made.forward) if made.forward else None
            both = milliseconds(made.both)
            if turn:
                rows[name].both.append(both)
                rows[name].forward += [] if forward is None else [forward]
    gc.enable()
    for name, made in running.items():
        gc.collect()
        if framework.peak_bytes:
            rows[name].peak_bytes = framework.peak_bytes(made.both, returned_bytes(problem))
    return {
        "case": case.name,
        "framework": framework.name,
        "memory": framework.memory,
        "array_bytes": problem.array_bytes,
        "R": copying,
        "rows": [asdict(row) for row in rows.values()],
    }


# ------------------------------------------------------------------------------------------------- memory


def limit_memory() -> None:
    """Let an allocation fail, in place of the machine, that goes far beyond what is held now."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return  # not Linux: what is too large fails as the system has it
    limit = pages * resource.getpagesize() + MEMORY_LIMIT
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def returned_bytes(problem: Problem) -> int:
    """The bytes of the results."""
    return sum(np.asarray(array).nbytes for array in problem.reference)


def high_water(run: Callable[[], Any], returned: int) -> int | None:
    """By how much the resident memory of this process grows in a call, at its peak, beyond what it returned.

    Only Linux can set its high-water mark back; None elsewhere.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")
        before = _resident("VmRSS")
        run()
        run()
        return max(0, _resident("VmHWM") - before - returned)
    except OSError:
        return None


def _resident(what: str) -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith(what)).split()[1])


# ------------------------------------------------------------------------------------- a process for each


def serve(framework: Framework, cases: Sequence[Case], sizes: Sizes) -> None:
    """In the process of a framework: measure the cases that are asked for, and write a line for each."""
    asked = json.loads(sys.argv[1])
    limit_memory()
    if asked["peak"]:
        serve_peak(cases, *asked["peak"], Path(asked["out"]))
        return
    with Path(asked["out"]).open("a", encoding="utf-8") as out:
        for case in cases:
            if case.name in asked["done"]:
                continue

            def say(name: str, case: Case = case) -> None:
                print(json.dumps({"starts": [case.name, name]}), file=out, flush=True)

            lost = {version: why for name, version, why in asked["lost"] if name == case.name}
            result = measured(case, framework, sizes.rounds, lost, say)
            say("")
            print(json.dumps(result), file=out, flush=True)


def serve_peak(cases: Sequence[Case], name: str, version: str, out: Path) -> None:
    """In a process of its own: write the peak memory of the first calls of a version."""
    case = next(case for case in cases if case.name == name)
    problem, returned = case.problem(), returned_bytes(case.problem())
    make = next(own.make for own in case.versions if own.name == version)
    make(case.toy()).both()  # what the framework sets up for itself
    made = make(problem)
    gc.collect()
    out.write_text(json.dumps({"peak": high_water(made.both, returned)}) + "\n", encoding="utf-8")


def asked_sizes() -> Sizes:
    """The sizes that the process of a framework was started with."""
    given = json.loads(sys.argv[1])["sizes"]
    return Sizes(**{name: tuple(v) if isinstance(v, list) else v for name, v in given.items()})


def in_process(
    module: str, sizes: Sizes, tell: Callable[[str], None]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Measure the versions of a module in a process of its own; return the cases, and what went wrong.

    A version at which the process ends is left out of the next attempt, and has a row that says so.
    """
    done, lost, problems = list[dict[str, Any]](), list[tuple[str, str, str]](), list[str]()
    for _ in range(6):
        asked = {"done": [case["case"] for case in done], "lost": lost, "peak": None}
        code, lines, last = _run(module, sizes, asked, tell)
        done += [line for line in lines if "rows" in line]
        if code == 0:
            break
        started = lines[-1].get("starts", ["", ""]) if lines else ["", ""]
        how = f"its process is ended by signal {-code}" if code < 0 else last
        if not started[1]:
            problems.append(f"{module}: {how}")
            break
        lost.append((*started, f"fails: {how}"))
    for case in done:
        if case["memory"] == OWN_PROCESS and case["case"].endswith("layer"):
            for row in case["rows"]:
                # What compiles at the first call would be measured compiling.
                if row["both"] and not row["compiled"]:
                    tell(f"{case['case']}: {row['version']}, memory")
                    asked = {"peak": [case["case"], row["version"]], "done": [], "lost": []}
                    _, lines, _ = _run(module, sizes, asked, lambda at: None)
                    row["peak_bytes"] = lines[0]["peak"] if lines else None
    return done, problems


def _run(
    module: str, sizes: Sizes, asked: dict[str, Any], tell: Callable[[str], None]
) -> tuple[int, list[dict[str, Any]], str]:
    """Start the process of a module; return how it ended, what it wrote, and the last line of its errors."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.jsonl"
        out.touch()
        command = [sys.executable, "-m", f"benchmarks.{module}"]
        command.append(json.dumps({"sizes": asdict(sizes), "out": str(out), **asked}))
        with (Path(folder) / "errors").open("w+", encoding="utf-8") as errors:
            child = subprocess.Popen(command, cwd=ROOT, stdout=errors, stderr=errors)
            code = _watched(child, out, tell)
            errors.seek(0)
            last = errors.read().strip().splitlines()[-1:]
        lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    return code, lines, "; ".join(last) or f"ended with {code}"


def _watched(child: subprocess.Popen[bytes], out: Path, tell: Callable[[str], None]) -> int:
    """Wait for a process, and tell what it is at."""
    while child.poll() is None:
        lines = out.read_text(encoding="utf-8").splitlines()
        if lines and lines[-1].startswith('{"starts"') and lines[-1].endswith("}"):
            case, version = json.loads(lines[-1])["starts"]
            tell(f"{case}: {version}" if version else case)
        time.sleep(0.5)
    return child.returncode
