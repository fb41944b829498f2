"""`BlockProjection` against the listed edges, and what PyTorch does to modules."""

import functools
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent))

import torch_contract as contract  # noqa: E402

from nnspec.backends.torch.kernels import blocks as kernel  # noqa: E402
from nnspec.backends.torch.kernels.blocks import BlockProjection, block_edges  # noqa: E402

BLOCKS = {
    "diagonal": ((12, 8), (3, 2)),
    "regular": ((12, 8), (3, 2), [0, 1, 0, 2, 1, 3, 2, 3], [0, 0, 1, 1, 2, 2, 3, 3]),
    "one each": ((12, 8), (3, 2), [3, 1, 0, 0], [0, 1, 2, 3]),
    "irregular, with targets without edges": ((12, 8), (3, 2), [0, 3, 1, 2, 1], [0, 0, 2, 2, 3]),
    "one target block": ((3, 8), (3, 2), [0, 1, 2, 3], [0, 0, 0, 0]),
    "one source block": ((12, 2), (3, 2), [0, 0, 0, 0], [0, 1, 2, 3]),
    "one block": ((6, 4), (6, 4), [0], [0]),
    "single units": ((4, 4), (1, 1), [0, 1, 3], [1, 1, 2]),
    "no edges": ((6, 4), (3, 2), [], []),
}


def arrays(name):
    shape, block, *pairs = BLOCKS[name]
    return shape, block, *(np.array(units, np.int64) for units in pairs)


def made(name):
    return functools.partial(BlockProjection, *arrays(name))


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("tile", [None, 1, 3])
def test_equals_listed_edges(name, tile, monkeypatch):
    if tile:
        monkeypatch.setattr(kernel, "block_tile_size", lambda *_: tile)
    shape, block, *pairs = arrays(name)
    source, target = pairs or (np.arange(shape[0] // block[0]),) * 2
    blocks = shape[0] // block[0], shape[1] // block[1]
    mask = np.zeros(blocks, bool)
    mask[target, source] = True
    ends = np.nonzero(np.kron(mask, np.ones(block, bool)))
    for one, other in zip(block_edges(source, target, blocks, block), ends[::-1], strict=True):
        assert np.array_equal(one, other)
    contract.check_values(made(name), ends[1], ends[0])


@pytest.mark.parametrize(
    "name",
    [
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("diagonal", "regular")),
        "irregular, with targets without edges",
    ],
)
@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, marks=pytest.mark.slow) if check is contract.check_compiled else check
        for check in contract.CONTRACT
    ],
)
def test_keeps_the_contract(name, check):
    """As compiled code too, which `test_torch_edges` shows of the other kernel sooner."""
    check(made(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["regular", "irregular, with targets without edges"])
def test_compiled(name):
    contract.check_compiled(made(name), backend="inductor")


@pytest.mark.parametrize("name", BLOCKS)
def test_keeps_the_layout(name):
    layer = contract.drawn(made(name))
    x = torch.randn(4, layer.n_source, dtype=torch.float64, requires_grad=True)
    assert layer(x).is_contiguous()
    assert layer(x.t().contiguous().t()).t().is_contiguous()


@pytest.mark.parametrize(("trainable", "wanted", "calls"), [(True, False, [1, 1]), (False, True, [2, 0])])
def test_skips_gradients_not_wanted(monkeypatch, trainable, wanted, calls):
    seen = {"block_sum": 0, "block_dot": 0}
    for name in seen:
        function = getattr(kernel, name)

        def counted(*arguments, name=name, function=function):
            seen[name] += 1
            return function(*arguments)

        monkeypatch.setattr(kernel, name, counted)
    layer = made("regular")(trainable=trainable)
    layer(torch.randn(4, 8, requires_grad=wanted)).sum().backward()
    assert list(seen.values()) == calls


@pytest.mark.parametrize("name", ["diagonal", "irregular, with targets without edges"])
def test_as_a_module(name):
    contract.check_module(made(name), made("one each"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((12, 8), (5, 2)), "do not divide"),
        (((12, 8), (0, 2)), "do not divide"),
        (((12, 8), (3, 4)), "as many target blocks as source blocks"),
        (((12, 8), (3, 2), np.array([4]), np.array([0])), "`source` must lie in 0 to 3"),
        (((12, 8), (3, 2), np.array([1, 0]), np.array([0, 0])), "sorted by target, then by source"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        BlockProjection(*arguments)
