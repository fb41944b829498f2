"""Whether edges are windows that slide over the units of each channel by itself, as frameworks pool them.

As in `convolution`, a unit's number is that of a channel and of a place on a grid, and all is worked out from
the ends of the edges. The place t of a channel reads the units `stride * t + dilation * p - before` of the
same channel that there are. Every place reads one at least.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from .convolution import Along, NoWindow, Window, digits, readings
from .edge_set import EdgeSet, Indices, Shape

# Pairs of places that are told by marks; of more, by sorting.
MARKED = 1 << 24


def pooled_window(edges: EdgeSet) -> Window:
    """The windows that edges are, a group for every channel. Raises `NoWindow` if they are none."""
    source, target = edges.edges()
    failed = NoWindow("there is no edge", near=0)
    for sources, targets, last in _sides(edges):
        read = digits(source, sources[0], sources[1], last[0])
        fed = digits(target, targets[0], targets[1], last[1])
        if read[2] != fed[2] or not np.array_equal(read[0], fed[0]):
            continue
        try:
            along = tuple(
                _along(place, unit, places, units)
                for (unit, units), (place, places) in zip(read[1], fed[1], strict=True)
            )
        except NoWindow as none:
            failed = none
            continue
        if len(source) != read[2] * prod(int(each.reached().sum()) for each in along):
            failed = NoWindow("some of its edges are missing", near=1)
            continue
        plain = tuple(range(2 + len(along)))
        return Window(along, read[2], read[2], read[2], 1, last, plain, ())
    raise failed


_Side = tuple[Shape, int]


def _sides(edges: EdgeSet) -> Iterator[tuple[_Side, _Side, tuple[bool, bool]]]:
    """Ways to read both sides: their shapes, how many dimensions are places, and where channels are last.

    The last two are those of whole channels, each of which is pooled to one unit.
    """
    shapes = edges.source_shape, edges.target_shape
    for dimensions, last in readings(edges):
        yield (shapes[0], dimensions), (shapes[1], dimensions), last
    units, channels = prod(shapes[0]), prod(shapes[1])
    if units % channels == 0:
        rest = units // channels
        yield ((channels, rest), 1), ((channels, 1), 1), (False, False)
        yield ((rest, channels), 1), ((1, channels), 1), (True, True)


def _along(place: Indices, unit: Indices, places: int, units: int) -> Along:
    """The window along a dimension, of all pairs of a place and a unit that it reads."""
    place, unit = np.divmod(_distinct(place * units + unit, places * units), units)
    first = np.flatnonzero(np.diff(place, prepend=-1))
    if len(first) != places:
        raise NoWindow("some places read nothing", near=0)
    last = np.append(first[1:], len(place)) - 1
    apart = np.diff(unit)[np.diff(place) == 0]
    dilation = int(apart[0]) if len(apart) else 1
    if len(apart) and apart.min() != apart.max():
        raise NoWindow("what a place reads is not evenly apart", near=0)
    moved = np.unique(np.concatenate([np.diff(unit[first]), np.diff(unit[last])]))
    for stride in [*moved[moved > 0][-2:].tolist(), 1]:
        offsets = np.unique(unit - stride * place)
        if np.all(np.diff(offsets) == dilation):
            found = Along(units, places, len(offsets), stride, dilation, -int(offsets[0]))
            if int(found.reached().sum()) == len(unit):
                return found
    raise NoWindow("its windows are not moved by as many units each", near=0)


def _distinct(numbers: Indices, below: int) -> Indices:
    """The numbers that there are, ascending."""
    if below > MARKED:
        return np.unique(numbers)
    marks = np.zeros(below, bool)
    marks[numbers] = True
    return np.flatnonzero(marks)
