"""Fields of axes, ends of edges and columns of tables, as numbers or as texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...dsl import syntax
from ...dsl.diagnostics import Report, fail
from ...dsl.walk import called_name, written
from .. import codes
from .arithmetic import Value, is_integer
from .faults import Faults, not_an_integer, refuse_condition
from .surroundings import Surroundings

if TYPE_CHECKING:
    from ..data.tables import Texts


class Fields:
    """Reads what stands in the surroundings of an expression, at an index that `value` gives."""

    def __init__(
        self,
        report: Report,
        surroundings: Surroundings | None,
        faults: Faults,
        value: Callable[[syntax.Expression], Value],
    ) -> None:
        self._report = report
        self._surroundings = surroundings
        self._faults = faults
        self._value = value

    def names(self, node: syntax.Expression) -> tuple[str, ...] | None:
        """The names that `in AXIS` or `in names(...)` speaks of; None for anything else."""
        node = opened(node)
        if self._surroundings is None or not isinstance(node, syntax.Reference | syntax.Call):
            return None
        axis = self._surroundings.named(node)
        return axis.names if axis else None

    def texts(self, node: syntax.Expression) -> Texts | None:
        """The texts that `column("name")` or `AXIS.FIELD(i)` stands for; None for anything else."""
        node = opened(node)
        if not isinstance(node, syntax.Call) or self._surroundings is None:
            return None
        if isinstance(node.function, syntax.Attribute):
            found = self._surroundings.numbered(node.function)
            if isinstance(found, np.ndarray):
                return None
            return found.at(self._index(node, len(found)))
        if called_name(node) == "column" and self._surroundings.column is not None:
            return self._surroundings.column(node)
        return None

    def number(self, node: syntax.Call, function: syntax.Attribute) -> Value:
        """`AXIS.FIELD(i)` as a number, `SET.source(e)`, `SET.target(e)`."""
        if self._surroundings is None:
            raise fail(self._report, codes.NOT_A_NUMBER, node.span, what="a field")
        found = self._surroundings.numbered(function)
        if isinstance(found, np.ndarray):
            return found[self._index(node, len(found))]
        return found.at(self._index(node, len(found))).numbers()

    def _index(self, node: syntax.Call, size: int) -> Any:
        """The argument of `AXIS.FIELD(i)`, a number below a size; where it is none, a fault is marked."""
        if len(node.arguments) != 1 or node.arguments[0].name:
            name, count = written(self._report, node.function), "one number, without a name"
            raise fail(self._report, codes.ARGUMENT_COUNT, node.span, name=name, count=count)
        argument = node.arguments[0].value
        index = self._value(argument)
        refuse_condition(index, argument, self._report)
        if not is_integer(index) and np.size(index):
            raise not_an_integer(
                self._report, argument, "an index", np.asarray(index).reshape(-1)[:1].tolist()[0]
            )
        outside = np.logical_or(np.less(index, 0), np.greater_equal(index, size))
        self._faults.mark(outside, codes.INDEX_OUTSIDE, node)
        if size == 0:
            raise fail(self._report, codes.INDEX_OUTSIDE, node.span)
        return np.where(outside, 0, index).astype(np.int64)


def opened(node: syntax.Expression) -> syntax.Expression:
    """What stands within parentheses."""
    return opened(node.inner) if isinstance(node, syntax.Parenthesised) else node
