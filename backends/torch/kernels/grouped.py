"""Parts of a layer that take units together by their place in its shape.

Each takes (batch, units), batch first or units first in memory, and gives what it takes in the same way. The
units of a sample are seen in `shape`; `over` are the dimensions, the batch being 0, along which units are
taken together.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GroupedBatchNorm(nn.BatchNorm1d):
    """A batch norm with `num_features` statistics: what is pooled over units counts as more samples.

    With `units_first` the units are that in memory, and stay so.
    """

    def __init__(
        self,
        num_features: int,
        shape: tuple[int, ...],
        over: tuple[int, ...],
        *,
        eps: float,
        momentum: float,
        units_first: bool = False,
    ) -> None:
        super().__init__(num_features, eps=eps, momentum=momentum)
        self.shape, self.units_first = shape, units_first
        apart = [at for at in range(len(shape)) if at + 1 not in over]
        self.order = (*apart, *(at - 1 for at in over), len(shape))
        self.back = tuple(sorted(range(len(self.order)), key=self.order.__getitem__))

    def forward(self, input: Tensor) -> Tensor:
        """(batch, units) -> (batch, units)."""
        pooled = math.prod(self.shape) // self.num_features
        x = input.t().unflatten(0, self.shape).permute(self.order)
        sizes = x.shape
        if self.units_first:
            x = super().forward(x.reshape(1, self.num_features, pooled * len(input))).reshape(sizes)
        else:
            x = x.movedim(-1, 0).reshape(len(input), self.num_features, pooled)
            x = super().forward(x).reshape(len(input), *sizes[:-1]).movedim(0, -1)
        x = x.permute(self.back).flatten(0, -2).t()
        return x if self.units_first else x.contiguous()


class GroupedLayerNorm(nn.LayerNorm):
    """A layer norm over the units that differ along `over` alone, with a weight and a bias for every unit.

    As `nn.LayerNorm`, it computes at least in float32, which is also what it returns under autocast.
    """

    def __init__(self, shape: tuple[int, ...], over: tuple[int, ...], *, eps: float) -> None:
        super().__init__(math.prod(shape), eps=eps)
        self.shape, self.over = shape, over

    def forward(self, input: Tensor) -> Tensor:
        """(batch, units) -> (batch, units)."""
        single = torch.promote_types(input.dtype, torch.float32)
        dtype = single if torch.is_autocast_enabled(input.device.type) else input.dtype
        with torch.autocast(input.device.type, enabled=False):
            x = input.to(single).unflatten(1, self.shape)
            x = x - x.mean(self.over, keepdim=True)
            variance = x.square().mean(self.over, keepdim=True)
            x = (x * torch.rsqrt(variance + self.eps)).flatten(1)
            return torch.addcmul(self.bias, x, self.weight).to(dtype)


class GroupedRMSNorm(nn.RMSNorm):
    """A root mean square norm over the units that differ along `over` alone, with a weight for every unit.

    It computes at least in float32, which is also what it returns under autocast.
    """

    def __init__(self, shape: tuple[int, ...], over: tuple[int, ...], *, eps: float) -> None:
        super().__init__(math.prod(shape), eps=eps)
        self.shape, self.over = shape, over

    def forward(self, x: Tensor) -> Tensor:
        """(batch, units) -> (batch, units)."""
        single = torch.promote_types(x.dtype, torch.float32)
        dtype = single if torch.is_autocast_enabled(x.device.type) else x.dtype
        with torch.autocast(x.device.type, enabled=False):
            grid = x.to(single).unflatten(1, self.shape)
            square = grid.square().mean(self.over, keepdim=True)
            root = torch.sqrt(square + (self.eps or 0.0))
            return ((grid / root).flatten(1) * self.weight).to(dtype)


class GroupedDropout(nn.Dropout):
    """Zeroes together the units of a sample that differ along `over` alone."""

    def __init__(self, p: float, shape: tuple[int, ...], over: tuple[int, ...]) -> None:
        super().__init__(p)
        self.shape, self.over = shape, over

    def forward(self, input: Tensor) -> Tensor:
        """(batch, units) -> (batch, units)."""
        if not self.training:
            return input
        entries = [1 if at in self.over else size for at, size in enumerate(self.shape, 1)]
        mask = F.dropout(input.new_ones(len(input), *entries), self.p)
        return (input.unflatten(1, self.shape) * mask).flatten(1)


class PReLU(nn.PReLU):
    """x where x > 0, else the slope of each unit times x.

    At 0 its derivative is the slope, where that of `nn.PReLU` is 1 forwards and the slope backwards. Its name
    is that of `nn.PReLU`, because tools know a module by the name of its class.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(batch, units) -> (batch, units)."""
        return torch.where(input > 0, input, self.weight * input)


class GroupedPReLU(nn.PReLU):
    """x where x > 0, else a slope times x, which units have in common that differ along `over` alone."""

    def __init__(self, shape: tuple[int, ...], over: tuple[int, ...]) -> None:
        entries = [1 if at in over else size for at, size in enumerate(shape, 1)]
        super().__init__(math.prod(entries))
        self.shape, self.entries = shape, tuple(entries)

    def forward(self, input: Tensor) -> Tensor:
        """(batch, units) -> (batch, units)."""
        x = input.unflatten(1, self.shape)
        return torch.where(x > 0, x, self.weight.view(self.entries) * x).flatten(1)


class Softmax(nn.Softmax):
    """A softmax of (batch, units), which stays in memory as it is.

    Its name is that of `nn.Softmax`, because tools such as shap know a module by the name of its class.
    """

    def __init__(self, shape: tuple[int, ...], over: tuple[int, ...]) -> None:
        super().__init__(dim=over[0])
        self.shape, self.over = shape, tuple(at - 1 for at in over)

    def forward(self, input: Tensor) -> Tensor:
        """(batch, units) -> (batch, units)."""
        x = input.t().unflatten(0, self.shape)
        if len(self.over) == 1:
            return torch.softmax(x, dim=self.over[0]).flatten(0, -2).t()
        e = torch.exp(x - x.detach().amax(self.over, keepdim=True))
        return (e / e.sum(self.over, keepdim=True)).flatten(0, -2).t()


class LogSoftmax(nn.LogSoftmax):
    """The logarithm of a softmax of (batch, units), which stays in memory as it is."""

    def __init__(self, shape: tuple[int, ...], over: tuple[int, ...]) -> None:
        super().__init__(dim=over[0])
        self.shape, self.over = shape, tuple(at - 1 for at in over)

    def forward(self, input: Tensor) -> Tensor:
        """(batch, units) -> (batch, units)."""
        x = input.t().unflatten(0, self.shape)
        if len(self.over) == 1:
            return torch.log_softmax(x, dim=self.over[0]).flatten(0, -2).t()
        return (x - torch.logsumexp(x, self.over, keepdim=True)).flatten(0, -2).t()
