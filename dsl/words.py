"""Words for people: the nearest of some known ones, and numbers of things."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

# difflib takes time proportional to the product of the lengths; no name that a person typed is longer.
LONGEST_WORD = 60
# So many words are compared with all that are known before only those are found that differ by a letter.
MOST_COMPARISONS = 30_000


def counted(count: int, noun: str) -> str:
    """`1 edge`, `9,900 edges`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def suggest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `word` was most likely meant to be, or None when none is close."""
    return KnownWords(candidate for candidate in candidates if candidate != word).nearest(word)


class KnownWords:
    """Words that others may have been meant to be; quick to ask also for thousands, of which few are read.

    The first that are asked for are compared with every known word. Once that has taken `MOST_COMPARISONS`,
    known words are looked up by what is left of them when a letter is left out, and so are found where one
    letter differs, is missing or surplus.
    """

    def __init__(self, words: Iterable[str] = ()) -> None:
        self._folded: dict[str, str] = {}
        self._shortened: dict[str, list[str]] | None = None
        self._comparisons = 0
        for word in words:
            self.add(word)

    def add(self, word: str) -> None:
        """Make a word known."""
        folded = word.lower()
        if self._shortened is not None and folded not in self._folded:
            self._index(folded, self._shortened)
        self._folded[folded] = min(word, self._folded.get(folded, word))

    def nearest(self, word: str, also: Iterable[str] = ()) -> str | None:
        """The word, known or one of `also`, that `word` was most likely meant to be, or None."""
        if len(word) > LONGEST_WORD:
            return None
        folded = word.lower()
        more = {other.lower(): other for other in also}
        if self._comparisons < MOST_COMPARISONS:
            self._comparisons += len(self._folded)
            candidates = [*self._folded, *more]
        else:
            candidates = [*self._one_letter_off(folded), *more]
        from difflib import get_close_matches  # most specs have no mistake

        found = get_close_matches(folded, candidates, n=1, cutoff=0.6)
        return self._folded.get(found[0]) or more[found[0]] if found else None

    def _one_letter_off(self, folded: str) -> Iterator[str]:
        if self._shortened is None:
            self._shortened = {}
            for known in self._folded:
                self._index(known, self._shortened)
        for text in (folded, *_shorter(folded)):
            yield from self._shortened.get(text, ())

    @staticmethod
    def _index(known: str, shortened: dict[str, list[str]]) -> None:
        if len(known) <= LONGEST_WORD:
            for text in (known, *_shorter(known)):
                shortened.setdefault(text, []).append(known)


def _shorter(word: str) -> set[str]:
    """A word without one of its letters."""
    return {word[:at] + word[at + 1 :] for at in range(len(word))}


def article(kind: str) -> str:
    """`an input`, `a layer or input`."""
    return f"{'an' if kind[0] in 'aeio' else 'a'} {kind}"
