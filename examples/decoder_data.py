"""Makes the files of `decoder.nnspec`: `python examples/decoder_data.py [FOLDER]`.

The parity checks of two BCH codes that correct three errors, of 31 bits, of which 16 are free, and of 63 with
45 (R. C. Bose and D. K. Ray-Chaudhuri, 1960; A. Hocquenghem, 1959). A word is a polynomial over the two
numbers 0 and 1 with a root at a, a^3 and a^5, where a generates the field of n + 1 numbers. Words are the
multiples of one polynomial, g. With h = (x^n - 1) / g, a word times h is 0 modulo x^n - 1; a coefficient of
that product takes in a window of the word, and is a check. The files are in the repository; a test checks
that this script still makes the same.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

# By the number of bits, what a^5 or a^6 is: 1 + a^2 and 1 + a, a bit each.
REDUCED = {31: 0b00101, 63: 0b000011}


def with_roots(exponents: set[int], bits: int) -> np.ndarray:
    """The polynomial whose roots are these powers of a, lowest coefficient first. Numbers are bits too."""
    powers = [1]
    while len(powers) < bits:
        double = powers[-1] << 1
        powers.append(double & bits ^ REDUCED[bits] if double > bits else double)
    exponent_of = {power: exponent for exponent, power in enumerate(powers)}
    polynomial = [1]
    for root in exponents:
        times_root = [powers[(exponent_of[c] + root) % bits] if c else 0 for c in polynomial]
        polynomial = [one ^ other for one, other in zip([0, *polynomial], [*times_root, 0], strict=True)]
    return np.array(polynomial)


def moved_along(polynomial: np.ndarray, bits: int) -> np.ndarray:
    """(places, bits): the coefficients at each place that they have in a word."""
    places = bits + 1 - len(polynomial)
    return np.stack([np.pad(polynomial, (place, places - 1 - place)) for place in range(places)])


def code(bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Zeros and ones: (free, bits), whose sums modulo 2 are the words, and (checks, bits)."""
    # With a power of a, its squares are roots: those are (a^k)^2, (a^k)^4 and so on.
    roots = {k * 2**times % bits for k in (1, 3, 5) for times in range(bits.bit_length())}
    g, h = with_roots(roots, bits), with_roots(set(range(bits)) - roots, bits)
    return moved_along(g, bits), moved_along(h[::-1], bits)


def main(folder: Path) -> None:
    """Write for each code a row for every bit of every check: the edges of its Tanner graph."""
    folder.mkdir(exist_ok=True)
    for bits in REDUCED:
        rows = "".join(f"{check},{bit}\n" for check, bit in np.argwhere(code(bits)[1]))
        (folder / f"code_{bits}.csv").write_text(f"check,bit\n{rows}", encoding="utf-8", newline="")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("decoder"))
