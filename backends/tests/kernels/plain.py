"""The plain definitions that the reference network is written in, apart from every target's code.

All take complex numbers as well as real ones, and are then what they are for real numbers, continued: with
x + ih, h small, the imaginary part of what comes out is h times the derivative (`stepped`). What is
not smooth chooses by the real part: what is larger or smaller is the second where both are equal, and the
derivative of an absolute value at 0 is 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .rounding import around


def weighted_sum(
    x: np.ndarray, weight: np.ndarray | None, source: np.ndarray, target: np.ndarray, targets: int
) -> np.ndarray:
    """A sparse projection (batch, targets): in every sample, what each edge carries is added to its target.

    x is (batch, sources), the others but `targets` (edges,), in whatever order.
    """
    weight = np.ones(len(source)) if weight is None else weight
    at_once = max(1, 2**12 // max(1, len(source)))  # samples, so that little is held at a time
    rows: list[np.ndarray] = []
    for first in range(0, len(x), at_once):
        carried = x[first : first + at_once].take(source, axis=1) * weight
        count = len(carried)
        place = (target + targets * np.arange(count)[:, None]).ravel()
        row = np.bincount(place, np.real(carried).ravel(), count * targets)
        if np.iscomplexobj(carried):
            row = row + 1j * np.bincount(place, np.imag(carried).ravel(), count * targets)
        rows.append(row.reshape(count, targets))
    total = np.concatenate(rows)
    return around(total, total)


def looked_up(codes: np.ndarray, weight: np.ndarray, classes: int) -> np.ndarray:
    """Class codes (batch, positions) as sums of columns of the weight, (targets, sources); -1 is none."""
    column = codes + classes * np.arange(codes.shape[1])
    return np.stack([weight[:, mine[own >= 0]].sum(axis=1) for own, mine in zip(codes, column, strict=True)])


def entries_at(parameter: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The entry of a parameter, counted along its rows, that every edge has."""
    return np.ravel(parameter)[np.asarray(index, np.int64)]


def biases(bias: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The bias of every unit; -1 is none."""
    return np.where(index < 0, 0.0, bias[np.maximum(index, 0)] if len(bias) else 0.0)


# ------------------------------------------------------------------------------------------------- norms


def in_groups(x: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Units (batch, units) by the group that each is of: (batch, groups, units of a group)."""
    return x[:, np.argsort(groups, kind="stable")].reshape(len(x), groups.max() + 1, -1)


def as_units(x: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """What `in_groups` gave, as it was before."""
    return x.reshape(len(x), -1)[:, np.argsort(np.argsort(groups, kind="stable"))]


def normalised(x: np.ndarray, axis: int, eps: float) -> np.ndarray:
    """x less its mean, over the root of its biased variance plus eps, along `axis`.

    Frameworks may fold the mean into the variance, so roundings of the mean square are granted to it.
    """
    centred = x - x.mean(axis=axis, keepdims=True)
    variance = (centred * centred).mean(axis=axis, keepdims=True)
    variance = around(variance, (x * x).mean(axis=axis, keepdims=True))
    variance = np.where(np.real(variance) < 0, variance - np.real(variance), variance)
    return centred / np.sqrt(variance + eps)


def rms_normalised(x: np.ndarray, eps: float) -> np.ndarray:
    """x over the root of its mean square plus eps, along the last dimension."""
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps)


def moved(
    parameters: dict[str, np.ndarray], name: str, x: np.ndarray, momentum: float
) -> dict[str, np.ndarray]:
    """The running statistics of the batch norm `name` after a batch x (batch, units)."""
    x = np.real(x)
    centred = x - x.mean(axis=0)
    variance = (centred * centred).sum(axis=0) / (len(x) - 1)
    new = {"running_mean": x.mean(axis=0), "running_var": around(variance, (x * x).mean(axis=0))}
    return {
        f"{name}.{what}": (1 - momentum) * parameters[f"{name}.{what}"] + momentum * value
        for what, value in new.items()
    }


# ------------------------------------------------------------------------------------------- activations


def tanh(x: np.ndarray) -> np.ndarray:
    """The hyperbolic tangent."""
    return smooth(np.tanh(x), x)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x))."""
    above = np.real(x) >= 0
    e = np.exp(np.where(above, -x, x))
    return smooth(np.where(above, 1, e) / (1 + e), x)


def erf(x: np.ndarray) -> np.ndarray:
    """The error function, of a complex x by its first two terms along the imaginary axis."""
    of_real = np.asarray(np.frompyfunc(math.erf, 1, 1)(np.real(x)), np.float64)
    if not np.iscomplexobj(x):
        return around(of_real, of_real)
    result = of_real + 1j * (2 / math.sqrt(math.pi) * np.exp(-np.square(np.real(x))) * np.imag(x))
    return around(result, result)


def softplus(x: np.ndarray) -> np.ndarray:
    """log(1 + exp(x))."""
    above = np.real(x) > 0
    e = np.exp(np.where(above, -x, x))
    logarithm = np.log1p(np.real(e))  # numpy's own of a complex number loses the digits of a small one
    if np.iscomplexobj(e):
        logarithm = logarithm + 1j * (np.imag(e) / (1 + np.real(e)))
    return smooth(np.where(above, x, 0) + logarithm, x)


def log_sigmoid(x: np.ndarray) -> np.ndarray:
    """log(1 / (1 + exp(-x)))."""
    return -softplus(-x)


def expm1(x: np.ndarray) -> np.ndarray:
    """exp(x) - 1; numpy's own of a complex number loses the digits of a small one."""
    if not np.iscomplexobj(x):
        return np.expm1(x)
    return np.expm1(np.real(x)) + 1j * (np.exp(np.real(x)) * np.imag(x))


