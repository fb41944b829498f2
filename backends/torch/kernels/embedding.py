"""Class codes as sums of rows of weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Embedding(nn.Module):
    """y[b, t] = sum over positions p of weight[t, p * classes + codes[b, p]]; a code of -1 adds nothing.

    It is what `nn.Linear` would make of zeros and ones, without these. The weight is (targets, positions *
    classes), as there, and lies in memory such that the numbers of a code are next to each other.

    Args:
        shape: (targets, positions * classes).
        classes: number of classes.
        trainable: whether the weight is trained; else it is a buffer.
        weighted: whether it has a weight; else one that is made elsewhere is given in every call.
    """

    weight: Tensor

    def __init__(
        self, shape: tuple[int, int], classes: int, trainable: bool = True, weighted: bool = True
    ) -> None:
        super().__init__()
        self.shape, self.classes = shape, classes
        if not weighted:
            return
        weight = torch.zeros(shape[::-1]).t()
        if trainable:
            self.weight = nn.Parameter(weight)
        else:
            self.register_buffer("weight", weight)

    def forward(self, codes: Tensor, onto: Tensor | None = None, weight: Tensor | None = None) -> Tensor:
        """codes (batch, positions), integers from -1 to `classes` - 1 -> (batch, targets), added onto `onto`.

        Where nobody has looked at the codes, one that is out of range is an error of `F.embedding`.
        """
        sources = self.shape[1]
        rows = codes + torch.arange(0, sources, self.classes, device=codes.device)
        rows = torch.where((codes < -1) | (codes >= self.classes), sources, rows)
        there = (codes != -1).unsqueeze(-1)
        table = (self.weight if weight is None else weight).t()
        found = F.embedding(torch.where(codes == -1, 0, rows), table)
        y = torch.where(there, found, 0).sum(1)
        return y if onto is None else onto + y

    def extra_repr(self) -> str:
        """Say the numbers."""
        targets, sources = self.shape
        return f"{sources // self.classes} x {self.classes} classes -> {targets}"
