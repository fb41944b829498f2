"""The loss is the sum that the spec states, with its signs and factors: generated tests take it as given."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from nnspec.compiler.catalogue.losses import LOSSES
from nnspec.compiler.graph.model import Compute, ExpressionTerm, Model
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


@pytest.mark.parametrize(("written", "pool"), [("kl_divergence(y, z)", "sum"), ("huber(y, z)", "mean")])
def test_a_loss_of_units_is_their_mean_or_their_sum(written: str, pool: str) -> None:
    (term,) = model_of(written).losses
    assert isinstance(term, ExpressionTerm)
    assert term.pool == pool


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if loss.exact])
def test_twice_as_many_units_have_twice_the_sum_and_the_same_mean(name: str) -> None:
    y, t = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[0.0, 4.0], [1.0, 1.0]])
    once, twice = (
        eval(LOSSES[name].formula, {"np": np, "y": np.tile(y, (1, times)), "t": np.tile(t, (1, times))})
        for times in (1, 2)
    )
    assert twice == once * (1 if LOSSES[name].averages_units else 2)


def test_a_number_of_a_function_is_written_without_a_point_where_it_is_whole() -> None:
    source = Source("test.nnspec", NETWORK.replace("tanh", "leaky_relu(slope = 2.0), elu(alpha = 0.5)"))
    report = Report(source)
    model = resolve(parse(source, report), report, Path("/nowhere"), {})
    numbers = [
        operation.numbers for operation in model.layers[0].operations if isinstance(operation, Compute)
    ]
    assert repr(numbers) == "[(('slope', 2),), (('alpha', 0.5),)]"
