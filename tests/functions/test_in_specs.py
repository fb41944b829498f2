"""Functions that a spec states, from its text to generated code whose tests find what is wrong with it."""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from nnspec.backends.emit import write
from nnspec.compiler import compile_spec

from ..drawn.generated import run_all
from ..drawn.test_drawn_specs import module_of

SPEC = """\
model stated
param width = 6
input x[5]
target t[3]
layer h[width] : swish(beta = 2), spike(sharpness = 2)
layer g[width] : elu(alpha = 0.5), both
layer y[3] : safe
connect x -> h : all
connect h -> g : all
connect x -> g : all
connect g -> y : all
loss mse(y, t)
function swish(x, beta = 1) = x * sigmoid(beta * x)
function spike(v, sharpness = 10) = where(v > 0, 1, 0) with derivative = 1 / (1 + sharpness * abs(v))**2
function both(np) = swish(np) + 0.1 * mish(stop(np)) * np
function safe(x) = where(x > 0, log1p(x), x / width) + max(x, -1)
"""
FAULTS = [
    ("numpy", r"sigmoid\(2 \* ", "sigmoid(1.0 * "),  # the parameter lost
    ("numpy", r"u \+ y \* \(1 - u\) \* beta", "u - y * (1 - u) * beta"),
    ("numpy", r"u \+ y \* \(1 - u\) \* beta", "u + y * (1 - u)"),
    ("numpy", r"1 \+ 2 \* np\.abs", "1 + 10 * np.abs"),
    ("numpy", r"g_sum > 0, 1,", "g_sum > 0, 0.5,"),
    ("numpy", r"> -1", "< -1"),  # a kink's other side
    ("torch", r"beta=2", "beta=1.0"),
    ("torch", r"sharpness=2", "sharpness=10"),
    ("torch", r"v\.abs\(\)\) \*\* 2", "v.abs()) ** 3"),
    ("torch", r"lambda v: \(v > 0\)", "lambda v: (v < 0)"),
    ("torch", r"alpha=0\.5", "alpha=1.0"),
    ("torch", r"\.detach\(\)(?= \*|\) \*)", ""),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stated")
    (folder / "stated.nnspec").write_text(SPEC)
    write(compile_spec(folder / "stated.nnspec", ("torch", "numpy")).files, folder / "out")
    return folder / "out"


def test_generated_tests_pass(made: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run_all(module_of(made / "test_stated.py"))


@pytest.mark.parametrize(("target", "pattern", "instead"), FAULTS)
def test_faults_are_noticed(made: Path, target: str, pattern: str, instead: str, tmp_path: Path) -> None:
    for path in filter(Path.is_file, made.iterdir()):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    module = tmp_path / f"stated_{target}.py"
    text, count = re.subn(pattern, instead, module.read_text())
    assert count, pattern
    module.write_text(text)
    tests = module_of(tmp_path / "test_stated.py")
    with pytest.raises(AssertionError):
        run_all(tests)


def compiled(text: str, folder: Path, *targets: str) -> str:
    """All that is written for a spec."""
    path = folder / "m.nnspec"
    path.write_text(text)
    return "".join(content.decode() for content in compile_spec(path, targets).files.values())


FRAME = "model m\ninput x[3]\n{}\nlayer y[3] : {}\nconnect x -> y : all\n"


@pytest.mark.parametrize(
    ("statement", "operation", "wanted"),
    [
        ("", "tanh", "d_y * (1 - v.y**2)"),
        ("", "sigmoid", "d_y * v.y * (1 - v.y)"),
        ("", "relu", "d_y * (v.y_sum > 0)"),
        ("", "exp", "d_y * v.y"),
        ("function square(x) = x**2", "square", "d_y * 2 * v.y_sum"),
        ("function third(x, by = 3) = x / by", "third", "d_y / 3"),
        ("function same(x) = x", "same", "d_y_sum = d_y"),
    ],
)
def test_derivatives_in_numpy_read_as_a_person_writes_them(
    statement: str, operation: str, wanted: str, tmp_path: Path
) -> None:
    text = compiled(FRAME.format(statement, operation), tmp_path, "numpy")
    assert wanted in text, re.findall(r".*d_y_sum = .*", text)


def test_a_function_of_the_spec_hides_that_of_the_catalogue(tmp_path: Path) -> None:
    assert "nn.SiLU" not in compiled(FRAME.format("function silu(x) = 2 * x", "silu"), tmp_path, "torch")
    assert "nn.SiLU" in compiled(FRAME.format("", "silu"), tmp_path, "torch")


DECLARED = """model declared
function twice(x) = 2 * x with derivative = 7 * x
function above(x, top = 1) = where(x > 0, min(x, top), 0) with derivative = 1 / (1 + abs(x))
function both(x) = twice(3 - x) + above(x)
input x[40]
layer a[40] = twice(-x)
layer b[40] = twice(3 * x)
layer c[40] = above(x - 0.5)
layer d[40] = both(x / 2 + 1)
output a, b, c, d
loss sum(a + b + c + d)
"""


def test_a_declared_derivative_is_that_of_whatever_a_function_is_given(tmp_path: Path) -> None:
    """Where `twice(-x)` were written as `-(2 * x)`, frameworks would derive that too."""
    torch = pytest.importorskip("torch")
    path = tmp_path / "declared.nnspec"
    path.write_text(DECLARED)
    write(compile_spec(path, ("torch", "numpy")).files, tmp_path)
    x = np.random.default_rng(0).normal(size=(3, 40))

    def above(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.clip(z, 0, 1), 1 / (1 + np.abs(z))

    z = x / 2 + 1
    wanted = {
        "a": (-2 * x, 7 * x),
        "b": (6 * x, 63 * x),
        "c": above(x - 0.5),
        "d": (2 * (3 - z) + above(z)[0], (-7 * (3 - z) + above(z)[1]) / 2),
    }
    given = torch.tensor(x, requires_grad=True)
    layers = module_of(tmp_path / "declared_torch.py").Declared().double().layers(given)
    for name, (value, slope) in wanted.items():
        np.testing.assert_allclose(layers[name].detach(), value, rtol=1e-12, atol=1e-12)
        (found,) = torch.autograd.grad(layers[name].sum(), given)
        np.testing.assert_allclose(found, slope, rtol=1e-12, atol=1e-12)
    _, g = module_of(tmp_path / "declared_numpy.py").gradients({}, x)
    np.testing.assert_allclose(len(x) * g["x"], sum(slope for _, slope in wanted.values()), rtol=1e-12)


def test_a_declared_derivative_goes_through_all_that_pytorch_does_with_derivatives() -> None:
    torch = pytest.importorskip("torch")
    from nnspec.backends.torch.kernels.choice import sloped

    def stepping(x):
        return sloped(x, lambda v: (v > 0).to(v.dtype), lambda v: 1 / (1 + v.abs()) ** 2)

    x = torch.tensor([-2.0, -0.5, 0.25, 3.0, math.inf], dtype=torch.float64, requires_grad=True)
    wanted = 1 / (1 + x.detach().abs()) ** 2
    y = stepping(x)
    np.testing.assert_array_equal(y.detach(), [0, 0, 1, 1, 1])
    (first,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    np.testing.assert_allclose(first.detach()[:4], wanted[:4])
    (second,) = torch.autograd.grad(first[:4].sum(), x)
    np.testing.assert_allclose(second[:4], (-2 * x.sign() / (1 + x.abs()) ** 3).detach()[:4])
    finite = x.detach()[:4]
    _, forward = torch.func.jvp(stepping, (finite,), (torch.ones_like(finite),))
    np.testing.assert_allclose(forward, wanted[:4])
    mapped = torch.func.vmap(torch.func.grad(stepping))(finite)
    np.testing.assert_allclose(mapped, wanted[:4])
