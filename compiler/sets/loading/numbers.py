"""The numbers that a file holds: one for every edge beside it, or one for every unit of a side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ....dsl import syntax
from ....dsl.diagnostics import fail
from ... import codes
from ...data.matrices import Entries
from ...data.tables import FINITE
from ...edges.edge_set import Indices
from ...names.arguments import bind
from ...names.file_arguments import column_name
from ...names.sides import Side, unit_text
from ..rules.rule import Sides
from .call import TABLES, VALUE, LoadCall
from .edges import read
from .rows import NAMES_SHOWN, End, Rows


def numbers_by_edge(
    load: LoadCall, sides: Sides, column: syntax.Call, variables: Mapping[str, int]
) -> NDArray[np.float64]:
    """What `column("name")` stands for: a number for every edge of a `load`, in canonical order.

    `variables` are those of the loops around the call of `column`. Raises `Failed` after recording a
    diagnostic.
    """
    return _by_edge(load, sides, column, variables, as_texts=False)[0]


def wholes_by_edge(
    load: LoadCall, sides: Sides, column: syntax.Call, variables: Mapping[str, int], what: str
) -> NDArray[np.float64]:
    """What `numbers_by_edge` gives, where each is `what` is a whole number, at least 1."""
    return _by_edge(load, sides, column, variables, as_texts=False, whole=what)[0]


def keys_by_edge(
    load: LoadCall, sides: Sides, column: syntax.Call, variables: Mapping[str, int]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """What `column("name")` stands for in a key: as above or, of texts, the place of each among those given.

    The texts are sorted; there are none where the column holds numbers.
    """
    return _by_edge(load, sides, column, variables, as_texts=True)


def _by_edge(
    load: LoadCall,
    sides: Sides,
    column: syntax.Call,
    variables: Mapping[str, int],
    *,
    as_texts: bool,
    whole: str = "",
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    bound = bind(load.report, column, ("name",))
    if "name" not in bound:
        raise fail(load.report, codes.MISSING_ARGUMENT, column.span, name="column", argument="name")
    name = column_name(bound["name"].value, load.names, variables)
    loaded = read(load, sides)
    texts: tuple[str, ...] = ()
    if loaded.table is not None:
        held = replace(loaded.table, span=column.span).column(name)
        if as_texts and not held.is_numeric:
            values, texts = held.texts.ranked()
        else:
            values = held.numbers()
        held.refuse(_is_no_count(values) & bool(whole), f"{whole}, a whole number of at least 1")
    else:
        assert loaded.entries is not None
        values = _values(load, loaded.entries, name, column, whole)
    keys = loaded.keys(sides)
    order = np.argsort(keys, kind="stable")
    keys, values = keys[order], values[order]
    again = keys[1:] == keys[:-1]
    if not again.any():
        return values, texts
    differ = again & (values[1:] != values[:-1])
    if differ.any():
        at = int(np.argmax(differ))
        assert loaded.table is not None
        places = [loaded.table.place_of(int(order[row])) for row in (at, at + 1)]
        one, other = (f"`{texts[int(value)]}`" if texts else f"{value:g}" for value in values[at : at + 2])
        target, source = divmod(int(keys[at]), sides.source.units)
        raise fail(
            load.report,
            codes.MERGED_VALUES,
            column.span,
            source=unit_text(source, sides.source),
            target=unit_text(target, sides.target),
            column=name,
            first=f"{one} on {places[0]}",
            second=f"{other} on {places[1]}",
            help="`where` chooses among the rows",
        )
    return values[np.concatenate([[True], ~again])], texts


def _is_no_count(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where numbers are not whole, or below 1."""
    return (values % 1 != 0) | (values < 1)


def _values(
    load: LoadCall, entries: Entries, name: str, column: syntax.Call, whole: str
) -> NDArray[np.float64]:
    """The values of a matrix. Raises `Failed` if it has none, or one is no finite number, or not `whole`."""
    if entries.value is None:
        raise fail(load.report, codes.COLUMN_WITHOUT_TABLE, column.span)
    if name != VALUE:
        fields = {"name": load.file, "number": "no column", "column": name}
        help = f'what a matrix holds is `column("{VALUE}")`'
        raise fail(load.report, codes.NO_COLUMN, column.span, help=help, **fields)
    wrong, what = ~np.isfinite(entries.value), FINITE
    if whole and not wrong.any():
        wrong, what = _is_no_count(entries.value), f"{whole}, a whole number of at least 1"
    if wrong.any():
        at = int(np.argmax(wrong))
        fields = {"name": load.file, "place": entries.place(at), "value": entries.value[at], "what": what}
        raise fail(load.report, codes.BAD_VALUE, column.span, column=name, **fields)
    return entries.value


# ------------------------------------------------------------------------------------------ a number a unit


def numbers_by_unit(call: LoadCall, side: Side) -> NDArray[np.float64]:
    """A finite number for every unit of a side, from an array or the rows of a table, (units,)."""
    if call.suffix in TABLES:
        return _rows(call, side)
    if call.suffix not in ("npy", "npz"):
        raise call.unknown_kind((*TABLES, "npy", "npz"))
    call.refuse(call.bound.keys() - {"file"}, "tables")
    values = call.files.finite(call.file, call.node.span)
    if values.shape not in (side.shape, (side.units,)):
        fields = {"name": call.file, "shape": list(values.shape), "side": side.name}
        raise call.fail(codes.UNIT_VALUES, wanted=list(side.shape), **fields)
    return values.reshape(-1).astype(np.float64)


def _rows(call: LoadCall, side: Side) -> NDArray[np.float64]:
    table = call.table()
    wanted = str(len(side.shape)) if "header" in call.bound else VALUE
    if "value" in call.bound:
        wanted = call.name_in("value")
    table.column(wanted).numbers()  # which refuses a row even if its unit is skipped
    (unit,), table = Rows(call, table, call.policies()).units(End("unit", side))
    order = np.argsort(unit, kind="stable")
    again = np.flatnonzero(unit[order][1:] == unit[order][:-1])
    reason = ""
    if len(again):
        first, second = (table.place_of(int(order[at])) for at in (again[0], again[0] + 1))
        reason = f"{unit_text(int(unit[order[again[0]]]), side)} stands on {first} and again on {second}"
    elif len(unit) < side.units:
        reason = f"there is none for {_missing(unit, side)}"
    if reason:
        raise call.fail(codes.UNIT_ROWS, name=call.file, side=side.name, reason=reason)
    return table.column(wanted).numbers()[order]


def _missing(unit: Indices, side: Side) -> str:
    """The first units that no row is about."""
    missing = np.flatnonzero(np.bincount(unit, minlength=side.units) == 0)
    listed = ", ".join(unit_text(int(at), side) for at in missing[:NAMES_SHOWN])
    return listed + (f" and {len(missing) - NAMES_SHOWN:,} more" if len(missing) > NAMES_SHOWN else "")
