"""The formatter changes neither what a spec says nor what it has formatted, and keeps every comment."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

# ------------------------------------------------------------- specs, drawn as lists of tokens and blanks

# Blanks between tokens: `None` stands for any, where the language leaves it to the writer.
ANY = None

names = st.sampled_from(["a", "b1", "_x", "hidden", "h{k-1}", "go{d}_{e+1}", "x{(k,(2))}"])
numbers = st.sampled_from(["0", "7", "500", "1e-4", "2.50", "0.5E+3", "007"])
strings = st.sampled_from(['""', '"f.csv"', '"l{d}_{ e + 1 }.csv"', r'"\"\\ {{}} é"', '"# no comment"'])


def joined(parts, separator):
    return [token for i, part in enumerate(parts) for token in ([separator] if i else []) + part]


def listed(items, least=0, most=3):
    return st.lists(items, min_size=least, max_size=most).map(lambda parts: joined(parts, ","))


def operators(operands, signs):
    return st.tuples(operands, st.sampled_from(signs), operands).map(
        lambda t: ["(", *t[0], ")", t[1], "(", *t[2], ")"]
    )


def atoms(inner):
    values = st.one_of(names, numbers, strings).map(lambda text: [text])
    argument = st.one_of(
        inner,
        st.tuples(st.sampled_from(["rows", "source", "edges"]), inner).map(lambda t: [t[0], "=", *t[1]]),
        st.just(["rows", "=", "target"]),
    )
    called = st.one_of(
        names.map(lambda n: [n]),
        st.tuples(names, st.sampled_from(["field", "target"])).map(lambda t: [t[0], ".", t[1]]),
    )
    arrows = st.tuples(sums(inner), sums(inner)).map(lambda t: [*t[0], "->", *t[1]])
    clauses = st.one_of(inner, st.tuples(arrows, names).map(lambda t: [*t[0], "in", t[1]]))
    policy = st.sampled_from(["outside = skip", "seed = 3", "duplicate = merge"]).map(str.split)
    builder = st.tuples(listed(arrows, 1), listed(clauses), listed(policy)).map(
        lambda t: ["{", *t[0], *([":", *t[1]] if t[1] else []), *([";", *t[2]] if t[2] else []), "}"]
    )
    return st.one_of(
        values,
        called,
        inner.map(lambda e: ["(", *e, ")"]),
        inner.map(lambda e: ["(", *e, ",", ")"]),
        listed(inner, 2).map(lambda items: ["(", *items, ")"]),
        st.just(["(", ")"]),
        listed(inner).map(lambda items: ["[", *items, "]"]),
        st.tuples(called, listed(argument)).map(lambda t: [*t[0], "(", *t[1], ")"]),
        builder,
    )


def sums(inner):
    """Arithmetic of operands in parentheses, so that every precedence is drawn and none is ambiguous."""
    wrapped = inner.map(lambda e: ["(", *e, ")"])
    plain = st.one_of(wrapped, names.map(lambda n: [n]), numbers.map(lambda n: [n]))
    signed = st.one_of(plain, plain.map(lambda e: ["-", *e]))
    product = st.lists(signed, min_size=1, max_size=3).flatmap(
        lambda parts: st.sampled_from(["*", "/", "//", "%", "**"]).map(lambda sign: joined(parts, sign))
    )
    return st.lists(product, min_size=1, max_size=3).flatmap(
        lambda parts: st.sampled_from(["+", "-"]).map(lambda sign: joined(parts, sign))
    )


def larger(inner):
    sides = sums(inner)
    return st.one_of(
        atoms(inner),
        sides,
        st.tuples(sides, sides).map(lambda t: [*t[0], "..", *t[1]]),
        operators(inner, ["|", "&", "and", "or", "<", "==", "in"]),
        st.tuples(sides, sides, sides).map(lambda t: [*t[0], "<=", *t[1], "<", *t[2]]),
        sides.map(lambda e: ["not", *e]),
    ).map(lambda e: ["(", *e, ")"] if e and e[0] != "(" else e)


expressions = st.recursive(st.one_of(names, numbers, strings).map(lambda t: [t]), larger, max_leaves=6)
plain_names = names.map(lambda n: [n])
shapes = st.one_of(st.just([]), listed(expressions, 1).map(lambda items: ["[", *items, "]"]))
operations = listed(st.one_of(plain_names, listed(expressions).map(lambda a: ["dropout", "(", *a, ")"])))
attributes = listed(
    st.tuples(st.sampled_from(["=", "~"]), expressions).map(lambda t: ["weight", t[0], *t[1]])
)
sides = st.one_of(plain_names, listed(expressions, 1).map(lambda items: ["[", *items, "]"]))


def phrase(*parts):
    """A strategy for the tokens of a statement: words as they are, strategies drawn."""
    drawn = [st.just([part]) if isinstance(part, str) else part for part in parts]
    return st.tuples(*drawn).map(lambda pieces: [token for piece in pieces for token in piece])


def optional(word, part):
    return part.map(lambda tokens: [word, *tokens] if tokens else [])


maybe_named = st.one_of(st.just([]), plain_names)
data = st.sampled_from([["input"], ["target"]])
statements = st.one_of(
    phrase("param", plain_names, "=", expressions),
    phrase("axis", plain_names, "=", expressions),
    phrase(data, plain_names, shapes),
    phrase(data, plain_names, shapes, ":", "class", "[", expressions, "]"),
    phrase("layer", plain_names, shapes, optional("=", expressions), optional(":", operations)),
    phrase("edges", plain_names, ":", sides, "->", sides, "=", expressions),
    phrase("connect", plain_names, "->", plain_names, optional("as", maybe_named), ":", expressions,
           optional("with", attributes)),
    phrase("output", listed(plain_names, 1)),
    phrase("loss", expressions),
)  # fmt: skip
values = st.sampled_from(
    [["1", "..", "3"], ["0", "..", "2", "*", "n", "-", "1"], ["[", "1", ",", "2", "]"], ["[", "]"]]
)
bodies = st.recursive(
    st.lists(statements, max_size=3),
    lambda inner: st.tuples(values, inner, inner).map(
        lambda t: [["for", "k", "in", *t[0], "{"], *t[1], ["}"], *t[2]]
    ),
    max_leaves=4,
)
between = st.sampled_from(
    ["\n", "\n", "\n\n", "\n\n\n\n", " ", "  # behind\n", "\n # own line\n", "\n\n#\n\n#two \n"]
)
inside = st.sampled_from([" "] * 30 + ["", "  ", "\n", "\t", "\r\n    "])
inside_with_comments = st.one_of(inside, st.sampled_from([" ", " ", " # within\n", "\n  # alone  \n"]))

SIGNS = set("()[]{},;:=~|&+*/%") | {"->", "..", "==", "<", "<=", "**", "//", "."}


@st.composite
def specs(draw, blanks=inside):
    """The text of a spec."""
    text = draw(st.sampled_from(["", "# top\n", "\n\n"])) + "model m"
    for tokens in draw(bodies):
        text += draw(between)
        for i, token in enumerate(tokens):
            blank = draw(blanks) if i else ""
            apart = i and not (token in SIGNS or tokens[i - 1] in SIGNS)
            # `a{` would begin a template; numbers and dots would run into each other.
            delicate = token in {"{", ".."} or (i and tokens[i - 1] in {"..", "-", "+"})
            text += (blank or (" " if apart or delicate else "")) + token
    return text + draw(st.sampled_from(["", "\n", "\n\n# end", "  # end"]))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(text=specs())
def test_idempotent_and_faithful(text, formatted, meaning):
    once = formatted(text)
    assert formatted(once) == once
    assert meaning(once) == meaning(text)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(text=specs(inside_with_comments))
def test_comments_stay(text, tree, formatted, meaning):
    once = formatted(text)
    assert formatted(once) == once
    assert meaning(once) == meaning(text)
    assert [c.text.rstrip() for c in tree(once).comments] == [c.text.rstrip() for c in tree(text).comments]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(text=specs())
def test_layout(text, formatted):
    lines = formatted(text).split("\n")
    assert lines[-1] == ""
    assert lines[0] != ""
    assert lines[-2] != ""
    assert all(line == line.rstrip() for line in lines)
    assert not any(one == two == "" for one, two in pairwise(lines[:-1]))


# --------------------------------------------------------------------------------------------- by example


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("layer  h [ 3,4 ]:tanh ,dropout( 0.2 )", "layer h[3, 4] : tanh, dropout(0.2)"),
        ("input x:class[ 3 ]", "input x: class[3]"),
        ("loss 2 * i + k", "loss 2*i + k"),
        ("loss 0.5*f(i-j)", "loss 0.5 * f(i - j)"),
        ("loss 1+f(i)*2", "loss 1 + f(i) * 2"),
        ("loss (a+b)*2*c-1", "loss (a + b) * 2 * c - 1"),
        ("loss f(r + a, c = d + 1)", "loss f(r+a, c = d + 1)"),
        ("loss (r + a, c+b)", "loss (r+a, c+b)"),
        ("loss a ** - 2", "loss a**-2"),
        ("loss 1 .. d - 1", "loss 1..d-1"),
        ("loss not a", "loss not a"),
        ("loss (a|b)-c", "loss (a | b) - c"),
        ("connect a->b as n:{i->j:i<j;outside=skip}with a=1,b~2",
         "connect a -> b as n : { i -> j : i < j ; outside = skip } with a = 1, b ~ 2"),
        ("output a,b", "output a, b"),
    ],
)  # fmt: skip
def test_spacing(formatted, written, expected):
    assert formatted(f"model m\n{written}") == f"model m\n{expected}\n"


def test_statements_and_blank_lines(formatted):
    text = "\n\nmodel m layer a\n\n\n\nlayer b # two\nfor k in 1..2 {\n\nlayer c\n\n}"
    assert formatted(text) == "model m\nlayer a\n\nlayer b  # two\nfor k in 1..2 {\n  layer c\n}\n"


def test_a_statement_with_a_comment_inside_stays_as_it_is(formatted):
    text = "model m\nfor k in 1..2 {\nconnect   a -> b : { # why\n      0   ->  1   \n  }\n}\n"
    assert (
        formatted(text) == "model m\nfor k in 1..2 {\n  connect   a -> b : { # why\n      0   ->  1\n  }\n}\n"
    )


def test_long_edge_lists_have_one_edge_a_line(formatted):
    edges = [f"{i} -> {i}" for i in range(20)]
    assert formatted(f"model m\nconnect a -> b : {{ {', '.join(edges)} }}") == (
        "model m\nconnect a -> b : {\n  " + ",\n  ".join(edges) + "\n}\n"
    )
