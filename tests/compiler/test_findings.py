"""What is found in small specs: which codes, where that depends on a detail, and with what in the text."""

from __future__ import annotations

from pathlib import Path

import pytest

from nnspec.compiler.names import names
from nnspec.compiler.resolve.resolve import resolve
from nnspec.dsl.diagnostics import Report, SpecError
from nnspec.dsl.findings import Diagnostic
from nnspec.dsl.parser import parse
from nnspec.dsl.source import Source


def found(text: str) -> tuple[Diagnostic, ...]:
    report = Report(Source("test.nnspec", f"model m\ninput x[3]\n{text}"))
    try:
        spec = parse(report.source, report)
        report.check()
        resolve(spec, report, Path("/nowhere"), {})
    except SpecError:
        pass
    return report.diagnostics


TIES = """layer y[3] : bias(share = b, start = 1)
layer z[3] : bias(share = b{})
connect x -> y : all
connect x -> z : all
"""
# The statements behind an input `x` of three units, what is found, and something that is said of it.
CASES: list[tuple[str, str, list[str], str]] = [
    (
        "the innermost variable is the one that a name should hold",
        "for i in 0..1 {\nfor j in 0..1 {\nlayer h{i}[3]\n}\n}\n"
        "connect x -> h0 : all\nconnect x -> h1 : all\n",
        ["E203"],
        "`h0{j}`",
    ),
    (
        "what is declared as two kinds is no error again where it is used",
        "param y = 2\nlayer y[3]\nlayer h[3]\nconnect x -> h : all\nconnect h -> y : all\n",
        ["E203"],
        "",
    ),
    ("a bias that is shared starts as it is said first", TIES.format(""), [], ""),
    ("or as it is said again", TIES.format(", start = 1"), [], ""),
    ("and not as it is said otherwise", TIES.format(", start = 2"), ["E434"], "their starts"),
    (
        "ends of edges that cannot be listed",
        "edges far : [1000000] -> [1000000] = all\nlayer y[3]\n"
        "connect x -> y : { far.source(e) -> far.target(e) : e in 0..1 }\n",
        ["E314"],
        "1,000,000,000,000 edges",
    ),
    (
        "a weight that no edge has",
        "layer y[3]\n"
        "connect x -> y : { i -> j : i > 7 } with share = w(i), weight ~ normal(0, 1 / (1 + fan_in))\n",
        ["W302", "W301", "W331"],
        "",
    ),
    (
        "a slope leaves what is above 0 as it is",
        "layer a[3] : exp, prelu\nlayer b[3] = log(a)\nconnect x -> a : all\n",
        [],
        "",
    ),
    (
        "and may turn what is below 0",
        "layer a[3] : log_sigmoid, prelu\nlayer b[3] = log(a)\nconnect x -> a : all\n",
        ["W401"],
        "not above 0",
    ),
    (
        "a unit that nothing feeds is 0",
        "layer a[3] : exp\nlayer c[2]\nlayer d[2] = 1 / c\nconnect x -> a : all\n"
        "connect a -> c : { 0 -> 0 } with weight = none\n",
        ["W302", "W301", "W401"],
        "",
    ),
    (
        "a sum of several has no bound above, however small they are",
        "layer a[3] : sigmoid\nlayer s[1]\nlayer l[1] = log(2 - s)\nconnect x -> a : all\n"
        "connect a -> s : all with weight = none\n",
        ["W401"],
        "not above 0",
    ),
    (
        "a sum of one has its bounds",
        "layer a[3] : sigmoid\nlayer s[3]\nlayer l[3] = log(2 - s)\nconnect x -> a : all\n"
        "connect a -> s : one_to_one with weight = none\n",
        [],
        "",
    ),
    (
        "an argument of a function that nothing reads",
        "function f(v, a) = v + 1\nlayer y[3] : f(a = 2)\nconnect x -> y : all\n",
        ["W304"],
        "the argument of `f` called `a`",
    ),
    (
        "numbers have 63 bits and a sign",
        "param most = 9223372036854775807\n"
        "layer y[most - 9223372036854775804]\nconnect x -> y : one_to_one\n",
        [],
        "",
    ),
    ("and no more", "layer y[9223372036854775807 + 1]\n", ["E215"], ""),
    (
        "of units that nothing feeds five are named",
        "layer y[9]\nconnect x -> y : { i -> i }\n",
        ["W301"],
        ": 3, 4, 5, 6, 7, ... (6 of 9)",
    ),
    (
        "a root of what is below 0, even where the condition holds nowhere",
        "layer y[9]\nconnect x -> y : { i -> j : sqrt(i - 0.5) > 100 }\n",
        ["E216"],
        "",
    ),
    (
        "a name that is missing is said to be one",
        "layer y[3]\noutput\nconnect x -> y : all\n",
        ["E101"],
        "a name after",
    ),
    ("two words behind an input, which are not `over time`", "input u[3] per time\n", ["E101"], "`per`"),
]


@pytest.mark.parametrize(("text", "codes", "says"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_what_is_found(text: str, codes: list[str], says: str) -> None:
    diagnostics = found(text)
    assert [diagnostic.code.code for diagnostic in diagnostics] == codes
    assert says in " ".join(f"{each.message} {each.label} {each.help}" for each in diagnostics)


def test_as_many_statements_as_there_may_be_are_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = "for k in 1..2 {\nlayer h{k}[3]\nconnect x -> h{k} : all\n}\n"  # eight with the others
    monkeypatch.setattr(names, "STATEMENT_LIMIT", 8)
    assert found(loop) == ()
    monkeypatch.setattr(names, "STATEMENT_LIMIT", 7)
    assert [diagnostic.code.code for diagnostic in found(loop)] == ["E211"]
