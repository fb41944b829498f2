"""How a unit pools what arrives over a connection, where that is no sum: the same on every target.

What arrives over an edge is the source's value, times the edge's weight where there are weights. Of what is
equal in `max` and `min`, the first edge in canonical order has the gradient.
"""

from __future__ import annotations

from ...dsl.records import record


@record
class Reduction:
    """A way to pool. `empty` is what it makes of nothing, None where that is no number.

    One that is `exact` does not round whole numbers as long as they stay small, `mean` where a unit has as
    many inputs as a power of two. One that `slides` is what frameworks pool windows by.
    """

    name: str
    empty: float | None
    exact: bool
    slides: bool = False


REDUCTIONS = {
    entry.name: entry
    for entry in (
        Reduction("mean", empty=0.0, exact=True, slides=True),
        Reduction("max", empty=None, exact=True, slides=True),
        Reduction("min", empty=None, exact=True, slides=True),
        Reduction("product", empty=1.0, exact=True),
        Reduction("logsumexp", empty=None, exact=False),
    )
}
