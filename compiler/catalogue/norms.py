"""Norms: what they are and their numbers, the same on every target.

Batch normalisation: Ioffe and Szegedy 2015; the biased variance of the batch normalises, the unbiased one
moves the running average by `momentum` (the part of the new). Layer normalisation: Ba et al. 2016.
Root mean square normalisation: Zhang and Sennrich 2019.
"""

from __future__ import annotations

from ...dsl.records import record


@record
class Norm:
    """A norm with a scale `weight` (ones) and, if `shifts`, a `bias` (zeros).

    With `running` statistics there is one of each where there is one of these, else one of each a unit.
    """

    name: str
    parameters: tuple[tuple[str, float], ...]
    running: bool
    shifts: bool = True


NORMS = {
    entry.name: entry
    for entry in (
        Norm("batch_norm", (("eps", 1e-5), ("momentum", 0.1)), running=True),
        Norm("layer_norm", (("eps", 1e-5),), running=False),
        Norm("rms_norm", (("eps", 1e-5),), running=False, shifts=False),
    )
}
