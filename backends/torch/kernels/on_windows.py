"""Windows that slide over units on a grid: how units lie there, and what is beyond its ends."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...common.kernels.windows import Windows
from .edge_weights import EdgeWeights
from .edges import check_edges


class OnWindows(EdgeWeights):
    """A layer along edges that are windows, which PyTorch's own functions compute. It holds no weights.

    Units are (batch, units) as everywhere, batch first in memory.

    Attributes:
        windows: which windows they are.
        pad: what these functions pad themselves on both ends of every dimension; None where they cannot, and
            `x` is padded before.
    """

    def __init__(self, source: np.ndarray, target: np.ndarray, windows: Windows) -> None:
        """Keep the digest of the edges.

        Args:
            source, target: (edges,) integers, the ends of every edge, by target, then by source.
            windows: what they are.

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

    def on_grid(self, x: Tensor) -> Tensor:
        """(batch, sources) -> (batch * copies, channels, *grid)."""
        windows = self.windows
        if windows.channels_last[0]:
            return x.reshape(-1, *windows.grid, windows.sources).movedim(-1, 1)
        return x.reshape(x.shape[0] * windows.copies, windows.sources, *windows.grid)

    def on_units(self, y: Tensor, batch: int) -> Tensor:
        """(batch * copies, channels, *places) -> (batch, targets)."""
        y = y.movedim(1, -1) if self.windows.channels_last[1] else y
        return y.reshape(batch, self.n_target)

    def padded(self, x: Tensor, beyond: float = 0.0) -> Tensor:
        """The units of a grid with those `beyond` its ends, or around a ring those of the other end."""
        added: list[int] = []
        for at, (before, after) in enumerate(self.windows.pad):
            dimension, units = at + 2, self.windows.grid[at]
            if self.windows.is_wrapped(at):
                pieces = [x.narrow(dimension, units - before, before)] if before > 0 else []
                pieces += [x, *([x.narrow(dimension, 0, after)] if after > 0 else [])]
                x = torch.cat(pieces, dimension) if len(pieces) > 1 else x
                before, after = min(before, 0), min(after, 0)
            added[:0] = [before, after]
        return F.pad(x, added, value=beyond) if any(added) else x

    def extra_repr(self) -> str:
        """Say the windows."""
        return ", ".join(f"{name}={value}" for name, value in self.windows._asdict().items())
