"""Damages specs and data files where that leads to new branches of the compiler, and keeps what goes wrong.

Needs an environment of its own: `pip install -c constraints.txt -e . && pip install atheris`. Run it by
`python tests/fuzz/coverage_guided.py SECONDS [FOLDER]`; FOLDER gets the findings and the grown corpus, with
which it goes on when it is run again. What is to be kept becomes a case of `tests/bad/`, or a spec in
`tests/fuzz/kept/`.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import atheris
from mutations import EXTREMES, PIECE, ROOT, corpus, mutated

with atheris.instrument_imports(include=["nnspec.dsl", "nnspec.compiler"]):
    # With a tenth of the edges, what takes long or fills the memory all the same has passed by the limits.
    from nnspec.compiler.edges import edge_set

    edge_set.EDGE_LIMIT //= 10
    from nnspec.compiler.names import budget

    budget.CANDIDATE_LIMIT //= 10
    from nnspec.compiler import pipeline
    from nnspec.compiler.command import explain
    from nnspec.compiler.command import main as cli
    from nnspec.compiler.names import arithmetic as expressions
    from nnspec.dsl import formatter, parser, render
    from nnspec.dsl.diagnostics import Report, SpecError
    from nnspec.dsl.findings import Diagnostic
    from nnspec.dsl.source import Source

SECONDS = 10
MEMORY = 2 << 30
LONGEST = 4096
# After this line of an input comes the content of `held.csv`, `held.npy` and `held.npz`, for specs to load.
HELD = b"\n#held\n"
LOADED = re.compile(r'load\("[^"]*\.(csv|npy|npz)"')
CHANGES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.system", "os.exec", "os.fork"}
CHANGES |= {"subprocess.Popen", "os.posix_spawn", "socket.connect", "shutil.rmtree", "tempfile.mkstemp"}

# Those of the pages too: they show what the language has.
SPECS = corpus() + [
    spec
    for page in sorted((ROOT / "docs").glob("*.md"))
    for spec in re.findall(r"```nnspec\n(.*?)```", page.read_text(), re.DOTALL)
]


class TooSlow(BaseException):
    """A compilation took more than `SECONDS` of processor time."""


def main() -> None:
    seconds = sys.argv[1]
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp(prefix="nnspec-fuzz-")).resolve()
    scratch, seeds, grown = folder / "scratch", folder / "seeds", folder / "corpus"
    findings = folder / "findings"
    for made in (seeds, grown, findings):
        made.mkdir(parents=True, exist_ok=True)
    shutil.copytree(ROOT / "examples" / "data", scratch / "data", dirs_exist_ok=True)
    for file in (ROOT / "tests" / "bad").glob("*.[cnt][psx][vyzt]"):
        if file.is_file():
            shutil.copy(file, scratch)
    shutil.copytree(scratch / "data", scratch, dirs_exist_ok=True)
    for seed in starting_inputs():
        (seeds / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    words = folder / "dictionary"
    words.write_text("".join(f'"{escaped(word)}"\n' for word in words_of(SPECS)))

    print(f"findings go to {findings}", flush=True)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
    signal.signal(signal.SIGVTALRM, stop)
    written: list[str] = []
    sys.dont_write_bytecode = True
    sys.addaudithook(lambda event, arguments: watch(event, arguments, written))
    warnings.simplefilter("always")
    warnings.showwarning = lambda message, *_: written.append(f"{type(message).__name__}: {message}")
    os.chdir(scratch)
    options = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-dict={words}", "-timeout=60"]
    options += ["-rss_limit_mb=3000", "-print_final_stats=1", "-verbosity=1", f"-artifact_prefix={findings}/"]
    atheris.Setup(
        [sys.argv[0], *options, str(grown), str(seeds)],
        lambda data: examine(data, scratch, findings, written),
        custom_mutator=mutate,
    )
    atheris.Fuzz()


# ------------------------------------------------------------------------------------------------ one input


def examine(data: bytes, scratch: Path, findings: Path, written: list[str]) -> None:
    """Compile an input, and keep it if the compiler does anything but answer."""
    spec, held, content = data.partition(HELD)
    path = scratch / "damaged.nnspec"
    path.write_bytes(spec)
    for kind in ("csv", "npy", "npz") if held else ():
        (scratch / f"held.{kind}").write_bytes(content)
    written.clear()
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        compile_all(path, all_targets=hashlib.sha256(data).digest()[0] < 16)
        assert not written, f"wrote or ran {written}"
    except (Exception, TooSlow) as error:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        keep(error, data, findings)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def compile_all(path: Path, *, all_targets: bool) -> None:
    """What the subcommands do with a spec, in memory."""
    targets = cli.TARGET_NAMES if all_targets else ("numpy",)
    with reported():
        made = pipeline.compile_spec(path, targets)
        for name, content in made.files.items():
            assert re.fullmatch(r"\w+\.(py|npz)", name), name
            if name.endswith(".py"):
                ast.parse(content)
        rendered(made.diagnostics, made.passage.tree.source)
        explain.as_json(explain.connection_facts(made.passage.plan))
    with reported():
        formatted = laid_out(*pipeline.read(path))
        source = Source(path.name, formatted)
        assert laid_out(source, Report(source)) == formatted, "the layout is not final"


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Render the diagnostics of a spec that has errors."""
    try:
        yield
    except SpecError as error:
        shown = rendered(error.diagnostics, error.source)
        assert "error[E" in shown, shown


