"""Functions that choose, with the derivatives that every target has where there is a choice of those too."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


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


class Elementwise(nn.Module):
    """Applies a function to each unit, with numbers for its other arguments."""

    def __init__(self, function: Callable[..., Tensor], /, **numbers: float) -> None:
        super().__init__()
        self.function = function
        self.numbers = numbers

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same shape."""
        return self.function(x, **self.numbers)

    def extra_repr(self) -> str:
        """Say the function and the numbers."""
        return ", ".join([self.function.__name__, *(f"{name}={n:g}" for name, n in self.numbers.items())])
