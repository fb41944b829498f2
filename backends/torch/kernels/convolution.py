"""Shared weights of windows on a grid: PyTorch's own convolution."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...common.kernels.windows import Windows
from .edge_weights import EdgeWeights
from .edges import check_edges


class ConvolutionProjection(EdgeWeights):
    """Sums along given edges that are a convolution, by `torch.nn.functional.conv1d`, `conv2d` or `conv3d`.

    The weights are made elsewhere and given with every call: a vector of those that edges share. Units are
    (batch, units) as everywhere, batch first in memory.

    Attributes:
        windows: which convolution it is.
        pad: what the convolution itself pads with zeros on both ends of every dimension; None where it does
            not suffice, and `x` is padded before.
    """

    def __init__(self, source: np.ndarray, target: np.ndarray, windows: Windows) -> None:
        """Keep the digest of the edges.

        Args:
            source, target: (edges,) integers, the ends of every edge, by target, then by source.
            windows: the convolution that they are.

        Raises:
            ValueError: as `check_edges`.
        """
        super().__init__()
        source, target = np.asarray(source), np.asarray(target)
        check_edges(source, target, windows.shape)
        self.hold_edges(source, target, windows.shape, False, False)
        self.windows = windows
        given = zip(windows.pad, windows.stride, strict=True)
        alike = all(before >= 0 and before - stride < after <= before for (before, after), stride in given)
        self.pad = None if any(windows.wrap) or not alike else tuple(before for before, _ in windows.pad)

    def kernel(self, weight: Tensor) -> Tensor:
        """(entries,) -> (targets, sources of a group, *extents), a view wherever nothing is flipped."""
        windows = self.windows
        if windows.order:
            weight = weight.view([windows.kernel[at] for at in windows.order])
            weight = weight.permute([windows.order.index(at) for at in range(len(windows.order))])
        else:
            weight = weight.view(windows.kernel)
        return weight.flip(windows.flipped) if windows.flipped else weight

    def on_grid(self, x: Tensor) -> Tensor:
        """(batch, sources) -> (batch * copies, channels, *grid)."""
        windows = self.windows
        if windows.channels_last[0]:
            return x.reshape(-1, *windows.grid, windows.sources).movedim(-1, 1)
        return x.reshape(x.shape[0] * windows.copies, windows.sources, *windows.grid)

    def padded(self, x: Tensor) -> Tensor:
        """The units of a grid with those beyond its ends: zeros, or around a ring those of the other end."""
        zeros: list[int] = []
        for at, (before, after) in enumerate(self.windows.pad):
            dimension, units = at + 2, self.windows.grid[at]
            if self.windows.is_wrapped(at):
                pieces = [x.narrow(dimension, units - before, before)] if before > 0 else []
                pieces += [x, *([x.narrow(dimension, 0, after)] if after > 0 else [])]
                x = torch.cat(pieces, dimension) if len(pieces) > 1 else x
                before, after = min(before, 0), min(after, 0)
            zeros[:0] = [before, after]
        return F.pad(x, zeros) if any(zeros) else x

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
        by_channel = onto is not None and onto.dim() == 1 and len(onto) == windows.kernel[0]
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
        y = y.movedim(1, -1) if windows.channels_last[1] else y
        y = y.reshape(len(x), self.n_target)
        return y if onto is None or by_channel else y + onto.to(y.dtype)

    def extra_repr(self) -> str:
        """Say the convolution."""
        return ", ".join(f"{name}={value}" for name, value in self.windows._asdict().items())
