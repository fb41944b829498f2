"""Text to syntax tree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field, fields, is_dataclass
from typing import cast

from . import codes
from .diagnostics import Report
from .expected import expected, hint
from .findings import Code, Label
from .lalr import Parser, Token, UnexpectedToken, lex
from .records import record
from .source import Source, Span
from .syntax import Binary, ForStatement, Spec, Statement
from .tokens import CLOSERS, FAULTS, KEYWORDS, STATEMENT_KEYWORDS, read_tokens, span_of, statements
from .tree_builder import ForHeader, TreeBuilder
from .words import suggest

# The passes over the tree recurse, a few Python frames a level, and Python stops at a thousand.
DEEPEST = 200
DEEPEST_LOOP = 50

# More is not a spec with mistakes, it is some other kind of file.
MOST_MISTAKES = 100


@record(frozen=False)
class _MistakeError(Exception):
    """The first mistake in a statement, which ends the parse of that statement."""

    code: Code
    span: Span
    fields: dict[str, object]
    label: str = ""
    others: tuple[Label, ...] = ()
    help: str = ""


@record(frozen=False, slots=True)
class _Body:
    """Statements being collected: those of the file, or those of a `for` whose brace is still open."""

    header: ForHeader | None
    statements: list[Statement] = field(default_factory=list[Statement])


def parse(source: Source, report: Report) -> Spec:
    """The tree of a spec. Every statement with a mistake is reported, once, and left out of the tree."""
    found = read_tokens(source.text, lex)
    firsts: list[Token] = []
    bodies = [_Body(None)]
    mistakes = 0
    for piece in statements(found.tokens, source.text):
        if piece[0].type != "RBRACE":
            firsts.append(piece[0])
        try:
            _take(piece, bodies, source)
        except _MistakeError as mistake:
            _report(mistake, report)
            mistakes += 1
            if mistakes == MOST_MISTAKES or len(bodies) > DEEPEST_LOOP:
                break
    else:
        for body in bodies[1:]:
            _report_unclosed(body, report)
    _check_model(firsts, report)
    return Spec(source, tuple(bodies[0].statements), found.comments)


def _report(mistake: _MistakeError, report: Report) -> None:
    report.add(
        mistake.code,
        mistake.span,
        label=mistake.label,
        others=mistake.others,
        help=mistake.help or (),
        **mistake.fields,
    )


def _report_unclosed(body: _Body, report: Report) -> None:
    if body.header is not None:
        span = Span(body.header.span.end - 1, body.header.span.end)
        report.add(codes.UNCLOSED, span, label="the body of this `for` begins here", bracket="{")


# ---------------------------------------------------------------------------------------- statements


def _take(piece: list[Token], bodies: list[_Body], source: Source) -> None:
    """Parse one piece and put what it is into the innermost body."""
    first = piece[0]
    if first.type == "RBRACE":
        _close(first, bodies)
        return
    if first.type == "FOR":
        # Opened before its header is parsed, so that a mistake there does not orphan its closing brace.
        bodies.append(_Body(None))
        if len(bodies) > DEEPEST_LOOP:
            raise _MistakeError(codes.TOO_DEEP, span_of(first), {"limit": DEEPEST_LOOP})
    node = _parse(piece, source)
    if _may_be_deep(piece, len(bodies)) and _depth(node) + len(bodies) > DEEPEST:
        raise _MistakeError(codes.TOO_DEEP, node.span, {"limit": DEEPEST}, help=_SPLIT)
    if (mixed := _mixed_sets(node, piece)) is not None:
        raise mixed
    if isinstance(node, ForHeader):
        bodies[-1].header = node
    else:
        bodies[-1].statements.append(node)


_SPLIT = (
    "several `loss` statements add up, a set can be built of named `edges`, and parentheses around some "
    "terms of a long sum cut it"
)


def _close(brace: Token, bodies: list[_Body]) -> None:
    if len(bodies) == 1:
        raise _MistakeError(codes.UNOPENED, span_of(brace), {"bracket": "}"}, help="delete it")
    body = bodies.pop()
    if body.header is not None:
        header = body.header
        span = header.span.to(span_of(brace))
        statement = ForStatement(span, header.span, header.variable, header.values, tuple(body.statements))
        bodies[-1].statements.append(statement)


def _parse(piece: list[Token], source: Source) -> Statement | ForHeader:
    """Feed the tokens of one statement to the LALR parser."""
    first = piece[0]
    if first.type not in STATEMENT_KEYWORDS:
        raise _fault(first) if first.type in FAULTS else _unknown_statement(first, source)
    parser = Parser(TreeBuilder())
    opened: list[Token] = []
    for index, token in enumerate(piece):
        if token.type in FAULTS:
            raise _fault(token)
        try:
            parser.feed(token)
        except UnexpectedToken:
            raise _unexpected(token, piece[:index], opened, parser.accepts(), source) from None
        if token.type in CLOSERS:
            opened.pop()
        elif token.type in CLOSERS.values() and not (token.type == "LBRACE" and token is piece[-1]):
            opened.append(token)
            if len(opened) > DEEPEST:
                raise _MistakeError(codes.TOO_DEEP, span_of(token), {"limit": DEEPEST})
    end = _end_of(piece)
    try:
        return cast("Statement | ForHeader", parser.feed(end))
    except UnexpectedToken:
        raise _unexpected(end, piece, opened, parser.accepts(), source) from None


def _end_of(piece: Sequence[Token]) -> Token:
    at = span_of(piece[-1]).end
    return Token("$END", "", start_pos=at, end_pos=at)


# ------------------------------------------------------------------------------------------ mistakes


def _quoted(token: Token, source: Source) -> str:
    """A token as it is written, in backticks, shortened."""
    span = span_of(token)
    text = source.text[span.start : min(span.end, span.start + 40)]
    return f"`{text}…`" if span.end > span.start + 40 else f"`{text}`"


def _unknown_statement(first: Token, source: Source) -> _MistakeError:
    keywords = sorted(keyword.lower() for keyword in STATEMENT_KEYWORDS)
    near = suggest(str(first), keywords)
    help = (
        f"did you mean `{near}`?"
        if near
        else "statements begin with " + ", ".join(f"`{k}`" for k in keywords)
    )
    return _MistakeError(
        codes.UNKNOWN_STATEMENT, span_of(first), {"found": _quoted(first, source)}, help=help
    )


def _fault(token: Token) -> _MistakeError:
    """The diagnostic of a token that is wrong by itself."""
    span, text = span_of(token), str(token)
    if token.type == "ILLEGAL":
        return _illegal(text, span)
    if token.type == "UNTERMINATED":
        return _MistakeError(codes.UNTERMINATED_STRING, span, {}, label="it begins here and the line ends")
    if token.type == "BAD_ESCAPE":
        help = 'write `\\\\` for a backslash, `\\"` for a quote, and `/` in paths'
        return _MistakeError(codes.BAD_ESCAPE, span, {"text": text}, help=help)
    if token.type == "LONE_BRACE":
        return _MistakeError(
            codes.LONE_BRACE, span, {"brace": text}, help=f"write `{text * 2}` for the brace itself"
        )
    reasons = {
        "MALFORMED_NUMBER": "neither a number nor a name",
        "LONG_NUMBER": f"a number of {len(text)} digits; 400 is the most",
        "INFINITE_NUMBER": "too large for a 64-bit float",
    }
    number = f"`{text}`" if len(text) < 40 else f"`{text[:10]}…`"
    return _MistakeError(codes.BAD_NUMBER, span, {"number": number, "reason": reasons[token.type]})


_ILLEGAL_HELP = {
    "!": "a condition is negated by `not`",
    "^": "a power is written `**`",
    "'": "strings are in double quotes",
    "`": "names are written without quotes",
    "\\": "line breaks need no backslash",
    "\u2013": "the minus sign is `-`",
    "\u2212": "the minus sign is `-`",
    "→": "an arrow is written `->`",
    "\u00d7": "multiplication is written `*`",
    "≤": "write `<=`",
    "≥": "write `>=`",
    "≠": "write `!=`",
    "“": "strings are in straight double quotes",
    "”": "strings are in straight double quotes",
}


def _illegal(text: str, span: Span) -> _MistakeError:
    shown = f"`{text}`" if text.isprintable() else f"the character U+{ord(text):04X}"
    help = _ILLEGAL_HELP.get(text, "")
    if not help and text.isalpha():
        help = "names are made of ASCII letters, digits and `_`"
    return _MistakeError(codes.ILLEGAL_CHARACTER, span, {"character": shown}, help=help)


def _unexpected(
    token: Token, before: Sequence[Token], opened: list[Token], accepted: set[str], source: Source
) -> _MistakeError:
    """The diagnostic for `token` standing after `before`, where the parser takes only `accepted`."""
    span, previous = span_of(token), before[-1]
    if token.type in KEYWORDS | {"WORD"} and "NAME" in accepted:
        return _MistakeError(
            codes.KEYWORD_AS_NAME, span, {"word": token}, help=f"call it `{token}_` or the like"
        )
    if token.type == "$END" and opened:
        return _unclosed(opened[-1], span)
    if token.type in CLOSERS and (not opened or opened[-1].type != CLOSERS[token.type]):
        return _mismatched(token, opened)
    if token.type == "EQUAL" and "RELATION" in accepted and opened and opened[-1].type != "LPAR":
        return _MistakeError(codes.EQUAL_IN_CONDITION, span, {}, help="write `==` to compare")
    if "$END" in accepted and _begins_line(previous, token, source):
        return _unknown_statement(token, source)
    label = "the statement ends here" if token.type == "$END" else f"found {_quoted(token, source)}"
    closes = opened and not accepted.isdisjoint(CLOSERS)
    others = (Label(span_of(opened[-1]), "opened here"),) if closes else ()
    fields: dict[str, object] = {
        "expected": expected(accepted, before, len(opened)),
        "previous": _quoted(_whole(before), source),
    }
    return _MistakeError(codes.EXPECTED, span, fields, label, others, hint(token, previous, accepted))


def _whole(tokens: Sequence[Token]) -> Token:
    """The last token; of a template or a string that is cut into its parts, all of them as one."""
    last = tokens[-1]
    if last.type not in {"NAME_TEXT", "STRING_TEXT"}:
        return last
    start = next(token for token in reversed(tokens) if token.type in {"NAME_START", "STRING_START"})
    return Token(last.type, "", start_pos=start.start_pos, end_pos=last.end_pos)


def _begins_line(previous: Token, token: Token, source: Source) -> bool:
    return token.type != "$END" and "\n" in source.text[previous.end_pos : token.start_pos]


def _unclosed(bracket: Token, end: Span) -> _MistakeError:
    others = (Label(end, "the statement ends here"),)
    return _MistakeError(codes.UNCLOSED, span_of(bracket), {"bracket": bracket}, "opened here", others)


def _mismatched(token: Token, opened: list[Token]) -> _MistakeError:
    if not opened:
        return _MistakeError(codes.UNOPENED, span_of(token), {"bracket": token}, help="delete it")
    closer = {"(": ")", "[": "]", "{": "}"}[str(opened[-1])]
    others = (Label(span_of(opened[-1]), "opened here"),)
    return _MistakeError(codes.UNOPENED, span_of(token), {"bracket": token}, f"expected `{closer}`", others)


# -------------------------------------------------------------------------------------------- checks


def _children(node: object) -> Iterable[object]:
    """The nodes directly below a node, or the items of a tuple; text and numbers have none."""
    if isinstance(node, tuple):
        return cast("tuple[object, ...]", node)
    if not is_dataclass(node) or isinstance(node, Span | type):
        return ()
    return [getattr(node, part.name) for part in fields(node)[1:]]


def _may_be_deep(piece: Sequence[Token], loops: int) -> bool:
    """Whether a tree of these tokens could be too deep; a quick answer for long lists, which are not.

    The nodes above a leaf take their tokens from what stands before it, in its own bracket and those around,
    without the items that commas part from it; each of those tokens brings two nodes at most.
    """
    counts, total = [0], 0
    for token in piece:
        counts[-1] += 1
        total += 1
        if token.type in {"COMMA", *CLOSERS}:
            total -= counts[-1] if token.type == "COMMA" else counts.pop()
            if token.type == "COMMA":
                counts[-1] = 0
        elif token.type in CLOSERS.values():
            counts.append(0)
        if 2 * total + loops > DEEPEST:
            return True
    return False


def _depth(root: object) -> int:
    """The number of nodes on the longest way down, counted without recursion."""
    deepest = 0
    waiting: list[tuple[object, int]] = [(root, 0)]
    while waiting:
        node, above = waiting.pop()
        depth = above + is_dataclass(node)
        deepest = max(deepest, depth)
        waiting.extend((child, depth) for child in _children(node))
    return deepest


def _mixed_sets(node: object, piece: Sequence[Token]) -> _MistakeError | None:
    """`A | B - C` without parentheses, if there is one in the statement."""
    if not any(token.type == "BAR" for token in piece):
        return None
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Binary) and node.operator == "|":
            for side in (node.left, node.right):
                if isinstance(side, Binary) and side.operator == "-":
                    label = "this is done first"
                    return _MistakeError(
                        codes.MIXED_SETS, node.span, {}, "", (Label(side.span, label),), _PARENTHESES
                    )
        waiting.extend(_children(node))
    return None


_PARENTHESES = "write `(A | B) - C` or `A | (B - C)`"


def _check_model(firsts: list[Token], report: Report) -> None:
    """`model` is the first statement, and there is one."""
    models = [first for first in firsts if first.type == "MODEL"]
    for model in models[1 : MOST_MISTAKES + 1]:
        others = (Label(span_of(models[0]), "the first one"),)
        report.add(codes.SECOND_MODEL, span_of(model), others=others)
    if not firsts:
        report.add(codes.NO_MODEL, Span(0, 0), help="write `model` and a name")
    elif firsts[0].type in STATEMENT_KEYWORDS - {"MODEL"}:
        others = (Label(span_of(models[0]), "move it to the top"),) if models else ()
        report.add(codes.NO_MODEL, span_of(firsts[0]), label="this stands first", others=others)
