"""`load(file, ...)`: pairs from tables, matrices, and the values that stand beside the edges in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....dsl import syntax
from ....dsl.diagnostics import fail
from ....dsl.records import record
from ....dsl.walk import call_parts, name_of
from ....dsl.words import counted
from ... import codes
from ...data.axis import Axis
from ...data.files import Files
from ...data.matrices import BadMatrix, Entries, is_scipy, matrix_market, scipy_matrix
from ...data.tables import FINITE, Column, Table, table_of_arrays
from ...edges.edge_set import EDGE_LIMIT, EdgeSet, Indices, TooManyEdges, distinct, from_keys, pair_keys
from ...graph import statement as stated
from ...names.arguments import Bound, bind, no_choice
from ...names.axes import column_name, file_name, has_header, rows_where, unknown_kind
from ...names.names import Names
from ...names.policies import DUPLICATE, OUTSIDE, UNKNOWN, Policies, refuse_duplicates, size_text
from ...names.sides import Side, about_unknown, rank_text, shortened, unit_text, unknown_name
from ..idle import warn_of_idle
from .rule import NoStatement, Rule, Setting, Stating

TABLES = ("csv", "tsv", "parquet", "gmt")
MATRICES = ("npy", "npz", "mtx")
PARAMETERS = ("file", "source", "target", "rows", "where", "outside", "duplicate", "unknown", "header")
# Of a `load` that gives a number for every unit.
UNIT_PARAMETERS = ("file", "unit", "value", "where", "unknown", "header")
# The name under which the values of a matrix are read.
VALUE = "value"


@record(eq=False)
class Loaded:
    """Edges in the order of their file, int64 (edges,) each, and what stands beside them.

    They come from a table, of which `table` has their rows in that order, or are the entries of a matrix.
    """

    source: Indices
    target: Indices
    merges: bool
    table: Table | None
    entries: Entries | None

    @property
    def place(self) -> Callable[[int], str]:
        """Where in the file an edge stands, without holding on to what was read."""
        if self.table is None:
            assert self.entries is not None
            entry_place = self.entries.place
            return lambda at: f"in {entry_place(at)}"
        place_of = replace(self.table, columns=()).place_of
        return lambda at: f"on {place_of(at)}"


# Names that a message shows of those which are not on an axis.
NAMES_SHOWN = 5


@record(eq=False)
class Unknown:
    """The rows of a column, (rows,), that name no unit of an axis."""

    column: Column
    axis: Axis
    where: NDArray[np.bool_]

    def told(self) -> str:
        """The first of the names, each with the one on the axis that it is most like."""
        names = self.column.texts.at(np.flatnonzero(self.where)).distinct
        shown: list[str] = []
        for name in names[:NAMES_SHOWN]:
            near = name.strip() if name.strip() in self.axis.positions else self.axis.nearest(name)
            shown.append(f'"{shortened(name)}"' + (f' (there is "{shortened(near)}")' if near else ""))
        more = f" and {len(names) - NAMES_SHOWN:,} more" if len(names) > NAMES_SHOWN else ""
        return f"not on `{self.axis.name}`: {', '.join(shown)}{more}"


@record
class Loader:
    """Reads what one `load(...)` names, between two sides."""

    node: syntax.Expression
    source: Side
    target: Side
    names: Names
    files: Files
    variables: Mapping[str, int]

    def edges(self) -> EdgeSet:
        """The set of edges. Raises `Failed` after recording a diagnostic, or `TooManyEdges`."""
        loaded = self._loaded()
        if len(loaded.source) > EDGE_LIMIT:
            raise TooManyEdges(len(loaded.source))
        keys = pair_keys(loaded.source, loaded.target, self.source.shape, self.target.shape)
        merges, place, of_table = loaded.merges, loaded.place, loaded.table is not None
        del loaded  # what was read is as large as all that follows
        once = distinct(keys)
        if len(once) < len(keys) and not merges:
            refuse_duplicates(
                keys,
                self.source,
                self.target,
                self.names.report,
                lambda at: self.node.span,
                lambda at: f"again {place(at)} of {self._file(self._bound())}",
                help="`duplicate = merge` takes such edges once"
                if of_table
                else "`sum_duplicates()` of SciPy adds such entries up, before the matrix is saved",
            )
        del keys
        return from_keys(once, self.source.shape, self.target.shape)

    def numbers(self, call: syntax.Call, variables: Mapping[str, int]) -> NDArray[np.float64]:
        """What `column("name")` stands for: a number for every edge, in canonical order.

        `variables` are those of the loops around the call.
        """
        report = self.names.report
        bound = bind(report, call, ("name",))
        if "name" not in bound:
            raise fail(report, codes.MISSING_ARGUMENT, call.span, name="column", argument="name")
        name = column_name(bound["name"].value, self.names, variables)
        loaded = self._loaded()
        if loaded.table is not None:
            values = replace(loaded.table, span=call.span).column(name).numbers()
        else:
            assert loaded.entries is not None
            values = self._values(loaded.entries, name, call)
        keys = pair_keys(loaded.source, loaded.target, self.source.shape, self.target.shape)
        order = np.argsort(keys, kind="stable")
        keys, values = keys[order], values[order]
        again = keys[1:] == keys[:-1]
        if not again.any():
            return values
        differ = again & (values[1:] != values[:-1])
        if differ.any():
            at = int(np.argmax(differ))
            assert loaded.table is not None
            places = [loaded.table.place_of(int(order[row])) for row in (at, at + 1)]
            target, source = divmod(int(keys[at]), self.source.units)
            raise fail(
                report,
                codes.MERGED_VALUES,
                call.span,
                source=unit_text(source, self.source),
                target=unit_text(target, self.target),
                column=name,
                first=f"{values[at]:g} on {places[0]}",
                second=f"{values[at + 1]:g} on {places[1]}",
                help="`where` chooses among the rows",
            )
        return values[np.concatenate([[True], ~again])]

    def _values(self, entries: Entries, name: str, call: syntax.Call) -> NDArray[np.float64]:
        """The values of a matrix. Raises `Failed` if it has none, or one is no finite number."""
        report = self.names.report
        if entries.value is None:
            raise fail(report, codes.COLUMN_WITHOUT_TABLE, call.span)
        file = self._file(self._bound())
        if name != VALUE:
            fields = {"name": file, "number": "no column", "column": name}
            help = f'what a matrix holds is `column("{VALUE}")`'
            raise fail(report, codes.NO_COLUMN, call.span, help=help, **fields)
        wrong = ~np.isfinite(entries.value)
        if wrong.any():
            at = int(np.argmax(wrong))
            fields = {"name": file, "place": entries.place(at), "value": entries.value[at], "what": FINITE}
            raise fail(report, codes.BAD_VALUE, call.span, column=name, **fields)
        return entries.value

    # ---------------------------------------------------------------------------------------- what is read

    def _bound(self) -> Bound:
        return bind(self.names.report, self.node, PARAMETERS, 1)

    def _file(self, bound: Bound) -> str:
        return file_name(self.node, bound, self.names, self.variables)

    def _loaded(self) -> Loaded:
        bound = self._bound()
        name = self._file(bound)
        suffix = name.rpartition(".")[2].lower()
        if suffix in TABLES:
            return self._pairs(name, bound)
        if suffix not in MATRICES:
            raise unknown_kind(self.names.report, self.node, name, (*TABLES, *MATRICES))
        if suffix == "npz" and "rows" not in bound:
            arrays = self._arrays(name)
            if (
                isinstance(arrays, dict)
                and not is_scipy(arrays)
                and not (len(arrays) == 1 and next(iter(arrays.values())).ndim == 2)
            ):
                return self._pairs(name, bound)
        return self._matrix(name, bound)

    def _arrays(self, name: str) -> NDArray[Any] | dict[str, NDArray[Any]]:
        """The array in a file of NumPy's, or all of an archive; read once."""

        def size(arrays: NDArray[Any] | dict[str, NDArray[Any]]) -> int:
            return sum(a.nbytes for a in (arrays.values() if isinstance(arrays, dict) else [arrays]))

        return self.files.once("arrays", name, lambda: self.files.loaded(name, self.node.span), size)

    def _table(self, name: str, bound: Bound) -> Table:
        header = has_header(self.node, bound, name, self.names.report)
        if not name.lower().endswith(".npz"):
            return self.files.table(name, self.node.span, header=header)
        arrays = self._arrays(name)
        assert isinstance(arrays, dict)
        return table_of_arrays(name, arrays, self.names.report, self.node.span)

    def _about_values(self, name: str) -> str:
        """What to do with a matrix that holds weights, in Python."""
        stem = name.rpartition("/")[2].rpartition(".")[0]
        rows = call_parts(self._bound()["rows"].value)
        return (
            f'`scipy.sparse.save_npz("{stem}_weights.npz", scipy.sparse.csr_array(matrix))`, then '
            f'`load("{stem}_weights.npz", rows = {rows[0] if rows else "target"}) '
            f'with weight = column("{VALUE}")` takes edges and weights; `matrix != 0` is the mask alone'
        )

    # --------------------------------------------------------------------------------------------- pairs

    def _pairs(self, name: str, bound: Bound) -> Loaded:
        report = self.names.report
        if "rows" in bound:
            help = "`rows` is for matrices"
            raise fail(report, codes.SURPLUS_ARGUMENT, bound["rows"].span, name="load", help=help)
        table = self._table(name, bound)
        if "where" in bound:
            table = table.kept(rows_where(bound["where"].value, table, self.names, self.variables))
        policies = self._policies(bound)
        warn_of_idle(policies, bound, (self.source, self.target), report)
        kept: NDArray[np.bool_] | None = None
        unknown: list[Unknown] = []
        units: list[Indices] = []
        for end, side in (("source", self.source), ("target", self.target)):
            columns = self._columns(table, name, end, side, bound)
            unit, right = self._units(columns, end, side, policies, unknown)
            if right is not None:
                kept = right if kept is None else kept & right
            units.append(unit)
        source, target = units
        if unknown:
            self._tell_skipped(table, unknown)
        if kept is not None:
            source, target, table = source[kept], target[kept], table.kept(kept)
        return Loaded(source, target, policies.duplicate == "merge", table, None)

    def _units(
        self, columns: list[Column], end: str, side: Side, policies: Policies, skipped: list[Unknown]
    ) -> tuple[Indices, NDArray[np.bool_] | None]:
        """The units that rows name by a column for each dimension, and which are kept, None if all are."""
        unit: Indices | None = None
        kept: NDArray[np.bool_] | None = None
        for dimension, column in enumerate(columns):
            index, right = self._along(column, end, side, dimension, policies, skipped)
            if right is not None:
                kept = right if kept is None else kept & right
            unit = index if unit is None else unit * side.shape[dimension] + index
        assert unit is not None
        return unit, kept

    def _policies(self, bound: Bound) -> Policies:
        written = tuple(
            syntax.Attribution(bound[key].span, key, bound[key].span, "=", bound[key].value)
            for key in ("outside", "duplicate", "unknown")
            if key in bound
        )

        def text(name: syntax.Name) -> str:
            return self.names.text(name, self.variables)

        return Policies.of(written, self.names.report, text, (OUTSIDE, DUPLICATE, UNKNOWN))

    def _columns(self, table: Table, name: str, end: str, side: Side, bound: Bound) -> list[Column]:
        """The columns of one end, one a dimension of its side."""
        if end in bound:
            wanted = [column_name(bound[end].value, self.names, self.variables)]
        elif "header" in bound and end == "unit":
            wanted = [str(dimension) for dimension in range(len(side.shape))]
        elif "header" in bound:
            first = 0 if end == "source" else len(self.source.shape)
            wanted = [str(first + dimension) for dimension in range(len(side.shape))]
        elif len(side.shape) > 1:
            wanted = [f"{end}_{dimension}" for dimension in range(len(side.shape))]
        elif name.lower().endswith(".gmt") and end != "unit":
            wanted = ["member" if end == "source" else "set"]
        else:
            wanted = [end]
        if len(wanted) != len(side.shape):
            raise fail(
                self.names.report,
                codes.RANK,
                bound[end].span,
                side=side.name,
                rank=rank_text(side.shape),
                shape=list(side.shape),
                given=1,
                help=f"leave `{end}` out: the columns are then `{end}_0`, `{end}_1`, ...",
            )
        return [table.column(column) for column in wanted]

    def _along(
        self, column: Column, end: str, side: Side, dimension: int, policies: Policies, skipped: list[Unknown]
    ) -> tuple[Indices, NDArray[np.bool_] | None]:
        """The indices along one dimension, and which of them are kept, None if all are.

        Names that are not on the axis are added to `skipped`, where they may be.
        """
        report, table = self.names.report, column.table
        axis, size = side.axis(dimension), side.shape[dimension]
        if axis is not None and axis.names is not None:
            index, unknown = column.units(axis.positions)
            if not unknown.any():
                return index, None
            rows, count = len(unknown), int(np.count_nonzero(unknown))
            if policies.unknown == "error":
                at = int(np.argmax(unknown))
                label = f"{table.place_of(at)} of {table.name}"
                name = column.texts[at]
                hint = f"{count:,} of {counted(rows, 'row')} {'has' if count == 1 else 'have'} such a name"
                if count == rows > 1:
                    hint = f"no name in column `{column.name}` is on `{axis.name}`: is it the right column?"
                elif not about_unknown(axis, name):
                    hint += "; `unknown = skip` drops them, and says which names these are"
                raise unknown_name(axis, name, report, self.node.span, label, hint)
            skipped.append(Unknown(column, axis, unknown))
            return index, ~unknown
        index = column.integers()
        outside = (index < 0) | (index >= size)
        if not outside.any():
            return index, None
        if end == "unit":
            at = int(np.argmax(outside))
            reason = f"{table.place_of(at)} is about unit {index[at]}, and there are {size_text(size)}"
            fields = {"name": table.name, "side": side.name, "reason": reason}
            raise fail(report, codes.UNIT_ROWS, self.node.span, **fields)
        if policies.outside == "error":
            at = int(np.argmax(outside))
            help = "`outside = skip` drops such edges, `outside = wrap` closes the ring"
            if index.min() == 1 and index.max() == size:
                help = f"column `{column.name}` seems to count from 1; units count from 0: take 1 from each"
            raise fail(
                report,
                codes.OUTSIDE,
                self.node.span,
                end=end,
                index=int(index[at]),
                side=side.name,
                size=size_text(size),
                label=f"{table.place_of(at)} of {table.name}",
                help=help,
            )
        return index % size, None if policies.outside == "wrap" else ~outside

    def _tell_skipped(self, table: Table, unknown: list[Unknown]) -> None:
        """Say which names are not on their axes. Raises `Failed` if no row is left."""
        report, rows = self.names.report, table.height
        count = int(np.count_nonzero(np.logical_or.reduce([one.where for one in unknown])))
        every = counted(rows, "row")
        if count == rows:
            helps = tuple(one.told() for one in unknown)
            raise fail(report, codes.ALL_SKIPPED, self.node.span, help=helps, rows=every, file=table.name)
        for one in unknown:
            report.add(
                codes.SKIPPED,
                self.node.span,
                count=int(np.count_nonzero(one.where)),
                axis=one.axis.name,
                help=one.told(),
                rows=every,
                file=table.name,
            )

    # ------------------------------------------------------------------------------------ a number a unit

    def unit_values(self) -> NDArray[np.float64]:
        """A finite number for every unit of the target, from an array or the rows of a table, (units,)."""
        bound = bind(self.names.report, self.node, UNIT_PARAMETERS, 1)
        name, span, side, report = self._file(bound), self.node.span, self.target, self.names.report
        suffix = name.rpartition(".")[2].lower()
        if suffix in TABLES:
            return self._unit_rows(name, bound)
        if suffix not in ("npy", "npz"):
            raise unknown_kind(report, self.node, name, (*TABLES, "npy", "npz"))
        for surplus in bound.keys() - {"file"}:
            help = f"`{surplus}` is for tables"
            raise fail(report, codes.SURPLUS_ARGUMENT, bound[surplus].span, name="load", help=help)
        values = self.files.finite(name, span)
        if values.shape not in (side.shape, (side.units,)):
            fields = {"name": name, "shape": list(values.shape), "side": side.name}
            raise fail(report, codes.UNIT_VALUES, span, wanted=list(side.shape), **fields)
        return values.reshape(-1).astype(np.float64)

    def _unit_rows(self, name: str, bound: Bound) -> NDArray[np.float64]:
        side, report, span = self.target, self.names.report, self.node.span
        table = self._table(name, bound)
        if "where" in bound:
            table = table.kept(rows_where(bound["where"].value, table, self.names, self.variables))
        wanted = str(len(side.shape)) if "header" in bound else VALUE
        if "value" in bound:
            wanted = column_name(bound["value"].value, self.names, self.variables)
        values = table.column(wanted).numbers()
        policies = self._policies(bound)
        unknown: list[Unknown] = []
        unit, kept = self._units(
            self._columns(table, name, "unit", side, bound), "unit", side, policies, unknown
        )
        if unknown:
            self._tell_skipped(table, unknown)
        if kept is not None:
            unit, values, table = unit[kept], values[kept], table.kept(kept)
        order = np.argsort(unit, kind="stable")
        again = np.flatnonzero(unit[order][1:] == unit[order][:-1])
        reason = ""
        if len(again):
            first, second = (table.place_of(int(order[at])) for at in (again[0], again[0] + 1))
            reason = f"{unit_text(int(unit[order[again[0]]]), side)} stands on {first} and again on {second}"
        elif len(unit) < side.units:
            missing = np.flatnonzero(np.bincount(unit, minlength=side.units) == 0)
            listed = ", ".join(unit_text(int(at), side) for at in missing[:NAMES_SHOWN])
            more = f" and {len(missing) - NAMES_SHOWN:,} more" if len(missing) > NAMES_SHOWN else ""
            reason = f"there is none for {listed}{more}"
        if reason:
            raise fail(report, codes.UNIT_ROWS, span, name=name, side=side.name, reason=reason)
        return values[order]

    # ------------------------------------------------------------------------------------------ matrices

    def _matrix(self, name: str, bound: Bound) -> Loaded:
        report, node = self.names.report, self.node
        for surplus in ("source", "target", "where", "outside", "duplicate", "unknown", "header"):
            if surplus in bound:
                help = f"`{surplus}` is for tables of pairs"
                raise fail(report, codes.SURPLUS_ARGUMENT, bound[surplus].span, name="load", help=help)
        rows = bound.get("rows")
        word = call_parts(rows.value) if rows else None
        if rows and (word is None or word[1] or word[0] not in ("source", "target")):
            raise no_choice(report, rows.value, "rows", ("source", "target"))
        if word is None:
            raise fail(
                report,
                codes.ORIENTATION,
                node.span,
                name=name,
                help="`rows = source` for an (in, out) matrix, `rows = target` for an (out, in) matrix",
            )
        entries = self.files.once("entries", name, lambda: self._entries(name), _size)
        wanted = (self.source.units, self.target.units)
        wanted = wanted if word[0] == "source" else wanted[::-1]
        if entries.shape != wanted:
            turned = entries.shape == wanted[::-1]
            other = "target" if word[0] == "source" else "source"
            raise fail(
                report,
                codes.MATRIX_SHAPE,
                node.span,
                name=name,
                shape=list(entries.shape),
                wanted=list(wanted),
                source=self.source.name,
                target=self.target.name,
                help=f"its transpose would fit: `rows = {other}`" if turned else (),
            )
        ends = (entries.row, entries.column)
        source, target = ends if word[0] == "source" else ends[::-1]
        return Loaded(source, target, False, None, entries)

    def _entries(self, name: str) -> Entries:
        """The entries of a matrix that are edges: those that are stored, or the ones of zeros and ones."""
        span = self.node.span
        try:
            if name.lower().endswith(".mtx"):
                return matrix_market(self.files.read(name, span))
            if name.lower().endswith(".npz"):
                arrays = self._arrays(name)
                if isinstance(arrays, dict) and is_scipy(arrays):
                    return scipy_matrix(arrays)
        except BadMatrix as error:
            raise fail(self.names.report, codes.BAD_ARRAY, span, name=name, reason=str(error)) from None
        dense = self.files.zero_one(name, span, self._about_values)
        if dense.ndim != 2:
            fields = {"source": self.source.name, "target": self.target.name}
            wanted = [self.source.units, self.target.units]
            shape = list(dense.shape)
            raise fail(
                self.names.report, codes.MATRIX_SHAPE, span, name=name, shape=shape, wanted=wanted, **fields
            )
        if (count := np.count_nonzero(dense)) > EDGE_LIMIT:
            raise TooManyEdges(int(count))
        first, second = np.nonzero(dense)
        return Entries((dense.shape[0], dense.shape[1]), first, second, None)


