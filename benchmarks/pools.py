"""Pooling along edges against gathers with autograd: `python -m benchmarks.pools`.

100,000 units pool 2 to 6 inputs each, for a batch of 64: forward and the gradient of the input, and where
there are weights that of the weights too. The peer is what people write, a table of inputs that is padded to
the largest fan-in, and `amax` or `prod` of what it gathers; once batch first, and once units first, which is
better to the memory. A plain sum along the same edges stands beside them. The versions take turns in one run,
so that a busy machine slows them all; what counts are the ratios. On one thread, times are those of the
process; memory is the most bytes of tensors beyond the input's gradient.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from nnspec.backends.torch.kernels.edge_weights import EdgeWeights
from nnspec.backends.torch.kernels.edges import EdgeProjection
from nnspec.backends.torch.kernels.pool import EdgeMax, EdgeProduct

from . import machine
from .torch_versions import peak_bytes

UNITS, BATCH = 100_000, 64
NOTHING = {"max": -torch.inf, "product": 1.0}
POOLS = {"max": EdgeMax, "product": EdgeProduct}
WEIGHTED = {False: "", True: ", weighted"}


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
    factors = torch.rand(len(source)) + 0.5
    matrix = torch.zeros(held.shape).masked_scatter(held, factors)

    def gathered(kind: str, weighted: bool, units_first: bool) -> Tensor:
        leaf, weight = (
            (x_units if units_first else x).detach().requires_grad_(),
            matrix.clone().requires_grad_(),
        )
        parts = leaf[table] if units_first else leaf[:, table]
        if weighted:
            parts = parts * (weight[..., None] if units_first else weight)
        parts = parts.masked_fill(~(held[..., None] if units_first else held), NOTHING[kind])
        reduced(parts, kind, 1 if units_first else 2).backward(grad_units if units_first else grad)
        return leaf.grad.t() if units_first else leaf.grad

    def along(layer: torch.nn.Module) -> Tensor:
        leaf = x_units.t().detach().requires_grad_()
        layer(leaf).backward(grad_units.t())
        layer.zero_grad()
        return leaf.grad

    def layer_of(pool: type[EdgeWeights], weighted: bool) -> torch.nn.Module:
        layer = pool(source, target, (units, units), weighted=weighted)
        if weighted:
            with torch.no_grad():
                layer.weight.copy_(factors)
        return layer

    made: dict[str, Callable[[], Tensor]] = {}
    for weighted, words in WEIGHTED.items():
        for kind, pool in {**POOLS, "sum": EdgeProjection}.items():
            made[f"{kind}{words}: along edges"] = partial(along, layer_of(pool, weighted))
            if kind in POOLS:
                made[f"{kind}{words}: gather, batch first"] = partial(gathered, kind, weighted, False)
                made[f"{kind}{words}: gather, units first"] = partial(gathered, kind, weighted, True)
    return made


def main() -> None:
    """Check that all give the same, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--units", type=int, default=UNITS)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    clock = time.process_time if given.threads == 1 else time.perf_counter
    made = versions(given.units, given.batch)
    for name, function in made.items():
        kind, _, way = name.partition(": ")
        if way != "along edges":
            ours = made[f"{kind}: along edges"]()
            torch.testing.assert_close(ours, function(), rtol=1e-3, atol=1e-3)
    times: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(given.rounds):
        for name, function in made.items():
            begun = clock()
            function()
            times[name].append(clock() - begun)
    table = Table("version", "ms", "min to max", "to the same along edges", "extra MB")
    for name, measured in times.items():
        ours = times[f"{name.partition(':')[0]}: along edges"]
        ratio = statistics.median(one / own for one, own in zip(measured, ours, strict=True))
        held = peak_bytes(made[name], 4 * given.units * given.batch)
        table.add_row(
            name,
            f"{1e3 * statistics.median(measured):,.0f}",
            f"{1e3 * min(measured):,.0f} to {1e3 * max(measured):,.0f}",
            f"{ratio:.1f}",
            f"{held / 1e6:,.0f}",
        )
    console = Console(width=120)
    console.print(
        f"{given.units:,} units, batch {given.batch}, threads {given.threads}; {machine.described()}"
    )
    console.print(table)


if __name__ == "__main__":
    main()
