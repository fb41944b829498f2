"""Values over time. One is (steps * samples, units), those of a step behind those of the one before.

So what does not recur is computed for all steps as for a larger batch. Within a loop a value is one of a
list, (samples, units) at each step, behind what it was before the first step, the oldest first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from .units_first import is_units_first


def steps_of(name: str, x: Tensor, shape: Sequence[int]) -> int:
    """How many steps an array (*batch, steps, *shape) has. Raises ValueError if it has none."""
    if x.dim() <= len(shape) or x.shape[x.dim() - len(shape) - 1] < 1:
        wanted = ", ".join(["...", "steps", *map(str, shape)])
        raise ValueError(f"`{name}` must have the shape ({wanted}), but has {tuple(x.shape)}.")
    return x.shape[x.dim() - len(shape) - 1]


def steps_first(x: Tensor, steps: int) -> Tensor:
    """(samples * steps, units) -> (steps * samples, units)."""
    return x.unflatten(0, (-1, steps)).transpose(0, 1).flatten(0, 1)


def over_time(value: Tensor, batch: Sequence[int], steps: int) -> Tensor:
    """(steps * samples, *shape) -> (*batch, steps, *shape)."""
    shape = value.shape[1:]
    return value.unflatten(0, (steps, -1)).transpose(0, 1).reshape(*batch, steps, *shape)


def in_steps(x: Tensor, steps: int) -> list[Tensor]:
    """(steps * samples, units) as (samples, units) for each step, stored one way or the other as it is."""
    if is_units_first(x):
        # One copy for all steps, in which what is read of a step is in one piece.
        return [each.t() for each in x.t().unflatten(1, (steps, -1)).transpose(0, 1).contiguous().unbind(0)]
    return [*x.unflatten(0, (steps, -1)).unbind(0)]


def at_all_steps(each: Sequence[Tensor]) -> Tensor:
    """(samples, units) for each step as (steps * samples, units), stored one way or the other as they are."""
    if is_units_first(each[0]):
        return torch.cat([x.t() for x in each], 1).t()
    return torch.cat([*each])


def every_step(x: Tensor, steps: int) -> Tensor:
    """What is the same at every step, (samples, units), as (steps * samples, units)."""
    return x.t().repeat(1, steps).t() if is_units_first(x) else x.repeat(steps, 1)


def delayed(x: Tensor, before: Sequence[Tensor], delay: int, steps: int) -> Tensor:
    """What a value (steps * samples, units) was some steps before each step."""
    return at_all_steps([*before[len(before) - delay :], *in_steps(x, steps)][:steps])


def state_before(
    module: nn.Module, batch: Sequence[int], wanted: Mapping[str, tuple[int, tuple[int, ...], float | Tensor]]
) -> dict[str, Tensor]:
    """What values start as, by name, (*batch, how many steps are read, *shape).

    `wanted` has how many steps that is, the shape, and what they start as: a number, or one a unit.
    """
    held = [*module.parameters(), *module.buffers()]
    like = next((x for x in held if x.is_floating_point()), torch.zeros(()))
    state: dict[str, Tensor] = {}
    for name, (steps, shape, start) in wanted.items():
        whole = (*batch, steps, *shape)
        given = start.reshape(shape) if isinstance(start, Tensor) else like.new_full(shape, start)
        state[name] = given.expand(whole)
    return state


def state_like(state: Mapping[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    """A state in the type of numbers of an array, and where that is."""
    return {name: value.to(x) for name, value in state.items()}


def before_first(
    state: Mapping[str, Tensor], batch: Sequence[int], wanted: Mapping[str, tuple[int, ...]]
) -> dict[str, list[Tensor]]:
    """What values were before the first step, by name: (samples, units) each, the oldest first.

    `wanted` has how many steps are read, and the shape. Raises ValueError for a state of another shape.
    """
    before: dict[str, list[Tensor]] = {}
    for name, (steps, *shape) in wanted.items():
        whole = (*batch, steps, *shape)
        if state[name].shape != whole:
            raise ValueError(f"`{name}` of the state must be {whole}, but is {tuple(state[name].shape)}.")
        rows = state[name].reshape(math.prod(batch), steps, math.prod(shape))
        before[name] = [*rows.unbind(1)]
    return before


def behind_last(
    before: Mapping[str, Sequence[Tensor]],
    values: Mapping[str, Tensor],
    batch: Sequence[int],
    steps: int,
    shapes: Mapping[str, tuple[int, ...]],
) -> dict[str, Tensor]:
    """The state behind the last step: of each value as many steps as are read, (*batch, steps, *shape)."""
    state: dict[str, Tensor] = {}
    for name, x in values.items():
        count = len(before[name])
        last = [*before[name], *in_steps(x, steps)][-count:]
        state[name] = torch.stack(last, 1).reshape(*batch, count, *shapes[name])
    return state


def of_one_step(values: Mapping[str, Tensor], at: int, timed: Sequence[str]) -> dict[str, Tensor]:
    """Values of one step of time, without the dimension `at` which that has in those that are `timed`."""
    return {name: value.select(at, 0) if name in timed else value for name, value in values.items()}
