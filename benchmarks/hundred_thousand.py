"""The example `hundred_thousand` against what people write: `python -m benchmarks.hundred_thousand`.

100,000 neurons with 2 to 6 given inputs are one layer of a larger PyTorch model. Measured are the time from
the spec to the files; the layer alone, forward and all gradients, between contiguous arrays as dense layers
give them; and a training step of the larger model with Adam, and its peak memory in processes of its own. The
compiled layer stands against the same layer in three other ways, and in the larger model against none. The
versions take turns in one run, so that a busy machine slows them all; what counts are the ratios.
"""

import argparse
import resource
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from . import machine

EXAMPLES = Path(__file__).parent.parent / "examples"
BATCH, ROUNDS = 64, 9


class Padded(nn.Module):
    """A table of inputs, as wide as the largest fan-in: `(x[:, index] * weight).sum(-1)`."""

    def __init__(self, source: Tensor, target: Tensor, units: int) -> None:
        super().__init__()
        fan_in = torch.bincount(target, minlength=units)
        held = torch.arange(int(fan_in.max())) < fan_in[:, None]
        self.register_buffer("index", torch.zeros(held.shape, dtype=torch.int64).masked_scatter(held, source))
        self.register_buffer("held", held.float())
        self.weight, self.bias = nn.Parameter(torch.zeros(held.shape)), nn.Parameter(torch.zeros(units))

    def load(self, weight: Tensor) -> None:
        """Take weights in the order of the edges."""
        self.weight.data.masked_scatter_(self.held.bool(), weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, units) to (batch, units)."""
        return torch.tanh((x[:, self.index] * (self.weight * self.held)).sum(-1) + self.bias)


class ByFanIn(nn.Module):
    """A table without padding for the neurons of each fan-in."""

    def __init__(self, source: Tensor, target: Tensor, units: int) -> None:
        super().__init__()
        fan_in = torch.bincount(target, minlength=units)
        tables, neurons = [], []
        for inputs in fan_in.unique().tolist():
            tables.append(source[fan_in[target] == inputs].view(-1, inputs))
            neurons.append(torch.nonzero(fan_in == inputs)[:, 0])
        self.tables, self.edge_fan_in = tables, fan_in[target]
        self.register_buffer("place", torch.argsort(torch.cat(neurons)))
        self.weights = nn.ParameterList(torch.zeros(table.shape) for table in tables)
        self.bias = nn.Parameter(torch.zeros(units))

    def load(self, weight: Tensor) -> None:
        """Take weights in the order of the edges."""
        for own in self.weights:
            own.data.copy_(weight[self.edge_fan_in == own.shape[1]].view(own.shape))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, units) to (batch, units)."""
        sums = [(x[:, table] * own).sum(-1) for table, own in zip(self.tables, self.weights, strict=True)]
        return torch.tanh(torch.cat(sums, dim=1)[:, self.place] + self.bias)


class IndexAdd(nn.Module):
    """Every edge by itself, added up at its target."""

    def __init__(self, source: Tensor, target: Tensor, units: int) -> None:
        super().__init__()
        self.register_buffer("source", source)
        self.register_buffer("target", target)
        self.weight, self.bias = nn.Parameter(torch.zeros(len(source))), nn.Parameter(torch.zeros(units))

    def load(self, weight: Tensor) -> None:
        """Take weights in the order of the edges."""
        self.weight.data.copy_(weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, units) to (batch, units)."""
        sums = x.new_zeros(len(x), len(self.bias))
        return torch.tanh(sums.index_add(1, self.target, x[:, self.source] * self.weight) + self.bias)


WRITTEN = {"padded table": Padded, "by fan-in": ByFanIn, "index_add": IndexAdd}
COMPILED, WITHOUT = "compiled", "no layer"


def spec_to_files(folder: Path) -> list[float]:
    """Make the data, compile three times; return the seconds of each."""
    for name in ("hundred_thousand.nnspec", "hundred_thousand_data.py", "hundred_thousand_train.py"):
        (folder / name).write_bytes((EXAMPLES / name).read_bytes())
    runpy.run_path(str(folder / "hundred_thousand_data.py"))["main"](folder / "hundred_thousand")
    compiler, spec = Path(sys.executable).with_name("spec-compile"), folder / "hundred_thousand.nnspec"
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([compiler, spec, "-o", folder], check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    return seconds


def layer(folder: Path, version: str) -> nn.Module:
    """The sparse layer in one of the versions, all with the same weights."""
    if version == WITHOUT:
        return nn.Identity()
    module = runpy.run_path(str(folder / "hundred_thousand_torch.py"))["HundredThousand"](seed=0)
    if version == COMPILED:
        return module
    stored = np.load(folder / "hundred_thousand.npz")
    source, target = (torch.from_numpy(stored[f"x_y.{end}"]).long() for end in ("source", "target"))
    written = WRITTEN[version](source, target, module.x_y.n_target)
    written.load(module.x_y.weight.detach())
    return written


def training(folder: Path, version: str) -> Callable[[], float]:
    """Return a function that makes one training step of the larger model, and returns its loss."""
    train = runpy.run_path(str(folder / "hundred_thousand_train.py"))
    torch.manual_seed(0)
    model = train["Larger"](layer(folder, version))
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-5)
    x, labels = train["draw"](torch.randn(train["CLASSES"], train["FEATURES"]), BATCH)

    def step() -> float:
        loss = nn.functional.cross_entropy(model(x), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def taking_turns(versions: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Return the milliseconds of every version in every round; the versions take turns."""
    times: dict[str, list[float]] = {name: [] for name in versions}
    for turn in range(ROUNDS + 1):
        for name, run in versions.items():
            start = time.perf_counter()
            run()
            if turn:  # the first warms up
                times[name].append(1000 * (time.perf_counter() - start))
    return times


