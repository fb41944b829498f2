"""Right code that is hard to compute: the generated tests find nothing, and say where they can see little."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import pytest

from nnspec.backends.emit import write
from nnspec.backends.tests.kernels.points import grown
from nnspec.compiler import compile_spec
from nnspec.compiler.catalogue.activations import ACTIVATIONS
from nnspec.compiler.catalogue.losses import LOSSES
from nnspec.compiler.catalogue.reductions import REDUCTIONS
from nnspec.compiler.functions import catalogue

from .generated import run_all
from .test_drawn_specs import module_of


def run(text: str, folder: Path, targets: tuple[str, ...] = ("torch", "numpy")) -> None:
    path = folder / "hard.nnspec"
    path.write_text(text)
    write(compile_spec(path, targets).files, folder / "out")
    run_all(module_of(folder / "out" / "test_hard.py"))


def test_errors_that_do_not_shrink_with_the_rounding_say_nothing() -> None:
    coarse, finer = [[3.0, 1.0, 0.0, math.nan], [-2.0, 0.5, 0.0, 1.0]], [[0.04, 0.3, 0.0, 0.0]]
    errors = grown(np.zeros(4), [*map(np.array, coarse)], [*map(np.array, finer)])
    assert errors.tolist() == [3.0, math.inf, 0.0, math.inf]


def test_derivatives_are_not_taken_along_the_parameters_themselves(tmp_path: Path) -> None:
    """Behind a norm nothing changes there, neither the loss nor what is wrong."""
    path = tmp_path / "net.nnspec"
    path.write_text("model net\ninput x[9]\nlayer y[7] : batch_norm\noutput y\nconnect x -> y : all\n")
    write(compile_spec(path, ["numpy"]).files, tmp_path)
    tests = module_of(tmp_path / "test_net.py")
    for seed in range(4):
        data = tests.draw_data(tests.EXPECTED, seed + 10, 6)
        weight = tests.some_parameters(tests.EXPECTED, seed)["x_y.weight"].ravel()
        direction = tests.direction_through(tests.EXPECTED, data, 0)["x_y.weight"].ravel()
        cosine = weight @ direction / np.linalg.norm(weight) / np.linalg.norm(direction)
        assert abs(cosine) < 0.5


def chain(activation: str, length: int) -> str:
    layers = "".join(
        f"layer h{at}[4] : {activation}\nconnect h{at - 1} -> h{at} : all\n" for at in range(1, length)
    )
    return f"model hard\ninput h0[4]\ntarget t[4]\n{layers}loss mse(h{length - 1}, t)\n"


# The rest of the catalogue is a long haul.
CHOSEN = ("softmax",)
EVERY = [
    name if name in CHOSEN else pytest.param(name, marks=pytest.mark.slow)
    for name in (*ACTIVATIONS, *catalogue.names())
    if name not in ("cosh", "exp", "expm1", "sinh")  # of which chains overflow
]


@pytest.mark.parametrize("activation", EVERY)
def test_single_edges_before_a_norm_and_norms_of_few_units(activation: str, tmp_path: Path) -> None:
    """Their derivatives are differences of nearly equal numbers; weights of any size start them."""
    losses = [name for name, loss in LOSSES.items() if not loss.codes]
    loss = losses[sum(activation.encode()) % len(losses)]
    text = f"model hard\ninput x[8]\ntarget t[3]\nlayer one[8] : batch_norm, {activation}\n"
    text += "connect x -> one : random(fan_in = 1, seed = 2)\n"
    for units, weights in ((1, "100"), (2, "1e-6"), (3, "1e4")):
        text += f"layer norm{units}[{units}] : {activation}, layer_norm, {activation}\n"
        text += f"connect one -> norm{units} : all with weight ~ normal(0, {weights})\n"
        text += f"connect norm{units} -> y : all\n"
    run(f"{text}layer y[3]\nloss 1e5 * {loss}(y, t) + 1e-6 * l1(norm3)\n", tmp_path)


@pytest.mark.parametrize("activation", EVERY)
def test_long_chains(activation: str, tmp_path: Path) -> None:
    run(chain(activation, 12), tmp_path, ("numpy",))


@pytest.mark.parametrize("scale", ["1e3", "1e-7"])
@pytest.mark.parametrize("activation", EVERY)
def test_activations_where_they_are_flat(activation: str, scale: str, tmp_path: Path) -> None:
    run(chain(f"scale({scale}), {activation}", 4), tmp_path, ("numpy",))


def test_what_lies_exactly_at_a_kink(tmp_path: Path) -> None:
    """A unit that nothing enters, a norm of zeros at its start, and a penalty on weights of zero."""
    text = "model hard\ninput x[3]\ntarget t[4]\nlayer h[4] : bias(off), {0}\nlayer n[4] : layer_norm, {0}\n"
    text += "connect x -> h : {{ i -> i : i < 2 }} with weight = 0\nconnect h -> n : all\n"
    text += "connect x -> n : {{ 0 -> 0 }}\nloss mae(n, t) + mse(h, t) + l1(h)\n"
    for activation in ("relu", "leaky_relu(0.2)"):
        run(text.format(activation), tmp_path)


def test_a_warning_says_where_rounding_leaves_nothing(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="rounding to float64 leaves little of most derivatives of hard"):
        run(chain("scale(1e30), tanh", 4), tmp_path, ("numpy",))


def test_a_warning_says_what_overflows(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="not compared: hard overflows in float32"):
        run(chain("scale(1e30)", 3), tmp_path)


def test_there_is_no_warning_where_something_is_left(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(chain("batch_norm, tanh", 4), tmp_path)


@pytest.mark.parametrize(
    "reduction",
    [each if each == "product" else pytest.param(each, marks=pytest.mark.slow) for each in REDUCTIONS],
)
def test_pools_of_equals_of_zeros_and_of_numbers_of_any_size(reduction: str, tmp_path: Path) -> None:
    """Units that are 0 together, weights of 0, units that read one or no other, hubs, and pools of pools."""
    text = "model hard\ninput x[8]\ntarget t[3]\nlayer one[8] : relu\nlayer two[6]\nlayer y[3]\n"
    text += "connect x -> one : random(fan_in = 1, seed = 2) with weight = 0\n"
    text += f"connect x -> one as more : random(p = 0.3, seed = 4) with reduce = {reduction}, empty = -1\n"
    text += f"connect one -> two : all with reduce = {reduction}\n"
    text += f"connect x -> two as far : random(fan_in = 3, seed = 5) with reduce = {reduction}, weight = 0\n"
    text += (
        f"connect two -> y : random(fan_in = 4, seed = 6) with reduce = {reduction}, weight ~ normal(0, 9)\n"
    )
    run(f"{text}loss 1e5 * mse(y, t) + 1e-6 * l1(two_y)\n", tmp_path)
