"""`MaskedProjection` against dense products, and all structures in processes that have the kernels alone."""

import os

import keras
import numpy as np
import pytest

from nnspec.backends.keras.kernels.band import BandProjection
from nnspec.backends.keras.kernels.blocks import BlockProjection
from nnspec.backends.keras.kernels.masked import MaskedProjection
from nnspec.backends.kernels import closure

from .. import processes
from .keras_layers import (
    check_copies,
    check_export,
    check_numbers,
    check_policies,
    check_refused,
    check_second_derivative,
    check_symbolic,
    check_training,
    check_without_weight,
)


def drawn(n_target, n_source, density, seed=0):
    target, source = np.nonzero(np.random.default_rng(seed).random((n_target, n_source)) < density)
    return source, target


EDGES = {
    "drawn": ((30, 40), *drawn(30, 40, 0.3)),
    "few": ((7, 5), [2, 4], [1, 5]),
    "none": ((4, 3), [], []),
    "full": ((5, 4), *drawn(5, 4, 2)),
}


def maker(edges):
    return lambda **kwargs: MaskedProjection(*EDGES[edges], **kwargs)


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
@pytest.mark.parametrize("edges", EDGES)
def test_agrees_with_dense(edges, mode):
    check_numbers(maker(edges), mode)


def test_plain_sum_and_frozen():
    check_without_weight(maker("drawn"))


def test_policies():
    check_policies(maker("drawn"))


@pytest.mark.slow
def test_training():
    check_training(maker("drawn"))


@pytest.mark.slow
def test_copies(tmp_path):
    check_copies(maker("drawn"), tmp_path)


def test_weights_of_other_edges_are_refused(tmp_path):
    check_refused(
        MaskedProjection((2, 3), [0, 2], [0, 1]), MaskedProjection((2, 3), [1, 2], [0, 1]), tmp_path
    )


def test_symbolic_batch_and_wrong_width():
    check_symbolic(maker("drawn")())


def test_second_derivative():
    check_second_derivative(maker("drawn"))


@pytest.mark.slow
def test_exports_as_a_saved_model(tmp_path):
    check_export(maker("drawn")(), tmp_path)


def test_configuration_alone_has_no_edges():
    layer = MaskedProjection.from_config(
        {**maker("few")().get_config(), "edges": {"count": 2, "digest": "00" * 32}}
    )
    assert layer.count_params() == 2
    with pytest.raises(ValueError, match="no edges yet"):
        layer(np.ones((1, 5), "f4"))


def test_refuses_matrices_that_are_too_large():
    with pytest.raises(ValueError, match=r"more than 2\^31"):
        MaskedProjection((100_000, 100_000), [0], [0])


def test_refuses_bad_edges():
    with pytest.raises(ValueError, match="sorted by target"):
        MaskedProjection((2, 3), [0, 0], [1, 0])


# ---------------------------------------------------------------- all structures, without the compiler


LAYERS = (BandProjection, BlockProjection, MaskedProjection)

MAIN = """
import keras, numpy as np, small, sys
model = keras.models.load_model("m.keras")
data = np.load("data.npz")
call = lambda model: keras.ops.convert_to_numpy(model(data["x"]))
np.testing.assert_allclose(call(model), data["y"], atol=1e-5)
np.testing.assert_allclose(model.predict(data["x"], verbose=0), data["y"], atol=1e-5)
clone = keras.models.clone_model(model)
clone.set_weights(model.get_weights())
np.testing.assert_allclose(call(clone), data["y"], atol=1e-5)
clone.load_weights("m.weights.h5")
model.compile(keras.optimizers.SGD(0.1), "mse")
model.fit(data["x"], 0 * data["y"], batch_size=8, epochs=2, shuffle=False, verbose=0)
for a, b in zip(model.get_weights(), (data[f"w{i}"] for i in range(3)), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5)
assert not any(name.startswith("nnspec") for name in sys.modules)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with a model of all structures, what it computes and learns, and the kernels as a module."""
    folder, rng = tmp_path_factory.mktemp("saved"), np.random.default_rng(2)
    registered = keras.saving.register_keras_serializable("alone")
    inputs = keras.Input((24,))
    x = inputs
    try:
        for layer in (
            BandProjection((12, 24), (-1, 0, 3), 2, wrap=True),
            BlockProjection((12, 12), (2, 3), [1, 0, 2], [0, 3, 3], regularizer=keras.regularizers.L2(1e-3)),
            MaskedProjection((6, 12), *drawn(6, 12, 0.5)),
        ):
            registered(type(layer))
            layer.weight.assign(rng.standard_normal(layer.count) / 2)
            x = keras.layers.Activation("tanh")(layer(x))
        model = keras.Model(inputs, x)
        model.save(folder / "m.keras")
    finally:
        keras.saving.get_custom_objects().clear()
        for kind in LAYERS:
            keras.src.saving.object_registration.GLOBAL_CUSTOM_NAMES.pop(kind, None)
    model.save_weights(folder / "m.weights.h5")
    x = rng.standard_normal((16, 24), "f4")
    y = model(x).numpy()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(x, 0 * y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    np.savez(folder / "data.npz", x=x, y=y, **{f"w{i}": w for i, w in enumerate(model.get_weights())})
    copied = closure("keras", {kind.__name__ for kind in LAYERS})
    imports = "\n".join(sorted({line for definition in copied for _, line in definition.imports}))
    names = "\n".join(
        f"keras.saving.register_keras_serializable('alone')({kind.__name__})" for kind in LAYERS
    )
    text = "\n\n".join(["from __future__ import annotations", imports, *(d.source for d in copied), names])
    (folder / "small.py").write_text(text + "\n")
    (folder / "main.py").write_text(MAIN)
    return folder


@pytest.mark.parametrize("backend", ["tensorflow", pytest.param("torch", marks=pytest.mark.slow)])
def test_load_in_a_process_with_the_kernels_alone(saved, backend):
    environment = {**os.environ, "PYTHONPATH": str(saved), "KERAS_BACKEND": backend}
    having = "keras" if backend == "tensorflow" else "torch"
    finished = processes.run(["main.py"], having=having, cwd=saved, env=environment)
    assert finished.returncode == 0, finished.stderr[-4000:]
