"""Windows of units that are pooled by channel, one offset of the window after the other."""

from __future__ import annotations

import numpy as np

from ...common.kernels.windows import Windows, units_read
from .convolution import on_grid, on_places, padded, padded_back, units_of


def max_of_windows(x: np.ndarray, windows: Windows) -> np.ndarray:
    """The largest unit of each channel that a place reads: x (batch, sources) -> (batch, targets)."""
    grid = padded(on_grid(x, windows), windows, -np.inf)
    y = np.full((len(grid), windows.sources, *windows.places), -np.inf, x.dtype)
    for offset in np.ndindex(windows.kernel[2:]):
        np.maximum(y, grid[(..., *units_read(windows, offset))], out=y)
    return units_of(y, windows, len(x), windows.channels_last[1])


def max_of_windows_back(x: np.ndarray, d: np.ndarray, windows: Windows) -> np.ndarray:
    """Gradient (batch, sources) of `max_of_windows` from d (batch, targets): the first of equals has it."""
    grid, y = padded(on_grid(x, windows), windows, -np.inf), on_places(max_of_windows(x, windows), windows)
    left, gradient = on_places(d, windows), np.zeros(grid.shape, d.dtype)
    for offset in np.ndindex(windows.kernel[2:]):
        at = (..., *units_read(windows, offset))
        chosen = grid[at] == y
        gradient[at] += np.where(chosen, left, 0)
        left = np.where(chosen, 0, left)  # the others have none
    return units_of(padded_back(gradient, windows), windows, len(d), windows.channels_last[0])


def min_of_windows(x: np.ndarray, windows: Windows) -> np.ndarray:
    """The smallest unit of each channel that a place reads: x (batch, sources) -> (batch, targets)."""
    return -max_of_windows(-x, windows)


def min_of_windows_back(x: np.ndarray, d: np.ndarray, windows: Windows) -> np.ndarray:
    """Gradient (batch, sources) of `min_of_windows` from d (batch, targets): the first of equals has it."""
    return max_of_windows_back(-x, d, windows)


def mean_of_windows(x: np.ndarray, windows: Windows) -> np.ndarray:
    """The mean over the units of each channel that a place reads: x (batch, sources) -> (batch, targets)."""
    grid = padded(on_grid(x, windows), windows)
    y = np.zeros((len(grid), windows.sources, *windows.places), x.dtype)
    for offset in np.ndindex(windows.kernel[2:]):
        y += grid[(..., *units_read(windows, offset))]
    y /= windows.counts()
    return units_of(y, windows, len(x), windows.channels_last[1])


def mean_of_windows_back(x: np.ndarray, d: np.ndarray, windows: Windows) -> np.ndarray:
    """Gradient (batch, sources) of `mean_of_windows` from that of its output, d (batch, targets)."""
    shares = on_places(d, windows) / windows.counts().astype(d.dtype)
    gradient = np.zeros_like(padded(on_grid(x, windows), windows), dtype=d.dtype)
    for offset in np.ndindex(windows.kernel[2:]):
        gradient[(..., *units_read(windows, offset))] += shares
    return units_of(padded_back(gradient, windows), windows, len(d), windows.channels_last[0])
