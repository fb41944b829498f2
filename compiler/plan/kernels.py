"""The kernels that can compute a connection: an entry each, of which the plan's choice and layouts follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Literal, TypeAlias

from ...dsl.records import record
from ..edges.degrees import degrees
from ..edges.edge_set import Diagonal, EdgeSet, Full, Listed, Product, Shifted, product
from ..edges.restated import is_restated
from ..graph.graph import Project
from .costs import COSTS, Cost

KernelName: TypeAlias = Literal[
    "dense", "diagonal", "band", "edges", "blocks", "masked", "convolution", "pool", "window", "embedding"
]

# A matrix is made of a sparse connection only where it has at most this many entries, in all or an edge.
SMALL_MATRIX, MATRIX_PER_EDGE = 1 << 16, 40


@record
class Work:
    """What there is to compute in a training step: pairs of units, edges, passes over both, and the batch."""

    pairs: int
    edges: int
    passes: int
    batch: int


def _nothing(_: object) -> int:
    return 0


@record
class Kernel:
    """A way to compute a connection; its modules are called after it, in each target that has it.

    `accepts` says whether it can compute a set of edges, among so many pairs of units, and `costs` what that
    takes as measured. `layout` is what it reads and writes: always one of them, either, or what it reads.
    `moves` counts the numbers that it moves besides both sides and the weights, and `tables` those of 32 bits
    that it keeps, but for a few. With `has_matrix` it multiplies an entry for every pair of units.
    """

    name: KernelName
    text: str
    accepts: Callable[[EdgeSet, int], bool]
    costs: Callable[[EdgeSet], Sequence[Cost]]
    layout: Literal["units first", "batch first", "either", "what it reads"]
    moves: Callable[[Work], int] = _nothing
    tables: Callable[[Project], int] = _nothing
    has_matrix: bool = False


@record
class Blocks:
    """A set as whole blocks: the sources and targets of one, and how many there are."""

    edges: Product
    sources: int
    targets: int

    @property
    def count(self) -> int:
        """How many blocks there are."""
        return self.edges.count // (self.sources * self.targets)

    def outer(self) -> EdgeSet:
        """Pairs of blocks, each side numbered along one dimension. A list is sorted for it."""
        n_source, n_target = prod(self.edges.source_shape), prod(self.edges.target_shape)
        sides = (n_source // self.sources,), (n_target // self.targets,)
        return product(*sides, self.edges.factors[:-1])


def blocks_of(edges: EdgeSet) -> Blocks | None:
    """A set as blocks, if it is made of blocks of more than one pair."""
    if not isinstance(edges, Product):
        return None
    last = edges.factors[-1]
    if not isinstance(last, Full) or len(edges.factors) < 2:
        return None
    return Blocks(edges, prod(last.source_shape), prod(last.target_shape))


def is_band(edges: EdgeSet) -> bool:
    """Whether a set is offsets along one dimension."""
    return isinstance(edges, Shifted) and len(edges.strides) == 1


def _is_sparse(edges: EdgeSet) -> bool:
    return isinstance(edges, Listed | Shifted | Product)


def _has_small_matrix(edges: EdgeSet, pairs: int) -> bool:
    return _is_sparse(edges) and pairs <= max(SMALL_MATRIX, MATRIX_PER_EDGE * edges.count)


def _gathered(work: Work) -> int:
    """A row for each edge, and the tables."""
    return work.passes * work.edges * work.batch + 4 * work.edges


def _edge_tables(op: Project) -> int:
    """Both ends in both directions, with offsets."""
    return 4 * op.edges.count + op.input.units + op.output.units


def _pool_tables(op: Project) -> int:
    """What every target reads, edge by edge, the number of each edge, and both in the other direction.

    Targets stand in the order of their fan-in, and the way back from it is kept, too.
    """
    return 3 * op.edges.count + op.input.units + 2 * op.output.units


def _block_tables(op: Project) -> int:
    """What every block reads, in both directions, and where targets differ, the order of the weights."""
    blocks = blocks_of(op.edges)
    assert blocks is not None
    outer = blocks.outer()
    if isinstance(outer, Diagonal):
        return 0
    fed = degrees(outer, "target")
    sides = prod(outer.source_shape) + prod(outer.target_shape)
    return 3 * blocks.count + sides + (op.edges.count if fed.low < fed.high else 0)


_ENTRIES = (
    Kernel(
        name="dense",
        text="one matrix product",
        accepts=lambda edges, pairs: isinstance(edges, Full),
        costs=lambda edges: COSTS["dense"],
        layout="either",
        has_matrix=True,
    ),
    Kernel(
        name="diagonal",
        text="a product by unit",
        accepts=lambda edges, pairs: isinstance(edges, Diagonal),
        costs=lambda edges: COSTS["diagonal"],
        layout="what it reads",
    ),
    # PyTorch has no kernel of its own for bands, and gathers along their edges.
    Kernel(
        name="band",
        text="shifted slices, and in PyTorch gathered by edge",
        accepts=lambda edges, pairs: is_band(edges) and is_restated(edges),
        costs=lambda edges: COSTS["band"],
        layout="units first",
        moves=_gathered,
        tables=_edge_tables,
    ),
    Kernel(
        name="edges",
        text="gathered by edge",
        accepts=lambda edges, pairs: _is_sparse(edges),
        # Edges of a band gather rows that are in the cache, by whichever of the two kernels.
        costs=lambda edges: COSTS["band" if is_band(edges) else "edges"],
        layout="units first",
        moves=_gathered,
        tables=_edge_tables,
    ),
    Kernel(
        name="blocks",
        text="products of blocks",
        accepts=lambda edges, pairs: blocks_of(edges) is not None and is_restated(edges),
        costs=lambda edges: COSTS["blocks"],
        layout="what it reads",
        tables=_block_tables,
    ),
    Kernel(
        name="masked",
        text="a small dense product, with zeros where there is no edge",
        accepts=_has_small_matrix,
        costs=lambda edges: COSTS["masked"],
        layout="either",
        moves=lambda work: (1 + work.passes) * work.pairs,
        tables=lambda op: 2 * op.edges.count,  # the place of each in the matrix, in 64 bits
        has_matrix=True,
    ),
    # Windows with shared weights; whether edges are one is worked out of the weights, too.
    Kernel(
        name="convolution",
        text="a convolution",
        accepts=lambda edges, pairs: False,
        costs=lambda edges: COSTS["convolution"],
        layout="batch first",
    ),
    # All that pools otherwise than by a sum; it computes no sums, so it is no candidate for these.
    Kernel(
        name="pool",
        text="gathered by edge, and pooled by unit",
        accepts=lambda edges, pairs: False,
        costs=lambda edges: COSTS["pool"],
        layout="units first",
        moves=_gathered,
        tables=_pool_tables,
    ),
    # Windows that are pooled by channel; like a convolution, it is found in the edges.
    Kernel(
        name="window",
        text="the framework's pooling of windows",
        accepts=lambda edges, pairs: False,
        costs=lambda edges: COSTS["window"],
        layout="batch first",
    ),
)
KERNELS: dict[KernelName, Kernel] = {kernel.name: kernel for kernel in _ENTRIES}
