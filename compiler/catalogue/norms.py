"""Norms: what they pool over and their numbers, the same on every target.

Batch normalisation: Ioffe and Szegedy 2015; the biased variance of the batch normalises, the unbiased one
moves the running average by `momentum` (the part of the new). Layer normalisation: Ba et al. 2016.
"""

from __future__ import annotations

from ...dsl.records import record


@record
class Norm:
    """A norm with a scale `weight` (ones) and a shift `bias` (zeros), one of each per unit."""

    name: str
    parameters: tuple[tuple[str, float], ...]
    running: bool


NORMS = {
    entry.name: entry
    for entry in (
        Norm("batch_norm", (("eps", 1e-5), ("momentum", 0.1)), running=True),
        Norm("layer_norm", (("eps", 1e-5),), running=False),
    )
}
