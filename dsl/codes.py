"""Every diagnostic of the syntax: code and message. Each has an explanation, `explanations/E104.md` say.

The numbers of all diagnostics:

E1xx syntax, E2xx names and values, E3xx shapes and edges, E4xx operations, weights and losses,
E6xx files, E9xx what the language has but this version does not;
W.. warnings, numbered like the errors they sit beside.
"""

from __future__ import annotations

from .findings import Code

# -------------------------------------------------------------------------------------- E1xx: syntax

EXPECTED = Code("E101", "expected {expected} after {previous}")

UNKNOWN_STATEMENT = Code("E102", "{found} does not begin a statement")

KEYWORD_AS_NAME = Code("E103", "`{word}` is a keyword and cannot be a name")

UNCLOSED = Code("E104", "`{bracket}` is never closed")

UNOPENED = Code("E105", "`{bracket}` closes nothing")

ILLEGAL_CHARACTER = Code("E106", "{character} has no meaning in a spec")

UNTERMINATED_STRING = Code("E107", "this string has no closing quote")

BAD_ESCAPE = Code("E108", "`{text}` stands for nothing in a string")

LONE_BRACE = Code("E109", "a lone `{brace}` in a string")

BAD_NUMBER = Code("E110", "{number} is {reason}")

MIXED_SETS = Code("E111", "`|` and `-` are mixed without parentheses")

TOO_DEEP = Code("E112", "nested more than {limit} levels deep")

NO_MODEL = Code("E113", "a spec begins with `model NAME`")

SECOND_MODEL = Code("E114", "a spec has one `model` statement")

EQUAL_IN_CONDITION = Code("E115", "`=` where a comparison is meant")
