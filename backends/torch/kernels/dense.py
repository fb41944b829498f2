"""Projections without an index table: every pair of units, and each unit onto its own counterpart."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def product_onto(x: Tensor, matrix: Tensor, onto: Tensor | None, units_first: bool) -> Tensor:
    """Return `onto + x matrix^T`, (batch, targets), units first or batch first: a product writes either.

    Args:
        x: (batch, sources), in either layout.
        matrix: (targets, sources).
        onto: (targets,), (batch, targets) or None.
        units_first: whether the result is a view of a contiguous (targets, batch).
    """
    if not units_first:
        if onto is None or onto.dim() == 1:
            return F.linear(x, matrix, onto)
        return torch.addmm(onto, x, matrix.t())
    if onto is None:
        return torch.mm(matrix, x.t()).t()
    return torch.addmm(onto.unsqueeze(1) if onto.dim() == 1 else onto.t(), matrix, x.t()).t()


def frozen(linear: nn.Linear) -> nn.Linear:
    """Make the weight of a linear layer a buffer, which no `requires_grad_` of a model around it trains."""
    weight = linear.weight.detach()
    del linear.weight
    linear.register_buffer("weight", weight)
    return linear


class DenseProjection(nn.Module):
    """y = x W^T added to something: every source feeds every target, in either layout.

    `nn.Linear` does it for layers that are batch first and have no other connection.
    `weight` is (targets, sources), zeros until start values are loaded; a buffer if it is not trainable.
    With `units_first`, the result is stored as the sparse layers beside it compute.
    """

    def __init__(self, shape: tuple[int, int], *, trainable: bool = True, units_first: bool = False) -> None:
        super().__init__()
        self.units_first = units_first
        if trainable:
            self.weight = nn.Parameter(torch.zeros(shape))
        else:
            self.register_buffer("weight", torch.zeros(shape))

    def forward(self, x: Tensor, onto: Tensor | None = None) -> Tensor:
        """(batch, sources) -> (batch, targets), added to `onto`: (targets,) or (batch, targets)."""
        return product_onto(x, self.weight, onto, self.units_first)


class DenseProduct(nn.Module):
    """y = x W^T added to something, with a weight (targets, sources) that is made elsewhere.

    With `units_first`, the result is stored as the sparse layers beside it compute.
    """

    def __init__(self, *, units_first: bool = False) -> None:
        super().__init__()
        self.units_first = units_first

    def forward(self, x: Tensor, onto: Tensor | None = None, *, weight: Tensor) -> Tensor:
        """(batch, sources) -> (batch, targets), added to `onto`: (targets,) or (batch, targets)."""
        return product_onto(x, weight, onto, self.units_first)


class DiagonalProduct(nn.Module):
    """y = weight * x, unit by unit, with a weight (units,) that is made elsewhere."""

    def forward(self, x: Tensor, onto: Tensor | None = None, *, weight: Tensor) -> Tensor:
        """(batch, units) -> (batch, units), added to `onto`: (units,) or (batch, units)."""
        return x * weight if onto is None else torch.addcmul(onto, x, weight)


class DenseSum(nn.Module):
    """Every target is the plain sum of all sources: no weight.

    With `units_first`, the result is stored as the sparse layers beside it compute.
    """

    def __init__(self, targets: int, *, units_first: bool = False) -> None:
        super().__init__()
        self.targets, self.units_first = targets, units_first

    def forward(self, x: Tensor, onto: Tensor | None = None) -> Tensor:
        """(batch, sources) -> (batch, targets), added to `onto`: (targets,) or (batch, targets)."""
        onto = x.new_zeros(self.targets) if onto is None else onto
        sums = x.sum(dim=1, keepdim=True)
        if not self.units_first:
            return sums + onto
        return (sums.t() + (onto.unsqueeze(1) if onto.dim() == 1 else onto.t())).t()


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

    def forward(self, x: Tensor, onto: Tensor | None = None) -> Tensor:
        """(batch, units) -> (batch, units), added to `onto`: (units,) or (batch, units)."""
        return x * self.weight if onto is None else torch.addcmul(onto, x, self.weight)
