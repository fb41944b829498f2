"""Every diagnostic there is: code, message, explanation.

E1xx syntax, E2xx names and values, E3xx shapes and edges, E4xx operations, weights and losses,
E5xx targets and generated names, E6xx files, E9xx what the language has but this version does not;
W.. warnings, numbered like the errors they sit beside.
"""

from __future__ import annotations

from .findings import Code

# -------------------------------------------------------------------------------------- E1xx: syntax

EXPECTED = Code(
    "E101",
    "expected {expected} after {previous}",
    """
A statement goes on in a way that the language does not have. The message says what could stand at the
place that is marked, and what comes before it.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y all
    output y

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : all
    output y
""",
)

UNKNOWN_STATEMENT = Code(
    "E102",
    "{found} does not begin a statement",
    """
Every statement begins with its keyword: `model`, `param`, `axis`, `input`, `target`, `layer`, `edges`,
`connect`, `output`, `loss` or `for`.

Wrong:
    model m
    input x[3]
    layer y[3]
    conect x -> y : all
    output y

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : all
    output y
""",
)

KEYWORD_AS_NAME = Code(
    "E103",
    "`{word}` is a keyword and cannot be a name",
    """
The words that the language itself uses cannot name things. They may name arguments and fields, as in
`random(edges = 5)` or `graph.source(e)`.

Wrong:
    model m
    input x[3]
    layer output[3]
    connect x -> output : all

Right:
    model m
    input x[3]
    layer out[3]
    connect x -> out : all
    output out
""",
)

UNCLOSED = Code(
    "E104",
    "`{bracket}` is never closed",
    """
A bracket was opened, and its statement, or the file, ends before the bracket is closed.

Wrong:
    model m
    input x[4]
    layer y[4]
    connect x -> y : random(fan_in = 2
    output y

Right:
    model m
    input x[4]
    layer y[4]
    connect x -> y : random(fan_in = 2)
    output y
""",
)

UNOPENED = Code(
    "E105",
    "`{bracket}` closes nothing",
    """
There is a closing bracket that no opening one of its kind belongs to, often one too many, or one of
another kind than the bracket that it should close.

Wrong:
    model m
    input x[4]
    layer y[4]
    connect x -> y : random(fan_in = 2]
    output y

Right:
    model m
    input x[4]
    layer y[4]
    connect x -> y : random(fan_in = 2)
    output y
""",
)

ILLEGAL_CHARACTER = Code(
    "E106",
    "{character} has no meaning in a spec",
    """
Outside strings and comments a spec is written with ASCII letters, digits, blanks and the signs of the
language. Strings are in double quotes and hold no control characters.

Wrong:
    model m
    input x[3]
    layer größe[3]
    connect x -> größe : all

Right:
    model m
    input x[3]
    layer size[3]
    connect x -> size : all
    output size
""",
)

UNTERMINATED_STRING = Code(
    "E107",
    "this string has no closing quote",
    """
A string is written in double quotes and ends on its line.

Wrong:
    model m
    axis gene = names("genes.txt)
    input x[gene]
    layer y[2]
    connect x -> y : all

Right:
    model m
    input x[2]
    layer y[2]
    connect x -> y : all
    output y
""",
)

BAD_ESCAPE = Code(
    "E108",
    "`{text}` stands for nothing in a string",
    r"""
In a string, `\"` is a quote and `\\` a backslash. There are no other escapes. Paths may be written with
`/` on every system.

Wrong:
    model m
    axis gene = names("data\genes.txt")
    input x[gene]
    layer y[2]
    connect x -> y : all

Right:
    model m
    input x[2]
    layer y[2]
    connect x -> y : all
    output y
""",
)

LONE_BRACE = Code(
    "E109",
    "a lone `{brace}` in a string",
    """
Braces in a string hold an expression of the variables of a `for`, as in `"level{d}.csv"`. To have a brace
itself, double it: `{{` and `}}`.

Wrong:
    model m
    axis gene = names("genes}.txt")
    input x[gene]
    layer y[2]
    connect x -> y : all

Right:
    model m
    input x[2]
    layer y[2]
    connect x -> y : all
    output y
""",
)

BAD_NUMBER = Code(
    "E110",
    "{number} is {reason}",
    """
Numbers are whole (`784`) or decimal (`0.5`, `1e-4`), without separators, prefixes or units. A whole number
has at most 400 digits, and a decimal one fits a 64-bit float.

Wrong:
    model m
    input x[1_000]
    layer y[3]
    connect x -> y : all

Right:
    model m
    input x[1000]
    layer y[3]
    connect x -> y : all
    output y
""",
)

MIXED_SETS = Code(
    "E111",
    "`|` and `-` are mixed without parentheses",
    """
`-` binds tighter than `|`, as in Python, but readers take `A | B - C` for `(A | B) - C` as often as for
`A | (B - C)`. So the parentheses have to be written.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : all | one_to_one - { 0 -> 0 }
    output y

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : (all | one_to_one) - { 0 -> 0 }
    output y
""",
)

TOO_DEEP = Code(
    "E112",
    "nested more than {limit} levels deep",
    f"""
Brackets, chains of operators and `for` loops may nest up to 200 levels together, loops alone up to 50. Lists
and sets may be as long as they like. A longer sum of losses is several `loss` statements, which add up.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : all
    loss {"-" * 201}mse(y, x)

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : all
    loss mse(y, x)
""",
)

NO_MODEL = Code(
    "E113",
    "a spec begins with `model NAME`",
    """
The first statement of a file names the model. Comments may stand before it.

Wrong:
    input x[3]
    layer y[3]
    connect x -> y : all
    output y

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : all
    output y
""",
)

SECOND_MODEL = Code(
    "E114",
    "a spec has one `model` statement",
    """
A file describes one model, and `model` is its first statement.

Wrong:
    model m
    input x[3]
    model n
    layer y[3]
    connect x -> y : all

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : all
    output y
""",
)

EQUAL_IN_CONDITION = Code(
    "E115",
    "`=` where a comparison is meant",
    """
`=` gives a value to an argument, a param or an attribute. A condition compares with `==`.

Wrong:
    model m
    input x[3]
    layer y[3]
    connect x -> y : { i -> j : i + j = 2 }
    output y

Right:
    model m
    input x[3]
    layer y[3]
    connect x -> y : { i -> j : i + j == 2 }
    output y
""",
)
