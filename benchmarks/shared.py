"""Shared weights on irregular graphs against a weight for every edge: `python -m benchmarks.shared`.

A graph of 100,000 units and 4 edges into each, for a batch of 64: forward and the gradients of the input and
of the weights, of which there are as many as edges, or fewer that edges share. The versions take turns, and
what counts are the ratios.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from nnspec.backends.torch.kernels.edges import EdgeProjection
from nnspec.backends.torch.kernels.entries import Spread

from . import machine

UNITS, FAN_IN, BATCH = 100_000, 4, 64
ENTRIES = (9, 1_000, 50_000)


def versions(units: int, batch: int) -> dict[str, Callable[[], tuple[Tensor, ...]]]:
    """A step with gradients, by how many weights there are."""
    rng = np.random.default_rng(0)
    keys = np.unique(rng.integers(0, units * units, FAN_IN * units))
    target, source = np.divmod(keys, units)
    layer = EdgeProjection(source, target, (units, units), weighted=False)
    x, grad = torch.randn(units, batch).t().requires_grad_(), torch.randn(units, batch).t()
    own = torch.randn(len(keys), requires_grad=True)
    made: dict[str, Callable[[], tuple[Tensor, ...]]] = {
        "one an edge": lambda: torch.autograd.grad(layer(x, weight=own), (x, own), grad)
    }
    for entries in ENTRIES:
        spread = Spread(rng.integers(0, entries, len(keys)), (entries,), (len(keys),))
        shared = torch.randn(entries, requires_grad=True)
        made[f"{entries:,} shared"] = lambda spread=spread, shared=shared: torch.autograd.grad(
            layer(x, weight=spread(shared)), (x, shared), grad
        )
    return made


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    steps = versions(UNITS, BATCH)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(options.rounds + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if turn:
                times[name].append(1e3 * (time.perf_counter() - start))
    title = f"{options.threads} threads, medians of {options.rounds} turns; {machine.described()}"
    table = Table("weights", "ms", "ratio", "ratio of the least", title=title)
    first = times["one an edge"]
    for name, taken in times.items():
        ratio, least = statistics.median(taken) / statistics.median(first), min(taken) / min(first)
        table.add_row(name, f"{statistics.median(taken):.1f}", f"{ratio:.2f}", f"{least:.2f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
