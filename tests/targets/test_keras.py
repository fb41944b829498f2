"""The generated Keras model as its users meet it."""

from __future__ import annotations

import copy
import importlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import pytest

from nnspec.backends.keras.spelling import PROJECTIONS
from nnspec.compiler.plan.kernels import KERNELS

from .. import processes

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.xdist_group("keras")
Arrays = tuple[np.ndarray, np.ndarray]


def test_called_eagerly_and_by_predict_it_is_the_same(graph_mlp: ModuleType, digits: Arrays) -> None:
    model = graph_mlp.build_model(seed=1)
    x, _ = digits
    eager = keras.ops.convert_to_numpy(model(x, training=False))
    np.testing.assert_allclose(model.predict(x, verbose=0), eager, rtol=1e-5, atol=1e-6)


def test_fit_learns_the_same_with_and_without_jit(graph_mlp: ModuleType, digits: Arrays) -> None:
    x, y = digits
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


def test_fit_computes_the_loss_of_the_spec(graph_mlp: ModuleType, digits: Arrays) -> None:
    """Cross entropy with l1 and l2 terms, against plain numpy."""
    model = graph_mlp.build_model(seed=1)
    model.compile(loss=graph_mlp.loss)
    x, y = digits
    reported = model.evaluate(x, y, batch_size=len(x), verbose=0)
    score = model.predict(x, verbose=0).astype(np.float64)
    log_probability = score - np.log(np.exp(score).sum(axis=1, keepdims=True))
    p = graph_mlp.to_arrays(model)
    wanted = -log_probability[np.arange(len(y)), y].mean()
    wanted += 1e-5 * np.abs(p["hidden_grid.weight"]).sum()
    wanted += 1e-4 * sum(np.square(p[name]).sum() for name in ("pixels_hidden.weight", "grid_score.weight"))
    assert reported == pytest.approx(wanted, rel=1e-5)


def test_sample_weights_weigh_samples(graph_mlp: ModuleType, digits: Arrays) -> None:
    model = graph_mlp.build_model(seed=1)
    model.compile(loss=graph_mlp.loss)
    x, y = digits[0][:8], digits[1][:8]
    only_first = model.evaluate(x, y, sample_weight=np.eye(8)[0] * 8, batch_size=8, verbose=0)
    first = model.evaluate(x[:1], y[:1], batch_size=1, verbose=0)
    assert only_first == pytest.approx(first, rel=1e-5)


@pytest.mark.slow
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
    generated: Callable[[str], ModuleType],
) -> None:
    module = generated("two_keras")
    model = module.build_model()
    model.compile("adam", loss=module.losses)
    rng = np.random.default_rng(0)
    targets = {"o": rng.random((8, 2)), "s": rng.integers(3, size=(8, 2))}
    model.fit(rng.random((8, 3)), targets, verbose=0)
    assert model.predict(rng.random((5, 3)), verbose=0)[1].shape == (5, 2, 3)


def test_every_kernel_that_can_be_planned_is_there() -> None:
    assert PROJECTIONS.keys() == KERNELS.keys() | {"embedding"}, "codes are looked up, whatever is planned"


# ----------------------------------------------------------------------------------- precision, compilation


BOTH = ["mixed_bfloat16", "mixed_float16"]


