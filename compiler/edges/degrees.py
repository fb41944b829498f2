"""How many edges enter or leave a unit, without a list of edges or units where a set is symbolic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from math import prod
from typing import Literal

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
    missing,
    targets_within,
)

End = Literal["source", "target"]


@record
class Degrees:
    """How many units there are of each degree."""

    units: Mapping[int, int]

    @property
    def low(self) -> int:
        """The smallest degree."""
        return min(self.units)

    @property
    def high(self) -> int:
        """The largest degree."""
        return max(self.units)

    @property
    def median(self) -> float:
        """The median degree."""
        total, seen = sum(self.units.values()), 0
        middle: list[int] = []
        for degree in sorted(self.units):
            seen += self.units[degree]
            while len(middle) < 2 and seen > (total - 1 + len(middle)) // 2:
                middle.append(degree)
        return sum(middle) / 2


def degrees(edges: EdgeSet, end: End) -> Degrees:
    """How often the units of one end of a set are an end of an edge."""
    shape, other = _shape(edges, end), _shape(edges, "target" if end == "source" else "source")
    match edges:
        case Full():
            return Degrees({prod(other): prod(shape)})
        case Diagonal():
            return Degrees({1: prod(shape)})
        case Listed():
            return _counted(edges, end)
        case Shifted(wrap=True):
            if end == "target":
                return Degrees({len(edges.offsets): prod(shape)})
            # A shift by one offset is one to one, if it is a ring of units: every source is read by each.
            one_to_one = edges.source_shape == edges.target_shape and {*edges.strides} == {1}
            return Degrees({len(edges.offsets): prod(shape)}) if one_to_one else _counted(edges, end)
        case Shifted():
            return Degrees(_line(edges, end)) if len(shape) == 1 else _window(edges, end)
        case Product():
            total: Counter[int] = Counter({1: 1})
            for factor in edges.factors:
                parts = degrees(factor, end).units
                product: Counter[int] = Counter()
                for degree, units in total.items():
                    for other_degree, other_units in parts.items():
                        product[degree * other_degree] += units * other_units
                total = product
            return Degrees(total)


def _counted(edges: EdgeSet, end: End) -> Degrees:
    source, target = edges.edges()
    ends = source if end == "source" else target
    size = prod(_shape(edges, end))
    if size <= 4 * len(ends) + 1_000_000:
        units = np.bincount(np.bincount(ends, minlength=size))
        return Degrees({degree: int(count) for degree, count in enumerate(units) if count})
    _, counts = np.unique(ends, return_counts=True)
    values, units = np.unique(counts, return_counts=True)
    present = dict(zip(values.tolist(), units.tolist(), strict=True))
    return Degrees({0: size - int(sum(present.values())), **present})


def _line(edges: Shifted, end: End) -> Counter[int]:
    """The degrees of a band: an offset reaches a run of targets, and of sources every stride-th of a run."""
    (n_source,), (n_target,), (stride,) = edges.source_shape, edges.target_shape, edges.strides
    runs = _runs(edges)
    if end == "target":
        return _overlaps((run for _, run in runs), n_target)
    # Sources of one remainder by the stride are a band of stride 1 among themselves.
    classes: dict[int, list[range]] = {}
    for offset, run in runs:
        quotient, remainder = divmod(offset, stride)
        shifted = range(run.start + quotient, run.stop + quotient)
        classes.setdefault(remainder, []).append(shifted)
    total: Counter[int] = Counter()
    for remainder, ranges in classes.items():
        total += _overlaps(ranges, len(range(remainder, n_source, stride)))
    total[0] += n_source - sum(total.values())
    return +total


def _window(edges: Shifted, end: End) -> Degrees:
    """The degrees of offsets in several dimensions at once.

    Between the places where the reach of an offset begins or ends, all units have the same degree: one number
    for each such part is enough.
    """
    shape = _shape(edges, end)
    reaches = [_reach(edges, offset, end) for offset in edges.offsets]
    if any(along.step != 1 for reach in reaches for along in reach):
        return _counted(edges, end)
    places = [
        np.array(sorted({0, size, *(p for reach in reaches for p in (reach[d].start, reach[d].stop))}))
        for d, size in enumerate(shape)
    ]
    counts = np.zeros([len(along) - 1 for along in places], np.int64)
    for reach in reaches:
        parts = (
            slice(*np.searchsorted(along, (own.start, own.stop)))
            for along, own in zip(places, reach, strict=True)
        )
        counts[tuple(parts)] += 1
    units = reduce(np.multiply.outer, [np.diff(along) for along in places])
    return Degrees({int(d): int(units[counts == d].sum()) for d in np.unique(counts)})


def _reach(edges: Shifted, offset: Shape, end: End) -> tuple[slice, ...]:
    """The units at one end of the edges of an offset, as a slice along each dimension."""
    slices: list[slice] = []
    for shift, stride, n_source, n_target in zip(
        offset, edges.strides, edges.source_shape, edges.target_shape, strict=True
    ):
        run = targets_within(shift, stride, n_source, n_target)
        first, last = (
            (run.start, run[-1])
            if end == "target"
            else (
                shift + stride * run.start,
                shift + stride * run[-1],
            )
        )
        slices.append(slice(first, last + 1, 1 if end == "target" else stride))
    return tuple(slices)


def _runs(edges: Shifted) -> list[tuple[int, range]]:
    """Each offset of a set between lines, and the targets that it reaches."""
    (n_source,), (n_target,), (stride,) = edges.source_shape, edges.target_shape, edges.strides
    return [(offset, targets_within(offset, stride, n_source, n_target)) for (offset,) in edges.offsets]


def _overlaps(runs: Iterable[range], size: int) -> Counter[int]:
    """In how many of some runs the numbers below `size` are: how many numbers for each count."""
    changes: Counter[int] = Counter({0: 0})
    for run in runs:
        changes[run.start] += 1
        changes[run.stop] -= 1
    places = sorted(changes)
    total: Counter[int] = Counter()
    depth = 0
    for start, stop in zip(places, [*places[1:], size], strict=True):
        depth += changes[start]
        total[depth] += max(0, min(stop, size) - start)
    return +total


def unreached(sets: Sequence[EdgeSet], end: End, most: int) -> tuple[int, Indices]:
    """How many units are at that end of no edge of any set, and the first of them, at most `most`.

    Where a flag for each unit would be too much, only those of one set are told.
    """
    try:
        if any(edges.count and degrees(edges, end).low > 0 for edges in sets):
            return 0, np.empty(0, np.int64)
    except TooManyEdges:
        return 0, np.empty(0, np.int64)  # a window of strides in several dimensions, too large to count
    size = prod(_shape(sets[0], end))
    if all(isinstance(edges, Listed) for edges in sets):
        ends = [edges.edges()[0 if end == "source" else 1] for edges in sets]
        return missing(np.concatenate(ends), size, most)
    if size > EDGE_LIMIT:
        if len(sets) > 1:
            return 0, np.empty(0, np.int64)  # each lacks some; what they lack together would take too long
        return degrees(sets[0], end).units[0], _first_absent(sets[0], end, most)
    absent = np.flatnonzero(~reduce(np.logical_or, (_reached(edges, end) for edges in sets)))
    return len(absent), absent[:most]


def _first_absent(edges: EdgeSet, end: End, most: int) -> Indices:
    """The first units at no edge of a very large side, as far as the ends of runs tell them."""
    if not (isinstance(edges, Shifted) and len(edges.strides) == 1 and not edges.wrap):
        return np.empty(0, np.int64)
    candidates = {*range(most)}
    slices = [_reach(edges, offset, end)[0] for offset in edges.offsets]
    runs = [range(along.start, along.stop, along.step) for along in slices]
    for run in runs:
        candidates |= {*range(run.start, run.start + most * run.step), *range(run[-1], run[-1] + most + 1)}
    size = prod(_shape(edges, end))
    absent = [c for c in sorted(candidates) if c < size and not any(c in run for run in runs)]
    return np.array(absent[:most], np.int64)


def _shape(edges: EdgeSet, end: End) -> Shape:
    return edges.source_shape if end == "source" else edges.target_shape


def _reached(edges: EdgeSet, end: End) -> NDArray[np.bool_]:
    """Which units of one end are an end of an edge, (units,)."""
    if isinstance(edges, Product):
        flags = np.ones(1, bool)
        for factor in edges.factors:
            flags = np.logical_and.outer(flags, _reached(factor, end)).ravel()
        return flags
    flags = np.zeros(prod(_shape(edges, end)), bool)
    if isinstance(edges, Full | Diagonal):
        flags[:] = bool(edges.count)
    elif isinstance(edges, Shifted) and not edges.wrap:
        grid = flags.reshape(_shape(edges, end))
        for offset in edges.offsets:
            grid[_reach(edges, offset, end)] = True
    else:
        flags[edges.edges()[0 if end == "source" else 1]] = True
    return flags
