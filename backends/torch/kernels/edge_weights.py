"""What layers with one weight an edge have in common, however they compute: weights, digest, checkpoints."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from ...common.kernels.edge_digest import edge_digest
from .constants import WithTables


def refuse_other_edges(module: nn.Module, state_dict: Mapping[str, Tensor], prefix: str, *_: object) -> None:
    """Raise a `RuntimeError` where a checkpoint was made for other edges than those of `module`.

    A hook for `register_load_state_dict_pre_hook`: PyTorch calls it before it loads anything of `module`,
    whatever `strict` is. A generated model has it, so none of its parts is loaded if one of them is refused;
    give it to a larger module for the same there.
    """
    for name, layer in module.named_modules():
        if not isinstance(layer, EdgeWeights) or not layer.saves_digest:
            continue
        key = f"{prefix}{name}.digest" if name else f"{prefix}digest"
        saved = state_dict.get(key)
        if saved is not None and not torch.equal(saved.to(layer.digest), layer.digest):
            raise RuntimeError(
                f"`{key}` differs: the checkpoint was made for other edges than the {layer.n_edges} from "
                f"{layer.n_source} to {layer.n_target} units of this layer, so nothing was loaded."
            )


class EdgeWeights(WithTables):
    """A layer with a vector of one weight an edge, by target, then by source, and a digest of its edges.

    The weights are dense, so optimisers, weight decay and mixed precision treat them as any parameter, and an
    absent edge has no entry that could become non-zero. They start as zeros: the model loads their start
    values. The order is that of every layer of this kind, on every target, so arrays carry over.

    A layer that derives from it is called with `x` (batch, sources), with `onto`, to which its sums are added
    if it is given: a bias (targets,) or what other layers give (batch, targets), and with the `weight`
    (edges,), where that is made elsewhere. It computes in the dtype of autocast where that is on, else in the
    one that `x` and `weight` promote to; half precision is summed in float32. It raises a ValueError where
    `x` is not a floating (batch, sources).

    Attributes:
        weight: (edges,), a parameter, or a buffer where not trainable; where not weighted, it is None.
        digest: (4,) int64, `edge_digest` of the edges, saved with the weights. A checkpoint whose digest
            differs is refused: its weights belong to other edges.
        saves_digest: not where the edges are a part of a connection, whose digest its model saves.
        n_target, n_source, n_edges: how many there are.
    """

    saves_digest = True
    weight: Tensor
    digest: Tensor

    def hold_edges(
        self,
        source: np.ndarray,
        target: np.ndarray,
        shape: tuple[int, int],
        trainable: bool,
        weighted: bool,
        /,
        **tables: np.ndarray,
    ) -> None:
        """Make the weights and the digest of edges in canonical order, and hold further integer tables.

        Args:
            source: (edges,) integers, the source unit of every edge.
            target: (edges,) integers, the target unit of every edge.
            shape: number of target units, number of source units.
            trainable: whether the weights are a parameter rather than a buffer.
            weighted: whether there are weights; without them, every edge counts once.
            tables: what `add_tables` takes.
        """
        self.n_target, self.n_source = (int(size) for size in shape)
        self.n_edges = len(source)
        self.trainable, self.weighted = trainable, weighted
        self.add_tables(digest=edge_digest(source, target, shape), **tables)
        self.register_load_state_dict_pre_hook(refuse_other_edges)
        weight = torch.zeros(len(source)) if weighted else None
        if trainable:
            self.register_parameter("weight", None if weight is None else nn.Parameter(weight))
        else:
            self.register_buffer("weight", weight)

    def computing_dtype(self, x: Tensor, weight: Tensor | None) -> torch.dtype:
        """The dtype of autocast where that is on, else the one that `x` and `weight` promote to.

        Raises:
            ValueError: `x` is not a floating (batch, sources).
        """
        if x.dim() != 2 or x.shape[1] != self.n_source or not x.is_floating_point():
            raise ValueError(
                f"`x` must be a floating (batch, {self.n_source}), not {x.dtype} of shape {tuple(x.shape)}"
            )
        dtype = x.dtype if weight is None else torch.promote_types(x.dtype, weight.dtype)
        if torch.is_autocast_enabled(x.device.type) and dtype != torch.float64:
            dtype = torch.get_autocast_dtype(x.device.type)
        return dtype

    def _save_to_state_dict(self, destination, prefix, keep_vars) -> None:
        """Save the digest with the weights, as a copy: some average what a `state_dict` holds in place."""
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self.saves_digest:
            destination[f"{prefix}digest"] = self.digest.clone()

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ) -> None:
        """Expect the digest, which `refuse_other_edges` has compared."""
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        key = f"{prefix}digest"
        if key in unexpected_keys and self.saves_digest:
            unexpected_keys.remove(key)
        elif strict and key not in state_dict and self.saves_digest:
            missing_keys.append(key)

    def extra_repr(self) -> str:
        """Say the sizes of the layer."""
        return (
            f"{self.n_source} -> {self.n_target}, edges={self.n_edges}, "
            f"trainable={self.trainable}, weighted={self.weighted}"
        )


def without_digests(*layers: EdgeWeights) -> None:
    """Have layers save no digests of their own: each has a part of the edges of a connection."""
    for layer in layers:
        layer.saves_digest = False
