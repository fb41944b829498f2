"""A linear map along given edges: one weight an edge, any wiring.

Computes units first, (units, batch): an edge then reads one contiguous run of the batch. Every gradient is a
gather or a product of two rows, never a scatter, so results are the same in every run, on CUDA too. No array
of edges x batch is made.
"""

import warnings

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .edge_weights import EdgeWeights
from .tracing import in_forward_mode
from .units_first import added_onto, contiguous_rows, transposed_copy


def summed_rows(rows: Tensor, index: Tensor, offsets: Tensor, weight: Tensor | None) -> Tensor:
    """Return, for every bag of edges, the sum over its edges of `weight[e] * rows[index[e]]`.

    Half-precision rows are summed in float32 and rounded once.

    Args:
        rows: (units, batch).
        index: (edges,) integers, the row that an edge reads; the edges of a bag stand together.
        offsets: (bags + 1,) integers, where the bags start and the last one ends.
        weight: (edges,), of the dtype of `rows`; None means ones.

    Returns:
        (bags, batch), contiguous; zeros for an empty bag.
    """
    if index.numel() == 0 or rows.shape[1] == 0:
        return rows.new_zeros(offsets.numel() - 1, rows.shape[1])
    rows = contiguous_rows(rows)
    if torch.compiler.is_exporting():
        return F.embedding_bag(
            index, rows, offsets, mode="sum", per_sample_weights=weight, include_last_offset=True
        )
    # What `embedding_bag` calls where it need not prepare for gradients: they are those of `EdgeSum`.
    return torch.ops.aten._embedding_bag_forward_only(rows, index, offsets, False, 0, False, weight, True)[0]


def row_products(x: Tensor, grad: Tensor, source: Tensor, target: Tensor, offsets: Tensor) -> Tensor:
    """Return, for every edge, the dot product of `x[source[e]]` and `grad[target[e]]`.

    Args:
        x: (sources, batch).
        grad: (targets, batch).
        source: (edges,) integers.
        target: (edges,) integers, ascending.
        offsets: (targets + 1,) integers, where the edges of a target start.

    Returns:
        (edges,), of the dtype of `x`.
    """
    if source.numel() == 0 or x.shape[1] == 0:
        return x.new_zeros(source.numel())
    if x.device.type == "cpu" and torch.compiler.is_compiling():
        # Inductor makes one loop of this. `as_strided` has it store both factors first: computed inside the
        # loop they would be computed anew, from far-apart numbers, for every edge. It needs clones, because
        # some operations (batch norm's gradient) do not return the layout that was traced.
        x = x.clone(memory_format=torch.contiguous_format).as_strided(x.shape, (x.shape[1], 1))
        grad = grad.clone(memory_format=torch.contiguous_format).as_strided(grad.shape, (grad.shape[1], 1))
        return (x.index_select(0, source) * grad.index_select(0, target)).sum(1)
    x, grad = contiguous_rows(x), contiguous_rows(grad)
    if x.device.type != "cpu":
        return torch.ops.aten._embedding_bag_per_sample_weights_backward(
            grad, x, source, offsets[:-1], target, 0
        )
    # Two to four times as fast as the form above for other devices, but cannot be traced. `out` saves copies.
    accumulate = torch.promote_types(x.dtype, torch.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        edges = torch.sparse_csr_tensor(
            offsets,
            source,
            x.new_zeros(source.numel(), dtype=accumulate),
            size=(grad.shape[0], x.shape[0]),
            check_invariants=False,
        )
    torch.sparse.sampled_addmm(edges, grad.to(accumulate), x.to(accumulate).t(), beta=0.0, out=edges)
    return edges.values().to(x.dtype)


def plain_edge_sum(
    x: Tensor, weight: Tensor | None, source: Tensor, target: Tensor, offsets: Tensor, fan_in: int
) -> Tensor:
    """Return what `EdgeSum` does, made of plain operations, for what cannot take `EdgeSum`.

    Adds neighbouring edges of a target pair by pair, then pairs of pairs, and so on: no scatter, which ONNX
    Runtime gets wrong on several threads, and no loop over targets. It holds edges x batch numbers and takes
    edges x batch x log2(fan_in) steps.

    Args:
        x: (sources, batch).
        weight: (edges,), of the dtype of `x`; None means ones.
        source: (edges,) integers.
        target: (edges,) integers, ascending.
        offsets: (targets + 1,) integers, where the edges of a target start.
        fan_in: the largest number of edges into one target.

    Returns:
        (targets, batch).
    """
    sums = x.index_select(0, source).to(torch.promote_types(x.dtype, torch.float32))
    if weight is not None:
        sums = sums * weight[:, None]
    reach = 1  # `sums[e]` adds up the edges e, e + 1, ..., e + reach - 1, as far as they have one target
    while reach < fan_in:
        continues = target[reach:] == target[:-reach]
        sums = sums + F.pad(sums[reach:].where(continues[:, None], 0.0), (0, 0, 0, reach))
        reach *= 2
    # The row of zeros behind the last edge is what a target without edges reads.
    first = offsets[:-1].where(offsets[:-1] < offsets[1:], source.numel())
    return F.pad(sums, (0, 0, 0, 1)).index_select(0, first).to(x.dtype)


def one_by_one(function, info, in_dims, *inputs) -> tuple[Tensor, int]:
    """Apply a function to every slice that `torch.func.vmap` maps over, one after the other, and stack."""
    slices = [
        [value if dim is None else value.select(dim, at) for value, dim in zip(inputs, in_dims, strict=True)]
        for at in range(info.batch_size)
    ]
    return torch.stack([function.apply(*arguments) for arguments in slices]), 0


def mapped_sum(function, info, in_dims, rows, *others) -> tuple[Tensor, int]:
    """Apply `EdgeSum` or `ReverseEdgeSum` under `torch.func.vmap`.

    Where only `rows` (units, batch) is mapped over, what it is mapped over is more batch: one call.
    """
    if any(dim is not None for dim in in_dims[1:]):
        return one_by_one(function, info, in_dims, rows, *others)
    rows = rows.movedim(in_dims[0], 1)
    return function.apply(rows.flatten(1), *others).unflatten(1, rows.shape[1:]), 1


class EdgeSum(torch.autograd.Function):
    """`y[t] = sum over edges s -> t of weight[e] * x[s]`, units first.

    Takes `x` (sources, batch), `weight` (edges,) or None, and the six tables of an `EdgeProjection`; returns
    (targets, batch). Together with `ReverseEdgeSum` and `EdgeDot` it is closed under differentiation.
    """

    @staticmethod
    def forward(
        x, weight, source, target, target_offsets, reverse_target, reverse_edge, reverse_offsets
    ) -> Tensor:
        """Sum over the edges that arrive at a target."""
        return summed_rows(x, source, target_offsets, weight)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        """Keep `x` only where the gradient of the weights will need it."""
        x, weight, *tables = inputs
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight, *tables)

    @staticmethod
    def backward(ctx, *grads: Tensor):
        """Gradients of `x` and `weight`, each only where needed."""
        (grad,) = grads
        x, weight, *tables = ctx.saved_tensors
        grad = contiguous_rows(grad)
        grad_x = ReverseEdgeSum.apply(grad, weight, *tables) if ctx.needs_input_grad[0] else None
        grad_weight = EdgeDot.apply(x, grad, *tables) if ctx.needs_input_grad[1] else None
        return grad_x, grad_weight, None, None, None, None, None, None

    @staticmethod
    def vmap(info, in_dims, *inputs) -> tuple[Tensor, int]:
        """Work under `torch.func.vmap`."""
        return mapped_sum(EdgeSum, info, in_dims, *inputs)


