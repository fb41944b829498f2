"""Edge sets: which units of a source side feed which units of a target side.

A set is symbolic as long as it can be: `Full` and `Diagonal` hold no edge, `Listed` holds sorted arrays.
Units are numbered row-major over their side's shape. The canonical order of edges, and so of a weight
vector, is by (target, source); for `Full` that is a flattened (out, in) matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Shape: TypeAlias = tuple[int, ...]
Indices: TypeAlias = NDArray[np.int64]


class TooManyEdges(Exception):
    """A set would hold more edges than `EDGE_LIMIT`, or pairs beyond 64-bit numbers."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(f"{count} edges are more than {EDGE_LIMIT}")


# About 40 bytes an edge while a set is sorted: beyond this a machine of 8 GB is full.
EDGE_LIMIT = 200_000_000


@dataclass(frozen=True)
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
        if self.count > EDGE_LIMIT:
            raise TooManyEdges(self.count)
        n_source, n_target = prod(self.source_shape), prod(self.target_shape)
        return np.tile(np.arange(n_source), n_target), np.repeat(np.arange(n_target), n_source)


@dataclass(frozen=True)
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
        if self.count > EDGE_LIMIT:
            raise TooManyEdges(self.count)
        units = np.arange(self.count)
        return units, units.copy()


@dataclass(frozen=True, eq=False)
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


EdgeSet: TypeAlias = Full | Diagonal | Listed


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


def fan_in(edges: EdgeSet) -> Indices:
    """Number of edges into each target unit, int64 (targets,)."""
    n_source, n_target = prod(edges.source_shape), prod(edges.target_shape)
    match edges:
        case Full():
            return np.full(n_target, n_source)
        case Diagonal():
            return np.ones(n_target, np.int64)
        case Listed():
            return np.bincount(edges.target, minlength=n_target)


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


def _keys(edges: EdgeSet) -> Indices:
    if isinstance(edges, Full) and edges.count <= EDGE_LIMIT:
        return np.arange(edges.count)
    return pair_keys(*edges.edges(), edges.source_shape, edges.target_shape)


def union(a: EdgeSet, b: EdgeSet) -> EdgeSet:
    """Edges in either of two sets over the same sides."""
    if isinstance(a, Full) or isinstance(b, Full):
        return a if isinstance(a, Full) else b
    return from_keys(np.union1d(_keys(a), _keys(b)), a.source_shape, a.target_shape)


def intersection(a: EdgeSet, b: EdgeSet) -> EdgeSet:
    """Edges in both of two sets over the same sides."""
    if isinstance(a, Full) or isinstance(b, Full):
        return b if isinstance(a, Full) else a
    keys = np.intersect1d(_keys(a), _keys(b), assume_unique=True)
    return from_keys(keys, a.source_shape, a.target_shape)


def difference(a: EdgeSet, b: EdgeSet) -> EdgeSet:
    """Edges of `a` that are not in `b`, over the same sides."""
    if isinstance(b, Full):
        nothing = np.empty(0, np.int64)
        return Listed(a.source_shape, a.target_shape, nothing, nothing)
    if isinstance(a, Full) and a.count - b.count > EDGE_LIMIT:
        raise TooManyEdges(a.count - b.count)
    keys = np.setdiff1d(_keys(a), _keys(b), assume_unique=True)
    return from_keys(keys, a.source_shape, a.target_shape)
