"""`BlockProjection` against dense products, and through what Keras does with layers."""

import keras
import numpy as np
import pytest

from nnspec.backends.keras.kernels.blocks import BlockProjection

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
    filled,
)


def drawn(n_target, n_source, density):
    target, source = np.nonzero(np.random.default_rng(0).random((n_target, n_source)) < density)
    return source, target


# Shape, block, and the pairs.
BLOCKS = {
    "diagonal": ((12, 20), (3, 5)),
    "permuted": ((12, 20), (3, 5), [2, 0, 3, 1], [0, 1, 2, 3]),
    "regular": ((8, 6), (4, 2), [0, 2, 1, 2], [0, 0, 1, 1]),
    "hub": ((30, 24), (3, 2), [0, *range(12), 0, 5], [0, *[2] * 12, 9, 9]),
    "drawn": ((60, 99), (4, 9), *drawn(15, 11, 0.3)),
    "full": ((6, 8), (3, 2), [0, 1, 2, 3] * 2, [0] * 4 + [1] * 4),
    "none": ((6, 8), (3, 2), [], []),
    "single": ((7, 5), (1, 1), *drawn(7, 5, 0.5)),
}


def maker(blocks):
    return lambda **kwargs: BlockProjection(*BLOCKS[blocks], **kwargs)


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize("blocks", BLOCKS)
def test_agrees_with_dense(blocks, mode):
    check_numbers(maker(blocks), mode)


@pytest.mark.parametrize("blocks", ["diagonal", "hub", "drawn"])
def test_agrees_with_dense_under_xla(blocks):
    check_numbers(maker(blocks), "xla")


@pytest.mark.parametrize("blocks", BLOCKS)
def test_edges_are_those_of_the_blocks(blocks):
    shape, block, *pairs = BLOCKS[blocks]
    held = np.zeros((shape[0] // block[0], shape[1] // block[1]))
    held[tuple(pairs[::-1]) if pairs else np.diag_indices(len(held))] = 1
    _, matrix = filled(maker(blocks)(weighted=False), np.random.default_rng(0))
    np.testing.assert_array_equal(matrix, np.kron(held, np.ones(block)))


def test_absent_blocks_have_no_influence_even_when_infinite():
    rng = np.random.default_rng(1)
    layer, matrix = filled(maker("drawn")(), rng)
    x = rng.standard_normal((2, layer.shape[1]), "f4")
    wanted = layer(x).numpy()
    for s in (0, 17, 98):
        bad = x.copy()
        bad[:, s] = np.nan
        y = layer(bad).numpy()
        assert np.isnan(y[:, matrix[:, s] != 0]).all()
        np.testing.assert_allclose(y[:, matrix[:, s] == 0], wanted[:, matrix[:, s] == 0], atol=1e-6)


def test_regular_blocks_have_no_table_of_edges():
    layer = BlockProjection((4096, 4096), (16, 16))
    assert layer.indices._tensor.shape[0] == 1
    regular = BlockProjection((4096, 4096), (16, 16), np.tile([0, 1], 256), np.repeat(np.arange(256), 2))
    assert regular.indices._tensor.shape[0] < regular.count // 4


def test_plain_sum_and_frozen():
    check_without_weight(maker("drawn"))


@pytest.mark.slow
def test_policies():
    check_policies(maker("drawn"))


@pytest.mark.slow
def test_training():
    check_training(maker("regular"))


@pytest.mark.slow
def test_copies(tmp_path):
    check_copies(maker("drawn"), tmp_path)


def test_weights_of_other_edges_are_refused(tmp_path):
    check_refused(maker("diagonal")(), maker("permuted")(), tmp_path)


def test_symbolic_batch_and_wrong_width():
    check_symbolic(maker("drawn")())


def test_second_derivative():
    check_second_derivative(maker("hub"))


@pytest.mark.slow
def test_exports_as_a_saved_model(tmp_path):
    check_export(maker("drawn")(), tmp_path)


def test_a_configuration_says_the_pairs():
    config = maker("hub")().get_config()
    again = BlockProjection.from_config(config)
    assert again.get_config() == config
    assert again(keras.Input((24,))).shape == (None, 30)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((6, 6), (4, 3)), "do not divide"),
        (((6, 6), (0, 3)), "do not divide"),
        (((6, 6), (2, 3)), "cannot each feed"),
        (((6, 6), (3, 3), [1, 0], [0, 0]), "sorted by target"),
        (((6, 6), (3, 3), [2], [0]), "`source` must lie in 0 to 1"),
        (((6, 6), (3, 3), [0, 1], [0]), "equal length"),
    ],
)
def test_refuses_what_are_no_blocks(arguments, message):
    with pytest.raises(ValueError, match=message):
        BlockProjection(*arguments)
