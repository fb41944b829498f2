"""A table's columns in the order of a model's units."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np


def names_of(stored: dict[str, np.ndarray], axis: str) -> np.ndarray:
    """The names along an axis, str (units,). Raises ValueError if it has none, or there is no such axis."""
    if f"{axis}.names" not in stored:
        axes = ", ".join(name.removesuffix(".names") for name in stored if name.endswith(".names"))
        raise ValueError(f"No axis called {axis!r} has names; those that have are {axes}.")
    text, ends = stored[f"{axis}.names"].tobytes(), stored[f"{axis}.name_ends"].tolist()
    return np.array([text[start:end].decode() for start, end in pairwise([0, *ends])], object)


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
