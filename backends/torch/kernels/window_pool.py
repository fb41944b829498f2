"""Windows of units that are pooled by channel: PyTorch's own pooling."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...common.kernels.windows import Windows
from .on_windows import OnWindows


class WindowPool(OnWindows):
    """Pools the units of each channel that a window reads, of edges that are such windows.

    What derives from it has `pools`. Of equals, the first edge has the gradient, as in an `EdgePool`.
    """

    def __init__(self, source: np.ndarray, target: np.ndarray, windows: Windows) -> None:
        """Keep the digest of the edges.

        Args:
            source, target, windows: as of all layers on windows; a group is a channel.

        Raises:
            ValueError: as `check_edges`.
        """
        super().__init__(source, target, windows)
        # PyTorch pads by half of a window at most.
        given = zip(windows.pad, windows.kernel[2:], strict=True)
        if any(2 * before > extent for (before, _), extent in given):
            self.pad = None

    def pools(self, grid: Tensor) -> Tensor:
        """(batch, channels, *grid) -> (batch, channels, *places)."""
        raise NotImplementedError

    def forward(self, x: Tensor, onto: Tensor | None = None) -> Tensor:
        """Map (batch, sources) to (batch, targets), added to `onto`, if given, as that of an `EdgePool` is.

        Computes in the dtype of autocast where that is on, else in that of `x`. Half precision is pooled in
        float32.

        Raises:
            ValueError: `x` is not a floating (batch, sources).
        """
        dtype = self.computing_dtype(x, None)
        grid = self.on_grid(x.to(torch.promote_types(dtype, torch.float32)))
        y = self.on_units(self.pools(grid), x.shape[0]).to(dtype)
        return y if onto is None else y + onto.to(dtype)


class WindowMax(WindowPool):
    """The largest of what each window reads; of equals, the first has the gradient."""

    def pools(self, grid: Tensor) -> Tensor:
        """(batch, channels, *grid) -> (batch, channels, *places)."""
        windows = self.windows
        return (F.max_pool1d, F.max_pool2d, F.max_pool3d)[len(windows.grid) - 1](
            grid if self.pad else self.padded(grid, -math.inf),
            windows.kernel[2:],
            windows.stride,
            self.pad or 0,
            windows.dilation,
        )


class WindowMin(WindowMax):
    """The smallest of what each window reads; of equals, the first has the gradient."""

    def pools(self, grid: Tensor) -> Tensor:
        """(batch, channels, *grid) -> (batch, channels, *places)."""
        return -super().pools(-grid)


class WindowMean(WindowPool):
    """The mean of what each window reads.

    Attributes:
        counts: (*places,) how many units each place reads, where PyTorch cannot tell.
    """

    counts: Tensor

    def __init__(self, source: np.ndarray, target: np.ndarray, windows: Windows) -> None:
        """Keep the digest of the edges, as all layers on windows do."""
        super().__init__(source, target, windows)
        if self.pad is None:
            self.add_tables(counts=windows.counts())

    def pools(self, grid: Tensor) -> Tensor:
        """(batch, channels, *grid) -> (batch, channels, *places)."""
        extents, stride = self.windows.kernel[2:], self.windows.stride
        if self.pad:
            pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[len(extents) - 1]
            return pool(grid, extents, stride, self.pad, False, False)
        # Sums: what lies beyond the ends does not count.
        sums = self.padded(grid)
        if len(extents) == 1:
            line = sums.unsqueeze(2)
            sums = F.avg_pool2d(line, (1, *extents), (1, *stride), divisor_override=1).squeeze(2)
        else:
            sums = (F.avg_pool2d, F.avg_pool3d)[len(extents) - 2](sums, extents, stride, divisor_override=1)
        return sums / self.counts.to(sums.dtype)
