"""The edges that a file holds: the rows of a table, or the entries of a matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ....dsl.records import record
from ....dsl.walk import call_parts
from ... import codes
from ...data.matrices import BadMatrix, Entries, is_scipy, matrix_market, scipy_matrix
from ...data.tables import Table
from ...edges.edge_set import EDGE_LIMIT, EdgeSet, Indices, TooManyEdges, distinct, from_keys, pair_keys
from ...names.arguments import no_choice
from ...names.policies import refuse_duplicates
from ..idle import warn_of_idle
from ..rules.rule import Sides
from .call import MATRICES, TABLES, VALUE, LoadCall
from .rows import End, Rows


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

    def keys(self, sides: Sides) -> Indices:
        """A number for each edge that sorts in canonical order, int64 (edges,)."""
        return pair_keys(self.source, self.target, sides.source.shape, sides.target.shape)


def loaded_edges(call: LoadCall, sides: Sides) -> EdgeSet:
    """The set of edges. Raises `Failed` after recording a diagnostic, or `TooManyEdges`."""
    loaded = read(call, sides)
    if len(loaded.source) > EDGE_LIMIT:
        raise TooManyEdges(len(loaded.source))
    keys = loaded.keys(sides)
    merges, place, of_table = loaded.merges, loaded.place, loaded.table is not None
    del loaded  # what was read is as large as all that follows
    once = distinct(keys)
    if len(once) < len(keys) and not merges:
        refuse_duplicates(
            keys,
            sides.source,
            sides.target,
            call.report,
            lambda at: call.node.span,
            lambda at: f"again {place(at)} of {call.file}",
            help="`duplicate = merge` takes such edges once"
            if of_table
            else "`sum_duplicates()` of SciPy adds such entries up, before the matrix is saved",
        )
    del keys
    return from_keys(once, sides.source.shape, sides.target.shape)


def read(call: LoadCall, sides: Sides) -> Loaded:
    """The edges as the file has them. Raises `Failed` after recording a diagnostic, or `TooManyEdges`."""
    if call.suffix in TABLES:
        return _pairs(call, sides)
    if call.suffix not in MATRICES:
        raise call.unknown_kind((*TABLES, *MATRICES))
    if call.suffix == "npz" and "rows" not in call.bound:
        arrays = call.arrays()
        if (
            isinstance(arrays, dict)
            and not is_scipy(arrays)
            and not (len(arrays) == 1 and next(iter(arrays.values())).ndim == 2)
        ):
            return _pairs(call, sides)
    return _matrix(call, sides)


def _pairs(call: LoadCall, sides: Sides) -> Loaded:
    call.refuse(["rows"], "matrices")
    table, policies = call.table(), call.policies()
    warn_of_idle(policies, call.bound, sides.both, call.report)
    ends = End("source", sides.source), End("target", sides.target, before=len(sides.source.shape))
    (source, target), table = Rows(call, table, policies).units(*ends)
    return Loaded(source, target, policies.duplicate == "merge", table, None)


# ------------------------------------------------------------------------------------------------ matrices


def _matrix(call: LoadCall, sides: Sides) -> Loaded:
    tables = ("source", "target", "where", "outside", "duplicate", "unknown", "header")
    call.refuse(tables, "tables of pairs")
    rows = _rows(call)
    entries = call.files.once("entries", call.file, lambda: _entries(call, sides), _size)
    wanted = (sides.source.units, sides.target.units)
    wanted = wanted if rows == "source" else wanted[::-1]
    if entries.shape != wanted:
        turned = entries.shape == wanted[::-1]
        other = "target" if rows == "source" else "source"
        help = f"its transpose would fit: `rows = {other}`" if turned else ()
        raise _wrong_shape(call, sides, entries.shape, wanted, help)
    ends = (entries.row, entries.column)
    source, target = ends if rows == "source" else ends[::-1]
    return Loaded(source, target, False, None, entries)


def _rows(call: LoadCall) -> str:
    """What the rows of a matrix are: `source` or `target`."""
    if "rows" not in call.bound:
        help = "`rows = source` for an (in, out) matrix, `rows = target` for an (out, in) matrix"
        raise call.fail(codes.ORIENTATION, name=call.file, help=help)
    rows = call.bound["rows"].value
    word = call_parts(rows)
    if word is None or word[1] or word[0] not in ("source", "target"):
        raise no_choice(call.report, rows, "rows", ("source", "target"))
    return word[0]


def _entries(call: LoadCall, sides: Sides) -> Entries:
    """The entries of a matrix that are edges: those that are stored, or the ones of zeros and ones."""
    span = call.node.span
    try:
        if call.suffix == "mtx":
            return matrix_market(call.files.read(call.file, span))
        if call.suffix == "npz":
            arrays = call.arrays()
            if isinstance(arrays, dict) and is_scipy(arrays):
                return scipy_matrix(arrays)
    except BadMatrix as error:
        raise call.fail(codes.BAD_ARRAY, name=call.file, reason=str(error)) from None
    dense = call.files.zero_one(call.file, span, lambda name: _about_values(call))
    if dense.ndim != 2:
        raise _wrong_shape(call, sides, dense.shape, (sides.source.units, sides.target.units))
    if (count := np.count_nonzero(dense)) > EDGE_LIMIT:
        raise TooManyEdges(int(count))
    first, second = np.nonzero(dense)
    return Entries((dense.shape[0], dense.shape[1]), first, second, None)


def _wrong_shape(
    call: LoadCall, sides: Sides, shape: tuple[int, ...], wanted: tuple[int, ...], help: str | tuple[()] = ()
) -> Exception:
    fields = {"source": sides.source.name, "target": sides.target.name}
    return call.fail(
        codes.MATRIX_SHAPE, name=call.file, shape=list(shape), wanted=list(wanted), help=help, **fields
    )


def _about_values(call: LoadCall) -> str:
    """What to do with a matrix that holds weights, in Python."""
    stem = call.file.rpartition("/")[2].rpartition(".")[0]
    rows = call_parts(call.bound["rows"].value)
    return (
        f'`scipy.sparse.save_npz("{stem}_weights.npz", scipy.sparse.csr_array(matrix))`, then '
        f'`load("{stem}_weights.npz", rows = {rows[0] if rows else "target"}) '
        f'with weight = column("{VALUE}")` takes edges and weights; `matrix != 0` is the mask alone'
    )


def _size(entries: Entries) -> int:
    """Bytes that the entries of a matrix take."""
    value = entries.value
    return entries.row.nbytes + entries.column.nbytes + (0 if value is None else value.nbytes)
