"""Where one kernel overtakes another: `python -m benchmarks.crossover` measures, fits, and prints the table.

Every kernel for PyTorch does training steps (forward and both gradients, float32, from and to contiguous
arrays) on sets of many sizes and densities, in turns. For batches of a size, a step is taken to cost a fixed
time for the call, so much for each unit, for each weight, or entry of the dense matrix for `masked`, and for
each pair of blocks; these costs are fitted to the least times, each with the same relative weight. `--write`
puts them into `compiler/plan/costs.py`, which the plan reads, and the times into `benchmarks/crossover.csv`.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.optimize import nnls
from torch import nn

from nnspec.backends.common.kernels.rules import Edges, crossed_edges, every_pair, same_index, shifted_edges
from nnspec.backends.common.kernels.windows import Windows
from nnspec.backends.torch.kernels.blocks import BlockProjection
from nnspec.backends.torch.kernels.convolution import ConvolutionProjection
from nnspec.backends.torch.kernels.dense import DenseProjection, DiagonalProjection
from nnspec.backends.torch.kernels.edges import EdgeProjection
from nnspec.backends.torch.kernels.masked import MaskedProjection
from nnspec.backends.torch.kernels.units_first import to_batch_first

from . import machine

ROUNDS = 5
BATCHES = (1, 16, 64, 256, 1024)
MEASURED = Path(__file__).parents[1] / "compiler" / "plan" / "costs.py"
TABLE = Path(__file__).with_suffix(".csv")


@dataclass(frozen=True)
class Problem:
    """One set of edges, and the layers that can compute it."""

    name: str
    units: int
    edges: int
    blocks: int
    layers: dict[str, Callable[[], nn.Module]]
    windows: bool = False


class Shared(nn.Module):
    """A convolution that holds its weights."""

    def __init__(self, edges: Edges, windows: Windows) -> None:
        super().__init__()
        self.layer = ConvolutionProjection(edges.source, edges.target, windows)
        self.weight = nn.Parameter(torch.zeros(math.prod(windows.kernel)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, units) -> (batch, units)."""
        return self.layer(x, weight=self.weight)


