"""The names of ours in a PyTorch module, and what its class is called beside them."""

from __future__ import annotations

import builtins
import keyword

from ...compiler.names import reserved
from .. import parts

VOCABULARY = parts.vocabulary(
    "torch",
    imports={
        "OrderedDict": "from collections import OrderedDict",
        "Any": "from typing import Any",
        "F": "import torch.nn.functional as F",
        "Tensor": "from torch import Tensor",
        "nn": "from torch import nn",
        "torch": "import torch",
    },
    defined=["start_values"],
    local=[
        *("_array_names", "batch", "digests", "self", "state", "total", "values"),
        *("before", "like", "steps", "_"),
        *("count", "every", "first", "once", "piece"),
    ],
)

# What kernels import besides.
IMPORTED = frozenset(["Any", "Callable", "Iterable", "Iterator", "MappingProxyType", "NamedTuple", "Path"])


def class_name(model: str) -> str:
    """The class that a model becomes: `GraphMlp` for `graph_mlp`, `TensorModel` for `tensor`."""
    name = reserved.class_name(model)
    ours = VOCABULARY.imports.keys() | VOCABULARY.kernels | IMPORTED
    taken = name in ours or hasattr(builtins, name) or keyword.iskeyword(name)
    return f"{name}Model" if taken else name
