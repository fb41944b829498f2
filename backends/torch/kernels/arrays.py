"""Parameters as numpy arrays, under the names they have in every target, and shapes checked on the way in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from .tracing import is_transformed
from .units_first import to_batch_first


def arrays_of(module: nn.Module) -> dict[str, np.ndarray]:
    """All weights, biases, running statistics and edge digests of a module, by name.

    What the module calls otherwise than every target does is in its attribute `_array_names`.
    """
    names, arrays = getattr(module, "_array_names", {}), dict[str, np.ndarray]()
    for name, value in module.state_dict().items():
        if not name.endswith(".num_batches_tracked"):
            value = value.float() if value.dtype == torch.bfloat16 else value
            arrays[names.get(name, name)] = value.detach().cpu().numpy().copy()
    return arrays


def load_into(module: nn.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Load what `arrays_of` gave, on any target.

    Edge digests may be absent, as they are from start values.

    Raises:
        RuntimeError: before anything is loaded, if a name, a shape or the edges differ.
    """
    names, state = getattr(module, "_array_names", {}), module.state_dict()
    held = {names.get(name, name): value for name, value in state.items()}
    given = {name: torch.tensor(arrays[name]) for name in arrays}
    kept = {n: v for n, v in held.items() if n.endswith((".num_batches_tracked", ".digest"))}
    wrong = [f"missing: {name}" for name in held if name not in given and name not in kept]
    wrong += [f"unknown: {name}" for name in given if name not in held]
    wrong += [
        f"{name} has the shape {tuple(value.shape)}, not {tuple(held[name].shape)}"
        for name, value in given.items()
        if name in held and value.shape != held[name].shape
    ]
    if wrong:
        raise RuntimeError("\n".join(wrong))
    loaded = kept | given
    module.load_state_dict({name: loaded[names.get(name, name)] for name in state})


def check_shape(name: str, x: Tensor, batch: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Raise a `ValueError` unless `x` is (*batch, *shape)."""
    if x.shape == (*batch, *shape):
        return
    given = tuple(x.shape)
    if len(given) < len(shape) or given[len(given) - len(shape) :] != shape:
        wanted = f"({', '.join(['...', *map(str, shape)])})"
        raise ValueError(f"`{name}` must have the shape {wanted}, but has {given}.")
    why = f"since the batch is {tuple(batch)}"
    raise ValueError(f"`{name}` must have the shape {(*batch, *shape)}, {why}, but has {given}.")


def flat(
    name: str, x: Tensor, batch: tuple[int, ...], shape: tuple[int, ...], dtype: torch.dtype | None = None
) -> Tensor:
    """Return `x`, (*batch, *shape), as (entries of the batch, units); `dtype` is for what is not floating.

    Raises:
        ValueError: `x` has another shape, or is not floating and no `dtype` is given.
    """
    check_shape(name, x, batch, shape)
    if not torch.is_floating_point(x):
        if dtype is None or x.is_complex():
            raise ValueError(f"`{name}` must hold floating-point numbers, but is a tensor of {x.dtype}.")
        x = x.to(dtype)
    return x if len(batch) == len(shape) == 1 else x.reshape(-1, math.prod(shape))


def class_codes(
    name: str, codes: Tensor, batch: tuple[int, ...], shape: tuple[int, ...], classes: int, least: int = 0
) -> Tensor:
    """Return class codes from `least` on, (*batch, *shape), as a vector of int64.

    On a CPU the codes are looked at. On other devices that would wait for the device, and while code is
    traced or mapped there is nothing to look at: then what reads the codes stops at one that is out of range,
    `F.cross_entropy` at -100 too, which it would leave out by itself.

    Raises:
        ValueError: `codes` has another shape, or holds no integers, or one that is no class.
    """
    check_shape(name, codes, batch, shape)
    wanted = f"`{name}` must hold integers from {least} to {classes - 1}"
    if torch.is_floating_point(codes) or codes.is_complex() or codes.dtype == torch.bool:
        raise ValueError(f"{wanted}, but is a tensor of {codes.dtype}.")
    codes = codes.reshape(-1).long()
    unseen = torch.compiler.is_compiling() or is_transformed()
    if unseen or codes.device.type != "cpu":
        return codes.clamp(min=least - 1)
    if len(codes):
        low, high = (int(code) for code in codes.aminmax())
        if low < least or high >= classes:
            raise ValueError(f"{wanted}, but holds {low if low < least else high}.")
    return codes


def input_codes(
    name: str, codes: Tensor, batch: tuple[int, ...], shape: tuple[int, ...], classes: int
) -> Tensor:
    """Return class codes of an input, of which -1 is none, as (entries of the batch, positions)."""
    return class_codes(name, codes, batch, shape, classes, -1).reshape(-1, math.prod(shape))


def unflat(values: dict[str, Tensor], batch: Sequence[int]) -> dict[str, Tensor]:
    """Return values, (entries of the batch, *shape), as (*batch, *shape)."""
    if len(batch) == 1:
        return values
    return {name: value.reshape(*batch, *value.shape[1:]) for name, value in values.items()}


def returned(value: Tensor, units: int) -> Tensor:
    """Return a layer's value, (*batch, *shape), as a contiguous array if it was computed units first."""
    if value.dim() == 2:
        return to_batch_first(value)
    return to_batch_first(value.reshape(-1, units)).reshape(value.shape)
