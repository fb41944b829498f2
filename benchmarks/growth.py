"""How the compiler's time grows with the size of a spec, for every shape that a spec can grow in.

A shape is a spec of n layers, connections, params, terms or the like. Each is compiled for all targets and
written, in this process; a shape with mistakes is compiled until its diagnostics are rendered. Prints
processor seconds by n, the slope of log time over log n, where time is that above n = 1, and the bytes made.

    python -m benchmarks.growth                  all shapes, up to n = 10,000
    python -m benchmarks.growth chain loads      some of them
    python -m benchmarks.growth --largest 1000   up to n = 1,000
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from nnspec.backends.emit import write
from nnspec.compiler.pipeline import compile_spec
from nnspec.dsl.diagnostics import SpecError
from nnspec.dsl.render import render

SIZES = [100, 316, 1000, 3162, 10_000]
# A shape that takes more seconds than this is not tried at the next size.
PATIENCE = 15.0

HEAD = "model m\ninput x[4]\n"
OVER_TIME = "model m\ninput x[4] over time\n"


@dataclass(frozen=True)
class Shape:
    """A way to grow: the spec of a size, which may write the files that it reads into a folder.

    `most` is the largest size that the compiler takes; beyond it there is a limit, and a diagnostic.
    """

    spec: Callable[[int, Path], str]
    most: int = 10**9


def _lines(head: str, line: str, tail: str = "") -> Callable[[int, Path], str]:
    """A spec with some lines for each of 0..n-1, which stands in place of `@`."""

    def spec(n: int, folder: Path) -> str:
        return head + "".join(line.replace("@", str(k)) for k in range(n)) + tail

    return spec


def _joined(head: str, item: str, between: str, tail: str = "") -> Callable[[int, Path], str]:
    """A spec with one statement that has an item for each of 0..n-1, which stands in place of `@`."""

    def spec(n: int, folder: Path) -> str:
        return head + between.join(item.replace("@", str(k)) for k in range(n)) + tail

    return spec


def _chain(operations: str, rule: str) -> Callable[[int, Path], str]:
    """A chain of layers, each connected to the next."""

    def spec(n: int, folder: Path) -> str:
        layers = "".join(f"layer h{k}[4] : {operations}\n" for k in range(n))
        connects = "".join(f"connect h{k - 1} -> h{k} : {rule}\n" for k in range(1, n))
        target = f"target t[4]\nloss mse(h{n - 1}, t)\n"
        return HEAD + layers + f"connect x -> h0 : {rule}\n" + connects + target

    return spec


def _loads(name: str, arguments: str = "") -> Callable[[int, Path], str]:
    """Connections that each load the same file of 400 edges."""

    def spec(n: int, folder: Path) -> str:
        pairs = np.array([divmod(key * 7 % 2_500, 50) for key in range(400)])
        (folder / "e.csv").write_text("source,target\n" + "".join(f"{s},{t}\n" for s, t in pairs))
        mask = np.zeros((50, 50), np.int64)
        mask[pairs[:, 0], pairs[:, 1]] = 1
        np.save(folder / "e.npy", mask)
        np.savez(folder / "e.npz", source=pairs[:, 0], target=pairs[:, 1])
        entries = "".join(f"{s + 1} {t + 1}\n" for s, t in pairs)
        kind = "%%MatrixMarket matrix coordinate pattern general\n"
        (folder / "e.mtx").write_text(f"{kind}50 50 {len(pairs)}\n{entries}")
        head = "model m\ninput x[50]\nlayer y[50]\n"
        return head + "".join(f'connect x -> y as c{k} : load("{name}"{arguments})\n' for k in range(n))

    return spec


def _files(n: int, folder: Path) -> str:
    for k in range(n):
        (folder / f"e{k}.csv").write_text(f"source,target\n{k % 4},0\n")
    return _lines(HEAD + "layer y[4]\n", 'connect x -> y as c@ : load("e@.csv")\n')(n, folder)


def _axes_of_names(n: int, folder: Path) -> str:
    (folder / "names.txt").write_text("a\nb\nc\nd\n")
    axes = "".join(
        f'axis a{k} = names("names.txt")\nlayer h{k}[a{k}]\nconnect x -> h{k} : all\n' for k in range(n)
    )
    return HEAD + axes


def _table_of(n: int, folder: Path) -> str:
    """A table with n columns, of which the edges are chosen by n conditions."""
    columns = ["source", "target", *(f"c{k}" for k in range(n))]
    (folder / "t.csv").write_text(",".join(columns) + "\n" + ",".join(["1"] * len(columns)) + "\n")
    connects = "".join(
        f'connect x -> y as e{k} : load("t.csv", where = column("c{k}") == 1)\n' for k in range(n)
    )
    return HEAD + "layer y[4]\n" + connects


LAYER = HEAD + "layer y[4]\nconnect x -> y : all\n"
PAIRED = HEAD + "target t[4]\nlayer y[4]\nconnect x -> y : all\n"

SHAPES: dict[str, Shape] = {
    # layers and connections
    "chain": Shape(_chain("tanh", "all")),
    "chain of sparse layers": Shape(_chain("tanh", "{ i -> j : abs(i - j) <= 1 }")),
    "chain with norms and dropout": Shape(_chain("batch_norm, tanh, dropout(0.1)", "all")),
    "chain, mixed kernels": Shape(
        _lines(
            "model m\ninput x[3000]\nlayer h0[3000]\nconnect x -> h0 : one_to_one\n",
            "layer a@[3000]\nlayer b@[10]\nlayer c@[3000]\n"
            "connect h0 -> a@ : { i -> (i * 7) % 3000 }\nconnect a@ -> b@ : all\n"
            "connect b@ -> c@ : all\nconnect a@ -> c@ : one_to_one\n",
        ),
        most=1000,
    ),
    "chain in a loop": Shape(
        lambda n, folder: (
            HEAD
            + "layer h0[4] : tanh\nconnect x -> h0 : all\n"
            + f"for k in 1..{n} {{\n  layer h{{k}}[4] : tanh\n  connect h{{k-1}} -> h{{k}} : all\n}}\n"
        )
    ),
    "chain of expressions": Shape(
        lambda n, folder: (
            "model m\ninput x[4]\nlayer e0[4] = x\n"
            + f"for k in 1..{n} {{\n  layer e{{k}}[4] = e{{k-1}} * x + e0 : tanh\n}}\n"
        )
    ),
    "chain declared backwards": Shape(
        lambda n, folder: (
            HEAD
            + "".join(f"layer h{k}[4]\nconnect h{k - 1} -> h{k} : all\n" for k in reversed(range(1, n)))
            + "layer h0[4]\nconnect x -> h0 : all\n"
        )
    ),
    "side by side": Shape(_lines(HEAD, "layer h@[4] : tanh\nconnect x -> h@ : all\n")),
    "side by side, joined": Shape(
        _lines(
            HEAD + "layer y[4]\n",
            "layer h@[4] : tanh\nconnect x -> h@ : all\nconnect h@ -> y : { i -> j : abs(i - j) <= 1 }\n",
        )
    ),
    "into one layer": Shape(_lines(HEAD + "layer y[4]\n", "connect x -> y as c@ : all\n")),
    "sparse, into one layer": Shape(
        _lines(HEAD + "layer y[4]\n", "connect x -> y as c@ : { (i * 3) % 4 -> i }\n")
    ),
    "sparse, into one layer, in a loop": Shape(
        lambda n, folder: (
            HEAD + f"layer y[4]\nfor k in 1..{n} {{\n  connect x -> y as c{{k}} : random(fan_in = 2)\n}}\n"
        )
    ),
    "inputs": Shape(_lines("model m\nlayer y[4]\n", "input x@[4]\nconnect x@ -> y : all\n")),
    "operations of a layer": Shape(_joined(HEAD + "layer y[4] : ", "tanh", ", ", "\nconnect x -> y : all\n")),
    "outputs": Shape(
        _lines(HEAD, "layer h@[4]\nconnect x -> h@ : all\noutput h@\n"),
    ),
    # over time
    "loops side by side": Shape(
        _lines(
            OVER_TIME,
            "layer h@[4] : tanh\nconnect x -> h@ : all\nconnect h@ -> h@ as r@ : all with delay = 1\n",
        )
    ),
    "loops in a chain": Shape(
        lambda n, folder: (
            OVER_TIME
            + "layer h0[4] : tanh\nconnect x -> h0 : all\n"
            + f"for k in 1..{n} {{\n  layer h{{k}}[4] : tanh\n  connect h{{k-1}} -> h{{k}} : all\n"
            + "  connect h{k} -> h{k} as r{k} : all with delay = 1\n}\n"
        )
    ),
    "layers of one loop": Shape(
        lambda n, folder: (
            OVER_TIME
            + f"layer h0[4] : tanh\nconnect x -> h0 : all\nconnect h{n} -> h0 as back : all with delay = 1\n"
            + f"for k in 1..{n} {{\n  layer h{{k}}[4] : tanh\n  connect h{{k-1}} -> h{{k}} : all\n}}\n"
            + f"output h{n}\n"
        )
    ),
    "delays of one layer": Shape(
        _lines(
            OVER_TIME + "layer y[4] : tanh\nconnect x -> y : all\n",
            "connect y -> y as c@ : all with delay = 1 + @\n",
        ),
        most=1000,
    ),
    "earlier steps in expressions": Shape(
        _lines(OVER_TIME, "layer c@[4] = 0.5 * before(c@) + x * before(x, 1 + @)\n"), most=1000
    ),
    # losses
    "losses": Shape(_lines(HEAD, "layer h@[4]\nconnect x -> h@ : all\ntarget t@[4]\nloss mse(h@, t@)\n")),
    "losses of one output": Shape(_lines(PAIRED, "loss mse(y, t)\n")),
    "penalties of one layer": Shape(_lines(LAYER, "loss 0.1 * l2(y)\n")),
    "penalties": Shape(_lines(HEAD, "layer h@[4]\nconnect x -> h@ : all\nloss 0.1 * l2(h@)\n")),
    "terms of a loss": Shape(_joined(PAIRED + "loss ", "mse(y, t)", " + ", "\n"), most=190),
    # numbers and sets
    "params": Shape(_lines(LAYER, "param p@ = @\n")),
    "params in a chain": Shape(
        lambda n, folder: (
            LAYER + "param p0 = 1\n" + "".join(f"param p{k} = p{k - 1} + 1\n" for k in range(1, n))
        )
    ),
    "params in a chain, backwards": Shape(
        lambda n, folder: (
            "model m\n"
            + "".join(f"param p{k} = p{k + 1} + 1\n" for k in range(n))
            + f"param p{n} = 1\ninput x[4]\nlayer y[4]\nconnect x -> y : all\n"
        )
    ),
    "sizes in a chain": Shape(
        lambda n, folder: (
            HEAD
            + "layer h0[4]\nconnect x -> h0 : all\n"
            + "".join(f"layer h{k}[len(h{k - 1})]\nconnect h{k - 1} -> h{k} : all\n" for k in range(1, n))
        )
    ),
    "axes": Shape(_lines(HEAD, "axis a@ = 4\nlayer h@[a@]\nconnect x -> h@ : all\n")),
    "axes of names": Shape(_axes_of_names),
    "named sets": Shape(
        _lines(HEAD, "edges s@ : [4] -> [4] = { i -> i : i <= 2 }\n", "layer y[4]\nconnect x -> y : s0\n")
    ),
    "named sets in a chain": Shape(
        lambda n, folder: (
            HEAD
            + "edges s0 : [4] -> [4] = { 0 -> 1 }\n"
            + "".join(f"edges s{k} : [4] -> [4] = s{k - 1} | {{ {k % 4} -> 0 }}\n" for k in range(1, n))
            + f"layer y[4]\nconnect x -> y : s{n - 1}\n"
        )
    ),
    "named sets in a chain, backwards": Shape(
        lambda n, folder: (
            HEAD
            + "".join(f"edges s{k} : [4] -> [4] = s{k + 1} | {{ {k % 4} -> 0 }}\n" for k in range(n))
            + f"edges s{n} : [4] -> [4] = {{ 0 -> 1 }}\nlayer y[4]\nconnect x -> y : s0\n"
        )
    ),
    "union in one set": Shape(_joined(HEAD + "layer y[4]\nconnect x -> y : ", "{ 0 -> 1 }", " | ", "\n")),
    "edges in braces": Shape(
        lambda n, folder: (
            f"model m\ninput x[{n}]\nlayer y[{n}]\nconnect x -> y : {{ "
            + ", ".join(f"{k} -> {(k * 7) % n}" for k in range(n))
            + " ; duplicate = merge }\n"
        )
    ),
    "neurons of a list": Shape(
        lambda n, folder: (
            f"model m\ninput x[{n}]\nlayer y[{n}]\nconnect x -> y : {{ "
            + ", ".join(f"[{k}, {(k + 1) % n}] -> {k}" for k in range(n))
            + " ; duplicate = merge }\n"
        )
    ),
    "conditions": Shape(
        _joined(HEAD + "layer y[4]\nconnect x -> y : { i -> j : ", "i <= j + @", ", ", " }\n")
    ),
    "items of a list": Shape(
        lambda n, folder: (
            f"model m\ninput x[{n}]\nlayer y[4]\nconnect x -> y : {{ i -> j : i in ["
            + ", ".join(map(str, range(n)))
            + "] }\n"
        )
    ),
    "long sum": Shape(_joined(LAYER + "param p = ", "1", " + ", "\n")),
    "parentheses": Shape(lambda n, folder: LAYER + "param p = " + "(" * n + "1" + ")" * n + "\n"),
    "nested loops": Shape(
        lambda n, folder: (
            LAYER
            + "".join("  " * d + f"for k{d} in 1..1 {{\n" for d in range(min(n, 45)))
            + "param p = 1\n"
            + "}\n" * min(n, 45)
        ),
        most=45,
    ),
    "turns of a loop in a loop": Shape(
        lambda n, folder: (
            LAYER
            + f"for a in 1..10 {{\nfor b in 1..{max(1, n // 10)} {{\nparam p{{a}}_{{b}} = a * b\n}}\n}}\n"
        )
    ),
    "comments": Shape(_lines(LAYER, "# comment @\n")),
    # files
    "loads": Shape(_loads("e.csv")),
    "loads with a condition": Shape(_loads("e.csv", ', where = column("source") in 0..60')),
    "loads of arrays": Shape(_loads("e.npz")),
    "loads of a mask": Shape(_loads("e.npy", ", rows = source")),
    "loads of a matrix": Shape(_loads("e.mtx", ", rows = source")),
    "files": Shape(_files),
    "columns": Shape(_table_of),
    # mistakes
    "misspelt layers": Shape(
        lambda n, folder: (
            HEAD
            + "".join(f"layer layer{k}[4]\n" for k in range(n))
            + "".join(f"connect x -> leyer{k} : all\n" for k in range(n))
        )
    ),
    "misspelt params": Shape(
        lambda n, folder: (
            LAYER
            + "".join(f"param size{k} = 1\n" for k in range(n))
            + "".join(f"param other{k} = sise{k}\n" for k in range(n))
        )
    ),
    "misspelt sets": Shape(
        lambda n, folder: (
            HEAD
            + "layer y[4]\n"
            + "".join(f"edges wires{k} : [4] -> [4] = all\n" for k in range(n))
            + "".join(f"connect x -> y as c{k} : wyres{k}\n" for k in range(n))
        )
    ),
    "misspelt files": Shape(
        lambda n, folder: (
            [(folder / f"pairs{k}.csv").write_text("source,target\n0,0\n") for k in range(n)]
            and HEAD
            + "layer y[4]\n"
            + "".join(f'connect x -> y as c{k} : load("piars{k}.csv")\n' for k in range(n))
        ),
        most=3162,
    ),
    "names with two underscores": Shape(_lines(HEAD, "layer h__@[4]\nconnect x -> h__@ : all\n")),
    "unread layers": Shape(_lines(LAYER + "output y\n", "layer h@[4]\nconnect x -> h@ : all\n")),
    "units without an edge": Shape(_lines(HEAD, "layer h@[4]\nconnect x -> h@ : { 0 -> 0 }\n")),
    "mistakes in a line": Shape(
        lambda n, folder: LAYER + "".join(f"param p{k} = q{k} " for k in range(n)) + "\n"
    ),
    "declared twice": Shape(_lines(LAYER, "param p = @\n")),
    "cycle": Shape(
        lambda n, folder: (
            HEAD + "".join(f"layer h{k}[4]\nconnect h{k} -> h{(k + 1) % n} : all\n" for k in range(max(n, 2)))
        )
    ),
}


def measure(spec: str, folder: Path) -> tuple[float, int, str]:
    """Processor seconds from a spec to its files, their bytes, and what came of it."""
    path = folder / "m.nnspec"
    path.write_text(spec)
    gc.collect()
    start = time.process_time()
    try:
        build = compile_spec(path)
        render(build.diagnostics, build.passage.tree.source)
        write(build.files, folder / "out")
        size, outcome = sum(map(len, build.files.values())), "written"
    except SpecError as error:
        text = render(error.diagnostics, error.source)
        size, outcome = len(text), f"{error.diagnostics[0].code.code} x {len(error.diagnostics)}"
    return time.process_time() - start, size, outcome


def exponent(times: dict[int, float], start: float) -> float:
    """The slope of log time over log n, with the time of n = 1 taken off."""
    sizes = [n for n in times if n >= 100]
    if len(sizes) < 2:
        return float("nan")
    above = [max(times[n] - start, 1e-3) for n in sizes]
    return float(np.polyfit(np.log(sizes), np.log(above), 1)[0])


def main() -> None:
    """Measure shapes and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("shapes", nargs="*", metavar="SHAPE", help="some of: " + ", ".join(SHAPES))
    parser.add_argument("--largest", type=int, default=SIZES[-1], metavar="N")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.shapes if name not in SHAPES]
    if unknown:
        parser.error(f"no shape is called {unknown[0]!r}")
    sizes = [n for n in SIZES if n <= arguments.largest]
    table = Table(box=None, pad_edge=False)
    table.add_column("shape")
    for heading in (*(f"n = {n:,}" for n in sizes), "exponent", "bytes for one", "outcome"):
        table.add_column(heading, justify="right")
    for name in arguments.shapes or SHAPES:
        shape = SHAPES[name]
        times: dict[int, float] = {}
        size, outcome, largest = 0, "", 1
        with tempfile.TemporaryDirectory() as made:
            measure(shape.spec(1, Path(made)), Path(made))  # imports and caches
            start, _, _ = measure(shape.spec(1, Path(made)), Path(made))
        for n in sizes:
            if n > shape.most or (times and max(times.values()) > PATIENCE):
                break
            with tempfile.TemporaryDirectory() as made:
                times[n], size, outcome = measure(shape.spec(n, Path(made)), Path(made))
            largest = n
            print(f"{name}, n = {n:,}: {times[n]:.2f} s, {size:,} bytes, {outcome}", file=sys.stderr)
        seconds = [f"{times[n]:.2f} s" if n in times else "" for n in sizes]
        table.add_row(name, *seconds, f"{exponent(times, start):.2f}", f"{size / largest:,.0f}", outcome)
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
