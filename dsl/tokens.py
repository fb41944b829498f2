"""Text to tokens, and tokens to statements.

The tokens of a whole file are made once. They are then cut into statements before any is parsed, which
works because a keyword can stand inside a statement in few places only, all of them recognisable: as the
name of an argument (`edges = 5`), as its value (`rows = target`) or as a field (`E.source(e)`). So a
mistake in one statement hides none in the next.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from .lalr import Token
from .records import record
from .source import Span
from .syntax import Comment

STATEMENT_KEYWORDS = frozenset(
    [
        *("MODEL", "PARAM", "AXIS", "FUNCTION", "INPUT", "TARGET", "LAYER", "EDGES", "CONNECT", "OUTPUT"),
        *("LOSS", "FOR", "STEPS"),
    ]
)
KEYWORDS = STATEMENT_KEYWORDS | {"AS", "WITH", "CLASS", "IN", "AND", "OR", "NOT"}

# Tokens that no rule of the grammar takes: each is a diagnostic of its own.
FAULTS = frozenset(
    [
        "ILLEGAL",
        "UNTERMINATED",
        "BAD_ESCAPE",
        "LONE_BRACE",
        "MALFORMED_NUMBER",
        "LONG_NUMBER",
        "INFINITE_NUMBER",
    ]
)

CLOSERS = {"RPAR": "LPAR", "RSQB": "LSQB", "RBRACE": "LBRACE"}
_OPENERS = frozenset(CLOSERS.values())
_VALUES = frozenset(["NAME", "NAME_START", "NUMBER", "STRING", "STRING_START"])
_ENDS = frozenset(["NAME", "NAME_TEXT", "NUMBER", "STRING", "STRING_TEXT", "TIME", *CLOSERS, *FAULTS])

# Python refuses to convert longer ones, and nothing that is counted here needs them.
_LONGEST_INTEGER = 400

_HOLE = re.compile(r"\{([^{}]*)\}")
_STRING_PIECE = re.compile(r"\\.|\{\{|\}\}|\{[^{}]*\}|[{}]|[^\\{}]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_ESCAPES = {'\\"': '"', "\\\\": "\\", "{{": "{", "}}": "}"}

# More are in no spec with mistakes, but in some other kind of file, and each takes time.
_MOST_ILLEGAL = 10_000

Lexer = Callable[[str, int, int], Iterable[Token]]
"""Tokens of `text[start:end]`, with positions in the whole text."""


@record(slots=True)
class Tokens:
    """The tokens of a file without its comments, and those."""

    tokens: tuple[Token, ...]
    comments: tuple[Comment, ...]


def span_of(token: Token) -> Span:
    """Where a token stands."""
    return Span(token.start_pos, token.end_pos)


def _piece(kind: str, value: str, start: int, end: int) -> Token:
    return Token(kind, value, start_pos=start, end_pos=end)


def read_tokens(text: str, lex: Lexer) -> Tokens:
    """All tokens of a file; templates and strings with holes are cut into their parts.

    What is behind `_MOST_ILLEGAL` characters without a meaning is not read.
    """
    tokens: list[Token] = []
    comments: list[Comment] = []
    illegal = 0
    for token in lex(text, 0, len(text)):
        if token.type == "COMMENT":
            comments.append(Comment(span_of(token), str(token)))
        else:
            tokens.extend(_cut(token, text, lex))
        illegal += token.type == "ILLEGAL"
        if illegal == _MOST_ILLEGAL:
            break
    return Tokens(tuple(tokens), tuple(comments))


def _cut(token: Token, text: str, lex: Lexer) -> Iterable[Token]:
    if token.type == "TEMPLATE":
        return _cut_template(token, text, lex)
    if token.type == "STRING":
        return _cut_string(token, text, lex)
    if token.type == "NUMBER":
        return (_checked_number(token),)
    return (token,)


def _checked_number(token: Token) -> Token:
    start, end = token.start_pos, token.end_pos
    if token.isdigit():
        return _piece("LONG_NUMBER", token, start, end) if len(token) > _LONGEST_INTEGER else token
    return _piece("INFINITE_NUMBER", token, start, end) if float(token) == float("inf") else token


def _hole(text: str, start: int, end: int, lex: Lexer) -> Iterator[Token]:
    """The tokens of `{...}` at `text[start:end]`."""
    yield _piece("HOLE_OPEN", "{", start, start + 1)
    for token in lex(text, start + 1, end - 1):
        yield _checked_number(token) if token.type == "NUMBER" else token
    yield _piece("HOLE_CLOSE", "}", end - 1, end)


def _cut_template(token: Token, text: str, lex: Lexer) -> Iterator[Token]:
    base, kind, begin = token.start_pos, "NAME_START", 0
    for hole in _HOLE.finditer(token):
        yield _piece(kind, token[begin : hole.start()], base + begin, base + hole.start())
        yield from _hole(text, base + hole.start(), base + hole.end(), lex)
        kind, begin = "NAME_TEXT", hole.end()
    yield _piece(kind, token[begin:], base + begin, base + len(token))


def _cut_string(token: Token, text: str, lex: Lexer) -> Iterator[Token]:
    """A string without holes is one token, whose value has its escapes resolved."""
    base = token.start_pos
    inside = token[1:-1]
    if (control := _CONTROL.search(inside)) is not None:
        at = base + 1 + control.start()
        yield _piece("ILLEGAL", control.group(), at, at + 1)
        return
    kind, begin, words = "STRING_START", base, list[str]()
    for piece in _STRING_PIECE.finditer(inside):
        part, start, end = piece.group(), base + 1 + piece.start(), base + 1 + piece.end()
        if part in _ESCAPES:
            words.append(_ESCAPES[part])
        elif part[0] == "\\":
            yield _piece("BAD_ESCAPE", part, start, end)
        elif part in {"{", "}"}:
            yield _piece("LONE_BRACE", part, start, end)
        elif part[0] == "{":
            yield _piece(kind, "".join(words), begin, start)
            yield from _hole(text, start, end, lex)
            kind, begin, words = "STRING_TEXT", end, list[str]()
        else:
            words.append(part)
    whole = kind == "STRING_START"
    yield _piece("STRING" if whole else kind, "".join(words), begin, base + len(token))


def statements(tokens: tuple[Token, ...], text: str) -> Iterator[list[Token]]:
    """Cut tokens into statements. The header of a `for`, up to its brace, and the brace that closes its
    body are pieces of their own. Never more work than a constant for each token.
    """
    piece: list[Token] = []
    brackets, braces = list[str](), 0
    for index, token in enumerate(tokens):
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        if piece and _begins(piece[-1], token, following, bool(brackets), text):
            yield piece
            piece, brackets, braces = [], [], 0
        if token.type == "RBRACE" and not braces:
            if piece:
                yield piece
            yield [token]
            piece, brackets = [], []
            continue
        piece.append(_as_word(token, piece, following) if piece else _as_first(token))
        if token.type == "LBRACE" and piece[0].type == "FOR" and not brackets:
            yield piece
            piece = []
        else:
            _track(brackets, token.type)
            braces += (token.type == "LBRACE") - (token.type == "RBRACE")
    if piece:
        yield piece


def _track(brackets: list[str], kind: str) -> None:
    """Keep the stack of open brackets. A closing one without partner is left to the parser to report."""
    if kind in _OPENERS:
        brackets.append(kind)
    elif kind == "RBRACE":
        while brackets.pop() != "LBRACE":
            pass
    elif kind in CLOSERS and brackets and brackets[-1] != "LBRACE":
        brackets.pop()


def _begins(previous: Token, token: Token, following: Token | None, bracketed: bool, text: str) -> bool:
    """Whether `token` begins a statement, `previous` being the last one of the statement before."""
    if token.type == "NAME":
        # Two values side by side, the first at the beginning of a line: a misspelt keyword, or `steps`.
        if bracketed or following is None or previous.type not in _ENDS:
            return False
        if following.type not in _VALUES and (token != "steps" or following.type not in {"LPAR", "ADDITIVE"}):
            return False
        return _on_new_line(previous, token, text)
    if token.type not in STATEMENT_KEYWORDS or previous.type == "DOT":
        return False
    if not bracketed and previous.type in _ENDS:
        return True
    if following is None or not _on_new_line(previous, token, text):
        return False
    opens_loss = token.type == "LOSS" and following.type in {"NUMBER", "ADDITIVE", "LPAR"}
    return following.type in {"NAME", "NAME_START"} or opens_loss


def _on_new_line(previous: Token, token: Token, text: str) -> bool:
    return "\n" in text[previous.end_pos : token.start_pos]


def _as_first(token: Token) -> Token:
    """What a statement begins with: `steps` is a keyword there alone."""
    return _retyped(token, "STEPS") if token.type == "NAME" and token == "steps" else token


def _as_word(token: Token, piece: list[Token], following: Token | None) -> Token:
    """What a keyword inside a statement is: a name where it is a field (`E.source`), an argument's name or
    its value (`rows = target`); else a word that no rule takes, if statements alone begin with it.

    `over time` behind a name or its brackets are two words, which are names anywhere else.
    """
    previous = piece[-1]
    if token.type == "NAME" and piece[0].type in {"INPUT", "TARGET", "OUTPUT"}:
        if token == "over" and len(piece) > 1 and previous.type in _ENDS and following == "time":
            return _retyped(token, "OVER")
        return _retyped(token, "TIME") if token == "time" and previous.type == "OVER" else token
    if token.type not in KEYWORDS:
        return token
    after = following.type if following is not None else ""
    field = previous.type == "DOT"
    argument = after == "EQUAL" and previous.type in {"LPAR", "COMMA", "SEMICOLON", "WITH"}
    value = previous.type == "EQUAL" and after in {"COMMA", "RPAR"}
    if field or argument or value:
        return _retyped(token, "NAME")
    return _retyped(token, "WORD") if token.type in STATEMENT_KEYWORDS else token


def _retyped(token: Token, kind: str) -> Token:
    return _piece(kind, str(token), token.start_pos, token.end_pos)
