"""What a set of edges is: a band, blocks, a window, a graph between channels, or only a list.

`recognised` finds the symbolic form of listed edges, so that pairs from a file that happen to form a band are
the band that a rule would make. Nothing is guessed: a form is taken if all edges lie in it and it has as many
edges as they are.
"""

from __future__ import annotations

from math import gcd, prod

import numpy as np

from .edge_set import (
    Diagonal,
    EdgeSet,
    Factor,
    Full,
    Indices,
    Listed,
    Product,
    Shape,
    Shifted,
    from_keys,
    product,
    shifted,
)

# A rule is restated where it has far fewer numbers than a list of its edges.
WORTH = 8
# More offsets than this are no band, and would be looked at one by one.
OFFSETS = 4096
# No array of more flags than this is made to see which pairs occur along one dimension.
FLAG_LIMIT = 1 << 27


def recognised(edges: EdgeSet) -> EdgeSet:
    """The same set in symbolic form, if it has one that is worth it."""
    if not isinstance(edges, Listed) or edges.count < WORTH // 2:
        return edges
    found = _one_dimensional(edges) if _is_line(edges) else _grid(edges)
    return found if found is not None and is_worth(found, WORTH) else edges


def is_worth(edges: EdgeSet, factor: int = 1) -> bool:
    """Whether it takes fewer numbers, by a factor, to state a set than to list both ends of its edges."""
    return _numbers(edges) * factor <= 2 * edges.count or (factor == 1 and isinstance(edges, Shifted))


def _is_line(edges: Listed) -> bool:
    return len(edges.source_shape) == 1 and len(edges.target_shape) == 1


def _numbers(edges: EdgeSet) -> int:
    """How many numbers it takes to state a set."""
    match edges:
        case Full() | Diagonal():
            return 1
        case Shifted():
            return len(edges.offsets) * len(edges.strides)
        case Listed():
            return 2 * edges.count
        case Product():
            return sum(_numbers(factor) for factor in edges.factors)


# -------------------------------------------------------------------------------------------- one dimension