def log1p(x: np.ndarray) -> np.ndarray:
    """log(1 + x)."""
    if not np.iscomplexobj(x):
        return np.log1p(x)
    return np.log1p(np.real(x)) + 1j * (np.imag(x) / (1 + np.real(x)))


def log(x: np.ndarray) -> np.ndarray:
    """The logarithm, nan below 0, where numpy's own goes on into the complex plane."""
    return where_real(np.log, x, np.real(x) >= 0)


def sqrt(x: np.ndarray) -> np.ndarray:
    """The square root, nan below 0."""
    return where_real(np.sqrt, x, np.real(x) >= 0)


def atanh(x: np.ndarray) -> np.ndarray:
    """The inverse of tanh, nan beyond -1 and 1."""
    return where_real(np.arctanh, x, np.abs(np.real(x)) <= 1)


def real_power(x: np.ndarray, exponent: np.ndarray | float) -> np.ndarray:
    """A power that is no whole one, nan below 0."""
    return where_real(lambda base: base**exponent, x + 0 * exponent, np.real(x + 0 * exponent) >= 0)


def where_real(
    function: Callable[[np.ndarray], np.ndarray], x: np.ndarray, defined: np.ndarray
) -> np.ndarray:
    """A function of real numbers that is continued to complex ones, and nan where it is not `defined`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(defined, function(x), np.nan)


def smaller(a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
    """The smaller of both, and where they are equal the second."""
    return np.where(np.real(a) < np.real(b), a, b)


def larger(a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
    """The larger of both, and where they are equal the second."""
    return np.where(np.real(a) > np.real(b), a, b)


def sloped(
    x: np.ndarray, value: Callable[[np.ndarray], np.ndarray], slope: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """`value(x)`, whose derivative is declared to be `slope(x)`: its line through the real part of x."""
    at = np.real(x)
    return value(at) + 1j * (slope(at) * np.imag(x)) if np.iscomplexobj(x) else value(at)


def softmax(x: np.ndarray) -> np.ndarray:
    """exp(x) over its sum along the last dimension."""
    e = np.exp(x - np.real(x).max(axis=-1, keepdims=True))
    return smooth(e / e.sum(axis=-1, keepdims=True), x)


def log_softmax(x: np.ndarray) -> np.ndarray:
    """x less the logarithm of the sum of exp(x) along the last dimension."""
    shifted = x - np.real(x).max(axis=-1, keepdims=True)
    return smooth(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), x)


def prelu(x: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """x above 0, and each unit's slope times x elsewhere."""
    return np.where(np.real(x) > 0, x, slope * x)


def smooth(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """y = f(x), and to its derivative are granted roundings of 1, the size that it has where f is not flat.

    Where f is flat, 1 - y^2 and its like have no others.
    """
    return around(y, 1j * np.imag(np.asarray(x)))


# ------------------------------------------------------------------------------------ losses and penalties


def cross_entropy(y: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Mean of -log softmax(y)[t]; logits y (..., classes), codes t (...) integers."""
    shifted = y - np.real(y).max(axis=-1, keepdims=True)
    logarithms = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return -np.take_along_axis(logarithms, t[..., None], axis=-1).mean()


def binary_cross_entropy(y: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Mean of log(1 + exp(y)) - y t over all entries."""
    return (softplus(y) - y * t).mean()


def mse(y: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Mean of (y - t)^2 over all entries."""
    return np.square(y - t).mean()


def squared_error(y: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Sum of (y - t)^2 over a sample's entries, averaged over the batch."""
    return np.square(y - t).sum() / len(y)


def mae(y: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Mean of |y - t| over all entries."""
    return magnitude(y - t).mean()


def soft_cross_entropy(
    y: np.ndarray, t: np.ndarray, smoothing: float, weights: Sequence[float] | None
) -> np.ndarray:
    """Mean over codes t of -sum(weights q log softmax(y)), q a code's distribution, a part of it even."""
    classes = y.shape[-1]
    q = (1 - smoothing) * np.eye(classes)[t] + smoothing / classes
    q = q * (np.ones(classes) if weights is None else np.array(weights))
    shifted = y - np.real(y).max(axis=-1, keepdims=True)
    logarithms = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return -(q * logarithms).sum(axis=-1).mean()


def cosine(y: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Mean over the batch of 1 - cos(y, t), all units of a sample a vector; a length is 1e-8 at least."""
    y, t = y.reshape(len(y), -1), t.reshape(len(t), -1)
    lengths = [np.sqrt((x * x).sum(axis=1)) for x in (y, t)]
    one, other = (np.where(np.real(length) > 1e-8, length, 1e-8) for length in lengths)
    return (1 - (y * t).sum(axis=1) / (one * other)).mean()


def l1(w: np.ndarray) -> np.ndarray:
    """Sum of |w|."""
    return magnitude(w).sum()


def l2(w: np.ndarray) -> np.ndarray:
    """Sum of w^2."""
    return np.square(w).sum()


def magnitude(x: np.ndarray) -> np.ndarray:
    """|x|, continued."""
    return x * np.sign(np.real(x))


def step_before(
    before: Sequence[dict[str, np.ndarray]], name: str, delay: int, start: object, shape: tuple[int, int]
) -> np.ndarray:
    """What a value was some steps before the one that follows those `before`, (batch, units).

    Before the first step it is `start`, a number or one a unit.
    """
    return before[-delay][name] if delay <= len(before) else np.zeros(shape) + np.asanyarray(start)


def at_all_steps(each: Sequence[dict[str, np.ndarray]], timed: Sequence[str]) -> dict[str, np.ndarray]:
    """Values by name, of those that are `timed` (batch, steps * units), of others as at any step."""
    whole = {name: np.concatenate([v[name] for v in each], axis=1) for name in timed}
    return {**each[-1], **whole}
