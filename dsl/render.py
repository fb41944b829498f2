"""Diagnostics as text: in full with the source lines, one line each, or as JSON."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from .findings import Diagnostic
from .printing import printable
from .records import record
from .source import Source, Span

Format = Literal["full", "concise", "json"]
Style = Callable[[str, str], str]

_TAB = 4
# Two places further apart than this are shown with the lines between them left out.
_NEAR = 1


def render(
    diagnostics: Iterable[Diagnostic],
    source: Source,
    format: Format = "full",
    colour: bool = False,
    width: int = 120,
) -> str:
    """The text of some diagnostics, ending in no line break; empty if there are none.

    `full` shows the source with the place marked, cutting lines to about `width` columns; `concise` is one
    line each; `json` is a list of objects. `colour` adds terminal colours to `full` and `concise`.
    """
    style = _coloured() if colour and format != "json" else _plain
    if format == "json":
        return json_text([as_object(diagnostic, source) for diagnostic in diagnostics])
    if format == "concise":
        return "\n".join(_concise(diagnostic, source, style) for diagnostic in diagnostics)
    return "\n\n".join(_full(diagnostic, source, style, width) for diagnostic in diagnostics)


# -------------------------------------------------------------------------------------------- colour


def _plain(text: str, style: str) -> str:
    return text


def _coloured() -> Style:
    # Imported here: it takes longer than compiling a small spec, and most output is not coloured.
    from rich.style import Style as RichStyle

    names = {
        "error": "bold red",
        "warning": "bold yellow",
        "title": "bold",
        "frame": "bold blue",
        "other": "blue",
    }
    styles = {name: RichStyle.parse(definition) for name, definition in names.items()}
    return lambda text, style: styles[style].render(text)


# ----------------------------------------------------------------------------------- concise and JSON


def _title(diagnostic: Diagnostic, style: Style) -> str:
    code = style(f"{diagnostic.severity}[{diagnostic.code.code}]", diagnostic.severity)
    return code + style(f": {printable(diagnostic.message)}", "title")


def _place(span: Span, source: Source) -> str:
    line, column = source.position(span.start)
    return f"{printable(source.name)}:{line}:{column}"


def _concise(diagnostic: Diagnostic, source: Source, style: Style) -> str:
    place = _place(diagnostic.span, source) if diagnostic.span else printable(source.name)
    return f"{place}: {_title(diagnostic, style)}"


def _range(span: Span | None, source: Source) -> dict[str, dict[str, int]] | dict[str, None]:
    if span is None:
        return {"start": None, "end": None}
    start, end = source.position(span.start), source.position(span.end)
    return {
        "start": {"line": start[0], "column": start[1]},
        "end": {"line": end[0], "column": end[1]},
    }


def json_text(objects: Sequence[Mapping[str, object]]) -> str:
    """A list of objects as JSON for a file or a terminal."""
    import json

    text = json.dumps(objects, indent=2)
    return text.replace("\x7f", "\\u007f")  # the one control character that JSON leaves alone


def as_object(diagnostic: Diagnostic, source: Source) -> dict[str, object]:
    """A diagnostic as plain values; places are None where it has none."""
    others = [{**_range(other.span, source), "label": other.text} for other in diagnostic.others]
    return {
        "code": diagnostic.code.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "file": source.name,
        **_range(diagnostic.span, source),
        "label": diagnostic.label,
        "help": list(diagnostic.help),
        "others": others,
    }


# ---------------------------------------------------------------------------------------------- full


@record(slots=True)
class _Mark:
    """A place to underline in one line: columns counted in characters from 0, `sign` the underline's."""

    line: int
    start: int
    end: int
    sign: str
    text: str
    continues: bool = False


def _full(diagnostic: Diagnostic, source: Source, style: Style, width: int) -> str:
    lines = [_title(diagnostic, style)]
    marks = _marks(diagnostic, source)
    gutter = len(str(max((mark.line for mark in marks), default=0))) if marks else 1
    bar = style(" " * gutter + " |", "frame")
    place = _place(diagnostic.span, source) if diagnostic.span else printable(source.name)
    lines.append(style(" " * gutter + "-->", "frame") + " " + place)
    if marks:
        lines.append(bar)
        lines.extend(_snippet(marks, source, gutter, style, diagnostic.severity, width))
    if marks and diagnostic.help:
        lines.append(bar)
    for text in diagnostic.help:
        lines.append(
            style(" " * gutter + " =", "frame") + " " + style("help", "title") + f": {printable(text)}"
        )
    return "\n".join(lines)


def _marks(diagnostic: Diagnostic, source: Source) -> list[_Mark]:
    """What to underline, by line."""
    if diagnostic.span is None:
        return []
    marks = [_mark(diagnostic.span, "^", diagnostic.label, source)]
    marks.extend(_mark(other.span, "-", other.text, source) for other in diagnostic.others)
    return sorted(marks, key=lambda mark: (mark.line, -mark.start))


def _mark(span: Span, sign: str, text: str, source: Source) -> _Mark:
    """A span's part in its first line; `...` follows the underline when it goes on in the next."""
    line, column = source.position(span.start)
    last, last_column = source.position(span.end)
    if last == line:
        return _Mark(line, column - 1, last_column - 1, sign, text)
    return _Mark(line, column - 1, len(source.line(line).rstrip()), sign, text, True)


def _snippet(
    marks: list[_Mark], source: Source, gutter: int, style: Style, severity: str, width: int
) -> Iterable[str]:
    previous = None
    for number in dict.fromkeys(mark.line for mark in marks):
        if previous is not None and number - previous > _NEAR:
            yield style("...", "frame")
        previous = number
        here = [mark for mark in marks if mark.line == number]
        text, cut = _cut(source.line(number), here, width)
        yield style(f"{number:>{gutter}} |", "frame") + (f" {_expanded(text)}" if text else "")
        for mark in here:
            start = _cells(text[: mark.start - cut]) if mark.start >= cut else 0
            length = max(1, _cells(text[: max(0, mark.end - cut)]) - start)
            more = "..." if mark.continues else ""
            underline = f"{mark.sign * length}{more} {printable(mark.text)}".rstrip()
            yield (
                style(" " * gutter + " |", "frame")
                + " " * (start + 1)
                + style(underline, severity if mark.sign == "^" else "other")
            )


def _cut(line: str, marks: list[_Mark], width: int) -> tuple[str, int]:
    """A line cut to `width` characters around its first mark, and the column at which the rest begins.

    An ellipsis takes the place of the first and of the last character that stays.
    """
    if len(line) <= width:
        return line, 0
    place = next((mark for mark in marks if mark.sign == "^"), marks[0])
    begin = max(0, min(place.start - width // 4, len(line) - width))
    piece = line[begin : begin + width]
    head = "…" if begin else ""
    tail = "…" if begin + width < len(line) else ""
    return head + piece[len(head) : len(piece) - len(tail)] + tail, begin


def _expanded(text: str) -> str:
    """Text as it is printed: tabs as blanks, without marks that combine, the rest escaped if it must be."""
    return "".join(" " * _TAB if c == "\t" else "" if _cells(c) == 0 else printable(c) for c in text)


def _cells(text: str) -> int:
    """How many columns of a terminal a text takes, tabs being expanded."""
    if text.isascii() and text.isprintable():
        return len(text)
    return sum(_character_cells(character) for character in text)


def _character_cells(character: str) -> int:
    if character == "\t":
        return _TAB
    if not character.isprintable():
        return len(printable(character))
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
