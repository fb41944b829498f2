"""Norms with their derivatives: y = x^ * weight + bias with x^ = (x - mean) / std."""

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
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Batch normalisation (Ioffe and Szegedy 2015) of x (batch, units): y, x^ and std (1, units).

    In training, mean and biased variance are those of the batch, and the running ones in `parameters` are
    replaced by new arrays, moved by `momentum`, the part of the new, with the unbiased variance. Raises
    ValueError for a batch of one, which has none.
    """
    running_mean, running_var = f"{name}.running_mean", f"{name}.running_var"
    mean, var = parameters[running_mean], parameters[running_var]
    if training:
        if len(x) < 2:
            raise ValueError(f"{name} needs more than one sample in training")
        new_mean, new_var = x.mean(axis=0), x.var(axis=0)
        unbiased = new_var * len(x) / (len(x) - 1)
        parameters[running_mean] = ((1 - momentum) * mean + momentum * new_mean).astype(mean.dtype)
        parameters[running_var] = ((1 - momentum) * var + momentum * unbiased).astype(var.dtype)
        mean, var = new_mean, new_var
    std = np.sqrt(var + eps)[None]
    x_hat = (x - mean) / std
    return x_hat * parameters[f"{name}.weight"] + parameters[f"{name}.bias"], x_hat, std


def batch_norm_gradient(d_hat: np.ndarray, x_hat: np.ndarray, std: np.ndarray, training: bool) -> np.ndarray:
    """Gradient of x from that of x^. In training mean and std depend on x: d_hat loses what they absorb."""
    if training:
        d_hat = d_hat - d_hat.mean(axis=0) - x_hat * (d_hat * x_hat).mean(axis=0)
    return d_hat / std


def layer_norm(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, *, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Layer normalisation (Ba et al. 2016) of x (batch, units) over the units: y, x^ and std (batch, 1)."""
    std = np.sqrt(x.var(axis=1, keepdims=True) + eps)
    x_hat = (x - x.mean(axis=1, keepdims=True)) / std
    return x_hat * weight + bias, x_hat, std


def layer_norm_gradient(d_hat: np.ndarray, x_hat: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Gradient of x from that of x^: mean and std depend on x, and d_hat loses what they absorb."""
    absorbed = d_hat.mean(axis=1, keepdims=True) + x_hat * (d_hat * x_hat).mean(axis=1, keepdims=True)
    return (d_hat - absorbed) / std


def dropout_mask(shape: tuple[int, ...], p: float, rng: np.random.Generator) -> np.ndarray:
    """For each entry by itself, 0 with probability p, else 1 / (1 - p)."""
    return (rng.random(shape, np.float32) >= p) / np.float32(1 - p)
