"""A linear map along the edges `stride * target + offset -> target`, which compiled code sums as slices.

Without a compiler, `EdgeProjection` does the work: the rows that neighbouring targets gather are in the cache
already, and a slice for each offset would pass over the batch as often as there are offsets. In compiled code
the slices are one loop, which reads no tables.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...common.kernels.rules import shifted_edges
from .edges import EdgeProjection
from .units_first import added_onto, is_units_first, to_batch_first

# In what follows `dim` is the dimension of the units, 0 or 1, and the other one is the batch; `rect` holds a
# weight for every offset and target, (offsets, targets), or is None for a plain sum; `band` is (targets,
# sources, offsets, stride, wrap), the offsets ascending. What the targets read lies on a line that starts at
# the lowest offset, `stride` sources for each target, and behind them as many more as the offsets reach. With
# `wrap` it goes round, in several laps.


def band_cuts(marks: list[int], units: int) -> list[tuple[int, int]]:
    """Return the ranges, (first, last + 1), into which marks cut some units."""
    cuts = sorted({0, units, *(mark for mark in marks if 0 < mark < units)})
    return [(cuts[at], cuts[at + 1]) for at in range(len(cuts) - 1)]


def band_ranges(band: tuple) -> list[tuple[int, int]]:
    """Return ranges of targets such that the long ones read sources without a gap and without an end."""
    targets, sources, offsets, stride, wrap = band
    low, high = offsets[0], offsets[-1]
    laps = range(low // sources, (stride * (targets - 1) + high) // sources + 1) if wrap else range(1)
    marks = [-((low - lap * sources) // stride) for lap in laps]
    marks += [((lap + 1) * sources - 1 - high) // stride + 1 for lap in laps]
    return band_cuts(marks, targets)


def reverse_band_ranges(band: tuple) -> list[tuple[int, int, list[int]]]:
    """Return ranges of sources, each with the places on the line where it begins, one a lap."""
    targets, sources, offsets, stride, wrap = band
    reach = (offsets[-1] - offsets[0]) // stride
    length = stride * (targets + reach)
    laps = range(offsets[0] // sources, (offsets[0] + length - 1) // sources + 1) if wrap else range(1)
    starts = [offsets[0] - lap * sources for lap in laps]
    marks = [start + stride * mark for start in starts for mark in (0, reach, targets, targets + reach)]
    return [
        (first, stop, [first - start for start in starts if start <= first and stop <= start + length])
        for first, stop in band_cuts(marks, sources)
    ]


def band_units(x: Tensor, low: int, units: int, wrap: bool, dim: int) -> Tensor:
    """Return `units` units from number `low` on; beyond the ends zeros or, with `wrap`, the other end."""
    size = x.shape[dim]
    low = low % size if wrap else low
    if low >= 0 and low + units <= size:
        return x.narrow(dim, low, units)
    if wrap:
        laps = [x] * ((low + units) // size - 1)
        return torch.cat([x.narrow(dim, low, size - low), *laps, x.narrow(dim, 0, (low + units) % size)], dim)
    first, before = min(max(low, 0), size), min(max(-low, 0), units)
    there = max(0, min(low + units, size) - first)
    pad = (before, units - before - there)
    return F.pad(x.narrow(dim, first, there), pad if dim == 1 else (0, 0, *pad))


def band_slices(x: Tensor, band: tuple, first: int, stop: int, dim: int) -> list[Tensor]:
    """Return, for every offset, what a range of targets reads at it."""
    _, _, offsets, stride, wrap = band
    length = stride * (stop - first - 1) + 1
    ahead = band_units(x, stride * first + offsets[0], length + offsets[-1] - offsets[0], wrap, dim)
    slices = [ahead.narrow(dim, offset - offsets[0], length) for offset in offsets]
    if stride > 1:
        slices = [piece[::stride] if dim == 0 else piece[:, ::stride] for piece in slices]
    return slices


def weighted_slices(slices: list[Tensor], rows: list, dim: int) -> Tensor:
    """Add up slices of units, each times its row of weights, one a unit, or as it is."""
    parts = [
        piece if row is None else piece * row.unsqueeze(1 - dim)
        for piece, row in zip(slices, rows, strict=True)
    ]
    return sum(parts[1:], parts[0])


def band_sum(x: Tensor, rect: Tensor | None, band: tuple, dim: int) -> Tensor:
    """Return `y[t] = sum over offsets k of rect[k, t] * x[stride * t + offset[k]]`, in the layout of `x`."""
    sums = []
    for first, stop in band_ranges(band):
        rows = [None] * len(band[2]) if rect is None else rect[:, first:stop].unbind()
        sums.append(weighted_slices(band_slices(x, band, first, stop, dim), rows, dim))
    return torch.cat(sums, dim)


def reverse_band_sum(y: Tensor, rect: Tensor | None, band: tuple, dim: int) -> Tensor:
    """Return `x`, each unit of which adds up `rect[k, t] * y[t]` over the targets that read it."""
    _, _, offsets, stride, _ = band
    reach, ranges = (offsets[-1] - offsets[0]) // stride, []
    for start, end, places in reverse_band_ranges(band):
        laps = []
        for place in places:
            first, stop = place // stride, -(-(place + end - start) // stride)
            ahead = band_units(y, first - reach, stop - first + reach, False, dim)
            weights = (
                None if rect is None else band_units(rect, first - reach, stop - first + reach, False, 1)
            )
            # Sources that are equal modulo the stride are read by the same offsets: a band of stride 1 each.
            classes = []
            for rest in range(stride):
                slices, rows = [], []
                for k, offset in enumerate(offsets):
                    shift, remainder = divmod(offset - offsets[0], stride)
                    if remainder == rest:
                        slices.append(ahead.narrow(dim, reach - shift, stop - first))
                        row = None if weights is None else weights[k].narrow(0, reach - shift, stop - first)
                        rows.append(row)
                read = slices or [torch.zeros_like(ahead.narrow(dim, 0, stop - first))]
                classes.append(weighted_slices(read, rows or [None], dim))
            x = classes[0] if stride == 1 else torch.stack(classes, dim + 1).flatten(dim, dim + 1)
            laps.append(x.narrow(dim, place - stride * first, end - start))
        if not laps:
            laps.append(y.new_zeros((end - start, y.shape[1]) if dim == 0 else (y.shape[0], end - start)))
        ranges.append(sum(laps[1:], laps[0]))
    return torch.cat(ranges, dim)


def band_dot(x: Tensor, y: Tensor, band: tuple, dim: int) -> Tensor:
    """Return `rect[k, t] = sum over the batch of x[stride * t + offset[k]] * y[t]`; 0 where none is there."""
    # Batch first, some long sums at a time run faster than the sum over a dimension.
    apart = 8 if dim == 1 and x.shape[0] % 8 == 0 else 1
    ranges = []
    for first, stop in band_ranges(band):
        part, dots = y.narrow(dim, first, stop - first), []
        for piece in band_slices(x, band, first, stop, dim):
            sums = [piece[i::apart] * part[i::apart] if dim == 1 else piece * part for i in range(apart)]
            dots.append(sum(sums[1:], sums[0]).sum(1 - dim))
        ranges.append(torch.stack(dots))
    return torch.cat(ranges, 1)


class BandSum(torch.autograd.Function):
    """`band_sum` with its gradients, for compiled code."""

    @staticmethod
    def forward(x, rect, band, dim) -> Tensor:
        """Sum what the targets read."""
        return band_sum(x, rect, band, dim)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        """Keep `x` only where the gradient of the weights will need it."""
        x, rect, ctx.band, ctx.dim = inputs
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, rect)

    @staticmethod
    def backward(ctx, grad: Tensor):
        """Gradients of `x` and `rect`, each only where needed."""
        (x, rect), where, grad = ctx.saved_tensors, (ctx.band, ctx.dim), grad.contiguous()
        grad_x = reverse_band_sum(grad, rect, *where) if ctx.needs_input_grad[0] else None
        grad_rect = band_dot(x, grad, *where) if ctx.needs_input_grad[1] else None
        return grad_x, grad_rect, None, None


class BandProjection(EdgeProjection):
    """Sum the weighted inputs at `stride * target + offset`, for every target and each of some offsets.

    Sources beyond an end are left out or, with `wrap`, counted from the other end. The output has the layout
    of the input: contiguous (batch, targets), or a transposed view of (targets, batch).

    Attributes:
        band: (targets, sources, offsets, stride, wrap).
        sizes: the number of edges of the targets ahead of `even`, of those within, and of those behind, where
            `even` are the most targets in a row whose weights are all there and in the order of the offsets:
            these weights are a matrix as they stand.
        ahead, behind: (targets, offsets) for the targets on either side, which of their weights belongs to an
            offset; one more than the last where there is no edge.
    """

    ahead: Tensor
    behind: Tensor

    def __init__(
        self,
        shape: tuple[int, int],
        offsets,
        stride: int = 1,
        wrap: bool = False,
        *,
        trainable: bool = True,
        weighted: bool = True,
    ) -> None:
        """Lay out the edges, and where the weights of an offset are.

        Args:
            shape: number of target units, number of source units.
            offsets: one or more integers, all different; with `wrap`, different modulo the sources.
            stride: how far the source moves from one target to the next; at least 1.
            wrap: whether sources are counted on a ring.
            trainable: whether the weights are a parameter rather than a buffer.
            weighted: whether there are weights; without them, every edge counts once.

        Raises:
            ValueError: there are no units, no offsets, equal ones, or `stride` is less than 1.
        """
        targets, sources = (int(size) for size in shape)
        shifts = np.array(sorted(int(offset) for offset in offsets), np.int64)
        if min(targets, sources, stride) < 1:
            raise ValueError(f"units and `stride` must be at least 1, not {targets}, {sources} and {stride}")
        if not len(shifts) or len(set((shifts % sources if wrap else shifts).tolist())) < len(shifts):
            raise ValueError(f"`offsets` must be different, and at least one, not {shifts.tolist()}")
        if not wrap:  # what no target can read
            kept = shifts[(shifts < sources) & (shifts + stride * (targets - 1) >= 0)]
            shifts = kept if len(kept) else shifts[:1]
        edges = shifted_edges(sources, targets, shifts.tolist(), stride, wrap)
        super().__init__(edges.source, edges.target, shape, trainable=trainable, weighted=weighted)
        self.band = (targets, sources, tuple(shifts.tolist()), int(stride), bool(wrap))

        place = stride * np.arange(targets)[:, None] + shifts
        inside = np.ones(place.shape, bool) if wrap else (place >= 0) & (place < sources)
        place = place % sources if wrap else np.where(inside, place, np.iinfo(np.int64).max)
        rank = place.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
        degree = inside.sum(axis=1)
        first = np.cumsum(degree) - degree
        number = np.where(inside, first[:, None] + rank, -1)
        regular = (number == first[:, None] + np.arange(len(shifts))).all(axis=1)
        changes = np.flatnonzero(np.diff(np.concatenate(([0], regular, [0]))))
        starts, stops = changes[::2], changes[1::2]
        longest = int(np.argmax(stops - starts)) if len(starts) else 0
        start, stop = (int(starts[longest]), int(stops[longest])) if len(starts) else (0, 0)
        parts = (slice(start), slice(start, stop), slice(stop, None))
        self.sizes = tuple(int(degree[part].sum()) for part in parts)
        ahead = np.where(inside[:start], number[:start], self.sizes[0])
        behind = np.where(inside[stop:], number[stop:] - degree[:stop].sum(), self.sizes[2])
        self.add_tables(ahead=ahead, behind=behind)

    def weight_rect(self, weight: Tensor) -> Tensor:
        """Return the weights by offset, (offsets, targets), 0 where there is no edge; a transposed view."""
        first, even, last = weight.split(self.sizes)
        rows = [even.view(-1, len(self.band[2]))] if len(even) else []
        if len(self.ahead):
            rows.insert(0, self.side(first, self.ahead))
        if len(self.behind):
            rows.append(self.side(last, self.behind))
        return (rows[0] if len(rows) == 1 else torch.cat(rows)).t()

    def side(self, weight: Tensor, table: Tensor) -> Tensor:
        """Return the weights (targets, offsets) of targets that lack some or have them in another order."""
        return F.pad(weight, (0, 1)).index_select(0, table.flatten()).view(table.shape)

    def forward(self, x: Tensor, onto: Tensor | None = None) -> Tensor:
        """Do what `EdgeProjection` does; where it is being compiled, by slices, in either layout."""
        units_first = is_units_first(x)
        if not torch.compiler.is_compiling() or torch.compiler.is_exporting():
            y = super().forward(x, onto)
            return y if units_first else to_batch_first(y)
        dtype = self.computing_dtype(x)
        sums = torch.promote_types(dtype, torch.float32)
        rect = None if self.weight is None else self.weight_rect(self.weight.to(dtype).to(sums))
        x = x.to(dtype).to(sums)
        if units_first:
            return added_onto(BandSum.apply(x.t(), rect, self.band, 0).to(dtype), onto).t()
        rect = None if rect is None else rect.contiguous()
        y = BandSum.apply(x.contiguous(), rect, self.band, 1).to(dtype)
        return y if onto is None else y + onto.to(dtype)
