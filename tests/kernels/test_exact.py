"""Every kernel that can compute some edges against integer arithmetic, to the last bit, however it is run.

Integers are drawn so small that no sum of them is rounded, in any order: what differs by one bit is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnspec.backends.common.kernels.rules import shifted_edges
from nnspec.backends.emit import write
from nnspec.backends.numpy.kernels.edges import project, project_back, project_weight
from nnspec.backends.tests.kernels.exact import ExactSum, Inexact, carried, grain, paired
from nnspec.compiler import compile_spec

from .. import processes

LARGEST = {"float64": 2**53, "float32": 2**24, "float16": 2**11, "bfloat16": 2**8}


class Wiring(NamedTuple):
    """Edges in canonical order, and the arguments of kernels for them beside the shape: bands', blocks'."""

    shape: tuple[int, int]
    source: np.ndarray
    target: np.ndarray
    band: tuple[Any, ...] | None = None
    blocks: tuple[Any, ...] | None = None


class Draw(NamedTuple):
    """Integers for a wiring, and what they give: W x, W'g and the gradient of the weights."""

    x: np.ndarray
    g: np.ndarray
    weight: np.ndarray
    wanted: tuple[np.ndarray, np.ndarray, np.ndarray]


def listed(pairs: np.ndarray) -> Wiring:
    """The edges where a matrix (targets, sources) is not zero."""
    target, source = np.nonzero(pairs)
    return Wiring(pairs.shape, source, target)


def band(targets: int, sources: int, offsets: list[int], stride: int, wrap: bool) -> Wiring:
    edges = shifted_edges(sources, targets, offsets, stride, wrap)
    return Wiring((targets, sources), edges.source, edges.target, band=(offsets, stride, wrap))


def blocks(pairs: np.ndarray, block: tuple[int, int]) -> Wiring:
    """Blocks of units where a matrix of blocks is not zero."""
    wiring, outer = listed(np.kron(pairs, np.ones(block, int))), listed(pairs)
    return wiring._replace(blocks=(block, outer.source, outer.target))


SIZES = st.integers(1, 24)


@st.composite
def wirings(draw) -> Wiring:
    """Any edges, a band or blocks, between up to a few dozen units."""
    kind, rng = (
        draw(st.sampled_from(["edges", "band", "blocks"])),
        np.random.default_rng(draw(st.integers(0, 99))),
    )
    targets, sources = draw(SIZES), draw(SIZES)
    if kind == "band":
        wrap = draw(st.booleans())
        some = st.lists(st.integers(-5, 9), min_size=1, max_size=6)
        offsets = draw(some.map(sorted).map(lambda found: list(dict.fromkeys(found))))
        if wrap:
            offsets = sorted({offset % sources for offset in offsets})
        return band(targets, sources, offsets, draw(st.integers(1, 3)), wrap)
    density = draw(st.sampled_from([0.05, 0.3, 1]))
    pairs = (rng.random((targets, sources)) < density).astype(int)
    if kind == "edges":
        return listed(pairs)
    return blocks(pairs[:9, :9], (draw(st.integers(1, 4)), draw(st.integers(1, 4))))


def integers(wiring: Wiring, batch: int, dtype: str, seed: int, weighted: bool = True) -> Draw:
    """As large as no sum can be rounded, and in half precision few enough that none is."""
    (targets, sources), source, target = wiring.shape, wiring.source, wiring.target
    terms = max(batch, *(int(np.bincount(ends).max(initial=1)) for ends in (source, target)))
    most = max(1, isqrt(LARGEST[dtype] // terms))
    assert terms * most**2 <= LARGEST[dtype]
    rng = np.random.default_rng(seed)
    x, g = (rng.integers(-most, most, (batch, n), endpoint=True) for n in (sources, targets))
    weight = rng.integers(-most, most, len(source), endpoint=True) if weighted else np.ones(len(source), int)
    y, of_x = carried(x, weight, source, target, targets), carried(g, weight, target, source, sources)
    return Draw(x, g, weight, (y, of_x, paired(x, g, source, target)))


def hold(found: list[np.ndarray], wanted: tuple[np.ndarray, ...], what: object) -> None:
    """Equal to the bit, but for the sign of zeros."""
    for name, one, other in zip(
        ("sums", "gradient of x", "gradient of weights"), found, wanted, strict=False
    ):
        assert one.shape == other.shape, (what, name)
        assert np.array_equal(np.asarray(one, np.float64), other), (what, name)


def drawing(examples: int) -> Callable[..., Any]:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
    return settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=checks
    )


# What is drawn for every kernel: edges, the batch, the seed of the integers.
DRAWN = {"wiring": wirings(), "batch": st.sampled_from([1, 2, 3, 8, 17, 64]), "seed": st.integers(0, 999)}


# --------------------------------------------------------------------------------------------- the checks


def test_sums_that_could_be_rounded_are_refused() -> None:
    """At the limit, and one grain beyond it, whatever cancels."""
    assert grain(np.array([0.75, -6.0, 0.0])) == 0.25
    assert grain(np.zeros(3)) == np.inf
    for unit in (1.0, 2.0**-30, 2.0**40):
        terms = unit * np.array([2.0**23, -(2.0**23) + 1, 1.0])
        held = ExactSum(2**24, ())
        held.add(np.sum, terms)
        assert held.value == 2 * unit
        with pytest.raises(Inexact):
            held.add(np.sum, terms[2:])
    product = ExactSum(2**24, ())
    with pytest.raises(Inexact):
        product.add(np.multiply, np.float64(2**12 + 1), np.float64(2**12 + 1))


def test_a_network_whose_numbers_need_more_bits_passes_with_a_warning(tmp_path: Path) -> None:
    """Every layer makes ten bits more, and without weights none of them can be zeros."""
    layers = [f"layer h{at}[64] : leaky_relu(1 / 1024)\n" for at in range(4)]
    ends = [f"{f'h{at - 1}' if at else 'x'} -> h{at}" for at in range(4)]
    edges = [f"connect {end} : one_to_one with weight = none\n" for end in ends]
    spec = tmp_path / "deep.nnspec"
    spec.write_text("model deep\ninput x[64]\n" + "".join(layers + edges))
    write(compile_spec(spec, ["numpy"]).files, tmp_path)
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "is_exact", "--rootdir", "/"]
    finished = processes.run([*command, "test_deep.py"], cwd=tmp_path)
    assert finished.returncode == 0, finished.stdout
    assert "2 passed" in finished.stdout
    assert "1 warning" in finished.stdout
    assert "deep as a whole, numpy, float32: not compared exactly" in finished.stdout


