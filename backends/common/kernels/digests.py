"""What tells for which edges and units arrays were made."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def digest_of(text: str) -> np.ndarray:
    """A SHA-256 in hexadecimal as four int64, the 256 bits as little-endian integers."""
    return np.frombuffer(bytes.fromhex(text), "<i8").astype(np.int64)


def check_digests(arrays: Mapping[str, np.ndarray], digests: Mapping[str, np.ndarray]) -> None:
    """Raises ValueError if arrays bring a digest along that is not among these, or is another one.

    Digests may be absent from `arrays`, as they are from start values.
    """
    for name in arrays:
        if not name.endswith(".digest"):
            continue
        what = f"`{name.removesuffix('.digest')}`"
        if name not in digests:
            raise ValueError(
                f"unknown: {name}. These arrays were made for a model in which {what} has edges, names or a "
                "shape that tell its entries apart, and here it has none. Leave this digest out if they fit."
            )
        if not np.array_equal(arrays[name], digests[name]):
            raise ValueError(
                f"{name} differs: these arrays were made for other edges than those of {what}, or for units "
                "of another shape, with other names, in another order or with other biases, so their entries "
                "belong to something else. Load them in the module that they were made with."
            )
