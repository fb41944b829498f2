"""Axes: named index spaces, `axis gene = names("genes.txt")`, worked out when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace

import numpy as np
from numpy.typing import NDArray

from ...dsl import syntax
from ...dsl.diagnostics import Failed, Report, fail
from ...dsl.records import record
from ...dsl.walk import call_parts, called_name, name_of, written
from ...dsl.words import suggest
from .. import codes
from ..data.axis import Axis
from ..data.columns import Unusable
from ..data.files import Files
from ..data.tables import Column, Table, Texts
from ..edges.edge_set import Indices, TooManyEdges, distinct
from .arguments import Bound, bind
from .arithmetic import FUNCTIONS
from .by_name import places, refuse_strays
from .evaluate import Evaluator
from .names import Declaration, Names
from .policies import DUPLICATE, Policies
from .sides import Member, Side

# Files that hold names: a name a line, or a table.
NAME_FILES = ("txt", "csv", "tsv", "parquet")


_HAS_NAMES = "an axis with names is `names(...)`, or made of such axes"

# What an axis of computed units is called, the end of a set's edges that it takes, and what bounds the other.
REACHED = {"targets": ("target", "from"), "sources": ("source", "to")}


@record(frozen=False)
class Axes:
    """The axes of a spec by name; None for one whose statement has an error, which is recorded.

    `member` gives the named set that a reference stands for, with its sides.
    """

    names: Names
    files: Files
    member: Callable[[syntax.Expression, Mapping[str, int]], Member]
    known: dict[str, Axis | None] = field(default_factory=dict[str, "Axis | None"])
    _listed: dict[object, Axis | None] = field(default_factory=dict[object, "Axis | None"])

    def find(self, declared: Declaration) -> Axis:
        """The axis that is declared. Raises `Failed` if it has an error, which is recorded."""
        name = declared.name
        if name not in self.known:
            statement = declared.placed.statement
            assert isinstance(statement, syntax.AxisStatement)
            with self.names.needing(declared):
                try:
                    self.known[name] = self._read(name, statement.value, declared.placed.variables)
                except (Failed, RecursionError):
                    self.known[name] = None
                    raise
        axis = self.known[name]
        if axis is None:
            raise Failed
        return axis

    def listed(self, node: syntax.Call, variables: Mapping[str, int]) -> Axis | None:
        """The axis of `names(...)` or another such call where it is no statement's; None for other calls."""
        key = (node.span, tuple(variables.items()))
        if key not in self._listed:
            word = called_name(node)
            self._listed[key] = (
                self._from_file(word, node, variables, merges=True)
                if word == "names"
                else self._of_call(word, node, variables)
            )
        return self._listed[key]

    def _read(self, name: str, value: syntax.Expression, variables: Mapping[str, int]) -> Axis:
        axis = self._of_names(name, value, variables)
        if axis is not None:
            return axis
        self._refuse_call(value)
        return Axis(name, self.names.evaluator(variables).integer(value, f"the size of `{name}`", least=1))

    def _refuse_call(self, node: syntax.Expression) -> None:
        """Refuse a call that is meant to be names, or a set of edges."""
        word = called_name(node) if isinstance(node, syntax.Call) else ""
        if not word or word in FUNCTIONS or word == "len":
            return
        guess = suggest(word, ("names", *REACHED))
        help = f"did you mean `{guess}`?" if guess else ()
        if word in self.names.rules:
            help = (
                f"`{word}` makes a set, whose units an axis takes: `edges NAME : A -> B = {word}(...)` and "
            )
            help += "`targets(NAME)`"
        if help:
            raise fail(self.names.report, codes.UNKNOWN_FUNCTION, node.span, name=word, help=help)

    # -------------------------------------------------------------------------------------------- of names

    def _of_names(self, name: str, node: syntax.Expression, variables: Mapping[str, int]) -> Axis | None:
        """The axis that an expression of names makes; None if it is one of numbers."""
        match node:
            case syntax.Parenthesised():
                return self._of_names(name, node.inner, variables)
            case syntax.Reference():
                declared = self.names.declared.get(self.names.text(node.name, variables))
                if declared is None or declared.kind != "axis":
                    return None
                return replace(self.find(declared), name=name)
            case syntax.Binary(operator="|" | "&" | "-"):
                return self._combined(name, node, variables)
            case syntax.Call():
                return self._of_call(name, node, variables)
            case _:
                return None

    def _combined(self, name: str, node: syntax.Binary, variables: Mapping[str, int]) -> Axis | None:
        """`A | B`, `A & B` and `A - B` of axes, in the order of A; what only B has comes after."""
        sides = (node.left, node.right)
        axes = [self._of_names(name, side, variables) for side in sides]
        if axes == [None, None]:
            return None
        for side, axis in zip(sides, axes, strict=True):
            if axis is None and isinstance(side, syntax.Reference):
                self.names.find(side.name, variables, "axis")
        names: list[tuple[str, ...]] = []
        for axis, side in zip(axes, sides, strict=True):
            if axis is None or axis.names is None:
                what = f"`{self._text(side, variables)}`"
                raise fail(self.names.report, codes.NO_NAMES, side.span, what=what, help=_HAS_NAMES)
            names.append(axis.names)
        left, right = axes
        assert left is not None
        assert right is not None
        if node.operator == "|":
            added = [other for other in names[1] if other not in left.positions]
            return (
                Axis(name, left.size + len(added), (*names[0], *added)) if added else replace(left, name=name)
            )
        wanted = node.operator == "&"
        units = [unit for unit, own in enumerate(names[0]) if (own in right.positions) == wanted]
        if not units:
            reason = f"{'no' if wanted else 'every'} name of `{self._text(node.left, variables)}` is in "
            raise self._empty(name, node, reason + f"`{self._text(node.right, variables)}`", variables)
        return _part(left, name, np.array(units))

    def _of_call(self, name: str, node: syntax.Call, variables: Mapping[str, int]) -> Axis | None:
        word = called_name(node)
        if word in REACHED:
            return self._reached(name, node, variables)
        return self._from_file(name, node, variables) if word == "names" else None

    def _empty(self, name: str, node: syntax.Expression, reason: str, variables: Mapping[str, int]) -> Failed:
        turn = ", ".join(f"{variable} = {value}" for variable, value in variables.items())
        help = "end the loop before: there is no such level any more" if turn else ()
        fields = {"axis": name, "reason": reason}
        return fail(self.names.report, codes.EMPTY_AXIS, node.span, label=turn, help=help, **fields)

    def _text(self, node: syntax.Expression, variables: Mapping[str, int]) -> str:
        """What stands in the spec, with the templates of a name filled in."""
        if isinstance(node, syntax.Reference):
            return self.names.text(node.name, variables)
        return written(self.names.report, node)

    # ------------------------------------------------------------------------------------ of a named set

    def _reached(self, name: str, node: syntax.Call, variables: Mapping[str, int]) -> Axis:
        """`targets(SET, from = AXIS)` and `sources(SET, to = AXIS)`."""
        word = called_name(node)
        end, bounding = REACHED[word]
        bound = bind(self.names.report, node, ("set", bounding), 1)
        if "set" not in bound:
            raise fail(self.names.report, codes.MISSING_ARGUMENT, node.span, name=word, argument="set")
        set_node = bound["set"].value
        member = self.member(set_node, variables)
        try:
            source, target = member.edges.edges()
        except TooManyEdges as error:
            count = f"{error.count:,}"
            raise fail(self.names.report, codes.TOO_MANY_EDGES, set_node.span, count=count) from None
        ends = ((member.source, source), (member.target, target))
        (side, units), (other, others) = ends if end == "source" else ends[::-1]
        axis = self._only_axis(side, end, set_node)
        if bounding in bound:
            other_axis = self._only_axis(other, "target" if end == "source" else "source", set_node)
            units = units[self._chosen(bound[bounding].value, other_axis, variables)[others]]
        if not len(units):
            reason = f"no edge of `{self._text(set_node, variables)}` leads "
            reason += (
                f"{bounding} `{self._text(bound[bounding].value, variables)}`"
                if bounding in bound
                else "anywhere"
            )
            raise self._empty(name, node, reason, variables)
        return _part(axis, name, distinct(units))

    def _only_axis(self, side: Side, end: str, node: syntax.Expression) -> Axis:
        """The axis with names that a side of a set is, all of it."""
        axis = side.axis(0) if len(side.shape) == 1 else None
        if axis is None or axis.names is None:
            what = f"the {end} of `{written(self.names.report, node)}`, `{side.name}`,"
            raise fail(self.names.report, codes.NO_NAMES, node.span, what=what, help=_HAS_NAMES)
        return axis

    def _chosen(self, node: syntax.Expression, axis: Axis, variables: Mapping[str, int]) -> NDArray[np.bool_]:
        """Which units of an axis another axis or a list of names has, (units,)."""
        chosen = np.zeros(axis.size, bool)
        if isinstance(node, syntax.List):
            side = Side(axis.name, (axis.size,), (axis,))
            for item in node.items:
                named = column_name(item, self.names, variables, "a unit's name")
                chosen[side.unit_of_name(0, named, self.names.report, item.span)] = True
            return chosen
        if isinstance(node, syntax.Reference):
            self.names.find(node.name, variables, "axis")
        other = self._of_names(self._text(node, variables), node, variables)
        if other is None or other.names is None:
            what = f"`{self._text(node, variables)}`"
            raise fail(self.names.report, codes.NO_NAMES, node.span, what=what, help=_HAS_NAMES)
        refuse_strays(other, axis, self.names.report, node.span)
        units = places(other, axis)
        chosen[units[units >= 0]] = True
        return chosen

    # ------------------------------------------------------------------------------------------ of a file

    def _from_file(
        self, name: str, value: syntax.Call, variables: Mapping[str, int], *, merges: bool = False
    ) -> Axis:
        """`names(file, ...)`; with `merges`, a name that stands there twice counts once in any case."""
        report = self.names.report
        bound = bind(report, value, ("file", "column", "where", "header", "duplicate"), 1)
        file = file_name(value, bound, self.names, variables)
        suffix = file.rpartition(".")[2].lower()
        if suffix not in NAME_FILES:
            raise unknown_kind(report, value, file, NAME_FILES)
        if "duplicate" in bound:
            given = bound["duplicate"]
            policy = syntax.Attribution(given.span, "duplicate", given.span, "=", given.value)
            policies = Policies.of((policy,), report, lambda n: self.names.text(n, variables), (DUPLICATE,))
            merges = merges or policies.duplicate == "merge"
        if suffix == "txt":
            return self._from_lines(name, file, value, bound, merges)
        return self._from_table(name, file, value, bound, variables, merges)

    def _from_lines(self, name: str, file: str, node: syntax.Call, bound: Bound, merges: bool) -> Axis:
        """A name a line, kept letter by letter."""
        for surplus in bound.keys() & {"column", "where", "header"}:
            help = f"`{surplus}` is for tables"
            raise fail(
                self.names.report, codes.SURPLUS_ARGUMENT, bound[surplus].span, name="names", help=help
            )
        column = self.files.lines(file, node.span)
        tabs = column.texts.where(lambda text: "\t" in text)
        if tabs.any():
            at = int(np.argmax(tabs))
            stem = file.rpartition(".")[0]
            help = f'a table is called `.tsv`, and a column named: `names("{stem}.tsv", column = "...")`'
            fields = {"name": file, "axis": name, "reason": f"{column.table.place_of(at)} has a tab"}
            raise fail(self.names.report, codes.BAD_NAMES, node.span, help=help, **fields)
        names = self._distinct(name, column, merges)
        return Axis(name, len(names), names)

    def _from_table(
        self,
        name: str,
        file: str,
        node: syntax.Call,
        bound: Bound,
        variables: Mapping[str, int],
        merges: bool,
    ) -> Axis:
        """A column of names; the others are fields."""
        if "column" not in bound:
            raise fail(self.names.report, codes.MISSING_ARGUMENT, node.span, name="names", argument="column")
        header = has_header(node, bound, file, self.names.report)
        table = self.files.table(file, node.span, header=header)
        if "where" in bound:
            table = table.kept(rows_where(bound["where"].value, table, self.names, variables))
        wanted = column_name(bound["column"].value, self.names, variables)
        column = table.column(wanted)
        names = self._distinct(name, column, merges)
        others = {other for other, places in table.places.items() if other != wanted and len(places) == 1}
        fields = {other: table.column(other) for other in sorted(others)}
        if len(names) < table.height:
            first = column.texts.first
            fields = {
                n: _at(field, first) for n, field in fields.items() if _is_of(column, field, len(names))
            }
        return Axis(name, len(names), names, fields)

    def _distinct(self, axis: str, column: Column, merges: bool) -> tuple[str, ...]:
        """The names in a column, each once. Raises `Failed` if one is empty, or there is none.

        Without `merges`, a name that stands there twice is an error too.
        """
        texts, table = column.texts, column.table
        reason = "" if texts.height else "it has no names"
        help = ()
        nul, empty = texts.where(lambda text: "\0" in text), texts.where(lambda text: not text)
        if nul.any():
            reason = f"{table.place_of(int(np.argmax(nul)))} has a NUL character"
        elif empty.any():
            reason = f"{table.place_of(int(np.argmax(empty)))} has an empty name"
        elif not merges and len(texts.first) < texts.height:
            again = int(np.setdiff1d(np.arange(texts.height), texts.first)[0])
            first = int(np.argmax(texts.codes == texts.codes[again]))
            reason = (
                f"`{texts[again]}` stands on {table.place_of(first)} and again on {table.place_of(again)}"
            )
            help = "`duplicate = merge` takes each name once, where it stands first"
        if reason:
            fields = {"name": table.name, "axis": axis, "reason": reason}
            raise fail(self.names.report, codes.BAD_NAMES, table.span, help=help, **fields)
        return tuple(texts.distinct)


