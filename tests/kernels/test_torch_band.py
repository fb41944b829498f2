"""`BandProjection` against the listed edges, and what PyTorch does to modules."""

import functools
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent))

import torch_contract as contract  # noqa: E402

from nnspec.backends.common.kernels.rules import shifted_edges  # noqa: E402
from nnspec.backends.torch.kernels.band import BandProjection, BandSum  # noqa: E402

BANDS = {
    "band": ((9, 9), range(-2, 3), 1, False),
    "ring": ((9, 9), range(-2, 3), 1, True),
    "even number, to one side": ((9, 9), [1, 2, 4, 5], 1, False),
    "stride": ((5, 9), [-1, 0, 3], 2, False),
    "stride of a ring": ((5, 9), [-1, 0, 1], 2, True),
    "twice round a ring": ((9, 5), [-1, 0, 3], 1, True),
    "beyond the ends": ((9, 5), [-7, 0, 3, 20], 2, False),
    "no edge at all": ((4, 3), [50], 1, False),
    "one unit": ((1, 1), [0], 1, False),
    "one target": ((1, 40), [3, 30], 1, False),
    "stride above the span": ((7, 4), [0, 1], 3, True),
    "far apart": ((3, 400), [7, 100], 1, False),
    "long": ((3000, 3000), [-1, 1], 1, False),
    "wide": ((100, 100), range(-3, 4), 1, False),
    "wide and a stride": ((61, 125), range(-4, 5), 2, False),
    "wide and a stride on a ring": ((60, 120), range(-3, 7), 2, True),
}


def made(name):
    shape, offsets, stride, wrap = BANDS[name]
    return functools.partial(BandProjection, shape, offsets, stride, wrap)


@pytest.mark.parametrize("name", BANDS)
def test_equals_listed_edges(name):
    (targets, sources), offsets, stride, wrap = BANDS[name]
    edges = shifted_edges(sources, targets, offsets, stride, wrap)
    contract.check_values(made(name), edges.source, edges.target)


@pytest.mark.parametrize("name", ["ring", "stride", "twice round a ring", "beyond the ends"])
@pytest.mark.parametrize("check", [contract.check_derivatives, contract.check_dtypes, contract.check_export])
def test_keeps_the_contract(name, check):
    check(made(name))


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        pytest.param("ring", "inductor", marks=pytest.mark.slow),
        ("ring", "aot_eager"),
        ("stride", "aot_eager"),
    ],
)
def test_compiled_equals_eager(name, backend):
    contract.check_compiled(made(name), backend)


def test_as_a_module():
    contract.check_module(made("band"), made("ring"))


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("name", sorted(set(BANDS) - {"long"}))
def test_slices_compute_the_same(name, dim):
    """What is compiled, against what is computed without a compiler."""
    layer, plain = contract.drawn(made(name)), made(name)(weighted=False).double()
    x = torch.randn(8, layer.n_source, dtype=torch.float64, requires_grad=True)
    rect = layer.weight_rect(layer.weight)
    grad = torch.randn(8, layer.n_target, dtype=torch.float64)

    def sliced(weights):
        y = BandSum.apply(x.t() if dim == 0 else x, weights, layer.band, dim)
        return y.t() if dim == 0 else y

    results = []
    for y in (sliced(rect), layer(x)):
        results.append([y, *torch.autograd.grad(y, (x, layer.weight), grad, retain_graph=True)])
    for y, part in zip((sliced(None), plain(x)), results, strict=True):
        part += (y, *torch.autograd.grad(y, x, grad))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((3, 3), []), "must be different, and at least one"),
        (((3, 3), [1, 1]), "must be different"),
        (((3, 3), [-1, 2], 1, True), "must be different"),
        (((3, 3), [1], 0), "must be at least 1"),
        (((0, 3), [1]), "must be at least 1"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        BandProjection(*arguments)
