"""Losses that are more than one line, or that PyTorch's own functions are not."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def soft_cross_entropy(
    logits: Tensor, codes: Tensor, smoothing: float, weights: Sequence[float] | None
) -> Tensor:
    """The mean over all codes (...) of what `F.cross_entropy` has for each; logits are (..., classes).

    Its own mean is divided by the sum of the weights of the classes that occur.
    """
    weight = None if weights is None else logits.new_tensor(weights)
    losses = F.cross_entropy(logits, codes, weight, label_smoothing=smoothing, reduction="none")
    return losses.mean()


def cosine(y: Tensor, t: Tensor) -> Tensor:
    """Mean over the batch of 1 - cos(y, t), all units of a sample a vector; a length is 1e-8 at least.

    `F.cosine_similarity` has such lengths too, but its derivative takes them for longer than they are.
    """

    def direction(x: Tensor) -> Tensor:
        return x * x.square().sum(1, keepdim=True).clamp_min(1e-16).rsqrt()

    return (1 - (direction(y.flatten(1)) * direction(t.flatten(1))).sum(1)).mean()
