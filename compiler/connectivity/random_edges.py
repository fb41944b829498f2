"""Random edges from a counter-based generator: the same on every machine and numpy version.

Every draw is a function of (seed, unit, number of the draw) alone, so chunking, order and threads change
nothing. The generator is Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
SC 2011), whose published known-answer vectors the tests hold.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from .edge_set import Indices

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)

# Numbers drawn at once, to bound memory; the edges do not depend on it.
BLOCK = 4_000_000


def philox(counter: NDArray[np.uint64], key: tuple[int, int]) -> NDArray[np.uint64]:
    """Philox4x32-10 of `counter` (4, n), four 32-bit words each, under two 32-bit key words: (4, n)."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        product0, product1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (product1 >> _32) ^ c1 ^ np.uint64(k0),
            product1 & _LOW,
            (product0 >> _32) ^ c3 ^ np.uint64(k1),
            product0 & _LOW,
        )
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return np.stack((c0, c1, c2, c3))


def uniforms(seed: int, units: Indices, draws: int, first: int = 0) -> NDArray[np.float64]:
    """Numbers in [0, 1) with 53 bits, (units, draws): draws `first`, `first + 1`, ... of each unit."""
    blocks = np.arange(first // 2, (first + draws + 1) // 2, dtype=np.uint64)
    unit, block = np.broadcast_arrays(units.astype(np.uint64)[:, None], blocks[None, :])
    counter = np.stack((block & _LOW, block >> _32, unit & _LOW, unit >> _32)).reshape(4, -1)
    words = philox(counter, (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF))
    pairs = words.reshape(2, 2, len(units), len(blocks))
    numbers = ((pairs[:, 0] << np.uint64(21)) ^ (pairs[:, 1] >> np.uint64(11))) & np.uint64(2**53 - 1)
    drawn = np.moveaxis(numbers, 0, -1).reshape(len(units), -1) * 2.0**-53
    return drawn[:, first % 2 : first % 2 + draws].astype(np.float64, copy=False)


def seed_of(*place: str) -> int:
    """A 64-bit seed from the names that say where a random rule stands."""
    return int.from_bytes(hashlib.sha256("\0".join(place).encode()).digest()[:8], "little")


def choose_sources(seed: int, n_source: int, n_target: int, fan_in: int) -> tuple[Indices, Indices]:
    """`fan_in` distinct sources for every target, each subset equally likely: source, target (edges,).

    A target takes the first `fan_in` distinct values of its own stream of draws. If that is more than half
    of the sources, the ones to leave out are drawn instead.
    """
    if fan_in == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    leave_out = fan_in > n_source // 2
    k = n_source - fan_in if leave_out else fan_in
    rows = max(1, BLOCK // max(n_source if leave_out else 2 * k, 1))
    chosen: list[Indices] = []
    for start in range(0, n_target, rows):
        drawn = _distinct(seed, np.arange(start, min(start + rows, n_target)), n_source, k)
        chosen.append(_complement(drawn, n_source) if leave_out else np.sort(drawn, axis=1))
    return np.concatenate(chosen).ravel(), np.repeat(np.arange(n_target), fan_in)


def _distinct(seed: int, units: Indices, n: int, k: int) -> Indices:
    """The first `k` distinct values below `n` in each unit's stream, (units, k)."""
    result = np.empty((len(units), k), np.int64)
    if k == 0:
        return result
    pending, draws = np.arange(len(units)), k + max(4, k // 2)
    while len(pending):
        values = np.empty((len(pending), draws), np.int64)
        step = max(2, BLOCK // len(pending))
        for first in range(0, draws, step):
            count = min(step, draws - first)
            values[:, first : first + count] = uniforms(seed, units[pending], count, first) * n
        np.minimum(values, n - 1, out=values)
        order = np.argsort(values, axis=1, kind="stable")
        by_value = np.take_along_axis(values, order, axis=1)
        repeated = np.zeros(values.shape, bool)
        np.put_along_axis(repeated, order[:, 1:], by_value[:, 1:] == by_value[:, :-1], axis=1)
        rank = np.cumsum(~repeated, axis=1)
        enough = rank[:, -1] >= k
        take = ~repeated & (rank <= k) & enough[:, None]
        result[pending[enough]] = values[take].reshape(-1, k)
        pending, draws = pending[~enough], 2 * draws
    return result


def _complement(left_out: Indices, n: int) -> Indices:
    """The values below `n` that are not in each row of `left_out`, (units, n - k), ascending."""
    kept = np.ones((len(left_out), n), bool)
    np.put_along_axis(kept, left_out, False, axis=1)
    return np.nonzero(kept)[1].reshape(len(left_out), -1)