def convolutions() -> Iterator[Problem]:
    """Windows on squares, all channels of which feed each other."""
    for side, channels, extent in ((6, 2, 3), (12, 1, 5), (12, 4, 3), (24, 6, 3), (28, 1, 5), (32, 16, 3)):
        offsets = range(-(extent // 2), extent // 2 + 1)
        window = shifted_edges((side, side), (side, side), list(product(offsets, offsets)))
        edges = crossed_edges(every_pair(channels, channels), window)
        windows = Windows(
            grid=(side, side),
            places=(side, side),
            kernel=(channels, channels, extent, extent),
            pad=((extent // 2, extent // 2),) * 2,
            stride=(1, 1),
            dilation=(1, 1),
        )
        units, count = channels * side * side, len(edges.source)
        name = f"{extent} x {extent} on {channels} x {side} x {side}"
        ends = (edges.source, edges.target, (units, units))
        layers = {
            "edges": lambda e=ends: EdgeProjection(*e),
            "convolution": lambda e=edges, w=windows: Shared(e, w),
        }
        yield Problem(name, units, count, 0, layers, windows=True)


def problems() -> Iterator[Problem]:
    """Random sets by size and density, bands, blocks, and convolutions."""
    yield from convolutions()
    rng = np.random.default_rng(0)
    for units in (64, 250, 1000, 2000):
        for density in (0.003, 0.01, 0.03, 0.1, 0.3):
            count = round(density * units * units)
            if count < units // 4:
                continue
            keys = np.sort(rng.choice(units * units, count, replace=False))
            target, source = np.divmod(keys, units)
            ends = (source, target, (units, units))
            layers = {"edges": lambda e=ends: EdgeProjection(*e)}
            if density >= 0.01:
                layers["masked"] = lambda e=ends: MaskedProjection(*e)
            if density == 0.3:
                layers["dense"] = lambda n=units: DenseProjection((n, n))
                layers["diagonal"] = lambda n=units: DiagonalProjection(n)
            yield Problem(f"{density:.1%} of {units} x {units}", units, count, 0, layers)
    for units in (10_000, 100_000):
        for fan_in in (1, 5):
            source = np.sort(rng.integers(0, units // fan_in, (units, fan_in)) * fan_in + np.arange(fan_in))
            ends = (source.ravel(), np.repeat(np.arange(units), fan_in), (units, units))
            name = f"{fan_in} of {units}"
            yield Problem(name, units, source.size, 0, {"edges": lambda e=ends: EdgeProjection(*e)})
    for units in (300, 3000, 30_000, 100_000):
        for width in (3, 17):
            band = shifted_edges(units, units, range(-(width // 2), width // 2 + 1))
            ends = (band.source, band.target, (units, units))
            name = f"band of {width} on {units}"
            # What `BandProjection` does, unless compiled; neighbouring rows make it quicker than other sets.
            yield Problem(name, units, len(band.source), 0, {"band": lambda e=ends: EdgeProjection(*e)})
        for size in (2, 3, 4, 8, 16, 50):
            blocks = crossed_edges(same_index(units // size), every_pair(size, size))
            n = units // size * size
            ends = (blocks.source, blocks.target, (n, n))
            yield Problem(
                f"blocks of {size} on {n}",
                n,
                len(blocks.source),
                units // size,
                {
                    "edges": lambda e=ends: EdgeProjection(*e),
                    "blocks": lambda n=n, s=size: BlockProjection((n, n), (s, s)),
                },
            )


def step(layer: nn.Module, x: torch.Tensor, grad: torch.Tensor) -> float:
    """Microseconds of a training step."""
    start = time.perf_counter()
    y = layer(x)
    if not y.is_contiguous():
        y = to_batch_first(y)
    torch.autograd.grad(y, (x, layer.weight), grad)
    return 1e6 * (time.perf_counter() - start)


def measured(problem: Problem, batch: int) -> dict[str, float]:
    """The least time of each layer; they take turns, so that a busy machine slows none for all of them."""
    layers = {name: make() for name, make in problem.layers.items()}
    for layer in layers.values():
        nn.init.normal_(layer.weight)
    times: dict[str, list[float]] = {name: [] for name in layers}
    x, grad = torch.randn(batch, problem.units, requires_grad=True), torch.randn(batch, problem.units)
    for turn in range(ROUNDS + 1):
        for name, layer in layers.items():
            taken = step(layer, x, grad)
            if turn:
                times[name].append(taken)
    return {name: min(values) for name, values in times.items()}


def features(kernel: str, problem: Problem) -> list[float]:
    """What a step's time is a sum of: the call, the units on both sides, the weights, the blocks."""
    weights = {"masked": problem.units**2, "dense": problem.units**2, "diagonal": problem.units}
    sizes = 1, 2 * problem.units, weights.get(kernel, problem.edges), problem.blocks * (kernel == "blocks")
    return [float(size) for size in sizes]


def main() -> None:
    """Measure, fit, print; write with `--write`."""
    torch.manual_seed(0)
    rows: dict[tuple[str, int], list[list[float]]] = {}
    found: dict[tuple[str, int], list[float]] = {}
    table = Table("set", "batch", "kernel", "us", "of edges", title=f"training steps; {machine.described()}")
    lines = ["set,batch,kernel,microseconds"]
    for problem in track(list(problems()), "measuring"):
        for batch in BATCHES:
            if problem.edges * batch > 400_000_000 or problem.units * batch > 7_000_000:
                continue
            times = measured(problem, batch)
            for kernel, taken in times.items():
                # Edges in blocks and windows read rows that are in the cache: random ones judge `edges`.
                if kernel != "edges" or not (problem.blocks or problem.windows):
                    rows.setdefault((kernel, batch), []).append(features(kernel, problem))
                    found.setdefault((kernel, batch), []).append(taken)
                of = f"{taken / times.get('edges', taken):.2f}"
                table.add_row(problem.name, str(batch), kernel, f"{taken:.0f}", of)
                lines.append(f"{problem.name},{batch},{kernel},{taken:.0f}")
    Console(width=100).print(table)
    fitted: dict[str, list[str]] = {}
    columns = ("kernel", "batch", "call", "unit", "weight", "block", "median error")
    costs = Table(*columns, title="fitted, us")
    for kernel, batch in sorted(rows):
        a, b = np.array(rows[kernel, batch]), np.array(found[kernel, batch])
        values, _ = nnls(a / b[:, None], np.ones(len(b)))
        error = np.median(np.abs(a @ values / b - 1))
        costs.add_row(kernel, str(batch), *(f"{value:.3g}" for value in values), f"{error:.0%}")
        named = zip(("call", "unit", "weight", "block"), values, strict=True)
        numbers = ", ".join(f"{name}={value:.3g}" for name, value in named if value or name != "block")
        fitted.setdefault(kernel, []).append(f"        Cost(batch={batch}, {numbers}),")
    Console(width=100).print(costs)
    if "--write" in sys.argv[1:]:
        head, _, _ = MEASURED.read_text().partition("COSTS: dict")
        tables = "".join(
            f'    "{kernel}": (\n' + "\n".join(own) + "\n    ),\n" for kernel, own in fitted.items()
        )
        MEASURED.write_text(f"{head}COSTS: dict[str, tuple[Cost, ...]] = {{\n{tables}}}\n")
        TABLE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
