"""A plugin of pytest: which tests reach which lines, and whether a mutant passes those that reach its line.

`NNSPEC_MUTANTS` names a JSON file that says what to do. The tests are collected once; every mutant is a fork
of the process that has collected them. There the functions that the mutation changes get their new code,
wherever they are bound by then. What has run before the tests (a constant, a decorator, a default value) is
tried in a process that imports the mutated file anew.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import os
import resource
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

TASK = json.loads(Path(os.environ["NNSPEC_MUTANTS"]).read_text())
ROOT = Path(TASK["root"])
# Mutants that read or allocate without end are stopped by these.
MEMORY = 6 << 30
SECONDS = 8
# With coverage, a test that draws examples draws one in so many of its own.
FEWER = 5

# Importing one takes longer than most tests, and none likes to be forked.
sys.modules.update(dict.fromkeys(("jax", "keras", "tensorflow", "torch")))

settings.register_profile(
    "mutants",
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("mutants")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(PLUGIN)


# --------------------------------------------------------------------------------------------------- coverage


class Recording:
    """Writes down the tests that reach each line, how long each takes, and the lines that run before them."""

    def __init__(self) -> None:
        import coverage

        self.coverage = coverage.Coverage(
            data_file=None, config_file=False, source=[str(ROOT / "compiler"), str(ROOT / "dsl")]
        )
        self.coverage.start()
        self.seconds: dict[str, float] = defaultdict(float)
        self.failed: set[str] = set()
        self.running = ""
        self.starting: set[str] = set()
        sys.addaudithook(self.note)

    def note(self, event: str, _: object) -> None:
        if event == "subprocess.Popen":
            self.starting.add(self.running)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Every line that a drawn example reaches is reached by one of the first few."""
        for item in items:
            drawn = getattr(getattr(item, "obj", None), "_hypothesis_internal_use_settings", None)
            if drawn is not None:
                few = settings(drawn, max_examples=max(10, drawn.max_examples // FEWER))
                getattr(item.obj, "__func__", item.obj)._hypothesis_internal_use_settings = few

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self.running = item.nodeid
        self.coverage.switch_context(item.nodeid)
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if not report.passed:
            self.failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self.coverage.stop()
        data = self.coverage.get_data()
        lines = {
            str(Path(file).relative_to(ROOT)): data.contexts_by_lineno(file) for file in data.measured_files()
        }
        tests = [test for test in self.seconds if test not in self.failed]
        number = {test: at for at, test in enumerate(tests)}
        reached = {
            file: {
                line: sorted(number[test] for test in contexts if test in number)
                for line, contexts in of_line.items()
            }
            for file, of_line in lines.items()
        }
        imported = {
            file: sorted(line for line, contexts in of_line.items() if "" in contexts)
            for file, of_line in lines.items()
        }
        content = {
            "tests": tests,
            "seconds": [self.seconds[test] for test in tests],
            "failed": sorted(self.failed),
            "reached": reached,
            "imported": imported,
            "starting": [number[test] for test in sorted(self.starting) if test in number],
        }
        Path(TASK["reach"]).write_text(json.dumps(content))


# ---------------------------------------------------------------------------------------------------- serving


class Serving:
    """Tries one mutant after the other, each in a fork."""

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        live = functions()
        gc.collect()
        gc.freeze()
        if TASK["control"]:
            without = tried(session, [items[test] for test in TASK["control"]], [], 1e4, to_the_end=True)
            Path(TASK["results"]).write_text(json.dumps(without))
        for mutant in TASK["mutants"]:
            path = ROOT / mutant["file"]
            code = path.read_text()
            changed = code[: mutant["start"]] + mutant["replacement"] + code[mutant["end"] :]
            swaps = swaps_of(code, changed, path, live) if not mutant["imported"] else None
            with on_disk(path, changed, mutant["number"]):
                chosen = [items[test] for test in mutant["tests"] if test in items]
                outcome = tried(session, chosen, swaps, mutant["seconds"])
            with Path(TASK["results"]).open("a") as results:
                results.write(
                    json.dumps({"number": mutant["number"], "most": TASK["most"], **outcome}) + "\n"
                )
        return True


def tried(
    session: pytest.Session,
    items: list[pytest.Item],
    swaps: list[tuple[FunctionType, CodeType]] | None,
    seconds: float,
    *,
    to_the_end: bool = False,
) -> dict[str, Any]:
    """What becomes of a mutant: killed and by which test, survived, or stopped after too long."""
    start = time.monotonic()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        run_child(session, items, swaps, seconds, writing, to_the_end=to_the_end)
    os.close(writing)
    answer, stopped = wait(child, reading, 20 * (SECONDS + seconds))
    outcome: dict[str, Any] = json.loads(answer) if answer else {}
    if not outcome:
        outcome = {"outcome": "timeout" if stopped else "killed", "by": "", "why": "the process ended"}
    return {**outcome, "took": round(time.monotonic() - start, 2), "fresh": swaps is None}


def run_child(
    session: pytest.Session,
    items: list[pytest.Item],
    swaps: list[tuple[FunctionType, CodeType]] | None,
    seconds: float,
    writing: int,
    *,
    to_the_end: bool,
) -> None:
    """In the fork: changes what is to be changed, runs the tests, and ends."""
    outcome = {"outcome": "killed", "by": "", "why": "the process ended"}
    try:
        os.setsid()
        limit = int(SECONDS + seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        if swaps is None:
            outcome = run_fresh(session, items)
        else:
            for function, code in swaps:
                function.__code__ = code
            outcome = run_items(items, to_the_end=to_the_end)
    except BaseException as error:
        outcome = {"outcome": "killed", "by": "", "why": f"{type(error).__name__}: {error}"[:300]}
    finally:
        os.write(writing, json.dumps(outcome).encode())
        os._exit(0)


def run_items(items: list[pytest.Item], *, to_the_end: bool = False) -> dict[str, Any]:
    """Tests in this order, up to the first that fails or to the end."""
    failures: list[pytest.TestReport] = []

    class Noting:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed:
                failures.append(report)

    if not items:
        return {"outcome": "survived", "by": "", "why": ""}
    items[0].config.pluginmanager.register(Noting())
    for item, following in itertools.zip_longest(items, items[1:]):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if failures and not to_the_end:
            crash = getattr(failures[0].longrepr, "reprcrash", None)
            why = crash.message if crash else str(failures[0].longrepr)
            return {"outcome": "killed", "by": item.nodeid, "why": why[:300]}
    failed = sorted({report.nodeid for report in failures})
    return {"outcome": "survived", "by": "", "why": "", "failed": failed}


def run_fresh(session: pytest.Session, items: list[pytest.Item]) -> dict[str, Any]:
    """The same in a pytest within the fork, which collects the tests' files and imports the package anew."""
    for name in list(sys.modules):
        file = getattr(sys.modules[name], "__file__", None) or ""
        ours = name.split(".")[0] in ("nnspec", "tests")  # packages without a file keep what they imported
        if (ours or file.startswith(f"{ROOT}/")) and name != __name__:
            del sys.modules[name]
    fresh = Fresh([item.nodeid for item in items])
    files = list(dict.fromkeys(str(item.path) for item in items))
    if not files:
        return {"outcome": "survived", "by": "", "why": ""}
    code = pytest.main([*TASK["options"], *files], plugins=[fresh])
    if fresh.outcome is None:
        return {"outcome": "killed", "by": "", "why": f"collecting: {fresh.why} ({code})"[:300]}
    return fresh.outcome


class Fresh:
    def __init__(self, wanted: list[str]) -> None:
        self.wanted = wanted
        self.outcome: dict[str, Any] | None = None
        self.why = ""

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.why = str(report.longrepr)[-250:]

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            return True
        items = {item.nodeid: item for item in session.items}
        missing = [test for test in self.wanted if test not in items]
        if missing:
            self.outcome = {"outcome": "killed", "by": missing[0], "why": "the test is not collected"}
        else:
            self.outcome = run_items([items[test] for test in self.wanted])
        return True


def wait(child: int, reading: int, seconds: float) -> tuple[bytes, bool]:
    """What a child writes, and whether it had to be stopped, or ran out of processor time."""
    import select

    pieces: list[bytes] = []
    end = time.monotonic() + seconds
    stopped = False
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            stopped = True
            break
        piece = os.read(reading, 1 << 16)
        if not piece:
            break
        pieces.append(piece)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(reading)
    if not pieces and os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL):
        stopped = True
    return b"".join(pieces), stopped


@contextlib.contextmanager
def on_disk(path: Path, text: str, number: int) -> Iterator[None]:
    """For what reads the file. Bytecode goes by second and size, so each text has a time of its own."""
    before, state = path.read_bytes(), path.stat()
    path.write_text(text)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + (number + 1) * 2_000_000_000))
    try:
        yield
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