def _at(column: Column, rows: Indices) -> Column:
    """A column at some of its rows."""
    table = column.table
    table = replace(table, rows=rows if table.rows is None else table.rows[rows])
    return Column(table, column.name, column.values.at(rows))


def _is_of(names: Column, field: Column, count: int) -> bool:
    """Whether a column has one value for each of `count` names that may stand on several rows."""
    try:
        values = field.values.coded()
    except Unusable:
        return False
    pairs = names.texts.codes.astype(np.int64) * len(values.words.texts) + values.codes
    return len(distinct(pairs)) == count


def _part(axis: Axis, name: str, units: Indices) -> Axis:
    """An axis of some units of another one, ascending, with its fields."""
    assert axis.names is not None
    names = axis.names
    fields = {key: _at(field, units) for key, field in axis.fields.items()}
    numbers: list[int] = units.tolist()
    return Axis(name, len(units), tuple(names[unit] for unit in numbers), fields)


def file_name(node: syntax.Expression, bound: Bound, names: Names, variables: Mapping[str, int]) -> str:
    """The file argument of `load` or `names`, templates filled in."""
    parts = call_parts(node)
    assert parts is not None
    if "file" not in bound:
        raise fail(names.report, codes.MISSING_ARGUMENT, node.span, name=parts[0], argument="file")
    value = bound["file"].value
    if not isinstance(value, syntax.String):
        raise fail(names.report, codes.NOT_A_STRING, value.span, what="a file's name")
    return names.string(value, variables)


