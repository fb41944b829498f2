"""`BandProjection` against dense products, and through what Keras does with layers."""

import numpy as np
import pytest

from nnspec.backends.keras.kernels.band import BandProjection

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

# Shape, offsets, stride, wrap.
BANDS = {
    "neighbours": ((50, 50), (-2, -1, 0, 1, 2), 1, False),
    "ring": ((50, 50), (-1, 0, 3), 1, True),
    "halved": ((20, 40), (-1, 0, 1), 2, False),
    "halved_ring": ((20, 40), (-1, 0, 2), 2, True),
    "far": ((40, 30), (-25, 7, 29), 1, False),
    "gaps": ((9, 40), (0, 2), 5, False),
    "short": ((3, 4), (-2, -1, 0, 1, 2, 3), 1, False),
    "laps": ((23, 5), (-1, 0, 3), 1, True),
    "laps_with_a_stride": ((9, 7), (-2, 1), 3, True),
    "half_a_ring": ((10, 20), (-1, 1), 1, True),
    "one": ((1, 1), (0,), 4, True),
}


def maker(band):
    shape, offsets, stride, wrap = BANDS[band]
    return lambda **kwargs: BandProjection(shape, offsets, stride, wrap, **kwargs)


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize("band", BANDS)
def test_agrees_with_dense(band, mode):
    check_numbers(maker(band), mode)


@pytest.mark.parametrize("band", ["neighbours", "halved_ring", "laps_with_a_stride"])
def test_agrees_with_dense_under_xla(band):
    check_numbers(maker(band), "xla")


def test_agrees_with_dense_when_drawn():
    """Any stride, any number of laps; offsets in any order, some of which lead nowhere."""
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        n_target, n_source, stride = rng.integers(1, 14, 3).tolist()
        stride, wrap = 1 + stride % 4, bool(rng.integers(2))
        offsets = rng.permutation(np.unique(rng.integers(-6, 8, 4))).tolist()
        if wrap:
            offsets = list({offset % n_source: offset for offset in offsets}.values())
        source = stride * np.arange(n_target)[:, None] + np.array(offsets)
        inside = (source >= 0) & (source < n_source) | wrap
        if not inside.any():
            with pytest.raises(ValueError, match="leads to one of"):
                BandProjection((n_target, n_source), offsets, stride, wrap)
            refused += 1
            continue
        layer, matrix = filled(BandProjection((n_target, n_source), offsets, stride, wrap), rng)
        wanted = np.zeros(layer.shape, bool)
        wanted[np.nonzero(inside)[0], source[inside] % n_source] = True
        assert np.array_equal(matrix != 0, wanted)
        check_numbers(
            lambda layer=layer, **kwargs: type(layer).from_config({**layer.get_config(), **kwargs}), "eager"
        )
    assert refused < 15


def test_absent_edges_have_no_influence_even_when_infinite():
    rng = np.random.default_rng(1)
    for band in ("neighbours", "ring", "halved", "laps"):
        layer, matrix = filled(maker(band)(), rng)
        x = rng.standard_normal((2, layer.shape[1]), "f4")
        wanted = layer(x).numpy()
        for s in (0, 2, layer.shape[1] - 1):
            bad = x.copy()
            bad[:, s] = np.inf
            y = layer(bad).numpy()
            assert not np.isfinite(y[:, matrix[:, s] != 0]).any()
            np.testing.assert_array_equal(y[:, matrix[:, s] == 0], wanted[:, matrix[:, s] == 0])


def test_only_the_ends_have_tables():
    layer = BandProjection((10_000, 20_000), range(-4, 5), 2, wrap=True)
    assert layer.indices._tensor.shape[0] < 200
    assert layer.count == 90_000


def test_plain_sum_and_frozen():
    check_without_weight(maker("neighbours"))


@pytest.mark.slow
def test_policies():
    check_policies(maker("ring"))


def test_half_precision_adds_up_in_float32():
    layer = BandProjection((1, 1024), range(1024), dtype="mixed_bfloat16")
    layer.weight.assign(np.full(1024, 1 / 1024))
    assert float(layer(np.ones((1, 1024), "f4"))[0, 0]) == 1.0


@pytest.mark.slow
def test_training():
    check_training(maker("ring"))


@pytest.mark.slow
def test_copies(tmp_path):
    check_copies(maker("halved"), tmp_path)


def test_weights_of_other_edges_are_refused(tmp_path):
    check_refused(
        BandProjection((9, 9), (0, 1), wrap=True), BandProjection((9, 9), (0, 2), wrap=True), tmp_path
    )


def test_symbolic_batch_and_wrong_width():
    check_symbolic(maker("halved_ring")())


def test_second_derivative():
    check_second_derivative(maker("halved_ring"))


@pytest.mark.slow
def test_exports_as_a_saved_model(tmp_path):
    check_export(maker("halved")(), tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((3, 3), (0, 0)), "different"),
        (((3, 3), (0, 3), 1, True), "different"),
        (((3, 3), ()), "None of the offsets"),
        (((3, 3), (5,)), "None of the offsets"),
        (((3, 3), (0,), 0), "at least 1"),
        (((0, 3), (0,)), "at least 1"),
    ],
)
def test_refuses_what_is_no_band(arguments, message):
    with pytest.raises(ValueError, match=message):
        BandProjection(*arguments)
