"""What the generated Keras model takes: any dimensions of the batch, targets of one shape, codes in range."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import ModuleType

import keras
import numpy as np
import pytest

pytestmark = pytest.mark.xdist_group("keras")
Arrays = tuple[np.ndarray, np.ndarray]


def test_leading_dimensions_are_the_batch(graph_mlp: ModuleType) -> None:
    model = graph_mlp.build_model(seed=1)
    for batch in ((), (1,), (3, 4), (2, 1, 3), (0,), (0, 2)):
        x = np.random.default_rng(0).random((*batch, 64), np.float32)
        score = keras.ops.convert_to_numpy(model(x))
        assert score.shape == (*batch, 10)
        flat = keras.ops.convert_to_numpy(model(x.reshape(-1, 64)))
        np.testing.assert_allclose(score.reshape(-1, 10), flat, rtol=1e-5, atol=1e-6)


def test_several_inputs_and_shapes(generated: Callable[[str], ModuleType]) -> None:
    part = generated("part_keras")
    model = part.build_model(seed=1)
    rng = np.random.default_rng(0)
    a, gr = rng.random((3, 4, 5), np.float32), rng.random((3, 4, 2, 3), np.float32)
    for given in ([a, gr], {"a": a, "gr": gr}):
        k, o = model(given)
        assert (tuple(k.shape), tuple(o.shape)) == ((3, 4, 2, 3), (3, 4, 4))
    flat, _ = model([a.reshape(-1, 5), gr.reshape(-1, 2, 3)])
    np.testing.assert_allclose(np.reshape(k, (12, 2, 3)), flat, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=re.escape("`gr` must have the shape (3, 4, 2, 3), since the batch")):
        model([a, gr[:1]])


def test_in_a_larger_model_and_in_time(graph_mlp: ModuleType) -> None:
    """Symbolically, with a dimension more, and distributed over time: the same."""
    model = graph_mlp.build_model(seed=1)
    inputs = keras.Input((5, 64))
    larger = keras.Model(inputs, [model(inputs), keras.layers.TimeDistributed(model)(inputs)])
    assert larger.output_shape == [(None, 5, 10), (None, 5, 10)]
    direct, distributed = larger.predict(np.random.default_rng(0).random((3, 5, 64)), verbose=0)
    np.testing.assert_allclose(direct, distributed, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_fit_with_dimensions_of_the_batch(graph_mlp: ModuleType, digits: Arrays) -> None:
    """The loss is a mean over all of them: the same samples in a row learn the same, with jit too."""
    x, y = digits
    losses = []
    for shape, jit in (((48,), False), ((12, 4), False), ((12, 4), True)):
        model = graph_mlp.build_model(seed=1)
        model.get_layer("grid").rate = 0.0
        model.compile(keras.optimizers.SGD(0.1), loss=graph_mlp.loss, jit_compile=jit)
        history = model.fit(
            x.reshape(*shape, 64), y.reshape(shape), batch_size=shape[0], epochs=2, shuffle=False, verbose=0
        )
        losses.append(history.history["loss"])
    np.testing.assert_allclose(losses, [losses[0]] * 3, rtol=1e-4)


def test_inputs_of_other_shapes_are_refused(graph_mlp: ModuleType) -> None:
    """Called, by `predict` and symbolically; Keras would squeeze (8, 64, 1) by itself."""
    model = graph_mlp.build_model(seed=1)
    for shape in ((8, 65), (8,), (8, 64, 1), (65,), (8, 64, 2)):
        message = re.escape(f"`pixels` must have the shape (..., 64), but has {shape}.")
        with pytest.raises(ValueError, match=message):
            model(np.ones(shape, np.float32))
        if len(shape) > 1:
            with pytest.raises(ValueError, match=message.replace("8", "None")):
                model(keras.Input(shape[1:]))
    with pytest.raises(ValueError, match=re.escape("`pixels` must have the shape (..., 64)")):
        model.predict(np.ones((8, 64, 1), np.float32), verbose=0)


def test_targets_are_not_broadcast(masked_dense: ModuleType) -> None:
    """By themselves, and in `fit`, traced and eagerly."""
    model = masked_dense.build_model(seed=1)
    x = np.ones((8, 20))
    for eager, shapes in ((False, [(8, 1), (8,)]), (True, [(8, 1), (8,), (8, 3, 1, 1), (8, 2)])):
        model.compile("sgd", loss=masked_dense.loss, run_eagerly=eager)
        for shape in shapes:
            with pytest.raises(ValueError, match=r"must have the shape \(.*3\)"):
                model.fit(x, np.ones(shape), verbose=0)
            with pytest.raises(ValueError, match=r"must have the shape \(.*3\)"):
                masked_dense.loss(np.ones(shape), model(x))


def test_a_batch_of_targets_is_that_of_the_predictions(masked_dense: ModuleType) -> None:
    model = masked_dense.build_model(seed=1)
    with pytest.raises(
        ValueError, match=r"must have the shape \(8, 3\), since the batch of .* but has \(1, 3\)"
    ):
        masked_dense.loss(np.ones((1, 3)), model(np.ones((8, 20))))


def test_codes_are_integers_in_range(graph_mlp: ModuleType, digits: Arrays) -> None:
    """An error where codes are known, also in `fit` if that runs eagerly."""
    x, y = digits
    model = graph_mlp.build_model(seed=1)
    model.compile("sgd", loss=graph_mlp.loss, run_eagerly=True)
    for wrong in (-1, 10, 2.5):
        codes = np.where(np.arange(48) == 7, wrong, y)
        message = re.escape(f"`digit` must hold integers from 0 to 9, but holds {codes[7]}")
        with pytest.raises(ValueError, match=message):
            graph_mlp.loss(codes, model(x))
        with pytest.raises(ValueError, match=r"`digit` must hold integers from 0 to 9, but holds"):
            model.fit(x, codes, batch_size=48, verbose=0)
    with pytest.raises(ValueError, match="bool"):
        graph_mlp.loss(y > 5, model(x))


@pytest.mark.parametrize("jit", [False, True])
def test_no_code_out_of_range_is_learnt_in_compiled_training(
    graph_mlp: ModuleType, digits: Arrays, jit: bool
) -> None:
    """An error of the backend, or a loss that is not a number."""
    import tensorflow as tf

    x, y = digits
    model = graph_mlp.build_model(seed=1)
    model.compile("sgd", loss=graph_mlp.loss, jit_compile=jit)
    for wrong in (-1, 10, 2.5):
        codes = np.where(np.arange(48) == 7, wrong, y)
        graph_mlp.load_arrays(model, graph_mlp.start_values(1))
        try:
            loss = model.test_on_batch(x, codes)
        except tf.errors.InvalidArgumentError as error:
            assert "outside the valid range" in str(error)  # noqa: PT017
        else:
            assert np.isnan(loss)


def test_a_column_of_codes_is_taken(graph_mlp: ModuleType, digits: Arrays) -> None:
    """As Keras' own losses take it."""
    x, y = digits
    model = graph_mlp.build_model(seed=1)
    score = model(x)
    np.testing.assert_array_equal(graph_mlp.loss(y[:, None], score), graph_mlp.loss(y, score))


def test_arrays_are_copies(graph_mlp: ModuleType) -> None:
    """Both ways, digests too."""
    model = graph_mlp.build_model(seed=1)
    before = graph_mlp.to_arrays(model)
    for array in graph_mlp.to_arrays(model).values():
        array += 1
    given = {name: array.copy() for name, array in before.items()}
    graph_mlp.load_arrays(model, given)
    for array in given.values():
        array += 1
    for name, array in graph_mlp.to_arrays(model).items():
        assert np.array_equal(array, before[name]), name


def test_without_a_seed_models_differ_as_keras_is_seeded(graph_mlp: ModuleType) -> None:
    def drawn(seed: int | None) -> np.ndarray:
        return graph_mlp.to_arrays(graph_mlp.build_model(seed=seed))["grid_score.weight"]

    keras.utils.set_random_seed(5)
    one, other = drawn(None), drawn(None)
    keras.utils.set_random_seed(5)
    assert np.array_equal(drawn(None), one)
    assert not np.array_equal(one, other)
    assert np.array_equal(drawn(0), drawn(0))
    assert "seed=None" in graph_mlp.build_model.__doc__
