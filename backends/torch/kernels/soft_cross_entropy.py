"""Cross entropy with smoothed targets and weighted classes."""

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
