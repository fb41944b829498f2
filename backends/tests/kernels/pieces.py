"""Networks that run over time, called for some steps after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .expected import Expected


def in_pieces(
    expected: Expected,
    data: dict[str, Any],
    lengths: list[int],
    run: Callable[[list[Any], Any], tuple[dict[str, Any], Any]],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """All layers' values (batch, steps, units), and the state behind the last step.

    The inputs are cut into pieces of some lengths, and `run` is called for each with the state that the call
    before gave. What does not differ from step to step is that of the first.
    """
    state, found, begin = None, list[dict[str, Any]](), 0
    for length in lengths:
        piece = slice(begin, begin + length)
        inputs = [data[n][:, piece] if n in expected.over_time else data[n] for n in expected.inputs]
        values, state = run(inputs, state)
        found.append({name: np.asarray(value) for name, value in values.items()})
        begin += length
    whole = {
        name: np.concatenate([each[name] for each in found], axis=1) if name in expected.timed else first
        for name, first in found[0].items()
    }
    return whole, {name: np.asarray(value) for name, value in (state or {}).items()}
