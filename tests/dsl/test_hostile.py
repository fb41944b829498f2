"""Text that no person would write gives diagnostics, in reasonable time, and never a traceback."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnspec.dsl.formatter import format_spec
from nnspec.dsl.render import render
from nnspec.dsl.source import Source

from ..steps import assert_in_proportion, lines_run

TOKENS = (
    "model param axis input target layer edges connect output loss for as with in and or not class "
    "( ) [ ] { } -> : ; , = ~ .. . | & - + * // ** == < a b{k} h{k-1} "
    '1 2.5 "s" "s{k}" " # é ! \\ 3x 1e999 \0 😀 \ufeff'
)
PIECES = TOKENS.split(" ")


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(["", " ", "\n", "\r\n", "\t"])), max_size=40)
)
def test_any_tokens(mistakes, pieces):
    text = "".join(piece + blank for piece, blank in pieces)
    for style in ("full", "concise", "json"):
        render(mistakes(text), Source("x.nnspec", text), style)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(max_size=60))
def test_any_text(mistakes, text):
    render(mistakes("model m\n" + text), Source("x.nnspec", "model m\n" + text))


N = 20_000


@pytest.mark.parametrize(
    ("before", "again", "after"),
    [
        ("loss ", "(", ""),
        ("loss ", "[", ""),
        ("loss ", "{", ""),
        ("loss " + "(" * N, "{}", ""),
        ("loss ", "-", "1"),
        ("loss ", "2**", "1"),
        ("loss ", "1+", "1"),
        ("", "for k in 1..2 {", ""),
        ("loss ", "a" * 10, ""),
    ],
    ids=lambda text: text[:9] + "…",
)
def test_nesting_and_length(mistakes, before, again, after):
    def steps(times):
        count, found = lines_run(lambda: mistakes("model m\n" + before + again * times + after))
        assert [diagnostic.code.code for diagnostic in found] in ([], ["E112"])
        return count

    steps(300)  # caches
    assert_in_proportion([steps(times) for times in (1000, 2000, 3000)])
    found = mistakes("model m\n" + before + again * N + after)
    assert [diagnostic.code.code for diagnostic in found] in ([], ["E112"])


@pytest.mark.parametrize("text", ["}" * N, "layer a[3 : tanh\n" * 2000, "layer )\n" * 2000])
def test_many_mistakes(mistakes, text):
    assert len(mistakes("model m\n" + text)) == 100


@pytest.mark.parametrize("character", ["\0", "@", "\u20ac", "\U0010ffff"])
def test_files_of_another_kind(mistakes, character):
    """Of a file as large as a spec may be, not every character is looked at."""

    def steps(size):
        count, found = lines_run(lambda: mistakes("model m\n" + character * size))
        assert [diagnostic.code.code for diagnostic in found] == ["E106"]
        return count

    assert steps(16 << 20) == steps(1 << 20)


def test_what_the_limit_allows_survives_the_formatter(tree, formatted):
    depth = 195
    for text in (
        "(" * depth + "a" + ")" * depth,
        "-" * depth + "a",
        "1" + "+1" * depth,
        "{ a -> " * 40 + "a" + "}" * 40,
    ):
        tree(f"model m\nloss {text}")
        assert formatted(f"model m\nloss {text}")


def test_long_lists_are_no_nesting(tree):
    pairs = ", ".join(f"{i} -> {i}" for i in range(3000))
    spec = tree(f"model m\nconnect a -> b : {{ {pairs} }}")
    assert len(spec.statements[1].set.edges) == 3000
    assert format_spec(spec).count("\n") == 3003


def test_a_long_number_is_refused(mistakes):
    (found,) = mistakes("model m\nlayer x[" + "9" * 100_000 + "]")
    assert found.code.code == "E110"


def test_line_breaks_and_byte_order_mark(tree, meaning):
    text = "model m\nlayer a[3] # hi\n\nlayer b[2]\n"
    assert meaning("\ufeff" + text.replace("\n", "\r\n")) == meaning(text)
    assert tree(text.replace("\n", "\r\n")).comments[0].text == "# hi"
