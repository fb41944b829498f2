"""Names that a spec cannot use, whichever targets are asked for: it should suit all of them.

Inputs, targets, layers and connections become names in generated code, where they stay as they are: what is
called the same there and is ours gets an underscore (`backends/source/quote.py`). They stay clear only of
what is not ours to rename, or what users of the code call. Params, axes and sets of edges do not become
names, and stay clear only of words that the language itself looks up where they could stand.
"""

from __future__ import annotations

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

# The methods of a generated PyTorch model beside those: what its users call.
OWN = frozenset(["layers", "load_arrays", "loss", "to_arrays"])
# Those of a network that runs over time, of which nothing that is an attribute can be called so.
OVER_TIME = frozenset(["initial_state", "run", "step"])

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

RESERVED = MODULE | OWN | BUILTINS

# What stands for itself where a number could stand: `weight = none`, `bias(off)`, `weight = 1 / fan_in`.
NUMBER_WORDS = frozenset(["none", "off", "true", "false", "fan_in", "fan_out"])

_IN_CODE = frozenset(["input", "target", "layer", "connection", "function", "shared weight"])

# What layers can have that is no function, and words that are in all expressions.
OPERATIONS = frozenset(
    [
        *("batch_norm", "bias", "dropout", "layer_norm", "log_softmax", "prelu", "rms_norm", "scale"),
        *("softmax", "view"),
    ]
)
# What reads an earlier step.
BEFORE = "before"
WORDS_OF_VALUES = frozenset(
    [
        BEFORE,
        *("abs", "atan", "atanh", "cos", "cosh", "erf", "exp", "expm1", "floor", "log", "log1p"),
        *(
            "log_sigmoid",
            "max",
            "min",
            "round",
            "sigmoid",
            "sign",
            "sin",
            "sinh",
            "softplus",
            "sqrt",
            "stop",
            "tan",
            "tanh",
            "where",
        ),
    ]
)


def refusal(name: str, kind: str, calls: Collection[str]) -> str | None:
    """Why something of this kind, `layer` say, cannot bear a name; None if it can.

    `calls` are what is called where the names of sets of edges, or of shared weights, stand: the rules, since
    `connect a -> b : all` never means a set, and the functions in keys.
    """
    if kind == "edge set":
        return "it is a rule for sets of edges" if name in calls else None
    if kind not in _IN_CODE:
        return "it is a word of the language" if name in NUMBER_WORDS else None
    if kind == "shared weight" and name in NUMBER_WORDS:
        return "it is a word of the language"
    if kind == "shared weight" and name in calls:
        return "it is a function of numbers"
    if kind == "function" and name in OPERATIONS:
        return "it is an operation of layers"
    if kind == "function" and name in WORDS_OF_VALUES:
        return "it is a function of the language"
    if keyword.iskeyword(name):
        return "it is a keyword of Python"
    if name in MODULE:
        return "every PyTorch module has an attribute of that name"
    if name in OWN:
        return "generated models have a method of that name"
    return "it is a name of Python's own that generated code may use" if name in BUILTINS else None


def argument_refusal(name: str) -> str | None:
    """Why an argument of a function cannot bear a name, which is a parameter in code; None if it can."""
    if keyword.iskeyword(name):
        return "it is a keyword of Python"
    return "it is a number of the language" if name == "pi" else None


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