class ReverseEdgeSum(torch.autograd.Function):
    """`x[s] = sum over edges s -> t of weight[e] * y[t]`, units first: a gather along the reversed edges.

    Takes `y` (targets, batch) and otherwise what `EdgeSum` takes; returns (sources, batch).
    """

    @staticmethod
    def forward(
        y, weight, source, target, target_offsets, reverse_target, reverse_edge, reverse_offsets
    ) -> Tensor:
        """Sum over the edges that leave a source."""
        reverse_weight = None if weight is None else weight.index_select(0, reverse_edge)
        return summed_rows(y, reverse_target, reverse_offsets, reverse_weight)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        """Keep `y` only where the gradient of the weights will need it."""
        y, weight, *tables = inputs
        ctx.save_for_backward(y if ctx.needs_input_grad[1] else None, weight, *tables)

    @staticmethod
    def backward(ctx, *grads: Tensor):
        """Gradients of `y` and `weight`, each only where needed."""
        (grad,) = grads
        y, weight, *tables = ctx.saved_tensors
        grad = contiguous_rows(grad)
        grad_y = EdgeSum.apply(grad, weight, *tables) if ctx.needs_input_grad[0] else None
        grad_weight = EdgeDot.apply(grad, y, *tables) if ctx.needs_input_grad[1] else None
        return grad_y, grad_weight, None, None, None, None, None, None

    @staticmethod
    def vmap(info, in_dims, *inputs) -> tuple[Tensor, int]:
        """Work under `torch.func.vmap`."""
        return mapped_sum(ReverseEdgeSum, info, in_dims, *inputs)


class EdgeDot(torch.autograd.Function):
    """`weight[e] = sum over the batch of x[s] * y[t]` for every edge s -> t.

    Takes `x` (sources, batch), `y` (targets, batch) and the six tables; returns (edges,).
    """

    @staticmethod
    def forward(
        x, y, source, target, target_offsets, reverse_target, reverse_edge, reverse_offsets
    ) -> Tensor:
        """Multiply the two ends of every edge."""
        return row_products(x, y, source, target, target_offsets)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        """Keep both ends: this runs only for a second derivative."""
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, *grads: Tensor):
        """Gradients of `x` and `y`, each only where needed."""
        (grad,) = grads
        x, y, *tables = ctx.saved_tensors
        grad_x = ReverseEdgeSum.apply(y, grad, *tables) if ctx.needs_input_grad[0] else None
        grad_y = EdgeSum.apply(x, grad, *tables) if ctx.needs_input_grad[1] else None
        return grad_x, grad_y, None, None, None, None, None, None

    @staticmethod
    def vmap(info, in_dims, *inputs) -> tuple[Tensor, int]:
        """Work under `torch.func.vmap`."""
        return one_by_one(EdgeDot, info, in_dims, *inputs)


