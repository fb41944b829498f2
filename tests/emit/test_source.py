"""The tree of source: quoted code is printed as ruff lays it out, and names of ours give way to a spec's."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import textwrap
import tokenize
from pathlib import Path

import pytest

from nnspec.backends.source import (
    Expression,
    Name,
    Needs,
    Pair,
    Return,
    Scope,
    Vocabulary,
    needs_of,
    node,
    printed,
    scaled,
    sum_of,
    summed,
    times,
)
from nnspec.backends.source.quote import Unquotable

from ..trees import statements

ROOT = Path(__file__).parents[2]
# What ruff has laid out at the width of generated code: our own sources, and what is copied from them.
LAID_OUT = sorted([*ROOT.glob("backends/**/*.py"), *ROOT.glob("compiler/**/*.py"), *ROOT.glob("dsl/*.py")])


class _Everything(Scope):
    """A scope that knows every name."""

    def name(self, identifier: str) -> Name:
        return Name(identifier)


def _statements(path: Path) -> list[tuple[int, str, ast.stmt]]:
    """Statements with neither comments nor strings over several lines: where they begin, text and tree."""
    text = path.read_text()
    lines = text.splitlines()
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    unquotable = {t.start[0] for t in tokens if t.type == tokenize.COMMENT}
    found: list[tuple[int, str, ast.stmt]] = []
    for tree, _ in statements(ast.parse(text)):
        if not isinstance(tree, ast.Assign | ast.AugAssign | ast.Expr | ast.Return | ast.Assert):
            continue
        numbers = range(tree.lineno, (tree.end_lineno or 0) + 1)
        own = "\n".join(lines[number - 1][tree.col_offset * (number == tree.lineno) :] for number in numbers)
        if not unquotable.intersection(numbers) and '"""' not in own and ";" not in own:
            found.append((tree.col_offset, own, tree))
    return found


def _printed(indent: int, text: str) -> str | None:
    scope = _Everything(Vocabulary({}, frozenset()), frozenset())
    try:
        return printed(scope.statements(text), indent)
    except Unquotable:
        return None


def test_what_is_quoted_is_printed_as_ruff_lays_it_out() -> None:
    """Our own sources, thousands of statements and hundreds over several lines: meaning and layout stay.

    Few are printed otherwise: raw strings, brackets that nobody needs, commas that hold lists open.
    """
    same, others = 0, list[str]()
    for path in LAID_OUT:
        for indent, text, tree in _statements(path):
            result = _printed(indent, text)
            if result is None:
                continue
            if result == text:
                same += 1
                continue
            assert ast.dump(ast.parse(result)) == ast.dump(ast.parse(textwrap.dedent(" " * indent + text)))
            others.append(f"{path.name}:{tree.lineno}")
    assert same > 7_000
    assert len(others) < same / 100, others


B = "b" * 50
LONG = [
    f"x = {'f' * 27}({B}, {'c' * 31}) + g(a, b)",
    f"x = {'b' * 92} + {'g' * 11}(a, b)",
    f"x = {'b' * 78} + c * d * {'g' * 19}(a, b)",
    f"x = {B} + c * d * {'g' * 19}({'a' * 26}, b)",
    f"x = f({B}, b) * c + c * d * {'g' * 19}({'a' * 26}, b)",
    f"x['a'] = x['a'] + f({B}, {'c' * 30}) * {'g' * 19}({'a' * 6}['b'])",
    f"x = Loop({B}, {'c' * 30})({'d' * 30})",
    f"x = Loop({B}, {'c' * 30})([{B}, {'c' * 30}, {'d' * 30}])",
    f"x = Loop({B}, {'c' * 30})({B}, {'c' * 30}, {'d' * 30})",
    f"x = Loop({B}, name={'c' * 45})({B})",
]


@pytest.mark.parametrize("text", LONG)
@pytest.mark.parametrize("indent", [0, 4])
def test_calls_that_do_not_fit_are_broken_as_ruff_breaks_them(text: str, indent: int) -> None:
    """Behind the one operator of a sum, among several in it, and what is called at once."""
    before = "if x:\n    " * (indent > 0)
    command = [sys.executable, "-m", "ruff", "format", "--line-length", "110", "-"]
    laid_out = subprocess.run(command, input=before + text, capture_output=True, text=True, check=True).stdout
    assert before + (_printed(indent, text) or "") + "\n" == laid_out
    assert "\n" in laid_out.strip()


