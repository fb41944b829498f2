"""Edge sets: which units of a source side feed which units of a target side.

A set is symbolic as long as it can be: `Full`, `Diagonal`, `Shifted` and the `Product` of such sets hold no
edge, `Listed` holds sorted arrays. Units are numbered row-major over their side's shape. The canonical order
of edges, and so of a weight vector, is by (target, source); for `Full` that is a flattened (out, in) matrix.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...dsl.records import record

Shape: TypeAlias = tuple[int, ...]
Indices: TypeAlias = NDArray[np.int64]


class TooManyEdges(Exception):
    """A set would hold more edges than `EDGE_LIMIT`, or pairs beyond 64-bit numbers."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(f"{count} edges are more than {EDGE_LIMIT}")


# About 40 bytes an edge while a set is sorted: beyond this a machine of 8 GB is full.
EDGE_LIMIT = 200_000_000
# Edges of a product that are made at once, to bound what is held beside them.
CHUNK = 1 << 21


def refuse_many(count: int) -> None:
    """Raise `TooManyEdges` if a set has too many edges to be written out."""
    if count > EDGE_LIMIT:
        raise TooManyEdges(count)


@record
class Full:
    """Every pair: `all`."""

    source_shape: Shape
    target_shape: Shape

    @property
    def count(self) -> int:
        """Number of edges."""
        return prod(self.source_shape) * prod(self.target_shape)

    def edges(self) -> tuple[Indices, Indices]:
        """Source and target of every edge, int64 (edges,), in canonical order."""
        refuse_many(self.count)
        n_source, n_target = prod(self.source_shape), prod(self.target_shape)
        return np.tile(np.arange(n_source), n_target), np.repeat(np.arange(n_target), n_source)


@record
class Diagonal:
    """Equal indices of two sides of one shape: `one_to_one`."""

    source_shape: Shape
    target_shape: Shape

    @property
    def count(self) -> int:
        """Number of edges."""
        return prod(self.source_shape)

    def edges(self) -> tuple[Indices, Indices]:
        """Source and target of every edge, int64 (edges,), in canonical order."""
        refuse_many(self.count)
        units = np.arange(self.count)
        return units, units.copy()


@record(eq=False)
class Listed:
    """Edges held as arrays, in canonical order and without repeats; made by `listed`."""

    source_shape: Shape
    target_shape: Shape
    source: Indices
    target: Indices

    @property
    def count(self) -> int:
        """Number of edges."""
        return len(self.source)

    def edges(self) -> tuple[Indices, Indices]:
        """Source and target of every edge, int64 (edges,), in canonical order."""
        return self.source, self.target


