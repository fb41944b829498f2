"""Templates placed into text: names, loops over lists, flags and includes, in the words of Jinja.

That is all a template of ours may have. Jinja itself would take longer to be imported, and to read the
templates, than a small spec takes to compile; `tests/emit/test_templates.py` holds this to what it writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent

# A statement takes the blanks before it on its line and the line end after it.
_TAG = re.compile(r"(?:(?<=\n)|\A)[ \t]*\{%([^%]*)%\}\n?|\{%([^%]*)%\}\n?|\{\{([^}]*)\}\}")


class _If(NamedTuple):
    """Parts that are placed if one of some names is true, and others if none is."""

    names: list[str]
    parts: list[_Part]
    others: list[_Part]


class _For(NamedTuple):
    """Parts that are placed for every item of a list."""

    names: list[str]
    items: str
    parts: list[_Part]


class _Name(NamedTuple):
    """A value that is placed as it is."""

    name: str


_Part = str | _Name | _If | _For


def filled(target: str, template: str, values: Mapping[str, Any]) -> str:
    """The text of a template of a target, or of all targets. Raises KeyError where a name has no value."""
    return "".join(_placed(_read(target, template), values))


def placed(text: str, values: Mapping[str, Any]) -> str:
    """The text of a template without includes."""
    return "".join(_placed(_parts(_tokens(text), ""), values))


@cache
def _read(target: str, template: str) -> list[_Part]:
    own = HERE / target / "templates" / template
    path = own if own.exists() else HERE / "common" / "templates" / template
    return _parts(_tokens(path.read_text(encoding="utf-8")), target)


def _tokens(text: str) -> Iterator[str | tuple[str, list[str]]]:
    """The text between tags, and the words of each tag."""
    end = 0
    for tag in _TAG.finditer(text):
        yield text[end : tag.start()]
        end = tag.end()
        own_line, statement, name = tag.groups()
        if name is not None:
            yield "name", [name.strip()]
        else:
            word, *rest = (own_line or statement).replace(",", " ").split()
            yield word, rest
    yield text[end:]


def _parts(tokens: Iterator[str | tuple[str, list[str]]], target: str) -> list[_Part]:
    """What stands before the end of a block."""
    parts, _ = _block(tokens, target)
    return parts


def _block(tokens: Iterator[str | tuple[str, list[str]]], target: str) -> tuple[list[_Part], str]:
    """What stands in a block, and the word that ends it."""
    parts: list[_Part] = []
    for token in tokens:
        match token:
            case str():
                parts.append(token)
            case "name", [name]:
                parts.append(_Name(name))
            case "include", [quoted]:
                parts += _read(target, quoted.strip('"'))
            case "if", names:
                chosen, end = _block(tokens, target)
                others = _block(tokens, target)[0] if end == "else" else []
                parts.append(_If([name for name in names if name != "or"], chosen, others))
            case "for", [*names, "in", items]:
                parts.append(_For(names, items, _block(tokens, target)[0]))
            case ("else" | "endif" | "endfor") as word, []:
                return parts, word
            case word, rest:
                raise ValueError(f"a template has no `{' '.join([word, *rest])}`")
    return parts, ""


def _placed(parts: Iterable[_Part], values: Mapping[str, Any]) -> Iterator[str]:
    for part in parts:
        match part:
            case str():
                yield part
            case _Name(name):
                yield str(values[name])
            case _If(names, chosen, others):
                yield from _placed(chosen if any(values[name] for name in names) else others, values)
            case _For([name], items, own):
                for item in values[items]:
                    yield from _placed(own, {**values, name: item})
            case _For(names, items, own):
                for item in values[items]:
                    yield from _placed(own, {**values, **dict(zip(names, item, strict=True))})
