"""What it takes to compare a set with its statement, and how much of it is compared.

How many edges are compared follows from how much there is to look at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import comb, exp, log1p, prod

from ...compiler.graph import statement as stated
from ...dsl.records import record
from .expressions import can_fail, draws, indices_of, parts_of

# What is looked at for one connection, in assignments of index names: a fraction of a second of Python.
BUDGET = 300_000
# Edges that are drawn where not all pairs are compared.
DRAWN_EDGES = 2_000
# What may be looked at to know a named set whole, where others ask for its edges.
WHOLE_SET = 3_000_000
# More pairs than this in the text of a set are no code to read.
LISTED_PAIRS = 20_000
# A row of a table in the time that an assignment takes.
ROW = 0.05

Sizes = tuple[float, float]


@record
class Sample:
    """How many targets, sources and edges of a connection are compared, of how many."""

    targets: int
    sources: int
    edges: int
    of: tuple[int, int, int]

    @property
    def is_whole(self) -> bool:
        """Whether all pairs are compared."""
        return (self.targets, self.sources) == self.of[:2]

    @property
    def share(self) -> float:
        """The share of pairs that are compared."""
        return self.targets / self.of[0] * self.sources / self.of[1]

    def missed(self, wrong: int) -> tuple[float, float]:
        """The chances that no one is met of missing edges, and of surplus ones, of different targets."""
        (targets, sources, edges), wrong = self.of, min(wrong, self.of[0])
        if self.sources == sources:
            missing = comb(targets - wrong, self.targets) / comb(targets, self.targets)
        else:
            missing = exp(wrong * log1p(-self.share)) if self.share < 1 else 0.0
        surplus = missing
        if edges:
            wrong = min(wrong, edges)
            surplus *= comb(edges - wrong, self.edges) / comb(edges, self.edges)
        return missing, surplus


# ----------------------------------------------------------------------------------------- what is needed


def _sets_in(node: object) -> Iterator[str]:
    for part in parts_of(node):
        match part:
            case stated.Named(name) | stated.Length(name) | stated.EdgeEnd(name):
                yield name
            case stated.Member(name) | stated.ReachedNames(name):
                yield name
            case _:
                pass


def _axes_in(node: object) -> Iterator[str]:
    for part in parts_of(node):
        match part:
            case stated.Unit(axis) | stated.UnitName(axis) | stated.Names(axis) | stated.Field(axis):
                yield axis
            case stated.Moved(_, own, other):
                yield from (own, other)
            case stated.SameNames(axis):
                yield axis
            case stated.ReachedNames(axis=axis, other=other):
                yield axis
                if other:
                    yield other
            case stated.Named(_, source, target):
                yield from (axis for pair in (*source, *target) if pair for axis in pair)
            case stated.Stated(source, target, set) if any(
                isinstance(part, stated.Table) for part in parts_of(set)
            ):
                yield from (axis for end in (source, target) for axis in end.axes if axis)
            case _:
                pass


def needed(nodes: Sequence[object], statements: stated.Statements) -> tuple[set[str], set[str]]:
    """The named sets and the axes that statements need, and those need in turn."""
    sets: set[str] = set()
    axes: set[str] = set()
    pending = list(nodes)
    while pending:
        node = pending.pop()
        new_sets, new_axes = {*_sets_in(node)} - sets, {*_axes_in(node)} - axes
        sets |= new_sets
        axes |= new_axes
        pending += [statements.sets[name] for name in new_sets]
        pending += [statements.axes[name] for name in new_axes]
    return sets, axes


# ------------------------------------------------------------------------------------------------- cost


@record
class Cost:
    """How many assignments of index names are looked at, for sets with so many edges."""

    statements: stated.Statements
    edges: int

    def why_not(self, node: object) -> str:
        """Why a set, or the names of an axis, are not stated; nothing if they are."""
        sets, axes = needed([node], self.statements)
        own = [self.statements.sets[name] for name in sets]
        nodes = [node, *own, *(self.statements.axes[name] for name in axes)]
        for part in (part for each in nodes for part in parts_of(each)):
            if isinstance(part, stated.Unstated):
                return part.why
            if isinstance(part, stated.Builder) and (listed := _listed(part)) > LISTED_PAIRS:
                return f"{listed:,} units are listed, which are no code to read"
            if isinstance(part, stated.Arrow) and can_fail((part.source, part.target)):
                drawn, failing = (any(map(ask, part.conditions)) for ask in (draws, can_fail))
                if drawn and failing:
                    return "an index and a condition may fail where `chance` rules them out"
        for name in {name for each in nodes for name in _asked_whole(each)}:
            inner = self.statements.sets[name]
            if self.of(inner.set, inner, (prod(inner.source.shape), prod(inner.target.shape))) > WHOLE_SET:
                return f"`{name}` has more pairs than can be looked at"
        return ""

    def sample(self, own: stated.Stated) -> Sample:
        """All pairs, or as many targets and sources as can be looked at, and some edges."""
        sources, targets = prod(own.source.shape), prod(own.target.shape)
        of = (targets, sources, self.edges)

        def most(cost_of: list[float], size: int) -> int:
            """How many units may be looked at, of the costs of none and of one."""
            none, each = cost_of[0], cost_of[1] - cost_of[0]
            return (
                size if not each and none <= BUDGET else int(max(0, min(size, (BUDGET - none) / (each or 1))))
            )

        if self.of(own.set, own, (sources, targets)) <= BUDGET:
            return Sample(targets, sources, 0, of)
        some_targets = most([self.of(own.set, own, (sources, number)) for number in (0, 1)], targets)
        some_sources = most([self.of(own.set, own, (number, targets)) for number in (0, 1)], sources)
        side = max(1, int((BUDGET / max(1.0, self.of(own.set, own, (1, 1)))) ** 0.5))
        choices = [
            (some_targets, sources),
            (targets, some_sources),
            (min(side, targets), min(side, sources)),
        ]
        most_targets, most_sources = max(choices, key=lambda pair: pair[0] * pair[1])
        one = max(1.0, self.of(own.set, own, (1, 1)))
        drawn = min(self.edges, DRAWN_EDGES, int(BUDGET / one))
        return Sample(most_targets, most_sources, drawn, of)

    def of(self, node: stated.Set, own: stated.Stated, sizes: Sizes) -> float:
        """What it takes to know the edges of a set between so many sources and so many targets."""
        sources, targets = sizes
        match node:
            case stated.All():
                return sources * targets
            case stated.OneToOne():
                return sources
            case stated.Window(extents):
                widths = (e.value if isinstance(e, stated.Number) else 10 for e in extents)
                return targets * prod(widths)
            case stated.Table() | stated.Matrix():
                return ROW * self.edges
            case stated.Named(name, source, target, closure):
                inner = self.statements.sets[name]
                if closure or any((*source, *target)):
                    sizes = prod(inner.source.shape), prod(inner.target.shape)
                return self.of(inner.set, inner, sizes)
            case stated.Combined(_, left, right):
                return self.of(left, own, sizes) + self.of(right, own, sizes)
            case stated.Builder(arrows):
                return sum(_cost_of_arrow(arrow, own, sizes) for arrow in arrows)
            case stated.Random():
                return self._of_random(node, own, sizes)
            case stated.Unstated():
                return 0.0

    def _of_random(self, node: stated.Random, own: stated.Stated, sizes: Sizes) -> float:
        """Numbers are drawn for each target, for each source, or for all edges at once."""
        every = prod(own.source.shape), prod(own.target.shape)
        drawn = 10.0 * self.edges
        match node.form:
            case "fan_in":
                drawn, sizes = drawn * sizes[1] / every[1], (every[0], sizes[1])
            case "fan_out":
                drawn, sizes = drawn * sizes[0] / every[0], (sizes[0], every[1])
            case "edges":
                sizes = every
            case _:
                drawn = drawn * sizes[1] / every[1]
        return drawn + (self.of(node.among, own, sizes) if node.among else 0.0)


def _asked_whole(node: object) -> Iterator[str]:
    """The named sets of which all edges are needed, whatever is compared."""
    for part in parts_of(node):
        match part:
            case stated.Length(name) | stated.EdgeEnd(name) | stated.Member(name):
                yield name
            case stated.ReachedNames(name):
                yield name
            case stated.Named(name, source, target, closure) if closure or any((*source, *target)):
                yield name
            case _:
                pass


def _listed(node: stated.Builder) -> int:
    pairs = (arrow for arrow in node.arrows if isinstance(arrow, stated.Pairs))
    return sum(len(arrow.sources) + len(arrow.targets) for arrow in pairs)


def _cost_of_arrow(arrow: stated.Arrow | stated.Pairs, own: stated.Stated, sizes: Sizes) -> float:
    if isinstance(arrow, stated.Pairs):
        return len(arrow.sources) * len(arrow.targets)
    loops = loops_of(arrow, own, wraps=False)
    cost = 10.0 if any(map(draws, arrow.conditions)) else 1.0
    for end, size in zip(("source", "target"), sizes, strict=True):
        cost *= size if end in loops.ends else 1
    for domain in loops.others:
        cost *= _size(domain.values)
    return cost


def _size(values: int | stated.Interval | stated.Items) -> float:
    """How many values a name runs over, as far as that can be told."""
    match values:
        case int():
            return values
        case stated.Items(items):
            return len(items)
        case stated.Interval(first, last):
            found = [
                (high - low + 1)
                for at in (0, 100)
                if (low := _value(first, at)) is not None and (high := _value(last, at)) is not None
            ]
            return max(1.0, *found) if found else 10.0


def _value(node: stated.Expression, at: int) -> float | None:
    """A sum of numbers, every index being some number."""
    match node:
        case stated.Number(value):
            return value
        case stated.Index():
            return at
        case stated.Operation("-", (one,)):
            value = _value(one, at)
            return None if value is None else -value
        case stated.Operation("+" | "-" | "*" as symbol, (left, right)):
            a, b = _value(left, at), _value(right, at)
            if a is None or b is None:
                return None
            return {"+": a + b, "-": a - b, "*": a * b}[symbol]
        case _:
            return None


# ------------------------------------------------------------------------------------------------ loops


@record(frozen=False)
class Loops:
    """How an arrow is looped over: ends of which all units are taken, and names by what they run over."""

    ends: tuple[str, ...]
    others: tuple[stated.Domain, ...]
    conditions: tuple[stated.Expression, ...]


def loops_of(arrow: stated.Arrow, own: stated.Stated, *, wraps: bool) -> Loops:
    """Ends that consist of index names are looped over unit by unit; other names by what they run over."""
    domains = {domain.name: domain for domain in arrow.names}
    known: set[str] = set()
    ends: list[str] = []
    conditions: list[stated.Expression] = []
    for end, index, side in (("source", arrow.source, own.source), ("target", arrow.target, own.target)):
        names = [part.name for part in index if isinstance(part, stated.Index)]
        if len(names) < len(index) or len({*names}) < len(names) or known & {*names}:
            continue
        runs = [domains[name].values for name in names]
        if all(
            run == size if isinstance(run, int) else not wraps
            for run, size in zip(runs, side.shape, strict=True)
        ):
            ends.append(end)
            known |= {*names}
            conditions += [
                stated.Comparison(stated.Index(name), (("in", run),))
                for name, run in zip(names, runs, strict=True)
                if not isinstance(run, int)
            ]
    waiting = [domain for domain in arrow.names if domain.name not in known]
    others: list[stated.Domain] = []
    while waiting:
        ready = next(d for d in waiting if not indices_of((d.values,)) - known)
        waiting.remove(ready)
        known.add(ready.name)
        others.append(ready)
    return Loops(tuple(ends), tuple(others), tuple(conditions))
