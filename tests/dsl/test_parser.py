"""Text to tree: every form of the language, and the message for every kind of mistake."""

import pytest

from nnspec.dsl import syntax
from nnspec.dsl.words import suggest


def name(text):
    return ("Name", (text,))


def ref(text):
    return ("Reference", name(text))


def num(value):
    return ("Number", value, str(value))


def binary(left, operator, right):
    return ("Binary", operator, left, right)


A, B, C = ref("a"), ref("b"), ref("c")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b * c", binary(A, "+", binary(B, "*", C))),
        ("a - b - c", binary(binary(A, "-", B), "-", C)),
        ("a ** b ** c", binary(A, "**", binary(B, "**", C))),
        ("-a ** b", ("Unary", "-", binary(A, "**", B))),
        ("a ** -b", binary(A, "**", ("Unary", "-", B))),
        ("a // b % c", binary(binary(A, "//", B), "%", C)),
        ("a | b & c", binary(A, "|", binary(B, "&", C))),
        ("a & b - c", binary(A, "&", binary(B, "-", C))),
        ("a or b and not c", binary(A, "or", binary(B, "and", ("Unary", "not", C)))),
        ("a <= b < c", ("Comparison", A, (("<=", B), ("<", C)))),
        ("a in b", ("Comparison", A, (("in", B),))),
        ("a in -2..2", ("Comparison", A, (("in", ("Range", ("Unary", "-", num(2)), num(2))),))),
        ("0..1", ("Range", num(0), num(1))),
        ("1..a-1", ("Range", num(1), binary(A, "-", num(1)))),
        ("(a)", ("Parenthesised", A)),
        ("(a,)", ("Tuple", (A,))),
        ("(a, b)", ("Tuple", (A, B))),
        ("()", ("Tuple", ())),
        ("[]", ("List", ())),
        ("[a, b]", ("List", (A, B))),
        ("a.b", ("Attribute", A, "b")),
        ("a.target(b)", ("Call", ("Attribute", A, "target"), (("Argument", None, B),))),
        ("a()", ("Call", A, ())),
        ("a(b, edges = 5)", ("Call", A, (("Argument", None, B), ("Argument", "edges", num(5))))),
        ("a(rows = target)", ("Call", A, (("Argument", "rows", ref("target")),))),
        ("a(x = target, y = b)", ("Call", A, (("Argument", "x", ref("target")), ("Argument", "y", B)))),
        ("1e-4", ("Number", 1e-4, "1e-4")),
        ("2.50", ("Number", 2.5, "2.50")),
        ('"a"', ("String", ("a",))),
        ('""', ("String", ("",))),
        (r'"\"\\ {{}}"', ("String", ('"\\ {}',))),
        ('"l{a}_{b+1}.csv"', ("String", ("l", A, "_", binary(B, "+", num(1)), ".csv"))),
        ("h{a-1}", ("Reference", ("Name", ("h", binary(A, "-", num(1)))))),
        ("go{a}_{b}", ("Reference", ("Name", ("go", A, "_", B)))),
    ],
)
def test_expressions(expression, text, expected):
    assert expression(text) == expected


def arrow(source, target):
    return ("Arrow", source, target)


@pytest.mark.parametrize(
    ("text", "edges", "clauses", "policies"),
    [
        ("{ 0 -> 3, 5 -> 2 }", (arrow(num(0), num(3)), arrow(num(5), num(2))), (), ()),
        ("{ a -> b : a < b }", (arrow(A, B),), (("Comparison", A, (("<", B),)),), ()),
        ("{ a -> b : a -> b in c }", (arrow(A, B),), (("Membership", arrow(A, B), C),), ()),
        (
            "{ a -> b ; outside = skip, seed = 3 }",
            (arrow(A, B),),
            (),
            (("Attribution", "outside", "=", ref("skip")), ("Attribution", "seed", "=", num(3))),
        ),
    ],
)
def test_builders(expression, text, edges, clauses, policies):
    assert expression(text) == ("Builder", edges, clauses, policies)


