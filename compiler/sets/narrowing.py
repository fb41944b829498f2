"""What conditions leave of the range of an index name: interval arithmetic on many assignments at once.

In every row a name lies between a lowest and a highest value, which are equal once it is assigned. A
comparison is followed inwards, from the difference of its sides to the name, through sums, products, `abs`,
`max`, `//` and whatever else can be inverted. What that leaves out cannot meet the condition. What it leaves
in is tested afterwards, so that bounds may be loose: they are, by far more than rounding can amount to. A
condition that may fail in a row, say by a division by zero, bounds nothing there: a failure must be found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from ...dsl import syntax
from ..names.arithmetic import Value
from .enclosing import Enclosure
from .intervals import Interval, hull
from .inverting import Inwards


def narrow(
    conditions: Iterable[syntax.Expression],
    name: str,
    box: Mapping[str, Interval],
    text: Callable[[syntax.Name], str],
    outer: Callable[[syntax.Reference], Value],
) -> Interval:
    """What is left of `box[name]` where all conditions may hold.

    `box` has the interval of every index name; `outer` gives the number of any other name.
    """
    remaining = dict(box)
    with np.errstate(all="ignore"):
        for condition in conditions:
            enclosure = Enclosure(remaining, text, outer)
            _Condition(name, enclosure).hold(condition, True)
            (low, high), (least, most) = enclosure.box[name], remaining[name]
            doubtful = enclosure.doubtful
            remaining[name] = Interval(np.where(doubtful, least, low), np.where(doubtful, most, high))
    return remaining[name]


_NEGATED = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_BOUND_FROM_BELOW = (">", ">=", "==")
_BOUND_FROM_ABOVE = ("<", "<=", "==")


class _Condition:
    """Follows a condition to one name, whose interval in the box of an enclosure is what is left."""

    def __init__(self, name: str, enclosure: Enclosure) -> None:
        self._name = name
        self._enclosure = enclosure
        self._inwards = Inwards(name, enclosure)

    def hold(self, node: syntax.Expression, truth: bool) -> None:
        """Narrow to where `node` may be `truth`."""
        match node:
            case syntax.Parenthesised():
                self.hold(node.inner, truth)
            case syntax.Unary(operator="not"):
                self.hold(node.operand, not truth)
            case syntax.Binary(operator="and" | "or"):
                parts = [lambda n=n: self.hold(n, truth) for n in (node.left, node.right)]
                self._all(parts) if (node.operator == "and") == truth else self._any(parts)
            case syntax.Comparison():
                lefts = (node.first, *(right for _, right in node.rest[:-1]))
                parts = [
                    lambda a=a, s=s, b=b: self._comparison(a, s, b, truth)
                    for a, (s, b) in zip(lefts, node.rest, strict=True)
                ]
                self._all(parts) if truth else self._any(parts)
            case _:
                self._enclosure.doubtful = True

    def _all(self, parts: list[Callable[[], None]]) -> None:
        for part in parts:
            part()

    def _any(self, parts: list[Callable[[], None]]) -> None:
        box, reached = self._enclosure.box, list[Interval]()
        before = box[self._name]
        for part in parts:
            box[self._name] = before
            part()
            reached.append(box[self._name])
        # An alternative without solutions, an empty interval, must not widen the others.
        box[self._name] = hull(
            Interval(np.where(low > high, np.inf, low), np.where(low > high, -np.inf, high))
            for low, high in reached
        )

    def _comparison(
        self, left: syntax.Expression, symbol: str, right: syntax.Expression, truth: bool
    ) -> None:
        self._enclosure.of(left)  # for what may fail in it
        if symbol == "in":
            ends = (
                [self._enclosure.of(end) for end in (right.first, right.last)]
                if isinstance(right, syntax.Range)
                else [self._enclosure.of(item) for item in right.items]
                if isinstance(right, syntax.List)
                else []
            )
            if truth and ends:
                first, last = (ends[0], ends[1]) if isinstance(right, syntax.Range) else (hull(ends),) * 2
                self._inwards.narrow(left, Interval(first.low, last.high))
            return
        self._enclosure.of(right)
        symbol = symbol if truth else _NEGATED[symbol]
        if symbol != "!=":
            low = 0.0 if symbol in _BOUND_FROM_BELOW else -np.inf
            high = 0.0 if symbol in _BOUND_FROM_ABOVE else np.inf
            self._inwards.narrow(syntax.Binary(left.span, "-", left, right), Interval(low, high))
