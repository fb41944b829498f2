"""What weights are made of where they are not a parameter as it is: shared, of one sign, multiplied."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from torch import Tensor, nn

from .constants import WithTables
from .tracing import in_forward_mode


class SpreadEntries(torch.autograd.Function):
    """`entries[e] = parameter[index[e]]`, for vectors.

    Takes `parameter` (size,), `index` (edges,), `order` (edges,), which sorts the index, and `offsets`
    (size + 1,), where the edges of each entry start in that order.
    """

    @staticmethod
    def forward(parameter, index, order, offsets) -> Tensor:
        """Read the entry of every edge."""
        return parameter.index_select(0, index)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        """Keep the tables."""
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    def backward(ctx, *grads: Tensor):
        """The gradient of an entry is the sum of those of its edges."""
        return SumEntries.apply(grads[0], *ctx.saved_tensors), None, None, None

    @staticmethod
    def vmap(info, in_dims, *inputs) -> tuple[Tensor, int]:
        """Work under `torch.func.vmap`: the tables are never mapped over."""
        parameter, index, *_ = inputs
        return parameter.movedim(in_dims[0], 0).index_select(1, index), 0


class SumEntries(torch.autograd.Function):
    """`sums[k]` = the sum of `entries[e]` over the edges with `index[e] == k`, one after the other.

    Takes `entries` (edges,) and the tables of `SpreadEntries`; each is the derivative of the other. Nothing
    is scattered, so sums are the same in every run, on CUDA too.
    """

    @staticmethod
    def forward(entries, index, order, offsets) -> Tensor:
        """Sort, and add up each segment."""
        return segment_sums(entries.unsqueeze(0), order, offsets).squeeze(0)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        """Keep the tables."""
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    def backward(ctx, *grads: Tensor):
        """The gradient of an edge is that of its entry."""
        return SpreadEntries.apply(grads[0], *ctx.saved_tensors), None, None, None

    @staticmethod
    def vmap(info, in_dims, *inputs) -> tuple[Tensor, int]:
        """Work under `torch.func.vmap`: the tables are never mapped over."""
        entries, _, order, offsets = inputs
        return segment_sums(entries.movedim(in_dims[0], 0), order, offsets), 0


def segment_sums(entries: Tensor, order: Tensor, offsets: Tensor) -> Tensor:
    """Return the sums (rows, size) of the segments of `entries[:, order]`, (rows, edges)."""
    taken = entries.index_select(1, order)
    wide = torch.promote_types(taken.dtype, torch.float32)
    rows, edges = taken.shape
    if edges == 0:
        return taken.new_zeros(rows, offsets.numel() - 1)
    ends = offsets.unsqueeze(0).expand(rows, -1)
    return torch.segment_reduce(taken.to(wide), "sum", offsets=ends.contiguous(), axis=1, initial=0).to(
        taken.dtype
    )


class Spread(WithTables):
    """Weights that edges share: `entries[e] = parameter[index[e]]`, the parameter counted along its rows.

    Attributes:
        index: (edges,) the entry of every edge.
        order: (edges,) the edges by their entry.
        offsets: (size + 1,) where the edges of each entry start in that order.
    """

    index: Tensor
    order: Tensor
    offsets: Tensor

    def __init__(self, index: np.ndarray, shape: tuple[int, ...], entries: tuple[int, ...]) -> None:
        """Lay out the tables; `shape` is that of the parameter, `entries` that of what is made."""
        super().__init__()
        self.shape, self.entries = shape, entries
        index = np.array(index, np.int64)
        order = np.argsort(index, kind="stable")
        offsets = np.searchsorted(index[order], np.arange(prod(shape) + 1))
        self.add_tables(index=index, order=order, offsets=offsets)

    def forward(self, parameter: Tensor) -> Tensor:
        """The parameter -> the weight of every edge."""
        flat = parameter.reshape(-1)
        if torch.compiler.is_exporting() or in_forward_mode():
            spread = flat.index_select(0, self.index)
        else:
            spread = SpreadEntries.apply(flat, self.index, self.order, self.offsets)
        return spread.view(self.entries)

    def extra_repr(self) -> str:
        """Say the sizes."""
        return f"{self.shape} -> {self.entries}"


class Turned(nn.Module):
    """The matrix of a connection as that of its reverse."""

    def forward(self, matrix: Tensor) -> Tensor:
        """(rows, columns) -> (columns, rows)."""
        return matrix.t()


class Times(WithTables):
    """Multiplies every entry by a number of its own."""

    factor: Tensor

    def __init__(self, factor: np.ndarray) -> None:
        super().__init__()
        self.add_tables(factor=np.array(factor, np.float32))

    def forward(self, entries: Tensor) -> Tensor:
        """Any shape -> the same shape."""
        return self.factor.to(entries.dtype) * entries
