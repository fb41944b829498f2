"""Random edges from a counter-based generator: the same on every machine and numpy version.

Every draw is a function of (seed, purpose, unit, number of the draw) alone, so chunking, order and threads
change nothing. The generator is Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
SC 2011), whose published known-answer vectors the tests hold. What follows from its words is integer
arithmetic, or one product of floats, which IEEE 754 defines to the bit. There is no `log` or `exp`, which it
leaves open.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import accumulate
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...dsl.records import record
from .edge_set import Indices, distinct

Words = NDArray[np.uint64]

_MULTIPLIERS = np.array([[0xD2511F53], [0xCD9E8D57]], np.uint64)
# What is added to the two words of the key, (rounds, 2).
_WEYL = np.arange(10, dtype=np.uint64)[:, None] * np.array([0x9E3779B9, 0xBB67AE85], np.uint64)
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_POWERS = np.left_shift(np.int64(1), np.arange(63, dtype=np.int64))

# Blocks of the generator computed at once, which a processor's cache holds; the edges do not depend on it.
BLOCK = 1 << 14

Purpose = Literal["fan_in", "fan_out", "edges", "counts", "p", "pair"]
# One number each, never to change, because edges that exist depend on it.
_PURPOSES: dict[Purpose, int] = {"fan_in": 0, "fan_out": 1, "edges": 2, "counts": 3, "p": 4, "pair": 5}


def philox(counter: NDArray[np.uint64], key: tuple[int, int]) -> NDArray[np.uint64]:
    """Philox4x32-10 of `counter` (4, n), four 32-bit words each, under two 32-bit key words: (4, n)."""
    even, odd = _philox(counter[::2], counter[1::2], key)
    return np.stack((even[0], odd[0], even[1], odd[1]))


def _philox(even: Words, odd: Words, key: tuple[int, int]) -> tuple[Words, Words]:
    """Philox of the words 0 and 2, and 1 and 3, each (2, n): both halves of a round are computed at once."""
    for of_round in ((_WEYL + np.array(key, np.uint64)) & _LOW)[:, :, None]:
        product = _MULTIPLIERS * even
        even = (product >> _32)[::-1] ^ odd
        even ^= of_round
        product &= _LOW
        odd = product[::-1]
    return even, odd


@record
class Stream:
    """The draws of one seed for one purpose: two for every unit and block of draws, both below 2^56."""

    seed: int
    purpose: Purpose

    def words(self, unit: Indices, block: Indices) -> NDArray[np.uint64]:
        """Two draws of 64 bits, (2, n), of units and blocks (n,)."""
        counter = np.stack((block, unit)).astype(np.uint64)
        counter[0] |= np.uint64(_PURPOSES[self.purpose] << 56)
        key = self.seed & 0xFFFFFFFF, (self.seed >> 32) & 0xFFFFFFFF
        even, odd = _philox(counter & _LOW, counter >> _32, key)
        return (even << _32) | odd

    def uniforms(self, unit: Indices, block: Indices) -> NDArray[np.float64]:
        """Two numbers in [0, 1) with 53 bits, (2, n), of units and blocks (n,)."""
        return _uniform(self.words(unit, block))


def _uniform(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def seed_of(*place: str) -> int:
    """A 64-bit seed from the names that say where a random rule stands."""
    return int.from_bytes(hashlib.sha256("\0".join(place).encode()).digest()[:8], "little")


def pair_uniforms(seed: int, source: Indices, target: Indices) -> NDArray[np.float64]:
    """A number in [0, 1) for every pair, (pairs,), a function of the seed and the two units alone."""
    stream, drawn = Stream(seed, "pair"), np.empty(len(source))
    for start in range(0, len(source), BLOCK):
        part = slice(start, start + BLOCK)
        drawn[part] = stream.uniforms(target[part], source[part])[0]
    return drawn


# ------------------------------------------------------------------------------------------------- subsets


def choose(stream: Stream, sizes: Indices, counts: Indices, wide: bool = False) -> Indices:
    """From unit i `counts[i]` distinct candidates of its `sizes[i]`, each subset equally likely: ascending.

    Candidates are numbered through all units: those of unit i begin at `sizes[:i].sum()`. There are fewer
    than 2^63. A unit takes the first distinct values of its own stream; if it chooses more than half of its
    candidates, the ones to leave out are drawn instead. `wide` is for sizes that 53 bits a draw cannot cover.
    """
    chosen: list[Indices] = []
    base = 0
    for units in _blocks(sizes, counts):
        here = slice(units.start, units.stop)
        chosen.append(_chosen(stream, units, sizes[here], counts[here], wide))
        chosen[-1] += base
        base += int(sizes[here].sum())
    return np.concatenate([np.empty(0, np.int64), *chosen])


def _blocks(sizes: Indices, counts: Indices) -> Iterator[range]:
    """Consecutive units to work on at once."""
    work = np.where(_leaves_out(sizes, counts), sizes, counts) + 1
    block = np.cumsum(work) // BLOCK
    ends = [*(np.flatnonzero(block[1:] != block[:-1]) + 1).tolist(), len(sizes)]
    start = 0
    for end in ends:
        yield range(start, end)
        start = end


def _leaves_out(sizes: Indices, counts: Indices) -> NDArray[np.bool_]:
    return counts > sizes // 2


def _chosen(stream: Stream, units: range, sizes: Indices, counts: Indices, wide: bool) -> Indices:
    """As `choose`, of a few consecutive units."""
    out = _leaves_out(sizes, counts)
    drawn = _first_distinct(stream, units, sizes, np.where(out, sizes - counts, counts), wide)
    if not out.any():
        return drawn
    unit = np.searchsorted(np.cumsum(sizes) - sizes, drawn, side="right") - 1
    left_out = out[unit]
    # The units that leave out are numbered by themselves, without the candidates of those that do not.
    skipped = np.cumsum(np.where(out, 0, sizes))
    kept = np.ones(int(sizes[out].sum()), bool)
    kept[drawn[left_out] - skipped[unit[left_out]]] = False
    others = np.flatnonzero(kept) + np.repeat(skipped[out], counts[out])
    return np.sort(np.concatenate((drawn[~left_out], others)))


def _first_distinct(stream: Stream, units: range, sizes: Indices, counts: Indices, wide: bool) -> Indices:
    """The first `counts` distinct values in each unit's stream, numbered as in `choose`, ascending."""
    offsets = np.cumsum(sizes) - sizes
    drawn, missing, kept = np.zeros_like(counts), counts, np.empty(0, np.int64)
    # As many are drawn as are missing: no value comes after the last one that is taken.
    while missing.any():
        new = distinct(_values(stream, units, sizes, offsets, drawn, missing, wide))
        place = np.searchsorted(kept, new)
        if len(kept):
            again = kept[np.minimum(place, len(kept) - 1)] == new
            new, place = new[~again], place[~again]
        kept = np.insert(kept, place, new)
        drawn = drawn + missing
        missing = counts - np.diff(np.searchsorted(kept, offsets), append=len(kept))
    return kept


