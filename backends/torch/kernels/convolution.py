"""Shared weights of windows on a grid: PyTorch's own convolution."""

from __future__ import annotations

from math import prod

import torch.nn.functional as F
from torch import Tensor

from .on_windows import OnWindows


class ConvolutionProjection(OnWindows):
    """Sums along given edges that are a convolution, by `torch.nn.functional.conv1d`, `conv2d` or `conv3d`.

    The weights are made elsewhere and given with every call: a vector of those that edges share. Units are as
    those of all layers on windows.
    """

    def kernel(self, weight: Tensor) -> Tensor:
        """(entries,) -> (targets, sources of a group, *extents), a view wherever nothing is flipped."""
        windows = self.windows
        if windows.order:
            weight = weight.view([windows.kernel[at] for at in windows.order])
            weight = weight.permute([windows.order.index(at) for at in range(len(windows.order))])
        else:
            weight = weight.view(windows.kernel)
        return weight.flip(windows.flipped) if windows.flipped else weight

    def forward(self, x: Tensor, onto: Tensor | None = None, weight: Tensor | None = None) -> Tensor:
        """Map (batch, sources) to (batch, targets).

        The sums are added to `onto`, if given: a bias (channels,) or (targets,), or what other layers give
        (batch, targets). `weight` has an entry for every key; without it, every edge counts once.
        Computes in the dtype of autocast where that is on, else in the one that `x` and `weight` promote to.

        Raises:
            ValueError: `x` is not a floating (batch, sources).
        """
        windows, dtype = self.windows, self.computing_dtype(x, weight)
        weight = x.new_ones(prod(windows.kernel)) if weight is None else weight
        by_channel = onto is not None and onto.dim() == 1 and onto.shape[0] == windows.kernel[0]
        bias = onto.to(dtype) if onto is not None and by_channel else None
        grid = self.on_grid(x.to(dtype))
        y = (F.conv1d, F.conv2d, F.conv3d)[len(windows.grid) - 1](
            grid if self.pad else self.padded(grid),
            self.kernel(weight.to(dtype)),
            bias,
            windows.stride,
            self.pad or 0,
            windows.dilation,
            windows.groups,
        )
        y = self.on_units(y, x.shape[0])
        return y if onto is None or by_channel else y + onto.to(y.dtype)
