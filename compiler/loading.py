"""`load(file, ...)`: pairs from tables, matrices, and the values that stand beside the edges in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..dsl import syntax
from . import codes
from .arguments import Bound, bind, call_parts, no_choice
from .axes import column_name, file_name, rows_where
from .connectivity.edge_set import EDGE_LIMIT, EdgeSet, Indices, TooManyEdges, distinct, from_keys, pair_keys
from .connectivity.files import Files
from .connectivity.idle import warn_of_idle
from .connectivity.matrices import BadMatrix, Entries, is_scipy, matrix_market, scipy_matrix
from .connectivity.policies import DUPLICATE, OUTSIDE, UNKNOWN, Policies, refuse_duplicates, size_text
from .connectivity.sides import Side, rank_text, unit_text, unknown_name
from .connectivity.tables import Column, Table, table_of_arrays
from .expressions import fail
from .scope import Names

TABLES = ("csv", "tsv", "parquet", "gmt")
MATRICES = ("npy", "npz", "mtx")
PARAMETERS = ("file", "source", "target", "rows", "where", "outside", "duplicate", "unknown")
# The name under which the values of a matrix are read.
VALUE = "value"


@dataclass(frozen=True, eq=False)
class Loaded:
    """Edges in the order of their file, int64 (edges,) each, and what stands beside them.

    `table` has the rows that the edges come from, in that order; a matrix has values, or neither.
    """

    source: Indices
    target: Indices
    merges: bool
    table: Table | None
    value: NDArray[np.float64] | None

    @property
    def place(self) -> Callable[[int], str]:
        """Where in the file an edge stands, without holding on to what was read."""
        if self.table is None:
            return lambda at: f"in entry {at}"
        place_of = replace(self.table, columns=()).place_of
        return lambda at: f"on {place_of(at)}"


@dataclass(frozen=True)
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
        merges, place = loaded.merges, loaded.place
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
        values = loaded.value
        if loaded.table is not None:
            values = replace(loaded.table, span=call.span).column(name).numbers()
        elif values is None:
            raise fail(report, codes.COLUMN_WITHOUT_TABLE, call.span)
        elif name != VALUE:
            fields = {"name": self._file(self._bound()), "number": "no column", "column": name}
            help = f'what a matrix holds is `column("{VALUE}")`'
            raise fail(report, codes.NO_COLUMN, call.span, help=help, **fields)
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
            kinds = ", ".join(f"`.{kind}`" for kind in (*TABLES, *MATRICES))
            raise fail(self.names.report, codes.FILE_KIND, self.node.span, name=name, kinds=kinds)
        if suffix == "npz" and "rows" not in bound:
            arrays = self.files.loaded(name, self.node.span)
            if (
                isinstance(arrays, dict)
                and not is_scipy(arrays)
                and not (len(arrays) == 1 and next(iter(arrays.values())).ndim == 2)
            ):
                return self._pairs(name, bound)
        return self._matrix(name, bound)

    def _table(self, name: str) -> Table:
        if not name.lower().endswith(".npz"):
            return self.files.table(name, self.node.span)
        arrays = self.files.loaded(name, self.node.span)
        assert isinstance(arrays, dict)
        return table_of_arrays(name, arrays, self.names.report, self.node.span)

    # --------------------------------------------------------------------------------------------- pairs

    def _pairs(self, name: str, bound: Bound) -> Loaded:
        report = self.names.report
        if "rows" in bound:
            help = "`rows` is for matrices"
            raise fail(report, codes.SURPLUS_ARGUMENT, bound["rows"].span, name="load", help=help)
        table = self._table(name)
        if "where" in bound:
            table = table.kept(rows_where(bound["where"].value, table, self.names, self.variables))
        policies = self._policies(bound)
        warn_of_idle(policies, bound, (self.source, self.target), report)
        kept: NDArray[np.bool_] | None = None
        units: list[Indices] = []
        for end, side in (("source", self.source), ("target", self.target)):
            unit: Indices | None = None
            for dimension, column in enumerate(self._columns(table, name, end, side, bound)):
                index, right = self._along(column, end, side, dimension, policies)
                if right is not None:
                    kept = right if kept is None else kept & right
                unit = index if unit is None else unit * side.shape[dimension] + index
            assert unit is not None
            units.append(unit)
        source, target = units
        if kept is not None:
            source, target, table = source[kept], target[kept], table.kept(kept)
        return Loaded(source, target, policies.duplicate == "merge", table, None)

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
        elif len(side.shape) > 1:
            wanted = [f"{end}_{dimension}" for dimension in range(len(side.shape))]
        elif name.lower().endswith(".gmt"):
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
        self, column: Column, end: str, side: Side, dimension: int, policies: Policies
    ) -> tuple[Indices, NDArray[np.bool_] | None]:
        """The indices along one dimension, and which of them are kept, None if all are."""
        report, table = self.names.report, column.table
        axis, size = side.axis(dimension), side.shape[dimension]
        if axis is not None and axis.names is not None:
            index, unknown = column.units(axis)
            if not unknown.any():
                return index, None
            if policies.unknown == "error":
                at = int(np.argmax(unknown))
                label = f"{table.place_of(at)} of {table.name}"
                hint = "`unknown = skip` drops the edges of names that are not on the axis"
                raise unknown_name(axis, str(column.named(at)), report, self.node.span, label, hint)
            return index, ~unknown
        index = column.integers()
        outside = (index < 0) | (index >= size)
        if not outside.any():
            return index, None
        if policies.outside == "error":
            at = int(np.argmax(outside))
            raise fail(
                report,
                codes.OUTSIDE,
                self.node.span,
                end=end,
                index=int(index[at]),
                side=side.name,
                size=size_text(size),
                label=f"{table.place_of(at)} of {table.name}",
                help="`outside = skip` drops such edges, `outside = wrap` closes the ring",
            )
        return index % size, None if policies.outside == "wrap" else ~outside

    # ------------------------------------------------------------------------------------------ matrices

    def _matrix(self, name: str, bound: Bound) -> Loaded:
        report, node = self.names.report, self.node
        for surplus in ("source", "target", "where", "outside", "duplicate", "unknown"):
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
        entries = self._entries(name)
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
        return Loaded(source, target, False, None, entries.value)

    def _entries(self, name: str) -> Entries:
        """The entries of a matrix that are edges: those that are stored, or the ones of zeros and ones."""
        span = self.node.span
        try:
            if name.lower().endswith(".mtx"):
                return matrix_market(self.files.read(name, span))
            if name.lower().endswith(".npz"):
                arrays = self.files.loaded(name, span)
                if isinstance(arrays, dict) and is_scipy(arrays):
                    return scipy_matrix(arrays)
        except BadMatrix as error:
            raise fail(self.names.report, codes.BAD_ARRAY, span, name=name, reason=str(error)) from None
        dense = self.files.zero_one(name, span)
        if dense.ndim != 2:
            fields = {"source": self.source.name, "target": self.target.name}
            wanted = [self.source.units, self.target.units]
            shape = list(dense.shape)
            raise fail(
                self.names.report, codes.MATRIX_SHAPE, span, name=name, shape=shape, wanted=wanted, **fields
            )
        first, second = np.nonzero(dense)
        return Entries((dense.shape[0], dense.shape[1]), first, second, None)
