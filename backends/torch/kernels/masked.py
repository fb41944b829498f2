"""A linear map along given edges as a dense product: for few units, or many edges among them."""

import numpy as np
import torch
from torch import Tensor

from .dense import product_onto
from .edge_weights import EdgeWeights
from .edges import check_edges


class MaskedProjection(EdgeWeights):
    """Sum the weighted inputs that arrive at every target unit along given edges, by one dense product.

    The matrix is made of the weights in every forward pass, so nothing keeps entries for absent edges: their
    gradient is never asked for, and weight decay and momentum cannot reach them. Memory and work are those of
    a dense (targets, sources). As 0 times infinity is not a number, an input that is not finite reaches every
    target, with or without an edge.

    Attributes:
        place: (edges,) int64, where in the flattened matrix every edge is.
    """

    place: Tensor

    def __init__(
        self,
        source: np.ndarray,
        target: np.ndarray,
        shape: tuple[int, int],
        *,
        trainable: bool = True,
        weighted: bool = True,
        units_first: bool = False,
    ) -> None:
        """Work out the places of the edges; `hold_edges` says what else it is given.

        Args:
            units_first: whether the result is stored as the sparse layers beside it compute.

        Raises:
            ValueError: as `check_edges`.
        """
        super().__init__()
        self.units_first = units_first
        source, target = np.asarray(source), np.asarray(target)
        check_edges(source, target, shape)
        place = target.astype(np.int64) * shape[1] + source.astype(np.int64)
        self.hold_edges(source, target, shape, trainable, weighted, place=place)

    def matrix(self, weight: Tensor) -> Tensor:
        """Return the dense (targets, sources) that has `weight` at the edges and zeros elsewhere."""
        empty = weight.new_zeros(self.n_target * self.n_source)
        return empty.scatter(0, self.place, weight).view(self.n_target, self.n_source)

    def forward(self, x: Tensor, onto: Tensor | None = None, weight: Tensor | None = None) -> Tensor:
        """Map (batch, sources) to (batch, targets); a target without edges gets zero."""
        weight = self.weight if weight is None else weight
        dtype = self.computing_dtype(x, weight)
        # Autocast and some matrix products of CPUs would round in between.
        sums = dtype if x.device.type != "cpu" else torch.promote_types(dtype, torch.float32)
        weight = x.new_ones(self.n_edges) if weight is None else weight.to(dtype)
        onto = None if onto is None else onto.to(sums)
        with torch.autocast(x.device.type, enabled=False):
            matrix = self.matrix(weight.to(sums))
            return product_onto(x.to(dtype).to(sums), matrix, onto, self.units_first).to(dtype)
