"""Whether edges with shared weights are a convolution, found in the edges themselves.

A unit's number is that of a channel and of a place on a grid. In a convolution the edge of channel c into
channel k with the offset p has the same weight at every place, and comes from the source `stride * place +
dilation * p - before`. Everything is worked out from the ends of the edges and the entry of the weight that
each has, and then held against all of them, in time proportional to edges.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

from ...dsl.records import record
from .edge_set import EdgeSet, Indices, Shape

# Frameworks have convolutions along one to three dimensions.
MOST_DIMENSIONS = 3


@record
class Along:
    """A window along one dimension of a grid of `sources` units and `targets` places.

    The place t reads the units `stride * t + dilation * p - before` for p below `extent`; units beyond an end
    are left out or, with `wrap`, counted from the other end.
    """

    sources: int
    targets: int
    extent: int
    stride: int
    dilation: int
    before: int
    wrap: bool = False

    @property
    def after(self) -> int:
        """How many units it reaches over the end; where that is negative, so many are not read."""
        reach = self.dilation * (self.extent - 1) + 1
        return (self.targets - 1) * self.stride + reach - self.before - self.sources

    def reached(self) -> Indices:
        """How many places have a source at each offset, int64 (extent,)."""
        if self.wrap:
            return np.full(self.extent, self.targets)
        offsets = self.dilation * np.arange(self.extent) - self.before
        last = np.minimum(self.targets - 1, (self.sources - 1 - offsets) // self.stride)
        return np.maximum(0, last - np.maximum(0, -(offsets // self.stride)) + 1)


@record
class Window:
    """A convolution: windows along some dimensions, and which channels feed which.

    There are `targets` channels that read `sources` channels, in `groups`: the first group of targets reads
    the first group of sources alone, and so on. Of all this there are `copies`, one after the other, with the
    same weights. Channels come before the grid, or behind it where `last` says so, for sources and targets.

    The weights' entries, in their order, are an array of the dimensions `order` of (targets, sources of a
    group, offsets along each dimension), and count the dimensions `flipped` backwards.
    """

    along: tuple[Along, ...]
    targets: int
    sources: int
    groups: int
    copies: int
    last: tuple[bool, bool]
    order: tuple[int, ...]
    flipped: tuple[int, ...]

    @property
    def kernel(self) -> Shape:
        """(targets, sources of a group, offsets along each dimension)."""
        return (self.targets, self.sources // self.groups, *(along.extent for along in self.along))


class NoWindow(Exception):
    """Edges are no convolution: why, and how much of one they are. At 0 nothing is, and not worth a word."""

    def __init__(self, why: str, near: int) -> None:
        self.why, self.near = why, near
        super().__init__(why)


def window_of(edges: EdgeSet, entry: Indices, entries: int) -> Window:
    """The convolution that edges are, where each has one of so many entries. Raises `NoWindow` otherwise.

    Where edges can be read as several, it is the one along the fewest dimensions.
    """
    source, target = edges.edges()
    failed = NoWindow("no weight is that of several edges", near=0)
    if entries >= len(source):
        raise failed
    ends = _Ends(source, target, entry, entries, np.argsort(entry, kind="stable"))
    for dimensions, last in readings(edges):
        try:
            return _Reading(edges, ends, dimensions, last).window()
        except NoWindow as found:
            failed = max(failed, found, key=lambda each: each.near)
    raise failed


def readings(edges: EdgeSet) -> Iterator[tuple[int, tuple[bool, bool]]]:
    """Along how many dimensions a window could slide, and on which sides channels could be last."""
    ranks = len(edges.source_shape), len(edges.target_shape)
    for dimensions in range(1, min(*ranks, MOST_DIMENSIONS) + 1):
        for of_sources in (False, True)[: 1 + (ranks[0] > dimensions)]:
            for of_targets in (False, True)[: 1 + (ranks[1] > dimensions)]:
                yield dimensions, (of_sources, of_targets)


@record(eq=False)
class _Ends:
    """The ends of all edges, the entry that each has, of so many, and the edges `sorted` by their entry."""

    source: Indices
    target: Indices
    entry: Indices
    entries: int
    sorted: Indices

    def of_entries(self, digit: Indices) -> Indices | None:
        """What all edges of an entry have as a digit; None where edges of one differ."""
        own = np.zeros(self.entries, np.int64)
        own[self.entry] = digit
        return own if np.array_equal(own[self.entry], digit) else None


@record(eq=False)
class _Reading:
    """One way to read units as channels and places on a grid."""

    edges: EdgeSet
    ends: _Ends
    dimensions: int
    last: tuple[bool, bool]

    def window(self) -> Window:
        """The window that edges are. Raises `NoWindow` if they are none."""
        edges, ends = self.edges, self.ends
        of_source, units, n_source = digits(ends.source, edges.source_shape, self.dimensions, self.last[0])
        of_target, places, n_target = digits(ends.target, edges.target_shape, self.dimensions, self.last[1])
        pairs = [*zip(units, places, strict=True)]
        offsets = [_offsets(ends, at, place, sources) for (at, sources), (place, _) in pairs]
        targets, copies = ends.of_entries(of_target), 1
        if targets is None:
            if n_source != n_target or any(self.last) or not np.array_equal(of_source, of_target):
                raise NoWindow("channels share weights", near=1)
            copies, n_source, n_target = n_source, 1, 1
            of_source = of_target = np.zeros_like(of_source)
            targets = np.zeros(ends.entries, np.int64)
        sources = ends.of_entries(of_source)
        if sources is None:
            raise NoWindow("channels that are read share weights", near=1)
        per_group, groups = _groups(targets, sources, n_target, n_source)
        box = [targets, sources - targets // (n_target // groups) * per_group]
        along: list[Along] = []
        for offset, ((_, n_units), (_, n_places)) in zip(offsets, pairs, strict=True):
            found, place = _along(*offset, n_units, n_places)
            along.append(found)
            box.append(place)
        shape = (n_target, per_group, *(each.extent for each in along))
        order, flipped = _as_view(box, shape, ends.entries)
        self._hold(along, shape, copies, len(ends.source))
        return Window(tuple(along), n_target, n_source, groups, copies, self.last, order, flipped)

    def _hold(self, along: Sequence[Along], shape: Shape, copies: int, count: int) -> None:
        """Refuse edges that are fewer than those of the window: all are edges of it, and each is once."""
        whole = copies * shape[0] * shape[1] * prod(int(each.reached().sum()) for each in along)
        if count != whole:
            raise NoWindow(f"{whole - count:,} of its {whole:,} edges are missing", near=5)


def digits(
    units: Indices, shape: Shape, dimensions: int, last: bool
) -> tuple[Indices, list[tuple[Indices, int]], int]:
    """The channel of units, their places along each dimension, with its size, and how many channels are."""
    split = dimensions if last else len(shape) - dimensions
    sizes = shape[:split] if last else shape[split:]
    channels = prod(shape[split:] if last else shape[:split])
    if last:
        rest, channel = np.divmod(units, channels)
    else:
        channel, rest = np.divmod(units, prod(sizes))
    places: list[tuple[Indices, int]] = []
    for size in reversed(sizes):
        rest, place = np.divmod(rest, size)
        places.append((place, size))
    return channel, places[::-1], channels


def _offsets(ends: _Ends, source: Indices, place: Indices, sources: int) -> tuple[Indices, int, bool]:
    """The offset of every entry along a dimension, the stride, and whether units are on a ring."""
    next_places = (np.diff(place[ends.sorted]) == 1) & (np.diff(ends.entry[ends.sorted]) == 0)
    moved = np.diff(source[ends.sorted])[next_places]
    stride = int(moved.max(initial=0)) or 1
    if stride > 0 and (offsets := ends.of_entries(source - stride * place)) is not None:
        return offsets, stride, False
    if stride > 0 and (offsets := ends.of_entries((source - stride * place) % sources)) is not None:
        return offsets, stride, True
    raise NoWindow("one weight has several offsets", near=0)


def _groups(targets: Indices, sources: Indices, n_target: int, n_source: int) -> tuple[int, int]:
    """How many channels a target reads, and how many groups there are of these."""
    first = np.full(n_target, n_source)
    np.minimum.at(first, targets, sources)
    behind = np.zeros(n_target, np.int64)
    np.maximum.at(behind, targets, sources + 1)
    per_group = int(behind[0] - first[0])
    groups = n_source // max(per_group, 1)
    whole = per_group > 0 and n_source % per_group == 0 and n_target % groups == 0
    starts = np.repeat(np.arange(groups) * per_group, n_target // groups) if whole else first[:0]
    if not (whole and np.array_equal(first, starts) and np.array_equal(behind, starts + per_group)):
        raise NoWindow("the channels that feed each are not groups of equally many", near=2)
    return per_group, groups


def _along(offsets: Indices, stride: int, wrap: bool, sources: int, targets: int) -> tuple[Along, Indices]:
    """The window along a dimension, and which of its offsets every entry has."""
    distinct, entry = np.unique(offsets, return_index=True)
    first, dilation = _around(distinct, entry, sources) if wrap else (int(distinct[0]), _apart(distinct))
    if not dilation:
        raise NoWindow("its offsets are not evenly apart", near=3)
    if wrap:
        offsets = (offsets - first) % sources + first
    along = Along(sources, targets, len(distinct), stride, dilation, -first, wrap)
    if wrap and max(along.before, along.after) > sources:
        raise NoWindow("it goes round a ring more than once", near=3)
    return along, (offsets - first) // dilation


def _apart(offsets: Indices) -> int:
    """How far ascending offsets are apart, 1 where there is but one; 0 where that differs."""
    between = np.diff(offsets)
    if len(between) == 0:
        return 1
    return int(between[0]) if between.min() == between.max() else 0


def _around(offsets: Indices, entry: Indices, ring: int) -> tuple[int, int]:
    """From which offset on those on a ring are evenly apart, and how far.

    The first has as wide a gap before it as there is; where several have, the order of entries says which:
    `entry` is the first of each offset.
    """
    gaps = np.diff(offsets, prepend=offsets[-1] - ring)
    rising = [np.diff(np.roll(entry, -at)) > 0 for at in range(len(offsets))]
    in_order = np.array([steps.all() or not steps.any() for steps in rising])
    for at in np.lexsort((~in_order, -gaps)):
        steps = np.sort((offsets - offsets[at]) % ring)
        if apart := _apart(steps):
            middle = int(steps[-1]) // 2
            return _nearest(int(offsets[at]) + middle, ring) - middle, apart
    return 0, 0


def _nearest(offset: int, ring: int) -> int:
    """An offset on a ring by its shorter way round."""
    half = ring // 2
    return (offset + half) % ring - half


def _as_view(box: Sequence[Indices], shape: Shape, entries: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """As an array of which dimensions, in which order, the entries are; and which of them are backwards."""
    if entries != prod(shape):
        raise NoWindow("not every offset has a weight for every pair of channels", near=4)
    steps = [_step(box, shape, dimension) for dimension in range(len(shape))]
    order = tuple(sorted(range(len(shape)), key=lambda at: (shape[at] == 1, -abs(steps[at]))))
    flipped = tuple(at for at in range(len(shape)) if steps[at] < 0)
    place = np.zeros(entries, np.int64)
    for at in order:
        digit = shape[at] - 1 - box[at] if at in flipped else box[at]
        place = place * shape[at] + digit
    if not np.array_equal(place, np.arange(entries)):
        raise NoWindow("the order of its keys is not that of an array", near=4)
    straight = tuple(range(len(shape)))
    return (straight if _same_view(order, shape) else order), flipped


def _same_view(order: Sequence[int], shape: Shape) -> bool:
    """Whether dimensions in this order are the same array as in theirs: those of length 1 stand anywhere."""
    longer = [at for at in order if shape[at] > 1]
    return longer == sorted(longer)


def _step(box: Sequence[Indices], shape: Shape, dimension: int) -> int:
    """How far apart two entries are that differ by one along a dimension; 0 where there is but one."""
    if shape[dimension] == 1:
        return 0
    others = [digit == 0 for at, digit in enumerate(box) if at != dimension]
    line = np.flatnonzero(np.logical_and.reduce(others))
    at = dict(zip(box[dimension][line].tolist(), line.tolist(), strict=True))
    return at[1] - at[0] if {0, 1} <= at.keys() else 0
