"""The edges of a connection as a table: one column an index dimension, source first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .connectivity.edge_set import EdgeSet, Indices, Shape

LINES_AT_ONCE = 100_000


def edge_columns(edges: EdgeSet) -> dict[str, Indices]:
    """Columns by name, int64 (edges,) each, in canonical order; `load` reads them back under these names."""
    source, target = edges.edges()
    return _columns("source", source, edges.source_shape) | _columns("target", target, edges.target_shape)


def _columns(end: str, units: Indices, shape: Shape) -> dict[str, Indices]:
    if len(shape) == 1:
        return {end: units}
    return {f"{end}_{at}": index for at, index in enumerate(np.unravel_index(units, shape))}


def csv_lines(columns: dict[str, Indices]) -> Iterator[str]:
    """The header, then the rows in pieces of many lines."""
    yield ",".join(columns)
    table = np.stack(list(columns.values()), axis=1)
    for first in range(0, len(table), LINES_AT_ONCE):
        yield "\n".join(",".join(map(str, row)) for row in table[first : first + LINES_AT_ONCE].tolist())
