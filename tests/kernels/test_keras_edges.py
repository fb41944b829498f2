"""`EdgeProjection` against masked dense and scipy products, and through all that Keras does with layers."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import gc

import keras
import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf

from nnspec.backends.keras.kernels.edges import EdgeProjection, GatherPlan, IndexArrays
from nnspec.backends.kernels import closure

from .. import processes
from .keras_layers import POLICIES, output_and_gradients


def random_edges(rng, n_target, n_source, count):
    chosen = np.sort(rng.choice(n_target * n_source, count, replace=False))
    return chosen % n_source, chosen // n_source


def hub_edges(rng, n_target, n_source):
    """Target 1 reads everything, source 0 is read by everyone but target 0, which reads nothing."""
    matrix = rng.random((n_target, n_source)) < 0.01
    matrix[1:, 0] = True
    matrix[1] = True
    matrix[0] = False
    target, source = np.nonzero(matrix)
    return source, target


def edge_sets():
    rng = np.random.default_rng(0)
    yield "random", (7, 5), random_edges(rng, 7, 5, 12)
    yield "none", (4, 3), (np.zeros(0, int), np.zeros(0, int))
    yield "one", (3, 4), (np.array([2]), np.array([1]))
    yield "full", (5, 40), random_edges(rng, 5, 40, 200)
    yield "hub", (50, 600), hub_edges(rng, 50, 600)
    regular = np.sort(np.argsort(rng.random((3000, 3001)), axis=1)[:, :6], axis=1)
    yield "regular", (3000, 3001), (regular.ravel(), np.repeat(np.arange(3000), 6))
    yield "permutation", (9, 9), (rng.permutation(9), np.arange(9))


EDGE_SETS = [pytest.param(shape, source, target, id=name) for name, shape, (source, target) in edge_sets()]


def make(shape, source, target, rng, **kwargs):
    layer = EdgeProjection(shape, source, target, **kwargs)
    if layer.weight is not None:
        layer.weight.assign(rng.standard_normal(len(source)))
    return layer


def dense(layer, source, target):
    matrix = np.zeros(layer.shape)
    matrix[target, source] = 1 if layer.weight is None else keras.ops.convert_to_numpy(layer.weight)
    return matrix


# XLA compiles for seconds where a unit has hundreds of edges.
MODES = [
    pytest.param(
        *edges.values,
        mode,
        id=f"{edges.id}-{mode}",
        marks=[pytest.mark.slow] if (edges.id, mode) == ("hub", "xla") else [],
    )
    for edges in EDGE_SETS
    for mode in ("eager", "graph", "xla")
]


@pytest.mark.parametrize(("shape", "source", "target", "mode"), MODES)
def test_agrees_with_dense_and_scipy(shape, source, target, mode):
    rng = np.random.default_rng(1)
    layer = make(shape, source, target, rng, dtype="float64")
    x, upstream = rng.standard_normal((3, shape[1])), rng.standard_normal((3, shape[0]))
    y, of_x, of_weight = output_and_gradients(layer, x, upstream, mode)
    matrix = dense(layer, source, target)
    np.testing.assert_allclose(y, x @ matrix.T, atol=1e-12)
    np.testing.assert_allclose(of_x, upstream @ matrix, atol=1e-12)
    np.testing.assert_allclose(of_weight, (upstream.T @ x)[target, source], atol=1e-12)
    csr = scipy.sparse.csr_array((layer.weight.numpy(), (target, source)), shape)
    np.testing.assert_allclose(y, (csr @ x.T).T, atol=1e-12)
    assert (y[:, np.bincount(target, minlength=shape[0]) == 0] == 0).all()
    assert (of_x[:, np.bincount(source, minlength=shape[1]) == 0] == 0).all()


@pytest.mark.parametrize(("shape", "source", "target"), EDGE_SETS)
def test_plain_sum(shape, source, target):
    rng = np.random.default_rng(2)
    layer = make(shape, source, target, rng, weighted=False)
    assert layer.count_params() == 0
    x, upstream = rng.standard_normal((3, shape[1]), "f4"), rng.standard_normal((3, shape[0]), "f4")
    y, of_x = output_and_gradients(layer, x, upstream, "graph")
    np.testing.assert_allclose(y, x @ dense(layer, source, target).T, atol=1e-4)
    np.testing.assert_allclose(of_x, upstream @ dense(layer, source, target), atol=1e-4)


def test_numeric_gradients():
    rng = np.random.default_rng(3)
    source, target = random_edges(rng, 6, 40, 110)
    layer = make((6, 40), source, target, rng, dtype="float64")
    x = tf.constant(rng.standard_normal((2, 40)))

    def loss(x, weight):
        layer.weight.assign(weight)
        return float(tf.reduce_sum(tf.square(layer(x))))

    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.reduce_sum(tf.square(layer(x)))
    of_x, of_weight = (g.numpy() for g in tape.gradient(value, [x, layer.weight.value]))
    weight, step = layer.weight.numpy(), 1e-5
    for e in range(0, len(source), 7):
        moved = step * (np.arange(len(source)) == e)
        numeric = (loss(x, weight + moved) - loss(x, weight - moved)) / (2 * step)
        assert numeric == pytest.approx(of_weight[e], abs=1e-6)
    for s in range(0, 40, 5):
        moved = step * (np.arange(40) == s)
        numeric = (loss(x + moved, weight) - loss(x - moved, weight)) / (2 * step)
        assert numeric == pytest.approx(of_x[:, s].sum(), abs=1e-6)


def test_absent_edges_have_no_influence_even_when_infinite():
    rng = np.random.default_rng(4)
    source, target = hub_edges(rng, 30, 200)
    layer = make((30, 200), source, target, rng)
    x = rng.standard_normal((2, 200), "f4")
    for s in (0, 5, 17):
        bad = x.copy()
        bad[:, s] = np.nan
        reads = np.isin(np.arange(30), target[source == s])
        y = layer(bad).numpy()
        assert np.isnan(y[:, reads]).all()
        np.testing.assert_array_equal(y[:, ~reads], layer(x).numpy()[:, ~reads])


def test_large_groups_take_few_operations():
    rng = np.random.default_rng(5)
    size = rng.integers(0, 5000, 300)
    group = np.repeat(np.arange(300), size)
    indices = IndexArrays()
    plan = GatherPlan(rng.integers(0, 9, len(group)), group, 300, indices)
    indices.close()
    assert len(plan.stages) == 4
    assert sum(len(stage) for stage in plan.stages) <= 4 * GatherPlan.LONGEST
    assert sum(int(np.prod(table[1])) for table, _ in plan.stages[0]) == len(group)
    ones = plan.sum(keras.ops.ones((9, 1)))
    np.testing.assert_array_equal(ones.numpy()[:, 0], size)


def small_model(rng, **kwargs):
    source, target = random_edges(rng, 8, 12, 40)
    back = random_edges(rng, 4, 8, 16)
    inputs = keras.Input((12,))
    hidden = EdgeProjection((8, 12), source, target, name="first", **kwargs)
    last = EdgeProjection((4, 8), *back, name="last")
    outputs = last(keras.layers.Activation("tanh")(hidden(inputs)))
    for layer in (hidden, last):
        layer.weight.assign(rng.standard_normal(layer.weight.shape) / 2)
    return keras.Model(inputs, outputs)


def data(rng):
    return rng.standard_normal((50, 12), "f4"), rng.standard_normal((50, 4), "f4")


@pytest.mark.slow
def test_eager_predict_and_fit_agree():
    rng = np.random.default_rng(6)
    x, y = data(rng)
    model = small_model(rng)
    start = [w.copy() for w in model.get_weights()]
    np.testing.assert_allclose(model(x).numpy(), model.predict(x, verbose=0), atol=1e-5)
    trained = {}
    for how in ({"jit_compile": False}, {"jit_compile": True}, {"run_eagerly": True, "jit_compile": False}):
        model.set_weights(start)
        model.compile(keras.optimizers.SGD(0.1), "mse", **how)
        history = model.fit(x, y, epochs=2, batch_size=16, shuffle=False, verbose=0)
        assert history.history["loss"][1] < history.history["loss"][0]
        trained[str(how)] = model.get_weights()
    first, *others = trained.values()
    assert all(not np.allclose(a, b) for a, b in zip(start, first, strict=True))
    for other in others:
        for a, b in zip(first, other, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("policy", [*POLICIES, pytest.param("bfloat16", marks=pytest.mark.slow)])
def test_policies(policy):
    rng = np.random.default_rng(7)
    source, target = random_edges(rng, 5, 400, 900)
    layer = make((5, 400), source, target, rng, dtype=policy)
    x, upstream = rng.standard_normal((3, 400), "f4"), rng.standard_normal((3, 5), "f4")
    half = policy.endswith("float16")
    y, of_x, of_weight = output_and_gradients(
        layer, x, tf.cast(upstream, layer.compute_dtype).numpy(), "graph"
    )
    assert y.dtype == layer.compute_dtype
    assert of_x.dtype == np.float32
    assert of_weight.dtype == layer.variable_dtype
    matrix = dense(layer, source, target)
    tolerance = {"rtol": 2e-2, "atol": 2e-1} if half else {"atol": 1e-5}
    np.testing.assert_allclose(y.astype("f8"), x @ matrix.T, **tolerance)
    np.testing.assert_allclose(of_x, upstream @ matrix, **tolerance)
    np.testing.assert_allclose(of_weight.astype("f8"), (upstream.T @ x)[target, source], **tolerance)


def test_half_precision_adds_up_in_float32():
    layer = EdgeProjection((1, 4096), np.arange(4096), np.zeros(4096, int), dtype="mixed_bfloat16")
    layer.weight.assign(np.full(4096, 1 / 4096))
    assert float(layer(np.ones((1, 4096), "f4"))[0, 0]) == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("jit", [False, True])
def test_fit_in_mixed_precision(jit):
    rng = np.random.default_rng(8)
    x, y = data(rng)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = small_model(rng)
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit)
    losses = model.fit(x, y, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_frozen_weights_stay_under_adam_with_decay():
    rng = np.random.default_rng(9)
    x, y = data(rng)
    model = small_model(rng, trainable=False)
    before = model.get_layer("first").weight.numpy()
    last = model.get_layer("last").weight.numpy()
    assert len(model.trainable_variables) == 1
    model.compile(keras.optimizers.Adam(0.01, weight_decay=0.1), "mse")
    losses = model.fit(x, y, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    np.testing.assert_array_equal(model.get_layer("first").weight.numpy(), before)
    assert not np.allclose(model.get_layer("last").weight.numpy(), last)


def test_regularizer_and_count():
    rng = np.random.default_rng(10)
    source, target = random_edges(rng, 8, 12, 40)
    layer = make((8, 12), source, target, rng, regularizer=keras.regularizers.L2(0.5))
    assert layer.count_params() == 40
    assert float(layer.losses[0]) == pytest.approx(0.5 * np.square(layer.weight.numpy()).sum(), rel=1e-5)
    again = EdgeProjection.from_config(layer.get_config())
    assert again.regularizer.l2 == pytest.approx(0.5)


def test_symbolic_batch_and_wrong_width():
    layer = EdgeProjection((2, 3), [0, 1], [0, 1])
    assert layer(keras.Input((3,))).shape == (None, 2)
    assert layer(np.ones((0, 3), "f4")).shape == (0, 2)
    with pytest.raises(ValueError, match="expected axis -1"):
        layer(np.ones((2, 4), "f4"))


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ([1, 0], [0, 0], "edge 0 is 1 -> 0 and edge 1 is 0 -> 0"),
        ([0, 0], [0, 0], "distinct"),
        ([0, 0], [1, 0], "sorted by target"),
        ([0, 3], [0, 1], "`source` must lie in 0 to 2"),
        ([0, -1], [0, 1], "`source` must lie in 0 to 2"),
        ([0, 1], [0, 2], "`target` must lie in 0 to 1"),
        ([0], [0, 1], "equal length"),
    ],
)
def test_refuses_bad_edges(source, target, message):
    with pytest.raises(ValueError, match=message):
        EdgeProjection((2, 3), source, target)


def test_clone_shares_the_edges():
    rng = np.random.default_rng(11)
    model = small_model(rng)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    x, _ = data(rng)
    np.testing.assert_array_equal(clone(x).numpy(), model(x).numpy())
    assert clone.get_layer("first")._tables is model.get_layer("first")._tables


def test_configuration_alone_has_no_edges():
    config = EdgeProjection((2, 3), [0, 2], [0, 1]).get_config()
    gc.collect()  # the layer above is gone
    layer = EdgeProjection.from_config(config)
    assert layer.count_params() == 2
    assert layer(keras.Input((3,))).shape == (None, 2)
    with pytest.raises(ValueError, match="no edges yet"):
        layer(np.ones((1, 3), "f4"))


def test_weights_of_other_edges_are_refused(tmp_path):
    path = tmp_path / "m.weights.h5"
    model = small_model(np.random.default_rng(12))
    model.save_weights(path)
    other = small_model(np.random.default_rng(13))
    with pytest.raises(ValueError, match="has other edges"):
        other.load_weights(path)
    again = small_model(np.random.default_rng(12))
    again.get_layer("first").weight.assign(np.zeros(40))
    again.load_weights(path)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_load_in_a_process_with_the_kernel_alone(tmp_path):
    rng = np.random.default_rng(14)
    registered = keras.saving.register_keras_serializable("alone")
    x, y = data(rng)
    try:
        registered(EdgeProjection)
        model = small_model(rng, regularizer=keras.regularizers.L1(1e-4))
        model.compile("adam", "mse")
        model.fit(x, y, verbose=0)
        model.save(tmp_path / "m.keras")
    finally:
        keras.saving.get_custom_objects().clear()
        keras.src.saving.object_registration.GLOBAL_CUSTOM_NAMES.pop(EdgeProjection, None)
    np.savez(tmp_path / "data.npz", x=x, y=model(x).numpy())
    copied = closure("keras", {"EdgeProjection"})
    imports = "\n".join(sorted({line for definition in copied for _, line in definition.imports}))
    (tmp_path / "small.py").write_text(
        "\n\n".join([imports, *(definition.source for definition in copied)])
        + "\n\nkeras.saving.register_keras_serializable('alone')(EdgeProjection)\n"
    )
    (tmp_path / "main.py").write_text(
        "import keras, numpy as np, small\n"
        "model = keras.models.load_model('m.keras')\n"
        "data = np.load('data.npz')\n"
        "np.testing.assert_allclose(model(data['x']).numpy(), data['y'], atol=1e-6)\n"
        "np.testing.assert_allclose(model.predict(data['x'], verbose=0), data['y'], atol=1e-5)\n"
        "assert type(model.layers[1]) is small.EdgeProjection\n"
        "model.fit(data['x'], data['y'], verbose=0)\n"
        "assert model.count_params() == 56\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    finished = processes.run(["main.py"], having="keras", cwd=tmp_path, env=environment)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.slow
def test_exports_as_a_saved_model(tmp_path):
    rng = np.random.default_rng(15)
    source, target = random_edges(rng, 2000, 3000, 50_000)
    inputs = keras.Input((3000,))
    layer = EdgeProjection((2000, 3000), source, target)
    model = keras.Model(inputs, layer(inputs))
    layer.weight.assign(rng.standard_normal(50_000))
    model.export(tmp_path / "saved", verbose=False)
    x = rng.standard_normal((2, 3000), "f4")
    saved = tf.saved_model.load(tmp_path / "saved")
    np.testing.assert_allclose(saved.serve(x).numpy(), model(x).numpy(), atol=1e-4)
    size = sum(path.stat().st_size for path in (tmp_path / "saved").rglob("*") if path.is_file())
    assert size < 60 * 50_000  # bytes


def test_tables_are_inputs_of_a_compiled_function_not_constants():
    rng = np.random.default_rng(16)
    source, target = random_edges(rng, 2000, 3000, 50_000)
    layer = EdgeProjection((2000, 3000), source, target)
    function = tf.function(layer).get_concrete_function(tf.TensorSpec((None, 3000)))
    assert function.graph.as_graph_def().ByteSize() < 4 * 50_000


def test_second_derivative():
    rng = np.random.default_rng(17)
    source, target = random_edges(rng, 6, 8, 20)
    layer = make((6, 8), source, target, rng, dtype="float64")
    x = tf.constant(rng.standard_normal((2, 8)))
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = tf.reduce_sum(layer(x) ** 3)
        gradient = inner.gradient(y, x)
        penalty = tf.reduce_sum(gradient**2)
    of_x = outer.gradient(penalty, x)
    matrix = tf.constant(dense(layer, source, target))
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = tf.reduce_sum((x @ tf.transpose(matrix)) ** 3)
        penalty = tf.reduce_sum(inner.gradient(y, x) ** 2)
    np.testing.assert_allclose(of_x, outer.gradient(penalty, x), atol=1e-9)