def _size(entries: Entries) -> int:
    """Bytes that the entries of a matrix take."""
    value = entries.value
    return entries.row.nbytes + entries.column.nbytes + (0 if value is None else value.nbytes)


# -------------------------------------------------------------------------------------------------- the rule


def _edges(node: syntax.Expression, setting: Setting) -> EdgeSet:
    source, target = setting.sides.both
    return Loader(node, source, target, setting.names, setting.files, setting.variables).edges()


def _state(node: syntax.Expression, stating: Stating) -> stated.Set:
    bound = bind(stating.report, node, PARAMETERS, 1)
    file = stating.string(bound["file"].value)
    refuse_parquet(file)
    if "rows" in bound and file.rpartition(".")[2].lower() in MATRICES:
        return stated.Matrix(file, name_of(stating.report, bound["rows"].value))
    where = stating.expression(bound["where"].value) if "where" in bound else None
    outside = call_parts(bound["outside"].value) if "outside" in bound else None
    source, target = (_stated_columns(end, file, bound, stating) for end in ("source", "target"))
    return stated.Table(file, "header" not in bound, source, target, where, outside == ("wrap", ()))


def refuse_parquet(file: str) -> None:
    """Raise `NoStatement` for a file that the generated tests could not read."""
    if file.lower().endswith(".parquet"):
        raise NoStatement("Python by itself reads no Parquet files")


def _stated_columns(end: str, file: str, bound: Bound, stating: Stating) -> tuple[str, ...]:
    """The names of the columns of one end, as `docs/language.md` says."""
    sides = stating.sides
    rank = len((sides.source if end == "source" else sides.target).shape)
    if end in bound:
        return (stating.string(bound[end].value),)
    if "header" in bound:
        first = 0 if end == "source" else len(sides.source.shape)
        return tuple(str(first + at) for at in range(rank))
    if rank > 1:
        return tuple(f"{end}_{at}" for at in range(rank))
    if file.lower().endswith(".gmt"):
        return ("member" if end == "source" else "set",)
    return (end,)


LOAD = Rule("load", _edges, _state)
