"""Windows that are pooled: found in the edges of specs, and pooled as edge by edge, exactly, ties included.

What is drawn is a window in a framework's words; the spec says its edges. Whole numbers are so few that there
are many equals, and means are of numbers that all counts divide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnspec.backends.common.kernels.windows import Windows
from nnspec.backends.numpy.kernels import pool as numpy_pool
from nnspec.backends.numpy.kernels import window_pool
from nnspec.backends.parts import window_fields
from nnspec.compiler.edges.convolution import NoWindow
from nnspec.compiler.edges.edge_set import EdgeSet
from nnspec.compiler.edges.pooling import pooled_window
from nnspec.compiler.pipeline import understand

DRAWS, BATCH = 120, 4
REDUCTIONS = ("max", "min", "mean")


@dataclass(frozen=True)
class Drawn:
    """A window over the grid of each channel; `pad` are units before and behind every dimension."""

    channels: int
    grid: tuple[int, ...]
    extents: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pad: tuple[tuple[int, int], ...]
    last: tuple[bool, bool]

    @property
    def places(self) -> tuple[int, ...]:
        """How many places the window has along every dimension."""
        given = zip(self.grid, self.extents, self.stride, self.dilation, self.pad, strict=True)
        return tuple((n + sum(pad) - d * (k - 1) - 1) // s + 1 for n, k, s, d, pad in given)

    def spec(self, reduction: str) -> str:
        """A spec of these edges."""
        names = [f"r{at}" for at in range(len(self.grid))]
        given = zip(names, self.stride, self.dilation, self.pad, strict=True)
        read = [f"{s} * {r} + {d} * p{at} - {before}" for at, (r, s, d, (before, _)) in enumerate(given)]
        source, target = (
            ", ".join([*places, "k"] if last else ["k", *places])
            for places, last in zip((read, names), self.last, strict=True)
        )
        sides = [
            [*grid, self.channels] if last else [self.channels, *grid]
            for grid, last in zip((self.grid, self.places), self.last, strict=True)
        ]
        clauses = ", ".join(f"p{at} in 0..{extent - 1}" for at, extent in enumerate(self.extents))
        return (
            f"model m\ninput x{sides[0]}\nlayer y{sides[1]}\n"
            f"connect x -> y : {{ ({source}) -> ({target}) : {clauses} ; outside = skip }} "
            f"with reduce = {reduction}\n"
        )


def drawn(seed: int) -> Drawn:
    """A window along one to three dimensions, of which every place reads a unit."""
    rng = np.random.default_rng(seed)

    def one(low: int, high: int) -> int:
        return int(rng.integers(low, high, endpoint=True))

    rank = 1 + seed % 3
    while True:
        extents, stride = tuple(one(1, 4) for _ in range(rank)), tuple(one(1, 3) for _ in range(rank))
        dilation = tuple(one(1, 2) if rng.random() < 0.3 else 1 for _ in range(rank))
        grid = tuple(one(2, 9 - rank) for _ in range(rank))
        reach = [d * (k - 1) for d, k in zip(dilation, extents, strict=True)]
        pad = tuple((one(-1, r // 2), one(-1, r // 2 + 1)) for r in reach)
        made = Drawn(one(1, 3), grid, extents, stride, dilation, pad, (one(0, 3) == 0, one(0, 3) == 0))
        if min(made.places) > 0 and windows_reach(made):
            return made


def windows_reach(case: Drawn) -> bool:
    """Whether every place reads a unit, and every offset has a place."""
    for n, k, s, d, (before, _), places in zip(
        case.grid, case.extents, case.stride, case.dilation, case.pad, case.places, strict=True
    ):
        read = s * np.arange(places)[:, None] + d * np.arange(k) - before
        inside = (read >= 0) & (read < n)
        if not (inside.any(axis=1).all() and inside.any(axis=0).all()):
            return False
    return True


def edges_of(text: str) -> EdgeSet:
    """The edges of the only connection that pools."""
    (op,) = understand(Path("m.nnspec"), text=text).plan.graph.projections
    return op.edges


def listed(case: Drawn) -> tuple[Windows, np.ndarray, np.ndarray]:
    """The windows that are found in a spec's edges, and these."""
    edges = edges_of(case.spec("max"))
    return Windows(**window_fields(pooled_window(edges))), *edges.edges()  # pyright: ignore


