"""Set algebra: `|`, `&` and `-` of edge sets over the same sides, symbolic where the result can be.

Everything but some edges, `all - A`, is held as just that until it has to be written out: what is taken from
it or cut with it never makes the pairs that the result does not have.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...dsl.records import record
from .edge_set import (
    EDGE_LIMIT,
    Diagonal,
    EdgeSet,
    Full,
    Indices,
    Listed,
    Product,
    Shape,
    Shifted,
    TooManyEdges,
    distinct,
    from_keys,
    nothing,
    pair_keys,
    shifted,
)

# All differences between two lines but some are stated as offsets, up to this many.
BAND_LIMIT = 1 << 20


@record(eq=False)
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
    band = _as_band(missing, wrap=False)
    (n_source, *more), (n_target, *_) = missing.source_shape or (1,), missing.target_shape or (1,)
    if band and band.strides == (1,) and not band.wrap and not more and n_source + n_target <= BAND_LIMIT:
        others = {(offset,) for offset in range(1 - n_target, n_source)} - {*band.offsets}
        return shifted(band.source_shape, band.target_shape, (1,), others)
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
    return _combined(a, b, lambda p, q: p | q, lambda p, q: distinct(np.concatenate([p, q])))


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
    for one, other in ((a, b), (b, a)):
        if isinstance(one, Listed) and not isinstance(other, Listed):
            return _filtered(one, contains(other, one.source, one.target))
    return _combined(a, b, lambda p, q: p & q, lambda p, q: np.intersect1d(p, q, assume_unique=True))


def _difference(a: EdgeSet, b: Partial) -> EdgeSet:
    """Edges of a set that are not in another."""
    if isinstance(b, Complement):
        return _intersection(a, b.missing)
    if isinstance(b, Full):
        return nothing(a.source_shape, a.target_shape)
    if isinstance(a, Full):
        return settled(_complement(b))
    if isinstance(a, Listed) and not isinstance(b, Listed):
        return _filtered(a, ~contains(b, a.source, a.target))
    return _combined(a, b, lambda p, q: p - q, lambda p, q: np.setdiff1d(p, q, assume_unique=True))


def contains(edges: EdgeSet, source: Indices, target: Indices) -> NDArray[np.bool_]:
    """Which of some pairs of units are edges of a set, (pairs,); nothing symbolic is written out."""
    match edges:
        case Full():
            return np.ones(len(source), bool)
        case Diagonal():
            return source == target
        case Listed():
            known = _keys(edges)
            wanted = pair_keys(source, target, edges.source_shape, edges.target_shape)
            place = np.minimum(np.searchsorted(known, wanted), max(len(known) - 1, 0))
            return known[place] == wanted if len(known) else np.zeros(len(wanted), bool)
        case Product():
            inside = np.ones(len(source), bool)
            for factor in reversed(edges.factors):
                source, own_source = np.divmod(source, prod(factor.source_shape))
                target, own_target = np.divmod(target, prod(factor.target_shape))
                inside &= contains(factor, own_source, own_target)
            return inside
        case Shifted():
            return _is_shifted(edges, source, target)


def _is_shifted(edges: Shifted, source: Indices, target: Indices) -> NDArray[np.bool_]:
    """Which pairs differ by one of the offsets, (pairs,)."""
    offsets = np.array(edges.offsets, np.int64)
    inside = np.ones(len(source), bool)
    code, codes = np.zeros(len(source), np.int64), np.zeros(len(offsets), np.int64)
    # From the last dimension on; offsets and differences as numbers of one mixed radix.
    radix = 1
    for dimension in reversed(range(len(edges.strides))):
        size = edges.source_shape[dimension]
        source, at = np.divmod(source, size)
        target, of = np.divmod(target, edges.target_shape[dimension])
        shift, known = at - edges.strides[dimension] * of, offsets[:, dimension]
        if edges.wrap:
            shift, known = shift % size, known % size
        low, high = int(known.min()), int(known.max())
        inside &= (shift >= low) & (shift <= high)
        code += (np.clip(shift, low, high) - low) * radix
        codes += (known - low) * radix
        radix *= high - low + 1
    return inside & np.isin(code, codes)


def _filtered(edges: Listed, kept: NDArray[np.bool_]) -> EdgeSet:
    """The edges for which a mask holds."""
    keys = pair_keys(edges.source[kept], edges.target[kept], edges.source_shape, edges.target_shape)
    return from_keys(keys, edges.source_shape, edges.target_shape)


def _combined(
    a: EdgeSet,
    b: EdgeSet,
    of_offsets: Callable[[set[Shape], set[Shape]], set[Shape]],
    of_keys: Callable[[Indices, Indices], Indices],
) -> EdgeSet:
    """Bands over the same sides by their offsets, anything else edge by edge."""
    wrap = next((edges.wrap for edges in (a, b) if isinstance(edges, Shifted)), False)
    p, q = _as_band(a, wrap), _as_band(b, wrap)
    if p and q and (p.strides, p.wrap) == (q.strides, q.wrap):
        offsets = of_offsets({*p.offsets}, {*q.offsets})
        return shifted(p.source_shape, p.target_shape, p.strides, offsets, p.wrap)
    return from_keys(of_keys(_keys(a), _keys(b)), a.source_shape, a.target_shape)


def _as_band(edges: EdgeSet, wrap: bool) -> Shifted | None:
    """A band; equal indices are the band of no shift, around a ring as well (`wrap`)."""
    if isinstance(edges, Diagonal):
        rank = len(edges.source_shape)
        return Shifted(edges.source_shape, edges.target_shape, (1,) * rank, ((0,) * rank,), wrap)
    return edges if isinstance(edges, Shifted) else None


def _keys(edges: EdgeSet) -> Indices:
    return pair_keys(*edges.edges(), edges.source_shape, edges.target_shape)
