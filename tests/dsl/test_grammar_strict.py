"""The grammar is LALR(1) as it stands, and its tables, driven by our own code, do what lark does."""

from pathlib import Path

import pytest
from lark import Lark
from lark.utils import TextSlice

from nnspec.dsl import make_tables, tables
from nnspec.dsl.lalr import Parser, Token, lex
from nnspec.dsl.make_tables import GRAMMAR, OPTIONS
from nnspec.dsl.tokens import KEYWORDS, read_tokens, statements
from nnspec.dsl.tree_builder import TreeBuilder

ROOT = Path(__file__).parent.parent.parent


def test_no_conflicts_and_no_colliding_terminals():
    pytest.importorskip("interegular", reason="lark's strict mode needs it")
    Lark(GRAMMAR.read_text(encoding="utf-8"), **{**OPTIONS, "strict": True})


def test_the_tables_are_those_of_the_grammar():
    """Otherwise: `python -m nnspec.dsl.make_tables`."""
    assert make_tables.PLACE.read_text() == make_tables.tables()


def test_the_keywords_of_the_grammar_are_known_to_the_tokens():
    terminals = Lark(GRAMMAR.read_text(encoding="utf-8"), **OPTIONS).terminals
    words = {t.name for t in terminals if t.pattern.type == "str" and t.pattern.value.isalpha()}
    # `steps` is a keyword where a statement begins, and a name elsewhere: the tokens tell them apart.
    assert words == KEYWORDS - {"STEPS"} == {*tables.KEYWORDS.values()}


VALID, BROKEN = ("examples", "tests/specs", "tests/identity"), ("tests/bad",)


@pytest.mark.parametrize("folders", [VALID, pytest.param(BROKEN, marks=pytest.mark.slow)], ids=" ".join)
def test_lark_reads_statements_alike(folders):
    """The same tokens, the same tokens accepted at every place, and the same tree."""
    grammar = GRAMMAR.read_text(encoding="utf-8")
    lark = Lark(grammar, transformer=TreeBuilder(), **OPTIONS)
    read = 0
    for path in (path for folder in folders for path in sorted((ROOT / folder).rglob("*.nnspec"))):
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
        ours = [*lex(text, 0, len(text))]
        theirs = lark.parse_interactive(TextSlice(text, 0, len(text))).lexer_thread.lex(None)
        assert [(t.type, str(t), t.start_pos, t.end_pos) for t in ours] == [
            (t.type, str(t), t.start_pos, t.end_pos) for t in theirs
        ]
        for piece in statements(read_tokens(text, lex).tokens, text):
            mine, other = Parser(TreeBuilder()), lark.parse_interactive()
            for token in [*piece, Token("$END", "", 0, 0)]:
                accepted = mine.accepts()
                assert accepted == other.accepts()
                if token.type not in accepted:
                    break
                # Nodes hold our own tokens; lark looks at nothing but their kind.
                assert mine.feed(token) == other.feed_token(token)
                read += 1
    assert read > 5000
