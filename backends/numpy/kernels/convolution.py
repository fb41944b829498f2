"""A convolution as a product of matrices for each offset of the window: memory as for its values."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ...common.kernels.windows import Windows, units_read


def convolve(x: np.ndarray, weight: np.ndarray, windows: Windows) -> np.ndarray:
    """The convolution of `Windows`: x (batch, sources) and weight (entries,) -> (batch, targets)."""
    grid, kernel = padded(on_grid(x, windows), windows), weight[entries_of(windows)]
    targets = len(x) * windows.copies, windows.kernel[0], *windows.places
    y = np.zeros(targets, np.result_type(x, weight))
    for part, matrices in offsets(grid, kernel, windows):
        y += (matrices @ in_groups(part, windows)).reshape(y.shape)
    return units_of(y, windows, len(x), windows.channels_last[1])


def convolve_back(d: np.ndarray, weight: np.ndarray, windows: Windows) -> np.ndarray:
    """Gradient (batch, sources) of the input of `convolve` from that of its output, d (batch, targets)."""
    kernel, of_targets = weight[entries_of(windows)], in_groups(on_places(d, windows), windows)
    sizes = [before + units + after for (before, after), units in zip(windows.pad, windows.grid, strict=True)]
    grid = np.zeros((len(d) * windows.copies, windows.sources, *sizes), np.result_type(d, weight))
    for part, matrices in offsets(grid, kernel, windows):
        part += (matrices.swapaxes(-1, -2) @ of_targets).reshape(part.shape)
    return units_of(padded_back(grid, windows), windows, len(d), windows.channels_last[0])


def convolve_weight(x: np.ndarray, d: np.ndarray, windows: Windows) -> np.ndarray:
    """Gradient (entries,) of the weight of `convolve`."""
    grid, of_targets = padded(on_grid(x, windows), windows), in_groups(on_places(d, windows), windows)
    kernel = np.empty(windows.kernel, np.result_type(x, d))
    for part, matrices in offsets(grid, kernel, windows):
        matrices[:] = np.einsum("bgkt,bgct->gkc", of_targets, in_groups(part, windows))
    gradient = np.empty(kernel.size, kernel.dtype)
    gradient[entries_of(windows)] = kernel
    return gradient


def offsets(
    grid: np.ndarray, kernel: np.ndarray, windows: Windows
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For every offset of the window views of what all places read there, and of the matrices by group.

    These are (batch, channels, *places) and (groups, targets of a group, sources of a group).
    """
    matrices = kernel.reshape(windows.groups, -1, *windows.kernel[1:])
    for offset in np.ndindex(windows.kernel[2:]):
        yield grid[(..., *units_read(windows, offset))], matrices[(..., *offset)]


def on_grid(x: np.ndarray, windows: Windows) -> np.ndarray:
    """(batch, sources) -> (batch * copies, channels, *grid)."""
    if windows.channels_last[0]:
        return np.moveaxis(x.reshape(-1, *windows.grid, windows.sources), -1, 1)
    return x.reshape(len(x) * windows.copies, windows.sources, *windows.grid)


def on_places(d: np.ndarray, windows: Windows) -> np.ndarray:
    """(batch, targets) -> (batch * copies, channels, *places)."""
    if windows.channels_last[1]:
        return np.moveaxis(d.reshape(-1, *windows.places, windows.kernel[0]), -1, 1)
    return d.reshape(len(d) * windows.copies, windows.kernel[0], *windows.places)


def units_of(values: np.ndarray, windows: Windows, batch: int, channels_last: bool) -> np.ndarray:
    """(batch * copies, channels, ...) -> (batch, units)."""
    values = np.moveaxis(values, 1, -1) if channels_last else values
    return values.reshape(batch, values.size // batch if batch else windows.shape[0])


def in_groups(values: np.ndarray, windows: Windows) -> np.ndarray:
    """(batch, channels, ...) -> (batch, groups, channels of a group, units)."""
    groups = windows.groups
    units = int(np.prod(values.shape[2:]))
    return values.reshape(len(values), groups, values.shape[1] // groups, units)


def padded(grid: np.ndarray, windows: Windows, beyond: float = 0.0) -> np.ndarray:
    """The units of a grid with those `beyond` its ends, or around a ring those of the other end."""
    for at, (before, after) in enumerate(windows.pad):
        added = [(0, 0)] * grid.ndim
        added[at + 2] = max(before, 0), max(after, 0)
        if windows.is_wrapped(at):
            grid = np.pad(grid, added, "wrap")
        else:
            grid = np.pad(grid, added, constant_values=beyond)
        grid = np.moveaxis(grid, at + 2, 0)[max(-before, 0) : grid.shape[at + 2] - max(-after, 0)]
        grid = np.moveaxis(grid, 0, at + 2)
    return grid


def padded_back(grid: np.ndarray, windows: Windows) -> np.ndarray:
    """Gradient of what `padded` takes, from that of what it gives."""
    for at, (before, after) in enumerate(windows.pad):
        units, d = windows.grid[at], np.moveaxis(grid, at + 2, 0)
        whole = np.zeros((max(before, 0) + units + max(after, 0), *d.shape[1:]), d.dtype)
        whole[max(-before, 0) : len(whole) - max(-after, 0)] = d
        inner = whole[max(before, 0) : max(before, 0) + units]
        if windows.is_wrapped(at):
            inner[units - max(before, 0) :] += whole[: max(before, 0)]
            inner[: max(after, 0)] += whole[max(before, 0) + units :]
        grid = np.moveaxis(inner, 0, at + 2)
    return grid


def entries_of(windows: Windows) -> np.ndarray:
    """Which entry of the weights is which of the kernel, (*kernel)."""
    order = windows.order or tuple(range(len(windows.kernel)))
    held = np.arange(math.prod(windows.kernel)).reshape([windows.kernel[at] for at in order])
    return np.flip(held.transpose(np.argsort(order)), windows.flipped)
