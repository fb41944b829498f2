"""Counts steps in place of seconds: what grows too fast shows on any machine, however much else it does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any


def lines_run(action: Callable[[], Any]) -> tuple[int, Any]:
    """How many lines of Python an action runs, counting each turn of a loop, and the action's result."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        result = action()
    finally:
        sys.settrace(before)
    return count, result


def assert_in_proportion(counts: Sequence[int]) -> None:
    """Of three sizes at equal distances: what grows with the square of n shows in the second difference."""
    first, second, third = counts
    assert third - second <= 1.1 * (second - first) + 100, counts
