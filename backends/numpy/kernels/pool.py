"""What arrives along sorted edges, pooled by unit: cost proportional to edges, some units at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np


def pool(
    x: np.ndarray,
    weight: np.ndarray | None,
    source: np.ndarray,
    target: np.ndarray,
    targets: int,
    pools: Callable[[np.ndarray, np.ndarray], np.ndarray],
    empty: float,
) -> np.ndarray:
    """y[b, t] = what `pools` makes of weight[e] x[b, s] over the edges e = (s -> t).

    Args:
        x: (batch, sources).
        weight: (edges,), or None, where sources arrive as they are.
        source: (edges,) integers.
        target: (edges,) integers, ascending.
        targets: number of target units; those without edges get `empty`.
        pools: what is made of rows (edges, batch) and the places where the edges of each unit start.
        empty: the value of a unit without edges.

    Returns:
        (batch, targets).
    """
    y = np.full((targets, len(x)), empty, x.dtype if weight is None else np.result_type(x, weight))
    units_first = np.ascontiguousarray(x.T)
    for some, starts in whole_units(target, len(x)):
        y[target[some][starts]] = pools(arriving(units_first, weight, source, some), starts)
    return y.T


def arriving(x: np.ndarray, weight: np.ndarray | None, source: np.ndarray, some: slice) -> np.ndarray:
    """What arrives over some edges, (edges, batch), of x (sources, batch)."""
    rows = x[source[some]]
    return rows if weight is None else rows * weight[some, None]


def whole_units(target: np.ndarray, batch: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Slices of edges in which units have all of theirs, and where in one the edges of each unit start."""
    firsts = np.flatnonzero(np.diff(target, prepend=-1))
    ends, length = np.append(firsts[1:], len(target)), 1 + 10**7 // max(batch, 1)
    at = 0
    while at < len(firsts):
        after = max(at + 1, int(np.searchsorted(ends, firsts[at] + length, side="right")))
        yield slice(int(firsts[at]), int(ends[after - 1])), firsts[at:after] - firsts[at]
        at = after


def pool_slopes(
    x: np.ndarray,
    d: np.ndarray,
    weight: np.ndarray | None,
    source: np.ndarray,
    target: np.ndarray,
    slopes: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Slices of edges, what their sources are, and the gradient of what they carry, both (edges, batch)."""
    units_first, d_first = np.ascontiguousarray(x.T), np.ascontiguousarray(d.T)
    for some, starts in whole_units(target, len(x)):
        carried = arriving(units_first, weight, source, some)
        yield some, units_first[source[some]], slopes(carried, starts) * d_first[target[some]]


def pool_back(
    x: np.ndarray,
    d: np.ndarray,
    weight: np.ndarray | None,
    source: np.ndarray,
    target: np.ndarray,
    slopes: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """Gradient (batch, sources) of the input of `pool` from that of its output, d (batch, targets).

    `slopes` is the derivative of what `pools` makes, by each of the rows (edges, batch) that it takes.
    """
    gradient = np.zeros((x.shape[1], len(x)), np.result_type(x, d))
    for some, _, by_edge in pool_slopes(x, d, weight, source, target, slopes):
        if weight is not None:
            by_edge = by_edge * weight[some, None]
        order = np.argsort(source[some], kind="stable")
        read = source[some][order]
        starts = np.flatnonzero(np.diff(read, prepend=-1))
        gradient[read[starts]] += np.add.reduceat(by_edge[order], starts, axis=0)
    return gradient.T


def pool_weight(
    x: np.ndarray,
    d: np.ndarray,
    weight: np.ndarray,
    source: np.ndarray,
    target: np.ndarray,
    slopes: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """Gradient (edges,) of the weight of `pool` from that of its output, d (batch, targets)."""
    gradient = np.empty(len(source), np.result_type(x, d))
    for some, read, by_edge in pool_slopes(x, d, weight, source, target, slopes):
        gradient[some] = np.einsum("eb,eb->e", read, by_edge)
    return gradient


def lengths_of(rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """How many of the rows each unit has, (units,)."""
    return np.diff(starts, append=len(rows))


def mean_of(rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The mean of each unit's rows."""
    return np.add.reduceat(rows, starts, axis=0) / lengths_of(rows, starts)[:, None].astype(rows.dtype)


def mean_slopes(rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The derivative of `mean_of` by every row."""
    lengths = lengths_of(rows, starts)
    return (1 / np.repeat(lengths, lengths)[:, None]).astype(rows.dtype)


def max_of(rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The largest of each unit's rows."""
    return np.maximum.reduceat(rows, starts, axis=0)


def max_slopes(rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The derivative of `max_of` by every row: 1 for the largest, the first of those that are equal."""
    return first_of(rows, max_of(rows, starts), starts)


def min_of(rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The smallest of each unit's rows."""
    return np.minimum.reduceat(rows, starts, axis=0)


def min_slopes(rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The derivative of `min_of` by every row: 1 for the smallest, the first of those that are equal."""
    return first_of(rows, min_of(rows, starts), starts)


def first_of(rows: np.ndarray, chosen: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """1 where a row is the first of its unit that equals what is chosen, (units, batch), and 0 elsewhere."""
    lengths, numbers = lengths_of(rows, starts), np.arange(len(rows))[:, None]
    equal = np.where(rows == np.repeat(chosen, lengths, axis=0), numbers, len(rows))
    first = np.minimum.reduceat(equal, starts, axis=0)
    return (numbers == np.repeat(first, lengths, axis=0)).astype(rows.dtype)


def product_of(rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The product of each unit's rows."""
    return np.multiply.reduceat(rows, starts, axis=0)


def product_slopes(rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The derivative of `product_of` by every row: the product of the others, without a division by it."""
    lengths = lengths_of(rows, starts)
    place = np.arange(len(rows)) - np.repeat(starts, lengths)  # of a row among those of its unit
    before, after = np.ones_like(rows), np.ones_like(rows)
    for reached in range(1, lengths.max(initial=0)):
        at = np.flatnonzero(place == reached)
        before[at] = before[at - 1] * rows[at - 1]
        at = np.flatnonzero(np.repeat(lengths, lengths) - 1 - place == reached)
        after[at] = after[at + 1] * rows[at + 1]
    return before * after


def logsumexp_of(rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The logarithm of the sum of the exponentials of each unit's rows."""
    top = np.maximum.reduceat(rows, starts, axis=0)
    top = np.where(np.isfinite(top), top, 0)
    shifted = np.exp(rows - np.repeat(top, lengths_of(rows, starts), axis=0))
    return top + np.log(np.add.reduceat(shifted, starts, axis=0))


def logsumexp_slopes(rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The derivative of `logsumexp_of` by every row: its exponential's share of the sum."""
    lengths = lengths_of(rows, starts)
    shares = np.exp(rows - np.repeat(np.maximum.reduceat(rows, starts, axis=0), lengths, axis=0))
    return shares / np.repeat(np.add.reduceat(shares, starts, axis=0), lengths, axis=0)
