"""What the spec's words for sets of edges mean, in plain Python, and the check of all edges against that.

Nothing here is shared with the compiler's solver. A unit is its number, or the tuple of its indices where its
layer has several dimensions; an edge is a pair of them, source first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache, cached_property
from itertools import product
from math import floor, prod
from typing import Any

import numpy as np

from .expected import Expected, edges_of_all_parts


class Grid:
    """The units of several dimensions, row-major."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.ranges = shape, [range(size) for size in shape]

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return product(*self.ranges)

    def __contains__(self, unit: Any) -> bool:
        if len(self) <= 1_000_000:
            return unit in self.members
        return all(index in along for index, along in zip(unit, self.ranges, strict=True))

    def __len__(self) -> int:
        return prod(self.shape)

    @cached_property
    def members(self) -> frozenset[Any]:
        """All units, to look one up in."""
        return frozenset(self)


@cache
def units(shape: tuple[int, ...]) -> Any:
    """All units of a shape."""
    return range(shape[0]) if len(shape) == 1 else Grid(shape)


def unit_of(number: int, shape: tuple[int, ...]) -> Any:
    """The unit of a number, row-major."""
    index: list[int] = []
    for size in reversed(shape):
        number, digit = divmod(number, size)
        index.insert(0, digit)
    return index[0] if len(index) == 1 else tuple(index)


def number_of(unit: Any, shape: tuple[int, ...]) -> int:
    """The number of a unit, row-major, each of its indices counted around the ends."""
    number = 0
    for index, size in zip(unit if isinstance(unit, tuple) else (unit,), shape, strict=True):
        number = number * size + floor(index) % size
    return number


class Statement:
    """A set of edges between units of two shapes: `rule(sources, targets)` gives those among some units."""

    def __init__(
        self, rule: Callable[..., Iterable[Any]], source: tuple[int, ...], target: tuple[int, ...]
    ) -> None:
        self.rule, self.source, self.target = rule, source, target

    def __call__(self, sources: Collection[Any], targets: Collection[Any]) -> set[Any]:
        """The edges between some sources and some targets."""
        return set(self.rule(sources, targets))

    @cached_property
    def whole(self) -> set[Any]:
        """All of its edges."""
        return self(units(self.source), units(self.target))

    @cached_property
    def ordered(self) -> list[Any]:
        """All of its edges, by target, then by source."""
        return sorted(self.whole, key=lambda edge: edge[::-1])

    def __contains__(self, edge: Any) -> bool:
        return edge in self.whole

    def __len__(self) -> int:
        return len(self.whole)


def stated(source: tuple[int, ...], target: tuple[int, ...]) -> Callable[..., Statement]:
    """Make a `Statement` of a function, between units of these shapes."""
    return lambda rule: Statement(rule, source, target)


# --------------------------------------------------------------------------------------------- conditions


def holds(*conditions: Callable[[], Any]) -> bool:
    """Whether all conditions hold. One without a value, say for a division by zero, needs another to fail."""
    return settled(conditions, decisive=False)


def either(*conditions: Callable[[], Any]) -> bool:
    """Whether a condition holds. One without a value, say for a division by zero, needs another to hold."""
    return settled(conditions, decisive=True)


def settled(conditions: Iterable[Callable[[], Any]], *, decisive: bool) -> bool:
    """`decisive` if a condition is; else the opposite, or the failure of one that has no value."""
    failure = None
    for condition in conditions:
        try:
            if bool(condition()) is decisive:
                return decisive
        except (ArithmeticError, IndexError, ValueError, TypeError) as error:
            failure = error
    if failure is not None:
        raise failure
    return not decisive


def within(value: float, first: float, last: float) -> bool:
    """Whether a number is one of the whole numbers from `first` to `last`."""
    return bool(first <= value <= last and value == floor(value))


def power(base: Any, exponent: Any) -> Any:
    """`base ** exponent`: a whole number for whole ones, else the number that NumPy gives."""
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        return base**exponent
    return float(np.power(float(base), exponent))


def joined(edges: Statement, source: Iterable[Any], target: Iterable[Any]) -> bool:
    """Whether an edge has these indices, which are called for; one that fails counts if no other differs."""
    index: list[Any] = []
    failures: list[Exception] = []
    for part in (*source, *target):
        try:
            index.append(part())
        except (ArithmeticError, IndexError, ValueError, TypeError) as error:
            failures.append(error)
            index.append(None)
    ends = ((end if isinstance(end, tuple) else (end,) for end in edge) for edge in edges.whole)
    fits = any(
        all(wanted is None or wanted == given for wanted, given in zip(index, (*s, *t), strict=True))
        for s, t in ends
    )
    if fits and failures:
        raise failures[0]
    return fits


