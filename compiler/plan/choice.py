"""Which kernels can compute a connection, what each costs, and which one is chosen, with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from math import log, prod

from ...dsl.records import record
from ..edges.convolution import NoWindow, Window, window_of
from ..edges.degrees import degrees
from ..edges.edge_set import Diagonal, Full, Listed
from ..edges.pooling import pooled_window
from ..edges.structure import described
from ..graph.graph import Pool, Project, Spread
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
    """The kernel of one connection, one sentence that says why, and all that could have been chosen.

    A convolution has its `window`, and so have windows that are pooled.
    """

    connection: str
    kernel: KernelName
    reason: str
    candidates: tuple[Candidate, ...]
    window: Window | None = None


def choose(projection: Project, batch: int) -> Choice:
    """The quickest kernel for a connection, by measured costs."""
    if projection.input.classes:
        return _embedding(projection, batch)
    found = _window(projection)
    window = found if isinstance(found, Window) else None
    candidates = sorted(_candidates(projection, batch, window), key=lambda candidate: candidate.cost)
    best, *others = candidates
    chosen = window if best.kernel in ("convolution", "window") else None
    how = KERNELS[best.kernel].text
    if chosen is not None:
        how = _pooled_text(chosen) if best.kernel == "window" else _window_text(chosen)
    reason = _reason(projection, best, others, how)
    if isinstance(found, NoWindow) and found.near:
        reason += f"; no convolution, since {found.why}"
    return Choice(projection.connection, best.kernel, reason, tuple(candidates), chosen)


def _window(projection: Project) -> Window | NoWindow | None:
    """The convolution that a connection is, or the windows that it pools, or why it is neither."""
    weight, edges = projection.weight, projection.edges
    if isinstance(projection, Pool):
        return _pooled_window(projection)
    if isinstance(edges, Full | Diagonal):
        return None
    if not isinstance(weight, Spread) or weight.index is None:
        return None
    try:
        return window_of(edges, weight.index, prod(weight.of.shape))
    except NoWindow as none:
        return none


def _pooled_window(projection: Pool) -> Window | None:
    """The windows of units that are pooled as they are, in a way that frameworks have."""
    if projection.weight is not None or not projection.reduction.slides:
        return None
    try:
        window = pooled_window(projection.edges)
    except NoWindow:
        return None
    # No framework has means of units that are apart.
    apart = any(along.dilation > 1 for along in window.along)
    return None if apart and projection.reduction.name == "mean" else window


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


def _candidates(projection: Project, batch: int, window: Window | None) -> list[Candidate]:
    return [_candidate(kernel, projection, batch) for kernel in _kernels(projection, window)]


def _kernels(projection: Project, window: Window | None) -> list[Kernel]:
    """The kernels that can compute a connection, or the window that it is."""
    if isinstance(projection, Pool):
        return [KERNELS["pool"], *([KERNELS["window"]] if window else [])]
    pairs = projection.input.units * projection.output.units
    found = [kernel for kernel in KERNELS.values() if kernel.accepts(projection.edges, pairs)]
    return found if window is None else [*found, KERNELS["convolution"]]


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


def _window_text(window: Window) -> str:
    """A convolution in a few words."""
    words = [f"a convolution of {_extents(window)}, {window.sources} to {window.targets} channels"]
    words += [f"in {window.groups} groups"] if window.groups > 1 else []
    words += [f"of {window.copies} channels alike"] if window.copies > 1 else []
    words += _steps(window)
    words += ["around a ring"] if any(along.wrap for along in window.along) else []
    return ", ".join(words)


def _pooled_text(window: Window) -> str:
    """Windows that are pooled, in a few words."""
    words = [f"{KERNELS['window'].text} of {_extents(window)}"]
    words += [f"in each of {window.groups} channels"] if window.groups > 1 else []
    return ", ".join([*words, *_steps(window)])


def _extents(window: Window) -> str:
    return " x ".join(map(str, (along.extent for along in window.along)))


def _steps(window: Window) -> list[str]:
    """The stride and the dilation, where they are not 1."""
    words: list[str] = []
    for what in ("stride", "dilation"):
        each = [getattr(along, what) for along in window.along]
        words += [f"{what} {' x '.join(map(str, each))}"] if {*each} != {1} else []
    return words


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


def _reason(projection: Project, best: Candidate, others: list[Candidate], how: str) -> str:
    edges = projection.edges
    if isinstance(edges, Full):
        sums = "one matrix product" if projection.weight else "the sum of all units, for each target"
        return f"every pair is connected: {sums}"
    if isinstance(edges, Diagonal):
        values = "a product by unit" if projection.weight else "the values themselves"
        return f"each unit feeds its own counterpart: {values}"
    fan_in = degrees(edges, "target")
    spread = f"{fan_in.low}" if fan_in.low == fan_in.high else f"{fan_in.low} to {fan_in.high}"
    pairs = projection.input.units * projection.output.units
    what = "" if isinstance(edges, Listed) else f"{described(edges)}: "
    text = f"{what}{edges.count:,} of {pairs:,} pairs, fan-in {spread}: {how}"
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
