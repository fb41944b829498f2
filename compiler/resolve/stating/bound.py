"""What names stand for in the spec that is translated, and what an expression sees besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TypeAlias

from ....dsl import syntax
from ....dsl.records import record
from ...data.axis import Axis
from ...graph import statement as stated
from ...names.names import Names
from ...names.sides import Side
from ...sets.resolver import NamedSet
from ...sets.rules.rule import Sides

Variables: TypeAlias = Mapping[str, int]


@record
class Scope:
    """What an expression sees: loops, index names with the axis of each, and the calls of `chance`."""

    variables: Variables
    indices: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    chances: Mapping[int, int] = field(default_factory=dict[int, int])
    seed: stated.Seed = field(default_factory=lambda: stated.Seed(None))


@record
class Bound:
    """What the names of a spec stand for: all that is declared, the axes, and the named sets."""

    names: Names
    axes: Mapping[str, Axis | None]
    sets: Mapping[str, NamedSet]

    def text(self, node: syntax.Expression, variables: Variables) -> str:
        """The name that a reference is."""
        assert isinstance(node, syntax.Reference)
        return self.names.text(node.name, variables)

    def string(self, node: syntax.Expression, variables: Variables) -> str:
        """What stands in quotes."""
        assert isinstance(node, syntax.String)
        return self.names.string(node, variables)

    def bare(self, node: syntax.Expression, variables: Variables) -> str | None:
        """The name that stands alone, unless it is the variable of a loop."""
        node = opened(node)
        if not isinstance(node, syntax.Reference):
            return None
        name = self.names.text(node.name, variables)
        return None if name in variables else name

    def sides(self, node: syntax.Expression, variables: Variables) -> Sides:
        """Those of the named set that a reference stands for."""
        return self.sets[self.text(node, variables)].sides


def opened(node: syntax.Expression) -> syntax.Expression:
    """What stands within parentheses."""
    return opened(node.inner) if isinstance(node, syntax.Parenthesised) else node


def end_of(side: Side) -> stated.End:
    """A side as statements have it: its shape, and the name of each axis that has names."""
    axes = (side.axis(at) for at in range(len(side.shape)))
    return stated.End(side.shape, tuple(axis.name if axis and axis.names else None for axis in axes))