# -------------------------------------------------------------------------------------------- other sets


def among(edges: Iterable[Any], sources: Collection[Any], targets: Collection[Any]) -> set[Any]:
    """The edges between some units."""
    return {edge for edge in edges if edge[0] in sources and edge[1] in targets}


def closure_of(edges: Statement) -> set[Any]:
    """An edge for every path of one edge or more."""
    onwards: dict[Any, set[Any]] = {}
    for source, target in edges.whole:
        onwards.setdefault(source, set()).add(target)
    paths: set[Any] = set()
    for source in onwards:
        pending, reached = [source], set[Any]()
        while pending:
            found = onwards.get(pending.pop(), set()) - reached
            reached |= found
            pending += found
        paths |= {(source, target) for target in reached}
    return paths


def window(
    sources: Collection[Any],
    targets: Collection[Any],
    shape: tuple[int, ...],
    extents: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    pads: tuple[Any, ...],
) -> Iterator[Any]:
    """The edges of `window(...)` over the last dimensions of sources of a shape."""
    kept = len(shape) - len(extents)
    for target in targets:
        place = target if isinstance(target, tuple) else (target,)
        seen: list[Any] = [[index] for index in place[:kept]]
        for at, size, extent, stride, dilation, pad in zip(
            place[kept:], shape[kept:], extents, strides, dilations, pads, strict=True
        ):
            reach = dilation * (extent - 1) + 1
            before = 0 if pad == "valid" else pad
            if pad == "same":
                last = (size - 1) // stride * stride
                before = max(0, last + reach - size) // 2
            seen.append([at * stride - before + step * dilation for step in range(extent)])
        for source in product(*seen):
            unit = source[0] if len(shape) == 1 else source
            if unit in sources:
                yield unit, target


# ---------------------------------------------------------------------------------------------- the check


def check_statement(
    expected: Expected,
    connection: str,
    statement: Statement,
    form: str,
    sample: tuple[int, int, int] | None,
) -> None:
    """The edges of a connection are those that the spec states.

    They are `listed`, or their `form` is `all` or `one_to_one`. Without a `sample` all pairs are compared;
    else, by number, some targets with some or all sources, and some of the edges, drawn from a fixed seed.
    """
    sizes = prod(statement.source), prod(statement.target)
    rng = np.random.default_rng(6)
    n_targets, n_sources, n_edges = sample or (sizes[1], sizes[0], 0)
    chosen = [
        range(size) if number == size else sorted(rng.choice(size, number, replace=False).tolist())
        for number, size in ((n_sources, sizes[0]), (n_targets, sizes[1]))
    ]
    shapes = statement.source, statement.target
    sources, targets = (
        units(shape) if len(some) == prod(shape) else {unit_of(number, shape) for number in some}
        for some, shape in zip(chosen, shapes, strict=True)
    )
    held = held_edges(expected, connection, form, *chosen)
    with np.errstate(all="ignore"):
        numbers = [cache(lambda unit, shape=shape: number_of(unit, shape)) for shape in shapes]
        wanted = {(numbers[0](s), numbers[1](t)) for s, t in statement(sources, targets)}
        report_difference(connection, wanted - held, "the spec states it, and it is not there")
        report_difference(connection, held - wanted, "it is there, and the spec does not state it")
        if n_edges and form == "listed":
            ends = edges_of_all_parts(expected, connection)
            for at in rng.choice(len(ends[0]), n_edges, replace=False).tolist():
                edge = int(ends[0][at]), int(ends[1][at])
                one = [{unit_of(number, shape)} for number, shape in zip(edge, shapes, strict=True)]
                wrong = set() if statement(*one) else {edge}
                report_difference(connection, wrong, "it is there, and the spec does not state it")


def held_edges(
    expected: Expected, connection: str, form: str, sources: Collection[int], targets: Collection[int]
) -> set[tuple[int, int]]:
    """The edges that the generated code has between units of these numbers."""
    if form == "all":
        return set(product(sources, targets))
    if form == "one_to_one":
        return {(unit, unit) for unit in targets if unit in sources}
    source, target = edges_of_all_parts(expected, connection)
    kept = np.isin(source, np.array(sources)) & np.isin(target, np.array(targets))
    return set(zip(source[kept].tolist(), target[kept].tolist(), strict=True))


def report_difference(connection: str, edges: set[tuple[int, int]], why: str) -> None:
    """Fail if there are such edges, and name the first of them."""
    if edges:
        source, target = min(edges, key=lambda edge: edge[::-1])
        more = f", and so are {len(edges) - 1:,} more" if len(edges) > 1 else ""
        raise AssertionError(
            f"{connection}: edge {source} -> {target}, by unit numbers, is wrong: {why}{more}"
        )
