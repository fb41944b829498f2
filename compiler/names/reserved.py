"""Names that a spec cannot use, whichever targets are asked for: it should suit all of them.

Inputs, targets, layers and connections become names in generated code, so they stay clear of what is there
already. Params, axes and sets of edges do not, and stay clear only of words that the language itself looks up
where they could stand. Tests hold these lists against torch, the kernels and what the targets write.
"""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Collection

# What `torch.nn.Module` has: a layer is an attribute of the model.
MODULE = frozenset(
    [
        "T_destination",
        "add_module",
        "apply",
        "bfloat16",
        "buffers",
        "call_super_init",
        "children",
        "compile",
        "cpu",
        "cuda",
        "double",
        "dump_patches",
        "eval",
        "extra_repr",
        "float",
        "forward",
        "get_buffer",
        "get_extra_state",
        "get_parameter",
        "get_submodule",
        "half",
        "ipu",
        "load_state_dict",
        "modules",
        "mtia",
        "named_buffers",
        "named_children",
        "named_modules",
        "named_parameters",
        "parameters",
        "register_backward_hook",
        "register_buffer",
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
        "register_load_state_dict_post_hook",
        "register_load_state_dict_pre_hook",
        "register_module",
        "register_parameter",
        "register_state_dict_post_hook",
        "register_state_dict_pre_hook",
        "requires_grad_",
        "set_extra_state",
        "set_submodule",
        "share_memory",
        "state_dict",
        "to",
        "to_empty",
        "train",
        "training",
        "type",
        "xpu",
        "zero_grad",
    ]
)

# What generated modules define, import or call something, in any target.
GENERATED = frozenset(
    [
        "Any",
        "ClassVar",
        "F",
        "Iterable",
        "Mapping",
        "MappingProxyType",
        "NamedTuple",
        "Path",
        "Sequence",
        "SimpleNamespace",
        "Tensor",
        "arrays",
        "backward",
        "base64",
        "batch",
        "build_model",
        "cache",
        "cls",
        "device",
        "digests",
        "dtype",
        "edges",
        "forward",
        "forward_ad",
        "g",
        "gradients",
        "hashlib",
        "in_order",
        "init",
        "inputs",
        "keras",
        "layers",
        "load_arrays",
        "loss",
        "losses",
        "math",
        "model",
        "nn",
        "np",
        "p",
        "pairwise",
        "parameters",
        "random",
        "rng",
        "seed",
        "self",
        "start_values",
        "stored",
        "super",
        "to_arrays",
        "torch",
        "total",
        "training",
        "unit_digests",
        "unit_names",
        "v",
        "values",
        "variables",
        "warnings",
        "weakref",
        "wiring",
        "zipfile",
        "zlib",
    ]
)

# Definitions of `backends/*/kernels`, which are copied into generated modules.
KERNELS = frozenset(
    [
        "AlongEdges",
        "BandOrder",
        "BandProjection",
        "BatchNorm",
        "BatchedModel",
        "Bias",
        "BlockDot",
        "BlockPlan",
        "BlockProjection",
        "BlockSum",
        "DenseProjection",
        "DenseSum",
        "Diagonal",
        "DiagonalProjection",
        "EdgeDot",
        "EdgeProjection",
        "EdgeSum",
        "EdgeTables",
        "EdgeWeights",
        "Edges",
        "GatherPlan",
        "Gelu",
        "GeluTanh",
        "IndexArrays",
        "LateBiasLayer",
        "Layer",
        "LeakyRectifier",
        "ListedEdges",
        "MaskedProjection",
        "MatrixPlaces",
        "Penalty",
        "ReverseEdgeSum",
        "Scale",
        "Softmax",
        "TransposedCopy",
        "Units",
        "UnitsFirstBatchNorm1d",
        "UnitsFirstLayerNorm",
        "View",
        "WithTables",
        "added_onto",
        "archive_digest",
        "array_hash",
        "array_of",
        "arrays_of",
        "assign_arrays",
        "batch_first",
        "batch_norm",
        "batch_norm_gradient",
        "batch_of",
        "batched",
        "block_dot",
        "block_edges",
        "block_parts",
        "block_products",
        "block_reversed",
        "block_rows",
        "block_sum",
        "block_tile_size",
        "block_tiles",
        "block_view",
        "cached_stored",
        "check_codes",
        "check_compared",
        "check_digests",
        "check_edges",
        "check_shape",
        "checked",
        "class_codes",
        "coded",
        "contiguous_rows",
        "cross_entropy",
        "cross_entropy_gradient",
        "crossed_edges",
        "digest_of",
        "dropout_mask",
        "edge_digest",
        "edges_of",
        "ends_of",
        "every_pair",
        "extended",
        "flat",
        "frozen",
        "gathered",
        "gelu",
        "gelu_derivative",
        "gelu_tanh",
        "gelu_tanh_derivative",
        "hold_units",
        "in_forward_mode",
        "in_shape",
        "is_units_first",
        "joined",
        "layer_norm",
        "layer_norm_gradient",
        "load_into",
        "load_stored",
        "log_softmax",
        "mapped_sum",
        "names_of",
        "normal",
        "normal_cdf",
        "one_by_one",
        "places_of",
        "plain_block_sum",
        "plain_edge_sum",
        "product_onto",
        "project",
        "project_back",
        "project_weight",
        "read_only",
        "rebatched",
        "refuse_other_edges",
        "refuse_other_units",
        "returned",
        "row_products",
        "same_index",
        "same_sizes",
        "save_units",
        "segments",
        "shifted_edges",
        "sigmoid",
        "softmax",
        "softmax_gradient",
        "spread",
        "sum_rows",
        "summed_rows",
        "to_batch_first",
        "to_units_first",
        "transposed_copy",
        "unbatched",
        "unflat",
        "uniform",
        "uniform_by_fan_in",
        "unit_fan_in",
        "units_first",
        "units_in_table",
    ]
)

