"""Generated convolutions against `nn.Conv2d`: `python -m benchmarks.convolution`.

The first layers of LeNet-5 and of the ResNet for images of 32 x 32, and LeNet's second convolution with all
maps connected: a spec with shared weights, compiled, beside a module with `nn.Conv2d` and `nn.Tanh` that has
the same weights. Forward, and forward with the gradients of image and weights. The versions take turns, one
step each, and what counts is the ratio of the medians; that of the least times stands beside. On one thread,
times are those of the process.
"""

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from nnspec.compiler import compile_spec

from . import machine


class Problem(NamedTuple):
    """A convolution of squares: channels and sides of both, extent and padding."""

    name: str
    sources: int
    side: int
    targets: int
    places: int
    extent: int
    pad: int
    batch: int

    def spec(self) -> str:
        """The network of this layer alone."""
        last = self.extent - 1
        return (
            "model net\n"
            f"input image[{self.sources}, {self.side}, {self.side}]\n"
            f"layer maps[{self.targets}, {self.places}, {self.places}] : bias(per = 0), tanh\n"
            f"connect image -> maps : {{ (m, r + a - {self.pad}, c + b - {self.pad}) -> (k, r, c) : "
            f"a in 0..{last}, b in 0..{last} ; outside = skip }} with share = (k, m, a, b)\n"
        )


PROBLEMS = (
    Problem("LeNet-5, C1", 1, 28, 6, 28, 5, 2, 64),
    Problem("LeNet-5, C3, all maps", 6, 14, 16, 10, 5, 0, 64),
    Problem("ResNet of 32 x 32, first", 3, 32, 16, 32, 3, 1, 32),
)


def generated(problem: Problem) -> nn.Module:
    """The module of a problem's spec."""
    with tempfile.TemporaryDirectory() as written:
        folder = Path(written)
        spec = folder / "net.nnspec"
        spec.write_text(problem.spec())
        for file, content in compile_spec(spec, ["torch"], batch=problem.batch).files.items():
            (folder / file).write_bytes(content)
        loading = importlib.util.spec_from_file_location("net", folder / "net_torch.py")
        assert loading is not None
        assert loading.loader is not None
        module = importlib.util.module_from_spec(loading)
        loading.loader.exec_module(module)
        return module.Net()


def by_hand(problem: Problem, net: nn.Module) -> nn.Module:
    """What people write, with the weights of the generated module."""
    convolution = nn.Conv2d(problem.sources, problem.targets, problem.extent, padding=problem.pad)
    arrays = {name: torch.tensor(array) for name, array in net.to_arrays().items()}
    with torch.no_grad():
        convolution.weight.copy_(arrays["image_maps.weight"].view_as(convolution.weight))
        convolution.bias.copy_(arrays["maps.bias"])
    return nn.Sequential(convolution, nn.Tanh())


def steps(problem: Problem, net: nn.Module) -> dict[str, Callable[[], object]]:
    """A forward pass, and one with gradients."""
    image = torch.randn(problem.batch, problem.sources, problem.side, problem.side)
    grad = torch.randn(problem.batch, problem.targets, problem.places, problem.places)
    leaves = [image.requires_grad_(), *net.parameters()]

    def forward() -> Tensor:
        with torch.no_grad():
            return net(image)

    return {
        "forward": forward,
        "with gradients": lambda: torch.autograd.grad(net(image), leaves, grad),
    }


def turns(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int, clock: Callable[[], float]
) -> tuple[list[float], list[float]]:
    """Milliseconds of each in every turn; they change places from one to the next."""
    times: tuple[list[float], list[float]] = [], []
    for turn in range(-3, rounds):
        for at in ((0, 1), (1, 0))[turn % 2]:
            start = clock()
            (ours, theirs)[at]()
            if turn >= 0:
                times[at].append(1e3 * (clock() - start))
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.threads == 1 else time.perf_counter
    columns = ("layer", "step", "generated, ms", "nn.Conv2d, ms", "ratio", "ratio of the least")
    title = f"{options.threads} threads, medians of {options.rounds} turns; {machine.described()}"
    table = Table(*columns, title=title)
    for problem in PROBLEMS:
        net = generated(problem)
        peer = by_hand(problem, net)
        image = torch.randn(2, problem.sources, problem.side, problem.side)
        torch.testing.assert_close(net(image), peer(image), rtol=1e-4, atol=1e-5)
        own, other = steps(problem, net), steps(problem, peer)
        for kind in own:
            ours, theirs = turns(own[kind], other[kind], options.rounds, clock)
            medians = statistics.median(ours), statistics.median(theirs)
            table.add_row(
                f"{problem.name}, batch {problem.batch}",
                kind,
                *(f"{median:.2f}" for median in medians),
                f"{medians[0] / medians[1]:.2f}",
                f"{min(ours) / min(theirs):.2f}",
            )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
