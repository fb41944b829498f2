"""Networks of thousands of terms, layers and connections: Python must be able to read what is written."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from nnspec.compiler.pipeline import compile_spec

# Python 3.11 to 3.13 stop at some 3,000 terms in one sum.
TERMS = 3500

MANY = (
    "model many\ninput x[4]\ntarget t[4]\nlayer y[4]\nconnect x -> y : all\n"
    + "".join(f"connect x -> y as c{k} : one_to_one with weight = none\n" for k in range(TERMS))
    + "loss mse(y, t)\n" * TERMS
    + "loss 0.01 * l2(x_y)\n" * TERMS
)


# They share what is compiled, so one worker runs them.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("keras")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All files of the network above; compiled once, which takes a quarter of a minute."""
    return written(MANY, tmp_path_factory.mktemp("many"))


def written(text: str, folder: Path) -> Path:
    (folder / "many.nnspec").write_text(text)
    for name, content in compile_spec(folder / "many.nnspec").files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def imported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a module of the network by its target."""

    def load(target: str) -> ModuleType:
        monkeypatch.syspath_prepend(str(folder))
        sys.modules.pop(f"many_{target}", None)
        return importlib.import_module(f"many_{target}")

    return load


X = np.array([[1.0, -2.0, 0.5, 3.0], [0.25, 1.0, -1.0, 2.0]], np.float32)
T = np.array([[0.0, 1.0, 2.0, -1.0], [3.0, 0.5, 0.0, 1.0]], np.float32)


def expected(arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, float]:
    """The output and the loss, written down from the spec."""
    w, b = arrays["x_y.weight"].astype(float), arrays["y.bias"].astype(float)
    y = X @ w.T + b + TERMS * X
    return y, TERMS * float(((y - T) ** 2).mean() + 0.01 * (w**2).sum())


def test_the_tests_compile(folder: Path) -> None:
    """The tests below import each target's module."""
    compile((folder / "test_many.py").read_text(), "test_many.py", "exec")


def test_numpy_computes_sums_of_thousands(imported: Callable[[str], ModuleType]) -> None:
    module = imported("numpy")
    parameters = module.init(seed=1)
    y, loss = expected(parameters)
    np.testing.assert_allclose(module.forward(parameters, X), y, rtol=1e-4)
    found, gradients = module.gradients(parameters, X, T)
    np.testing.assert_allclose(found, loss, rtol=1e-4)
    d_y = TERMS * 2 * (y - T) / y.size
    d_w = d_y.T @ X + TERMS * 0.02 * parameters["x_y.weight"]
    np.testing.assert_allclose(gradients["x_y.weight"], d_w, rtol=1e-3)


def test_pytorch_computes_sums_of_thousands(imported: Callable[[str], ModuleType]) -> None:
    import torch

    model = imported("torch").Many(seed=1)
    y, loss = expected(model.to_arrays())
    output = model(torch.tensor(X))
    np.testing.assert_allclose(output.detach(), y, rtol=1e-4)
    np.testing.assert_allclose(model.loss(output, torch.tensor(T)).detach(), loss, rtol=1e-4)


def test_keras_computes_sums_of_thousands(imported: Callable[[str], ModuleType]) -> None:
    module = imported("keras")
    model = module.build_model(seed=1)
    y, loss = expected(module.to_arrays(model))
    output = np.asarray(model(X))
    np.testing.assert_allclose(output, y, rtol=1e-4)
    found = np.mean(module.loss(T, output)) + sum(map(float, model.losses))
    np.testing.assert_allclose(found, loss, rtol=1e-4)


def test_a_chain_of_ten_thousand_layers_compiles_and_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = "layer h{k}[4] : leaky_relu(0.5)\n  connect h{k-1} -> h{k} : one_to_one with weight = none"
    head = "model many\ninput x[4]\nlayer h0[4]\nconnect x -> h0 : one_to_one with weight = none\n"
    text = head + "for k in 1..10000 {\n  " + chain + "\n}\n"
    for path in written(text, tmp_path).glob("*.py"):
        compile(path.read_text(), path.name, "exec")
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("many_numpy", None)
    module = importlib.import_module("many_numpy")
    assert np.array_equal(module.forward(module.init(), abs(X)), abs(X))
