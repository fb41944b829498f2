"""Functions that choose, with the derivatives that every target has where there is a choice of those too."""

from collections.abc import Callable

import torch
from torch import Tensor


def smaller(a: Tensor, b: Tensor | float) -> Tensor:
    """The smaller of both; where they are equal it is `b`, whose derivative counts. nan where one is."""
    return torch.where((a >= b) | (b != b), b, a)


def larger(a: Tensor, b: Tensor | float) -> Tensor:
    """The larger of both; where they are equal it is `b`, whose derivative counts. nan where one is."""
    return torch.where((a <= b) | (b != b), b, a)


def sloped(x: Tensor, value: Callable[[Tensor], Tensor], slope: Callable[[Tensor], Tensor]) -> Tensor:
    """`value(x)`, whose derivative is declared to be `slope(x)`.

    A line through the point where `x` is, at which the slope is that half the way along it: so the derivative
    of the slope is the second one. Works in forward mode too, under `torch.func` and `torch.compile`.
    """
    at = x.detach()
    step = (x - at).nan_to_num(0.0, 0.0, 0.0)
    return value(at) + slope(at + step / 2) * step
