"""Windows with shared weights: found in the edges of specs, and computed as PyTorch's convolutions, exactly.

What is drawn is a convolution in PyTorch's words; the spec says its edges. Integers are so few and small that
no sum is rounded, in any order.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnspec.backends.common.kernels.windows import Windows
from nnspec.backends.numpy.kernels.convolution import convolve, convolve_back, convolve_weight
from nnspec.backends.parts import window_fields
from nnspec.compiler.edges.convolution import NoWindow, window_of
from nnspec.compiler.edges.edge_set import EdgeSet, Indices
from nnspec.compiler.graph.graph import Spread
from nnspec.compiler.pipeline import understand

DRAWS = 200
BATCH = 3


@dataclass(frozen=True)
class Drawn:
    """A convolution in PyTorch's words, and how a spec says it.

    `pad` are units before and behind every dimension; `order` and `signs` are those of the numbers of a key:
    the target's channel, the source's in its group, and the offsets.
    """

    channels: tuple[int, int]
    groups: int
    grid: tuple[int, ...]
    extents: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pad: tuple[tuple[int, int], ...]
    wrap: bool
    last: tuple[bool, bool]
    order: tuple[int, ...]
    signs: tuple[int, ...]

    @property
    def places(self) -> tuple[int, ...]:
        """How many places the window has along every dimension."""
        given = zip(self.grid, self.extents, self.stride, self.dilation, self.pad, strict=True)
        return tuple((n + sum(pad) - d * (k - 1) - 1) // s + 1 for n, k, s, d, pad in given)

    @property
    def kernel(self) -> tuple[int, ...]:
        """The shape of PyTorch's weight."""
        return (self.channels[0], self.channels[1] // self.groups, *self.extents)

    def spec(self) -> str:
        """A spec of these edges, in which keys say which have one weight."""
        rank = len(self.grid)
        targets, sources = self.channels
        names = [f"r{at}" for at in range(rank)]
        read = [
            f"{s} * {name} + {d} * p{at} - {before}"
            for at, (name, s, d, (before, _)) in enumerate(
                zip(names, self.stride, self.dilation, self.pad, strict=True)
            )
        ]
        behind, before = ([*read, "m"] if self.last[0] else ["m", *read]), ["k", *names]
        ends = f"({', '.join(behind)}) -> ({', '.join([*before[1:], 'k'] if self.last[1] else before)})"
        clauses = [f"p{at} in 0..{extent - 1}" for at, extent in enumerate(self.extents)]
        if self.groups > 1:
            clauses.append(f"m // {sources // self.groups} == k // {targets // self.groups}")
        key = ["k", f"m % {sources // self.groups}", *(f"p{at}" for at in range(rank))]
        keys = ", ".join(f"{self.signs[at] * 1} * ({key[at]})" for at in self.order)
        sides = [
            [*grid, count] if last else [count, *grid]
            for grid, count, last in (
                (self.grid, sources, self.last[0]),
                (self.places, targets, self.last[1]),
            )
        ]
        outside = "wrap" if self.wrap else "skip"
        return (
            f"model m\ninput x{sides[0]}\nlayer y{sides[1]}\n"
            f"connect x -> y : {{ {ends} : {', '.join(clauses)} ; outside = {outside} }} "
            f"with share = ({keys})\n"
        )

    def weight(self, entries: Any) -> Any:
        """PyTorch's weight, of entries in the order of their keys."""
        shape = self.kernel
        held = entries.reshape([shape[at] for at in self.order])
        held = held.permute([self.order.index(at) for at in range(len(shape))])
        return held.flip([at for at, sign in enumerate(self.signs) if sign < 0])


def drawn(seed: int) -> Drawn:
    """A convolution along one to three dimensions."""
    rng = np.random.default_rng(seed)

    def one(low: int, high: int) -> int:
        return int(rng.integers(low, high, endpoint=True))

    while True:
        rank, groups, wrap = 1 + seed % 3, one(1, 3), bool(rng.random() < 0.25)
        per_group = one(1, 2), one(1, 2)
        extents = tuple(one(1, 3) for _ in range(rank))
        stride, dilation = tuple(one(1, 3) for _ in range(rank)), tuple(one(1, 2) for _ in range(rank))
        grid = tuple(one(4, 9 - rank) for _ in range(rank))
        reach = [d * (k - 1) + 1 for d, k in zip(dilation, extents, strict=True)]
        pad = tuple((one(0, r - 1), one(0, r - 1)) for r in reach)
        if wrap:  # each place of the ring, and as many of them as there are steps
            if any(n % s or r > n for n, s, r in zip(grid, stride, reach, strict=True)):
                continue
            before = [one(0, r - 1) for r in reach]
            steps = zip(grid, stride, reach, before, strict=True)
            pad = tuple((b, (n // s - 1) * s + r - n - b) for n, s, r, b in steps)
        made = Drawn(
            (groups * per_group[0], groups * per_group[1]),
            groups,
            grid,
            extents,
            stride,
            dilation,
            pad,
            wrap,
            (bool(rng.random() < 0.2), bool(rng.random() < 0.2)),
            tuple(map(int, rng.permutation(2 + rank) if rng.random() < 0.3 else range(2 + rank))),
            (1, 1, *(int(rng.choice([1, -1], p=[0.8, 0.2])) for _ in range(rank))),
        )
        if min(made.places) > 0 and all(map(told, range(rank), [made] * rank)) and math.prod(made.places) > 1:
            return made


def told(at: int, case: Drawn) -> bool:
    """Whether the edges tell all of a dimension: each offset is there, one of them at two neighbours."""
    steps = [case.stride[at] * t - case.pad[at][0] for t in range(case.places[at])]
    offsets = [case.dilation[at] * p for p in range(case.extents[at])]
    there = [[case.wrap or 0 <= step + offset < case.grid[at] for step in steps] for offset in offsets]
    twice = any(a and b for row in there for a, b in itertools.pairwise(row))
    return all(map(any, there)) and (twice or len(steps) == 1)


def edges_of(text: str) -> tuple[EdgeSet, Indices, int]:
    """The edges of the only connection, the entry of each, and how many entries there are."""
    (op,) = understand(Path("m.nnspec"), text=text).plan.graph.projections
    assert isinstance(op.weight, Spread), text
    assert op.weight.index is not None
    return op.edges, op.weight.index, math.prod(op.weight.of.shape)


def windows_of(text: str) -> tuple[Windows, np.ndarray, np.ndarray]:
    """The convolution that a connection is, and its edges."""
    edges, index, entries = edges_of(text)
    window = window_of(edges, index, entries)
    return Windows(**window_fields(window)), *edges.edges()  # pyright: ignore


def by_pytorch(case: Drawn, x: np.ndarray, entries: np.ndarray, g: np.ndarray) -> list[np.ndarray]:
    """What PyTorch's own convolution makes of units and entries, and both gradients."""
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    leaf, weight = (torch.tensor(array, requires_grad=True) for array in (x, entries))
    if case.last[0]:
        grid = leaf.reshape(-1, *case.grid, case.channels[1]).movedim(-1, 1)
    else:
        grid = leaf.reshape(-1, case.channels[1], *case.grid)
    for at, (before, after) in enumerate(case.pad):
        if case.wrap:  # unit by unit: the ring is laid out as far as the window reaches
            places = torch.arange(-before, case.grid[at] + after) % case.grid[at]
            grid = grid.index_select(at + 2, places)
        else:
            added = [0] * (2 * len(case.pad))
            added[2 * (len(case.pad) - 1 - at) :][:2] = []
            added[2 * (len(case.pad) - 1 - at) : 2 * (len(case.pad) - 1 - at)] = [before, after]
            grid = functional.pad(grid, added)
    convolution = getattr(functional, f"conv{len(case.grid)}d")
    y = convolution(grid, case.weight(weight), None, case.stride, 0, case.dilation, case.groups)
    y = (y.movedim(1, -1) if case.last[1] else y).reshape(len(x), -1)
    found = y, *torch.autograd.grad(y, [leaf, weight], torch.tensor(g))
    return [tensor.detach().numpy() for tensor in found]


def integers(windows: Windows, seed: int) -> list[np.ndarray]:
    """Units, entries, and the gradient of what is made of them."""
    rng, (targets, sources) = np.random.default_rng(seed), windows.shape
    shapes = (BATCH, sources), (math.prod(windows.kernel),), (BATCH, targets)
    return [rng.integers(-8, 8, shape, endpoint=True).astype(np.float64) for shape in shapes]


@pytest.fixture(scope="module", params=[5, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
def cases(request: pytest.FixtureRequest) -> list[tuple[Drawn, Windows, np.ndarray, np.ndarray]]:
    """The convolutions that are drawn, each found in the edges of its spec."""
    every = [drawn(seed) for seed in range(0, DRAWS, request.param)]
    return [(case, *windows_of(case.spec())) for case in every]


def test_what_is_drawn_differs_in_everything() -> None:
    every = [drawn(seed) for seed in range(DRAWS)]
    for differs in (
        lambda case: case.groups > 1,
        lambda case: case.groups == case.channels[1] > 1,
        lambda case: case.wrap,
        lambda case: max(case.stride) > 1 and max(case.dilation) > 1,
        lambda case: any(before != after for before, after in case.pad),
        lambda case: case.order != tuple(range(len(case.order))),
        lambda case: -1 in case.signs,
        lambda case: case.last == (True, False),
        lambda case: case.last == (False, True),
    ):
        assert sum(map(differs, every)) > 8
    assert {len(case.grid) for case in every} == {1, 2, 3}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numpy_and_pytorch_give_what_the_convolutions_of_pytorch_do(cases: Any, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    from nnspec.backends.torch.kernels.convolution import ConvolutionProjection

    for seed, (case, windows, source, target) in enumerate(cases):
        drawn_now = integers(windows, seed)
        wanted = by_pytorch(case, *drawn_now)
        x, weight, g = (array.astype(dtype) for array in drawn_now)
        found = [convolve(x, weight, windows), convolve_back(g, weight, windows)]
        found.append(convolve_weight(x, g, windows))
        layer = ConvolutionProjection(source, target, windows)
        leaves = [torch.tensor(array, requires_grad=True) for array in (x, weight)]
        y = layer(leaves[0], weight=leaves[1])
        own = [each.detach().numpy() for each in (y, *torch.autograd.grad(y, leaves, torch.tensor(g)))]
        for result, other, exact in zip(found, own, wanted, strict=True):
            assert result.dtype == other.dtype == dtype
            assert np.array_equal(result, exact), (case, "numpy")
            assert np.array_equal(other, exact), (case, "torch")


def test_keras_gives_what_the_convolutions_of_pytorch_do(cases: Any) -> None:
    keras = pytest.importorskip("keras")
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.fail("these tests run with Keras on TensorFlow")
    from nnspec.backends.keras.kernels.convolution import ConvolutionProjection

    for seed, (case, windows, source, target) in enumerate(cases):
        drawn_now = integers(windows, seed)
        x, weight, g = (tf.constant(array.astype("float32")) for array in drawn_now)
        layer = ConvolutionProjection(windows, source, target)
        with tf.GradientTape() as tape:
            tape.watch([x, weight])
            y = layer([x, weight])
        found = [each.numpy() for each in (y, *tape.gradient(y, [x, weight], g))]
        for result, exact in zip(found, by_pytorch(case, *drawn_now), strict=True):
            assert np.array_equal(result, exact), case
    again = ConvolutionProjection.from_config(layer.get_config())
    assert np.array_equal(again.digest, layer.digest)
    assert np.array_equal(again([x, weight]), layer([x, weight]))


def test_one_kernel_for_all_channels_is_a_convolution_of_each() -> None:
    torch = pytest.importorskip("torch")
    windows, *_ = windows_of(
        "model m\ninput x[3, 6, 7]\nlayer y[3, 6, 7]\nconnect x -> y : "
        "{ (k, r + a, c + b) -> (k, r, c) : a in -1..1, b in -2..2 ; outside = skip } with share = (a, b)\n"
    )
    assert windows.copies == 3
    x, weight, g = integers(windows, 1)
    grid, kernel = torch.tensor(x).view(-1, 1, 6, 7), torch.tensor(weight).view(1, 1, 3, 5)
    wanted = torch.nn.functional.conv2d(grid, kernel, padding=(1, 2)).reshape(BATCH, -1).numpy()
    assert np.array_equal(convolve(x, weight, windows), wanted)
    # Each is linear in each of what it takes, so that these are one number.
    of_x, of_weight = convolve_back(g, weight, windows), convolve_weight(x, g, windows)
    assert np.vdot(g, wanted) == np.vdot(of_x, x) == np.vdot(of_weight, weight)


NEARLY = {
    "(r + a) -> (k, r) : a in 0..2, r != 3 ; outside = skip | share = (k, a)": "of its",
    "(r + a) -> (k, r) : a in 0..2, a * k != 2 ; outside = skip | share = (k, a)": "not every offset has",
    "(r + a * a) -> (k, r) : a in 0..2 ; outside = skip | share = (k, a)": "not evenly apart",
    "(r + a) -> (k, r) : a in 0..2 ; outside = skip | share = (k, (a * 5) % 3)": "order of its keys",
    "(r + a) -> (k, r) : a in 0..2 ; outside = skip | share = a": "channels share weights",
}


@pytest.mark.parametrize("edges", NEARLY)
def test_what_is_nearly_a_convolution_is_told(edges: str) -> None:
    ends, share = edges.split(" | ")
    text = f"model m\ninput x[9]\nlayer y[3, 7]\nconnect x -> y : {{ {ends} }} with {share}\n"
    with pytest.raises(NoWindow) as none:
        window_of(*edges_of(text))
    assert NEARLY[edges] in none.value.why
    assert none.value.near
    (choice,) = understand(Path("m.nnspec"), text=text).plan.choices
    assert choice.kernel != "convolution"
    assert f"; no convolution, since {none.value.why}" in choice.reason


def test_what_is_no_window_at_all_is_passed_over() -> None:
    text = "model m\ninput x[20]\nlayer y[20]\nconnect x -> y : random(fan_in = 3) with share = fan_out\n"
    (choice,) = understand(Path("m.nnspec"), text=text).plan.choices
    assert choice.window is None
    assert "convolution" not in choice.reason
