"""The generated NumPy module as its users meet it: shapes, codes, and what is whose."""

from __future__ import annotations

import importlib
import itertools
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from nnspec.backends.emit import module
from nnspec.backends.numpy.target import TARGET
from nnspec.compiler.pipeline import understand

Generated = Callable[[str], ModuleType]
Arrays = tuple[np.ndarray, np.ndarray]

# An input on a grid that the loss compares with too, several codes a sample, a value that is passed on.
MIXED = """model mixed
input a[5]
input gr[2, 3]
target kind[2]: class[3]
layer h[5] : batch_norm, tanh
layer back[2, 3]
layer score[2, 3]
layer same[5]
connect a -> h : { i -> j : abs(i - j) <= 1 }
connect h -> back : all
connect gr -> score : all
connect a -> same : one_to_one with weight = none
output back, score, same
loss mse(back, gr) + cross_entropy(score, kind)
"""


@pytest.fixture
def mixed(
    compiled: Callable[[Path, str | None], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ModuleType:
    spec = tmp_path / "mixed.nnspec"
    spec.write_text(MIXED)
    monkeypatch.syspath_prepend(str(compiled(spec, None)))
    sys.modules.pop("mixed_numpy", None)
    return importlib.import_module("mixed_numpy")


def double(module: ModuleType) -> dict[str, np.ndarray]:
    return {name: array.astype(np.float64) for name, array in module.init(1).items()}


@pytest.mark.parametrize("batch", [(), (1,), (7,), (3, 4), (2, 1, 3), (1, 1), (0,), (0, 3)])
def test_leading_dimensions_are_the_batch(mixed: ModuleType, batch: tuple[int, ...]) -> None:
    """Outputs, layers and derivatives have them; each sample's outputs are those that it has by itself."""
    rng, p = np.random.default_rng(0), double(mixed)
    a, gr, kind = (
        rng.normal(size=(*batch, 5)),
        rng.normal(size=(*batch, 2, 3)),
        rng.integers(3, size=(*batch, 2)),
    )
    back, score, same = mixed.forward(p, a, gr)
    assert (back.shape, score.shape, same.shape) == ((*batch, 2, 3), (*batch, 2, 3), (*batch, 5))
    values = mixed.layers(p, a, gr)
    assert values["h"].shape == (*batch, 5)
    assert values["back"].shape == (*batch, 6)
    for at in np.ndindex(batch):
        np.testing.assert_allclose(back[at], mixed.forward(p, a[at], gr[at])[0], rtol=1e-12)
    if 0 in batch:
        return
    loss, g = mixed.gradients(p, a, gr, kind, training=False)
    assert g["a"].shape == a.shape
    assert g["gr"].shape == gr.shape
    rows = [x.reshape(-1, *shape) for x, shape in ((a, (5,)), (gr, (2, 3)), (kind, (2,)))]
    flat_loss, flat_g = mixed.gradients(p, *rows, training=False)
    assert loss == pytest.approx(flat_loss, rel=1e-12)
    assert loss == pytest.approx(mixed.loss(p, back, score, gr, kind), rel=1e-12)
    for name, array in g.items():
        np.testing.assert_allclose(array.reshape(flat_g[name].shape), flat_g[name], rtol=1e-12, atol=1e-15)


def test_batch_norm_pools_all_dimensions_of_the_batch(mixed: ModuleType) -> None:
    rng = np.random.default_rng(0)
    a, gr = rng.normal(size=(3, 4, 5)), rng.normal(size=(3, 4, 2, 3))
    p, q = double(mixed), double(mixed)
    values, flat = (
        mixed.layers(p, a, gr, training=True),
        mixed.layers(q, a.reshape(-1, 5), gr.reshape(-1, 2, 3), training=True),
    )
    np.testing.assert_array_equal(values["h"].reshape(-1, 5), flat["h"])
    assert np.array_equal(p["h.batch_norm.running_mean"], q["h.batch_norm.running_mean"])


@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
@pytest.mark.parametrize("training", [False, True])
def test_backward_takes_any_batch(generated: Generated, batch: tuple[int, ...], training: bool) -> None:
    part = generated("part_numpy")
    rng, p = np.random.default_rng(0), double(part)
    a, gr = rng.normal(size=(*batch, 5)), rng.normal(size=(*batch, 2, 3))
    d_k, d_o = rng.normal(size=(*batch, 2, 3)), rng.normal(size=(*batch, 4))
    if training and batch == ():
        with pytest.raises(ValueError, match="more than one sample"):
            part.layers(p, a, gr, training=True)
        return
    options = {"training": training, "rng": np.random.default_rng(1)}
    values = part.layers(p, a, gr, **options)
    g = part.backward(p, values, a, gr, d_k, d_o, training=training)
    rows = [x.reshape(-1, *s) for x, s in ((a, (5,)), (gr, (2, 3)), (d_k, (2, 3)), (d_o, (4,)))]
    options["rng"] = np.random.default_rng(1)
    flat = part.backward(p, part.layers(p, *rows[:2], **options), *rows, training=training)
    assert (g["a"].shape, g["gr"].shape) == (a.shape, gr.shape)
    for name, array in g.items():
        np.testing.assert_allclose(array.reshape(flat[name].shape), flat[name], rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="`values` are of another batch"):
        part.backward(p, values, *(np.repeat(x, 3, 0) for x in rows), training=training)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((8, 6), (8, 2, 3)), "`a` must have the shape (..., 5), but has (8, 6)."),
        (((8,), (8, 2, 3)), "`a` must have the shape (..., 5), but has (8,)."),
        (((8, 5, 1), (8, 2, 3)), "`a` must have the shape (..., 5), but has (8, 5, 1)."),
        (
            ((8, 5, 5), (8, 6)),
            "`gr` must have the shape (8, 5, 2, 3), since the batch of `a` is (8, 5), but has (8, 6).",
        ),
        (((8, 5), (3,)), "`gr` must have the shape (8, 2, 3), since the batch of `a` is (8,), but has (3,)."),
        (
            ((8, 5), (1, 2, 3)),
            "`gr` must have the shape (8, 2, 3), since the batch of `a` is (8,), but has (1, 2, 3).",
        ),
    ],
)
def test_inputs_of_other_shapes_are_refused(
    mixed: ModuleType, shapes: tuple[tuple[int, ...], ...], message: str
) -> None:
    p, before = double(mixed), double(mixed)
    arrays = [np.ones(shape) for shape in shapes]
    calls = [
        lambda: mixed.forward(p, *arrays, training=True),
        lambda: mixed.layers(p, *arrays, training=True),
        lambda: mixed.gradients(p, *arrays, np.zeros((8, 2), int)),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            call()
    for name, array in before.items():
        assert np.array_equal(p[name], array), name


@pytest.mark.parametrize("shape", [(8, 1), (3,), (1, 3), (8,), (8, 3, 1), (7, 3)])
def test_targets_are_not_broadcast(generated: Generated, shape: tuple[int, ...]) -> None:
    module = generated("masked_dense_numpy")
    p, x, y = module.init(), np.ones((8, 20)), np.ones(shape)
    out = module.forward(p, x)
    (target,) = set(module.loss.__code__.co_varnames[: module.loss.__code__.co_argcount]) - {
        "parameters",
        *module.layers(p, x),
    }
    for call in (lambda: module.gradients(p, x, y), lambda: module.loss(p, out, y)):
        with pytest.raises(ValueError, match=rf"`{target}` must have the shape .*, but has \({shape[0]},"):
            call()


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.full(8, -1), "`digit` must hold integers from 0 to 9, but holds -1."),
        (np.full(8, 10), "`digit` must hold integers from 0 to 9, but holds 10."),
        (np.full(8, 1.0), "`digit` must hold integers from 0 to 9, but is an array of float64."),
        (np.full(8, True), "`digit` must hold integers from 0 to 9, but is an array of bool."),
        (np.zeros((8, 1), int), "but has (8, 1)."),
    ],
)
def test_codes_are_integers_in_range(graph_mlp: ModuleType, codes: np.ndarray, message: str) -> None:
    p, x = graph_mlp.init(), np.ones((8, 64))
    score = graph_mlp.forward(p, x)
    for call in (lambda: graph_mlp.gradients(p, x, codes), lambda: graph_mlp.loss(p, score, codes)):
        with pytest.raises(ValueError, match=re.escape(message)):
            call()
    assert np.isfinite(graph_mlp.loss(p, score, np.arange(8, dtype=np.uint8)))


