"""What the units of a model's inputs and layers are, saved with the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...common.kernels.digests import digest_of


def hold_units(model: Any, digests: Mapping[str, str]) -> None:
    """Have a model save a digest `<name>.digest` by input or layer, and refuse a `state_dict` with another.

    A `state_dict` without any is taken. `digests` are a SHA-256 in hexadecimal each, of a shape, the names of
    its units and which bias each has; or, by connection, of edges that are divided among several layers.
    """
    model._unit_digests = dict(digests)
    for name, digest in digests.items():
        if not hasattr(model, name):
            model.add_module(name, nn.Module())
        # Distributed checkpoints look for what they save at the place that its name says.
        getattr(model, name).digest = torch.from_numpy(digest_of(digest))
    model.register_state_dict_post_hook(save_units)
    model.register_load_state_dict_pre_hook(refuse_other_units)


def save_units(module: Any, state_dict: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Save the digests, as copies: some average what a `state_dict` holds in place."""
    for name in module._unit_digests:
        state_dict[f"{prefix}{name}.digest"] = getattr(module, name).digest.clone()


def refuse_other_units(module: Any, state_dict: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Raise a `RuntimeError` where a checkpoint was made for other units than those of `module`.

    What has been compared is taken out: it is no parameter and no buffer.
    """
    for name in module._unit_digests:
        key = f"{prefix}{name}.digest"
        saved, own = state_dict.get(key), getattr(module, name).digest
        if saved is not None and not torch.equal(saved.to(own), own):
            raise RuntimeError(
                f"`{key}` differs: the checkpoint was made for other edges than those of `{name}`, or for "
                "units of another shape, with other names, in another order or with other biases, so that "
                "its entries belong to others, and nothing was loaded. Load it in the module that it was "
                "made with."
            )
    for name in module._unit_digests:
        state_dict.pop(f"{prefix}{name}.digest", None)