# Functions and types of Python that generated code calls, or may come to call.
BUILTINS = frozenset(
    [
        "abs",
        "bool",
        "dict",
        "enumerate",
        "float",
        "int",
        "isinstance",
        "len",
        "list",
        "max",
        "min",
        "object",
        "print",
        "range",
        "set",
        "sorted",
        "str",
        "sum",
        "super",
        "tuple",
        "type",
        "zip",
    ]
)

RESERVED = MODULE | GENERATED | KERNELS | BUILTINS

# Classes that generated PyTorch code has or uses besides the model's own, and those of Python itself.
CLASSES = frozenset(name for name in dir(builtins) if name[0].isupper()) | frozenset(
    [
        "Any",
        "BandProjection",
        "BlockDot",
        "BlockProjection",
        "BlockSum",
        "DenseProjection",
        "DenseSum",
        "DiagonalProjection",
        "EdgeDot",
        "EdgeProjection",
        "EdgeSum",
        "EdgeWeights",
        "Edges",
        "F",
        "Iterable",
        "LateBiasLayer",
        "Layer",
        "Mapping",
        "MaskedProjection",
        "NamedTuple",
        "Path",
        "ReverseEdgeSum",
        "Scale",
        "Sequence",
        "Softmax",
        "Tensor",
        "TransposedCopy",
        "UnitsFirstBatchNorm1d",
        "UnitsFirstLayerNorm",
        "View",
        "WithTables",
    ]
)

# What stands for itself where a number could stand: `weight = none`, `bias(off)`, `weight = 1 / fan_in`.
NUMBER_WORDS = frozenset(["none", "off", "true", "false", "fan_in", "fan_out"])

_IN_CODE = frozenset(["input", "target", "layer", "connection"])


def refusal(name: str, kind: str, rules: Collection[str]) -> str | None:
    """Why something of this kind, `layer` say, cannot bear a name; None if it can.

    Sets of edges cannot be called as one of the `rules`: `connect a -> b : all` never means a set.
    """
    if kind == "edge set":
        return "it is a rule for sets of edges" if name in rules else None
    if kind not in _IN_CODE:
        return "it is a word of the language" if name in NUMBER_WORDS else None
    if keyword.iskeyword(name):
        return "it is a keyword of Python"
    if name in MODULE:
        return "every PyTorch module has an attribute of that name"
    if name in BUILTINS:
        return "it is a name of Python's own that generated code may use"
    return "generated code calls something else that" if name in RESERVED else None


def model_refusal(name: str) -> str | None:
    """Why a model cannot bear a name, which is a part of the names of its files; None if it can."""
    if name == "nnspec":
        return "files of that name hold the kernels that modules import"
    return "it is a keyword of Python" if keyword.iskeyword(name) else None


def is_name(text: str) -> bool:
    """Whether a text is a name as the language has them: letters of ASCII, digits and underscores."""
    return text.isascii() and text.isidentifier()


def class_name(name: str) -> str:
    """The class that a model becomes: `graph_mlp` is `GraphMlp`."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))