class TestNames:
    """Names of ours give way to the names of a spec."""

    vocabulary = Vocabulary(
        imports={"np": "import numpy as np"},
        kernels=frozenset(["flat"]),
        defined=frozenset(["forward"]),
        local=frozenset(["p"]),
    )

    def test_each_name_brings_what_it_needs(self) -> None:
        scope = Scope(self.vocabulary, frozenset(["h"]))
        lines = scope.statements("h = flat(np.exp(p)) + len(forward)", h=scope.user("h"))
        assert printed(lines) == "h = flat(np.exp(p)) + len(forward)"
        assert needs_of(lines) == Needs(frozenset(["flat"]), frozenset(["import numpy as np"]))
        assert not scope.aliases()

    def test_a_name_of_the_spec_stays_and_ours_gets_an_underscore(self) -> None:
        scope = Scope(self.vocabulary, frozenset(["np", "flat", "p", "p_", "forward"]))
        lines = scope.statements("h = flat(np.exp(p)) + forward", h=scope.user("np"))
        assert printed(lines) == "np = flat_(np_.exp(p__)) + forward_"
        assert needs_of(lines) == Needs(frozenset(["flat"]), frozenset(["import numpy as np"]))
        assert printed(scope.aliases(lines)) == "flat_ = flat\nforward_ = forward\nnp_ = np"

    def test_what_is_in_no_vocabulary_is_an_error(self) -> None:
        with pytest.raises(KeyError, match="torch"):
            Scope(self.vocabulary, frozenset()).expression("torch.exp(1)")

    def test_new_names_are_free(self) -> None:
        scope = Scope(self.vocabulary, frozenset(["d_h"]))
        assert [scope.new("d_h").text, scope.new("d_h").text, scope.new("flat").text] == [
            "d_h_",
            "d_h__",
            "flat_",
        ]
        assert [scope.new("lambda").text, scope.new("sum").text] == ["lambda_", "sum_"]


def test_holes_take_sequences_and_mappings() -> None:
    scope = _Everything(Vocabulary({}, frozenset()), frozenset())
    text = scope.expression(
        "f(*given, **options)[{'a': 1, **more}]",
        given=(1, "two", (3,)),
        options={"wrap": True},
        more=[Pair(node("b"), node(None))],
    )
    assert printed(scope.statements("x", x=text)) == 'f(1, "two", (3,), wrap=True)[{"a": 1, "b": None}]'
    assert printed(scope.statements("if x:\n    body", body=scope.statements("y = 1"))) == "if x:\n    y = 1"


def test_a_comma_at_the_end_spreads_items_over_lines() -> None:
    scope = _Everything(Vocabulary({}, frozenset()), frozenset())
    lines = scope.statements("x = {**more,}", more=[Pair(node("b"), node(None))])
    assert printed(lines, 4) == 'x = {\n        "b": None,\n    }'
    assert printed(scope.statements("x = [*more,]", more=[])) == "x = []"


def test_powers_of_what_has_a_sign_have_blanks() -> None:
    """As ruff has it, which leaves them out where nothing needs parentheses."""
    scope = _Everything(Vocabulary({}, frozenset()), frozenset())
    texts = ["(-i) ** 2", "-(i**2)", "i**-2", "(i + 1) ** 2"]
    assert [printed(scope.statements(text)) for text in texts] == texts


def test_sums_subtract_and_are_cut_where_they_are_long() -> None:
    a, b = Name("a"), Name("b")
    assert printed(_returned(sum_of([a, scaled(-0.5, b), scaled(-1, a), scaled(1e-4, b)]))) == (
        "return a - 0.5 * b - a + 1e-4 * b"
    )
    assert len(summed(a, [b] * 250)) == 3


def test_the_first_factor_of_a_product_or_quotient_is_scaled() -> None:
    scope = _Everything(Vocabulary({}, frozenset()), frozenset())
    quotient = scope.expression("f(a) / len(a)")
    terms = [scaled(0.5, quotient), scaled(-1, quotient), scaled(-2, scope.expression("a + b"))]
    assert printed(_returned(sum_of(terms))) == "return 0.5 * f(a) / len(a) - f(a) / len(a) - 2 * (a + b)"


def test_an_ellipsis_is_quoted() -> None:
    scope = _Everything(Vocabulary({}, frozenset()), frozenset())
    assert printed(_returned(scope.expression("tuple[Tensor, ...]"))) == "return tuple[Tensor, ...]"


def _returned(value: Expression) -> list[Return]:
    return [Return(value)]


@pytest.mark.parametrize(
    "text", ["plain", 'say "so"', "it's", "both ' and \"", "\n\x00\u202e", "é", "back\\slash"]
)
def test_strings_mean_themselves(text: str) -> None:
    line = printed(_returned(node(text)))
    assert ast.literal_eval(line.removeprefix("return ")) == text
    assert line.isprintable()
    assert line.isascii()


def test_products_are_multiplied_from_the_left() -> None:
    """Their order is that of the text: no parentheses, and no other rounding."""
    d, quotient = Name("d"), _Everything(Vocabulary({}, frozenset()), frozenset()).expression("(y - t) / n")
    assert printed(_returned(times(d, quotient))) == "return d * (y - t) / n"
    assert printed(_returned(scaled(-2, quotient))) == "return -2 * (y - t) / n"
    assert printed(_returned(times(d, sum_of([d, d])))) == "return d * (d + d)"