# ------------------------------------------------------------------------------------- what belongs to whom


def test_nothing_that_is_passed_in_is_changed(mixed: ModuleType) -> None:
    rng, p = np.random.default_rng(0), double(mixed)
    data = [rng.normal(size=(4, 5)), rng.normal(size=(4, 2, 3)), rng.integers(3, size=(4, 2))]
    held = [p, *data]
    before = [dict(p), *(array.copy() for array in data)]
    contents = {name: array.copy() for name, array in p.items()}
    for array in (*p.values(), *data):
        array.setflags(write=False)
    _, g = mixed.gradients(p, *data)
    values = mixed.layers(p, *data[:2], training=True)
    mixed.load_arrays(mixed.to_arrays(p))
    for array, old in zip(held[1:], before[1:], strict=True):
        assert np.array_equal(array, old)
    for name, array in before[0].items():  # in training the dict gets new running statistics
        assert np.array_equal(array, contents[name])
    given = (*before[0].values(), *data)
    for result in (*g.values(), *values.values()):
        assert not any(np.shares_memory(result, array) for array in given)
    outputs = mixed.forward(p, *data[:2])
    assert not any(np.shares_memory(output, array) for output in outputs for array in data)


def test_what_is_given_out_can_be_changed_without_changing_the_module(generated: Generated) -> None:
    for name in ("zoo", "ring", "graph_mlp", "breast_cancer", "les_miserables"):
        module = generated(f"{name}_numpy")
        first = module.init(3)
        for array in first.values():
            array += 1
        arrays = module.to_arrays(module.init(3))
        for array in arrays.values():
            array += 1
        again = module.init(3)
        assert all(np.array_equal(array + 1, first[name]) for name, array in again.items())
        assert module.load_arrays(module.to_arrays(again)).keys() == again.keys()
        loaded = module.load_arrays(again)
        assert not any(np.shares_memory(loaded[name], again[name]) for name in again)
        if hasattr(module, "wiring"):
            wiring = module.wiring()
            with pytest.raises(TypeError):
                wiring["new"] = 1
            with pytest.raises(ValueError, match="read-only"):
                next(iter(wiring.values()))[:1] = 0
        if hasattr(module, "unit_names"):
            axis = module.unit_names.__doc__.partition('- "')[2].partition('"')[0]
            names = module.unit_names(axis)
            names[:] = names[::-1].copy()
            assert not np.array_equal(module.unit_names(axis), names)


