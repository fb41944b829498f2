"""The edges of a connection as a table, one column an index dimension, source first; and their summary."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ...dsl.records import record
from ..data.axis import Axis
from ..data.limits import UNPACKED_LIMIT
from ..edges.degrees import Degrees, End, degrees, unreached
from ..edges.edge_set import EdgeSet, Indices, distinct
from ..names.sides import Side, unit_text

LINES_AT_ONCE = 100_000


@record(eq=False)
class EdgeColumn:
    """An index dimension: its name, int64 (edges,) in canonical order, and its axis if it is one."""

    name: str
    index: Indices
    axis: Axis | None


def edge_columns(edges: EdgeSet, sides: tuple[Side, Side]) -> list[EdgeColumn]:
    """The columns that `load` reads back under their names. Raises `TooManyEdges`."""
    columns: list[EdgeColumn] = []
    for end, units, side in zip(("source", "target"), edges.edges(), sides, strict=True):
        indices = np.unravel_index(units, side.shape) if len(side.shape) > 1 else (units,)
        for dimension, index in enumerate(indices):
            name = end if len(indices) == 1 else f"{end}_{dimension}"
            columns.append(EdgeColumn(name, index, side.axis(dimension)))
    return columns


def csv_pieces(columns: list[EdgeColumn]) -> Iterator[str]:
    """The header, then the rows in pieces of many lines; units by name where they have names."""
    yield ",".join(column.name for column in columns) + "\n"
    names = [_texts(column.axis) for column in columns]
    for first in range(0, len(columns[0].index), LINES_AT_ONCE):
        some = [column.index[first : first + LINES_AT_ONCE] for column in columns]
        pairs = zip(some, names, strict=True)
        texts = [map(str, (index if known is None else known[index]).tolist()) for index, known in pairs]
        yield "".join(",".join(row) + "\n" for row in zip(*texts, strict=True))


def _texts(axis: Axis | None) -> NDArray[np.object_] | None:
    """The names of an axis as they stand in a csv file, if it has any."""
    return np.array([*map(_quoted, axis.names)], object) if axis and axis.names else None


def _quoted(name: str) -> str:
    # Python's own writer leaves a carriage return without quotes before 3.13.
    return '"' + name.replace('"', '""') + '"' if any(c in name for c in ',"\r\n') else name


class NamesTooLong(Exception):
    """An array of names, each with room for the longest, would have too many bytes."""

    def __init__(self, axis: str, size: int) -> None:
        self.axis, self.size = axis, size
        super().__init__(axis)


def edge_arrays(columns: list[EdgeColumn]) -> dict[str, NDArray[np.int64] | NDArray[np.str_]]:
    """Unit numbers by column, and beside a column with names all of them, `source.names` say.

    Raises `NamesTooLong` if names would take more than `load` reads.
    """
    arrays: dict[str, NDArray[np.int64] | NDArray[np.str_]] = {}
    for column in columns:
        arrays[column.name] = column.index
        if column.axis and column.axis.names:
            size = 4 * len(column.axis.names) * max(map(len, column.axis.names))
            if size > UNPACKED_LIMIT:
                raise NamesTooLong(column.axis.name, size)
            arrays[f"{column.name}.names"] = np.array(column.axis.names)
    return arrays


# ---------------------------------------------------------------------------------------------- summary


@record
class EndSummary:
    """One end of a connection: its degrees, and how many units have none, the first of them by name."""

    degrees: Degrees
    missing: int
    first: tuple[str, ...]


@record
class Summary:
    """What a set of edges is like. Components are those of the units that have an edge."""

    edges: int
    density: float
    source: EndSummary
    target: EndSummary
    components: int
    largest: int


def summarised(edges: EdgeSet, sides: tuple[Side, Side]) -> Summary:
    """The numbers of a set. Raises `TooManyEdges`."""
    source, target = sides
    sizes = component_sizes(*edges.edges())
    return Summary(
        edges.count,
        edges.count / (source.units * target.units),
        _end_summary(edges, "source", source),
        _end_summary(edges, "target", target),
        len(sizes),
        int(sizes.max(initial=0)),
    )


def _end_summary(edges: EdgeSet, end: End, side: Side) -> EndSummary:
    count, first = unreached([edges], end, most=5)
    return EndSummary(degrees(edges, end), count, tuple(unit_text(int(unit), side) for unit in first))


def component_sizes(source: Indices, target: Indices) -> Indices:
    """Units, of both sides together, of each weakly connected component, int64 (components,)."""
    sources, targets = distinct(source), distinct(target)
    a, b = np.searchsorted(sources, source), len(sources) + np.searchsorted(targets, target)
    label = np.arange(len(sources) + len(targets))
    while True:
        # Every edge gives its ends' labels the smaller of them, then labels are followed to their ends.
        low = np.minimum(label[a], label[b])
        after = label.copy()
        np.minimum.at(after, label[a], low)
        np.minimum.at(after, label[b], low)
        while not np.array_equal(after, after[after]):
            after = after[after]
        if np.array_equal(after, label):
            return np.unique(label, return_counts=True)[1]
        label = after
