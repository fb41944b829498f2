"""What a rule is, and what it sees. Each rule is one file beside this one, and an entry in `__init__.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ....dsl import syntax
from ....dsl.diagnostics import Report
from ....dsl.records import record
from ...data.files import Files
from ...edges.algebra import Partial
from ...edges.edge_set import EdgeSet, Indices
from ...graph import statement as stated
from ...names.budget import Budget
from ...names.names import Names
from ...names.sides import Member, Side


@record
class Sides:
    """The two ends of a set, and the names that seed its random rules."""

    source: Side
    target: Side
    owner: str

    @property
    def both(self) -> tuple[Side, Side]:
        """Source and target."""
        return self.source, self.target


@record
class Setting:
    """What a rule sees where it stands, at a `place` of a set expression within some loops.

    `within` gives the edges of a set expression among its arguments, which stands at a place further in;
    `member` those of a named set, and `refuse_sides` raises `Failed` unless the named set of a reference
    fits these sides.
    """

    sides: Sides
    variables: Mapping[str, int]
    place: str
    names: Names
    files: Files
    budget: Budget
    within: Callable[[syntax.Expression, str], Partial]
    member: Callable[[syntax.Expression], Member]
    refuse_sides: Callable[[syntax.Reference], None]


@record
class Stating:
    """What translates the arguments of a rule to those of its statement, with nothing solved."""

    sides: Sides
    place: str
    report: Report
    expression: Callable[[syntax.Expression], stated.Expression]
    string: Callable[[syntax.Expression], str]
    within: Callable[[syntax.Expression, str], stated.Set]
    named: Callable[[syntax.Expression, bool], stated.Named]


class NoStatement(Exception):
    """Why no statement is made of a set."""


@record
class Rule:
    """A word of the language that makes a set of edges of its arguments.

    `edges` gives them, and raises `Failed` after recording a diagnostic, or `TooManyEdges`. `state` says for
    the generated tests what the rule means, of a call in which nothing is wrong, or raises `NoStatement`.
    Some name indices in their arguments: `names` gives these, and `indices` what they are on every edge.
    """

    word: str
    edges: Callable[[syntax.Expression, Setting], EdgeSet]
    state: Callable[[syntax.Expression, Stating], stated.Set]
    names: Callable[[syntax.Expression], tuple[str, ...]] = lambda node: ()
    indices: Callable[[syntax.Expression, Setting], dict[str, Indices]] = lambda node, setting: {}
