"""A model that computes its own loss, of more than an output and a target each."""

from types import SimpleNamespace
from typing import Any

import keras
import numpy as np

from .batched_model import BatchedModel, sizes_behind


class KeptForLoss(keras.layers.Layer):
    """Passes on the first of its inputs, and keeps the others until the loss has read them.

    Keras gives a loss what the model returns; a loss may read other layers, and these are in the model
    because this layer reads them.

    Args:
        names: what the inputs after the first are called.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, names, **kwargs):
        super().__init__(**kwargs)
        self.names = tuple(names)
        self.kept = SimpleNamespace(values={})  # out of sight for what looks for variables

    def call(self, inputs):
        """The first input."""
        output, *others = inputs
        self.kept.values = dict(zip(self.names, others, strict=True))
        return output

    def compute_output_spec(self, inputs):
        """That of the first input."""
        return keras.KerasTensor(inputs[0].shape, dtype=inputs[0].dtype)

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "names": list(self.names)}


class ModelWithLoss(BatchedModel):
    """A functional model with a loss of its own, unless `compile` is given another.

    A model derives from it. `loss_by_sample` is a function of the layers, inputs and targets that are called
    `reads`, and gives one value a sample, (*batch,); `targets` are the targets among them.
    """

    reads: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    loss_by_sample: Any = None

    def call(self, inputs, training=None, mask=None, **kwargs):
        """Outputs as those of `BatchedModel`; layers that only the loss reads are kept for it."""
        outputs = super().call(inputs, training=training, mask=mask, **kwargs)
        arrays, batch = self._given(inputs)
        for layer in self._keepers() if len(batch) != 1 else ():
            sizes: Any = keras.ops.shape(arrays[0])
            before = sizes[: len(batch)]
            for name, value in layer.kept.values.items():
                layer.kept.values[name] = keras.ops.reshape(value, (*before, *sizes_behind(value, 1)))
        return outputs

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss with penalties, a number. Layers are those of the last call.

        `y` is a dict of the targets by name, a list in the order of `targets`, or the one target itself.
        `sample_weight` is (*batch,), a weight a sample; the mean over the batch is that of `keras.losses`.

        Raises:
            ValueError: if targets are missing, if arrays have other shapes, or if the weights of a sample
                differ from target to target.
        """
        if self.loss is not None:
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        each = self.loss_by_sample(*self.read_by_loss(x, y, y_pred))
        # The losses are those of samples already: what Keras does with them and their weights is left to do.
        total = MeanOfSamples()(each, each, one_weight(sample_weight))
        return total + super().compute_loss() if self.losses else total

    def read_by_loss(self, x: Any, y: Any, y_pred: Any) -> list[Any]:
        """What the loss reads: inputs, targets and outputs as given, and other layers of the last call."""
        inputs, _ = self._given(x)
        values = dict(zip((tensor.name for tensor in self.inputs), inputs, strict=True))
        values |= zip(self.output_names, keras.tree.flatten(y_pred), strict=True)
        for layer in self._keepers():
            values |= layer.kept.values
        values |= self._targets(y)
        dtype = keras.config.floatx()
        return [keras.ops.convert_to_tensor(values[name], dtype) for name in self.reads]

    def train_step(self, *arguments):
        """As that of `keras.Model`; nothing of it is kept."""
        return self._forgetting(super().train_step, arguments)

    def test_step(self, *arguments):
        """As that of `keras.Model`; nothing of it is kept."""
        return self._forgetting(super().test_step, arguments)

    def predict_step(self, *arguments):
        """As that of `keras.Model`; nothing of it is kept."""
        return self._forgetting(super().predict_step, arguments)

    def _forgetting(self, step, arguments):
        try:
            return step(*arguments)
        finally:
            for layer in self._keepers():
                layer.kept.values = {}

    def _keepers(self):
        return [layer for layer in self.layers if isinstance(layer, KeptForLoss)]

    def _targets(self, y: Any) -> dict[str, Any]:
        """The targets by name."""
        names = self.targets
        given: Any = y
        if isinstance(given, dict):
            missing = [name for name in names if name not in given]
            given = [given[name] for name in names if name in given]
        else:
            given = [] if given is None else keras.tree.flatten(given)
            missing = names[len(given) :]
        if missing or len(given) > len(names):
            wanted = ", ".join(names) or "no targets"
            raise ValueError(f"The loss reads {wanted}, but {len(given)} are given.")
        return dict(zip(names, given, strict=True))


def one_weight(sample_weight: Any) -> Any:
    """The weights of samples: `fit` gives the same ones for every target.

    In a function that is being traced, it is not known what they are: there, other ones make the loss NaN.

    Raises:
        ValueError: if weights are known, and differ from target to target.
    """
    first, *others = keras.tree.flatten(sample_weight) or [None]
    for other in others:
        same = first == other
        try:
            known = np.asarray(same)
        except (NotImplementedError, TypeError, RuntimeError):
            first = keras.ops.where(same, first, float("nan"))
        else:
            if not known.all():
                raise ValueError("A sample's `sample_weight` must be the same for all targets.")
    return first


class MeanOfSamples(keras.losses.Loss):
    """The mean of values that are given, weighted by Keras as it weighs samples."""

    def call(self, y_true, y_pred):
        """The values."""
        return y_pred
