"""The windows of a convolution: what slides over a grid of units, how far, and which channels it reads."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class Windows(NamedTuple):
    """A convolution of units that are channels of a grid, numbered row-major.

    The place t of channel k gets the sum over c and p of kernel[k, c, p] * x[c, stride * t + dilation * p -
    before], where c goes through the channels of k's group, and units beyond an end count as 0.

    Attributes:
        grid: the sources along every dimension.
        places: the targets along every dimension.
        kernel: (channels of the targets, channels of the sources in a group, *extents of the window).
        pad: how many units it reaches over both ends of every dimension; below 0, so many are cut off.
        stride, dilation: along every dimension.
        groups: into how many groups channels fall.
        copies: how many times all of this is there, one after the other, with the same weights.
        wrap: along which dimensions units beyond an end are those of the other end.
        channels_last: whether channels come behind the grid, for sources and for targets.
        order: which dimensions of the kernel the weights are an array of; empty for all, in their order.
        flipped: dimensions of the kernel that the weights count backwards.
    """

    grid: tuple[int, ...]
    places: tuple[int, ...]
    kernel: tuple[int, ...]
    pad: tuple[tuple[int, int], ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1
    copies: int = 1
    wrap: tuple[bool, ...] = ()
    channels_last: tuple[bool, bool] = (False, False)
    order: tuple[int, ...] = ()
    flipped: tuple[int, ...] = ()

    @property
    def sources(self) -> int:
        """The channels of the sources."""
        return self.kernel[1] * self.groups

    @property
    def shape(self) -> tuple[int, int]:
        """Number of target units, number of source units."""
        sides = self.kernel[0] * math.prod(self.places), self.sources * math.prod(self.grid)
        return self.copies * sides[0], self.copies * sides[1]

    def is_wrapped(self, dimension: int) -> bool:
        """Whether a dimension is a ring."""
        return bool(self.wrap) and self.wrap[dimension]

    def counts(self) -> np.ndarray:
        """How many units on the grid each place reads of a channel, int64 (*places)."""
        counts = np.ones((), np.int64)
        along = zip(
            self.grid, self.places, self.kernel[2:], self.pad, self.stride, self.dilation, strict=True
        )
        for units, places, extent, (before, _), stride, dilation in along:
            read = stride * np.arange(places)[:, None] + dilation * np.arange(extent) - before
            counts = np.multiply.outer(counts, ((read >= 0) & (read < units)).sum(axis=1))
        return counts


def units_read(windows: Windows, offset: tuple[int, ...]) -> tuple[slice, ...]:
    """Where all places have the units of one offset, along every dimension of what is padded."""
    given = zip(offset, windows.dilation, windows.stride, windows.places, strict=True)
    return tuple(
        slice(at * dilation, at * dilation + (places - 1) * stride + 1, stride)
        for at, dilation, stride, places in given
    )