def test_running_statistics_move_once(graph_mlp: ModuleType, digits: Arrays) -> None:
    """By as much in `gradients` as in `layers`; outside training not at all."""
    name = "grid.batch_norm.running_mean"
    p, q, r = graph_mlp.init(), graph_mlp.init(), graph_mlp.init()
    graph_mlp.gradients(p, *digits, rng=np.random.default_rng(0))
    graph_mlp.layers(q, digits[0], training=True, rng=np.random.default_rng(0))
    graph_mlp.gradients(r, *digits, training=False)
    assert np.array_equal(p[name], q[name])
    assert np.array_equal(r[name], graph_mlp.init()[name])
    assert not np.array_equal(p[name], r[name])


def test_without_a_seed_start_values_differ(graph_mlp: ModuleType) -> None:
    drawn = [graph_mlp.init(seed=seed)["grid_score.weight"] for seed in (None, None, 0, 0)]
    assert not np.array_equal(drawn[0], drawn[1])
    assert np.array_equal(drawn[2], drawn[3])
    assert "seed=None" in graph_mlp.init.__doc__


def test_small_networks_have_nothing_unused(tmp_path: Path) -> None:
    """Not even where there are no parameters, or where no derivative reads a value."""
    connects = (
        "one_to_one with weight = none",
        "all with trainable = false",
        "{ i -> i }",
        "random(fan_in = 2)",
    )
    losses = ("", "target t[3]\nloss mse(y, t)", "loss 0.1 * l2(w)")
    steps = (
        "",
        " : bias(off)",
        " : bias(off), dropout(0.5)",
        " : batch_norm, tanh",
        " : bias(off), scale(2)",
    )
    for at, (connect, loss, step) in enumerate(itertools.product(connects, losses, steps)):
        if "l2" not in loss or connect in ("random(fan_in = 2)", "{ i -> i }"):
            text = f"model small\ninput x[3]\nlayer y[3]{step}\nconnect x -> y as w : {connect}\noutput y\n"
            plan = understand(tmp_path / "small.nnspec", text=text + loss).plan
            (tmp_path / f"small_{at}.py").write_text(module(TARGET, TARGET.render(plan)))
    assert len([*tmp_path.iterdir()]) == 50
    checked = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F", "."]
    finished = subprocess.run(checked, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout
