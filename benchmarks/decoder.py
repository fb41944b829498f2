"""What memory the decoder of the examples takes, by the edges of its code's graph.

Codes are quasi-cyclic ones, of six bits in 18 edges: bit b of block t is in the check b + 5^s 2^t of each of
three blocks s, modulo the size of a block (R. M. Tanner, 1999). `decoder.nnspec` is compiled for each, with
ten turns, and makes one step of training in a process of its own. Prints the edges, seconds of the compiler,
and by how much the step made resident memory grow, in all and for each edge and turn; and the latter where
`--remat` has the turns between computed again.

python -m benchmarks.decoder up to 100,000 edges python -m benchmarks.decoder --batch 16 with larger batches
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table

from nnspec.backends.emit import write
from nnspec.compiler.pipeline import compile_spec

ROOT = Path(__file__).parent.parent
EDGES = (12_500, 25_000, 50_000, 100_000)
TURNS = 10
REMAT = 2
# The C library gives memory of this many bytes back at once, so that what is resident is what is held.
GIVEN_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536"}


def write_code(folder: Path, edges: int) -> tuple[int, int]:
    """Write the table of a code with about so many edges; returns how many bits and checks it has."""
    block = edges // 18
    rows = [
        f"{s * block + (b + 5**s * 2**t) % block},{t * block + b}\n"
        for s in range(3)
        for t in range(6)
        for b in range(block)
    ]
    folder.mkdir()
    (folder / f"code_{6 * block}.csv").write_text("check,bit\n" + "".join(rows))
    return 6 * block, 3 * block


def kilobytes(line: str) -> int:
    """A line of what Linux tells of this process's memory: VmRSS is resident, VmHWM the peak of that."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(each.split()[1]) for each in status if each.startswith(f"{line}:"))


def step(folder: str, bits: int, batch: int) -> None:
    """In a process of its own: one step of training; prints the bytes that it added, and the edges."""
    import torch

    sys.path.insert(0, folder)
    module = import_module("decoder_torch")
    torch.set_num_threads(1)
    model = module.Decoder()
    heard, sent = torch.randn(batch, bits), torch.zeros(batch, 1, bits)

    def backward(words: slice) -> None:
        odds = model(heard[words])
        model.loss(odds, sent[words].expand_as(odds)).backward()

    backward(slice(1))  # imports what the first call does
    model.zero_grad()
    Path("/proc/self/clear_refs").write_text("5")  # the peak of memory is that of now
    before = kilobytes("VmRSS")
    backward(slice(None))
    added = kilobytes("VmHWM") - before
    print(json.dumps({"bytes": 1024 * added, "edges": model.to_bit_odds.weight.numel()}))


def measure(edges: int, batch: int, remat: int = 0) -> dict[str, float]:
    """Compile the decoder for a code with about so many edges, and make one step."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bits, checks = write_code(folder / "decoder", edges)
        spec = shutil.copy(ROOT / "examples" / "decoder.nnspec", folder)
        started = time.process_time()
        params = {"bits": bits, "checks": checks, "turns": TURNS}
        write(compile_spec(Path(spec), ["torch"], params, remat=remat).files, folder / "out")
        seconds = time.process_time() - started
        own = [sys.executable, "-m", "benchmarks.decoder", "--step", str(folder / "out"), "--bits", str(bits)]
        command = [*own, "--batch", str(batch)]
        printed = subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=ROOT, env={**os.environ, **GIVEN_BACK}
        ).stdout
        found = json.loads(printed)
        return {**found, "seconds": seconds, "each": found["bytes"] / found["edges"] / TURNS}


def main() -> None:
    """Measure all sizes, or be the process of one step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--bits", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        step(given.step, given.bits, given.batch)
        return
    columns = ("edges", "compiler s", "memory MiB", "bytes an edge and turn", f"with --remat {REMAT}")
    table = Table(*columns, title=f"{TURNS} turns, batch {given.batch}")
    for edges in EDGES:
        found, again = measure(edges, given.batch), measure(edges, given.batch, REMAT)
        numbers = f"{found['seconds']:.1f}", f"{found['bytes'] / 2**20:,.0f}", f"{found['each']:,.0f}"
        table.add_row(f"{found['edges']:,}", *numbers, f"{again['each']:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
