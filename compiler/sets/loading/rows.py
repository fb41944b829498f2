"""The units that rows of a table name, along each dimension by index or by name."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ....dsl.diagnostics import fail
from ....dsl.records import record
from ....dsl.words import counted
from ... import codes
from ...data.axis import Axis
from ...data.tables import Column, Table
from ...edges.edge_set import Indices
from ...names.policies import Policies, size_text
from ...names.sides import Side, about_unknown, rank_text, shortened, unknown_name
from .call import LoadCall, column_names

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
class End:
    """One end of rows: `source`, `target` or `unit`, its side, and how many columns stand before its own."""

    word: str
    side: Side
    before: int = 0


class Rows:
    """Rows of a table as units of the ends of a connection."""

    def __init__(self, call: LoadCall, table: Table, policies: Policies) -> None:
        self.call, self.table, self.policies = call, table, policies
        self._skipped: list[Unknown] = []
        self._kept: NDArray[np.bool_] | None = None

    def units(self, *ends: End) -> tuple[list[Indices], Table]:
        """The units of each end, (rows,), and the table, of rows that are kept. Says what is skipped."""
        units = [self._units(end) for end in ends]
        if self._skipped:
            self._tell_skipped()
        if self._kept is None:
            return units, self.table
        return [unit[self._kept] for unit in units], self.table.kept(self._kept)

    def _units(self, end: End) -> Indices:
        unit: Indices | None = None
        for dimension, column in enumerate(self._columns(end)):
            index = self._along(column, end, dimension)
            unit = index if unit is None else unit * end.side.shape[dimension] + index
        assert unit is not None
        return unit

    def _columns(self, end: End) -> list[Column]:
        """The columns of one end, one a dimension of its side."""
        bound, rank = self.call.bound, len(end.side.shape)
        given = self.call.name_in(end.word) if end.word in bound else None
        header = "header" not in bound
        wanted = column_names(end.word, rank, end.before, self.call.file, header=header, given=given)
        if len(wanted) != rank:
            raise fail(
                self.call.report,
                codes.RANK,
                bound[end.word].span,
                side=end.side.name,
                rank=rank_text(end.side.shape),
                shape=list(end.side.shape),
                given=1,
                help=f"leave `{end.word}` out: the columns are then `{end.word}_0`, `{end.word}_1`, ...",
            )
        return [self.table.column(column) for column in wanted]

    def _along(self, column: Column, end: End, dimension: int) -> Indices:
        """The indices along one dimension; those of rows that are not kept mean nothing."""
        axis = end.side.axis(dimension)
        if axis is not None and axis.names is not None:
            return self._named(column, axis)
        return self._numbered(column, end, end.side.shape[dimension])

    def _keep(self, right: NDArray[np.bool_]) -> None:
        self._kept = right if self._kept is None else self._kept & right

    def _named(self, column: Column, axis: Axis) -> Indices:
        """By names on an axis. Those that are not there are skipped, where they may be."""
        index, unknown = column.units(axis.positions)
        if not unknown.any():
            return index
        if self.policies.unknown == "error":
            rows, count = len(unknown), int(np.count_nonzero(unknown))
            at = int(np.argmax(unknown))
            name = column.texts[at]
            hint = f"{count:,} of {counted(rows, 'row')} {'has' if count == 1 else 'have'} such a name"
            if count == rows > 1:
                hint = f"no name in column `{column.name}` is on `{axis.name}`: is it the right column?"
            elif not about_unknown(axis, name):
                hint += "; `unknown = skip` drops them, and says which names these are"
            raise unknown_name(axis, name, self.call.report, self.call.node.span, self._place(at), hint)
        self._skipped.append(Unknown(column, axis, unknown))
        self._keep(~unknown)
        return index

    def _numbered(self, column: Column, end: End, size: int) -> Indices:
        """By indices, which count from 0."""
        index = column.integers()
        outside = (index < 0) | (index >= size)
        if not outside.any():
            return index
        at = int(np.argmax(outside))
        if end.word == "unit":
            place = self.table.place_of(at)
            reason = f"{place} is about unit {index[at]}, and there are {size_text(size)}"
            fields = {"name": self.table.name, "side": end.side.name, "reason": reason}
            raise self.call.fail(codes.UNIT_ROWS, **fields)
        if self.policies.outside == "error":
            help = "`outside = skip` drops such edges, `outside = wrap` closes the ring"
            if index.min() == 1 and index.max() == size:
                help = f"column `{column.name}` seems to count from 1; units count from 0: take 1 from each"
            raise self.call.fail(
                codes.OUTSIDE,
                end=end.word,
                index=int(index[at]),
                side=end.side.name,
                size=size_text(size),
                label=self._place(at),
                help=help,
            )
        if self.policies.outside != "wrap":
            self._keep(~outside)
        return index % size

    def _place(self, at: int) -> str:
        return f"{self.table.place_of(at)} of {self.table.name}"

    def _tell_skipped(self) -> None:
        """Say which names are not on their axes. Raises `Failed` if no row is left."""
        rows, file = counted(self.table.height, "row"), self.table.name
        count = int(np.count_nonzero(np.logical_or.reduce([one.where for one in self._skipped])))
        if count == self.table.height:
            helps = tuple(one.told() for one in self._skipped)
            raise self.call.fail(codes.ALL_SKIPPED, help=helps, rows=rows, file=file)
        for one in self._skipped:
            self.call.report.add(
                codes.SKIPPED,
                self.call.node.span,
                count=int(np.count_nonzero(one.where)),
                axis=one.axis.name,
                help=one.told(),
                rows=rows,
                file=file,
            )
