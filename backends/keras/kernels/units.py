"""What the units of a model's inputs and layers are, saved with the weights."""

import numpy as np

from ...common.kernels.digests import check_digests, digest_of
from .same_shape import SameShape


class Units(SameShape):
    """Passes on what it is given; weights that were saved where units are other ones are refused.

    Args:
        digests: a SHA-256 in hexadecimal by the name of an input or a layer: its shape, the names of its
            units and which bias each has; or, by connection, of edges that are divided among several layers.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if weights are loaded that were saved with another digest. Weights without any are taken.
    """

    def __init__(self, digests, **kwargs):
        super().__init__(**kwargs)
        self.digests = dict(digests)

    def call(self, x):
        """The same."""
        return x

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "digests": dict(self.digests)}

    def arrays(self):
        """The digests as arrays, by the names that they have in every target."""
        return {f"{name}.digest": digest_of(digest) for name, digest in self.digests.items()}

    def save_own_variables(self, store):
        """Saves the digests."""
        for name, digest in self.arrays().items():
            store[name] = digest

    def load_own_variables(self, store):
        """Compares the digests."""
        saved = list(store.keys())  # of a file or a dict
        check_digests({name: np.asarray(store[name]) for name in saved}, self.arrays())
