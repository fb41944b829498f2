"""Time and memory of `EdgeProjection` against what people write: `python -m benchmarks.torch_edges`.

100,000 -> 100,000 units, 4 random inputs each, batch 64, float32, eager: forward and both gradients, from and
to contiguous (batch, units). The versions take turns in one run, so that a busy machine slows them all; what
counts are the ratios. R is the time to copy three arrays of (batch, units): about the fewest bytes to move.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from nnspec.backends.torch.kernels.edges import EdgeProjection
from nnspec.backends.torch.kernels.units_first import transposed_copy

UNITS, FAN_IN, BATCH, ROUNDS = 100_000, 4, 64, 7


def random_edges(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw `FAN_IN` different sources for every target: (edges,) sources, (edges,) targets, in order."""
    random = np.random.default_rng(seed)
    source = np.sort(random.integers(0, UNITS, (UNITS, FAN_IN)), axis=1)
    while (repeated := (np.diff(source, axis=1) == 0).any(axis=1)).any():
        source[repeated] = np.sort(random.integers(0, UNITS, (repeated.sum(), FAN_IN)), axis=1)
    return source.ravel(), np.repeat(np.arange(UNITS), FAN_IN)


def peak_memory(run: Callable[[], object]) -> int:
    """Return the most bytes that tensors made by `run` hold at one time."""
    with torch.profiler.profile(profile_memory=True) as profile:
        run()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = np.cumsum([event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())])
    return int(held.max())


def timed(run: Callable[[], object]) -> float:
    """Return the milliseconds that `run` takes."""
    start = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - start)


def main() -> None:
    """Measure, and print a table."""
    torch.manual_seed(0)
    source, target = random_edges(seed=0)
    layer = EdgeProjection(source, target, (UNITS, UNITS))
    torch.nn.init.normal_(layer.weight)
    weight = layer.weight.detach().view(UNITS, FAN_IN).clone().requires_grad_()
    index = torch.from_numpy(source.reshape(UNITS, FAN_IN))
    x = torch.randn(BATCH, UNITS, requires_grad=True)
    grad = torch.randn(BATCH, UNITS)
    copies = [torch.empty(BATCH, UNITS) for _ in range(3)]

    def naive() -> tuple[torch.Tensor, ...]:
        y = (x[:, index] * weight).sum(-1)
        return y, *torch.autograd.grad(y, (x, weight), grad)

    def edges() -> tuple[torch.Tensor, ...]:
        y = transposed_copy(layer(x).t())
        return y, *torch.autograd.grad(y, (x, layer.weight), grad)

    def chained_edges() -> tuple[torch.Tensor, ...]:
        """Take and give transposed views, as between two sparse layers."""
        y = layer(x_view)
        return y, *torch.autograd.grad(y, (x_view, layer.weight), grad_view)

    def copy() -> None:
        for array in copies:
            array.copy_(grad)

    x_view = x.detach().t().contiguous().t().requires_grad_()
    grad_view = grad.t().contiguous().t()

    for ours, reference in zip(edges(), naive(), strict=True):
        torch.testing.assert_close(ours.flatten(), reference.flatten(), rtol=1e-4, atol=1e-4)
    versions = {
        "R": copy,
        "EdgeProjection": edges,
        "EdgeProjection in a chain": chained_edges,
        "(x[:, index] * w).sum(-1)": naive,
    }
    times: dict[str, list[float]] = {name: [] for name in versions}
    for _ in range(ROUNDS):
        for name, run in versions.items():
            times[name].append(timed(run))

    results = 4 * (2 * BATCH * UNITS + UNITS * FAN_IN)  # bytes of y and both gradients
    medians = {name: statistics.median(values) for name, values in times.items()}
    copying, obvious = medians["R"], medians["(x[:, index] * w).sum(-1)"]
    table = Table(
        caption="extra: bytes held at the peak beyond x, the incoming gradient and the three results",
        title=f"{UNITS:,} -> {UNITS:,}, fan-in {FAN_IN}, batch {BATCH}, float32, "
        f"{torch.get_num_threads()} threads, {ROUNDS} rounds",
    )
    table.add_column("version")
    for heading in ("median ms", "min to max", "in R", "of naive", "extra MB"):
        table.add_column(heading, justify="right")
    for name, run in versions.items():
        extra = "" if run is copy else f"{(peak_memory(run) - results) / 1e6:.0f}"
        table.add_row(
            name,
            f"{medians[name]:.1f}",
            f"{min(times[name]):.1f} to {max(times[name]):.1f}",
            f"{medians[name] / copying:.1f}",
            f"1/{obvious / medians[name]:.1f}",
            extra,
        )
    Console().print(table)


if __name__ == "__main__":
    main()