def check_edges(source: np.ndarray, target: np.ndarray, shape: tuple[int, int]) -> None:
    """Raise a `ValueError` unless these are edges in canonical order: by target, then source, each once."""
    if not (source.ndim == target.ndim == 1 and len(source) == len(target)):
        raise ValueError(
            "`source` and `target` must be vectors of one length, "
            f"not of shapes {source.shape} and {target.shape}"
        )
    for name, units, size in (("target", target, shape[0]), ("source", source, shape[1])):
        if units.dtype.kind not in "iu":
            raise ValueError(f"`{name}` must hold integers, not {units.dtype}")
        if len(units) and not 0 <= units.min() <= units.max() < size:
            raise ValueError(
                f"`{name}` must lie in 0 to {size - 1}, but runs from {units.min()} to {units.max()}"
            )
    ascends = target[1:] > target[:-1]
    ascends |= (target[1:] == target[:-1]) & (source[1:] > source[:-1])
    if not ascends.all():
        edge = int(np.argmin(ascends))
        raise ValueError(
            "edges must be sorted by target, then by source, without duplicates, but edge "
            f"{edge + 1} ({source[edge + 1]} -> {target[edge + 1]}) follows "
            f"edge {edge} ({source[edge]} -> {target[edge]})"
        )


class EdgeProjection(EdgeWeights):
    """Sum the weighted inputs that arrive at every target unit along given edges.

    The output is a transposed view of a contiguous (targets, batch). Sparse layers joined by element-wise
    steps therefore pass the batch on without transposing it; `transposed_copy(y.t())` makes it contiguous.

    Attributes:
        fan_in: the largest number of edges into one target.
        source, target: (edges,) the two ends of every edge, by target, then by source.
        target_offsets: (targets + 1,) where the edges of a target start.
        reverse_target, reverse_edge: (edges,) target and number of every edge, by source, then by target.
        reverse_offsets: (sources + 1,) where the reversed edges of a source start.
    """

    source: Tensor
    target: Tensor
    target_offsets: Tensor
    reverse_target: Tensor
    reverse_edge: Tensor
    reverse_offsets: Tensor

    def __init__(
        self,
        source: np.ndarray,
        target: np.ndarray,
        shape: tuple[int, int],
        *,
        trainable: bool = True,
        weighted: bool = True,
    ) -> None:
        """Lay out the tables of the edges; `hold_edges` says what it is given.

        Raises:
            ValueError: `source` and `target` are not integer vectors of one length, an index is out of range,
                the edges are not sorted by target, then source, or one occurs twice.
        """
        super().__init__()
        source, target = np.asarray(source), np.asarray(target)
        check_edges(source, target, shape)
        edges = len(source)
        source, target = source.astype(np.int64, copy=False), target.astype(np.int64, copy=False)
        dtype = np.int32 if max(edges, *shape) < 2**31 else np.int64
        # A stable sort by source: plain integers sort ten times as fast as `argsort` does.
        reverse_edge = np.sort(source * edges + np.arange(edges)) % max(1, edges)
        target_offsets = np.searchsorted(target, np.arange(shape[0] + 1))
        self.fan_in = int(np.diff(target_offsets).max(initial=0))
        tables = {
            "source": source,
            "target": target,
            "target_offsets": target_offsets,
            "reverse_target": target[reverse_edge],
            "reverse_edge": reverse_edge,
            "reverse_offsets": np.concatenate(([0], np.cumsum(np.bincount(source, minlength=shape[1])))),
        }
        tables = {name: table.astype(dtype) for name, table in tables.items()}
        self.hold_edges(source, target, shape, trainable, weighted, **tables)

    def forward(self, x: Tensor, onto: Tensor | None = None, weight: Tensor | None = None) -> Tensor:
        """Map (batch, sources) to (batch, targets); a target without edges gets zero."""
        weight = self.weight if weight is None else weight
        dtype = self.computing_dtype(x, weight)
        rows, weight = transposed_copy(x.to(dtype)), None if weight is None else weight.to(dtype)
        source, target, offsets = self.source, self.target, self.target_offsets
        if torch.compiler.is_exporting() and not torch.onnx.is_in_onnx_export():
            # An exported program has operations only, and its gradients are theirs.
            y = summed_rows(rows, source, offsets, weight)
        elif torch.compiler.is_exporting() or in_forward_mode():
            y = plain_edge_sum(rows, weight, source, target, offsets, self.fan_in)
        else:
            reverse = self.reverse_target, self.reverse_edge, self.reverse_offsets
            y = EdgeSum.apply(rows, weight, source, target, offsets, *reverse)
        return added_onto(y, onto).t()
