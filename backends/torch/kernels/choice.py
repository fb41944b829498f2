"""Functions that choose, with the derivatives that every target has where there is a choice of those too."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .tracing import is_followed


def smaller(a: Tensor, b: Tensor | float) -> Tensor:
    """The smaller of both; where they are equal it is `b`, whose derivative counts. nan where one is."""
    return torch.where((a >= b) | (b != b), b, a)


def larger(a: Tensor, b: Tensor | float) -> Tensor:
    """The larger of both; where they are equal it is `b`, whose derivative counts. nan where one is."""
    return torch.where((a <= b) | (b != b), b, a)


class Sloped(torch.autograd.Function):
    """`value(x)`, whose derivative is declared to be `slope(x)`, which is made of `x`: that alone is kept."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, value: Callable[[Tensor], Tensor], slope: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Any shape -> the same shape."""
        ctx.slope = slope
        ctx.save_for_backward(x)
        return value(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """The gradient of `x`, which can be differentiated in turn."""
        (grad,), (x,) = grads, ctx.saved_tensors
        return grad * ctx.slope(x), None, None


def sloped(x: Tensor, value: Callable[[Tensor], Tensor], slope: Callable[[Tensor], Tensor]) -> Tensor:
    """`value(x)`, whose derivative is declared to be `slope(x)`.

    What is traced or transformed gets a line through the point where `x` is, at which the slope is that half
    the way along it: so the derivative of the slope is the second one.
    """
    if not is_followed():
        return Sloped.apply(x, value, slope)
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
