"""Moving between (batch, units) and (units, batch), the layout in which sparse layers compute."""

import torch
from torch import Tensor

from .tracing import in_forward_mode, is_followed


class TransposedCopy(torch.autograd.Function):
    """A contiguous copy of the transpose of a matrix; so is its gradient."""

    @staticmethod
    def forward(matrix: Tensor) -> Tensor:
        """Copy (rows, columns) to (columns, rows)."""
        rows, columns = matrix.shape
        if torch.compiler.is_compiling() or matrix.device.type != "cpu" or matrix.numel() < 2**16:
            return matrix.t().contiguous()
        if torch.get_num_threads() == 1 and matrix.dtype == torch.float32:
            # `channel_shuffle` takes this for one pixel: on one core, and by vector instructions.
            pixel = matrix.contiguous().view(1, 1, 1, -1).permute(0, 3, 1, 2)
            return torch.channel_shuffle(pixel, rows).reshape(columns, rows)
        # `contiguous` would use one core.
        copy = matrix.new_empty(columns, rows)
        if rows < columns:
            # The third dimension keeps the copy off the routine for one core.
            copy.unsqueeze(0).copy_(matrix.t().unsqueeze(0))
            return copy
        # Transpose tiles, 32 at a time, and lay them side by side while the cache holds them. Here each tile
        # is a pixel, so all cores have some. Few parallel steps, because each waits for the slowest core.
        height = min(rows, max(16, 2**15 // columns))
        tiled = rows - rows % height
        steps = zip(matrix[:tiled].split(32 * height), copy[:, :tiled].split(32 * height, 1), strict=True)
        for some, place in steps:
            pixels = some.contiguous().view(1, 1, -1, height * columns).permute(0, 3, 1, 2)
            turned = torch.channel_shuffle(pixels, height).permute(0, 2, 3, 1)
            place.unflatten(1, (-1, height)).copy_(turned.reshape(-1, columns, height).transpose(0, 1))
            del turned  # before the next is made
        copy[:, tiled:].copy_(matrix[tiled:].t())
        return copy

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        """Nothing to remember."""

    @staticmethod
    def backward(ctx, *grads: Tensor) -> Tensor:
        """Copy (columns, rows) back to (rows, columns)."""
        return transposed_copy(*grads)

    @staticmethod
    def vmap(info, in_dims, *inputs: Tensor) -> tuple[Tensor, int]:
        """Work under `torch.func.vmap`: copy every matrix of a stack."""
        (matrix,) = inputs
        return matrix.movedim(in_dims[0], 0).transpose(1, 2).contiguous(), 0


def transposed_copy(matrix: Tensor) -> Tensor:
    """Return the transpose of (rows, columns) as a contiguous (columns, rows).

    Differentiable any number of times. Returns a view where the transpose is contiguous already, as it is
    between two sparse layers: `transposed_copy(y)` of a sparse layer's output costs nothing, and
    `transposed_copy(y.t())` is that output as a contiguous (batch, units).
    """
    transpose = matrix.t()
    if torch.compiler.is_exporting() or in_forward_mode():
        return transpose.contiguous()
    if transpose.is_contiguous():
        return transpose
    return TransposedCopy.apply(matrix)


def contiguous_rows(matrix: Tensor) -> Tensor:
    """Return (rows, columns) with every row in one piece: itself where it is contiguous, else a copy.

    Differentiable any number of times. Gradients arrive in any layout, and what sums rows is slow on others.
    """
    if torch.compiler.is_compiling():
        return matrix.contiguous()  # the layout of a gradient is not known yet while its backward is traced
    return transposed_copy(matrix.t())


def is_units_first(x: Tensor) -> bool:
    """Whether (batch, units) is a view of a contiguous (units, batch), and not contiguous itself."""
    return x.t().is_contiguous() and not x.is_contiguous()


def to_units_first(x: Tensor) -> Tensor:
    """Return (batch, units) as a view of a contiguous (units, batch): a copy, unless it is one already."""
    return transposed_copy(x).t()


def to_batch_first(x: Tensor) -> Tensor:
    """Return (batch, units) as a contiguous array: a copy, unless it is one already."""
    return transposed_copy(x.t())


def added_onto(sums: Tensor, onto: Tensor | None) -> Tensor:
    """Return `sums` (units, batch) plus a bias (units,) or an array (batch, units), written into `sums`.

    What is traced or transformed as a function gets an array of its own, as everything does there.
    """
    if onto is None:
        return sums
    onto = onto.to(sums.dtype)
    onto = onto.unsqueeze(1) if onto.dim() == 1 else onto.t()
    return sums + onto if is_followed() else sums.add_(onto)
