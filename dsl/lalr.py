"""The lexer and the LALR(1) parser of statements, driven by tables that lark has made of the grammar.

`tables.py` holds them: to make them, or only to import lark, takes longer than to compile a small spec.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, cast

from . import tables


class Token(str):
    """A piece of a text, the kind of token it is, and where it stands."""

    __slots__ = ("end_pos", "start_pos", "type")
    type: str
    start_pos: int
    end_pos: int

    def __new__(cls, type: str, value: str, start_pos: int, end_pos: int) -> Token:
        """A token whose value may be other than what stands in the text, as that of a string is."""
        token = super().__new__(cls, value)
        token.type, token.start_pos, token.end_pos = type, start_pos, end_pos
        return token


class UnexpectedToken(Exception):
    """A token stands where no statement can go on with it."""


@cache
def _scanner() -> re.Pattern[str]:
    return re.compile(tables.SCANNER)


def lex(text: str, start: int, end: int) -> Iterator[Token]:
    """The tokens of `text[start:end]`, with positions in the whole text. Any character is part of one."""
    match = _scanner().match
    while start < end:
        found = match(text, start, end)
        assert found is not None
        assert found.lastgroup is not None
        kind, begin, start = found.lastgroup, start, found.end()
        if kind not in tables.IGNORED:
            value = found.group()
            kind = tables.KEYWORDS.get(value, kind) if kind == "NAME" else kind
            yield Token(kind, value, begin, start)


class Parser:
    """Takes the tokens of a statement one after the other; `builder` has a method for each kind of node."""

    def __init__(self, builder: object) -> None:
        self._builder = builder
        self._states = [tables.START]
        self._values: list[Any] = []

    def feed(self, token: Token) -> Any:
        """Take a token. At the last, `$END`, returns the statement. Raises `UnexpectedToken`."""
        states, values = self._states, self._values
        while True:
            action = tables.STATES[states[-1]].get(token.type)
            if action is None:
                raise UnexpectedToken
            if action >= 0:
                states.append(action)
                values.append(token)
                return None
            origin, symbols, _ = tables.RULES[~action]
            first = len(states) - len(symbols)
            made = self._made(~action, values[first - 1 :])
            del states[first:], values[first - 1 :]
            values.append(made)
            states.append(tables.STATES[states[-1]][origin])
            if token.type == "$END" and states[-1] == tables.END:
                return made

    def _made(self, rule: int, parts: list[Any]) -> Any:
        """What a rule makes of its parts, of which those that are lists are several."""
        build = tables.RULES[rule][2]
        # A list that grows by a rule that begins with itself is not copied.
        children = cast("list[Any]", parts[0] if isinstance(parts[0], list) else parts[:1])
        for part in parts[1:]:
            children += part if isinstance(part, list) else [part]
        if build == tables.SPREAD or (build.startswith(tables.ALONE) and len(children) == 1):
            return children if build == tables.SPREAD else children[0]
        return getattr(self._builder, build.removeprefix(tables.ALONE))(children)

    def accepts(self) -> set[str]:
        """The kinds of tokens that could come next."""
        return {kind for kind in tables.STATES[self._states[-1]] if kind.isupper() and self._accepts(kind)}

    def _accepts(self, kind: str) -> bool:
        states: Sequence[int] = self._states
        while True:
            action = tables.STATES[states[-1]].get(kind)
            if action is None or action >= 0:
                return action is not None
            origin, symbols, _ = tables.RULES[~action]
            states = states[: len(states) - len(symbols)]
            states = [*states, tables.STATES[states[-1]][origin]]
            if kind == "$END" and states[-1] == tables.END:
                return True