def _values(
    stream: Stream,
    units: range,
    sizes: Indices,
    offsets: Indices,
    first: Indices,
    counts: Indices,
    wide: bool,
) -> Indices:
    """Values of draw `first`, `first + 1`, ... of each unit, `counts` draws, plus the unit's offset."""
    first_block, end = first // 2, first + counts
    blocks = (end + 1) // 2 - first_block
    ends = np.cumsum(blocks)
    made, filled = np.empty(int(counts.sum()), np.int64), 0
    for start in range(0, int(ends[-1]), BLOCK):
        stop = min(start + BLOCK, int(ends[-1]))
        here = np.arange(np.searchsorted(ends, start, side="right"), np.searchsorted(ends, stop) + 1)
        parts = np.minimum(ends[here], stop) - np.maximum(ends[here] - blocks[here], start)
        unit = np.repeat(here, parts)
        block = np.arange(start, stop) - (ends - blocks - first_block)[unit]
        draw = 2 * block + np.arange(2)[:, None]
        values, valid = _below(sizes[unit], stream.words(units.start + unit, block), wide)
        valid &= (draw >= first[unit]) & (draw < end[unit])
        values = (values + offsets[unit])[valid]
        made[filled : filled + len(values)] = values
        filled += len(values)
    return made[:filled]


