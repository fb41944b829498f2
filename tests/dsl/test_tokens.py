"""Tokens of a file, and what stands in it as messages say it."""

from __future__ import annotations

from nnspec.dsl.diagnostics import Report
from nnspec.dsl.lalr import lex
from nnspec.dsl.source import Source, Span
from nnspec.dsl.syntax import Number
from nnspec.dsl.tokens import read_tokens
from nnspec.dsl.walk import written


def test_a_file_of_many_words_is_read_to_its_end():
    """What has no meaning is read up to some number; what has one, to the end."""
    text = "a " * 20_000
    assert len(read_tokens(text, lex).tokens) == 20_000
    marks = len(read_tokens("§ " * 20_000, lex).tokens)
    assert 0 < marks < 20_000


def test_what_stands_in_a_spec_is_said_shortened():
    text = "a" * 30 + " + " + "b" * 30
    report = Report(Source("test.nnspec", text))
    assert written(report, Number(Span(0, 10), 1, "1")) == "a" * 10
    assert written(report, Number(Span(0, 40), 1, "1")) == text[:40]
    assert written(report, Number(Span(0, 41), 1, "1")) == text[:39] + "…"
