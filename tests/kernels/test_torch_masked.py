"""`MaskedProjection` against the listed edges, and what PyTorch does to modules."""

import functools
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent))

import torch_contract as contract  # noqa: E402

from nnspec.backends.torch.kernels.masked import MaskedProjection  # noqa: E402


def made(density, shape=(6, 9)):
    target, source = np.nonzero(np.random.default_rng(0).random(shape) < density)
    return functools.partial(MaskedProjection, source, target, shape)


@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (6, 9), (40, 30)])
def test_equals_listed_edges(density, shape):
    make = made(density, shape)
    contract.check_values(make, *make.args[:2])


@pytest.mark.parametrize("check", contract.CONTRACT)
def test_keeps_the_contract(check):
    check(made(0.4))


@pytest.mark.slow
def test_compiled():
    contract.check_compiled(made(0.4), backend="inductor")


def test_as_a_module():
    contract.check_module(made(0.4), made(0.3))


def test_weight_decay_reaches_no_absent_edge():
    layer = made(0.4)()
    with torch.no_grad():
        layer.weight.normal_()
    optimiser = torch.optim.AdamW(layer.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(5):
        optimiser.zero_grad()
        layer(torch.randn(8, 9)).square().sum().backward()
        optimiser.step()
    reached = layer(torch.eye(9)).t()
    mask = np.zeros((6, 9), bool)
    mask[tuple(made(0.4).args[1::-1])] = True
    assert np.array_equal((reached != 0).numpy(), mask)


def test_refuses_edges():
    with pytest.raises(ValueError, match="sorted by target, then by source"):
        MaskedProjection(np.array([1, 0]), np.array([0, 0]), (2, 3))
