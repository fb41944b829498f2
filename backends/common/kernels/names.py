"""A table's columns in the order of a model's units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np


def names_of(stored: Mapping[str, np.ndarray], axis: str) -> np.ndarray:
    """The names along an axis, str (units,). Raises ValueError if it has none, or there is no such axis."""
    if f"{axis}.names" not in stored:
        axes = ", ".join(name.removesuffix(".names") for name in stored if name.endswith(".names"))
        raise ValueError(f"No axis called {axis!r} has names; those that have are {axes}.")
    text, ends = stored[f"{axis}.names"].tobytes(), stored[f"{axis}.name_ends"].tolist()
    return np.array([text[start:end].decode() for start, end in pairwise([0, *ends])], object)


def units_in_table(
    names: np.ndarray, columns: Sequence[str], table: np.ndarray | None, missing: float | None
) -> np.ndarray:
    """Where distinct names stand among a table's columns, or of a table (..., columns) these columns.

    A column of `missing` stands for a name that no column has, where that is given. Columns that are none of
    the names are left out.

    Raises:
        ValueError: if a name is two columns, or none and nothing stands for it; if no name is a column; if
            the table has another number of columns, or no numbers to put `missing` among.
    """
    if table is None:
        if missing is not None:
            raise ValueError("`missing` fills the columns that a table lacks: give the `table` too.")
        return places_of(names, columns)
    table = np.asarray(table)
    if table.shape[-1:] != (len(columns),):
        raise ValueError(f"`table` has the shape {table.shape}, but there are {len(columns)} `columns`.")
    if missing is None:
        return table[..., places_of(names, columns)]
    if table.dtype.kind not in "biuf":
        raise ValueError(f"`table` must hold numbers if some are `missing`, not {table.dtype}.")
    held = set(columns)
    there = np.array([name in held for name in names.tolist()])
    if not there.any():
        raise ValueError(f"The table lacks all {len(names)} units: is it the right one?")
    filled = np.full((*table.shape[:-1], len(names)), missing, np.result_type(table, missing))
    filled[..., there] = table[..., places_of(names[there], columns)]
    return filled


def places_of(names: np.ndarray, columns: Sequence[str]) -> np.ndarray:
    """Where each of some distinct names stands among a table's columns, int64 (names,).

    Raises:
        ValueError: if a name is no column, or two; columns that are no name do not matter.
    """
    place: dict[str, int] = {}
    twice: set[str] = set()
    for at, column in enumerate(columns):
        if column in place:
            twice.add(column)
        place[column] = at
    for what, wrong in (
        ("lacks", [name for name in names.tolist() if name not in place]),
        ("has two columns for", [name for name in names.tolist() if name in twice]),
    ):
        if wrong:
            more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
            raise ValueError(f"The table {what} {', '.join(wrong[:5])}{more} ({len(wrong)} of {len(names)}).")
    return np.array([place[name] for name in names.tolist()], np.int64)
