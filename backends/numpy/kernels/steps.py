"""Values over time. One is (steps * samples, units), all samples of a step behind those of the step before.

So what does not recur is computed for all steps as for a larger batch. `before` is a list of what a value was
before the first step, (samples, units) each, the oldest first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .arrays import batched


def over_time(over: Sequence[str], steps: int | None = None, /, **given: Any) -> list[Any]:
    """Arrays with their batch taken together, and with their steps, which stand behind it, before it.

    Args:
        over: the names of the arrays that are (*batch, steps, *shape), and not (*batch, *shape).
        steps: how many steps there are; those of the first such array if it is not given.
        given: as `batched` takes it.

    Returns:
        The batch's dimensions, the number of steps, then every array as (samples, *shape), or over time as
        (steps * samples, *shape).

    Raises:
        ValueError: as `batched` does, and if there is no step.
    """
    for name in over:
        array, shape, *_ = given[name]
        at = np.ndim(array) - len(shape) - 1
        steps = steps if steps is not None or at < 0 else np.shape(array)[at]
    if steps is None or steps < 1:
        raise ValueError(f"`{over[0]}` must have at least one step, in the dimension behind the batch.")
    whole = {
        n: (a, (steps, *s), *codes) if n in over else (a, s, *codes) for n, (a, s, *codes) in given.items()
    }
    batch, *arrays = batched(**whole)
    pairs = zip(given, arrays, strict=True)
    return [batch, steps, *(steps_first(array) if name in over else array for name, array in pairs)]


def steps_first(x: np.ndarray) -> np.ndarray:
    """(samples, steps, *shape) -> (steps * samples, *shape)."""
    return np.ascontiguousarray(np.moveaxis(x, 0, 1)).reshape(-1, *x.shape[2:])


def unfolded(x: np.ndarray, batch: tuple[int, ...], steps: int, shape: tuple[int, ...]) -> np.ndarray:
    """(steps * samples, units) -> (*batch, steps, *shape)."""
    return np.moveaxis(x.reshape(steps, -1, *shape), 0, 1).reshape(*batch, steps, *shape)


def values_over_time(values: dict[str, Any], batch: tuple[int, ...], steps: int) -> dict[str, Any]:
    """Values (steps * samples, units) as (*batch, steps, units); what is not of samples stays as it is."""
    rows = steps * math.prod(batch)
    return {
        name: unfolded(v, batch, steps, v.shape[1:]) if np.ndim(v) and len(v) == rows else v
        for name, v in values.items()
    }


def rows_of(values: dict[str, Any], batch: tuple[int, ...], steps: int) -> dict[str, Any]:
    """Values as they are computed: (*batch, steps, units) over time, and (*batch, units).

    Raises ValueError if there is none of this batch and so many steps.
    """
    rows, fits = dict[str, Any](), False
    for name, value in values.items():
        shape = np.shape(value)
        if shape[:-1] == (*batch, steps):
            rows[name], fits = steps_first(value.reshape(-1, steps, shape[-1])), True
        else:
            rows[name] = value.reshape(-1, shape[-1]) if shape[:-1] == batch and shape else value
    if not fits:
        raise ValueError(f"`values` are of another batch than the inputs, {batch} of {steps} steps.")
    return rows


def before_first(
    state: Mapping[str, np.ndarray] | None,
    batch: tuple[int, ...],
    wanted: Mapping[str, tuple[int, int, Any]],
    *like: np.ndarray,
) -> dict[str, list[np.ndarray]]:
    """What values were before the first step, by name: of a state, or what they start as.

    `wanted` has how many steps are read, how many units there are and what they start as. Starts have the
    type of numbers of the arrays `like` together. Raises ValueError for a state of another shape.
    """
    samples = math.prod(batch)
    dtype = np.result_type(*(array.dtype for array in like if array.dtype.kind == "f"))
    if state is None:
        return {
            name: [np.broadcast_to(np.asarray(start, dtype), (samples, units))] * steps
            for name, (steps, units, start) in wanted.items()
        }
    before: dict[str, list[np.ndarray]] = {}
    for name, (steps, units, _) in wanted.items():
        if np.shape(state[name]) != (*batch, steps, units):
            given = np.shape(state[name])
            raise ValueError(f"`{name}` of the state must be {(*batch, steps, units)}, but is {given}.")
        before[name] = in_steps(steps_first(state[name].reshape(-1, steps, units)), steps)
    return before


def behind_last(
    before: Mapping[str, list[np.ndarray]],
    values: Mapping[str, np.ndarray],
    batch: tuple[int, ...],
    steps: int,
) -> dict[str, np.ndarray]:
    """The state behind the last step: of each value as many steps as are read, (*batch, steps, units)."""
    state: dict[str, np.ndarray] = {}
    for name, x in values.items():
        count = len(before[name])
        last = at_all_steps([*before[name], *in_steps(x, steps)][-count:])
        state[name] = unfolded(last, batch, count, x.shape[1:]).copy()
    return state


def in_steps(x: Any, steps: int) -> list[Any]:
    """(steps * samples, units) as a list of (samples, units); one number is that of every step."""
    return list(x.reshape(steps, -1, *x.shape[1:])) if np.ndim(x) else [x] * steps


def at_all_steps(each: Sequence[Any]) -> Any:
    """A list of (samples, units), one a step, as (steps * samples, units); one number for all stays one."""
    return np.concatenate(each) if np.ndim(each[0]) else each[0]


def last_step_first(steps: int, *arrays: Any) -> Iterator[tuple[Any, ...]]:
    """What arrays (steps * samples, units) are at each step, from the last to the first."""
    return zip(*(reversed(in_steps(x, steps)) for x in arrays), strict=True)


def every_step(x: np.ndarray, steps: int) -> np.ndarray:
    """What is the same at every step, (samples, units), as (steps * samples, units)."""
    return np.tile(x, (steps, 1))


def summed_steps(d: np.ndarray, steps: int) -> np.ndarray:
    """Gradient (samples, units) of what `every_step` takes, from that of its result."""
    return d.reshape(steps, -1, *d.shape[1:]).sum(axis=0)


def last_step(x: np.ndarray, steps: int) -> np.ndarray:
    """(steps * samples, units) -> (samples, units) of the last step."""
    return x[len(x) - len(x) // steps :]


def at_last_step(d: np.ndarray, steps: int) -> np.ndarray:
    """Gradient (steps * samples, units) of what `last_step` takes, from that of its result."""
    return np.concatenate([np.zeros(((steps - 1) * len(d), *d.shape[1:]), d.dtype), d])


def delayed(x: np.ndarray, before: list[np.ndarray], delay: int) -> np.ndarray:
    """What a value (steps * samples, units) was some steps before each step."""
    return np.concatenate([*before[len(before) - delay :], x])[: len(x)]


def later(d: np.ndarray, delay: int, steps: int) -> np.ndarray:
    """Gradient of what `delayed` takes, from that of its result."""
    rows = min(delay * (len(d) // steps), len(d))
    return np.concatenate([d[rows:], np.zeros((rows, *d.shape[1:]), d.dtype)])


def first_steps(d: np.ndarray, delay: int, steps: int) -> np.ndarray:
    """Gradient (units,) of what a value starts as, from that of what `delayed` gives."""
    return d[: delay * (len(d) // steps)].sum(axis=0)


def with_earlier(d: np.ndarray, delay: int, steps: int) -> list[np.ndarray]:
    """A gradient (steps * samples, units), one a step, behind zeros for so many steps before the first."""
    each = in_steps(d, steps)
    return [np.zeros_like(each[0])] * delay + each
