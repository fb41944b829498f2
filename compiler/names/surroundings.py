"""What an expression reads of the rest of the spec."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...dsl import syntax
from ...dsl.records import record
from .arithmetic import Array

if TYPE_CHECKING:
    from ..data.axis import Axis
    from ..data.tables import Texts


@record
class Surroundings:
    """What calls in an expression read of the rest of the spec; each raises `Failed` where there is nothing.

    `length` is for `len(NAME)`; `numbered` gives all of `AXIS.FIELD` or `SET.source`, of which the call takes
    some; `named` the axis whose names are meant after `in`, if it is one; `column` is for `column("name")`,
    where there is a table.
    """

    length: Callable[[syntax.Reference], int]
    numbered: Callable[[syntax.Attribute], Texts | Array]
    named: Callable[[syntax.Expression], Axis | None]
    column: Callable[[syntax.Call], Texts] | None = None