@record
class Shifted:
    """Source `stride * target + offset`, in every dimension, for each of some offsets: a band or a window.

    Sources beyond an end are left out or, with `wrap`, counted from the other end. Made by `shifted`: the
    offsets, one number a dimension each, ascend, and each makes an edge somewhere, with `wrap` everywhere.
    """

    source_shape: Shape
    target_shape: Shape
    strides: tuple[int, ...]
    offsets: tuple[tuple[int, ...], ...]
    wrap: bool = False

    @cached_property
    def count(self) -> int:
        """Number of edges."""
        if self.wrap:
            return prod(self.target_shape) * len(self.offsets)
        return int(self.reaches().sum())

    def reaches(self) -> Indices:
        """How many targets each offset has a source for, where there is no wrapping, int64 (offsets,)."""
        shifts = np.array(self.offsets, np.int64).reshape(-1, len(self.strides))
        result = np.ones(len(shifts), np.int64)
        for shift, stride, n_source, n_target in zip(
            shifts.T, self.strides, self.source_shape, self.target_shape, strict=True
        ):
            last = np.minimum(n_target - 1, (n_source - 1 - shift) // stride)
            result *= np.maximum(0, last - np.maximum(0, -(shift // stride)) + 1)
        return result

    def edges(self) -> tuple[Indices, Indices]:
        """Source and target of every edge, int64 (edges,), in canonical order."""
        if not self.wrap and prod(self.target_shape) * len(self.offsets) > EDGE_LIMIT:
            return self._edges_by_offset()
        refuse_many(prod(self.target_shape) * len(self.offsets))
        rank, shifts = len(self.target_shape), np.array(self.offsets, np.int64)
        source, inside = np.zeros(1, np.int64), np.ones(1, bool)
        for dimension, (stride, size) in enumerate(zip(self.strides, self.source_shape, strict=True)):
            place = [1] * rank + [len(shifts)]
            place[dimension] = self.target_shape[dimension]
            units = stride * np.arange(self.target_shape[dimension])
            along = (units[:, None] + shifts[:, dimension]).reshape(place)
            if self.wrap:
                along %= size
            else:
                inside = inside & (along >= 0) & (along < size)
            source = source * size + along
        source = source.reshape(-1, len(shifts))  # (targets, offsets)
        if self.wrap:
            source.sort(axis=1)
        target = np.repeat(np.arange(len(source)), len(shifts))
        source = source.ravel()
        if self.wrap or inside.all():
            return source, target
        kept = inside.ravel()
        return source[kept], target[kept]

    def _edges_by_offset(self) -> tuple[Indices, Indices]:
        """As `edges` without `wrap`, for a side of which most targets may have no edge."""
        refuse_many(self.count)
        sources: list[Indices] = []
        targets: list[Indices] = []
        for offset in self.offsets:
            source, target = np.zeros(1, np.int64), np.zeros(1, np.int64)
            for along in zip(offset, self.strides, self.source_shape, self.target_shape, strict=True):
                shift, stride, n_source, n_target = along
                within = targets_within(*along)
                reached = np.arange(within.start, within.stop)
                source = (source[:, None] * n_source + stride * reached + shift).ravel()
                target = (target[:, None] * n_target + reached).ravel()
            sources.append(source)
            targets.append(target)
        source, target = np.concatenate(sources), np.concatenate(targets)
        order = np.lexsort((source, target))
        return source[order], target[order]


@record(eq=False)
class Product:
    """Edges whose ends' digits are edges of each factor: windows with channels, block-sparse sets.

    A unit's digits are its numbers in the factors' sides, row-major; those of a side need not be the
    dimensions of its shape. Made by `product`.
    """

    source_shape: Shape
    target_shape: Shape
    factors: tuple[Factor, ...]

    @property
    def count(self) -> int:
        """Number of edges."""
        return prod(factor.count for factor in self.factors)

    def edges(self) -> tuple[Indices, Indices]:
        """Source and target of every edge, int64 (edges,), in canonical order."""
        refuse_many(self.count)
        first, *others = self.factors
        source, target = first.edges()
        n_target = prod(first.target_shape)
        for factor in others:
            source, target = _crossed(source, target, n_target, factor)
            n_target *= prod(factor.target_shape)
        return source, target


Factor: TypeAlias = Full | Diagonal | Listed | Shifted
EdgeSet: TypeAlias = Factor | Product


def weight_shape(edges: EdgeSet) -> Shape:
    """The shape of one weight an edge: a matrix (targets, sources) where every pair has one."""
    if isinstance(edges, Full):
        return prod(edges.target_shape), prod(edges.source_shape)
    return (edges.count,)


def _crossed(source: Indices, target: Indices, n_target: int, factor: Factor) -> tuple[Indices, Indices]:
    """The product of edges between some sides with those of a factor, in canonical order."""
    inner_source, inner_target = factor.edges()
    inner_targets, inner_sources = prod(factor.target_shape), prod(factor.source_shape)
    if n_target * inner_targets > 4 * len(source) * len(inner_source) + 1_000_000:
        # Far more units than edges: no array of one number a unit.
        source = np.add.outer(source * inner_sources, inner_source).ravel()
        target = np.add.outer(target * inner_targets, inner_target).ravel()
        order = np.lexsort((source, target))
        return source[order], target[order]
    outer_degree = np.bincount(target, minlength=n_target)
    inner_degree = np.bincount(inner_target, minlength=inner_targets)
    outer_first = np.cumsum(outer_degree) - outer_degree
    inner_first = np.cumsum(inner_degree) - inner_degree
    total = len(source) * len(inner_source)
    made = np.empty(total, np.int64), np.empty(total, np.int64)
    position = 0
    for some in _pieces(outer_degree * len(inner_source), CHUNK):
        degree = np.multiply.outer(outer_degree[some], inner_degree).ravel()
        unit = np.repeat(np.arange(len(degree)), degree)
        within = np.arange(len(unit)) - np.repeat(np.cumsum(degree) - degree, degree)
        outer, inner = np.divmod(unit, inner_targets)
        outer += some.start
        ahead, behind = np.divmod(within, inner_degree[inner])
        piece = slice(position, position + len(unit))
        made[0][piece] = source[outer_first[outer] + ahead] * inner_sources
        made[0][piece] += inner_source[inner_first[inner] + behind]
        made[1][piece] = unit + some.start * inner_targets
        position += len(unit)
    return made


def _pieces(sizes: Indices, most: int) -> Iterator[slice]:
    """Consecutive places whose sizes add up to about `most`, or one place that is larger."""
    ends = np.cumsum(sizes)
    start, done = 0, 0
    while start < len(ends):
        stop = max(start + 1, int(np.searchsorted(ends, done + most, side="right")))
        yield slice(start, stop)
        start, done = stop, int(ends[stop - 1])


def targets_within(offset: int, stride: int, n_source: int, n_target: int) -> range:
    """The targets whose source `stride * target + offset` is there, along one dimension."""
    return range(max(0, -(offset // stride)), min(n_target - 1, (n_source - 1 - offset) // stride) + 1)


def shifted(
    source_shape: Shape,
    target_shape: Shape,
    strides: tuple[int, ...],
    offsets: Iterable[tuple[int, ...]],
    wrap: bool = False,
) -> EdgeSet:
    """The set that `Shifted` is, by the simplest name; with `wrap` offsets count modulo the sources."""
    kept = sorted({_nearest(offset, source_shape) if wrap else offset for offset in offsets})
    result = Shifted(source_shape, target_shape, strides, tuple(kept), wrap)
    if not wrap:
        kept = [offset for offset, reach in zip(kept, result.reaches().tolist(), strict=True) if reach]
        result = Shifted(source_shape, target_shape, strides, tuple(kept))
    if not kept:
        return nothing(source_shape, target_shape)
    if source_shape == target_shape and {*strides} == {1} and {*kept} == {(0,) * len(strides)}:
        return Diagonal(source_shape, target_shape)
    if result.count == prod(source_shape) * prod(target_shape):
        return Full(source_shape, target_shape)
    return result


def _nearest(offset: tuple[int, ...], shape: Shape) -> tuple[int, ...]:
    """An offset on a ring by its shorter way round."""
    halves = tuple((size - 1) // 2 for size in shape)
    return tuple((o + half) % size - half for o, half, size in zip(offset, halves, shape, strict=True))


def product(source_shape: Shape, target_shape: Shape, factors: Iterable[EdgeSet]) -> EdgeSet:
    """The set that `Product` is, by the simplest name; the factors' sides multiply to those given."""
    flat: list[Factor] = []
    for factor in factors:
        flat.extend(factor.factors if isinstance(factor, Product) else (factor,))
    merged: list[Factor] = []
    for factor in flat:
        if merged and type(factor) is type(merged[-1]) and isinstance(factor, Full | Diagonal):
            before = merged.pop()
            factor = type(factor)(
                (*before.source_shape, *factor.source_shape), (*before.target_shape, *factor.target_shape)
            )
        if prod(factor.source_shape) * prod(factor.target_shape) > 1 or not factor.count:
            merged.append(factor)
    if any(not factor.count for factor in merged):
        return nothing(source_shape, target_shape)
    if all(isinstance(factor, Full) for factor in merged):
        return Full(source_shape, target_shape)
    if len(merged) > 1:
        return Product(source_shape, target_shape, tuple(merged))
    (only,) = merged
    if isinstance(only, Shifted) and (only.source_shape, only.target_shape) != (source_shape, target_shape):
        return Product(source_shape, target_shape, (only,))
    if isinstance(only, Diagonal):
        if source_shape == target_shape:
            return Diagonal(source_shape, target_shape)
        return Product(source_shape, target_shape, (only,))
    if isinstance(only, Listed):  # between sides of other shapes it was not known as `Diagonal`
        keys = pair_keys(only.source, only.target, source_shape, target_shape)
        return from_keys(keys, source_shape, target_shape)
    return only


def nothing(source_shape: Shape, target_shape: Shape) -> Listed:
    """The set without edges."""
    return Listed(source_shape, target_shape, np.empty(0, np.int64), np.empty(0, np.int64))


def pair_keys(source: Indices, target: Indices, source_shape: Shape, target_shape: Shape) -> Indices:
    """One int64 per edge that sorts as (target, source). Raises `TooManyEdges` beyond 2^63 pairs."""
    n_source = prod(source_shape)
    if n_source * prod(target_shape) > 2**63 - 1:
        raise TooManyEdges(n_source * prod(target_shape))
    return target * n_source + source


def distinct(keys: Indices) -> Indices:
    """Keys in ascending order, each once."""
    ordered = np.sort(keys)
    again = ordered[1:] == ordered[:-1]
    return ordered[np.concatenate([[True], ~again])] if again.any() else ordered


def listed(source: Indices, target: Indices, source_shape: Shape, target_shape: Shape) -> EdgeSet:
    """The set of these edges, sorted, repeats merged; `Full` or `Diagonal` if it is just that."""
    return from_keys(
        distinct(pair_keys(source, target, source_shape, target_shape)), source_shape, target_shape
    )


def from_keys(keys: Indices, source_shape: Shape, target_shape: Shape) -> EdgeSet:
    """The set of sorted, distinct `pair_keys`."""
    n_source = prod(source_shape)
    if len(keys) and len(keys) == n_source * prod(target_shape):
        return Full(source_shape, target_shape)
    target, source = np.divmod(keys, max(n_source, 1))
    if source_shape == target_shape and len(keys) == n_source and np.array_equal(source, target):
        return Diagonal(source_shape, target_shape)
    return Listed(source_shape, target_shape, source, target)


def occurrences(units: Indices) -> Indices:
    """How often the unit of each edge occurs among them all, int64 (edges,)."""
    if _dense(units, int(units.max(initial=0))):
        return np.bincount(units)[units]
    _, unit, counts = np.unique(units, return_inverse=True, return_counts=True)
    return counts[unit]


def missing(units: Indices, size: int, most: int) -> tuple[int, Indices]:
    """How many numbers below `size` are not among `units`, and the first of them, at most `most`."""
    if _dense(units, size):
        absent = np.flatnonzero(np.bincount(units, minlength=size) == 0)
        return len(absent), absent[:most]
    present = distinct(units)
    low = np.arange(min(size, len(present) + most))
    return size - len(present), np.setdiff1d(low, present, assume_unique=True)[:most]


def _dense(units: Indices, size: int) -> bool:
    """Whether an array of `size` is no burden beside one of all edges."""
    return size <= 4 * len(units) + 1_000_000
