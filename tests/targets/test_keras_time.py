"""Networks that run over time in Keras: against a loop over neurons and steps, saved, in pieces, refused.

On TensorFlow here, and on JAX and PyTorch in processes of their own, which run these tests too.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest

from nnspec.backends.emit import write
from nnspec.backends.tests.kernels.keras_backends import called, differentiator, precision
from nnspec.compiler import compile_spec, load
from nnspec.compiler.pipeline import understand

from .. import processes
from .test_time import Drawn, check

ROOT = Path(__file__).parent.parent.parent
CHOSEN = "keras and (gradients_are or layers_are or pieces or loads_what or holds_the)"
OTHERS = [
    pytest.param("torch", 3, id="torch"),
    pytest.param("torch", 200, id="more on torch", marks=pytest.mark.slow),
    # JAX compiles every network anew, twice.
    pytest.param("jax", 1, id="jax"),
    pytest.param("jax", 200, id="more on jax", marks=pytest.mark.slow),
]
STREAM = """model stream
input u[3] over time
target y[2] over time
layer h[8] : tanh, start = trained
layer g[8] = h * before(h, 3) + before(m)
layer m[8]
layer out[2]
connect u -> h : all
connect h -> h : random(fan_in = 3, seed = 1) with delay = 2
connect u -> m : all with delay = 2
connect g -> out : all
output out over time
loss mse(out, y) + 0.01 * l2(u_h)
"""


def with_keras(
    drawn: Drawn, p: dict[str, Any], data: dict[str, Any], cotangents: dict[str, Any], along: dict[str, Any]
) -> tuple[float, dict[str, Any]]:
    """The derivative along a direction, and the layers' values."""
    timed = understand(Path("drawn.nnspec"), text=drawn.text).graph.timed

    def objective(result: Any, losses: list[Any], factors: dict[str, Any]) -> Any:
        outputs = zip(keras.tree.flatten(result), factors.values(), strict=True)
        return sum(keras.ops.sum(y * factor) for y, factor in outputs)

    with precision("float64"):
        module = load(text=drawn.text, target="keras")
        model = module.build_model()
        module.load_arrays(model, p)
        inputs = {name: keras.ops.convert_to_tensor(data[name], "float64") for name in ("u", "x")}
        factors = {name: keras.ops.convert_to_tensor(d, "float64") for name, d in cotangents.items()}
        variables = module.variables(model)
        given = [*variables.values()], [*inputs.values()], factors
        _, found = differentiator(model, False, objective)(*given)
        gradients = dict(zip((*variables, *inputs), found, strict=True))
        slope = 0.0
        for name, gradient in gradients.items():
            if gradient is not None:
                array = keras.ops.convert_to_numpy(gradient)
                slope += np.vdot(array.T if name in variables else array, along[name])
        shown = {name: f"{name}_steps" if name in timed else name for name in drawn.layers}
        tensors = {name: model.get_layer(layer).output for name, layer in shown.items()}
        values = called(keras.Model(model.inputs, tensors), [*inputs.values()], False)
        return slope, {name: keras.ops.convert_to_numpy(value) for name, value in values.items()}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNSPEC_CACHE", str(tmp_path))


@pytest.mark.parametrize("seed", range(5))
def test_drawn_networks_are_those_of_a_loop_over_neurons(seed: int) -> None:
    check(seed, keras=with_keras)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5, 200))
def test_more_drawn_networks_are_those_of_a_loop_over_neurons(seed: int) -> None:
    check(seed, keras=with_keras)


@pytest.mark.slow  # processes of their own, in which JAX compiles
@pytest.mark.parametrize(("backend", "count"), OTHERS)
def test_they_are_on_every_backend(backend: str, count: int) -> None:
    """Networks that are drawn, and what is done by hand below, in a process with another backend."""
    code = (
        "from tests.targets.test_keras_time import check, with_keras\n"
        "import keras\n"
        f"assert keras.backend.backend() == {backend!r}\n"
        f"for seed in range({count}): check(seed, keras=with_keras)\n"
    )
    finished = processes.run(
        ["-c", code],
        having="torch",
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend},
    )
    assert finished.returncode == 0, finished.stderr[-4000:]


def test_generated_tests_pass(compiled: Callable[[Path, str | None], Path]) -> None:
    """Some of them on TensorFlow; `tests/examples` runs all of those of every spec of `tests/specs`."""
    folder = compiled(ROOT / "tests" / "specs" / "iterated.nnspec", None)
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "/", "-k", CHOSEN, str(folder)]
    finished = processes.run(command, having="keras")
    assert finished.returncode == 0, finished.stdout[-4000:]
    assert "5 passed" in finished.stdout, finished.stdout[-400:]


# --------------------------------------------------------------------------------------- as it is used


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The module of a network that reads layers and an input late."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NNSPEC_CACHE", str(tmp_path_factory.mktemp("cache")))
        return load(text=STREAM, target="keras")