def rendered(diagnostics: tuple[Diagnostic, ...], source: Source) -> str:
    for style in ("json", "concise", "full"):
        shown = render.render(diagnostics, source, style)
    return shown


def laid_out(source: Source, report: Report) -> str:
    tree = parser.parse(source, report)
    report.check()
    return formatter.format_spec(tree)


def keep(error: BaseException, data: bytes, findings: Path) -> None:
    """Write an input down, the shortest of those that fail alike, under the place where it fails."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/lark/" not in f.filename]
    ours = [f for f in frames if "nnspec" in f.filename or f.filename.startswith(str(ROOT))] or frames
    name = f"{type(error).__name__}-{Path(ours[-1].filename).stem}-{ours[-1].name.strip('<>')}"
    path = findings / f"{name}.nnspec"
    if not path.exists():
        print(f"FINDING {name}", flush=True)
    if not path.exists() or len(data) < path.stat().st_size:
        path.write_bytes(data)
        path.with_suffix(".txt").write_text("".join(traceback.format_exception(error)), errors="replace")


def stop(number: int, frame: object) -> None:
    raise TooSlow


def watch(event: str, arguments: tuple[object, ...], written: list[str]) -> None:
    """Note what changes something beside memory."""
    if event in CHANGES or (event == "open" and is_for_writing(arguments)):
        written.append(f"{event}{arguments[:2]}")


def is_for_writing(arguments: tuple[object, ...]) -> bool:
    flags = arguments[2] if len(arguments) > 2 else 0
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


# -------------------------------------------------------------------------------------------------- mutation


def starting_inputs() -> Iterator[bytes]:
    """Specs as they are, and those that load a file once more with the file held beside them."""
    for spec in SPECS:
        yield spec.encode()[:LONGEST]
    loading = [spec for spec in SPECS if LOADED.search(spec)]
    for file in sorted((ROOT / "tests" / "bad").iterdir()) + sorted((ROOT / "examples" / "data").iterdir()):
        for number, spec in enumerate(loading):
            if file.is_file() and f'{file.name}"' in spec and number < 60:
                yield LOADED.sub(r'load("held.\1"', spec).encode() + HELD + file.read_bytes()


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Damage the text of a spec mostly by its tokens, else as libFuzzer does; the same for a held file."""
    rng = random.Random(seed)
    spec, held, content = data.partition(HELD)
    if held and rng.random() < 0.6:
        content = bytes(atheris.Mutate(content, max(max_size - len(spec) - len(held), 1)))
    elif rng.random() < 0.75:
        spec = mutated(spec.decode(errors="replace"), SPECS, rng).encode(errors="replace")
    else:
        spec = bytes(atheris.Mutate(spec, max_size))
    return (spec + held + content)[:max_size]


def words_of(specs: list[str]) -> list[str]:
    """What libFuzzer inserts: the pieces of all specs and what is extreme."""
    pieces = {piece for spec in specs for piece in PIECE.findall(spec) if len(piece) < 30}
    loads = {f'load("held.{kind}"' for kind in ("csv", "npy", "npz")}
    return sorted({*pieces, *EXTREMES, *expressions.FUNCTIONS, *loads} - {""})


def escaped(word: str) -> str:
    return "".join(
        chr(b) if 32 < b < 127 and b not in b'"\\' else f"\\x{b:02x}" for b in word.encode(errors="replace")
    )


if __name__ == "__main__":
    main()
