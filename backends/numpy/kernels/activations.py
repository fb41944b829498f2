"""Activations that numpy has no function for, and their derivatives."""

from __future__ import annotations

import math

import numpy as np


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), without overflow for large negative x."""
    z = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, z) / (1 + z)


def normal_cdf(x: np.ndarray) -> np.ndarray:
    """The standard normal distribution function, by erf."""
    erf = np.frompyfunc(math.erf, 1, 1)
    return (1 + np.asarray(erf(x / math.sqrt(2)), x.dtype)) / 2


def gelu(x: np.ndarray) -> np.ndarray:
    """x Phi(x) (Hendrycks and Gimpel 2016), Phi the standard normal distribution function."""
    return x * normal_cdf(x)


def gelu_derivative(x: np.ndarray) -> np.ndarray:
    """Phi(x) + x phi(x)."""
    return normal_cdf(x) + x * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def gelu_tanh(x: np.ndarray) -> np.ndarray:
    """The tanh form of gelu: x / 2 (1 + tanh(u)), u = sqrt(2 / pi) (x + 0.044715 x^3)."""
    return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_tanh_derivative(x: np.ndarray) -> np.ndarray:
    """(1 + tanh(u)) / 2 + x / 2 (1 - tanh(u)^2) du/dx."""
    scale = math.sqrt(2 / math.pi)
    t = np.tanh(scale * (x + 0.044715 * x**3))
    return (1 + t) / 2 + x / 2 * (1 - t**2) * scale * (1 + 3 * 0.044715 * x**2)


def softmax(x: np.ndarray, axis: int | tuple[int, ...] = -1) -> np.ndarray:
    """exp(x) over its sum along an axis, or several."""
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def softmax_gradient(y: np.ndarray, d: np.ndarray, axis: int | tuple[int, ...] = -1) -> np.ndarray:
    """Gradient of the input of softmax, from its output y and the gradient d of that."""
    return y * (d - (d * y).sum(axis=axis, keepdims=True))


def log_softmax(x: np.ndarray, axis: int | tuple[int, ...] = -1) -> np.ndarray:
    """x - log(sum(exp(x))) along an axis, or several."""
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def log_softmax_gradient(y: np.ndarray, d: np.ndarray, axis: int | tuple[int, ...] = -1) -> np.ndarray:
    """Gradient of the input of log_softmax, from its output y and the gradient d of that."""
    return d - np.exp(y) * d.sum(axis=axis, keepdims=True)
