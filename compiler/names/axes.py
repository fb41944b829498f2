"""Axes: named index spaces, `axis gene = names("genes.txt")`, worked out when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace

import numpy as np

from ...dsl import syntax
from ...dsl.diagnostics import Failed, fail
from ...dsl.records import record
from ...dsl.walk import called_name
from ...dsl.words import suggest
from .. import codes
from ..data.axis import Axis
from ..data.files import Files
from .arithmetic import FUNCTIONS
from .file_axes import FileAxes
from .names import Declaration, Names
from .sides import Member
from .unit_axes import HAS_NAMES, REACHED, UnitAxes, empty_axis, part_of, written_as


@record(frozen=False)
class Axes:
    """The axes of a spec by name; None for one whose statement has an error, which is recorded.

    `member` gives the named set that a reference stands for, with its sides.
    """

    names: Names
    files: Files
    member: Callable[[syntax.Expression, Mapping[str, int]], Member]
    known: dict[str, Axis | None] = field(default_factory=dict[str, "Axis | None"])
    _files: FileAxes = field(init=False)
    _units: UnitAxes = field(init=False)
    _listed: dict[object, Axis | None] = field(default_factory=dict[object, "Axis | None"])

    def __post_init__(self) -> None:
        self._files = FileAxes(self.names, self.files)
        self._units = UnitAxes(self.names, self.member, self._of_names)

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
                self._files.read(word, node, variables, merges=True)
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
                what = f"`{written_as(self.names, side, variables)}`"
                raise fail(self.names.report, codes.NO_NAMES, side.span, what=what, help=HAS_NAMES)
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
            one, other = (written_as(self.names, side, variables) for side in sides)
            reason = f"{'no' if wanted else 'every'} name of `{one}` is in `{other}`"
            raise empty_axis(self.names, name, node, reason, variables)
        return part_of(left, name, np.array(units))

    def _of_call(self, name: str, node: syntax.Call, variables: Mapping[str, int]) -> Axis | None:
        word = called_name(node)
        if word in REACHED:
            return self._units.axis(name, node, variables)
        return self._files.read(name, node, variables) if word == "names" else None
