"""Which kernels can compute a connection, what each costs, and which one is chosen, with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

from ...dsl.records import record
from ..edges.degrees import degrees
from ..edges.edge_set import Diagonal, EdgeSet, Full, Listed
from ..edges.structure import described
from ..graph.graph import Pool, Project
from .costs import Cost
from .kernels import KERNELS, Kernel, KernelName, Work, blocks_of


@record
class Candidate:
    """A kernel that could compute a connection, and what a training step with it costs.

    `bytes` are moved at least and `operations` are multiplications with an addition, in float32 for the
    planned batch: forward, the gradient of what is read unless that is an input, and that of weights that are
    trained. `cost` is the time by the measured costs, forward and both gradients, in microseconds of the
    machine they were measured on, so that only ratios mean something elsewhere.
    """

    kernel: KernelName
    bytes: int
    operations: int
    cost: float


@record
class Choice:
    """The kernel of one connection, one sentence that says why, and all that could have been chosen."""

    connection: str
    kernel: KernelName
    reason: str
    candidates: tuple[Candidate, ...]


def choose(projection: Project, batch: int) -> Choice:
    """The quickest kernel for a connection, by measured costs."""
    if projection.input.classes:
        return _embedding(projection, batch)
    candidates = sorted(_candidates(projection, batch), key=lambda candidate: candidate.cost)
    best, *others = candidates
    return Choice(projection.connection, best.kernel, _reason(projection, best, others), tuple(candidates))


def _embedding(projection: Project, batch: int) -> Choice:
    """The one way to read class codes: the rows of weights of those that are there, added up."""
    positions, n_target = projection.input.positions, projection.output.units
    passes = 1 + (projection.parameter is not None and projection.parameter.trainable)
    entries = positions * n_target
    cost = round(_time(KERNELS["dense"].costs(projection.edges), positions + n_target, entries, 0, batch), 1)
    numbers = passes * (positions + n_target + entries) * batch
    only = Candidate("embedding", 4 * numbers, passes * entries * batch, cost)
    reason = "a code is looked up: its row of weights"
    if positions > 1:
        reason = f"{positions:,} codes are looked up: their rows of weights, added up"
    return Choice(projection.connection, "embedding", reason, (only,))


def _candidates(projection: Project, batch: int) -> list[Candidate]:
    if isinstance(projection, Pool):
        return [_candidate(KERNELS["pool"], projection, batch)]
    pairs = projection.input.units * projection.output.units
    return [_candidate(kernel, projection, batch) for kernel in _kernels(projection.edges, pairs)]


def _kernels(edges: EdgeSet, pairs: int) -> list[Kernel]:
    """The kernels that can compute a set of edges among so many pairs of units."""
    return [kernel for kernel in KERNELS.values() if kernel.accepts(edges, pairs)]


def _candidate(kernel: Kernel, projection: Project, batch: int) -> Candidate:
    """What a training step costs: both sides' arrays once a pass, and what the kernel adds."""
    edges, n_source, n_target = projection.edges, projection.input.units, projection.output.units
    pairs, count = n_source * n_target, edges.count
    blocks = blocks_of(edges) if kernel.name == "blocks" else None
    entries = pairs if kernel.has_matrix else count
    costs = kernel.costs(edges)
    cost = round(_time(costs, n_source + n_target, entries, blocks.count if blocks else 0, batch), 1)
    weight = projection.parameter
    if weight is None and kernel.name == "diagonal":
        return Candidate(kernel.name, 0, 0, cost)  # the value itself
    trained = weight is not None and weight.trainable
    passes = 1 + (projection.input.layer is not None) + trained
    numbers = passes * (n_source + n_target) * batch + (passes * count if weight else 0)
    numbers += kernel.moves(Work(pairs, count, passes, batch))
    operations = n_source if kernel.name == "dense" and weight is None else entries
    return Candidate(kernel.name, 4 * numbers, passes * operations * batch, cost)


def _time(costs: Sequence[Cost], units: int, entries: int, blocks: int, batch: int) -> float:
    """Microseconds of a training step: between batches that were measured, on a line between logarithms."""
    times = [c.call + c.unit * units + c.weight * entries + c.block * blocks for c in costs]
    batches = [cost.batch for cost in costs]
    if batch >= batches[-1]:
        return times[-1] * batch / batches[-1]
    after = next(at for at, measured in enumerate(batches) if measured > batch)
    low, high = after - 1, after
    along = log(batch / batches[low]) / log(batches[high] / batches[low])
    return times[low] * (times[high] / times[low]) ** along


def _reason(projection: Project, best: Candidate, others: list[Candidate]) -> str:
    edges = projection.edges
    if isinstance(edges, Full):
        how = "one matrix product" if projection.weight else "the sum of all units, for each target"
        return f"every pair is connected: {how}"
    if isinstance(edges, Diagonal):
        how = "a product by unit" if projection.weight else "the values themselves"
        return f"each unit feeds its own counterpart: {how}"
    fan_in = degrees(edges, "target")
    spread = f"{fan_in.low}" if fan_in.low == fan_in.high else f"{fan_in.low} to {fan_in.high}"
    pairs = projection.input.units * projection.output.units
    what = "" if isinstance(edges, Listed) else f"{described(edges)}: "
    text = f"{what}{edges.count:,} of {pairs:,} pairs, fan-in {spread}: {KERNELS[best.kernel].text}"
    if isinstance(projection, Pool):
        return f"{text} ({projection.reduction.name})"
    if not others:
        return (
            f"{text}; a matrix would have {pairs / edges.count:,.0f} numbers an edge" if edges.count else text
        )
    ratio = others[0].cost / best.cost
    if ratio < 1.05:
        return f"{text}; `{others[0].kernel}` would take about as long"
    times = f"{ratio:.1f} times" if ratio < 10 else f"{ratio:.0f} times"
    return f"{text}; `{others[0].kernel}` would take about {times} as long"