# What can be done about files of other kinds, by their endings.
_OTHER_KINDS = {
    **dict.fromkeys(("gz", "bz2", "xz", "zst", "zip", "7z", "tar"), "unpack it first"),
    **dict.fromkeys(("xlsx", "xls", "ods"), "save the sheet as `CSV UTF-8`"),
    **dict.fromkeys(
        ("txt", "dat", "edges", "edgelist", "tab", "text", ""),
        "a table is a `.csv` file, with commas, or a `.tsv` file, with tabs; "
        "`header = off` reads one without a header line",
    ),
    **dict.fromkeys(("npy", "npz", "mtx"), "names stand in a text, one a line, or in a column of a table"),
}


def unknown_kind(report: Report, node: syntax.Expression, name: str, kinds: Iterable[str]) -> Failed:
    """Record that a file's ending is none of those that are read, and return the exception to raise."""
    listed = ", ".join(f"`.{kind}`" for kind in kinds)
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    help = _OTHER_KINDS.get(suffix, ())
    return fail(report, codes.FILE_KIND, node.span, name=name, kinds=listed, help=help)


def has_header(node: syntax.Expression, bound: Bound, file: str, report: Report) -> bool:
    """Whether a table has a header line: unless `header = off` is among the arguments."""
    if "header" not in bound:
        return True
    value = bound["header"].value
    if call_parts(value) != ("off", ()):
        raise fail(report, codes.UNKNOWN_CHOICE, value.span, name="header", choices="`off`")
    if not file.lower().endswith((".csv", ".tsv")):
        help = "`header` is for `.csv` and `.tsv` files"
        name = name_of(report, node)
        raise fail(report, codes.SURPLUS_ARGUMENT, bound["header"].span, name=name, help=help)
    return False


