"""What a layer holds besides the connections that enter it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from .constants import WithTables


class LayerParts(WithTables):
    """Holds a layer's bias and named parts (norms, dropout), so that they are called `<layer>.<part>`.

    `bias` is the number of its entries, zeros until start values are loaded; `bias_index`, if given, says
    which entry each unit has, -1 for none.
    """

    def __init__(self, bias: int | None = None, bias_index: object = None, **parts: nn.Module) -> None:
        super().__init__()
        if bias is not None:
            self.bias = nn.Parameter(torch.zeros(bias))
        index = {} if bias_index is None else {"bias_index": np.array(bias_index, np.int64)}
        self.add_tables(**index)
        for name, part in parts.items():
            self.add_module(name, part)

    def unit_bias(self) -> Tensor:
        """The bias of every unit, (units,): entry `bias_index[unit]`, or 0 where that is -1."""
        return torch.cat([self.bias, self.bias.new_zeros(1)])[self.bias_index]
