"""Which sets have a rule that generated code states anew, rather than to read their edges from a file."""

from __future__ import annotations

from .edge_set import Diagonal, EdgeSet, Full, Listed, Product, Shape, Shifted

# A rule with more offsets than this is no shorter to read than to store.
OFFSETS_WORTH_READING = 64


def is_restated(edges: EdgeSet) -> bool:
    """Whether a sparse set has a rule that is short enough to stand in generated code."""
    match edges:
        case Shifted():
            return len(offset_runs(edges.offsets)) <= OFFSETS_WORTH_READING
        case Product():
            return all(is_restated(f) for f in edges.factors if isinstance(f, Shifted))
        case Full() | Diagonal() | Listed():
            return False


def offset_runs(offsets: tuple[Shape, ...]) -> tuple[range | Shape, ...]:
    """Offsets along one dimension as ranges where three or more are evenly spaced, others as they are."""
    if not offsets or len(offsets[0]) > 1:
        return offsets
    runs: list[range | Shape] = []
    numbers = [offset for (offset,) in offsets]
    while numbers:
        step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
        length = 1
        while length < len(numbers) and numbers[length] == numbers[0] + length * step:
            length += 1
        if length < 3:
            length = 1
            runs.append((numbers[0],))
        else:
            runs.append(range(numbers[0], numbers[0] + length * step, step))
        numbers = numbers[length:]
    return tuple(runs)