def _one_dimensional(edges: Listed) -> EdgeSet | None:
    (n_source,), (n_target,) = edges.source_shape, edges.target_shape
    source, target = edges.source, edges.target
    for stride in dict.fromkeys((1, max(1, n_source // n_target), max(1, -(-n_source // n_target)))):
        offsets = _present(source - stride * target)
        if offsets is not None and len(offsets) * WORTH <= 2 * len(source) and len(offsets) <= OFFSETS:
            band = shifted((n_source,), (n_target,), (stride,), [(int(o),) for o in offsets])
            if band.count == edges.count:
                return band
    if n_source == n_target and edges.count % n_source == 0:
        offsets = _present((source - target) % n_source)
        if offsets is not None and len(offsets) <= OFFSETS and len(offsets) * n_source == edges.count:
            return shifted((n_source,), (n_target,), (1,), [(int(o),) for o in offsets], wrap=True)
    return _blocks(edges, n_source, n_target)


def _present(values: Indices) -> Indices | None:
    """The values that occur, ascending, or None if there may be very many."""
    if not len(values):
        return values
    low, high = int(values.min()), int(values.max())
    if high - low >= max(4 * len(values), 1 << 20):
        return None
    flags = np.zeros(high - low + 1, bool)
    flags[values - low] = True
    return np.flatnonzero(flags) + low


def _blocks(edges: Listed, n_source: int, n_target: int) -> EdgeSet | None:
    """Whole blocks of pairs, as large as they can be."""
    source, target = edges.source, edges.target
    breaks = np.ones(len(source), bool)
    breaks[1:] = (source[1:] != source[:-1] + 1) | (target[1:] != target[:-1])
    wide = _common(np.flatnonzero(breaks), source, n_source)
    if wide is None:
        return None
    first = source % wide == 0  # the first of each run of `wide` sources of one target
    column, row = source[first] // wide, target[first]
    order = np.argsort(column * n_target + row, kind="stable")
    column, row = column[order], row[order]
    breaks = np.ones(len(row), bool)
    breaks[1:] = (row[1:] != row[:-1] + 1) | (column[1:] != column[:-1])
    high = _common(np.flatnonzero(breaks), row, n_target)
    if high is None:
        high = 1
    if wide * high == 1:
        return None
    sources, targets = (n_source // wide,), (n_target // high,)
    kept = row % high == 0
    keys = np.sort(row[kept] // high * sources[0] + column[kept])
    if len(keys) * wide * high != edges.count:
        return None
    outer = recognised(from_keys(keys, sources, targets))
    return product(edges.source_shape, edges.target_shape, (outer, Full((wide,), (high,))))


def _common(starts: Indices, units: Indices, size: int) -> int | None:
    """The largest block that all runs of consecutive units consist of, or None if that is one unit."""
    lengths = np.diff(starts, append=len(units))
    if lengths.min() == 1 or gcd(size, int(lengths[0]), int(lengths[-1])) == 1:
        return None  # as in a set without blocks; gcds of all would take longer than anything else
    largest = gcd(size, int(np.gcd.reduce(lengths)), int(np.gcd.reduce(units[starts])))
    return largest if largest > 1 else None


# -------------------------------------------------------------------------------------- several dimensions


def _grid(edges: Listed) -> EdgeSet | None:
    """Dimensions that do not depend on one another; a window over several of them at once."""
    shapes = _aligned(edges.source_shape, edges.target_shape)
    source_index = np.unravel_index(edges.source, shapes[0])
    target_index = np.unravel_index(edges.target, shapes[1])
    factors: list[Factor] = []
    for sources, targets, n_source, n_target in zip(source_index, target_index, *shapes, strict=True):
        keys = _present_pairs(targets * n_source + sources, n_source * n_target)
        if keys is None:
            return _window(edges)
        factor = recognised(from_keys(keys, (n_source,), (n_target,)))
        factors.extend(factor.factors if isinstance(factor, Product) else (factor,))
    if prod(factor.count for factor in factors) != edges.count:
        return _window(edges)
    return product(edges.source_shape, edges.target_shape, factors)


def _aligned(source: Shape, target: Shape) -> tuple[Shape, Shape]:
    """Shapes of one rank: the trailing dimensions are those that correspond."""
    rank = max(len(source), len(target))
    return (1,) * (rank - len(source)) + source, (1,) * (rank - len(target)) + target


def _present_pairs(keys: Indices, pairs: int) -> Indices | None:
    if pairs > FLAG_LIMIT:
        return None
    flags = np.zeros(pairs, bool)
    flags[keys] = True
    return np.flatnonzero(flags)


def _window(edges: Listed) -> EdgeSet | None:
    """One list of offsets for several dimensions at once, such as a disc."""
    if len(edges.source_shape) != len(edges.target_shape):
        return None
    shifts = np.stack(np.unravel_index(edges.source, edges.source_shape), axis=1)
    shifts = shifts - np.stack(np.unravel_index(edges.target, edges.target_shape), axis=1)
    low = shifts.min(axis=0)
    extent = tuple(int(size) for size in shifts.max(axis=0) - low + 1)
    if prod(extent) > max(4 * len(shifts), 1 << 20):
        return None
    present = _present(np.asarray(np.ravel_multi_index(tuple((shifts - low).T), extent), np.int64))
    if present is None or len(present) * WORTH > 2 * edges.count or len(present) > OFFSETS:
        return None
    offsets = np.stack(np.unravel_index(present, extent), axis=1) + low
    strides = (1,) * len(extent)
    found = shifted(edges.source_shape, edges.target_shape, strides, [tuple(map(int, o)) for o in offsets])
    return found if found.count == edges.count else None


# --------------------------------------------------------------------------------------------- description


def described(edges: EdgeSet) -> str:
    """What a set is, in a few words."""
    match edges:
        case Full():
            return "every pair"
        case Diagonal():
            return "one to one"
        case Listed():
            return f"{edges.count:,} listed"
        case Shifted():
            return f"{_shifts(edges)}{', a ring' if edges.wrap else ''}"
        case Product():
            return _blocks_text(edges) or _window_text(edges) or " x ".join(map(described, edges.factors))


def _shifts(edges: Shifted) -> str:
    count = len(edges.offsets)
    name = "a band" if len(edges.strides) == 1 else "a window"
    return f"{name} of {count}{_strides_text(edges.strides)}"


def _strides_text(strides: Shape) -> str:
    return "" if {*strides} == {1} else f", stride {' x '.join(map(str, strides))}"


def _blocks_text(edges: Product) -> str:
    """Whole blocks of pairs: along the diagonal, in a band, or as listed."""
    *outer, block = edges.factors
    if len(outer) != 1 or not isinstance(block, Full):
        return ""
    blocks = f"blocks of {prod(block.source_shape)} x {prod(block.target_shape)}"
    match outer[0]:
        case Diagonal():
            return f"{outer[0].count:,} {blocks} on the diagonal"
        case Listed():
            return f"{outer[0].count:,} {blocks}"
        case Shifted():
            return f"{_shifts(outer[0])} {blocks}{', a ring' if outer[0].wrap else ''}"
        case Full():
            return ""


def _window_text(edges: Product) -> str:
    """A window that slides over the last dimensions, and what happens along those before."""
    bands = [factor for factor in edges.factors if isinstance(factor, Shifted)]
    leading = edges.factors[: len(edges.factors) - len(bands)]
    if not bands or tuple(bands) != edges.factors[len(leading) :]:
        return ""
    if any(len(band.strides) > 1 for band in bands) or len({band.wrap for band in bands}) > 1:
        return ""
    extents = " x ".join(str(len(band.offsets)) for band in bands)
    strides = _strides_text(tuple(band.strides[0] for band in bands))
    words = [described(factor) for factor in leading]
    channels = f", channels {' x '.join(words)}" if words else ""
    return f"a window of {extents}{strides}{', a ring' if bands[0].wrap else ''}{channels}"
