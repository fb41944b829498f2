"""Pooling along edges against gathers with autograd: `python -m benchmarks.pools`.

100,000 units pool 2 to 6 inputs each, for a batch of 64: forward and the gradient of the input. The peer is
what people write, a table of inputs that is padded to the largest fan-in, and `amax` or `prod` of what it
gathers; once batch first, and once units first, which is better to the memory. A plain sum along the same
edges stands beside them. The versions take turns in one run, so that a busy machine slows them all; what
counts are the ratios. Peak memory is that of a process of its own.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from nnspec.backends.torch.kernels.edges import EdgeProjection
from nnspec.backends.torch.kernels.pool import EdgeMax, EdgeProduct

from . import machine

UNITS, BATCH = 100_000, 64
NOTHING = {"max": -torch.inf, "product": 1.0}
POOLS = {"max": EdgeMax, "product": EdgeProduct}


def edges(units: int) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of 2 to 6 edges into every unit, in canonical order."""
    rng = np.random.default_rng(0)
    target = np.repeat(np.arange(units), rng.integers(2, 7, units))
    keys = np.unique(target * units + rng.integers(0, units, len(target)))
    return keys % units, keys // units


def padded(source: np.ndarray, target: np.ndarray, units: int) -> tuple[Tensor, Tensor]:
    """A table (units, largest fan-in) of sources, and where it holds one."""
    fan_in = np.bincount(target, minlength=units)
    held = np.arange(fan_in.max()) < fan_in[:, None]
    table = np.zeros(held.shape, np.int64)
    table[held] = source
    return torch.from_numpy(table), torch.from_numpy(held)


def reduced(parts: Tensor, kind: str, dimension: int) -> Tensor:
    """What is pooled along a dimension, as people write it."""
    return parts.amax(dimension) if kind == "max" else parts.prod(dimension)


def versions(units: int, batch: int) -> dict[str, Callable[[], Tensor]]:
    """Functions that pool and return the gradient of the input, by name; inputs lie as each likes them."""
    source, target = edges(units)
    torch.manual_seed(0)
    x, grad = torch.randn(batch, units), torch.randn(batch, units)
    x_units, grad_units = x.t().contiguous(), grad.t().contiguous()
    table, held = padded(source, target, units)

    def gathered(kind: str) -> Tensor:
        leaf = x.detach().requires_grad_()
        reduced(leaf[:, table].masked_fill(~held, NOTHING[kind]), kind, 2).backward(grad)
        return leaf.grad

    def gathered_units_first(kind: str) -> Tensor:
        leaf = x_units.detach().requires_grad_()
        reduced(leaf[table].masked_fill(~held[..., None], NOTHING[kind]), kind, 1).backward(grad_units)
        return leaf.grad.t()

    def along(layer: torch.nn.Module) -> Tensor:
        leaf = x_units.t().detach().requires_grad_()
        layer(leaf).backward(grad_units.t())
        return leaf.grad

    made: dict[str, Callable[[], Tensor]] = {}
    for kind, pool in POOLS.items():
        layer = pool(source, target, (units, units), weighted=False)
        made[f"{kind}, along edges"] = lambda layer=layer: along(layer)
        made[f"{kind}, gather, batch first"] = lambda kind=kind: gathered(kind)
        made[f"{kind}, gather, units first"] = lambda kind=kind: gathered_units_first(kind)
    total = EdgeProjection(source, target, (units, units), weighted=False)
    made["sum, along edges"] = lambda: along(total)
    return made


def memory(name: str, units: int, batch: int) -> float:
    """The growth of resident memory in the first call of a process of its own, in MiB."""
    code = (
        "import resource\nfrom benchmarks.pools import versions\n"
        f"made = versions({units}, {batch})\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"made[{name!r}]()\nprint((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)\n"
    )
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout)


def main() -> None:
    """Check that all give the same, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--units", type=int, default=UNITS)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    # First, because a process begins with the peak of the one that starts it.
    held = {name: memory(name, given.units, given.batch) for name in versions(10, 1)}
    made = versions(given.units, given.batch)
    for kind in POOLS:
        ours = made[f"{kind}, along edges"]()
        for layout in ("batch first", "units first"):
            torch.testing.assert_close(ours, made[f"{kind}, gather, {layout}"](), rtol=1e-3, atol=1e-4)
    times: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(given.rounds):
        for name, function in made.items():
            begun = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - begun)
    table = Table("version", "ms", "to the same along edges", "memory, MiB")
    for name, measured in times.items():
        ours = times[f"{name.partition(',')[0]}, along edges"]
        ratio = statistics.median(one / own for one, own in zip(measured, ours, strict=True))
        table.add_row(name, f"{1e3 * statistics.median(measured):,.0f}", f"{ratio:.1f}", f"{held[name]:,.0f}")
    console = Console()
    console.print(f"{given.units:,} units, batch {given.batch}, {machine.described()}")
    console.print(table)


if __name__ == "__main__":
    main()