def column_name(
    node: syntax.Expression, names: Names, variables: Mapping[str, int], what: str = "a column's name"
) -> str:
    """A name in quotes, of a column or whatever else, templates filled in."""
    if not isinstance(node, syntax.String):
        raise fail(names.report, codes.NOT_A_STRING, node.span, what=what)
    return names.string(node, variables)


def rows_where(
    node: syntax.Expression, table: Table, names: Names, variables: Mapping[str, int]
) -> NDArray[np.bool_]:
    """The rows of a table that meet a condition, in which `column("name")` is a value of the row, (rows,)."""

    def column(call: syntax.Call) -> Texts:
        bound = bind(names.report, call, ("name",))
        if "name" not in bound:
            raise fail(names.report, codes.MISSING_ARGUMENT, call.span, name="column", argument="name")
        at_node = replace(table, span=call.span)
        return Texts(at_node.column(column_name(bound["name"].value, names, variables)))

    surroundings = names.surroundings(variables)
    evaluator = Evaluator(
        names.report,
        lambda reference: names.number(reference, variables),
        surroundings=replace(surroundings, column=column),
    )
    value = evaluator.value(node)
    if np.asarray(value).dtype.kind != "b":
        raise fail(names.report, codes.NOT_A_CONDITION, node.span)
    return np.broadcast_to(np.asarray(value, bool), (table.height,))