# --------------------------------------------------------------------------------------------- changing code

Key = tuple[str, int, str]


def functions() -> dict[Key, list[FunctionType]]:
    """All functions that there are, by where they stand."""
    found: dict[Key, list[FunctionType]] = defaultdict(list)
    for thing in gc.get_objects():
        if type(thing) is FunctionType:
            code = thing.__code__
            found[os.path.realpath(code.co_filename), code.co_firstlineno, code.co_qualname].append(thing)
    return found


def swaps_of(
    text: str, changed: str, path: Path, live: dict[Key, list[FunctionType]]
) -> list[tuple[FunctionType, CodeType]] | None:
    """New code for the functions that differ; None if more than functions does."""
    swaps: list[tuple[FunctionType, CodeType]] = []
    pairs = [(compile(text, str(path), "exec"), compile(changed, str(path), "exec"))]
    while pairs:
        old, new = pairs.pop()
        inner = [[c for c in code.co_consts if isinstance(c, CodeType)] for code in (old, new)]
        if len(inner[0]) != len(inner[1]):
            return None
        for was, becomes in zip(*inner, strict=True):
            if was.co_firstlineno != becomes.co_firstlineno or was.co_qualname != becomes.co_qualname:
                return None
            pairs.append((was, becomes))
        is_function = bool(old.co_flags & 0x2)
        if not is_function:
            if own(old) != own(new):
                return None
        elif old != new:
            if old.co_freevars != new.co_freevars:
                return None
            key = (str(path.resolve()), old.co_firstlineno, old.co_qualname)
            swaps += [(function, new) for function in live.get(key, [])]
    return swaps or None


def own(code: CodeType) -> tuple[Any, ...]:
    """What a module or a class does itself, without its functions."""
    constants = tuple((type(c), c) for c in code.co_consts if not isinstance(c, CodeType))
    return code.co_code, code.co_names, constants


# Coverage begins here, before `conftest.py` imports what it is to look at.
PLUGIN = {"record": Recording, "serve": Serving}[TASK["do"]]()
