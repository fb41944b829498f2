"""What a diagnostic looks like."""

import json
import re
from dataclasses import replace
from itertools import pairwise

import pytest

from nnspec.dsl.findings import Code, Diagnostic, Label
from nnspec.dsl.render import json_text, render
from nnspec.dsl.source import Source, Span

CODE = Code("E204", "edge target 500 is outside `graph`")
HELP = "add `; outside = skip` to drop such edges"


def found(text, marked, *, label="", others=(), help=()):
    """A source, and a diagnostic at the place of `marked` in it."""

    def span(piece):
        start = text.index(piece)
        return Span(start, start + len(piece))

    labels = tuple(Label(span(piece), words) for piece, words in others)
    return Source("m.nnspec", text), Diagnostic(CODE, CODE.message, span(marked), label, labels, help)


def full(text, marked, **rest):
    source, diagnostic = found(text, marked, **rest)
    return render([diagnostic], source)


def test_the_layout_of_the_reference():
    text = "model m\n" * 13 + "connect hidden -> graph  : { i -> i + 1 }\n"
    assert full(text, "{ i -> i + 1 }", label="i = 499 gives 500", help=(HELP,)) == (
        "error[E204]: edge target 500 is outside `graph`\n"
        "  --> m.nnspec:14:28\n"
        "   |\n"
        "14 | connect hidden -> graph  : { i -> i + 1 }\n"
        "   |                            ^^^^^^^^^^^^^^ i = 499 gives 500\n"
        "   |\n"
        "   = help: add `; outside = skip` to drop such edges"
    )


def test_a_second_place_on_the_same_line():
    assert full("f(3]", "]", others=(("(", "opened here"),)).split("\n")[3:] == [
        "1 | f(3]",
        "  |    ^",
        "  |  - opened here",
    ]


def test_a_second_place_further_up():
    text = "layer a\n" + "\n" * 9 + "layer b"
    assert full(text, "layer b", others=(("layer a", "first here"),)).split("\n")[2:] == [
        "   |",
        " 1 | layer a",
        "   | ------- first here",
        "...",
        "11 | layer b",
        "   | ^^^^^^^",
    ]


def test_a_place_of_many_lines_shows_the_first():
    assert full("x {\n  1\n}", "{\n  1\n}", label="here").split("\n")[3:] == ["1 | x {", "  |   ^... here"]


def test_tabs_and_wide_characters():
    assert full('\tname 漢字 "é"', '"é"').split("\n")[3:] == [
        '1 |     name 漢字 "é"',
        "  |               ^^^",
    ]


def test_combining_and_unprintable_characters():
    assert full("e\u0301\0 x\x1b", "x").split("\n")[3:] == [r"1 | e\x00 x\x1b", "  |       ^"]


@pytest.mark.parametrize("style", ["full", "concise", "json"])
def test_nothing_acts_on_a_terminal(style):
    every = "".join(map(chr, [*range(32), *range(127, 160), *range(0x2028, 0x202F), *range(0x2066, 0x206A)]))
    text = f"a{every} {{b\ud800".replace("\n", "")
    _, diagnostic = found(text, "{", label=every, others=(("a", every),), help=(every,))
    diagnostic = replace(diagnostic, message=every)
    printed = render([diagnostic], Source(f"m{every}", text), style)
    assert all(character.isprintable() for character in printed.replace("\n", ""))
    assert ("\\u001b" if style == "json" else "\\x1b") in printed
    if style == "json":
        assert json.loads(printed)[0]["message"] == every
        return
    assert printed.count("\n") == {"full": 7, "concise": 0}[style]
    if style == "full":
        line, mark = next(pair for pair in pairwise(printed.split("\n")) if "^" in pair[1])
        assert line[mark.index("^")] == "{"


def test_a_long_line_is_cut_around_the_place():
    text = "a" * 5000 + "HERE" + "b" * 5000
    _, _, _, line, marks = full(text, "HERE").split("\n")
    assert len(line) < 130
    assert line[4] == line[-1] == "…"
    assert line[marks.index("^") : marks.rindex("^") + 1] == "HERE"


def test_the_end_of_the_text():
    source = Source("m.nnspec", "loss\n")
    diagnostic = Diagnostic(CODE, "message", Span(5, 5))
    assert render([diagnostic], source).split("\n")[-2:] == ["2 |", "  | ^"]


def test_no_place():
    diagnostic = Diagnostic(CODE, "cannot read it", None, help=("is it there?",))
    text = render([diagnostic], Source("m.nnspec", ""))
    assert text == "error[E204]: cannot read it\n --> m.nnspec\n  = help: is it there?"
    assert render([diagnostic], Source("m.nnspec", ""), "concise") == "m.nnspec: error[E204]: cannot read it"


def test_concise():
    source, diagnostic = found("a\n  b", "b")
    line = "m.nnspec:2:3: error[E204]: edge target 500 is outside `graph`"
    assert render([diagnostic, diagnostic], source, "concise") == f"{line}\n{line}"


def test_json_is_indented_by_two():
    assert json_text([{"a": 1}]) == '[\n  {\n    "a": 1\n  }\n]'


def test_json():
    source, diagnostic = found("a\n  b", "b", label="l", others=(("a", "o"),), help=("h",))
    assert json.loads(render([diagnostic], source, "json")) == [
        {
            "code": "E204",
            "severity": "error",
            "message": "edge target 500 is outside `graph`",
            "file": "m.nnspec",
            "start": {"line": 2, "column": 3},
            "end": {"line": 2, "column": 4},
            "label": "l",
            "help": ["h"],
            "others": [{"start": {"line": 1, "column": 1}, "end": {"line": 1, "column": 2}, "label": "o"}],
        }
    ]


@pytest.mark.parametrize("style", ["full", "concise"])
def test_colour_changes_no_text(style):
    source, diagnostic = found("a\n  b", "b", label="l", others=(("a", "o"),), help=("h",))
    coloured = render([diagnostic], source, style, colour=True)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == render([diagnostic], source, style)


def test_nothing_found():
    assert render([], Source("m.nnspec", "")) == ""
    assert render([], Source("m.nnspec", ""), "json") == "[]"
