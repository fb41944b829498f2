"""What arrives along given edges, pooled by unit otherwise than by a sum: mean, max, min, product, logsumexp.

Computes units first, as sums along edges do. Targets of one fan-in are pooled together, from a table of what
each of them reads, some targets at a time; for gradients, what they read is gathered again. So no array of
edges x batch is held. On a CPU the gradient of the input is added up piece by piece, always in one order.
Elsewhere, in traced code and of a few samples, it is a sum over the reversed edges, a slice of the batch at a
time, and no scatter. So results are the same in every run.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from .edge_weights import EdgeWeights
from .edges import check_edges, summed_rows
from .tracing import in_forward_mode, is_transformed
from .units_first import added_onto, contiguous_rows, transposed_copy


def are_few(parts: Tensor) -> bool:
    """Whether (inputs, units, batch) are pooled more quickly one after the other than all at once."""
    return 1 < len(parts) <= 16


def folded(parts: Tensor, both: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return what `both` makes of the first two of (inputs, units, batch), then of that and the third, ..."""
    made, *others = parts.unbind(0)
    for part in others:
        made = both(made, part)
    return made


def largest(parts: Tensor) -> Tensor:
    """Return the largest of (inputs, units, batch); the first of equals has the gradient."""
    return parts.gather(0, parts.argmax(0, keepdim=True)).squeeze(0)


def largest_value(parts: Tensor) -> Tensor:
    """Return the largest of (inputs, units, batch)."""
    return folded(parts, torch.maximum) if are_few(parts) else parts.amax(0)


def largest_slopes(parts: Tensor, grad: Tensor) -> Tensor:
    """Return the gradient of what `largest` takes from that of what it gives, in the place of both."""
    return first_slopes(parts, largest_value(parts), grad)


def smallest(parts: Tensor) -> Tensor:
    """Return the smallest of (inputs, units, batch); the first of equals has the gradient."""
    return parts.gather(0, parts.argmin(0, keepdim=True)).squeeze(0)


def smallest_value(parts: Tensor) -> Tensor:
    """Return the smallest of (inputs, units, batch)."""
    return folded(parts, torch.minimum) if are_few(parts) else parts.amin(0)


def smallest_slopes(parts: Tensor, grad: Tensor) -> Tensor:
    """Return the gradient of what `smallest` takes from that of what it gives, in the place of both."""
    return first_slopes(parts, smallest_value(parts), grad)


def first_slopes(parts: Tensor, chosen: Tensor, grad: Tensor) -> Tensor:
    """Return (inputs, units, batch) with `grad` where the first of `parts` is what is chosen, else zeros.

    It takes the place of `parts`: comparing in place is done by vector instructions, and into booleans not.
    """
    equal = parts.eq_(chosen)
    if not are_few(parts):
        return equal.mul_(equal.cumsum(0) == 1).mul_(grad)
    for slope in equal.unbind(0):
        slope.mul_(grad)
        grad.sub_(slope)  # the others have none
    return equal


def average(parts: Tensor) -> Tensor:
    """Return the mean of (inputs, units, batch)."""
    return parts.sum(0) / len(parts)


def average_slopes(parts: Tensor, grad: Tensor) -> Tensor:
    """Return the gradient of what `average` takes from that of what it gives."""
    return (grad / len(parts)).expand_as(parts)


def product_of(parts: Tensor) -> Tensor:
    """Return the product of (inputs, units, batch)."""
    return folded(parts, torch.mul) if are_few(parts) else parts.prod(0)


def product_slopes(parts: Tensor, grad: Tensor) -> Tensor:
    """Return the gradient of what `product_of` takes: of each input, times the product of all the others."""
    if not are_few(parts):
        ones = torch.ones_like(parts[:1])
        before = torch.cat([ones, parts[:-1]]).cumprod(0)
        after = torch.cat([ones, parts[1:].flip(0)]).cumprod(0).flip(0)
        return before * after * grad
    inputs, before = parts.unbind(0), [grad]
    for part in inputs[:-1]:
        before.append(before[-1] * part)
    slopes, after = [before[-1]], inputs[-1]
    for part in inputs[-2::-1]:
        before.pop()
        slopes.append(before[-1] * after)
        after = after * part
    return torch.stack(slopes[::-1])


