"""What a spec states of its edges: the syntax tree with its names bound, and nothing that was solved.

The generated tests state every set anew from this, to hold the edges of the compiler against it. Numbers of
params and loops are filled in, names of units, axes and sets are bound, defaults are made explicit. No edge
and no order of search is in it: `compiler/resolve/stating/` makes it from the tree alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TypeAlias

from ...dsl.records import record
from ..edges.edge_set import Shape

# ------------------------------------------------------------------------------ numbers and conditions


@record(slots=True)
class Number:
    """A number: a literal, a param, the variable of a loop or pi."""

    value: int | float


@record(slots=True)
class Text:
    """A text that others are compared with."""

    value: str


@record(slots=True)
class Index:
    """An index name."""

    name: str


@record(slots=True)
class Operation:
    """`+ - * / // % **`, `and`, `or`, with one operand `-` and `not`."""

    operator: str
    operands: tuple[Expression, ...]


@record(slots=True)
class Comparison:
    """A chain `first op1 rest1 op2 rest2 ...`; operators are `== != < <= > >= in`."""

    first: Expression
    rest: tuple[tuple[str, Expression], ...]


@record(slots=True)
class Function:
    """`abs(x)` and the other functions of numbers."""

    name: str
    arguments: tuple[Expression, ...]


@record(slots=True)
class Interval:
    """`first..last`, both ends included."""

    first: Expression
    last: Expression


@record(slots=True)
class Items:
    """`[a, b, ...]`."""

    items: tuple[Expression, ...]


@record(slots=True)
class Chance:
    """`chance(p)`, the call of this number in its set, whose pairs are drawn by `seed`."""

    number: int
    probability: Expression
    seed: Seed


@record(slots=True)
class Unit:
    """The number of the unit of an axis that has this name."""

    axis: str
    name: str


@record(slots=True)
class UnitName:
    """The name of a unit of an axis."""

    axis: str
    unit: Expression


@record(slots=True)
class Names:
    """All names of an axis, behind `in`."""

    axis: str


@record(slots=True)
class Field:
    """`AXIS.FIELD(unit)`, as a number or as a text."""

    axis: str
    field: str
    unit: Expression
    numeric: bool


@record(slots=True)
class Alike:
    """Whether two fields are equal: as numbers if both are numbers throughout, else as texts."""

    left: Field
    right: Field


@record(slots=True)
class Column:
    """`column("name")` of a row, as a number or as a text."""

    name: str
    numeric: bool


@record(slots=True)
class Length:
    """`len(NAME)` of a named set."""

    set: str


@record(slots=True)
class EdgeEnd:
    """`SET.source(edge)` or `SET.target(edge)`."""

    set: str
    end: str
    edge: Expression


@record(slots=True)
class Moved:
    """The unit of an axis that has the name of a unit of another one."""

    unit: Expression
    own: str
    other: str


@record(slots=True)
class Member:
    """`source -> target in SET`, by the indices of that set."""

    set: str
    source: tuple[Expression, ...]
    target: tuple[Expression, ...]


Expression: TypeAlias = (
    Number
    | Text
    | Index
    | Operation
    | Comparison
    | Function
    | Interval
    | Items
    | Chance
    | Unit
    | UnitName
    | Names
    | Field
    | Alike
    | Column
    | Length
    | EdgeEnd
    | Moved
    | Member
)


# ------------------------------------------------------------------------------------------------- sets


@record(slots=True)
class Seed:
    """A seed that is given, or the names and place that one is made from."""

    given: Expression | None
    place: tuple[str, ...] = ()


@record(slots=True)
class End:
    """A side of a set: its shape, and along each dimension the axis with names that it is, if it is one."""

    shape: Shape
    axes: tuple[str | None, ...]


@record(slots=True)
class All:
    """`all`."""


@record(slots=True)
class OneToOne:
    """`one_to_one`."""


@record(slots=True)
class Window:
    """`window(...)`: for each of the last dimensions an extent, a stride, a dilation and a pad."""

    extents: tuple[Expression, ...]
    strides: tuple[Expression, ...]
    dilations: tuple[Expression, ...]
    pads: tuple[Expression, ...]


@record(slots=True)
class Random:
    """`random(form = value)`, of all pairs or among those of a set.

    `complement` says that the candidates are written as everything but some edges.
    """

    form: str
    value: Expression
    seed: Seed
    among: Set | None
    complement: bool


@record(slots=True)
class Table:
    """`load(...)` of pairs, by the names of their columns, one a dimension."""

    file: str
    header: bool
    source: tuple[str, ...]
    target: tuple[str, ...]
    where: Expression | None
    wraps: bool


@record(slots=True)
class Matrix:
    """`load(...)` of a matrix whose rows are the units of one end."""

    file: str
    rows: str


@record(slots=True)
class Named:
    """The set of an `edges` statement; `source` and `target` hold the axes that go by name: own and other."""

    name: str
    source: tuple[tuple[str, str] | None, ...]
    target: tuple[tuple[str, str] | None, ...]
    closure: bool = False


@record(slots=True)
class Combined:
    """`left | right`, `left & right` or `left - right`."""

    operator: str
    left: Set
    right: Set


@record(slots=True)
class Domain:
    """What an index name runs over: the numbers below a size, or what stands behind its `in`.

    `end` and `dimension` are where it stands alone in an index; `end` is empty where it does not.
    """

    name: str
    values: int | Interval | Items
    end: str = ""
    dimension: int = 0


@record(slots=True)
class Arrow:
    """An arrow between two indices, the names in it, and what must hold of them."""

    source: tuple[Expression, ...]
    target: tuple[Expression, ...]
    names: tuple[Domain, ...]
    conditions: tuple[Expression, ...]


@record(slots=True)
class Pairs:
    """An arrow between units that are listed on both sides."""

    sources: tuple[tuple[Expression, ...], ...]
    targets: tuple[tuple[Expression, ...], ...]


@record(slots=True)
class Builder:
    """`{ arrows : conditions ; policies }`."""

    arrows: tuple[Arrow | Pairs, ...]
    wraps: bool


@record(slots=True)
class Unstated:
    """A set that no statement is made of, and why."""

    why: str


Set: TypeAlias = (
    All
    | OneToOne
    | Window
    | Random
    | Table
    | Matrix
    | Named
    | Combined
    | Builder
    | Unstated
)  # fmt: skip


@record(slots=True)
class Stated:
    """A set between its two sides."""

    source: End
    target: End
    set: Set


# ------------------------------------------------------------------------------------------------- axes


@record(slots=True)
class FileNames:
    """`names(file, column = ..., where = ...)`; without a column a name a line."""

    file: str
    column: str | None
    header: bool
    where: Expression | None


@record(slots=True)
class SameNames:
    """Another axis under a name of its own."""

    axis: str


@record(slots=True)
class CombinedNames:
    """`left | right`, `left & right` or `left - right` of axes."""

    operator: str
    left: AxisNames
    right: AxisNames


@record(slots=True)
class ReachedNames:
    """`targets(SET, from = ...)` or `sources(SET, to = ...)`, `end` being which end of the edges is taken.

    `axis` is that of this end, `other` that of the other one, which `bound` bounds: an axis or listed names.
    """

    set: str
    end: str
    axis: str
    other: str | None
    bound: AxisNames | tuple[str, ...] | None


AxisNames: TypeAlias = FileNames | SameNames | CombinedNames | ReachedNames | Unstated


@record
class Statements:
    """What a spec states: connections and named sets, and the names of axes that have any."""

    connections: Mapping[str, Stated] = field(default_factory=dict[str, Stated])
    sets: Mapping[str, Stated] = field(default_factory=dict[str, Stated])
    axes: Mapping[str, AxisNames] = field(default_factory=dict[str, AxisNames])
