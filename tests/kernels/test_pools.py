"""Kernels that pool otherwise than by a sum, on every target, against loops over units and autograd."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from nnspec.backends.numpy.kernels import pool as numpy_pool
from nnspec.compiler.catalogue.reductions import REDUCTIONS

torch = pytest.importorskip("torch")

from nnspec.backends.torch.kernels import pool as torch_pool  # noqa: E402

LAYERS = {
    "mean": torch_pool.EdgeMean,
    "max": torch_pool.EdgeMax,
    "min": torch_pool.EdgeMin,
    "product": torch_pool.EdgeProduct,
    "logsumexp": torch_pool.EdgeLogSumExp,
}
SIZES = [(9, 7, 0.4), (1, 30, 1.0), (20, 5, 0.3), (3, 40, 0.9), (4, 4, 0.0)]
EMPTY = 0.5


def wiring(targets: int, sources: int, density: float) -> tuple[np.ndarray, np.ndarray]:
    target, source = np.nonzero(np.random.default_rng(targets).random((targets, sources)) < density)
    return source, target


def one_unit(reduction: str, parts: list) -> object:
    """What a unit makes of what arrives, one input after the other: the first of equals is kept."""
    if reduction == "mean":
        return sum(parts) / len(parts)
    if reduction == "logsumexp":
        return torch.logsumexp(torch.stack(parts), 0)
    result = parts[0]
    for part in parts[1:]:
        if reduction == "product":
            result = result * part
        else:
            result = torch.where(part > result if reduction == "max" else part < result, part, result)
    return result


def by_loop(reduction: str, x, weight, source: np.ndarray, target: np.ndarray, targets: int):
    columns = []
    for unit in range(targets):
        own = np.flatnonzero(target == unit)
        parts = [x[:, source[e]] * (1 if weight is None else weight[e]) for e in own]
        columns.append(one_unit(reduction, parts) if parts else x.new_full((len(x),), EMPTY))
    return torch.stack(columns, 1)


def layer_of(reduction: str, source: np.ndarray, target: np.ndarray, shape: tuple[int, int], weighted: bool):
    layer = LAYERS[reduction](source, target, shape, empty=EMPTY, weighted=weighted).double()
    if weighted:
        torch.manual_seed(3)
        torch.nn.init.normal_(layer.weight)
    return layer


def some_inputs(batch: int, sources: int):
    """Whole numbers, so that there are equals and zeros."""
    torch.manual_seed(5)
    return torch.randn(batch, sources, dtype=torch.float64).round().requires_grad_()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_values_and_gradients_are_those_of_a_loop(reduction: str, size, weighted: bool) -> None:
    targets, sources, density = size
    source, target = wiring(targets, sources, density)
    layer = layer_of(reduction, source, target, (targets, sources), weighted)
    x = some_inputs(21, sources)
    y, wanted = layer(x), by_loop(reduction, x, layer.weight, source, target, targets)
    torch.testing.assert_close(y, wanted)
    if not len(source):
        return
    leaves, grad = [x, *([layer.weight] if weighted else [])], torch.randn_like(y)
    slopes = torch.autograd.grad(wanted, leaves, grad)
    for ours, other in zip(torch.autograd.grad(y, leaves, grad), slopes, strict=True):
        torch.testing.assert_close(ours, other)

    arrays = x.detach().numpy(), None if layer.weight is None else layer.weight.detach().numpy()
    pools, derived = (getattr(numpy_pool, f"{reduction}_{what}") for what in ("of", "slopes"))
    found = numpy_pool.pool(*arrays, source, target, targets, pools, EMPTY)
    np.testing.assert_allclose(found, wanted.detach(), atol=1e-12)
    given = arrays[0], grad.numpy(), arrays[1], source, target, derived
    np.testing.assert_allclose(numpy_pool.pool_back(*given), slopes[0], atol=1e-12)
    if weighted:
        np.testing.assert_allclose(numpy_pool.pool_weight(*given), slopes[1], atol=1e-12)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_units_some_at_a_time_give_the_same(reduction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy's slices of units, and PyTorch's of the units and, of a few samples, of the batch."""
    source, target = wiring(20, 15, 0.3)
    rng = np.random.default_rng(2)
    x, d, weight = rng.normal(size=(5, 15)), rng.normal(size=(5, 20)), rng.normal(size=len(source))
    pools, derived = (getattr(numpy_pool, f"{reduction}_{what}") for what in ("of", "slopes"))

    def computed() -> list[np.ndarray]:
        given = x, d, weight, source, target, derived
        y = numpy_pool.pool(x, weight, source, target, 20, pools, EMPTY)
        return [y, numpy_pool.pool_back(*given), numpy_pool.pool_weight(*given)]

    def some_units(target: np.ndarray, batch: int):
        firsts = np.flatnonzero(np.diff(target, prepend=-1))
        for at, first in enumerate(firsts):
            end = firsts[at + 1] if at + 1 < len(firsts) else len(target)
            yield slice(int(first), int(end)), np.zeros(1, int)

    whole = computed()
    monkeypatch.setattr(numpy_pool, "whole_units", some_units)
    for one, other in zip(whole, computed(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)

    layer = layer_of(reduction, source, target, (20, 15), True)
    inputs = some_inputs(50, 15), some_inputs(12, 15)

    def gradients() -> list[torch.Tensor]:
        pairs = ((layer(given), given) for given in inputs)
        slopes = (torch.autograd.grad(y.square().sum(), [given, layer.weight]) for y, given in pairs)
        return [slope for both in slopes for slope in both]

    before = gradients()
    monkeypatch.setattr(torch_pool, "slice_width", lambda edges, samples: 7)
    monkeypatch.setattr(torch_pool, "units_at_once", lambda inputs, samples: 2)
    for one, other in zip(before, gradients(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_every_run_on_any_number_of_threads_gives_the_same_bits(reduction: str) -> None:
    rng = np.random.default_rng(4)
    target, source = np.divmod(np.unique(rng.integers(0, 2000 * 2000, 8000)), 2000)
    layer = layer_of(reduction, source, target, (2000, 2000), True).float()
    x, grad = torch.randn(64, 2000, requires_grad=True), torch.randn(64, 2000)
    threads, found = torch.get_num_threads(), []
    try:
        for number in (1, 2, 2):
            torch.set_num_threads(number)
            found.append(torch.autograd.grad(layer(x), [x, layer.weight], grad))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(one, slope) for one, slope in zip(found[0], other, strict=True))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_infinite_and_undefined_numbers_are_pooled_as_by_pytorch(reduction: str) -> None:
    columns = torch.tensor([[torch.inf, 1.0], [-torch.inf, -torch.inf], [torch.nan, 2.0], [-torch.inf, 3.0]])
    layer = LAYERS[reduction](np.arange(2), np.zeros(2, int), (1, 2), weighted=False)
    wanted = {
        "mean": columns.mean(1),
        "max": columns.amax(1),
        "min": columns.amin(1),
        "product": columns.prod(1),
        "logsumexp": columns.logsumexp(1),
    }
    torch.testing.assert_close(layer(columns)[:, 0], wanted[reduction], equal_nan=True)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_second_derivatives_and_functions_of_functions(reduction: str) -> None:
    source, target = wiring(6, 5, 0.6)
    layer, x = layer_of(reduction, source, target, (6, 5), True), some_inputs(4, 5)
    leaves = [x, layer.weight]

    def penalty(y):
        return sum(g.square().sum() for g in torch.autograd.grad(y.square().sum(), leaves, create_graph=True))

    ours = torch.autograd.grad(penalty(layer(x)), leaves)
    loop = by_loop(reduction, x, layer.weight, source, target, 6)
    for one, other in zip(ours, torch.autograd.grad(penalty(loop), leaves), strict=True):
        torch.testing.assert_close(one, other)

    def loss(x):
        return layer(x).square().sum()

    whole = torch.autograd.grad(loss(x), x)[0]
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(lambda row: loss(row[None])))(x), whole)
    torch.testing.assert_close(torch.func.jacrev(loss)(x.detach()), whole)
    along = torch.randn_like(x).detach()
    slope = torch.func.jvp(loss, (x.detach(),), (along,))[1]
    torch.testing.assert_close(slope, (whole * along).sum())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_half_precision_is_pooled_in_single(reduction: str, weighted: bool) -> None:
    source, target = wiring(9, 7, 0.4)
    layer = layer_of(reduction, source, target, (9, 7), weighted)
    x = some_inputs(3, 7)
    wanted = layer.float()(x.float()).bfloat16()
    half = copy.deepcopy(layer).bfloat16()
    exact = not weighted or reduction in ("max", "min")
    within = {"rtol": 0, "atol": 0} if exact else {"rtol": 0.03, "atol": 0.03}
    torch.testing.assert_close(half(x.bfloat16()), wanted, **within)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer(x.float())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, half(x.bfloat16()), rtol=0.03, atol=0.03)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_what_is_given_in_any_layout_is_added_to(reduction: str) -> None:
    source, target = wiring(9, 7, 0.4)
    layer, x = layer_of(reduction, source, target, (9, 7), False), some_inputs(5, 7).detach()
    y, bias, array = layer(x), torch.randn(9).double(), torch.randn(5, 9).double()
    for given in (x, x.t().contiguous().t(), x.repeat(1, 2)[:, :7]):
        torch.testing.assert_close(layer(given), y)
        torch.testing.assert_close(layer(given, onto=bias), y + bias)
        torch.testing.assert_close(layer(given, onto=array), y + array)
    with pytest.raises(ValueError, match="floating"):
        layer(x[:, :3])


@pytest.mark.slow  # code is made for seconds
@pytest.mark.parametrize("reduction", ["max", "product"])
def test_compiled_is_the_same(reduction: str) -> None:
    source, target = wiring(9, 7, 0.4)
    layer, x = layer_of(reduction, source, target, (9, 7), True), some_inputs(5, 7)
    leaves = [x, layer.weight]
    wanted = torch.autograd.grad(layer(x).square().sum(), leaves)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for one, other in zip(torch.autograd.grad(compiled(x).square().sum(), leaves), wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_zeros_among_factors_have_the_gradient_of_the_others() -> None:
    source, target = np.array([0, 1, 2, 0, 1]), np.array([0, 0, 0, 1, 1])
    layer = torch_pool.EdgeProduct(source, target, (2, 3), weighted=False)
    for row, wanted in (([0.0, 3, 5], [18.0, 0, 0]), ([0.0, 0, 5], [0.0, 0, 0]), ([2.0, 3, 0], [3, 2, 6])):
        x = torch.tensor([row], requires_grad=True)
        (found,) = torch.autograd.grad(layer(x).sum(), x)
        assert found.tolist() == [wanted]
