"""Norms with their derivatives: y = x^ * weight + bias with x^ = (x - mean) / std, and dropout's mask.

What is given a `shape` sees the units of a sample so, and takes those together that differ along the axes
`over` alone, which count the batch as axis 0.
"""

from __future__ import annotations

import numpy as np


def batch_norm(
    x: np.ndarray,
    parameters: dict[str, np.ndarray],
    name: str,
    *,
    eps: float,
    momentum: float,
    training: bool,
    shape: tuple[int, ...] | None = None,
    over: tuple[int, ...] = (),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Batch normalisation (Ioffe and Szegedy 2015) of x (batch, units): y, x^ and std (1, units).

    In training, mean and biased variance are those of the batch, and the running ones in `parameters` are
    replaced by new arrays, moved by `momentum`, the part of the new, with the unbiased variance. Raises
    ValueError for a single value, which has none. Units that are taken together share all parameters.
    """
    grid = x if shape is None else x.reshape(len(x), *shape)
    axes = (0, *over)
    entries = [1 if axis in axes else size for axis, size in enumerate(grid.shape)]
    weight, bias, mean, var = (
        parameters[f"{name}.{what}"].reshape(entries)
        for what in ("weight", "bias", "running_mean", "running_var")
    )
    if training:
        count = grid.size // mean.size
        if count < 2:
            raise ValueError(f"{name} needs more than one sample in training")
        new_mean, new_var = grid.mean(axis=axes, keepdims=True), grid.var(axis=axes, keepdims=True)
        unbiased = new_var * count / (count - 1)
        for what, old, new in (("running_mean", mean, new_mean), ("running_var", var, unbiased)):
            parameters[f"{name}.{what}"] = ((1 - momentum) * old + momentum * new).astype(old.dtype).ravel()
        mean, var = new_mean, new_var
    std = np.sqrt(var + eps)
    x_hat = (grid - mean) / std
    y = x_hat * weight + bias
    std = np.broadcast_to(std, (1, *grid.shape[1:])).reshape(1, -1)
    return y.reshape(x.shape), x_hat.reshape(x.shape), std


def batch_norm_gradient(
    d_hat: np.ndarray,
    x_hat: np.ndarray,
    std: np.ndarray,
    training: bool,
    shape: tuple[int, ...] | None = None,
    over: tuple[int, ...] = (),
) -> np.ndarray:
    """Gradient of x from that of x^. In training mean and std depend on x: d_hat loses what they absorb."""
    if training:
        d_hat = d_hat - absorbed(d_hat, x_hat, shape, (0, *over))
    return d_hat / std


def absorbed(
    d_hat: np.ndarray, x_hat: np.ndarray, shape: tuple[int, ...] | None, axes: tuple[int, ...]
) -> np.ndarray:
    """What mean and std take up of a gradient: its part along ones, and its part along x^."""
    grids = (d_hat, x_hat) if shape is None else (a.reshape(len(a), *shape) for a in (d_hat, x_hat))
    d, hat = grids
    parts = d.mean(axis=axes, keepdims=True) + hat * (d * hat).mean(axis=axes, keepdims=True)
    return parts.reshape(d_hat.shape)


def layer_norm(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    *,
    eps: float,
    shape: tuple[int, ...] | None = None,
    over: tuple[int, ...] = (1,),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Layer normalisation (Ba et al. 2016) of x (batch, units) over the units: y, x^ and std.

    `std` is (batch, 1), or (batch, units) where not all units are taken together.
    """
    grid = x if shape is None else x.reshape(len(x), *shape)
    std = np.sqrt(grid.var(axis=over, keepdims=True) + eps)
    x_hat = ((grid - grid.mean(axis=over, keepdims=True)) / std).reshape(x.shape)
    if shape is not None:
        std = np.broadcast_to(std, grid.shape).reshape(x.shape)
    return x_hat * weight + bias, x_hat, std


def layer_norm_gradient(
    d_hat: np.ndarray,
    x_hat: np.ndarray,
    std: np.ndarray,
    shape: tuple[int, ...] | None = None,
    over: tuple[int, ...] = (1,),
) -> np.ndarray:
    """Gradient of x from that of x^: mean and std depend on x, and d_hat loses what they absorb."""
    return (d_hat - absorbed(d_hat, x_hat, shape, over)) / std


def rms_norm(
    x: np.ndarray,
    weight: np.ndarray,
    *,
    eps: float,
    shape: tuple[int, ...] | None = None,
    over: tuple[int, ...] = (1,),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Root mean square normalisation (Zhang and Sennrich 2019): x^ = x / root, root = sqrt(mean x^2 + eps).

    Gives y = x^ * weight, x^, and the root as `layer_norm` gives std.
    """
    grid = x if shape is None else x.reshape(len(x), *shape)
    root = np.sqrt(np.square(grid).mean(axis=over, keepdims=True) + eps)
    x_hat = (grid / root).reshape(x.shape)
    if shape is not None:
        root = np.broadcast_to(root, grid.shape).reshape(x.shape)
    return x_hat * weight, x_hat, root


def rms_norm_gradient(
    d_hat: np.ndarray,
    x_hat: np.ndarray,
    root: np.ndarray,
    shape: tuple[int, ...] | None = None,
    over: tuple[int, ...] = (1,),
) -> np.ndarray:
    """Gradient of x from that of x^: the root depends on x, and d_hat loses its part along x^."""
    product = d_hat * x_hat if shape is None else (d_hat * x_hat).reshape(len(x_hat), *shape)
    along = np.broadcast_to(product.mean(axis=over, keepdims=True), product.shape).reshape(x_hat.shape)
    return (d_hat - x_hat * along) / root


def dropout_mask(
    shape: tuple[int, ...],
    p: float,
    rng: np.random.Generator,
    grid: tuple[int, ...] = (),
    over: tuple[int, ...] = (),
) -> np.ndarray:
    """For each entry by itself, 0 with probability p, else 1 / (1 - p).

    Units of a sample that differ along the axes `over` of a `grid` alone have one entry.
    """
    drawn = (shape[0], *(1 if axis in over else n for axis, n in enumerate(grid, 1))) if grid else shape
    mask = (rng.random(drawn, np.float32) >= p) / np.float32(1 - p)
    return np.broadcast_to(mask, (shape[0], *grid)).reshape(shape) if grid else mask
