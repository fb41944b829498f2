"""What index names run over: numbers below a size, ranges that may depend on other names, ends of edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from ...dsl import syntax
from ...dsl.records import record
from ...dsl.source import Span
from ...dsl.walk import names_in
from ..edges.edge_set import Indices, distinct
from ..names.arithmetic import Value
from .intervals import WHOLE, Interval
from .rows import Rows, RowValues

# First and last of a range in every row; or of the places in a list, whose values come with them, (items,),
# or (items, rows) if they differ from row to row.
Places: TypeAlias = tuple[Value, Value, "Indices | None"]


@record(eq=False)
class Partners:
    """The units at the other ends of the edges of a unit or, with no name of one, those that have edges."""

    of: str | None
    units: Indices
    partners: Indices

    @staticmethod
    def both(units: Indices, partners: Indices, name: str) -> tuple[Partners, Partners]:
        """The units at one end of all edges, and the partners of the one of some name."""
        order = np.argsort(units, kind="stable")
        units, partners = units[order], partners[order]
        return Partners(None, units, distinct(units)), Partners(name, units, partners)

    def places(self, rows: Rows) -> Places:
        """Where in `partners` those of every row are."""
        if self.of is None:
            return 0, len(self.partners) - 1, self.partners
        first = np.searchsorted(self.units, rows[self.of], side="left")
        last = np.searchsorted(self.units, rows[self.of], side="right") - 1
        return first, last, self.partners


@record
class Domain:
    """What an index name runs over: numbers below a size, those after its `in`, or ends of edges."""

    name: str
    span: Span
    values: int | syntax.Range | syntax.List | Partners

    def needs(self, text: Callable[[syntax.Name], str]) -> set[str]:
        """The names that the values depend on."""
        if isinstance(self.values, Partners):
            return {self.values.of} if self.values.of else set()
        return names_in(self.values, text)


class Ranges:
    """What the names of a search run over in each row. Raises `Failed` where that is wrong for any row.

    What depends on no other name is worked out once.
    """

    def __init__(self, domains: Sequence[Domain], values: RowValues) -> None:
        self.domains = domains
        self._values = values
        self._text = values.scope.text
        self._fixed: dict[str, Places] = {}
        nowhere = {name: np.empty(0, np.int64) for name in ("", *(domain.name for domain in domains))}
        for domain in domains:
            places = self.places(domain, nowhere)
            if not domain.needs(self._text) & nowhere.keys():
                self._fixed[domain.name] = places

    def places(self, domain: Domain, rows: Rows) -> Places:
        """What a name runs over."""
        if domain.name in self._fixed:
            return self._fixed[domain.name]
        match domain.values:
            case Partners():
                return domain.values.places(rows)
            case int(size):
                return 0, size - 1, None
            case syntax.Range(first=first, last=last):
                return (
                    self._values.integers(first, rows, "the first of a range"),
                    self._values.integers(last, rows, "the last of a range"),
                    None,
                )
            case syntax.List(items=items):
                values = [self._values.integers(item, rows, "an index") for item in items]
                if any(np.ndim(value) for value in values):
                    values = [np.broadcast_to(value, rows[""].shape) for value in values]
                return 0, len(values) - 1, np.array(values, np.int64)

    def box(self, rows: Rows, level: int) -> dict[str, Interval]:
        """Where each name may lie: its values if it is assigned, else its range as far as that is known.

        The names before `level` are assigned.
        """
        box = {name: Interval(values.astype(float), values.astype(float)) for name, values in rows.items()}
        for domain in self.domains[level:]:
            box[domain.name] = WHOLE
            if all(name in rows for name in domain.needs(self._text) & box.keys()):
                first, last, values = self.places(domain, rows)
                if values is None:
                    box[domain.name] = Interval(np.asarray(first, float), np.asarray(last, float))
                elif values.size:
                    box[domain.name] = Interval(float(values.min()), float(values.max()))
        return box