@pytest.mark.slow
@pytest.mark.parametrize("policy", BOTH)
def test_mixed_precision_trains_with_jit(masked_dense: ModuleType, policy: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((48, 20), np.float32), rng.random((48, 3), np.float32)
    usual = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = masked_dense.build_model(seed=1)
    finally:
        keras.config.set_dtype_policy(usual)
    assert keras.backend.standardize_dtype(model(x).dtype) == policy.removeprefix("mixed_")
    before = masked_dense.to_arrays(model)
    model.compile(keras.optimizers.SGD(0.1), loss=masked_dense.loss, jit_compile=True)
    assert model.jit_compile
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (policy == "mixed_float16")
    losses = model.fit(x, y, batch_size=16, epochs=5, shuffle=False, verbose=0).history["loss"]
    after = masked_dense.to_arrays(model)
    assert {array.dtype for name, array in after.items() if name != "digest"} == {
        np.dtype(np.float32),
        np.dtype(np.int64),
    }
    assert np.array_equal(after["held.weight"], before["held.weight"])
    # As in single precision, without jit.
    model = masked_dense.build_model(seed=1)
    model.compile(keras.optimizers.SGD(0.1), loss=masked_dense.loss, run_eagerly=True)
    wanted = model.fit(x, y, batch_size=16, epochs=5, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(losses, wanted, rtol=0.02)
    np.testing.assert_allclose(
        after["learned.weight"], masked_dense.to_arrays(model)["learned.weight"], atol=0.01
    )


@pytest.mark.slow
def test_batch_by_batch_it_is_fit(graph_mlp: ModuleType, digits: Arrays) -> None:
    """`train_on_batch`, traced and eagerly, and `fit`."""
    x, y = digits
    arrays, losses = [], []
    for how in ("fit", "batches", "eager"):
        model = graph_mlp.build_model(seed=1)
        model.get_layer("grid").rate = 0.0
        model.compile(keras.optimizers.SGD(0.1), loss=graph_mlp.loss, run_eagerly=how == "eager")
        if how == "fit":
            model.fit(x, y, batch_size=16, shuffle=False, verbose=0)
        else:
            for start in range(0, len(x), 16):
                model.train_on_batch(x[start : start + 16], y[start : start + 16])
        losses.append(model.test_on_batch(x, y))
        arrays.append(graph_mlp.to_arrays(model))
    np.testing.assert_allclose(losses, losses[0], rtol=1e-5)
    for name, array in arrays[0].items():
        for other in arrays[1:]:
            np.testing.assert_allclose(other[name], array, rtol=1e-4, atol=1e-6, err_msg=name)
    assert model.predict_on_batch(x[:0]).shape == (0, 10)


@pytest.mark.slow
def test_callbacks_keep_the_best(graph_mlp: ModuleType, digits: Arrays, tmp_path: Path) -> None:
    x, y = digits
    whole, weights = tmp_path / "best.keras", tmp_path / "best.weights.h5"
    model = graph_mlp.build_model(seed=1)
    model.compile(keras.optimizers.Adam(0.01), loss=graph_mlp.loss, metrics=["accuracy"])
    callbacks = [
        keras.callbacks.ModelCheckpoint(whole, monitor="val_loss", save_best_only=True),
        keras.callbacks.ModelCheckpoint(
            weights, monitor="val_loss", save_best_only=True, save_weights_only=True
        ),
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=2, restore_best_weights=True),
        keras.callbacks.TerminateOnNaN(),
    ]
    # What it learns of the first half it gets ever more wrong on the second, whose codes are other ones.
    validation = (x, (y + 5) % 10)
    history = model.fit(
        x, y, epochs=30, batch_size=16, validation_data=validation, callbacks=callbacks, verbose=0
    )
    assert len(history.history["val_loss"]) < 30
    best = min(history.history["val_loss"])
    assert model.evaluate(*validation, verbose=0)[0] == pytest.approx(best, rel=1e-5)
    other = graph_mlp.build_model(seed=2)
    other.load_weights(weights)
    for held in (keras.models.load_model(whole), other):
        for name, array in graph_mlp.to_arrays(model).items():
            assert np.array_equal(graph_mlp.to_arrays(held)[name], array), name


# -------------------------------------------------------------------------------------- parts and copies


def test_copies_compute_the_same(graph_mlp: ModuleType, digits: Arrays) -> None:
    model = graph_mlp.build_model(seed=1)
    x, _ = digits
    wanted = keras.ops.convert_to_numpy(model(x))
    copies = [
        keras.models.clone_model(model),
        keras.Model.from_config(model.get_config()),
        keras.models.model_from_json(model.to_json()),
    ]
    for other in copies:
        other.set_weights(model.get_weights())
        assert other.get_layer("hidden_grid").weight is not model.get_layer("hidden_grid").weight
    for other in (*copies, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(other(x)), wanted)
    printed: list[str] = []
    model.summary(print_fn=lambda text, **_: printed.append(text))
    assert "hidden_grid (EdgeProjection)" in printed[0]
    assert "288" in printed[0]


def test_parts_serve_in_a_larger_model(graph_mlp: ModuleType, digits: Arrays, tmp_path: Path) -> None:
    """The whole, called twice; a part that starts and one that ends in the middle; a layer by itself."""
    x, _ = digits
    part = graph_mlp.build_model(seed=1)
    before = keras.Input((20,))
    values = keras.layers.Dense(64)(before)
    twice = keras.layers.Add()([part(values), part(keras.layers.Rescaling(2.0)(values))])
    model = keras.Model(before, keras.layers.Dense(1)(twice))
    model.compile("adam", "mse")
    rng = np.random.default_rng(0)
    inputs = rng.random((16, 20), np.float32)
    model.fit(inputs, rng.random((16, 1)), epochs=1, verbose=0)
    model.save(tmp_path / "larger.keras")
    loaded = keras.models.load_model(tmp_path / "larger.keras")
    np.testing.assert_array_equal(loaded(inputs), model(inputs))

    features = keras.Model(part.inputs, [part.get_layer(name).output for name in ("hidden", "grid")])
    hidden, grid = features(x)
    rest = keras.Model(part.get_layer("grid").output, part.output)
    np.testing.assert_allclose(rest(grid), part(x), rtol=1e-5, atol=1e-6)
    alone = keras.Sequential([keras.Input((64,)), part.get_layer("hidden_grid")])
    np.testing.assert_allclose(
        part.get_layer("grid_tanh")(
            part.get_layer("grid_batch_norm")(part.get_layer("grid_sum")(alone(hidden)))
        ),
        grid,
        rtol=1e-5,
        atol=1e-6,
    )


def test_a_frozen_model_does_not_move(graph_mlp: ModuleType, digits: Arrays) -> None:
    part = graph_mlp.build_model(seed=1)
    part.trainable = False
    before = graph_mlp.to_arrays(part)
    model = keras.Sequential([part, keras.layers.Dense(10)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(*digits, epochs=2, verbose=0)
    for name, array in graph_mlp.to_arrays(part).items():
        assert np.array_equal(array, before[name]), name


RING = """model ring_{step}
input x[6]
layer h[6] : bias(off), tanh
layer o[2]
connect x -> h : {{ i -> i + {step}; outside = wrap }}
connect h -> o : all
"""


@pytest.mark.filterwarnings("ignore:Skipping nested container")  # of Keras, about the layer that refuses
def test_modules_with_layers_of_the_same_names_live_in_one_process(
    compiled: Callable[[Path, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each finds its own classes again, and refuses weights of the other, whose edges are other ones."""
    modules, models = [], []
    for step in (1, 2):
        spec = tmp_path / f"ring_{step}.nnspec"
        spec.write_text(RING.format(step=step))
        monkeypatch.syspath_prepend(str(compiled(spec, "edges")))
        modules.append(importlib.import_module(f"ring_{step}_keras"))
        models.append(modules[-1].build_model(seed=step))
        models[-1].save(tmp_path / f"ring_{step}.keras")
        models[-1].save_weights(tmp_path / f"ring_{step}.weights.h5")
    for step, module, model in zip((1, 2), modules, models, strict=True):
        loaded = keras.models.load_model(tmp_path / f"ring_{step}.keras")
        assert type(loaded.get_layer("x_h")) is module.EdgeProjection
        unit = np.eye(6, dtype=np.float32)
        np.testing.assert_array_equal(loaded(unit), model(unit))
        assert np.array_equal(
            np.argmax(loaded.get_layer("x_h")(unit) != 0, axis=1), (np.arange(6) + step) % 6
        )
    before = modules[0].to_arrays(models[0])
    with pytest.raises(ValueError, match="other edges"):
        models[0].load_weights(tmp_path / "ring_2.weights.h5")
    for name, array in modules[0].to_arrays(models[0]).items():  # `h_o`, which fits, stays too
        assert np.array_equal(array, before[name]), name
    with pytest.raises(ValueError, match="other edges"):
        modules[0].load_arrays(models[0], modules[1].to_arrays(models[1]))


# ------------------------------------------------------------------------------------------ other processes


def run_fresh(backend: str, *folders: Path) -> dict[str, np.ndarray]:
    """What `fresh_keras.py` computes in a process that has not seen the compiler."""
    script = Path(__file__).parent / "fresh_keras.py"
    finished = processes.run(
        [str(script), *map(str, folders)],
        having="keras" if backend == "tensorflow" else "torch",
        env={**os.environ, "KERAS_BACKEND": backend},
    )
    assert finished.returncode == 0, finished.stderr[-4000:]
    with np.load(folders[0] / f"{backend}.npz") as found:
        return dict(found)


@pytest.fixture(scope="module")
def saved(
    compiled: Callable[[Path, str], Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, np.ndarray]]:
    """A folder with the models of two examples as files, and what they compute."""
    folder = tmp_path_factory.mktemp("saved")
    computed: dict[str, np.ndarray] = {}
    rng = np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch:
        for name, inputs in (("graph_mlp", 64), ("masked_dense", 20)):
            patch.syspath_prepend(str(compiled(ROOT / "examples" / f"{name}.nnspec", "edges")))
            model = importlib.import_module(f"{name}_keras").build_model(seed=1)
            computed[f"{name}.x"] = rng.random((8, inputs), np.float32)
            computed[name] = model.predict(computed[f"{name}.x"], verbose=0)
            model.save(folder / f"{name}.keras")
            model.save_weights(folder / f"{name}.weights.h5")
            model.export(folder / name, verbose=False)
            np.save(folder / f"{name}.x.npy", computed[f"{name}.x"])
    return folder, computed


@pytest.mark.slow  # TensorFlow exports for a quarter of a minute
def test_saved_and_exported_it_needs_neither_compiler_nor_data(
    saved: tuple[Path, dict[str, np.ndarray]], compiled: Callable[[Path, str], Path], tmp_path: Path
) -> None:
    """Modules without their arrays: the edges must come from the saved files."""
    folder, wanted = saved
    for name in ("graph_mlp", "masked_dense"):
        module = compiled(ROOT / "examples" / f"{name}.nnspec", "edges") / f"{name}_keras.py"
        (tmp_path / module.name).write_bytes(module.read_bytes())
    found = run_fresh("tensorflow", folder, tmp_path)
    assert set(found) == {
        f"{name}.{how}"
        for name in ("graph_mlp", "masked_dense")
        for how in ("exported", "loaded", "cloned", "weights", "trained")
    }
    for key, value in found.items():
        np.testing.assert_allclose(value, wanted[key.partition(".")[0]], rtol=1e-5, atol=1e-6, err_msg=key)


@pytest.mark.slow
def test_keras_on_torch_computes_what_it_computes_on_tensorflow(
    saved: tuple[Path, dict[str, np.ndarray]], compiled: Callable[[Path, str], Path]
) -> None:
    folder, wanted = saved
    modules = [
        compiled(ROOT / "examples" / f"{name}.nnspec", "edges") for name in ("graph_mlp", "masked_dense")
    ]
    found = run_fresh("torch", folder, *modules)
    assert {key.partition(".")[2] for key in found} == {"built", "loaded", "cloned", "weights", "trained"}
    for key, value in found.items():
        np.testing.assert_allclose(value, wanted[key.partition(".")[0]], rtol=1e-5, atol=1e-6, err_msg=key)
