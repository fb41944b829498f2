"""`Bias` and `Diagonal` against numpy, and through `fit`, saving and cloning."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tensorflow as tf

from nnspec.backends.keras.kernels.bias import Bias
from nnspec.backends.keras.kernels.scale import Diagonal

from .keras_layers import POLICIES

INDICES = [None, [0, 1, 2], [0, -1, 1, -1, 2], [2, 2, 0, 0, 0, 1, 1], [-1, -1]]


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
@pytest.mark.parametrize("index", INDICES)
def test_bias_and_its_gradient(index, mode):
    rng = np.random.default_rng(0)
    layer = Bias(3, index, dtype="float64")
    layer.bias.assign(rng.standard_normal(3))
    index = np.arange(3) if index is None else np.array(index)
    x, upstream = rng.standard_normal((2, 4, len(index)))

    def step(x, upstream):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return y, *tape.gradient(y, [x, layer.bias.value], upstream)

    if mode != "eager":
        step = tf.function(step, jit_compile=mode == "xla")
    y, of_x, of_bias = step(tf.constant(x), tf.constant(upstream))
    assert isinstance(of_bias, tf.Tensor)
    np.testing.assert_allclose(y, x + np.where(index < 0, 0, layer.bias.numpy()[index]))
    np.testing.assert_allclose(of_x, upstream)
    expected = [upstream[:, index == i].sum() for i in range(3)]
    np.testing.assert_allclose(of_bias, expected, atol=1e-12)


@pytest.mark.parametrize(("index", "message"), [([0, 3], "-1 to 2"), ([-2], "-1 to 2"), ([[0]], "one-dim")])
def test_bias_refuses_a_bad_index(index, message):
    with pytest.raises(ValueError, match=message):
        Bias(3, index)


def test_bias_refuses_weights_of_another_index(tmp_path):
    def model(index):
        inputs = keras.Input((3,))
        return keras.Model(inputs, Bias(2, index)(inputs))

    model([0, 1, 1]).save_weights(tmp_path / "m.weights.h5")
    model([0, 1, 1]).load_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ValueError, match="another index"):
        model([0, 1, 0]).load_weights(tmp_path / "m.weights.h5")


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("jit", [False, True])
def test_fit_save_and_clone(tmp_path, monkeypatch, policy, jit):
    rng = np.random.default_rng(1)
    if policy == "float64":  # Keras adds the losses of regularizers to a loss of type floatx
        monkeypatch.setattr(keras.src.backend.config, "_FLOATX", "float64")
    inputs = keras.Input((6,))
    scaled = Diagonal(6, regularizer=keras.regularizers.L2(1e-3), name="scale", dtype=policy)
    frozen = Diagonal(6, trainable=False, name="frozen", dtype=policy)
    outputs = Bias(3, [0, 1, 2, -1, 0, 0], dtype=policy)(frozen(scaled(inputs)))
    model = keras.Model(inputs, outputs)
    scaled.weight.assign(np.ones(6))
    frozen.weight.assign(np.full(6, 2.0))
    x, y = rng.standard_normal((40, 6), "f4"), rng.standard_normal((40, 6), "f4")
    model.compile(keras.optimizers.Adam(0.01, weight_decay=0.1), "mse", jit_compile=jit)
    losses = model.fit(x, y, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    np.testing.assert_array_equal(frozen.weight.numpy(), 2)
    assert model.count_params() == 15
    expected = x * scaled.weight.numpy() * 2 + np.append(model.layers[-1].bias.numpy(), 0)[[0, 1, 2, 3, 0, 0]]
    np.testing.assert_allclose(model(x).numpy(), expected, atol=0.1 if "mixed" in policy else 1e-5)
    model.save(tmp_path / "m.keras")
    objects = {"Bias": Bias, "Diagonal": Diagonal}
    with keras.saving.custom_object_scope(objects):
        loaded = keras.models.load_model(tmp_path / "m.keras")
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    for other in (loaded, clone):
        np.testing.assert_array_equal(other(x).numpy(), model(x).numpy())


def test_diagonal_gradients():
    rng = np.random.default_rng(2)
    layer = Diagonal(4, dtype="float64")
    weight = rng.standard_normal(4)
    layer.weight.assign(weight)
    x, upstream = rng.standard_normal((2, 3, 4))
    at = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(at)
        y = layer(at)
    of_x, of_weight = tape.gradient(y, [at, layer.weight.value], tf.constant(upstream))
    np.testing.assert_allclose(y, x * weight)
    np.testing.assert_allclose(of_x, upstream * weight)
    np.testing.assert_allclose(of_weight, (upstream * x).sum(0))
