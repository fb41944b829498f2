"""Suggestions: the nearest of known words, also for more words than can be compared with all of them."""

from __future__ import annotations

import pytest

from nnspec.dsl import words
from nnspec.dsl.words import KnownWords, suggest

NAMES = ["hidden", "Hidden2", "score", "scores", "pixels"]


@pytest.mark.parametrize("most", [0, words.MOST_COMPARISONS])
@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("hiden", "hidden"),
        ("hiddden", "hidden"),
        ("hjdden", "hidden"),
        ("ihdden", "hidden"),
        ("hidden2", "Hidden2"),
        ("pixel", "pixels"),
        ("scoore", "score"),
        ("banana", None),
        ("s" * 61, None),
    ],
)
def test_a_letter_off_is_found_by_either_search(
    monkeypatch: pytest.MonkeyPatch, most: int, word: str, expected: str | None
) -> None:
    monkeypatch.setattr(words, "MOST_COMPARISONS", most)
    assert KnownWords(NAMES).nearest(word) == expected


def test_more_than_a_letter_off_is_found_until_the_comparisons_are_used_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(words, "MOST_COMPARISONS", 2 * len(NAMES))
    known = KnownWords(NAMES)
    assert [known.nearest("hddnn") for _ in range(3)] == ["hidden", "hidden", None]


def test_words_become_known_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "MOST_COMPARISONS", 0)
    known = KnownWords(NAMES)
    assert known.nearest("outptu") is None
    known.add("output")
    assert known.nearest("outptu") == "output"
    assert known.nearest("rowz", also=["rows"]) == "rows"


def test_a_word_is_not_suggested_for_itself() -> None:
    assert suggest("score", ["score", "scores"]) == "scores"
