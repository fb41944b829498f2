"""A named index space, with the columns of the table that its names come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import cached_property

from ...dsl.records import record
from ...dsl.words import suggest
from .tables import Column

# Names that one which is unknown is compared with.
NAMES_COMPARED = 5000


@record(eq=False)
class Axis:
    """A named index space: its size, the names of its units if they have any, further columns of its table.

    `names` are distinct; each of the `fields` has a value for every unit.
    """

    name: str
    size: int
    names: tuple[str, ...] | None = field(default=None, repr=False)
    fields: Mapping[str, Column] = field(default_factory=dict[str, "Column"], repr=False)

    @cached_property
    def positions(self) -> dict[str, int]:
        """The unit of each name."""
        return {name: at for at, name in enumerate(self.names or ())}

    def nearest(self, name: str) -> str | None:
        """The name that one which is not on the axis was most likely meant to be."""
        names = self.names or ()
        if len(names) > NAMES_COMPARED:
            # To compare with all would take minutes; who mistypes a name mostly has its beginning right.
            start = name.strip()[:3].lower()
            names = [known for known in names if known.lower().startswith(start)][:NAMES_COMPARED]
        return suggest(name, names)