def test_any_number_of_steps_and_samples(stream: ModuleType) -> None:
    model, x = stream.build_model(), np.random.default_rng(0).normal(size=(2, 3, 7, 3)).astype(np.float32)
    whole = keras.ops.convert_to_numpy(model(x))
    assert whole.shape == (2, 3, 7, 2)
    for steps in (1, 4):
        found = keras.ops.convert_to_numpy(model(x[:, :, :steps]))
        np.testing.assert_allclose(found, whole[:, :, :steps], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict(x[0], verbose=0), whole[0], rtol=1e-5, atol=1e-6)


def test_a_call_goes_on_where_another_has_ended(stream: ModuleType) -> None:
    model, x = stream.build_model(), np.random.default_rng(1).normal(size=(4, 9, 3)).astype(np.float32)
    going, state = stream.with_state(model), stream.initial_state(model, 4)
    assert {name: tuple(array.shape) for name, array in state.items()} == {
        "h": (4, 3, 8),
        "m": (4, 1, 8),
        "u": (4, 2, 3),
    }
    found = []
    for piece in (x[:, :1], x[:, 1:5], x[:, 5:]):
        y, state = going((keras.ops.convert_to_tensor(piece), state))
        found.append(keras.ops.convert_to_numpy(y))
    wanted = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(np.concatenate(found, axis=1), wanted, rtol=1e-5, atol=1e-6)
    held = {variable.path for variable in model.trainable_variables}
    assert held - {variable.path for variable in going.trainable_variables} == {"h_first/start"}


def test_what_is_no_sequence_is_refused(stream: ModuleType) -> None:
    model, x = stream.build_model(), np.zeros((2, 4, 3), np.float32)
    with pytest.raises(ValueError, match="takes no mask"):
        model(x, mask=np.ones((2, 4), bool))
    with pytest.raises(ValueError, match="at least one: `u` has 0"):
        model(x[:, :0])
    with pytest.raises(ValueError, match=r"`u` must have the shape \(..., steps, 3\), but has \(3,\)"):
        model(x[0, 0])
    with pytest.raises(ValueError, match=r"`y` must have the shape"):
        stream.loss(np.zeros((2, 5, 2), np.float32), model(x))


def test_inputs_have_one_number_of_steps() -> None:
    text = "model two\ninput a[2] over time\ninput b[2] over time\nlayer h[2] = a * before(b)\n"
    model = load(text=text, target="keras").build_model()
    a, b = np.ones((3, 4, 2), np.float32), np.ones((3, 5, 2), np.float32)
    assert model([a, a]).shape == (3, 4, 2)
    with pytest.raises(ValueError, match="one number of steps, and at least one: `a` has 4, `b` has 5"):
        model([a, b])


def test_it_is_trained_saved_and_loaded_without_the_compiler(tmp_path: Path) -> None:
    """In a fresh process: the loaded model computes the same, in pieces too, and is trained on."""
    write(compile_spec(text=STREAM, targets=["keras"]).files, tmp_path)
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(64, 12, 3)).astype(np.float32), rng.normal(size=(64, 12, 2)).astype(np.float32)
    module = load(text=STREAM, target="keras")
    model = module.build_model()
    model.compile(keras.optimizers.Adam(0.02), loss=module.loss)
    losses = model.fit(x, y * 0.1, epochs=6, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "stream.keras")
    np.savez(tmp_path / "data.npz", x=x, y=y * 0.1, wanted=model.predict(x, verbose=0))
    finished = processes.run(
        ["-c", FRESH, str(tmp_path)],
        having="keras" if keras.backend.backend() == "tensorflow" else "torch",
        env=dict(os.environ),
    )
    assert finished.returncode == 0, finished.stderr[-4000:]


FRESH = """
import sys
sys.path.insert(0, sys.argv[-1])
import keras, numpy as np
import stream_keras as module
data = np.load(sys.argv[-1] + "/data.npz")
model = keras.models.load_model(sys.argv[-1] + "/stream.keras")
x, y = data["x"], data["y"]
np.testing.assert_allclose(model.predict(x, verbose=0), data["wanted"], rtol=1e-4, atol=1e-5)
going, state, found = module.with_state(model), module.initial_state(model, len(x)), []
for step in range(x.shape[1]):
    out, state = going((keras.ops.convert_to_tensor(x[:, step : step + 1]), state))
    found.append(keras.ops.convert_to_numpy(out))
np.testing.assert_allclose(np.concatenate(found, 1), data["wanted"], rtol=1e-4, atol=1e-5)
before = model.evaluate(x, y, verbose=0)
model.fit(x[:, :5], y[:, :5], verbose=0)
model.fit(x, y, epochs=3, verbose=0)
assert model.evaluate(x, y, verbose=0) < before
assert not any(name.startswith("nnspec") for name in sys.modules)
"""
