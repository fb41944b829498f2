"""The loss is the sum that the spec states, with its signs and factors: generated tests take it as given."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from nnspec.compiler.graph.model import Model
from nnspec.compiler.resolve.resolve import resolve
from nnspec.dsl.diagnostics import Report
from nnspec.dsl.parser import parse
from nnspec.dsl.source import Source

NETWORK = """model m
param half = 0.5
input x[3]
target z[3]
layer y[3] : tanh
connect x -> y : all
"""


def model_of(*losses: str) -> Model:
    source = Source("test.nnspec", NETWORK + "".join(f"loss {loss}\n" for loss in losses))
    report = Report(source)
    spec = parse(source, report)
    report.check()
    return resolve(spec, report, Path("/nowhere"), {})


def value(model: Model, of: dict[str, Fraction]) -> Fraction:
    """The loss, if each of its terms has this value."""
    terms = [(term.coefficient, term.loss.name) for term in model.losses]
    terms += [(term.coefficient, term.penalty.name) for term in model.penalties]
    return sum((Fraction(coefficient) * of[name] for coefficient, name in terms), Fraction(0))


@pytest.mark.parametrize(
    "written",
    [
        "mse(y, z)",
        "mse(y, z) + mae(y, z)",
        "mse(y, z) - mae(y, z)",
        "-mse(y, z) + mae(y, z)",
        "+mse(y, z)",
        "--mse(y, z)",
        "2 * mse(y, z) - 3 * (mae(y, z) - 0.5 * l1(y))",
        "-(mse(y, z) - mae(y, z))",
        "mse(y, z) / 4 + 3 * mae(y, z) / 2",
        "half * mse(y, z) * 2 - l2(y) / half",
        "(mse(y, z) + mae(y, z)) * half - (l1(y) + l2(y)) / 8",
        "mse(y, z) - 2 ** -3 * l2(y) - (1 + half) * l1(y)",
    ],
)
def test_terms_add_up_to_what_is_written(written: str) -> None:
    of = {"mse": Fraction(3), "mae": Fraction(50), "l1": Fraction(700), "l2": Fraction(11_000)}
    functions = {name: (lambda *_, number=number: number) for name, number in of.items()}
    names = {"y": None, "z": None, "half": Fraction(1, 2)}
    exact = written.replace("0.5", "half").replace("2 ** -3", "half ** 3")
    assert value(model_of(written), of) == eval(exact, functions | names)


def test_several_loss_statements_add_up() -> None:
    of = {"mse": Fraction(3), "mae": Fraction(50), "l2": Fraction(11_000)}
    assert value(model_of("mse(y, z)", "-2 * mae(y, z)", "half * l2(y)"), of) == 3 - 100 + 5_500
