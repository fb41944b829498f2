"""What is computed in the benchmarks: edges, arrays, and their results by plain NumPy, the one reference."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

# Names and sizes that all frameworks share.
EDGES, GENERATED, BAND_REACH, BLOCK_SIZE = "nnspec edges", "nnspec, generated", 2, 16

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Edges:
    """A set of edges between two lines of units, sorted by target, then source."""

    source: Integers
    target: Integers
    n_source: int
    n_target: int

    @cached_property
    def reverse(self) -> Integers:
        """The edges by number, by source, then target."""
        return np.argsort(self.source, kind="stable")

    @cached_property
    def target_offsets(self) -> Integers:
        """Where the edges of a target start, (targets + 1,)."""
        return np.searchsorted(self.target, np.arange(self.n_target + 1))

    @cached_property
    def source_offsets(self) -> Integers:
        """Where the reversed edges of a source start, (sources + 1,)."""
        return np.searchsorted(self.source[self.reverse], np.arange(self.n_source + 1))


def drawn_edges(units: int, low: int, high: int, seed: int = 0) -> Edges:
    """As many units to as many, every target with `low` to `high` distinct sources at random."""
    random = np.random.default_rng(seed)
    fan_in = random.integers(low, high + 1, units)
    source = np.sort(random.integers(0, units, (units, high)), axis=1)
    while (again := (np.diff(source, axis=1) == 0).any(axis=1)).any():
        source[again] = np.sort(random.integers(0, units, (again.sum(), high)), axis=1)
    # Which of the sorted sources are kept is drawn too, or targets of small fan-in would read low numbers.
    kept = np.argsort(random.random((units, high)), axis=1) < fan_in[:, None]
    return Edges(source[kept], np.repeat(np.arange(units), fan_in), units, units)


def dense_edges(units: int, density: float, seed: int = 0) -> Edges:
    """As many units to as many, each pair an edge with some probability."""
    held = np.random.default_rng(seed).random((units, units)) < density
    target, source = np.nonzero(held)
    return Edges(source, target, units, units)


def band_edges(units: int, reach: int) -> Edges:
    """Every target reads the sources at most `reach` away."""
    source = np.arange(units)[:, None] + np.arange(-reach, reach + 1)
    inside = (source >= 0) & (source < units)
    return Edges(source[inside], np.nonzero(inside)[0], units, units)


def block_edges(units: int, size: int) -> Edges:
    """Blocks along the diagonal, everything connected within one."""
    target = np.repeat(np.arange(units), size)
    source = target // size * size + np.tile(np.arange(size), units)
    return Edges(source, target, units, units)


def padded_table(edges: Edges) -> tuple[Integers, NDArray[np.bool_]]:
    """Sources as a table as wide as the largest fan-in, filled up with zeros, and where it holds an edge."""
    fan_in = np.diff(edges.target_offsets)
    held = np.arange(fan_in.max()) < fan_in[:, None]
    index = np.zeros(held.shape, np.int64)
    index[held] = edges.source
    return index, held


def copies(size: int) -> Callable[[], object]:
    """Return a function that copies three arrays of some bytes, on all cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pool, source = ThreadPoolExecutor(cores), np.ones(size // 4, np.float32)
    arrays = [np.empty_like(source) for _ in range(3)]
    parts = [
        (a, b)
        for array in arrays
        for a, b in zip(*(np.array_split(i, cores) for i in (array, source)), strict=True)
    ]
    return lambda: list(pool.map(lambda part: np.copyto(*part), parts))


def _sums(rows: Floats, offsets: Integers) -> Floats:
    """Add up runs of rows: (edges, batch) to (units, batch), zeros for an empty run."""
    sums = np.zeros((len(offsets) - 1, rows.shape[1]), np.float32)
    filled = np.flatnonzero(np.diff(offsets))
    if filled.size:
        sums[filled] = np.add.reduceat(rows, offsets[filled], axis=0)
    return sums


def projected(edges: Edges, x: Floats, weight: Floats) -> Floats:
    """(batch, sources) to (batch, targets)."""
    return _sums(x.T[edges.source] * weight[:, None], edges.target_offsets).T


def projected_back(edges: Edges, upstream: Floats, weight: Floats) -> Floats:
    """The gradient of the input, (batch, sources), of the output's gradient (batch, targets)."""
    by_source = edges.reverse
    rows = upstream.T[edges.target[by_source]] * weight[by_source, None]
    return _sums(rows, edges.source_offsets).T


def edge_products(edges: Edges, x: Floats, upstream: Floats) -> Floats:
    """The gradient of the weights, (edges,)."""
    return np.einsum("eb,eb->e", x.T[edges.source], upstream.T[edges.target])


@dataclass(frozen=True)
class Layer:
    """One sparse layer without a bias: its input, weights, and the gradient that arrives at its output."""

    edges: Edges
    batch: int
    x: Floats = field(init=False)
    weight: Floats = field(init=False)
    upstream: Floats = field(init=False)

    def __post_init__(self) -> None:
        random = np.random.default_rng(1)
        for name, shape in (
            ("x", (self.batch, self.edges.n_source)),
            ("weight", (len(self.edges.source),)),
            ("upstream", (self.batch, self.edges.n_target)),
        ):
            object.__setattr__(self, name, random.standard_normal(shape, dtype=np.float32))

    @property
    def array_bytes(self) -> int:
        """The bytes of one (batch, units) array."""
        return self.upstream.nbytes

    @cached_property
    def reference(self) -> tuple[Floats, ...]:
        """The output, the gradient of the input and that of the weights, by edge."""
        edges, x, weight, upstream = self.edges, self.x, self.weight, self.upstream
        if edges.n_source * edges.n_target <= 2_000_000:
            matrix = np.zeros((edges.n_target, edges.n_source), np.float32)
            matrix[edges.target, edges.source] = weight
            of_matrix = upstream.T @ x
            return x @ matrix.T, upstream @ matrix, of_matrix[edges.target, edges.source]
        return (
            projected(edges, x, weight),
            projected_back(edges, upstream, weight),
            edge_products(edges, x, upstream),
        )


@dataclass(frozen=True)
class Chain:
    """Several sparse layers on the same edges, each with a bias and tanh."""

    edges: Edges
    batch: int
    depth: int

    @cached_property
    def first(self) -> Layer:
        """The arrays of the first layer, and the gradient that arrives at the last one's output."""
        return Layer(self.edges, self.batch)

    @property
    def array_bytes(self) -> int:
        """The bytes of one (batch, units) array."""
        return self.first.array_bytes

    @cached_property
    def parameters(self) -> list[tuple[Floats, Floats]]:
        """Weight (edges,) and bias (units,) of every layer."""
        random = np.random.default_rng(2)
        sizes = len(self.edges.source), self.edges.n_target
        return [
            tuple(0.5 * random.standard_normal(size, dtype=np.float32) for size in sizes)
            for _ in range(self.depth)
        ]

    @cached_property
    def reference(self) -> tuple[Floats, ...]:
        """The output, the gradient of the input, and those of weight and bias of every layer."""
        held = [self.first.x]
        for weight, bias in self.parameters:
            held.append(np.tanh(projected(self.edges, held[-1], weight) + bias))
        gradient, gradients = self.first.upstream, list[Floats]()
        for (weight, _), x, y in zip(
            reversed(self.parameters), reversed(held[:-1]), reversed(held), strict=False
        ):
            gradient = gradient * (1 - y**2)
            gradients = [edge_products(self.edges, x, gradient), gradient.sum(0), *gradients]
            gradient = projected_back(self.edges, gradient, weight)
        return held[-1], gradient, *gradients


@dataclass(frozen=True)
class Training:
    """A classifier with one sparse layer between two dense ones: features, units, units, classes."""

    edges: Edges
    batch: int
    features: int = 64
    classes: int = 10

    @property
    def array_bytes(self) -> int:
        """The bytes of one (batch, units) array."""
        return 4 * self.batch * self.edges.n_target

    @cached_property
    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """What goes in, the labels, and where all weights start."""
        random = np.random.default_rng(3)
        units = self.edges.n_target
        return {
            "x": random.standard_normal((self.batch, self.features), dtype=np.float32),
            "labels": random.integers(0, self.classes, self.batch),
            "before": random.standard_normal((units, self.features), dtype=np.float32) / 8,
            "weight": random.standard_normal(len(self.edges.source), dtype=np.float32) / 2,
            "after": random.standard_normal((self.classes, units), dtype=np.float32) / units**0.5,
        }

    @cached_property
    def reference(self) -> tuple[Floats]:
        """The loss of the first step."""
        arrays = self.arrays
        hidden = np.tanh(projected(self.edges, arrays["x"] @ arrays["before"].T, arrays["weight"]))
        logits = hidden @ arrays["after"].T
        largest = logits.max(1, keepdims=True)
        scores = logits - largest - np.log(np.exp(logits - largest).sum(1, keepdims=True))
        return (np.float32(-scores[np.arange(self.batch), arrays["labels"]].mean()),)


Problem = Layer | Chain | Training
