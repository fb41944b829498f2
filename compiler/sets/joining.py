"""Index names found by equations of what stands in arrays: `SET.target(e) == SET.source(f)`, equal fields.

No interval says for which units a field has some value. Where one side of an equation speaks of the name
that is to be assigned alone, and the other of names that are assigned, the values of the first are sorted
once, and those of every row are looked up among them. What is found meets the equation, but for rounding;
what is not found does not.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ...dsl import syntax
from ...dsl.walk import children, names_in
from ..data.columns import Coded
from ..edges.edge_set import Indices
from ..names.arithmetic import Value
from ..names.fields import opened
from .clauses import Condition
from .domains import Domain, Places
from .rows import Rows, RowValues

# Of a name with more values than this, they are not sorted.
MOST_SORTED = 1 << 26


class Joins:
    """The equations of a search that give a name its values, sorted when they are first needed."""

    def __init__(self, conditions: Iterable[Condition], values: RowValues) -> None:
        self._values = values
        self._equations = [
            sides for condition in conditions if not condition.draws and (sides := _sides(condition.node))
        ]
        self._sorted: dict[int, _Sorted | None] = {}

    def places(self, domain: Domain, rows: Rows) -> Places | None:
        """What the first such equation leaves for a name in every row; None where there is none."""
        size = domain.values
        if not isinstance(size, int) or size > MOST_SORTED:
            return None
        for at, equation in enumerate(self._equations):
            for own, other in (equation, equation[::-1]):
                if self._names(own) != {domain.name} or not self._names(other) <= rows.keys():
                    continue
                if at not in self._sorted:
                    self._sorted[at] = self._of_all(own, domain.name, size)
                held, (wanted, faulty) = self._sorted[at], self._values.key(other, rows)
                if held is not None and not np.any(faulty) and (found := held.places(wanted)):
                    return found
        return None

    def _names(self, node: syntax.Expression) -> set[str]:
        """The index names that an expression reads."""
        names = names_in(node, self._values.scope.text)
        return {name for name in names if name in self._values.names or name.startswith("#")}

    def _of_all(self, node: syntax.Expression, name: str, size: int) -> _Sorted | None:
        """What an expression is for all values of the one name in it; None where it fails for some."""
        rows = {"": np.zeros(size, np.int64), name: np.arange(size)}
        value, faulty = self._values.key(node, rows)
        if np.any(faulty):
            return None
        texts = value if isinstance(value, Coded) else None
        numbers = np.broadcast_to(value.codes if isinstance(value, Coded) else value, (size,))
        order = np.argsort(numbers, kind="stable")
        return _Sorted(numbers[order], order, texts)


class _Sorted:
    """The values of an expression, ascending, the unit that each is of, and its texts if they are some."""

    def __init__(self, values: Indices, units: Indices, texts: Coded | None) -> None:
        self._numbers, self._units, self._texts = values, units, texts

    def places(self, wanted: Value | Coded) -> Places | None:
        """The units whose value each row wants; None where texts and numbers are compared."""
        if isinstance(wanted, Coded) and self._texts is not None:
            code = self._texts.words.code
            own = np.array([code.get(text, -1) for text in wanted.words.texts], np.int64)
            return self._equal(own[wanted.codes])
        return None if isinstance(wanted, Coded) or self._texts is not None else self._equal(wanted)

    def _equal(self, wanted: Value) -> Places:
        first = np.searchsorted(self._numbers, wanted, side="left")
        return first, np.searchsorted(self._numbers, wanted, side="right") - 1, self._units


def _sides(node: syntax.Expression) -> tuple[syntax.Expression, syntax.Expression] | None:
    """Both sides of an equation that reads an array."""
    node = opened(node)
    if not isinstance(node, syntax.Comparison) or len(node.rest) != 1:
        return None
    ((symbol, right),) = node.rest
    sides = opened(node.first), opened(right)
    if symbol != "==" or any(isinstance(side, syntax.String) for side in sides):
        return None
    return sides if any(map(_reads, sides)) else None


def _reads(node: object) -> bool:
    """Whether an expression has a field in it, or the end of an edge."""
    own = isinstance(node, syntax.Call) and isinstance(node.function, syntax.Attribute)
    return own or any(map(_reads, children(node)))
