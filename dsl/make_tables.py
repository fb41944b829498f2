"""Makes `tables.py` of the grammar: `python -m nnspec.dsl.make_tables`, after the grammar was changed.

Lark is needed for this alone; it is installed with the extra `[test]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from lark import Lark, Token
from lark.grammar import Rule
from lark.lark import PostLex
from lark.parsers.lalr_analysis import Shift

GRAMMAR = Path(__file__).with_name("grammar.lark")
PLACE = Path(__file__).with_name("tables.py")


class KeptTokens(PostLex):
    """Tells lark to lex the tokens that no rule takes; it would leave them out as unused."""

    always_accept = ("COMMENT", "TEMPLATE", "ILLEGAL", "UNTERMINATED", "MALFORMED_NUMBER")

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """All tokens, as they are."""
        return stream


OPTIONS: dict[str, Any] = {
    "parser": "lalr",
    "lexer": "basic",
    "start": "statement",
    "keep_all_tokens": True,
    "maybe_placeholders": False,
    "postlex": KeptTokens(),
    # Whether terminals collide is found out by a test; here it would take half a second.
    "strict": False,
}

_HEAD = '''"""The grammar's tables, made by `python -m nnspec.dsl.make_tables`."""

from __future__ import annotations

# One expression for all tokens: the name of the group that matches is the kind. Some are left out, and
# names that are keywords are tokens of their own.
'''
SPREAD, ALONE = "*", "?"
_ABOUT_RULES = f"""
# What a rule stands for, its symbols, and the name of what makes a node of them. Some rules make none: their
# children are spread among those of the rule around, or a child that is alone stands for itself.
SPREAD, ALONE = "{SPREAD}", "{ALONE}"
"""
_ABOUT_STATES = """
# For each state, what follows on a kind of token or on what a rule has made: the next state, or, as `~rule`,
# the rule whose symbols are complete.
"""


def tables() -> str:
    """The module of the tables, for the grammar as it is."""
    lark = cast(Any, Lark(GRAMMAR.read_text(encoding="utf-8"), **OPTIONS))
    (scanner,) = lark.parser.lexer.lexer.scanner._mres
    table = lark.parser.parser._parse_table
    rules = {rule: at for at, rule in enumerate(lark.rules)}
    (start,), (end,) = table.start_states.values(), table.end_states.values()
    number = _numbered(table.states, start)

    def action(way: object, to: Any) -> int:
        return number[to] if way is Shift else ~rules[to]

    lines = [_HEAD, f"SCANNER = {scanner.pattern!r}\n"]
    lines.append(f"IGNORED = frozenset({sorted(lark.parser.lexer.lexer.ignore_types)!r})\n")
    lines.append(f"KEYWORDS = {_keywords(lark)!r}\n")
    lines += [_ABOUT_RULES, "RULES: tuple[tuple[str, tuple[str, ...], str], ...] = (\n"]
    for rule in rules:
        symbols = tuple(str(symbol.name) for symbol in rule.expansion)
        lines.append(f"    {(str(rule.origin.name), symbols, _build(rule))!r},\n")
    lines += [")\n", _ABOUT_STATES, f"START, END = {number[start]}, {number[end]}\n"]
    lines.append("STATES: tuple[dict[str, int], ...] = (\n")
    for state in number:
        actions = {name: action(*what) for name, what in sorted(table.states[state].items())}
        lines.append(f"    {actions!r},\n")
    return "".join([*lines, ")\n"])


def _numbered(states: dict[int, dict[str, Any]], start: int) -> dict[int, int]:
    """States in the order in which they are reached, since lark numbers them in another each time."""
    order = [start]
    for state in order:
        after = [to for _, (way, to) in sorted(states[state].items()) if way is Shift]
        order += [to for to in dict.fromkeys(after) if to not in order]
    return {state: at for at, state in enumerate(order)}


def _keywords(lark: Any) -> dict[str, str]:
    """The names that are tokens of their own."""
    callbacks = lark.parser.lexer.lexer.callback
    assert callbacks.keys() == {"NAME"}
    words = callbacks["NAME"].scanner.terminals
    return {word.pattern.value: word.name for word in sorted(words, key=lambda word: word.name)}


def _build(rule: Rule) -> str:
    """What makes a node of a rule's children."""
    if rule.origin.name.startswith("_"):
        return SPREAD
    if rule.alias:
        return str(rule.alias)
    return (ALONE if rule.options.expand1 else "") + str(rule.origin.name)


if __name__ == "__main__":
    PLACE.write_text(tables(), encoding="utf-8")
