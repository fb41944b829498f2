"""Values over time. One is (steps * samples, units), those of a step behind those of the one before.

So what does not recur is computed for all steps as for a larger batch. Within a loop a value is one of a
list, (samples, units) at each step, behind what it was before the first step, the oldest first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .tracing import is_followed
from .units_first import is_units_first, to_batch_first, to_units_first


def computed_again(piece: Callable[..., Any], *given: Any) -> Any:
    """What a piece of the steps gives; for gradients it is computed again, with the same random numbers.

    What is traced or transformed keeps everything: `checkpoint` is for autograd alone.
    """
    if not torch.is_grad_enabled() or is_followed():
        return piece(*given)
    return checkpoint(piece, *given, use_reentrant=False)


def steps_of(name: str, x: Tensor, shape: Sequence[int]) -> int:
    """How many steps an array (*batch, steps, *shape) has. Raises ValueError if it has none."""
    if x.dim() <= len(shape) or x.shape[x.dim() - len(shape) - 1] < 1:
        wanted = ", ".join(["...", "steps", *map(str, shape)])
        raise ValueError(f"`{name}` must have the shape ({wanted}), but has {tuple(x.shape)}.")
    return x.shape[x.dim() - len(shape) - 1]


def steps_first(x: Tensor, steps: int) -> Tensor:
    """(samples * steps, units) -> (steps * samples, units)."""
    return x.unflatten(0, (-1, steps)).transpose(0, 1).flatten(0, 1)


def units_first_in_steps(x: Tensor, steps: int) -> Tensor:
    """(samples * steps, units) -> (steps * samples, units), stored units first.

    That is one copy. Of what a gradient goes back to it is two, since the gradient of one takes far longer.
    """
    if x.requires_grad or steps in (1, len(x)):
        return to_units_first(steps_first(x, steps))
    return x.unflatten(0, (-1, steps)).permute(2, 1, 0).contiguous().flatten(1).t()


def over_time(
    value: Tensor | Sequence[Tensor], batch: Sequence[int], steps: int, shape: Sequence[int]
) -> Tensor:
    """(steps * samples, units), or (samples, units) for each step, as (*batch, steps, *shape)."""
    if isinstance(value, Tensor):
        whole = to_batch_first(value).unflatten(0, (steps, -1)).transpose(0, 1)
    else:
        whole = torch.stack([to_batch_first(each) for each in value], 1)
    return whole.reshape(*batch, steps, *shape).contiguous()


def last_step(
    value: Tensor | Sequence[Tensor], batch: Sequence[int], steps: int, shape: Sequence[int]
) -> Tensor:
    """(steps * samples, units), or (samples, units) for each step, as that of the last, (*batch, *shape)."""
    (last,) = last_steps(value, steps, 1)
    return to_batch_first(last).reshape(*batch, *shape)


def last_steps(value: Tensor | Sequence[Tensor], steps: int, count: int) -> Sequence[Tensor]:
    """(samples, units) for each of the last steps, at most `count`."""
    if isinstance(value, Tensor):
        value = value.unflatten(0, (steps, -1)).unbind(0)
    return value[-count:]


class InSteps(torch.autograd.Function):
    """(units, steps * samples) as (units, samples) for each step, each in one piece, as its gradient is."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, steps: int) -> tuple[Tensor, ...]:
        """One copy for all steps."""
        return rows.unflatten(1, (steps, -1)).transpose(0, 1).contiguous().unbind(0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """The gradients of all steps in one."""
        return OfSteps.apply(*grads), None


class OfSteps(torch.autograd.Function):
    """(units, samples) for each step as (units, steps * samples): what `InSteps` takes apart."""

    @staticmethod
    def forward(ctx: Any, *each: Tensor) -> Tensor:
        """Some units at a time, whose rows the cache holds."""
        ctx.steps = len(each)
        if each[0].device.type != "cpu":
            return torch.cat(each, 1)
        whole = each[0].new_empty(each[0].shape[0], len(each) * each[0].shape[1])
        for place, *rows in zip(whole.split(1024), *(x.split(1024) for x in each), strict=True):
            torch.cat(rows, 1, out=place)
        return whole

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        """The gradient of each step."""
        return InSteps.apply(*grads, ctx.steps)


def in_steps(x: Tensor | Sequence[Tensor], steps: int) -> Sequence[Tensor]:
    """(steps * samples, units) as (samples, units) for each step, stored one way or the other as it is.

    What is a list of these is that already.
    """
    if not isinstance(x, Tensor):
        return x
    if steps == 1:
        return [x]
    if not is_units_first(x):
        return x.unflatten(0, (steps, -1)).unbind(0)
    if is_followed():
        each = x.t().unflatten(1, (steps, -1)).transpose(0, 1).contiguous().unbind(0)
    else:
        each = InSteps.apply(x.t(), steps)
    return [rows.t() for rows in each]


def at_all_steps(each: Sequence[Tensor]) -> Tensor:
    """(samples, units) for each step as (steps * samples, units), stored one way or the other as they are."""
    if len(each) == 1:
        return each[0]
    if not is_units_first(each[0]):
        return torch.cat([*each])
    rows = [x.t() for x in each]
    return (torch.cat(rows, 1) if is_followed() else OfSteps.apply(*rows)).t()


def by_step(x: Tensor, steps: int) -> Tensor:
    """(steps * samples, units) as (steps, samples, units), with which goes what is the same at every step."""
    return x.unflatten(0, (steps, -1))


def plus_at_each_step(x: Tensor, same: Tensor, steps: int) -> Tensor:
    """(steps * samples, units), plus what is the same at every step, (samples, units)."""
    return (by_step(x, steps) + same).flatten(0, 1)


def delayed(x: Tensor | Sequence[Tensor], before: Sequence[Tensor], delay: int, steps: int) -> Tensor:
    """What a value was some steps before each step, (steps * samples, units)."""
    return at_all_steps([*before[len(before) - delay :], *in_steps(x, steps)][:steps])


def state_before(
    like: nn.Module | Tensor,
    batch: Sequence[int],
    wanted: Mapping[str, tuple[int, tuple[int, ...], float | Tensor]],
) -> dict[str, Tensor]:
    """What values start as, by name, (*batch, how many steps are read, *shape).

    `wanted` has how many steps that is, the shape, and what they start as: a number, or one a unit. They
    have the type of numbers of `like`, and are where that is.
    """
    held = [like] if isinstance(like, Tensor) else [*like.parameters(), *like.buffers()]
    first = next((x for x in held if x.is_floating_point()), torch.zeros(()))
    state: dict[str, Tensor] = {}
    for name, (steps, shape, start) in wanted.items():
        whole = (*batch, steps, *shape)
        given = start.reshape(shape) if isinstance(start, Tensor) else first.new_full(shape, start)
        state[name] = given.expand(whole)
    return state


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
    values: Mapping[str, Tensor | Sequence[Tensor]],
    batch: Sequence[int],
    steps: int,
    shapes: Mapping[str, tuple[int, ...]],
) -> dict[str, Tensor]:
    """The state behind the last step: of each value as many steps as are read, (*batch, steps, *shape)."""
    state: dict[str, Tensor] = {}
    for name, x in values.items():
        count = len(before[name])
        last = [*before[name], *last_steps(x, steps, count)][-count:]
        # As they are stored, so that the next call need not transpose them.
        if count == 1:
            whole = last[0]
        elif is_units_first(last[0]):
            whole = torch.stack([each.t() for each in last]).permute(2, 0, 1)
        else:
            whole = torch.stack(last, 1)
        state[name] = whole.reshape(*batch, count, *shapes[name])
    return state


def of_one_step(values: Mapping[str, Tensor], at: int, timed: Sequence[str]) -> dict[str, Tensor]:
    """Values of one step of time, without the dimension `at` which that has in those that are `timed`."""
    return {name: value.select(at, 0) if name in timed else value for name, value in values.items()}
