"""One `load(...)` as it is written: its arguments, and what its file holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import NDArray

from ....dsl import syntax
from ....dsl.diagnostics import Failed, Report, fail
from ....dsl.findings import Code
from ....dsl.records import record
from ... import codes
from ...data.files import Files
from ...data.tables import Table, table_of_arrays
from ...names.arguments import Bound, bind
from ...names.file_arguments import column_name, file_name, has_header, rows_where, unknown_kind
from ...names.names import Names
from ...names.policies import DUPLICATE, OUTSIDE, UNKNOWN, Policies

TABLES = ("csv", "tsv", "parquet", "gmt")
MATRICES = ("npy", "npz", "mtx")
PARAMETERS = ("file", "source", "target", "rows", "where", "outside", "duplicate", "unknown", "header")
# Of a `load` that gives a number for every unit.
UNIT_PARAMETERS = ("file", "unit", "value", "where", "unknown", "header")
# The name under which the values of a matrix are read.
VALUE = "value"


@record
class LoadCall:
    """A `load(...)` with its arguments by name, its file's name, and where that is read."""

    node: syntax.Expression
    bound: Bound
    file: str
    names: Names
    files: Files
    variables: Mapping[str, int]

    @staticmethod
    def of(
        node: syntax.Expression,
        names: Names,
        files: Files,
        variables: Mapping[str, int],
        parameters: tuple[str, ...] = PARAMETERS,
    ) -> LoadCall:
        """The call with its arguments looked at. Raises `Failed` after recording a diagnostic."""
        bound = bind(names.report, node, parameters, 1)
        return LoadCall(node, bound, file_name(node, bound, names, variables), names, files, variables)

    @property
    def report(self) -> Report:
        """Where diagnostics go."""
        return self.names.report

    @property
    def suffix(self) -> str:
        """The ending of the file's name, in small letters."""
        return suffix_of(self.file)

    def fail(self, code: Code, **fields: Any) -> Failed:
        """What to raise after a diagnostic about the call as a whole, which it records."""
        return fail(self.report, code, self.node.span, **fields)

    def refuse(self, arguments: Iterable[str], belong_to: str) -> None:
        """Raise `Failed` if one of some arguments is there, which are for something else."""
        for name in arguments:
            if name in self.bound:
                help = f"`{name}` is for {belong_to}"
                raise fail(self.report, codes.SURPLUS_ARGUMENT, self.bound[name].span, name="load", help=help)

    def unknown_kind(self, kinds: Iterable[str]) -> Failed:
        """What to raise where the file is of none of these kinds."""
        return unknown_kind(self.report, self.node, self.file, kinds)

    def name_in(self, argument: str) -> str:
        """The text of an argument that names a column."""
        return column_name(self.bound[argument].value, self.names, self.variables)

    def policies(self) -> Policies:
        """The policies among the arguments."""
        written = tuple(
            syntax.Attribution(self.bound[key].span, key, self.bound[key].span, "=", self.bound[key].value)
            for key in ("outside", "duplicate", "unknown")
            if key in self.bound
        )

        def text(name: syntax.Name) -> str:
            return self.names.text(name, self.variables)

        return Policies.of(written, self.report, text, (OUTSIDE, DUPLICATE, UNKNOWN))

    # ---------------------------------------------------------------------------------------- what is read

    def arrays(self) -> NDArray[Any] | dict[str, NDArray[Any]]:
        """The array in a file of NumPy's, or all of an archive; read once."""

        def size(arrays: NDArray[Any] | dict[str, NDArray[Any]]) -> int:
            return sum(a.nbytes for a in (arrays.values() if isinstance(arrays, dict) else [arrays]))

        return self.files.once(
            "arrays", self.file, lambda: self.files.loaded(self.file, self.node.span), size
        )

    def table(self) -> Table:
        """The table that the file holds, without the rows that `where` leaves out."""
        header = has_header(self.node, self.bound, self.file, self.report)
        if self.suffix == "npz":
            arrays = self.arrays()
            assert isinstance(arrays, dict)
            table = table_of_arrays(self.file, arrays, self.report, self.node.span)
        else:
            table = self.files.table(self.file, self.node.span, header=header)
        if "where" not in self.bound:
            return table
        return table.kept(rows_where(self.bound["where"].value, table, self.names, self.variables))


def suffix_of(file: str) -> str:
    """The ending of a file's name, in small letters."""
    return file.rpartition(".")[2].lower()


def column_names(
    end: str, rank: int, before: int, file: str, *, header: bool, given: str | None
) -> tuple[str, ...]:
    """The columns of one end, one a dimension, unless a single one is `given`.

    `rank` is the number of dimensions, `before` that of columns before the first of them where there is no
    `header`; then columns have numbers for names.
    """
    if given is not None:
        return (given,)
    if not header:
        return tuple(str(before + dimension) for dimension in range(rank))
    if rank > 1:
        return tuple(f"{end}_{dimension}" for dimension in range(rank))
    if suffix_of(file) == "gmt" and end != "unit":
        return ("member" if end == "source" else "set",)
    return (end,)
