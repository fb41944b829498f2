"""The grammar is LALR(1) as it stands: lark would resolve a conflict without a word."""

import pytest
from lark import Lark

from nnspec.dsl import make_tables, tables
from nnspec.dsl.make_tables import GRAMMAR, OPTIONS
from nnspec.dsl.tokens import KEYWORDS


def test_no_conflicts_and_no_colliding_terminals():
    pytest.importorskip("interegular", reason="lark's strict mode needs it")
    Lark(GRAMMAR.read_text(encoding="utf-8"), **{**OPTIONS, "strict": True})


def test_the_tables_are_those_of_the_grammar():
    """Otherwise: `python -m nnspec.dsl.make_tables`."""
    assert make_tables.PLACE.read_text() == make_tables.tables()


def test_the_keywords_of_the_grammar_are_known_to_the_tokens():
    terminals = Lark(GRAMMAR.read_text(encoding="utf-8"), **OPTIONS).terminals
    words = {t.name for t in terminals if t.pattern.type == "str" and t.pattern.value.isalpha()}
    assert words == KEYWORDS == {*tables.KEYWORDS.values()}