def _below(sizes: Indices, words: NDArray[np.uint64], wide: bool) -> tuple[Indices, NDArray[np.bool_]]:
    """Numbers below some sizes (n,) from words (2, n), and which of them are valid.

    The product with a uniform number favours some values, by size / 2^53 at most. If `wide`, as many bits as
    a size has are a value, or none if they are not below it, which favours none.
    """
    if not wide:
        values = (_uniform(words) * sizes).astype(np.int64)
        return np.minimum(values, sizes - 1), np.ones(words.shape, bool)
    bits = np.maximum(np.searchsorted(_POWERS, sizes - 1, side="right"), 1).astype(np.uint64)
    values = (words >> (np.uint64(64) - bits)).astype(np.int64)
    return values, values < sizes


# ------------------------------------------------------------------------------------ each pair with p


def keep_each(seed: int, n_source: int, n_target: int, p: float) -> Indices:
    """Pairs, each kept with probability `p`, 0 < p < 1, as target * n_source + source, ascending.

    The number of sources of a target is drawn first, then the sources. Where most targets would have none,
    as many of them as have one on average draw together, so time is in proportion to the edges.
    """
    numerator, denominator = p.as_integer_ratio()
    run = min(max(1, denominator // (numerator * n_source)), n_target)
    last = n_target % run
    counts = _binomial_draws(seed, 0, n_target // run, run * n_source, p)
    sizes = np.full(len(counts), run * n_source, np.int64)
    if last:
        counts = np.append(counts, _binomial_draws(seed, len(counts), 1, last * n_source, p))
        sizes = np.append(sizes, last * n_source)
    return choose(Stream(seed, "p"), sizes, counts, wide=run > 1)


def _binomial_draws(seed: int, start: int, units: int, n: int, p: float) -> Indices:
    """How many of `n` trials succeed with probability `p`, for units `start`, `start + 1`, ..., (units,)."""
    least, cumulative = binomial(n, p)
    stream, counts = Stream(seed, "counts"), np.empty(units, np.int64)
    for first in range(0, units, BLOCK):
        unit = np.arange(first, min(first + BLOCK, units))
        drawn = stream.uniforms(start + unit, np.zeros_like(unit))[0]
        counts[unit] = least + np.searchsorted(cumulative, drawn, side="right")
    return counts


def binomial(n: int, p: float) -> tuple[int, NDArray[np.float64]]:
    """The binomial distribution of `n` trials with probability `p`, 0 < p < 1, as a table of 53 bits.

    Gives the least count and the probabilities of at most that count, at most one more, and so on up to 1.
    They are exact to 2^-53, rounded down, and computed in integers, so that they are the same everywhere.
    """
    numerator, denominator = p.as_integer_ratio()
    rest = denominator - numerator
    mode = (n + 1) * numerator // denominator
    # Probabilities relative to that of the mode, by the ratio of neighbours, until 2^-96 of it is reached.
    above, below = [1 << 96], [1 << 96]
    while above[-1] and mode + len(above) <= n:
        k = mode + len(above)
        above.append(above[-1] * (n - k + 1) * numerator // (k * rest))
    while below[-1] and len(below) <= mode:
        k = mode - len(below)
        below.append(below[-1] * (k + 1) * rest // ((n - k) * numerator))
    sums = list(accumulate(below[:0:-1] + above))
    table = np.array([(part << 53) // sums[-1] for part in sums], np.float64)
    return mode - len(below) + 1, table * 2.0**-53