@pytest.fixture(scope="module", params=[3, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
def cases(request: pytest.FixtureRequest) -> list[tuple[Drawn, Windows, np.ndarray, np.ndarray]]:
    """The windows that are drawn, each found in the edges of its spec; what is one to one is none."""
    every = [drawn(seed) for seed in range(0, DRAWS, request.param)]
    return [(case, *listed(case)) for case in every if math.prod(case.extents) > 1]


def numbers(reduction: str, windows: Windows, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Units, and the gradient of what is pooled."""
    rng, (targets, sources) = np.random.default_rng(seed), windows.shape
    most = math.lcm(*windows.counts().ravel().tolist()) if reduction == "mean" else 1
    return tuple(  # pyright: ignore
        most * rng.integers(-2, 2, (BATCH, units), endpoint=True).astype(np.float64)
        for units in (sources, targets)
    )


def by_edge(reduction: str, x: np.ndarray, g: np.ndarray, source: np.ndarray, target: np.ndarray) -> Any:
    """What is pooled edge by edge, and its gradient: a kernel that other tests hold to loops."""
    given = x, None, source, target, g.shape[1], getattr(numpy_pool, f"{reduction}_of"), 0.0
    slopes = getattr(numpy_pool, f"{reduction}_slopes")
    return numpy_pool.pool(*given), numpy_pool.pool_back(x, g, None, source, target, slopes)


def test_what_is_drawn_differs_in_everything() -> None:
    every = [drawn(seed) for seed in range(DRAWS)]
    for differs in (
        lambda case: max(case.stride) > 1,
        lambda case: max(case.dilation) > 1,
        lambda case: any(before < 0 for before, _ in case.pad),
        lambda case: any(before != after for before, after in case.pad),
        lambda case: any(before > 0 for before, _ in case.pad),
        lambda case: case.last == (True, False),
        lambda case: case.last == (True, True),
    ):
        assert sum(map(differs, every)) > 5
    assert {len(case.grid) for case in every} == {1, 2, 3}


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_numpy_and_pytorch_pool_as_edge_by_edge(cases: Any, reduction: str) -> None:
    torch = pytest.importorskip("torch")
    from nnspec.backends.torch.kernels import window_pool as torch_pool

    classes = {"max": torch_pool.WindowMax, "min": torch_pool.WindowMin, "mean": torch_pool.WindowMean}
    for seed, (case, windows, source, target) in enumerate(cases):
        if reduction == "mean" and max(windows.dilation) > 1:
            continue  # planned edge by edge
        x, g = numbers(reduction, windows, seed)
        y, of_x = by_edge(reduction, x, g, source, target)
        assert np.array_equal(getattr(window_pool, f"{reduction}_of_windows")(x, windows), y), case
        back = getattr(window_pool, f"{reduction}_of_windows_back")
        assert np.array_equal(back(x, g, windows), of_x), case
        for dtype in (torch.float32, torch.float64, torch.bfloat16):
            if dtype == torch.bfloat16 and np.abs([*y.flat, *of_x.flat]).max() > 256:
                continue
            leaf = torch.tensor(x, dtype=dtype, requires_grad=True)
            own = classes[reduction](source, target, windows)(leaf)
            (slope,) = torch.autograd.grad(own, leaf, torch.tensor(g, dtype=dtype))
            assert own.dtype == dtype
            assert np.array_equal(own.detach().double().numpy(), y), case
            assert np.array_equal(slope.double().numpy(), of_x), case


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_keras_pools_as_edge_by_edge(cases: Any, reduction: str) -> None:
    keras = pytest.importorskip("keras")
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.fail("these tests run with Keras on TensorFlow")
    from nnspec.backends.keras.kernels import window_pool as keras_pool

    classes = {"max": keras_pool.WindowMax, "min": keras_pool.WindowMin, "mean": keras_pool.WindowMean}
    for seed, (case, windows, source, target) in enumerate(cases):
        if max(windows.dilation) > 1:
            continue  # Keras pools these edge by edge
        x, g = numbers(reduction, windows, seed)
        y, of_x = by_edge(reduction, x, g, source, target)
        layer, leaf = classes[reduction](windows, source, target), tf.constant(x.astype("float32"))
        with tf.GradientTape() as tape:
            tape.watch(leaf)
            own = layer(leaf)
        slope = tape.gradient(own, leaf, tf.constant(g.astype("float32")))
        assert np.array_equal(own, y), case
        assert np.array_equal(slope, of_x), case
    again = classes[reduction].from_config(layer.get_config())
    assert np.array_equal(again.digest, layer.digest)
    assert np.array_equal(again(leaf), layer(leaf))


WHOLE = {
    "(k, r, c) -> k": ("[3, 4, 5]", "[3]", (False, False), 20),
    "(r, c, k) -> k": ("[4, 5, 3]", "[3]", (True, True), 20),
    "(k, r, c) -> (k, r)": ("[3, 4, 5]", "[3, 4]", (False, False), 5),
}


@pytest.mark.parametrize("edges", WHOLE)
def test_whole_channels_are_windows(edges: str) -> None:
    source, target, last, extent = WHOLE[edges]
    text = f"model m\ninput x{source}\nlayer y{target}\nconnect x -> y : {{ {edges} }} with reduce = max\n"
    (choice,) = understand(Path("m.nnspec"), text=text).plan.choices
    assert choice.kernel == "window"
    assert choice.window is not None
    assert choice.window.last == last
    assert [along.extent for along in choice.window.along] == [extent]


NONE = (
    "{ i -> (i + d) % 8 : d in 0..2 } with reduce = max",  # the first of equals is another one on a ring
    "{ i -> j : 0 <= j - i < 3, i != 4 } with reduce = max",
    "{ i -> j : 0 <= j - i < 3, j != 4 } with reduce = max, empty = 0",
    "{ j + 2 * d -> j : d in 0..1 ; outside = skip } with reduce = mean",
    "window(3, pad = same) with reduce = product",
    "window(3, pad = same) with reduce = max, weight = 1",
    "random(fan_in = 2, seed = 0) with reduce = max",
)


@pytest.mark.parametrize("connection", NONE)
def test_what_no_framework_pools_is_pooled_edge_by_edge(connection: str) -> None:
    text = f"model m\ninput x[8]\nlayer y[8]\nconnect x -> y : {connection}\n"
    (choice,) = understand(Path("m.nnspec"), text=text).plan.choices
    assert choice.kernel == "pool"
    assert choice.window is None


def test_edges_without_channels_alike_are_no_window() -> None:
    text = "model m\ninput x[2, 6]\nlayer y[2, 6]\n"
    text += "connect x -> y : { (a, i) -> (1 - a, i + d) : d in 0..1 ; outside = skip } "
    text += "with reduce = min, empty = 0\n"
    with pytest.raises(NoWindow):
        pooled_window(edges_of(text))
