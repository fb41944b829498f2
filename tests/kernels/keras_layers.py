"""What every Keras layer along edges must do, whatever its structure: checks that tests share.

`make(**kwargs)` makes a layer; its edges must lie between at most a few hundred units.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import gc

import keras
import numpy as np
import pytest
import tensorflow as tf

from nnspec.backends.common.kernels.edge_digest import edge_digest
from nnspec.backends.keras.kernels.edges import EdgeProjection

# The policies of Keras, of which the long tests alone try all.
POLICIES = [
    pytest.param(policy, marks=[] if policy == "mixed_float16" else [pytest.mark.slow])
    for policy in ("float32", "mixed_bfloat16", "mixed_float16", "float64")
]


def filled(layer, rng):
    """The layer with drawn weights, and its dense matrix in float64."""
    source, target = layer.edges()
    assert len(source) == layer.count
    if layer.weight is not None:
        layer.weight.assign(rng.standard_normal(layer.count))
    matrix = np.zeros(layer.shape)
    matrix[target, source] = 1 if layer.weight is None else keras.ops.convert_to_numpy(layer.weight)
    return layer, matrix


def output_and_gradients(layer, x, upstream, mode):
    """The output and the gradients of the input and of the weight if it is trained, eagerly or compiled."""

    def step(x, upstream):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return (y, *tape.gradient(y, [x, *(v.value for v in layer.trainable_variables)], upstream))

    if mode != "eager":
        step = tf.function(step, jit_compile=mode == "xla")
    results = step(tf.constant(x), tf.constant(upstream))
    assert all(isinstance(result, tf.Tensor) for result in results)
    return [result.numpy() for result in results]


def check_numbers(make, mode):
    """In float64: the output and both gradients are those of a dense product; the digest is that of edges."""
    rng = np.random.default_rng(1)
    layer, matrix = filled(make(dtype="float64"), rng)
    source, target = layer.edges()
    EdgeProjection(layer.shape, source, target)  # in range, in order and distinct
    np.testing.assert_array_equal(layer.digest, edge_digest(source, target, layer.shape))
    x, upstream = rng.standard_normal((3, layer.shape[1])), rng.standard_normal((3, layer.shape[0]))
    y, of_x, of_weight = output_and_gradients(layer, x, upstream, mode)
    np.testing.assert_allclose(y, x @ matrix.T, atol=1e-12)
    np.testing.assert_allclose(of_x, upstream @ matrix, atol=1e-12)
    np.testing.assert_allclose(of_weight, (upstream.T @ x)[target, source], atol=1e-12)
    assert (y[:, np.bincount(target, minlength=layer.shape[0]) == 0] == 0).all()


def check_without_weight(make):
    """A plain sum, and a frozen weight."""
    rng = np.random.default_rng(2)
    layer, matrix = filled(make(weighted=False), rng)
    assert layer.count_params() == 0
    x, upstream = (
        rng.standard_normal((3, layer.shape[1]), "f4"),
        rng.standard_normal((3, layer.shape[0]), "f4"),
    )
    y, of_x = output_and_gradients(layer, x, upstream, "graph")
    np.testing.assert_allclose(y, x @ matrix.T, atol=1e-4)
    np.testing.assert_allclose(of_x, upstream @ matrix, atol=1e-4)
    layer, matrix = filled(make(trainable=False), rng)
    y, of_x = output_and_gradients(layer, x, upstream, "eager")
    np.testing.assert_allclose(of_x, upstream @ matrix, atol=1e-4)


def check_policies(make):
    """Half precision, where x and the output are rounded, but neither the weight nor what is added up."""
    rng = np.random.default_rng(3)
    for policy in ("mixed_bfloat16", "mixed_float16", "bfloat16", "float64"):
        layer, matrix = filled(make(dtype=policy), rng)
        source, target = layer.edges()
        x = tf.cast(rng.standard_normal((3, layer.shape[1])), layer.compute_dtype)
        upstream = tf.cast(rng.standard_normal((3, layer.shape[0])), layer.compute_dtype)
        y, of_x, of_weight = output_and_gradients(layer, x, upstream, "graph")
        assert y.dtype == of_x.dtype == layer.compute_dtype
        assert of_weight.dtype == layer.variable_dtype
        x, upstream = x.numpy().astype("f8"), upstream.numpy().astype("f8")
        eps = {"float16": 2**-11, "bfloat16": 2**-8, "float64": 1e-14}[layer.compute_dtype]
        for result, wanted in (
            (y, x @ matrix.T),
            (of_x, upstream @ matrix),
            (of_weight, (upstream.T @ x)[target, source]),
        ):
            # Rounded once, and what float32 itself loses.
            bound = eps * np.abs(wanted) + (1e-5 if eps > 1e-6 else 1e-12)
            assert (np.abs(result.astype("f8") - wanted) <= bound).all(), policy


def model_of(layer, **kwargs):
    """A model of the layer and a dense one."""
    inputs = keras.Input((layer.shape[1],))
    dense = keras.layers.Dense(1, kernel_initializer=keras.initializers.GlorotUniform(1))
    return keras.Model(inputs, dense(keras.layers.Activation("tanh")(layer(inputs))))


def check_training(make):
    """Called eagerly and by `predict` it is the same; so is `fit` eagerly, compiled and with XLA."""
    rng = np.random.default_rng(4)
    layer, _ = filled(make(name="first", regularizer=keras.regularizers.L2(0.01)), rng)
    assert float(layer.losses[0]) == pytest.approx(0.01 * np.square(layer.weight.numpy()).sum(), rel=1e-5)
    model = model_of(layer)
    x, y = rng.standard_normal((40, layer.shape[1]), "f4"), rng.standard_normal((40, 1), "f4")
    np.testing.assert_allclose(model(x).numpy(), model.predict(x, verbose=0), atol=1e-5)
    start, trained = [w.copy() for w in model.get_weights()], []
    for how in ({"jit_compile": False}, {"jit_compile": True}, {"run_eagerly": True, "jit_compile": False}):
        model.set_weights(start)
        # Momentum and decay move every entry of what is trained, whatever its gradient is.
        model.compile(keras.optimizers.SGD(0.02, momentum=0.9, weight_decay=0.1), "mse", **how)
        losses = model.fit(x, y, epochs=2, batch_size=20, shuffle=False, verbose=0).history["loss"]
        assert losses[-1] < losses[0]
        trained.append(model.get_weights())
    for other in trained[1:]:
        for a, b in zip(trained[0], other, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
    _, target = layer.edges()
    reached = layer(np.eye(layer.shape[1], dtype="f4")).numpy().T != 0
    assert reached.sum() == len(target)


def check_copies(make, tmp_path):
    """Clones, files, and a file that was saved with other edges."""
    rng = np.random.default_rng(5)
    layer, matrix = filled(make(name="first"), rng)
    model = model_of(layer)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    x = rng.standard_normal((5, layer.shape[1]), "f4")
    np.testing.assert_array_equal(clone(x).numpy(), model(x).numpy())
    np.testing.assert_array_equal(clone.get_layer("first").digest, layer.digest)
    model.save_weights(tmp_path / "m.weights.h5")
    model.save(tmp_path / "m.keras")
    wanted = model(x).numpy()
    again = model_of(make(name="first"))
    again.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(again(x).numpy(), wanted)
    kind = type(layer)
    del layer, model, clone, again
    gc.collect()  # nothing that has the edges is left
    with keras.saving.custom_object_scope({kind.__name__: kind}):
        loaded = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded(x).numpy(), wanted)
    layer = loaded.get_layer("first")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer.weight), matrix[layer.edges()[::-1]])


def check_refused(layer, other, tmp_path):
    """Weights saved with the edges of one layer are not loaded into the other, though they are as many."""
    assert layer.count == other.count
    model_of(layer).save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ValueError, match="has other edges"):
        model_of(other).load_weights(tmp_path / "m.weights.h5")


def check_symbolic(layer):
    """A batch of unknown size, of size 0, and the wrong number of units."""
    n_target, n_source = layer.shape
    assert layer(keras.Input((n_source,))).shape == (None, n_target)
    assert layer(np.ones((0, n_source), "f4")).shape == (0, n_target)
    with pytest.raises(ValueError, match="expected axis -1"):
        layer(np.ones((2, n_source + 1), "f4"))


def check_second_derivative(make):
    """The gradient of a gradient is that of a dense product."""
    rng = np.random.default_rng(6)
    layer, matrix = filled(make(dtype="float64"), rng)
    x, matrix = tf.constant(rng.standard_normal((2, layer.shape[1]))), tf.constant(matrix)

    def of_gradient(function):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(function(x) ** 3)
            penalty = tf.reduce_sum(inner.gradient(y, x) ** 2)
        return outer.gradient(penalty, x)

    wanted = of_gradient(lambda x: x @ tf.transpose(matrix))
    np.testing.assert_allclose(of_gradient(layer), wanted, rtol=1e-9, atol=1e-9)


def check_export(layer, tmp_path):
    """A SavedModel computes the same."""
    rng = np.random.default_rng(7)
    layer, _ = filled(layer, rng)
    model = model_of(layer)
    model.export(tmp_path / "saved", verbose=False)
    x = rng.standard_normal((2, layer.shape[1]), "f4")
    saved = tf.saved_model.load(tmp_path / "saved")
    np.testing.assert_allclose(saved.serve(x).numpy(), model(x).numpy(), atol=1e-5)
