"""Projections without an index table: every pair of units, and each unit onto its own counterpart."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DenseProjection(nn.Module):
    """y = x W^T without a bias: every source feeds every target.

    `weight` is (targets, sources), zeros until start values are loaded; a buffer if it is not trainable.
    """

    def __init__(self, shape: tuple[int, int], *, trainable: bool = True) -> None:
        super().__init__()
        if trainable:
            self.weight = nn.Parameter(torch.zeros(shape))
        else:
            self.register_buffer("weight", torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, sources) -> (batch, targets)."""
        return F.linear(x, self.weight)


class DenseSum(nn.Module):
    """Every target is the plain sum of all sources: no weight."""

    def __init__(self, targets: int) -> None:
        super().__init__()
        self.targets = targets

    def forward(self, x: Tensor) -> Tensor:
        """(batch, sources) -> (batch, targets)."""
        return x.sum(dim=1, keepdim=True).expand(-1, self.targets)


class DiagonalProjection(nn.Module):
    """y = weight * x, unit by unit.

    `weight` is (units,), zeros until start values are loaded; a buffer if it is not trainable.
    """

    def __init__(self, units: int, *, trainable: bool = True) -> None:
        super().__init__()
        if trainable:
            self.weight = nn.Parameter(torch.zeros(units))
        else:
            self.register_buffer("weight", torch.zeros(units))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, units) -> (batch, units)."""
        return x * self.weight
