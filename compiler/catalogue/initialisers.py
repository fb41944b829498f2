"""Distributions that `weight ~ name(...)` draws start values from."""

from __future__ import annotations

from ...dsl.records import record


@record
class Distribution:
    """A distribution by the names of its arguments; generated code has a kernel of the same name.

    `ordered`: the second argument may not be below the first.
    """

    name: str
    parameters: tuple[str, ...]
    nonnegative: tuple[str, ...] = ()
    ordered: bool = False


DISTRIBUTIONS = {
    entry.name: entry
    for entry in (
        Distribution("uniform", ("low", "high"), ordered=True),
        Distribution("normal", ("mean", "std"), nonnegative=("std",)),
    )
}
