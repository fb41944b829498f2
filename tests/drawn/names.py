"""Names for specs, drawn from every identifier that occurs in generated code or in kernels."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from random import Random

from nnspec.compiler.names.names import IN_KEYS
from nnspec.compiler.names.reserved import is_name, refusal
from nnspec.compiler.sets.rules import RULES
from nnspec.dsl.lalr import Token, lex
from nnspec.dsl.tokens import KEYWORDS, read_tokens, span_of

from .specs import Spec

ROOT = Path(__file__).parent.parent.parent

# How `specs.py` calls what becomes names in code, by kind, and what does not.
IN_CODE = {
    "input": r"data\d+|word",
    "layer": r"h\d+",
    "target": r"t\d+",
    "connection": r"c\d+",
    "shared weight": r"s_\w+",
    "function": "swish|spike|root|huber_like",
}
OTHERS = {"param": "p", "axis": r"(?:axis|names|column|plain|named)\d+", "edge set": r"g\d+(?:_\d+)?"}
# Index names, the variables of loops, and the model.
UNDECLARED = r"[a-z]|[xyuvfaekn]\d+|n\d+_\d+|drawn"
BEFORE_ARGUMENTS = {"LPAR", "COMMA", "SEMICOLON", "WITH"}
PAIR = r"((?:data|h)\d+|word)_(h\d+)"


@cache
def identifiers() -> tuple[str, ...]:
    """Every name in goldens and kernels: of variables, parameters, definitions, attributes, modules."""
    paths = [*ROOT.glob("tests/golden/modules/*.py"), *ROOT.glob("backends/*/kernels/*.py")]
    found = {name for path in paths for name in _names_in(ast.parse(path.read_text(encoding="utf-8")))}
    return tuple(sorted(name for name in found if is_name(name)))


def _names_in(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        match node:
            case (
                ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name))
            ):
                yield name
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.MatchAs(name=str(name)):
                yield name
            case ast.alias(name=name, asname=other):
                yield from name.split(".")
                yield other or name
            case ast.ImportFrom(module=str(name)):
                yield from name.split(".")
            case _:
                pass


@cache
def free_for(kind: str) -> tuple[str, ...]:
    """The identifiers that something of this kind may be called."""
    words = {word.lower() for word in KEYWORDS}
    names = (n for n in identifiers() if n[0] != "_" and "__" not in n and n not in words)
    calls = IN_KEYS if kind == "shared weight" else frozenset(RULES)
    return tuple(name for name in names if refusal(name, kind, calls) is None)


def kind_of(name: str) -> str | None:
    """What `specs.py` calls so; None for words of the language, and for what has a name made from others."""
    for kind, pattern in (IN_CODE | OTHERS | {"index": UNDECLARED}).items():
        if re.fullmatch(pattern, name):
            return kind
    return None


def renamed(drawn: Spec, chosen: Random) -> Spec:
    """A spec with names drawn anew, each once. Those of files, units and columns stay as they are."""
    tokens = names_in(drawn.text)
    names: dict[str, str] = {}
    for name in dict.fromkeys(map(str, tokens)):
        if (kind := kind_of(name)) is not None:
            names[name] = next(new for new in anew(free_for(kind), chosen) if new not in names.values())
    text, end = "", 0
    for token in tokens:
        span = span_of(token)
        text, end = text + drawn.text[end : span.start] + called(str(token), names), span.end
    edges = {called(name, names): edges for name, edges in drawn.edges.items()}
    return Spec(text + drawn.text[end:], drawn.files, edges)


def names_in(text: str) -> list[Token]:
    """The names in a spec, but for those of arguments."""
    tokens = read_tokens(text, lex).tokens
    beside = zip([None, *tokens], tokens, [*tokens[1:], None], strict=False)
    return [
        token
        for before, token, after in beside
        if token.type == "NAME"
        and not (before and after and before.type in BEFORE_ARGUMENTS and after.type == "EQUAL")
    ]


def anew(pool: Sequence[str], chosen: Random) -> Iterator[str]:
    """Names from a pool, without end."""
    while True:
        yield chosen.choice(pool)


def called(name: str, names: Mapping[str, str]) -> str:
    """The new name of what has this one; a connection without one is called after its ends."""
    ends = re.fullmatch(PAIR, name)
    return f"{names[ends[1]]}_{names[ends[2]]}" if ends else names.get(name, name)