# ------------------------------------------------------------------------------------------------- NumPy


@given(**DRAWN, dtype=st.sampled_from(["float32", "float64"]))
@drawing(60)
def test_numpy(wiring: Wiring, batch: int, seed: int, dtype: str) -> None:
    edges = wiring.source, wiring.target
    drawn = integers(wiring, batch, dtype, seed)
    x, g, weight = (array.astype(dtype) for array in drawn[:3])
    found = [
        project(x, weight, *edges, wiring.shape[0]),
        project_back(g, weight, *edges, wiring.shape[1]),
        project_weight(x, g, *edges),
    ]
    assert {array.dtype.name for array in found} == {dtype}
    hold(found, drawn.wanted, wiring)


# ----------------------------------------------------------------------------------------------- PyTorch


def torch_layers(wiring: Wiring, **options: bool) -> Iterator[Any]:
    """A layer of every kernel that can compute these edges."""
    from nnspec.backends.torch.kernels.blocks import BlockProjection
    from nnspec.backends.torch.kernels.edges import EdgeProjection
    from nnspec.backends.torch.kernels.masked import MaskedProjection

    yield EdgeProjection(wiring.source, wiring.target, wiring.shape, **options)
    for units_first in (False, True):
        yield MaskedProjection(wiring.source, wiring.target, wiring.shape, units_first=units_first, **options)
    if wiring.blocks:
        yield BlockProjection(wiring.shape, *wiring.blocks, **options)


def torch_layouts(array: np.ndarray, dtype: Any) -> Iterator[Any]:
    """The same numbers: contiguous, units first, and every second of a row."""
    import torch

    x = torch.tensor(array, dtype=dtype)
    yield from (x, x.t().contiguous().t(), x.repeat_interleave(2, 1)[:, ::2])


def torch_run(layer: Any, x: Any, g: Any) -> list[np.ndarray]:
    """The output and its gradients, by x and by the weights if there are any."""
    import torch

    x = x.detach().requires_grad_()
    y = layer(x)
    assert y.dtype == x.dtype
    found = torch.autograd.grad(y, [x, *layer.parameters()], g)
    return [array.detach().double().numpy() for array in (y, *found)]


def torch_check(wiring: Wiring, batch: int, seed: int, dtype: str, weighted: bool) -> None:
    import torch

    drawn = integers(wiring, batch, dtype, seed, weighted)
    for layer in torch_layers(wiring, weighted=weighted):
        layer.to(getattr(torch, dtype))
        if weighted:
            with torch.no_grad():
                layer.weight.copy_(torch.tensor(drawn.weight))
        wanted = drawn.wanted if weighted else drawn.wanted[:2]
        of_x, of_g = (list(torch_layouts(array, getattr(torch, dtype))) for array in drawn[:2])
        for at, x in enumerate(of_x):
            hold(torch_run(layer, x, of_g[(at + seed) % 3]), wanted, layer)


@pytest.mark.parametrize("threads", [1, 2])
@given(**DRAWN, dtype=st.sampled_from(list(LARGEST)), weighted=st.booleans())
@drawing(40)
def test_torch(wiring: Wiring, batch: int, seed: int, dtype: str, weighted: bool, threads: int) -> None:
    torch = pytest.importorskip("torch")
    usual = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        torch_check(wiring, batch, seed, dtype, weighted)
    finally:
        torch.set_num_threads(usual)


