"""Parameters as numpy arrays, under the names they have in every target, and shapes checked on the way in."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn


def arrays_of(module: nn.Module) -> dict[str, np.ndarray]:
    """All weights, biases, running statistics and edge digests of a module, by name."""
    return {
        name: (value.float() if value.dtype == torch.bfloat16 else value).detach().cpu().numpy().copy()
        for name, value in module.state_dict().items()
        if not name.endswith(".num_batches_tracked")
    }


def load_into(module: nn.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Load what `arrays_of` gave, on any target.

    Edge digests may be absent, as they are from start values.

    Raises:
        RuntimeError: before anything is loaded, if a name, a shape or the edges differ.
    """
    held = module.state_dict()
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
    module.load_state_dict(kept | given)


def flat(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(batch, *shape) -> (batch, units). Raises ValueError for any other shape."""
    if x.shape[1:] != shape:
        raise ValueError(
            f"expected an array of shape (batch, {', '.join(map(str, shape))}), got {tuple(x.shape)}"
        )
    return x.flatten(1)
