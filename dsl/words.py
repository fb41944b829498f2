"""Words for people: the nearest of some known ones, and numbers of things."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def counted(count: int, noun: str) -> str:
    """`1 edge`, `9,900 edges`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def suggest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `word` was most likely meant to be, or None when none is close."""
    # difflib takes time proportional to the product of the lengths; no name that a person typed is longer.
    if len(word) > 60:
        return None
    known = sorted({candidate for candidate in candidates if candidate != word})
    folded = {candidate.lower(): candidate for candidate in reversed(known)}
    found = get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None