def peak_megabytes(folder: Path, version: str) -> float:
    """Return the most memory that a process holds that makes three training steps: the median of three."""
    command = [sys.executable, "-m", "benchmarks.hundred_thousand", "--peak", version, str(folder)]
    keep = {"check": True, "capture_output": True, "text": True, "cwd": EXAMPLES.parent}
    return statistics.median(float(subprocess.run(command, **keep).stdout) for _ in range(3))


def measured_layers(folder: Path) -> dict[str, list[float]]:
    """Check that all versions of the layer give the same, and time them alone."""
    layers = {name: layer(folder, name) for name in (COMPILED, *WRITTEN)}
    units = layers[COMPILED].x_y.n_target
    x, grad = torch.randn(BATCH, units, requires_grad=True), torch.randn(BATCH, units)

    def differentiated(module: nn.Module) -> tuple[Tensor, ...]:
        y = module(x)
        return y, *torch.autograd.grad(y, (x, *module.parameters()), grad)

    wanted = differentiated(layers[COMPILED])[:2]
    for module in layers.values():
        torch.testing.assert_close(differentiated(module)[:2], wanted, rtol=1e-4, atol=1e-4)
    return taking_turns(
        {name: lambda module=module: differentiated(module) for name, module in layers.items()}
    )


def measured_steps(folder: Path) -> dict[str, list[float]]:
    """Time the training of all versions of the larger model, and check that all come to the same loss."""
    steps = {name: training(folder, name) for name in (COMPILED, *WRITTEN, WITHOUT)}
    times = taking_turns(steps)
    losses = [step() for name, step in steps.items() if name != WITHOUT]
    assert max(losses) - min(losses) < 1e-3, losses
    return times


def table(title: str, times: dict[str, list[float]], peaks: dict[str, float] | None = None) -> Table:
    """A row for each version."""
    caption = "compiled is: its median as a part of this one's" + "; extra: beyond no layer" * bool(peaks)
    shown = Table(title=title, caption=caption)
    shown.add_column("version")
    for heading in ("median ms", "min to max", "compiled is", *["peak MB", "extra MB"][: 2 * bool(peaks)]):
        shown.add_column(heading, justify="right")
    for name, spent in times.items():
        median = statistics.median(spent)
        cells = [f"{median:.0f}", f"{min(spent):.0f} to {max(spent):.0f}"]
        cells.append(f"1/{median / statistics.median(times[COMPILED]):.1f}" if name != WITHOUT else "")
        if peaks:
            cells += [f"{peaks[name]:.0f}", f"{peaks[name] - peaks[WITHOUT]:.0f}"]
        shown.add_row(name, *cells)
    return shown


def main() -> None:
    """Measure, and print tables; or, with `--peak`, the peak memory of this process in MB."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--peak", nargs=2, metavar=("VERSION", "FOLDER"))
    if peak := parser.parse_args().peak:
        step = training(Path(peak[1]), peak[0])
        for _ in range(3):
            step()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
        return

    console = Console()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds = spec_to_files(folder)
        # Before anything large is made here: Linux counts what the parent held into the peak of its children.
        peaks = {name: peak_megabytes(folder, name) for name in (COMPILED, *WRITTEN, WITHOUT)}
        layers, steps = measured_layers(folder), measured_steps(folder)
    console.print(f"from the spec to the files of three targets: {', '.join(f'{s:.1f}' for s in seconds)} s")
    setting = (
        f"batch {BATCH}, float32, {torch.get_num_threads()} threads, {ROUNDS} rounds; {machine.described()}"
    )
    console.print(table(f"The layer alone: {setting}", layers))
    console.print(table(f"A training step of the larger model: {setting}", steps, peaks))
    plain = statistics.median(steps.pop(WITHOUT))
    added = (f"{name} {statistics.median(spent) - plain:.0f} ms" for name, spent in steps.items())
    console.print(f"what the layer adds to the step: {', '.join(added)}")


if __name__ == "__main__":
    main()
