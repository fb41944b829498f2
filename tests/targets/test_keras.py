"""The generated Keras model as its users meet it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.xdist_group("keras")


def load(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A generated module, imported as a person would."""
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop(name, None)
    return __import__(name)


@pytest.fixture
def graph_mlp(compiled: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(compiled(ROOT / "examples" / "graph_mlp.nnspec"), "graph_mlp_keras", monkeypatch)


@pytest.fixture
def masked_dense(compiled: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(compiled(ROOT / "examples" / "masked_dense.nnspec"), "masked_dense_keras", monkeypatch)


def digits(batch: int = 48) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((batch, 64), np.float32), rng.integers(10, size=batch)


def test_called_eagerly_and_by_predict_it_is_the_same(graph_mlp: ModuleType) -> None:
    model = graph_mlp.build_model(seed=1)
    x, _ = digits()
    eager = keras.ops.convert_to_numpy(model(x, training=False))
    np.testing.assert_allclose(model.predict(x, verbose=0), eager, rtol=1e-5, atol=1e-6)


def test_fit_learns_the_same_with_and_without_jit(graph_mlp: ModuleType) -> None:
    x, y = digits()
    losses, arrays = [], []
    for jit in (False, True):
        model = graph_mlp.build_model(seed=1)
        model.get_layer("grid").rate = 0.0
        model.compile(keras.optimizers.SGD(0.1), loss=graph_mlp.loss, jit_compile=jit)
        history = model.fit(x, y, batch_size=16, epochs=5, shuffle=False, verbose=0)
        losses.append(history.history["loss"])
        arrays.append(graph_mlp.to_arrays(model))
    assert losses[0][-1] < losses[0][0]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    for name, array in arrays[0].items():
        np.testing.assert_allclose(arrays[1][name], array, rtol=1e-3, atol=1e-4, err_msg=name)


def test_fit_computes_the_loss_of_the_spec(graph_mlp: ModuleType) -> None:
    """Cross entropy with l1 and l2 terms, against plain numpy."""
    model = graph_mlp.build_model(seed=1)
    model.compile(loss=graph_mlp.loss)
    x, y = digits()
    reported = model.evaluate(x, y, batch_size=len(x), verbose=0)
    score = model.predict(x, verbose=0).astype(np.float64)
    log_probability = score - np.log(np.exp(score).sum(axis=1, keepdims=True))
    p = graph_mlp.to_arrays(model)
    wanted = -log_probability[np.arange(len(y)), y].mean()
    wanted += 1e-5 * np.abs(p["hidden_grid.weight"]).sum()
    wanted += 1e-4 * sum(np.square(p[name]).sum() for name in ("pixels_hidden.weight", "grid_score.weight"))
    assert reported == pytest.approx(wanted, rel=1e-5)


def test_sample_weights_weigh_samples(graph_mlp: ModuleType) -> None:
    model = graph_mlp.build_model(seed=1)
    model.compile(loss=graph_mlp.loss)
    x, y = digits(8)
    only_first = model.evaluate(x, y, sample_weight=np.eye(8)[0] * 8, batch_size=8, verbose=0)
    first = model.evaluate(x[:1], y[:1], batch_size=1, verbose=0)
    assert only_first == pytest.approx(first, rel=1e-5)


LOADING = """
import sys, keras, numpy as np
assert not any(name.startswith("nnspec") for name in sys.modules)
import {module}
model = keras.models.load_model({saved!r})
print(repr(model.predict(np.load({x!r}), verbose=0).tolist()))
assert not any(name.startswith("nnspec") for name in sys.modules)
"""


def test_saved_it_loads_without_the_compiler(
    graph_mlp: ModuleType, compiled: Callable[[Path], Path], tmp_path: Path
) -> None:
    model = graph_mlp.build_model(seed=1)
    x, y = digits()
    model.compile("adam", loss=graph_mlp.loss)
    model.fit(x, y, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", x)
    # A folder with the module alone, without its arrays: the edges must come from the saved file.
    folder = compiled(ROOT / "examples" / "graph_mlp.nnspec")
    (tmp_path / "graph_mlp_keras.py").write_bytes((folder / "graph_mlp_keras.py").read_bytes())
    code = LOADING.format(
        module="graph_mlp_keras", saved=str(tmp_path / "model.keras"), x=str(tmp_path / "x.npy")
    )
    finished = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    loaded = np.array(eval(finished.stdout.strip().splitlines()[-1], {"nan": float("nan")}))
    np.testing.assert_array_equal(loaded.astype(np.float32), model.predict(x, verbose=0))


def test_weight_decay_leaves_absent_edges_absent_and_frozen_ones_frozen(masked_dense: ModuleType) -> None:
    model = masked_dense.build_model(seed=1)
    before = masked_dense.to_arrays(model)
    model.compile(keras.optimizers.AdamW(0.05, weight_decay=0.1), loss=masked_dense.loss)
    rng = np.random.default_rng(0)
    model.fit(rng.random((64, 20)), rng.random((64, 3)), epochs=20, verbose=0)
    after = masked_dense.to_arrays(model)
    assert np.array_equal(after["held.weight"], before["held.weight"])
    assert not np.array_equal(after["learned.weight"], before["learned.weight"])
    allowed = np.load(ROOT / "examples" / "data" / "A.npy").astype(bool)
    unit = np.eye(20, dtype=np.float32)
    reached = sum(keras.ops.convert_to_numpy(model.get_layer(name)(unit)) for name in ("learned", "held"))
    assert np.array_equal(reached != 0, allowed)
    # A unit without bias and with a zero input stays at exactly zero.
    has_bias = np.load(ROOT / "examples" / "data" / "has_bias.npy").astype(bool)
    hidden = keras.Model(model.inputs, model.get_layer("hidden").output)
    values = keras.ops.convert_to_numpy(hidden(np.zeros((1, 20), np.float32)))[0]
    assert np.array_equal(values != 0, has_bias)


def test_mixed_precision_trains(graph_mlp: ModuleType) -> None:
    usual = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = graph_mlp.build_model(seed=1)
        model.compile("adam", loss=graph_mlp.loss)
        history = model.fit(*digits(), epochs=5, verbose=0)
    finally:
        keras.config.set_dtype_policy(usual)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert graph_mlp.to_arrays(model)["hidden_grid.weight"].dtype == np.float32


def test_cloned_it_computes_the_same(graph_mlp: ModuleType) -> None:
    model = graph_mlp.build_model(seed=1)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    x, _ = digits()
    np.testing.assert_array_equal(clone.predict(x, verbose=0), model.predict(x, verbose=0))


def test_layers_serve_in_a_larger_model(graph_mlp: ModuleType) -> None:
    part = graph_mlp.build_model(seed=1)
    before = keras.Input((20,))
    values = keras.layers.Dense(64)(before)
    after = keras.layers.Dense(1)(part(values))
    model = keras.Model(before, after)
    model.compile("adam", "mse")
    model.fit(np.random.rand(16, 20), np.random.rand(16, 1), epochs=1, verbose=0)
    features = keras.Model(part.inputs, part.get_layer("grid").output)
    assert features.predict(digits()[0], verbose=0).shape == (48, 64)


def test_wrong_arrays_are_refused_before_any_is_assigned(graph_mlp: ModuleType) -> None:
    model = graph_mlp.build_model(seed=1)
    before = graph_mlp.to_arrays(model)
    moved = {name: array + 1 if array.dtype.kind == "f" else array for name, array in before.items()}
    with pytest.raises(ValueError, match="other edges"):
        graph_mlp.load_arrays(model, {**moved, "hidden_grid.digest": np.zeros(4, np.int64)})
    with pytest.raises(ValueError, match=r"score\.bias"):
        graph_mlp.load_arrays(model, {**moved, "score.bias": np.zeros(11)})
    with pytest.raises(ValueError, match="missing"):
        graph_mlp.load_arrays(model, {})
    for name, array in graph_mlp.to_arrays(model).items():
        assert np.array_equal(array, before[name])


def test_outputs_of_several_dimensions_are_called_by_their_layers(
    compiled: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load(compiled(ROOT / "tests" / "specs" / "two.nnspec"), "two_keras", monkeypatch)
    model = module.build_model()
    model.compile("adam", loss=module.losses)
    rng = np.random.default_rng(0)
    targets = {"o": rng.random((8, 2)), "s": rng.integers(3, size=(8, 2))}
    model.fit(rng.random((8, 3)), targets, verbose=0)
    assert model.predict(rng.random((5, 3)), verbose=0)[1].shape == (5, 2, 3)
