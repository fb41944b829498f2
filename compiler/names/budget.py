"""How much a spec may be searched for edges: pairs looked at one by one are counted, shown, and limited."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import field

from ...dsl import syntax
from ...dsl.records import record

# Candidates of one spec, about a minute of work.
CANDIDATE_LIMIT = 400_000_000

# Is told of every piece of work: how many candidates have been looked at, and how many there may be.
WATCHER: ContextVar[Callable[[int, int], None] | None] = ContextVar("WATCHER", default=None)


class OverBudget(Exception):
    """More candidates than there may be, for an index that a condition, if any, does not bound."""

    def __init__(self, name: str = "", condition: syntax.Expression | None = None) -> None:
        self.name = name
        self.condition = condition
        super().__init__(name)


@record(frozen=False)
class Budget:
    """Candidates that may still be looked at."""

    left: int = field(default_factory=lambda: CANDIDATE_LIMIT)
    total: int = field(init=False)

    def __post_init__(self) -> None:
        self.total = self.left

    def spend(self, count: float) -> None:
        """Take so many candidates. Raises `OverBudget`."""
        if count > self.left:
            raise OverBudget
        self.left -= int(count)
        watcher = WATCHER.get()
        if watcher is not None:
            watcher(self.total - self.left, self.total)
