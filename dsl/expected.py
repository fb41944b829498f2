"""What a syntax error says: what could stand at a place, in words."""

from __future__ import annotations

from collections.abc import Sequence

from .lalr import Token

_SIGNS = {
    "ARROW": "->", "TO": "..", "COLON": ":", "SEMICOLON": ";", "COMMA": ",", "EQUAL": "=", "TILDE": "~",
    "LPAR": "(", "RPAR": ")", "LSQB": "[", "RSQB": "]", "LBRACE": "{", "RBRACE": "}", "HOLE_CLOSE": "}",
    "AS": "as", "WITH": "with", "IN": "in", "CLASS": "class",
}  # fmt: skip

# An operator, a call or a field may follow every value. Saying so would bury what is missing.
_CONTINUATIONS = frozenset(
    [
        "RELATION",
        "ADDITIVE",
        "MULTIPLICATIVE",
        "POWER",
        "BAR",
        "AMPERSAND",
        "TO",
        "AND",
        "OR",
        "IN",
        "DOT",
        "HOLE_OPEN",
    ]
)

# What a statement needs next outside brackets, by its keyword and the sign that would bring it.
_NEEDED = {
    ("param", "EQUAL"): "`=` and a value",
    ("axis", "EQUAL"): "`=` and a size or `names(...)`",
    ("function", "LPAR"): "`(` and the function's arguments, as in `(x, slope = 0.1)`",
    ("function", "EQUAL"): "`=` and the function's value",
    ("edges", "COLON"): "`:` and two sides, as in `a -> b`",
    ("edges", "ARROW"): "`->` and the side that the edges lead to",
    ("edges", "EQUAL"): "`=` and a set of edges",
    ("connect", "ARROW"): "`->` and the layer that the edges lead to",
    ("connect", "COLON"): "`:` and a set of edges",
    ("for", "IN"): "`in` and a range",
    ("for", "LBRACE"): "`{` and the statements to repeat",
    ("for", "TO"): "`..` and the last number",
}

# What a value is for, by the statement's keyword and the token before it, and inside brackets by that alone.
_AFTER = {
    ("connect", ":"): "a set of edges",
    ("edges", "="): "a set of edges",
    ("function", "="): "the function's value",
    ("layer", "="): "the layer's value, an expression of layers and inputs",
    ("for", "in"): "a range or a list",
    ("loss", "loss"): "a loss",
    ("axis", "="): "a size or `names(...)`",
}
_INSIDE = {"{": "an edge, as in `0 -> 1`", "->": "the target of an edge", ":": "a condition"}


def expected(accepted: set[str], piece: Sequence[Token], depth: int) -> str:
    """What the parser would take after the tokens of `piece`, `depth` brackets being open."""
    keyword = str(piece[0])
    if "NUMBER" in accepted:
        value = _value(keyword, str(piece[-1]), depth)
        closer = next((_SIGNS[kind] for kind in ("RPAR", "RSQB") if kind in accepted), None)
        return f"{value} or `{closer}`" if closer else value
    if "NAME" in accepted:
        return _name(keyword, str(piece[-1]), accepted)
    if not depth:
        needed = [_NEEDED[keyword, kind] for kind in sorted(accepted) if (keyword, kind) in _NEEDED]
        if needed:
            return needed[0]
    # After `f(a`, a `=` or a `(` could still come; that they are missing is never the likely reading.
    likely = accepted - _CONTINUATIONS - {"LPAR"} - ({"EQUAL"} if depth else set())
    signs = sorted(f"`{_SIGNS[kind]}`" for kind in likely if kind in _SIGNS)
    return _either(signs + (["the next statement"] if "$END" in accepted else []))


def _value(keyword: str, previous: str, depth: int) -> str:
    if not depth:
        return _AFTER.get((keyword, previous), "a value")
    return _INSIDE.get(previous, "a value")


def _name(keyword: str, previous: str, accepted: set[str]) -> str:
    if previous == ".":
        return "the name of a field"
    if keyword == "function" and previous in {"(", ","}:
        return "the name of an argument"
    if previous in {"with", ";"} or (previous == "," and keyword == "connect"):
        return "`name = value`"
    if keyword == "layer" and previous in {":", ","}:
        return "an operation"
    if "LSQB" in accepted:
        return "a name or `[size]`"
    return "a name"


def _either(choices: list[str]) -> str:
    if not choices:
        return "nothing more"
    return choices[0] if len(choices) == 1 else ", ".join(choices[:-1]) + " or " + choices[-1]


def hint(token: Token, previous: Token, accepted: set[str]) -> str:
    """Advice for the usual slips, or an empty text."""
    kind, before = token.type, previous.type
    adjacent = token.start_pos == previous.end_pos
    if kind == "LBRACE" and before == "NAME" and adjacent:
        return f"a template has no blanks inside: `{previous}{{k-1}}`"
    if kind == "SEMICOLON":
        return "statements need no `;`; in a set builder, policies follow one `;` and are parted by commas"
    if kind == "DOT" and before == "NUMBER" and adjacent:
        return f"write `{previous}.0`"
    if kind == "DOT" and "NUMBER" in accepted:
        return "a number has a digit before its point, as in `0.5`"
    if kind == before and adjacent and kind in {"AMPERSAND", "BAR"}:
        return "conditions are joined by `and` and `or`"
    if kind == "MULTIPLICATIVE" and token == "//":
        return "a comment begins with `#`"
    if kind in {"NAME", "NUMBER", "STRING"} and "COMMA" in accepted:
        return "is there a `,` missing?"
    if kind in {"RBRACE", "RPAR", "RSQB"} and before == "COMMA":
        return "leave out the comma before the closing bracket"
    return ""
