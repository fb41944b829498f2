"""What Keras spells differently: tables from the catalogue's names, and from kernels, to source."""

from __future__ import annotations

from ...compiler.plan.kernels import KernelName
from ..parts import vocabulary
from ..source import Scope

# Activations that Keras knows by a name, and computes in every precision as the catalogue has them.
NAMED_ACTIVATIONS = {"softmax": "softmax", "log_softmax": "log_softmax"}
NAMED_FUNCTIONS = {
    "log_sigmoid": "log_sigmoid",
    "relu": "relu",
    "sigmoid": "sigmoid",
    "silu": "silu",
    "softplus": "softplus",
    "softsign": "softsign",
    "tanh": "tanh",
    "tanh_shrink": "tanh_shrink",
}

# A layer in the words of Keras, with the catalogue's names of parameters.
ACTIVATIONS: dict[str, str] = {
    name: f'keras.layers.Activation("{known}", name=own)' for name, known in NAMED_ACTIVATIONS.items()
}
NATIVE = {
    **{name: f'keras.layers.Activation("{known}", name=own)' for name, known in NAMED_FUNCTIONS.items()},
    "leaky_relu": "LeakyRectifier(slope, name=own)",
    "gelu": "Gelu(name=own)",
    "gelu_tanh": "GeluTanh(name=own)",
}

# Those that mix units along other axes than the last.
MIXING: dict[str, str] = {
    "softmax": "keras.layers.Softmax(axis, name=own)",
    "log_softmax": "LogSoftmax(axis, name=own)",
}

# The layer that computes a connection, by the kernel that is planned for it.
PROJECTIONS: dict[KernelName, str] = {
    "dense": "keras.layers.Dense(units, **within, **penalty, **last)",
    "diagonal": "Diagonal(units, **penalty, **last)",
    "embedding": "CodeEmbedding((units, sources), classes, source, **penalty, **last)",
    "band": "BandProjection((units, sources), *edges, **weighted, **penalty, **last)",
    "blocks": "BlockProjection((units, sources), *edges, **weighted, **penalty, **last)",
    "masked": "MaskedProjection((units, sources), *edges, **weighted, **penalty, **last)",
    "edges": "EdgeProjection((units, sources), *edges, **weighted, **penalty, **last)",
    "convolution": "ConvolutionProjection(windows, *edges, **last)",
    "pool": "layer((units, sources), *edges, **empty, **weighted, **penalty, **last)",
    "window": "layer(windows, *edges, **last)",
}

# The layer that pools otherwise than by a sum.
POOLS = {
    "mean": "EdgeMean",
    "max": "EdgeMax",
    "min": "EdgeMin",
    "product": "EdgeProduct",
    "logsumexp": "EdgeLogSumExp",
}

# Those that pool windows on a grid.
WINDOW_POOLS = {"mean": "WindowMean", "max": "WindowMax", "min": "WindowMin"}

# The same where the weight is made elsewhere, and is given with what is read.
GIVEN: dict[KernelName, str] = {
    "dense": "DenseProduct(**last)",
    "diagonal": "DiagonalProduct(**last)",
    "embedding": "CodeEmbedding((units, sources), classes, source, given=True, **last)",
    "band": "BandProjection((units, sources), *edges, weighted=False, given=True, **last)",
    "blocks": "BlockProjection((units, sources), *edges, weighted=False, given=True, **last)",
    "masked": "MaskedProjection((units, sources), *edges, weighted=False, given=True, **last)",
    "edges": "EdgeProjection((units, sources), *edges, weighted=False, given=True, **last)",
    "convolution": "ConvolutionProjection(windows, *edges, **last)",
    "pool": "layer((units, sources), *edges, **empty, weighted=False, given=True, **last)",
}

# A value per unit, or code, of a prediction `y` and a target `t`; the mean over what is left comes after.
LOSSES: dict[str, str] = {
    "cross_entropy": "keras.ops.sparse_categorical_crossentropy(t, y, from_logits=True)",
    "soft_cross_entropy": "soft_cross_entropy(t, y, smoothing=smoothing, weights=weights)",
    "cosine": "cosine(y, t, axes)",
    "binary_cross_entropy": "keras.ops.binary_crossentropy(t, y, from_logits=True)",
    "mse": "keras.ops.square(y - t)",
    "squared_error": "keras.ops.square(y - t)",
    "mae": "keras.ops.abs(y - t)",
}

# How a loss by unit becomes one by sample; Keras takes the mean over samples.
POOLED = {"squared_error": "sum"}
# Losses that are by sample already.
OF_SAMPLES = frozenset(["cosine"])

# Keywords of `Penalty`.
PENALTIES = {"l1": "l1", "l2": "l2"}

NORMS: dict[str, str] = {
    "batch_norm": "BatchNorm(units, eps=eps, momentum=momentum, name=own)",
    "layer_norm": "keras.layers.LayerNormalization(epsilon=eps, name=own)",
    # `keras.layers.RMSNormalization` is not in every version that this code runs with.
    "rms_norm": "GroupedNorm((units,), (1,), eps=eps, centred=False, name=own)",
}

# Norms of units that are taken together by their place in the layer.
GROUPED_NORMS: dict[str, str] = {
    "batch_norm": "GroupedBatchNorm(entries, shape, over, eps=eps, momentum=momentum, name=own)",
    "layer_norm": "GroupedNorm(shape, over, eps=eps, name=own)",
    "rms_norm": "GroupedNorm(shape, over, eps=eps, centred=False, name=own)",
}

# The kernels that a saved model looks up by their registered names, as it does the loss functions.
REGISTERED = frozenset(
    [
        *("AddShared", "BandProjection", "BatchNorm", "BatchedModel", "Before", "Beside", "Bias"),
        "BlockProjection",
        *("CodeEmbedding", "Combined", "ConvolutionProjection", "Cut", "Delayed", "DenseProduct"),
        *("DenseSum", "Diagonal", "DiagonalProduct", "EdgeProjection", "Elementwise", "EveryStep", "Folded"),
        *("Gelu", "GeluTanh", "GroupedBatchNorm", "GroupedDropout", "GroupedNorm", "KeptForLoss"),
        *("LastStep", "LastSteps", "LeakyRectifier", "LogSoftmax", "Loop", "MaskedProjection"),
        *("Ones", "OverTime", "Penalty", "Prelu", "Scale", "SharedWeight", "Spread"),
        *("Times", "Turned", "Units"),
        *POOLS.values(),
        *WINDOW_POOLS.values(),
    ]
)

VOCABULARY = vocabulary(
    "keras",
    imports={"keras": "import keras", "random": "import random", "Any": "from typing import Any"},
    defined=[
        "Network",
        "build_model",
        "digests",
        "initial_state",
        "load_arrays",
        "loss",
        "losses",
        "start_values",
        "to_arrays",
        "variables",
        "with_state",
    ],
    local=[
        *("codes", "digests", "each", "layer", "logits", "model", "reads", "seed", "targets", "total"),
        *("y_pred", "y_true"),
    ],
)
# Names of the spec are nothing in code but locals of `build_model`.
MODULE = Scope(VOCABULARY, frozenset())
