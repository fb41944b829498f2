"""Losses and penalties: one entry each.

A loss is the mean over the batch of a value per sample. `formula` is the loss as Python in `np`, a prediction
`y` and a target `t` of one shape (batch, ...), and `factor * derivative` is d loss / d y: the factor stands
apart so that it can be multiplied with the term's coefficient. What they call besides is the NumPy kernel of
that name. At a kink, the derivative of an absolute value is 0. The generated tests hold targets to
definitions of their own, of the entries' names. An entry is `exact` if it and its derivative are not rounded
for numbers with few bits, provided that what it divides by is a power of two: the batch and, where it
`averages_units`, their number.
"""

from __future__ import annotations

from ...dsl.records import record


@record
class Loss:
    """`codes`: the target holds class codes and the prediction logits, one more dimension.

    Where a loss with numbers is another entry than that without, specs have it `called` the same.
    """

    name: str
    formula: str
    derivative: str
    factor: float = 1
    codes: bool = False
    kink_at_target: bool = False
    exact: bool = False
    averages_units: bool = True
    called: str = ""


@record
class Penalty:
    """A penalty on a weight vector `w`: its value, its derivative, and whether it has a kink at zero."""

    name: str
    formula: str
    derivative: str
    kink_at_zero: bool
    factor: float = 1


LOSSES = {
    entry.name: entry
    for entry in (
        Loss("cross_entropy", "cross_entropy(y, t)", "cross_entropy_gradient(y, t)", codes=True),
        Loss("binary_cross_entropy", "np.mean(np.logaddexp(y, 0) - y * t)", "(sigmoid(y) - t) / y.size"),
        Loss("mse", "np.mean((y - t) ** 2)", "(y - t) / y.size", factor=2, exact=True),
        Loss(
            "squared_error",
            "np.sum((y - t) ** 2) / len(y)",
            "(y - t) / len(y)",
            factor=2,
            exact=True,
            averages_units=False,
        ),
        Loss(
            "mae",
            "np.mean(np.abs(y - t))",
            "np.sign(y - t) / y.size",
            kink_at_target=True,
            exact=True,
        ),
        Loss("cosine", "cosine(y, t)", "cosine_gradient(y, t)"),
    )
}

# The sum of -w q log softmax(y), q being a code's distribution, a part `smoothing` of it even.
SOFT_CROSS_ENTROPY = Loss(
    "soft_cross_entropy",
    "soft_cross_entropy(y, t, smoothing=smoothing, weights=weights)",
    "soft_cross_entropy_gradient(y, t, smoothing=smoothing, weights=weights)",
    codes=True,
    called="cross_entropy",
)

PENALTIES = {
    entry.name: entry
    for entry in (
        Penalty("l1", "np.abs(w).sum()", "np.sign(w)", kink_at_zero=True),
        Penalty("l2", "np.square(w).sum()", "w", kink_at_zero=False, factor=2),
    )
}
