"""A layer as one module: what happens to the sum of all that enters it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from .constants import WithTables


class Layer(WithTables):
    """Applies a layer's parts (norms, activations, dropout), `<layer>.<part>`, in their order.

    The bias is held here and not added here: the first of the projections that enter the layer starts its
    sums from it. `bias` is the number of its entries, zeros until start values are loaded, or the parameter
    that several layers share; `bias_index`, if
    given, says which entry each unit has, -1 for none.
    """

    bias_index: Tensor

    def __init__(
        self, bias: int | nn.Parameter | None = None, bias_index: object = None, **parts: nn.Module
    ) -> None:
        super().__init__()
        if bias is not None:
            self.bias = bias if isinstance(bias, nn.Parameter) else nn.Parameter(torch.zeros(bias))
        index = {} if bias_index is None else {"bias_index": np.array(bias_index, np.int64)}
        self.add_tables(**index)
        for name, part in parts.items():
            self.add_module(name, part)

    def unit_bias(self) -> Tensor:
        """The bias of every unit, (units,): entry `bias_index[unit]`, or 0 where that is -1."""
        if "bias_index" not in self.table_names:
            return self.bias
        return torch.cat([self.bias, self.bias.new_zeros(1)])[self.bias_index]

    def forward(self, x: Tensor) -> Tensor:
        """The sum of what enters the layer, bias included -> the layer's value, both (batch, units)."""
        for part in self.children():
            x = part(x)
        return x


class LateBiasLayer(Layer):
    """A layer that adds its bias itself, behind the first `bias_behind` of its parts."""

    def __init__(
        self,
        bias_behind: int,
        bias: int | nn.Parameter,
        bias_index: object = None,
        **parts: nn.Module,
    ) -> None:
        super().__init__(bias, bias_index, **parts)
        self.bias_behind = bias_behind

    def forward(self, x: Tensor) -> Tensor:
        """The sum of what enters the layer -> the layer's value, both (batch, units)."""
        for number, part in enumerate(self.children(), 1):
            x = part(x)
            if number == self.bias_behind:
                x = x + self.unit_bias()
        return x


class Scale(nn.Module):
    """Multiplies by a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """(batch, units) -> (batch, units)."""
        return self.factor * x

    def extra_repr(self) -> str:
        """Say the number."""
        return str(self.factor)


class View(nn.Module):
    """Passes on what it gets, as a tensor of its own.

    It stands before an activation that would else get the very tensor that another one has made: captum has
    its hooks on tensors, and would take the two for one.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(batch, units) -> (batch, units)."""
        return x.view_as(x)


# The parts below take (batch, units) as any part does, but work on it as it is stored: units first.


class UnitsFirstBatchNorm1d(nn.BatchNorm1d):
    """A batch norm of (batch, units) that is stored units first, and stays so."""

    def forward(self, input: Tensor) -> Tensor:
        """(batch, units) -> (batch, units), as (1, units, batch), where it stands."""
        return super().forward(input.t().unsqueeze(0)).squeeze(0).t()


class UnitsFirstLayerNorm(nn.LayerNorm):
    """A layer norm of (batch, units) that is stored units first, and stays so.

    As `nn.LayerNorm`, it computes at least in float32, which is also what it returns under autocast.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(batch, units) -> (batch, units)."""
        single = torch.promote_types(input.dtype, torch.float32)
        dtype = single if torch.is_autocast_enabled(input.device.type) else input.dtype
        with torch.autocast(input.device.type, enabled=False):
            x = input.to(single)
            variance, mean = torch.var_mean(x, 1, correction=0, keepdim=True)
            x = (x - mean) * torch.rsqrt(variance + self.eps)
            return torch.addcmul(self.bias, x, self.weight).to(dtype)