def exponentials(parts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the exponentials of (inputs, units, batch) less the largest, their sum, and that largest.

    They take the place of `parts`.
    """
    most = largest_value(parts)
    most = most.nan_to_num(0.0, 0.0, 0.0)  # what is infinite is not taken off
    powers = parts.sub_(most).exp_()
    return powers, folded(powers, torch.add) if are_few(parts) else powers.sum(0), most


def log_sum_exp(parts: Tensor) -> Tensor:
    """Return the logarithm of the sum of the exponentials of (inputs, units, batch)."""
    return parts.logsumexp(0)


def log_sum_exp_value(parts: Tensor) -> Tensor:
    """Return what `log_sum_exp` does, in the place of what it takes."""
    _, total, most = exponentials(parts)
    return total.log_().add_(most)


def log_sum_exp_slopes(parts: Tensor, grad: Tensor) -> Tensor:
    """Return the gradient of what `log_sum_exp` takes from that of what it gives, in the place of both."""
    powers, total, _ = exponentials(parts)
    return powers.mul_(grad.div_(total))


def arriving(rows: Tensor, weight: Tensor | None, table: Tensor, entries: Tensor) -> tuple[Tensor, Tensor]:
    """Return what some targets read, and what arrives there, times its weight: (inputs, units, batch) both.

    Half precision becomes float32.

    Args:
        rows: (sources, batch).
        weight: (edges,), or None.
        table: (inputs, units) integers, the row that every edge reads.
        entries: (inputs, units) integers, the number of every edge.
    """
    read = rows.index_select(0, table.reshape(-1)).view(*table.shape, rows.shape[1])
    read = read.to(torch.promote_types(rows.dtype, torch.float32))
    if weight is None:
        return read, read
    return read, read * weight.index_select(0, entries.reshape(-1)).view(*table.shape, 1)


def units_at_once(inputs: int, samples: int) -> int:
    """Return how many units make a piece: what arrives there stays in the last cache.

    Smaller ones gain nothing, and cost waiting: threads meet at the end of every operation.
    """
    return max(1, 2**20 // max(1, inputs * samples))


def pieces(groups: tuple[tuple[int, int], ...], samples: int) -> list[tuple[int, int, int, int, int]]:
    """Return groups cut into pieces of some units; traced code has whole groups.

    Each is where the table of its group starts, the inputs and units of that, and the first and the last unit
    of the piece.
    """
    made: list[tuple[int, int, int, int, int]] = []
    first = 0
    for inputs, units in groups:
        few = units if torch.compiler.is_compiling() else units_at_once(inputs, samples)
        made += [(first, inputs, units, at, min(units, at + few)) for at in range(0, units, few)]
        first += inputs * units
    return made


def piece_of(table: Tensor, piece: tuple[int, int, int, int, int]) -> Tensor:
    """Return the part of a table (edges, ...) that a piece is: (inputs, units, ...)."""
    first, inputs, units, start, stop = piece
    return table[first : first + inputs * units].unflatten(0, (inputs, units))[:, start:stop]


def pooled_rows(
    rows: Tensor,
    weight: Tensor | None,
    read: Tensor,
    order: Tensor,
    place: Tensor,
    groups: tuple[tuple[int, int], ...],
    pools: Callable[[Tensor], Tensor],
    empty: float,
) -> Tensor:
    """Return what is pooled by target, of plain operations: (targets, batch).

    Half precision is pooled in float32 and rounded once.

    Args:
        rows: (sources, batch).
        weight: (edges,), or None.
        read, order, place, groups: the tables of an `EdgePool`.
        pools: what is made of (inputs, units, batch).
        empty: the value of a target without edges.
    """
    made: list[Tensor] = []
    for piece in pieces(groups, rows.shape[1]):
        _, carried = arriving(rows, weight, piece_of(read, piece), piece_of(order, piece))
        made.append(pools(carried).to(rows.dtype))
    if not made or len(place) > sum(units for _, units in groups):
        made.append(rows.new_full((1, rows.shape[1]), empty))
    return torch.cat(made).index_select(0, place)


def pooled_in_place(
    rows: Tensor,
    weight: Tensor | None,
    read: Tensor,
    order: Tensor,
    units: Tensor,
    targets: int,
    groups: tuple[tuple[int, int], ...],
    values: Callable[[Tensor], Tensor],
    empty: float,
) -> Tensor:
    """Return what `pooled_rows` does, each piece written where it belongs: no second array of the size.

    Args:
        rows, weight, read, order, groups, empty: as there.
        units: (targets with edges,) the target of every row of the groups.
        targets: how many there are.
        values: as `pools` there; it may overwrite what it is given.
    """
    y, used = rows.new_empty(targets, rows.shape[1]), 0
    if len(units) < targets:
        y.fill_(empty)
    for piece in pieces(groups, rows.shape[1]):
        table = piece_of(read, piece)
        _, carried = arriving(rows, weight, table, piece_of(order, piece))
        y.index_copy_(0, units[used : used + table.shape[1]].long(), values(carried).to(y.dtype))
        used += table.shape[1]
    return y


class PoolEdges(torch.autograd.Function):
    """What `pooled_rows` does, with a gradient that is a sum by source, a slice of the batch at a time."""

    @staticmethod
    def forward(
        ctx,
        rows,
        weight,
        read,
        order,
        place,
        units,
        reverse_row,
        reverse_offsets,
        groups,
        values,
        pools,
        slopes,
        empty,
    ):
        """Pool what arrives at each target: (sources, batch) -> (targets, batch)."""
        ctx.save_for_backward(rows, weight, read, order, place, units, reverse_row, reverse_offsets)
        ctx.groups, ctx.pools, ctx.slopes, ctx.empty = groups, pools, slopes, empty
        if torch.compiler.is_compiling():
            return pooled_rows(rows, weight, read, order, place, groups, values, empty)
        return pooled_in_place(rows, weight, read, order, units, len(place), groups, values, empty)

    @staticmethod
    def backward(ctx, *grads: Tensor):
        """Gradients of `rows` and `weight`; where they are differentiated again, of plain operations."""
        (grad,) = grads
        rows, weight, read, order, place, units, row, offsets = ctx.saved_tensors
        # Of no edges, what is pooled depends on nothing.
        if torch.is_grad_enabled() and not torch.compiler.is_compiling() and len(read):
            wanted = [x for x, needed in zip((rows, weight), ctx.needs_input_grad, strict=False) if needed]
            y = pooled_rows(rows, weight, read, order, place, ctx.groups, ctx.pools, ctx.empty)
            found = iter(torch.autograd.grad(y, wanted, grad, create_graph=True))
            by_rows, by_weight = (next(found) if needed else None for needed in ctx.needs_input_grad[:2])
        else:
            tables = read, order, units, row, offsets, ctx.groups
            by_rows, by_weight = pooled_gradients(
                rows, weight, grad, *tables, ctx.slopes, of_weight=ctx.needs_input_grad[1]
            )
        return by_rows, by_weight, *[None] * 11


def slice_width(edges: int, samples: int) -> int:
    """Return how many samples there are in a slice: as many in each, and of a few no fewer than 16."""
    most = max(16, 2**23 // max(1, edges))
    return -(-samples // max(1, -(-samples // most))) or 1


def slices(rows: Tensor, edges: int) -> tuple[Tensor, ...]:
    """Return (units, batch) in slices of the batch, which are views; in traced code one slice, the whole."""
    if torch.compiler.is_compiling():
        return (rows,)
    return rows.split(slice_width(edges, rows.shape[1]), 1)


def slopes_by_piece(
    rows: Tensor,
    weight: Tensor | None,
    grad: Tensor,
    read: Tensor,
    order: Tensor,
    units: Tensor,
    groups: tuple[tuple[int, int], ...],
    slopes: Callable[[Tensor, Tensor], Tensor],
    by_weight: Tensor | None,
) -> Iterator[tuple[tuple[int, int, int, int, int], Tensor]]:
    """Yield each piece, and the gradient (inputs, units, batch) of the rows that its edges read.

    Args:
        rows, weight, grad, read, order, units, groups, slopes: as `pooled_gradients`.
        by_weight: (edges,), in the order of the tables, to which the weights' gradient is added, or None.
    """
    used = 0
    for piece in pieces(groups, rows.shape[1]):
        table, entries = piece_of(read, piece), piece_of(order, piece)
        plain, carried = arriving(rows, weight, table, entries)
        own = grad.index_select(0, units[used : used + table.shape[1]])
        slope = slopes(carried, own.to(carried.dtype))
        if by_weight is not None:
            piece_of(by_weight, piece).add_(plain.mul_(slope).sum(2))
        if weight is not None:
            slope = slope * weight.index_select(0, entries.reshape(-1)).view(*table.shape, 1)
        del plain, carried
        yield piece, slope
        del slope  # before there is one of the next piece
        used += table.shape[1]


def pooled_gradients(
    rows: Tensor,
    weight: Tensor | None,
    grad: Tensor,
    read: Tensor,
    order: Tensor,
    units: Tensor,
    reverse_row: Tensor,
    reverse_offsets: Tensor,
    groups: tuple[tuple[int, int], ...],
    slopes: Callable[[Tensor, Tensor], Tensor],
    *,
    of_weight: bool,
) -> tuple[Tensor, Tensor | None]:
    """Return the gradients (sources, batch) and (edges,) of what `pooled_rows` takes, the second if wanted.

    Args:
        rows, weight: as there.
        grad: (targets, batch), the gradient of what it gives.
        read, order, units, reverse_row, reverse_offsets, groups: the tables of an `EdgePool`.
        slopes: what is made of (inputs, units, batch) and the gradient of what is pooled of it; it may
            overwrite both.
        of_weight: whether there are weights that are trained.
    """
    single = torch.promote_types(rows.dtype, torch.float32)
    by_weight = torch.zeros(len(read), dtype=single, device=rows.device) if of_weight else None
    made = read, order, units, groups, slopes, by_weight
    # On a CPU, and nowhere else, `scatter_add_` adds in one order; below 16 samples it is slow.
    if rows.device.type == "cpu" and rows.shape[1] >= 16 and not torch.compiler.is_compiling():
        of_rows, grad = torch.zeros_like(rows, dtype=single), contiguous_rows(grad)
        for piece, slope in slopes_by_piece(rows, weight, grad, *made):
            table = piece_of(read, piece).reshape(-1, 1).long()
            of_rows.scatter_add_(0, table.expand(-1, rows.shape[1]), slope.flatten(0, 1))
            del slope
    else:
        by_slice: list[Tensor] = []
        for some, own in zip(slices(rows, len(read)), slices(grad, len(read)), strict=True):
            by_edge = rows.new_empty(len(read), some.shape[1], dtype=single)
            for piece, slope in slopes_by_piece(some.contiguous(), weight, own.contiguous(), *made):
                piece_of(by_edge, piece).copy_(slope)
            by_slice.append(summed_rows(by_edge, reverse_row, reverse_offsets, None))
            del by_edge  # before there is one of the next slice
        of_rows = torch.cat(by_slice, 1)
    if by_weight is None or weight is None:
        return of_rows.to(rows.dtype), None
    in_order = torch.zeros_like(by_weight).scatter(0, order.long(), by_weight)
    return of_rows.to(rows.dtype), in_order.to(weight.dtype)


class EdgePool(EdgeWeights):
    """Pools the inputs that arrive at every target unit along given edges, each times its weight if weighted.

    What derives from it has `pools`, which autograd can differentiate, `values`, which gives the same and may
    overwrite what it is given, and `slopes`, the derivative. The output is a transposed view of a contiguous
    (targets, batch), as that of an `EdgeProjection`.

    Attributes:
        groups: the inputs and the number of the targets of one fan-in, for every fan-in that there is.
        read: (edges,) the source of every edge, group by group, of each a table (inputs, targets).
        order: (edges,) the number of every edge, in the same order.
        place: (targets,) where every target is among the groups; behind them, if it has no edge.
        units: (targets with edges,) the targets in the order of the groups.
        reverse_row: (edges,) by source, where every edge is in `read`.
        reverse_offsets: (sources + 1,) where the reversed edges of a source start.
    """

    pools: Callable[[Tensor], Tensor]
    values: Callable[[Tensor], Tensor]
    slopes: Callable[[Tensor, Tensor], Tensor]
    read: Tensor
    order: Tensor
    place: Tensor
    units: Tensor
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
        """Lay out the tables of the edges; `hold_edges` says what else it is given.

        Args:
            empty: the value of a target without edges.

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
            "units": ordered[: np.count_nonzero(fan_in)],
            "reverse_row": np.argsort(read, kind="stable"),
            "reverse_offsets": np.concatenate(([0], np.cumsum(np.bincount(source, minlength=shape[1])))),
        }
        tables = {name: table.astype(dtype) for name, table in tables.items()}
        self.hold_edges(source, target, shape, trainable, weighted, **tables)

    def forward(self, x: Tensor, onto: Tensor | None = None, weight: Tensor | None = None) -> Tensor:
        """Map (batch, sources) to (batch, targets); a target without edges gets `empty`."""
        weight = self.weight if weight is None else weight
        dtype = self.computing_dtype(x, weight)
        rows, weight = transposed_copy(x.to(dtype)), None if weight is None else weight.to(dtype)
        traced = torch.compiler.is_exporting() or in_forward_mode()
        own, tables = type(self), (self.read, self.order, self.place)
        if traced or is_transformed():
            y = pooled_rows(rows, weight, *tables, self.groups, own.pools, self.empty)
        else:
            back = self.units, self.reverse_row, self.reverse_offsets
            made = self.groups, own.values, own.pools, own.slopes, self.empty
            y = PoolEdges.apply(rows, weight, *tables, *back, *made)
        return added_onto(y, onto).t()

    def extra_repr(self) -> str:
        """Say the sizes of the layer, and what a target without edges gets."""
        return f"{super().extra_repr()}, empty={self.empty:g}"


class EdgeMean(EdgePool):
    """The mean of what arrives at every target unit along given edges."""

    pools, values, slopes = average, average, average_slopes


class EdgeMax(EdgePool):
    """The largest of what arrives at every target unit; of equals, the first edge has the gradient."""

    pools, values, slopes = largest, largest_value, largest_slopes


class EdgeMin(EdgePool):
    """The smallest of what arrives at every target unit; of equals, the first edge has the gradient."""

    pools, values, slopes = smallest, smallest_value, smallest_slopes


class EdgeProduct(EdgePool):
    """The product of what arrives at every target unit; its gradient divides by nothing."""

    pools, values, slopes = product_of, product_of, product_slopes


class EdgeLogSumExp(EdgePool):
    """The logarithm of the sum of the exponentials of what arrives at every target unit."""

    pools, values, slopes = log_sum_exp, log_sum_exp_value, log_sum_exp_slopes