@pytest.mark.slow
@given(**DRAWN, dtype=st.sampled_from(list(LARGEST)), weighted=st.booleans())
@drawing(2000)
def test_torch_many_more(wiring: Wiring, batch: int, seed: int, dtype: str, weighted: bool) -> None:
    pytest.importorskip("torch")
    torch_check(wiring, batch, seed, dtype, weighted)


# Bands that go round, and blocks of which one has no edge, also as any edges: compiled once.
COMPILED = {
    "band": band(24, 48, [-3, 0, 1], 2, True),
    "blocks": blocks(np.array([[1, 0, 1], [0, 0, 0], [0, 1, 1]]), (4, 3)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPILED)
def test_torch_compiled(name: str) -> None:
    """All kernels in one function, compiled once for each layout of the input."""
    torch = pytest.importorskip("torch")
    wiring, usual = COMPILED[name], torch.get_num_threads()
    layers = list(torch_layers(wiring))
    weight = torch.zeros(len(wiring.source), requires_grad=True)

    @torch.compile(fullgraph=True)
    def everything(x: Any, weight: Any) -> list[Any]:
        called = torch.func.functional_call
        return [called(layer, {"weight": weight}, (x,)) for layer in layers]

    try:
        for seed in range(20):
            torch.set_num_threads(1 + seed // 10)
            drawn = integers(wiring, 8, "float32", seed)
            g = torch.tensor(drawn.g, dtype=torch.float32)
            with torch.no_grad():
                weight.copy_(torch.tensor(drawn.weight))
            for x in list(torch_layouts(drawn.x, torch.float32))[:2]:
                x = x.detach().requires_grad_()
                for layer, y in zip(layers, everything(x, weight), strict=True):
                    found = torch.autograd.grad(y, [x, weight], g, retain_graph=True)
                    hold([array.detach().numpy() for array in (y, *found)], drawn.wanted, (name, layer))
    finally:
        torch.set_num_threads(usual)
        torch.compiler.reset()


# ------------------------------------------------------------------------------------------------- Keras


def keras_layers(wiring: Wiring, **options: Any) -> Iterator[Any]:
    """A layer of every kernel that can compute these edges."""
    from nnspec.backends.keras.kernels.band import BandProjection
    from nnspec.backends.keras.kernels.blocks import BlockProjection
    from nnspec.backends.keras.kernels.edges import EdgeProjection
    from nnspec.backends.keras.kernels.masked import MaskedProjection

    yield EdgeProjection(wiring.shape, wiring.source, wiring.target, **options)
    yield MaskedProjection(wiring.shape, wiring.source, wiring.target, **options)
    if wiring.band:
        yield BandProjection(wiring.shape, *wiring.band, **options)
    if wiring.blocks:
        yield BlockProjection(wiring.shape, *wiring.blocks, **options)


def keras_step(layers: list[Any]) -> Callable[[Any, Any], list[list[Any]]]:
    """Of every layer the output and its gradients, by x and by the weight if there is one."""
    import tensorflow as tf

    def step(x: Any, g: Any) -> list[list[Any]]:
        results = []
        for layer in layers:
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x)
            variables = [variable.value for variable in layer.trainable_variables]
            results.append([y, *tape.gradient(y, [x, *variables], g)])
        return results

    return step


def keras_check(wiring: Wiring, layers: list[Any], step: Any, batch: int, dtype: str, seed: int) -> None:
    import tensorflow as tf

    weighted = layers[0].weight is not None
    drawn = integers(wiring, batch, dtype, seed, weighted)
    for layer in layers:
        if weighted:
            layer.weight.assign(drawn.weight)
    wanted = drawn.wanted if weighted else drawn.wanted[:2]
    x, g = (tf.cast(tf.constant(array), dtype) for array in (drawn.x, drawn.g))
    for layer, found in zip(layers, step(x, g), strict=True):
        assert found[0].dtype == dtype
        hold([tf.cast(array, "float64").numpy() for array in found], wanted, layer.get_config())


POLICIES = {"float64": "float64", "float32": "float32", "float16": "mixed_float16", "bfloat16": "bfloat16"}


@pytest.mark.xdist_group("keras")
@given(**DRAWN, dtype=st.sampled_from(list(POLICIES)), weighted=st.booleans())
@drawing(10)
def test_keras(wiring: Wiring, batch: int, seed: int, dtype: str, weighted: bool) -> None:
    pytest.importorskip("tensorflow")
    layers = list(keras_layers(wiring, weighted=weighted, dtype=POLICIES[dtype]))
    keras_check(wiring, layers, keras_step(layers), batch, dtype, seed)


@pytest.mark.xdist_group("keras")
@pytest.mark.parametrize("jit", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("name", COMPILED)
def test_keras_compiled(name: str, jit: bool) -> None:
    """All kernels in one function, that is compiled once for all draws."""
    tf = pytest.importorskip("tensorflow")
    layers = list(keras_layers(COMPILED[name]))
    step = tf.function(keras_step(layers), jit_compile=jit)
    for seed in range(20):
        keras_check(COMPILED[name], layers, step, 8, "float32", seed)