def test_statements(tree):
    text = """model m
    param width = 500  # why
    axis gene = names("g.txt")
    input words[32]: class[20000]
    target t
    layer h[width, 2] : tanh, dropout(0.2)
    edges e : [6] -> gene = all
    connect words -> h as c : all with weight ~ normal(0, 1), share = w(i)
    output h, g
    loss mse(h, t)
    for k in [1, 2] { for e in 1..k-1 { layer x{k}[e] } }"""
    spec = tree(text)
    kinds = [type(statement).__name__.removesuffix("Statement") for statement in spec.statements]
    assert kinds == [
        "Model",
        "Param",
        "Axis",
        "Data",
        "Data",
        "Layer",
        "Edges",
        "Connect",
        "Output",
        "Loss",
        "For",
    ]
    assert [comment.text for comment in spec.comments] == ["# why"]
    data, layer, edges, connect = (spec.statements[i] for i in (3, 5, 6, 7))
    assert (data.keyword, data.classes.value, len(data.shape.dimensions)) == ("input", 20000, 1)
    assert [type(operation) for operation in layer.operations] == [syntax.Reference, syntax.Call]
    assert isinstance(edges.source, syntax.Shape)
    assert connect.name.parts == ("c",)
    assert [(a.name, a.operator) for a in connect.attributes] == [("weight", "~"), ("share", "=")]
    assert spec.statements[-1].body[0].body[0].name.parts[0] == "x"


def test_spans_are_the_text_of_their_nodes(tree):
    text = (
        "model m\nconnect a -> b as n : { i -> 2*i + k : k in 0..1 } with share = (a, b)\nfor k in 1..2 {\n}"
    )
    spec = tree(text)

    def piece(node):
        return text[node.span.start : node.span.end]

    _, connect, loop = spec.statements
    assert piece(connect) == text.split("\n")[1]
    assert piece(connect.set) == "{ i -> 2*i + k : k in 0..1 }"
    assert piece(connect.set.edges[0].target) == "2*i + k"
    assert piece(connect.attributes[0]) == "share = (a, b)"
    assert piece(loop) == "for k in 1..2 {\n}"
    assert text[loop.header.start : loop.header.end] == "for k in 1..2 {"


@pytest.mark.parametrize(
    ("text", "code", "marked", "message"),
    [
        ("connect a -> b all", "E101", "all", "expected `:` and a set of edges after `b`"),
        ("connect a b : all", "E101", "b", "expected `->` and the layer that the edges lead to after `a`"),
        ("connect a -> b : ", "E101", "", "expected a set of edges after `:`"),
        ("connect a -> b : { i -> j : i ==> j }", "E101", ">", "expected a value after `==`"),
        ("connect a -> b : { i - j }", "E101", "}", "expected `->` after `j`"),
        ("connect a -> b : f(a b)", "E101", "b", "expected `)` or `,` after `a`"),
        ("param x 3", "E101", "3", "expected `=` and a value after `x`"),
        ("layer h[4] : tanh relu", "E101", "relu", "expected `,`, `=` or the next statement after `tanh`"),
        ("layer h[4 : tanh", "E101", ":", "expected `,` or `]` after `4`"),
        ("loss", "E101", "", "expected a loss after `loss`"),
        ("for k 1..3 {\n}", "E101", "1", "expected `in` and a range after `k`"),
        ("for k in 1..3\nlayer h\n}", "E101", "", "expected `{` and the statements to repeat after `3`"),
        ('axis a = names("x{1 2}")', "E101", "2", "expected `}` after `1`"),
        ("conect a -> b : all", "E102", "conect", "`conect` does not begin a statement"),
        ("layer a[3]\nwidth = 3", "E102", "width", "`width` does not begin a statement"),
        ("layer output[3]", "E103", "output", "`output` is a keyword and cannot be a name"),
        ("connect a -> output : all", "E103", "output", "`output` is a keyword and cannot be a name"),
        ("param input = 3", "E103", "input", "`input` is a keyword and cannot be a name"),
        ("layer a : b, loss", "E103", "loss", "`loss` is a keyword and cannot be a name"),
        ("layer h[3", "E104", "[", "`[` is never closed"),
        ("for k in 1..3 {", "E104", "{", "`{` is never closed"),
        ("connect a -> b : window(3]", "E105", "]", "`]` closes nothing"),
        ("}", "E105", "}", "`}` closes nothing"),
        ("layer h)", "E105", ")", "`)` closes nothing"),
        ("layer ö", "E106", "ö", "`ö` has no meaning in a spec"),
        ("layer \0", "E106", "\0", "the character U+0000 has no meaning in a spec"),
        ('axis a = names("x', "E107", '"x', "this string has no closing quote"),
        (r'axis a = names("x\n")', "E108", r"\n", r"`\n` stands for nothing in a string"),
        ('axis a = names("x}")', "E109", "}", "a lone `}` in a string"),
        ('axis a = names("x{")', "E109", "{", "a lone `{` in a string"),
        ("param x = 1_000", "E110", "1_000", "`1_000` is neither a number nor a name"),
        ("param x = 1e999", "E110", "1e999", "`1e999` is too large for a 64-bit float"),
        ("edges e : a -> b = c | d - e", "E111", "c | d - e", "`|` and `-` are mixed without parentheses"),
        ("edges e : a -> b = c - d | e", "E111", "c - d | e", "`|` and `-` are mixed without parentheses"),
        ("model again", "E114", "model", "a spec has one `model` statement"),
        ("edges e : a -> b = { i -> j : i = j }", "E115", "=", "`=` where a comparison is meant"),
    ],
)
def test_mistakes(mistakes, text, code, marked, message):
    text = f"model m\n{text}"
    (found,) = mistakes(text)
    assert (found.code.code, found.message) == (code, message)
    assert text[found.span.start : found.span.end] == marked


@pytest.mark.parametrize(
    ("text", "help"),
    [
        ("conect a -> b : all", "did you mean `connect`?"),
        ("layer h{k - 1}[3]", "a template has no blanks inside: `h{k-1}`"),
        ("loss .5 * a", "a number has a digit before its point, as in `0.5`"),
        ("loss 1. * a", "write `1.0`"),
        (
            "layer a[3];",
            "statements need no `;`; in a set builder, policies follow one `;` and are parted by commas",
        ),
        ("edges e : a -> b = { 0 -> 1, }", "leave out the comma before the closing bracket"),
        ("edges e : a -> b = { i -> j : i && j }", "conditions are joined by `and` and `or`"),
        ("edges e : a -> b = { i -> j : !i }", "a condition is negated by `not`"),
        ("edges e : a -> b = load('x')", "strings are in double quotes"),
        ("loss f(a b)", "is there a `,` missing?"),
    ],
)
def test_help(mistakes, text, help):
    (found,) = mistakes(f"model m\n{text}")
    assert found.help == (help,)


def test_an_unclosed_bracket_hides_no_statement(mistakes):
    lines = [
        "layer a[3",
        "connect a -> b : f(2, 2",
        "layer c[",
        "for k in 1..2 {",
        "layer d[3",
        "}",
        "loss f(",
        "loss 2 * g(",
    ]
    text = "\n".join(["model m", *lines])
    assert [found.code.code for found in mistakes(text)] == ["E104"] * 6


def test_every_statement_with_a_mistake_is_reported_once(mistakes):
    text = "model m\nlayer [[ a b c\nlayer b[3]\nconnect x y z\nloss + + *"
    assert [found.span.start for found in mistakes(text)] == [
        text.index("[["),
        text.index("y z"),
        text.index("*"),
    ]


def test_argument_names_at_the_beginning_of_a_line_begin_no_statement(tree):
    text = """model m
    edges e : a -> b = load("f.csv",
        source = "gene",
        target = "pathway", rows =
        target)
    layer h[3]"""
    assert len(tree(text).statements) == 3


def test_statements_begin_behind_over_time(tree):
    text = "model m\ntarget y[3] over time\nsteps 2 * 3\noutput h over time\nlayer h[3]"
    assert len(tree(text).statements) == 5


def test_statements_need_no_line_breaks(tree):
    assert (
        len(tree("model m layer a[3] : tanh layer b[2] connect a -> b : all output b loss l2(b)").statements)
        == 6
    )


@pytest.mark.parametrize("text", ["", "# only a comment", "input x[3]", "layer a[3]\nmodel m"])
def test_model_stands_first(mistakes, text):
    (found,) = mistakes(text)
    assert found.code.code == "E113"


def test_a_misplaced_model_is_shown(mistakes):
    (found,) = mistakes("layer a[3]\nmodel m")
    assert [other.text for other in found.others] == ["move it to the top"]


def test_a_bracket_is_shown_with_its_partner(mistakes):
    text = "model m\nconnect a -> b : window(3]"
    (found,) = mistakes(text)
    (other,) = found.others
    assert (found.label, other.text, text[other.span.start]) == ("expected `)`", "opened here", "(")


@pytest.mark.parametrize(
    ("word", "expected"),
    [("conect", "connect"), ("Layer", "layer"), ("qqqq", None), ("layer", None), ("l" * 100000, None)],
)
def test_suggest(word, expected):
    assert suggest(word, ["connect", "layer", "loss"] if word != "layer" else ["layer"]) == expected
