"""`BatchNorm` against `torch.nn.BatchNorm1d`, and through `fit`."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

from nnspec.backends.keras.kernels.batch_norm import BatchNorm

from .keras_layers import POLICIES

UNITS = 5


def pair(rng, **kwargs):
    """A layer and its counterpart in PyTorch, with the same values."""
    layer = BatchNorm(UNITS, dtype="float64", **kwargs)
    module = torch.nn.BatchNorm1d(UNITS, dtype=torch.float64, **kwargs)
    weight, bias = rng.standard_normal((2, UNITS))
    layer.weight.assign(weight)
    layer.bias.assign(bias)
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(weight))
        module.bias.copy_(torch.from_numpy(bias))
    return layer, module


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
@pytest.mark.parametrize("kwargs", [{}, {"eps": 1e-3, "momentum": 0.3}])
def test_agrees_with_torch(kwargs, mode):
    rng = np.random.default_rng(0)
    layer, module = pair(rng, **kwargs)

    def step(x, upstream):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
        return y, *tape.gradient(y, [x, layer.weight.value, layer.bias.value], upstream)

    if mode != "eager":
        step = tf.function(step, jit_compile=mode == "xla")
    for n in (2, 7, 7, 30):
        x, upstream = 3 + 2 * rng.standard_normal((n, UNITS)), rng.standard_normal((n, UNITS))
        ours = step(tf.constant(x), tf.constant(upstream))
        module.zero_grad()
        at = torch.from_numpy(x).requires_grad_()
        theirs = module(at)
        theirs.backward(torch.from_numpy(upstream))
        for a, b in zip(ours, (theirs, at.grad, module.weight.grad, module.bias.grad), strict=True):
            np.testing.assert_allclose(a.numpy(), b.detach().numpy(), atol=1e-10)
        np.testing.assert_allclose(layer.running_mean.numpy(), module.running_mean.numpy(), atol=1e-12)
        np.testing.assert_allclose(layer.running_var.numpy(), module.running_var.numpy(), atol=1e-12)
    module.eval()
    np.testing.assert_allclose(layer(x).numpy(), module(torch.from_numpy(x)).detach().numpy(), atol=1e-10)


def test_batch_of_one():
    layer = BatchNorm(UNITS)
    one = np.ones((1, UNITS), "f4")
    with pytest.raises(ValueError, match="batch of one"):
        layer(one, training=True)
    assert layer(one).shape == (1, UNITS)
    unknown = tf.function(lambda x: layer(x, training=True), input_signature=[tf.TensorSpec((None, UNITS))])
    np.testing.assert_array_equal(unknown(one).numpy(), 0)
    np.testing.assert_array_equal(layer.running_var.numpy(), 1)
    assert np.isfinite(layer.running_mean.numpy()).all()


@pytest.mark.parametrize("policy", POLICIES)
def test_fit_moves_the_statistics_alike_with_and_without_xla(policy):
    rng = np.random.default_rng(1)
    x, y = 2 + rng.standard_normal((64, UNITS), "f4"), rng.standard_normal((64, UNITS), "f4")
    weights = []
    for jit in (False, True):
        inputs = keras.Input((UNITS,))
        model = keras.Model(inputs, BatchNorm(UNITS, dtype=policy)(inputs))
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit)
        model.fit(x, y, epochs=2, batch_size=16, shuffle=False, verbose=0)
        weights.append(model.get_weights())
        assert model.layers[1].weight.dtype == ("float64" if policy == "float64" else "float32")
    tolerance = 1e-2 if policy.startswith("mixed") else 1e-5
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance)
    mean = next(w for w, v in zip(weights[0], model.weights, strict=True) if v.name == "running_mean")
    assert (mean > 0.5).all()


def test_half_precision_takes_statistics_in_float32():
    layer = BatchNorm(1, dtype="mixed_bfloat16")
    x = np.concatenate([np.full((2048, 1), 255), np.full((2048, 1), 257)]).astype("f4")
    layer(x, training=True)
    assert float(layer.running_mean[0]) == pytest.approx(25.6, rel=2e-2)


def test_frozen_uses_running_statistics():
    layer = BatchNorm(UNITS, trainable=False)
    x = np.random.default_rng(2).standard_normal((6, UNITS), "f4")
    np.testing.assert_array_equal(layer(x, training=True).numpy(), layer(x).numpy())
    np.testing.assert_array_equal(layer.running_mean.numpy(), 0)


def test_save_and_load(tmp_path):
    rng = np.random.default_rng(3)
    inputs = keras.Input((UNITS,))
    model = keras.Model(inputs, BatchNorm(UNITS, eps=1e-3, momentum=0.2)(inputs))
    x = rng.standard_normal((6, UNITS), "f4")
    model(x, training=True)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras", custom_objects={"BatchNorm": BatchNorm})
    np.testing.assert_array_equal(again(x).numpy(), model(x).numpy())
    assert (again.layers[1].eps, again.layers[1].momentum) == (1e-3, 0.2)
    assert again.count_params() == 4 * UNITS
