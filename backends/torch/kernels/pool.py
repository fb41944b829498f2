"""What arrives along given edges, pooled by unit otherwise than by a sum: mean, max, min, product, logsumexp.

Computes units first, as sums along edges do. Targets of one fan-in are pooled together, from a table of what
each of them reads, in slices of the batch, so no array of edges x batch is held but of a slice. The gradient
of the input is a sum over the reversed edges, never a scatter, so results are the same in every run.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from .edge_weights import EdgeWeights
from .edges import check_edges, summed_rows
from .units_first import added_onto, contiguous_rows, in_forward_mode, transposed_copy


def first_of_largest(parts: Tensor) -> Tensor:
    """Return which of (inputs, units, batch) is the largest, the first of equals: (1, units, batch)."""
    return parts.argmax(0, keepdim=True)


def largest(parts: Tensor) -> Tensor:
    """Return the largest of (inputs, units, batch); the first of equals has the gradient."""
    return parts.gather(0, first_of_largest(parts)).squeeze(0)


def largest_slopes(parts: Tensor, grad: Tensor) -> Tensor:
    """Return the gradient of what `largest` takes from that of what it gives."""
    return torch.zeros_like(parts).scatter(0, first_of_largest(parts), grad.unsqueeze(0))


def smallest(parts: Tensor) -> Tensor:
    """Return the smallest of (inputs, units, batch); the first of equals has the gradient."""
    return parts.gather(0, parts.argmin(0, keepdim=True)).squeeze(0)


def smallest_slopes(parts: Tensor, grad: Tensor) -> Tensor:
    """Return the gradient of what `smallest` takes from that of what it gives."""
    return torch.zeros_like(parts).scatter(0, parts.argmin(0, keepdim=True), grad.unsqueeze(0))


def average(parts: Tensor) -> Tensor:
    """Return the mean of (inputs, units, batch)."""
    return parts.sum(0) / len(parts)


def average_slopes(parts: Tensor, grad: Tensor) -> Tensor:
    """Return the gradient of what `average` takes from that of what it gives."""
    return (grad / len(parts)).expand_as(parts)


def product_of(parts: Tensor) -> Tensor:
    """Return the product of (inputs, units, batch)."""
    if len(parts) > 16:
        return parts.prod(0)
    first, *others = parts.unbind(0)
    for part in others:
        first = first * part
    return first


def product_slopes(parts: Tensor, grad: Tensor) -> Tensor:
    """Return the gradient of what `product_of` takes: of each input, times the product of all the others."""
    ones = torch.ones_like(parts[:1])
    before = torch.cat([ones, parts[:-1]]).cumprod(0)
    after = torch.cat([ones, parts[1:].flip(0)]).cumprod(0).flip(0)
    return before * after * grad


def log_sum_exp(parts: Tensor) -> Tensor:
    """Return the logarithm of the sum of the exponentials of (inputs, units, batch)."""
    return parts.logsumexp(0)


def log_sum_exp_slopes(parts: Tensor, grad: Tensor) -> Tensor:
    """Return the gradient of what `log_sum_exp` takes from that of what it gives."""
    return parts.softmax(0) * grad


def arriving(
    rows: Tensor, weight: Tensor | None, source: Tensor, groups: tuple[tuple[int, int], ...]
) -> list[Tensor]:
    """Return what arrives at the targets of each group: (inputs, units, batch).

    Args:
        rows: (sources, batch).
        weight: (edges,) in the order of `source`, or None.
        source: (edges,) integers, the row that every edge reads; of each group a table (inputs, units).
        groups: inputs and units of each group.
    """
    parts: list[Tensor] = []
    for table, (inputs, units) in zip(source.split([k * n for k, n in groups]), groups, strict=True):
        parts.append(rows.index_select(0, table).view(inputs, units, rows.shape[1]))
    if weight is None:
        return parts
    weights = weight.split([k * n for k, n in groups])
    return [part * w.view(*part.shape[:2], 1) for part, w in zip(parts, weights, strict=True)]


def pooled_rows(
    rows: Tensor,
    weight: Tensor | None,
    source: Tensor,
    place: Tensor,
    groups: tuple[tuple[int, int], ...],
    pools: Callable[[Tensor], Tensor],
    empty: float,
) -> Tensor:
    """Return what is pooled by target, of plain operations: (targets, batch).

    Half precision is pooled in float32 and rounded once.

    Args:
        rows: (sources, batch).
        weight: (edges,) in the order of `source`, or None.
        source: as in `arriving`.
        place: (targets,) integers, where each target is in its group, groups standing one after the other;
            a target without edges is behind the last.
        groups: inputs and units of each group.
        pools: what is made of (inputs, units, batch).
        empty: the value of a target without edges.
    """
    dtype = torch.promote_types(rows.dtype, torch.float32)
    made = [pools(part.to(dtype)) for part in arriving(rows, weight, source, groups)]
    if not made or len(place) > sum(units for _, units in groups):
        made.append(rows.new_full((1, rows.shape[1]), empty, dtype=dtype))
    return torch.cat(made).index_select(0, place).to(rows.dtype)


class PoolEdges(torch.autograd.Function):
    """What `pooled_rows` does, a slice of the batch at a time, with a gradient that is a sum by source."""

    @staticmethod
    def forward(ctx, rows, weight, source, place, reverse_row, reverse_offsets, groups, pools, slopes, empty):
        """Pool what arrives at each target: (sources, batch) -> (targets, batch)."""
        ctx.save_for_backward(rows, weight, source, place, reverse_row, reverse_offsets)
        ctx.groups, ctx.pools, ctx.slopes, ctx.empty = groups, pools, slopes, empty
        tables = source, place, groups, pools, empty
        made = [pooled_rows(piece, weight, *tables) for piece in slices(rows, len(source))]
        return made[0] if len(made) == 1 else torch.cat(made, 1)

    @staticmethod
    def backward(ctx, *grads: Tensor):
        """Gradients of `rows` and `weight`; where they are differentiated again, of plain operations."""
        (grad,) = grads
        rows, weight, source, place, reverse_row, reverse_offsets = ctx.saved_tensors
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            wanted = [x for x, needed in zip((rows, weight), ctx.needs_input_grad, strict=False) if needed]
            y = pooled_rows(rows, weight, source, place, ctx.groups, ctx.pools, ctx.empty)
            found = iter(torch.autograd.grad(y, wanted, grad, create_graph=True))
            by_rows, by_weight = (next(found) if needed else None for needed in ctx.needs_input_grad[:2])
        else:
            by_rows, by_weight = pooled_gradients(
                rows, weight, grad, source, place, reverse_row, reverse_offsets, ctx.groups, ctx.slopes,
                of_rows=ctx.needs_input_grad[0], of_weight=ctx.needs_input_grad[1],
            )  # fmt: skip
        return by_rows, by_weight, *[None] * 8


def slices(rows: Tensor, edges: int) -> tuple[Tensor, ...]:
    """Return (units, batch) in slices of the batch, each contiguous; in traced code one slice, the whole."""
    if torch.compiler.is_compiling():
        return (rows,)
    width = max(16, 2**22 // max(1, edges))  # no narrower than a cache line
    return tuple(contiguous_rows(piece) for piece in rows.split(width, 1))


def pooled_gradients(
    rows: Tensor,
    weight: Tensor | None,
    grad: Tensor,
    source: Tensor,
    place: Tensor,
    reverse_row: Tensor,
    reverse_offsets: Tensor,
    groups: tuple[tuple[int, int], ...],
    slopes: Callable[[Tensor, Tensor], Tensor],
    *,
    of_rows: bool,
    of_weight: bool,
) -> tuple[Tensor | None, Tensor | None]:
    """Return the gradients (sources, batch) and (edges,) of what `pooled_rows` takes, each only if wanted.

    Args:
        rows, weight, source, place, groups: as there.
        grad: (targets, batch), the gradient of what it gives.
        reverse_row: (edges,) integers, by source, where every edge is in `source`.
        reverse_offsets: (sources + 1,) integers, where the edges of a source start.
        slopes: what is made of (inputs, units, batch) and the gradient of what is pooled of it.
    """
    targets = sum(units for _, units in groups)
    # Of each row of the groups, the target whose gradient it has; targets without edges have none.
    back = place.new_zeros(targets + 1).scatter(0, place.long(), torch.arange(len(place)).to(place))[:targets]
    sizes = [units for _, units in groups]
    by_rows: list[Tensor] = []
    by_weight = None if weight is None or not of_weight else weight.new_zeros(weight.shape)
    for x, g in zip(slices(rows, len(source)), slices(grad, len(source)), strict=True):
        dtype = torch.promote_types(x.dtype, torch.float32)
        read = arriving(x, None, source, groups)
        carried = read if weight is None else arriving(x, weight, source, groups)
        own = g.index_select(0, back).to(dtype).split(sizes)
        made = [slopes(part.to(dtype), one).flatten(0, 1) for part, one in zip(carried, own, strict=True)]
        by_edge = torch.cat(made) if made else x.new_zeros(0, x.shape[1], dtype=dtype)
        if by_weight is not None:
            flat = [part.flatten(0, 1) for part in read]
            by_weight = by_weight + (torch.cat(flat) * by_edge).sum(1).to(by_weight.dtype)
        if of_rows:
            by_edge = by_edge if weight is None else by_edge * weight.unsqueeze(1)
            by_rows.append(summed_rows(by_edge, reverse_row, reverse_offsets, None).to(x.dtype))
    if not of_rows:
        return None, by_weight
    return (by_rows[0] if len(by_rows) == 1 else torch.cat(by_rows, 1)), by_weight


class EdgePool(EdgeWeights):
    """Pools the inputs that arrive at every target unit along given edges, each times its weight if weighted.

    What derives from it has `pools` and `slopes`. The output is a transposed view of a contiguous (targets,
    batch), as that of an `EdgeProjection`.

    Attributes:
        groups: the inputs and the number of the targets of one fan-in, for every fan-in that there is.
        read: (edges,) the source of every edge, group by group, of each a table (inputs, targets).
        order: (edges,) the number of every edge, in the same order.
        place: (targets,) where every target is among the groups; behind them, if it has no edge.
        reverse_row: (edges,) by source, where every edge is in `read`.
        reverse_offsets: (sources + 1,) where the reversed edges of a source start.
    """

    pools: Callable[[Tensor], Tensor]
    slopes: Callable[[Tensor, Tensor], Tensor]
    read: Tensor
    order: Tensor
    place: Tensor
    reverse_row: Tensor
    reverse_offsets: Tensor

    def __init__(
        self,
        source: np.ndarray,
        target: np.ndarray,
        shape: tuple[int, int],
        *,
        empty: float = 0.0,
        trainable: bool = True,
        weighted: bool = True,
    ) -> None:
        """Lay out the tables of the edges.

        Args:
            source: (edges,) integers, the source unit of every edge.
            target: (edges,) integers, the target unit of every edge.
            shape: number of target units, number of source units.
            empty: the value of a target without edges.
            trainable: whether the weights are a parameter rather than a buffer.
            weighted: whether there are weights; without them, sources arrive as they are.

        Raises:
            ValueError: as `check_edges`.
        """
        super().__init__()
        self.empty = empty
        source, target = np.asarray(source), np.asarray(target)
        check_edges(source, target, shape)
        edges = len(source)
        dtype = np.int32 if max(edges, *shape) < 2**31 else np.int64
        fan_in = np.bincount(target, minlength=shape[0])
        first = np.cumsum(fan_in) - fan_in
        kinds = [int(inputs) for inputs in np.unique(fan_in) if inputs]
        members = [np.flatnonzero(fan_in == inputs) for inputs in kinds]
        self.groups = tuple((inputs, len(units)) for inputs, units in zip(kinds, members, strict=True))
        ordered = np.concatenate([*members, np.flatnonzero(fan_in == 0)])
        place = np.empty(shape[0], np.int64)
        place[ordered] = np.arange(shape[0])
        place = np.minimum(place, np.count_nonzero(fan_in))  # one row serves all targets without edges
        pairs = zip(kinds, members, strict=True)
        tables = [(first[units] + np.arange(inputs)[:, None]).ravel() for inputs, units in pairs]
        order = np.concatenate([*tables, np.empty(0, np.int64)])
        read = source[order]
        tables = {
            "read": read,
            "order": order,
            "place": place,
            "reverse_row": np.argsort(read, kind="stable"),
            "reverse_offsets": np.concatenate(([0], np.cumsum(np.bincount(source, minlength=shape[1])))),
        }
        tables = {name: table.astype(dtype) for name, table in tables.items()}
        self.hold_edges(source, target, shape, trainable, weighted, **tables)

    def forward(self, x: Tensor, onto: Tensor | None = None) -> Tensor:
        """Map (batch, sources) to (batch, targets); a target without edges gets `empty`.

        What is pooled is added to `onto`, if given: a bias (targets,) or what other layers give (batch,
        targets). Computes in the dtype of autocast where that is on, else in the one that `x` and `weight`
        promote to. Half precision is pooled in float32.

        Raises:
            ValueError: `x` is not a floating (batch, sources).
        """
        dtype = self.computing_dtype(x)
        rows = transposed_copy(x.to(dtype))
        weight = None if self.weight is None else self.weight.to(dtype).index_select(0, self.order)
        traced = torch.compiler.is_exporting() or in_forward_mode()
        transformed = not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active()
        pools, slopes = type(self).pools, type(self).slopes
        if traced or transformed:
            y = pooled_rows(rows, weight, self.read, self.place, self.groups, pools, self.empty)
        else:
            reverse = self.reverse_row, self.reverse_offsets
            made = self.groups, pools, slopes, self.empty
            y = PoolEdges.apply(rows, weight, self.read, self.place, *reverse, *made)
        return added_onto(y, onto).t()

    def extra_repr(self) -> str:
        """Say the sizes of the layer, and what a target without edges gets."""
        return f"{super().extra_repr()}, empty={self.empty:g}"


class EdgeMean(EdgePool):
    """The mean of what arrives at every target unit along given edges."""

    pools, slopes = average, average_slopes


class EdgeMax(EdgePool):
    """The largest of what arrives at every target unit; of equals, the first edge has the gradient."""

    pools, slopes = largest, largest_slopes


class EdgeMin(EdgePool):
    """The smallest of what arrives at every target unit; of equals, the first edge has the gradient."""

    pools, slopes = smallest, smallest_slopes


class EdgeProduct(EdgePool):
    """The product of what arrives at every target unit; its gradient divides by nothing."""

    pools, slopes = product_of, product_slopes


class EdgeLogSumExp(EdgePool):
    """The logarithm of the sum of the exponentials of what arrives at every target unit."""

    pools, slopes = log_sum_exp, log_sum_exp_slopes
