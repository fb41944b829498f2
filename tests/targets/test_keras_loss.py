"""Losses that Keras' own cannot say, as a model computes them: those of NumPy, in every way of training."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest

from .. import processes
from .conftest import imported

pytestmark = pytest.mark.xdist_group("keras")
SPEC = """model own
input x[5]
input z[2, 2]
target t[3]
target u[3]
target kind[2]: class[2]
layer h[2, 2] : tanh
layer aside[3]
layer y[2, 2] : tanh
layer out[3]
connect x -> h : all
connect z -> h : one_to_one
connect h -> aside : all
connect h -> y : all
connect y -> out : all
output y, out
loss mse(out, t) - 0.5 * mae(out, u) + 2 * squared_error(aside, t) + mse(h, z)
loss cross_entropy(h, kind) + 0.25 * cross_entropy(y, kind) + 1e-2 * l2(out)
"""
N = 12


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModuleType]:
    from nnspec.backends.emit import write
    from nnspec.compiler import compile_spec

    folder = tmp_path_factory.mktemp("own")
    (folder / "own.nnspec").write_text(SPEC)
    write(compile_spec(folder / "own.nnspec", ["keras", "numpy"]).files, folder)
    return {name: imported(folder / f"own_{name}.py", f"own_{name}") for name in ("keras", "numpy")}


@pytest.fixture
def data() -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(N, 5)).astype("float32"), rng.normal(size=(N, 2, 2)).astype("float32")]
    y = {"t": rng.normal(size=(N, 3)), "u": rng.normal(size=(N, 3)), "kind": rng.integers(2, size=(N, 2))}
    return x, y


def wanted_of(numpy: ModuleType, p: Any, x: Any, y: dict[str, np.ndarray], weights: np.ndarray) -> float:
    """The loss by NumPy: that of each sample by itself, weighted, and the penalties."""
    penalty = 1e-2 * sum(np.square(p[name]).sum() for name in ("y_out.weight",))
    total = penalty
    for at, weight in enumerate(weights):
        one = [array[[at]] for array in x], {name: array[[at]] for name, array in y.items()}
        total += weight / N * (numpy.gradients(p, *one[0], **one[1])[0] - penalty)
    return total


@pytest.mark.slow
def test_fit_and_evaluate_compute_the_loss_of_the_spec_with_and_without_jit(
    modules: dict[str, ModuleType], data: Any
) -> None:
    own, (x, y) = modules["keras"], data
    weights = np.random.default_rng(1).random(N)
    found = []
    for jit in (False, True):
        model = own.build_model(1)
        model.compile(keras.optimizers.SGD(0.1), jit_compile=jit)
        p = modules["numpy"].load_arrays(own.to_arrays(model))
        alike = {"rel": 1e-5}
        plain, weighted = (wanted_of(modules["numpy"], p, x, y, w) for w in (np.ones(N), weights))
        assert model.evaluate(x, y, batch_size=N, verbose=0) == pytest.approx(plain, **alike)
        assert model.evaluate(x, [*y.values()], batch_size=N, verbose=0) == pytest.approx(plain, **alike)
        options = {"sample_weight": weights, "batch_size": N, "verbose": 0}
        history = model.fit(x, y, epochs=3, validation_data=(x, y, weights), **options).history
        assert history["loss"][0] == pytest.approx(weighted, **alike)
        assert history["val_loss"][:-1] == pytest.approx(history["loss"][1:], **alike)
        assert history["loss"][-1] < history["loss"][0]
        found.append(own.to_arrays(model))
    for name, array in found[0].items():
        np.testing.assert_allclose(found[1][name], array, rtol=1e-4, atol=1e-6, err_msg=name)


def test_one_step_is_that_of_numpy(modules: dict[str, ModuleType], data: Any) -> None:
    own, (x, y) = modules["keras"], data
    model = own.build_model(2)
    p = modules["numpy"].load_arrays(own.to_arrays(model))
    _, gradients = modules["numpy"].gradients(p, *x, **y)
    model.compile(keras.optimizers.SGD(1.0))
    model.train_on_batch(x, y)
    for name, array in own.to_arrays(model).items():
        np.testing.assert_allclose(array, p[name] - gradients[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_outputs_are_those_of_the_spec_and_nothing_is_kept(modules: dict[str, ModuleType], data: Any) -> None:
    own, (x, y) = modules["keras"], data
    model = own.build_model(1)
    model.compile("sgd")
    assert model.output_names == ["y", "out"]
    model.fit(x, y, verbose=0)
    model.evaluate(x, y, verbose=0)
    assert [value.shape for value in model.predict(x, verbose=0)] == [(N, 2, 2), (N, 3)]
    assert [layer.kept.values for layer in model._keepers()] == [{}]
    layers = keras.Model(model.inputs, {name: model.get_layer(name).output for name in ("y", "h", "aside")})
    values = modules["numpy"].layers(modules["numpy"].load_arrays(own.to_arrays(model)), *x)
    for name, value in layers(x).items():
        np.testing.assert_allclose(
            np.reshape(value, (N, -1)), values[name].reshape(N, -1), rtol=1e-4, atol=1e-5
        )


def test_what_the_loss_cannot_read_is_refused(modules: dict[str, ModuleType], data: Any) -> None:
    own, (x, y) = modules["keras"], data
    model = own.build_model(1)
    model.compile("sgd", run_eagerly=True)
    for wrong, said in (
        (None, "The loss reads t, u, kind, but 0 are given"),
        ({"t": y["t"]}, "The loss reads t, u, kind, but 1 are given"),
        ([*y.values(), y["t"]], "but 4 are given"),
        ({**y, "t": y["t"][:, :2]}, "`t` must have the shape"),
        ({**y, "kind": y["kind"] + 1}, "`kind` must hold integers from 0 to 1"),
    ):
        with pytest.raises(ValueError, match=said):
            model.evaluate(x, wrong, verbose=0)
    weights = {name: np.full(N, float(at)) for at, name in enumerate(y)}
    with pytest.raises(ValueError, match="must be the same for all targets"):
        model.evaluate(x, y, sample_weight=weights, verbose=0)
    model.compile("sgd")
    assert np.isnan(model.evaluate(x, y, sample_weight=weights, verbose=0))


def test_a_loss_given_to_compile_takes_its_place(modules: dict[str, ModuleType], data: Any) -> None:
    own, (x, y) = modules["keras"], data
    model = own.build_model(1)
    model.compile("sgd", loss=[None, "mse"])
    penalty = 1e-2 * np.square(own.to_arrays(model)["y_out.weight"]).sum()
    squares = np.square(model.predict(x, verbose=0)[1] - y["t"])
    found = model.evaluate(x, [np.zeros((N, 2, 2)), y["t"]], verbose=0, return_dict=True)["loss"]
    assert found == pytest.approx(squares.mean() + penalty, rel=1e-5)


LOADED = """
import sys
sys.path.insert(0, sys.argv[1])
import keras, numpy as np, own_keras
assert not [name for name in sys.modules if name.startswith("nnspec")]
model = keras.models.load_model(sys.argv[1] + "/own.keras")
rng = np.random.default_rng(0)
x = [rng.normal(size=(12, 5)).astype("float32"), rng.normal(size=(12, 2, 2)).astype("float32")]
y = {"t": rng.normal(size=(12, 3)), "u": rng.normal(size=(12, 3)), "kind": rng.integers(2, size=(12, 2))}
print(model.evaluate(x, y, verbose=0), model.fit(x, y, verbose=0).history["loss"][0])
"""


@pytest.mark.slow
def test_saved_and_loaded_without_the_compiler_it_goes_on(
    modules: dict[str, ModuleType], data: Any, tmp_path: Path
) -> None:
    own, (x, y) = modules["keras"], data
    model = own.build_model(1)
    model.compile(keras.optimizers.SGD(0.1))
    wanted = model.evaluate(x, y, verbose=0)
    model.save(tmp_path / "own.keras")
    assert own.__file__ is not None
    (tmp_path / "own_keras.py").write_bytes(Path(own.__file__).read_bytes())
    (tmp_path / "loaded.py").write_text(LOADED)
    finished = processes.run([str(tmp_path / "loaded.py"), str(tmp_path)], having="keras", env={**os.environ})
    assert finished.returncode == 0, finished.stderr[-4000:]
    assert [*map(float, finished.stdout.split())] == pytest.approx([wanted, wanted], rel=1e-5)


NO_TARGETS = """model bare
input x[4]
layer h[2]
layer y[4]
connect x -> h : all
connect h -> y : all
output h
loss mse(y, x)
"""


def test_a_loss_that_reads_inputs_alone_is_trained_without_targets(
    tmp_path: Path, data: Any, compiled: Callable[[Path, str | None], Path]
) -> None:
    (tmp_path / "bare.nnspec").write_text(NO_TARGETS)
    folder = compiled(tmp_path / "bare.nnspec", None)
    bare, numpy = (imported(folder / f"bare_{name}.py", f"bare_{name}") for name in ("keras", "numpy"))
    model = bare.build_model(1)
    model.compile("adam")
    x = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
    p = numpy.load_arrays(bare.to_arrays(model))
    assert model.evaluate(x, verbose=0) == pytest.approx(numpy.gradients(p, x)[0], rel=1e-5)
    model.fit(x, verbose=0)
