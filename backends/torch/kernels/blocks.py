"""A linear map whose edges fill blocks of units: batched matrix products, no edge is listed.

It computes in the layout in which the batch comes: from and to (batch, units) nothing is transposed, and
between sparse layers it stays units first. Products are taken of a tile of blocks at a time, which the cache
holds while it is gathered, multiplied, added to and put in its place. In compiled code they are one product.
"""

import numpy as np
import torch
from torch import Tensor

from .edge_weights import EdgeWeights
from .edges import check_edges, one_by_one
from .tracing import in_forward_mode
from .units_first import contiguous_rows, is_units_first

# In what follows `dim` is the dimension of the units, 0 or 1, and the other one is the batch. `block` is how
# many units a target block has, and a source block. `groups` holds, for every product, its number of blocks
# and how many blocks feed each of them. `feeds` is the block that every pair reads, or None where these are
# all blocks in order, and `rows` the block that every sum belongs to, or None likewise.


def block_edges(
    source: np.ndarray, target: np.ndarray, shape: tuple[int, int], block: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return source and target unit of every edge of full blocks, by target, then by source.

    Args:
        source, target: (pairs,) integers, which block feeds which, by target, then by source.
        shape: number of target blocks, number of source blocks.
        block: number of units of a target block, of a source block.
    """
    degree = np.bincount(target, minlength=shape[0])
    first = np.cumsum(degree) - degree
    # One entry for every target unit and block that feeds it, in the order of the edges.
    count = np.repeat(degree, block[0])
    unit = np.repeat(np.arange(shape[0] * block[0]), count)
    within = np.arange(len(unit)) - np.repeat(np.cumsum(count) - count, count)
    feeds = source[first[unit // max(block[0], 1)] + within]
    units = feeds[:, None] * block[1] + np.arange(block[1])
    return units.ravel(), np.repeat(unit, block[1])


def block_view(x: Tensor, units: int, dim: int) -> Tensor:
    """Return (blocks, units, batch) of a (units, batch), or (blocks, batch, units) of a (batch, units)."""
    x = x.unflatten(dim, (x.shape[dim] // units, units))
    return x if dim == 0 else x.transpose(0, 1)


def block_tiles(groups: tuple, size: int):
    """Yield some `size` pairs at a time, of whole blocks: (pairs of a block, blocks, pairs), as slices."""
    first = pair = 0
    for rows, count in groups:
        step = max(1, size // max(1, count))
        for start in range(0, rows, step):
            stop = min(start + step, rows)
            yield (
                count,
                slice(first + start, first + stop),
                slice(pair + start * count, pair + stop * count),
            )
        first, pair = first + rows, pair + rows * count


def block_tile_size(x: Tensor, plan: tuple) -> int:
    """Return how many pairs make a tile; all where it is compiled, and many where the device likes that."""
    if torch.compiler.is_compiling():
        return 2**62
    block, *_, dim = plan
    numbers = 2**18 if x.device.type == "cpu" else 2**26
    return max(1, numbers // max(1, x.shape[1 - dim] * max(block)))


def block_parts(x: Tensor, side: tuple, feeds: Tensor | None, dim: int, size: int):
    """Yield what some blocks are fed, and where: (pairs of a block, blocks, pairs, inputs).

    The inputs are (blocks, inputs of a block, batch), or (blocks, batch, inputs of a block).
    """
    units, groups = side
    x = block_view(x, units, dim)
    for count, blocks, pairs in block_tiles(groups, size):
        shape = blocks.stop - blocks.start, count, *x.shape[1:]
        fed = (x[pairs] if feeds is None else x.index_select(0, feeds[pairs])).reshape(shape)
        if dim == 0:
            yield count, blocks, pairs, fed.flatten(1, 2)
        else:
            # Rows far apart in memory are slow to multiply: a copy that the cache holds is quicker.
            yield count, blocks, pairs, fed.transpose(1, 2).flatten(2).contiguous()


def block_products(x: Tensor, weight: Tensor, reverse: bool, feeds: Tensor | None, plan: tuple, size: int):
    """Yield the sums of some blocks as the two factors of a product: (blocks, factor, factor)."""
    (height, width), *groups, dim = plan
    side = (height, groups[1]) if reverse else (width, groups[0])
    for count, blocks, pairs, fed in block_parts(x, side, feeds, dim, size):
        matrix = weight[pairs.start * height * width : pairs.stop * height * width]
        if reverse:
            matrix = matrix.view(len(fed), count * height, width)
        else:
            matrix = matrix.view(len(fed), height, count * width).transpose(1, 2)
        yield blocks, *((matrix.transpose(1, 2), fed) if dim == 0 else (fed, matrix))


def plain_block_sum(
    x: Tensor,
    weight: Tensor,
    onto: Tensor | None,
    feeds: Tensor | None,
    rows: Tensor | None,
    plan: tuple,
    reverse: bool,
) -> Tensor:
    """Return what `block_sum` does, made of differentiable operations."""
    with torch.autocast(x.device.type, enabled=False):
        parts = [
            torch.bmm(one, other) for _, one, other in block_products(x, weight, reverse, feeds, plan, 2**62)
        ]
    y = torch.cat(parts) if len(parts) > 1 else parts[0]
    if rows is not None:
        y = torch.zeros_like(y).index_copy(0, rows.long(), y)
    y = y.flatten(0, 1) if plan[-1] == 0 else y.transpose(0, 1).flatten(1)
    return y if onto is None else y + onto


def block_sum(
    x: Tensor,
    weight: Tensor,
    onto: Tensor | None,
    feeds: Tensor | None,
    rows: Tensor | None,
    plan: tuple,
    reverse: bool,
) -> Tensor:
    """Return, for every block, the sum of what it is fed times the weights, added to `onto`.

    Args:
        x: contiguous (sources, batch) or (batch, sources); with `reverse`, that of targets.
        weight: (edges,), every product's one after the other; with `reverse`, by pairs of the reverse.
        onto: None, or what can be added to the result.
        feeds, rows: as at the top of this file, for this direction.
        plan: `block`, `groups`, the groups of the reverse, `dim`.
        reverse: whether to sum over the target blocks that every source block feeds.

    Returns:
        contiguous (targets, batch) or (batch, targets); with `reverse`, that of sources.
    """
    if torch.compiler.is_compiling():
        return plain_block_sum(x, weight, onto, feeds, rows, plan, reverse)
    block, *groups, dim = plan
    units, batch = block[reverse], x.shape[1 - dim]
    total = units * sum(size for size, _ in groups[reverse])
    y = x.new_empty((total, batch) if dim == 0 else (batch, total))
    sums = block_view(y, units, dim)
    onto = None if onto is None else block_view(onto, units, dim)
    with torch.autocast(x.device.type, enabled=False):
        for some, one, other in block_products(x, weight, reverse, feeds, plan, block_tile_size(x, plan)):
            part = torch.bmm(one, other, out=sums[some] if dim == 0 and rows is None else None)
            if onto is not None:
                part += onto[some] if rows is None else onto.index_select(0, rows[some])
            if rows is not None:
                sums.index_copy_(0, rows[some].long(), part)
            elif dim == 1:
                sums[some] = part
    return y


def block_dot(x: Tensor, y: Tensor, feeds: Tensor | None, rows: Tensor | None, plan: tuple) -> Tensor:
    """Return, for every edge, the sum over the batch of what its source has in `x` and its target in `y`.

    Args:
        x: contiguous (sources, batch) or (batch, sources).
        y: contiguous (targets, batch) or (batch, targets).
        feeds, rows: as at the top of this file.
        plan: as for `block_sum`.

    Returns:
        (edges,), in the order of the products.
    """
    (height, width), groups, _, dim = plan
    ends, apart = block_view(y, height, dim), torch.compiler.is_compiling()
    weight = x.new_empty(0 if apart else height * width * sum(rows * count for rows, count in groups))
    parts = []
    with torch.autocast(x.device.type, enabled=False):
        for count, some, pairs, fed in block_parts(x, (width, groups), feeds, dim, block_tile_size(x, plan)):
            end = ends[some] if rows is None else ends.index_select(0, rows[some])
            end, fed = (end, fed.transpose(1, 2)) if dim == 0 else (end.contiguous().transpose(1, 2), fed)
            if apart:
                parts.append(torch.bmm(end, fed).flatten())
            else:
                place = weight[pairs.start * height * width : pairs.stop * height * width]
                torch.bmm(end, fed, out=place.view(len(fed), height, count * width))
    return torch.cat(parts) if apart else weight


def block_reversed(weight: Tensor, pair: Tensor | None, plan: tuple) -> Tensor:
    """Return the weights, (edges,), of one pair after the other, in the order of the reversed pairs."""
    (height, width), groups, *_ = plan
    pieces = weight.split([rows * count * height * width for rows, count in groups])
    pieces = [
        piece.view(rows, height, count, width).transpose(1, 2).reshape(-1, height * width)
        for piece, (rows, count) in zip(pieces, groups, strict=True)
        if count
    ]
    pairs = pieces[0] if len(pieces) == 1 else torch.cat(pieces or [weight])
    return (pairs if pair is None else pairs.index_select(0, pair)).flatten()


class BlockSum(torch.autograd.Function):
    """`block_sum` with its gradients; closed under differentiation with `BlockDot`.

    Takes what `block_sum` takes, with the tables of both directions: `feeds` and `rows`, the same of the
    reverse, and which pair every pair of the reverse is.
    """

    @staticmethod
    def forward(x, weight, onto, feeds, rows, back_feeds, back_rows, back_pair, plan, reverse) -> Tensor:
        """Sum what every block is fed."""
        if reverse:
            weight = block_reversed(weight, back_pair, plan)
            return block_sum(x, weight, onto, back_feeds, back_rows, plan, reverse)
        return block_sum(x, weight, onto, feeds, rows, plan, reverse)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        """Keep `x` only where the gradient of the weights will need it."""
        x, weight, onto, *tables, ctx.plan, ctx.reverse = inputs
        ctx.broadcast = onto is not None and onto.shape != output.shape
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight, *tables)

    @staticmethod
    def backward(ctx, *grads: Tensor):
        """Gradients of `x`, `weight` and `onto`, each only where needed."""
        (grad,) = grads
        (x, weight, *tables), plan, reverse = ctx.saved_tensors, ctx.plan, ctx.reverse
        grad = contiguous_rows(grad)
        grad_x = grad_weight = grad_onto = None
        if ctx.needs_input_grad[0]:
            grad_x = BlockSum.apply(grad, weight, None, *tables, plan, not reverse)
        if ctx.needs_input_grad[1]:
            grad_weight = BlockDot.apply(*((grad, x) if reverse else (x, grad)), *tables, plan)
        if ctx.needs_input_grad[2]:
            grad_onto = grad.sum(1 - plan[-1], keepdim=True) if ctx.broadcast else grad
        return grad_x, grad_weight, grad_onto, *(None,) * 7

    @staticmethod
    def vmap(info, in_dims, *inputs) -> tuple[Tensor, int]:
        """Work under `torch.func.vmap`: what only `x` is mapped over is more batch."""
        x, weight, onto, *others = inputs
        dim = others[-2][-1]
        if in_dims[1:3] != (None, None) or (onto is not None and onto.shape[1 - dim] > 1):
            in_dims = *in_dims[:3], *(None,) * 7
            return one_by_one(BlockSum, info, in_dims, x, weight, onto, *others)
        x = x.movedim(in_dims[0], 1 - dim)
        sizes = x.shape[1 - dim : 3 - dim]
        y = BlockSum.apply(x.flatten(1 - dim, 2 - dim), weight, onto, *others)
        return y.unflatten(1 - dim, sizes), 1 - dim


class BlockDot(torch.autograd.Function):
    """`block_dot` with its gradients; takes `x`, `y`, the tables of `BlockSum`, and the plan."""

    @staticmethod
    def forward(x, y, feeds, rows, back_feeds, back_rows, back_pair, plan) -> Tensor:
        """Multiply what the blocks are fed with what they give."""
        return block_dot(x, y, feeds, rows, plan)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        """Keep both: this runs only for a second derivative."""
        *saved, ctx.plan = inputs
        ctx.save_for_backward(*saved)

    @staticmethod
    def backward(ctx, *grads: Tensor):
        """Gradients of `x` and `y`, each only where needed."""
        (grad,) = grads
        x, y, *tables = ctx.saved_tensors
        grad_x = grad_y = None
        if ctx.needs_input_grad[0]:
            grad_x = BlockSum.apply(y, grad, None, *tables, ctx.plan, True)
        if ctx.needs_input_grad[1]:
            grad_y = BlockSum.apply(x, grad, None, *tables, ctx.plan, False)
        return grad_x, grad_y, *(None,) * 6

    @staticmethod
    def vmap(info, in_dims, *inputs) -> tuple[Tensor, int]:
        """Work under `torch.func.vmap`."""
        return one_by_one(BlockDot, info, (*in_dims[:2], *(None,) * 6), *inputs)


class BlockProjection(EdgeWeights):
    """Sum the weighted inputs of full blocks of units: block diagonal, or any list of pairs of blocks.

    The units of each side are cut into blocks of one size. In the canonical order the weights of a target
    block are a (units of a target block, units of all blocks that feed it) matrix already, so target blocks
    that are fed by equally many blocks take one batched product, and the others one for each such number. An
    input that is not finite reaches every target of the blocks it feeds, as it does along edges.

    The output has the layout of the input: contiguous (batch, targets), or a transposed view of (targets,
    batch) between sparse layers.

    Attributes:
        plan: `block`, and the groups of target blocks and of source blocks, as at the top of this file.
        feeds: (pairs,) the source block of every pair, by how many there are of its target block.
        rows: (target blocks,) the target block of every sum.
        back_feeds, back_rows: the same of the reverse: the target blocks that every source block feeds.
        back_pair: (pairs,) which of `feeds` every pair of the reverse is.
        order: (edges,) where the products read each weight.

    A table is without entries where it would only count from 0 on.
    """

    feeds: Tensor
    rows: Tensor
    back_feeds: Tensor
    back_rows: Tensor
    back_pair: Tensor
    order: Tensor

    def __init__(
        self,
        shape: tuple[int, int],
        block: tuple[int, int],
        source: np.ndarray | None = None,
        target: np.ndarray | None = None,
        *,
        trainable: bool = True,
        weighted: bool = True,
    ) -> None:
        """Group the blocks of each side by how many they are joined to.

        Args:
            shape: number of target units, number of source units.
            block: number of units of a target block, of a source block; these divide `shape`.
            source: (pairs,) integers, the source block of every pair; None, with `target`, is one to one.
            target: (pairs,) integers, the target block of every pair.
            trainable: whether the weights are a parameter rather than a buffer.
            weighted: whether there are weights; without them, every edge counts once.

        Raises:
            ValueError: `block` does not divide `shape`, one to one has different numbers of blocks, or the
                pairs are not in range, sorted by target, then source, and distinct.
        """
        super().__init__()
        if min(block) < 1 or shape[0] % block[0] or shape[1] % block[1]:
            raise ValueError(f"blocks of {tuple(block)} units do not divide a layer of {tuple(shape)}")
        blocks = shape[0] // block[0], shape[1] // block[1]
        block, diagonal = (int(block[0]), int(block[1])), source is None and target is None
        if diagonal and blocks[0] != blocks[1]:
            raise ValueError(f"one to one needs as many target blocks as source blocks, not {blocks}")
        if diagonal:
            source = target = np.arange(blocks[0])
        source, target = np.asarray(source), np.asarray(target)
        check_edges(source, target, blocks)
        source, target = source.astype(np.int64, copy=False), target.astype(np.int64, copy=False)

        rows, moved, groups = self.by_degree(target, blocks[0])
        feeds, order = source[moved], np.zeros(0, np.int64)
        if len(groups) > 1:
            length = np.bincount(target, minlength=blocks[0]) * block[0] * block[1]
            first = np.cumsum(length) - length
            starts = np.cumsum(length[rows]) - length[rows]
            order = np.arange(length.sum()) + np.repeat(first[rows] - starts, length[rows])
        # The pairs of the reverse, by source block and then as the products have them.
        back = np.argsort(feeds, kind="stable")
        back_rows, back_moved, back_groups = self.by_degree(feeds[back], blocks[1])
        back_pair = back[back_moved]
        self.plan = block, groups, back_groups
        tables = {
            "feeds": feeds,
            "rows": rows,
            "back_feeds": target[moved][back_pair],
            "back_rows": back_rows,
            "back_pair": back_pair,
            "order": order,
        }
        dtype = np.int32 if max(len(feeds) * block[0] * block[1], *shape) < 2**31 else np.int64
        for name, table in tables.items():
            counts_up = np.array_equal(table, np.arange(len(table)))
            tables[name] = (table[:0] if counts_up else table).astype(dtype)
        self.hold_edges(*block_edges(source, target, blocks, block), shape, trainable, weighted, **tables)

    @staticmethod
    def by_degree(unit: np.ndarray, units: int) -> tuple[np.ndarray, np.ndarray, tuple]:
        """Return units by how many pairs they have, the pairs in that order, and (units, pairs of each)."""
        degree = np.bincount(unit, minlength=units)
        rows = np.argsort(degree, kind="stable")
        counts, sizes = np.unique(degree, return_counts=True)
        groups = tuple((int(size), int(count)) for size, count in zip(sizes, counts, strict=True))
        return rows, np.argsort(np.argsort(rows)[unit], kind="stable"), groups

    def forward(self, x: Tensor, onto: Tensor | None = None, weight: Tensor | None = None) -> Tensor:
        """Map (batch, sources) to (batch, targets); a target without edges gets zero.

        Computes in the dtype of autocast where that is on, else in the one that `x` and `weight` promote to.
        Half precision is summed in float32.

        Args:
            x: floating (batch, sources).
            onto: what the sums are added to: None, (targets,), or (batch, targets).
            weight: (edges,), where it is made elsewhere.

        Raises:
            ValueError: `x` is not a floating (batch, sources).
        """
        weight = self.weight if weight is None else weight
        dtype = self.computing_dtype(x, weight)
        sums = dtype if x.device.type != "cpu" else torch.promote_types(dtype, torch.float32)
        # A batch that comes units first, as from another sparse layer, stays so.
        dim = 0 if is_units_first(x) else 1
        x = x.to(dtype).to(sums)
        x = x.t() if dim == 0 else contiguous_rows(x)
        weight = x.new_ones(self.n_edges) if weight is None else weight.to(dtype).to(sums)
        if self.order.numel():
            weight = weight.index_select(0, self.order)
        if onto is not None:
            onto = onto.to(dtype).to(sums)
            if onto.dim() == 1:
                onto = onto.unsqueeze(1 - dim)
            elif dim == 0:
                onto = onto.t()
        tables = self.feeds, self.rows, self.back_feeds, self.back_rows, self.back_pair
        feeds, rows, *back = (table if table.numel() else None for table in tables)
        plan = *self.plan, dim
        if torch.compiler.is_exporting() or in_forward_mode():
            y = plain_block_sum(x, weight, onto, feeds, rows, plan, False)
        else:
            y = BlockSum.apply(x, weight, onto, feeds, rows, *back, plan, False)
        y = y.to(dtype)
        return y.t() if dim == 0 else y
