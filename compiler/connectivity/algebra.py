"""Set algebra: `|`, `&` and `-` of edge sets over the same sides, symbolic where the result can be.

Everything but some edges, `all - A`, is held as just that until it has to be written out: what is taken from
it or cut with it never makes the pairs that the result does not have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from .edge_set import (
    EDGE_LIMIT,
    Diagonal,
    EdgeSet,
    Full,
    Indices,
    Shape,
    Shifted,
    TooManyEdges,
    from_keys,
    nothing,
    pair_keys,
    shifted,
)


@dataclass(frozen=True, eq=False)
class Complement:
    """Every pair but those of a set."""

    missing: EdgeSet


Partial: TypeAlias = EdgeSet | Complement


def settled(edges: Partial) -> EdgeSet:
    """A set with its complement, if it is one, written out. Raises `TooManyEdges`."""
    if not isinstance(edges, Complement):
        return edges
    missing = edges.missing
    every = Full(missing.source_shape, missing.target_shape)
    if not missing.count:
        return every
    if every.count - missing.count > EDGE_LIMIT:
        raise TooManyEdges(every.count - missing.count)
    present = np.ones(every.count, bool)
    present[_keys(missing)] = False
    return from_keys(np.flatnonzero(present), missing.source_shape, missing.target_shape)


def union(a: Partial, b: Partial) -> Partial:
    """Edges in either of two sets."""
    if isinstance(a, Complement):
        return _complement(_difference(a.missing, b))
    if isinstance(b, Complement):
        return _complement(_difference(b.missing, a))
    if isinstance(a, Full) or isinstance(b, Full):
        return a if isinstance(a, Full) else b
    return _combined(a, b, lambda p, q: p | q, np.union1d)


def intersection(a: Partial, b: Partial) -> Partial:
    """Edges in both of two sets."""
    if isinstance(a, Complement) and isinstance(b, Complement):
        return _complement(settled(union(a.missing, b.missing)))
    if isinstance(a, Complement):
        return _difference(settled(b), a.missing)
    return _difference(a, b.missing) if isinstance(b, Complement) else _intersection(a, b)


def difference(a: Partial, b: Partial) -> Partial:
    """Edges of `a` that are not in `b`."""
    if isinstance(a, Complement):
        if isinstance(b, Complement):
            return _difference(b.missing, a.missing)
        return _complement(settled(union(a.missing, b)))
    if isinstance(a, Full):
        return b.missing if isinstance(b, Complement) else _complement(b)
    return _difference(a, b)


def _complement(missing: EdgeSet) -> Partial:
    if isinstance(missing, Full):
        return nothing(missing.source_shape, missing.target_shape)
    return Complement(missing) if missing.count else Full(missing.source_shape, missing.target_shape)


def _intersection(a: EdgeSet, b: EdgeSet) -> EdgeSet:
    if isinstance(a, Full) or isinstance(b, Full):
        return b if isinstance(a, Full) else a
    return _combined(a, b, lambda p, q: p & q, lambda p, q: np.intersect1d(p, q, assume_unique=True))


def _difference(a: EdgeSet, b: Partial) -> EdgeSet:
    """Edges of a set that are not in another."""
    if isinstance(b, Complement):
        return _intersection(a, b.missing)
    if isinstance(b, Full):
        return nothing(a.source_shape, a.target_shape)
    if isinstance(a, Full):
        return settled(_complement(b))
    return _combined(a, b, lambda p, q: p - q, lambda p, q: np.setdiff1d(p, q, assume_unique=True))


def _combined(
    a: EdgeSet,
    b: EdgeSet,
    of_offsets: Callable[[set[Shape], set[Shape]], set[Shape]],
    of_keys: Callable[[Indices, Indices], Indices],
) -> EdgeSet:
    """Bands over the same sides by their offsets, anything else edge by edge."""
    p, q = _as_band(a, like=b), _as_band(b, like=a)
    if p and q and (p.strides, p.wrap) == (q.strides, q.wrap):
        offsets = of_offsets({*p.offsets}, {*q.offsets})
        return shifted(p.source_shape, p.target_shape, p.strides, offsets, p.wrap)
    return from_keys(of_keys(_keys(a), _keys(b)), a.source_shape, a.target_shape)


def _as_band(edges: EdgeSet, like: EdgeSet) -> Shifted | None:
    """A band; equal indices are the band of no shift, around a ring as well."""
    if isinstance(edges, Diagonal) and isinstance(like, Shifted):
        rank = len(edges.source_shape)
        return Shifted(edges.source_shape, edges.target_shape, (1,) * rank, ((0,) * rank,), like.wrap)
    return edges if isinstance(edges, Shifted) else None


def _keys(edges: EdgeSet) -> Indices:
    return pair_keys(*edges.edges(), edges.source_shape, edges.target_shape)
