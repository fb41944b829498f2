"""Names of ours give way: what a spec calls its parts changes nothing in what a PyTorch module computes."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nnspec.backends.kernels import closure, names_of
from nnspec.backends.torch.names import IMPORTED, VOCABULARY, class_name
from nnspec.compiler import compile_spec
from nnspec.dsl.tokens import KEYWORDS

# What nothing can be called: the methods that are documented, PyTorch's, and Python's own words.
METHODS = {"forward", "layers", "loss", "to_arrays", "load_arrays"}
WORDS = {word.lower() for word in KEYWORDS}
REFUSED = {*METHODS, *WORDS, *dir(nn.Module()), *dir(builtins), *keyword.kwlist}
OURS = {*VOCABULARY.imports, *VOCABULARY.kernels, *VOCABULARY.defined, *VOCABULARY.local, "unit_digests"}
NAMES = sorted(name for name in OURS - REFUSED if not name.startswith("_"))
STEPS = [
    "tanh",
    "batch_norm, tanh",
    "softmax",
    "bias(off), tanh",
    "bias(per = 0), relu, layer_norm",
    "scale(2), tanh",
]
STEPS_OVER_TIME = [step.replace("batch_norm", "layer_norm") for step in STEPS]
EDGES = [
    "{ (i, j) -> (k, l) : (3*i + 5*j + k + 2*l) % 3 == 0 }",
    "all",
    "all with weight = none",
    "all with trainable = false",
    "one_to_one with weight = none",
    "{ (i, j) -> (k, l) : i + j <= k + l }",
]


@pytest.fixture(autouse=True)
def any_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that are refused today for the sake of other targets."""
    monkeypatch.setattr("nnspec.compiler.names.names.refusal", lambda *given: None)
    monkeypatch.setattr("nnspec.compiler.resolve.declarations.CLASSES", frozenset(), raising=False)
    monkeypatch.setattr("nnspec.compiler.resolve.timing.OVER_TIME", frozenset[str]())


def network(model: str, names: list[str], over_time: bool) -> str:
    """A chain of layers with paths across it, each name a layer's or a connection's.

    Over time some layers hold what they were before, and some are computed once.
    """
    first, second, codes, wanted, *names = names
    time, steps = (" over time", STEPS_OVER_TIME) if over_time else ("", STEPS)
    lines = [f"model {model}", f"input {first}[2, 4]{time}", f"input {second}[8]"]
    lines += [f"target {codes}[2]: class[4]{time}", f"target {wanted}[2, 4]"]
    half = len(names) // 2
    layers, connections = names[:half], names[half : 2 * half]
    for at, (layer, connection) in enumerate(zip(layers, connections, strict=True)):
        before = layers[at - 1] if at else first
        step = steps[at % len(steps)] if at < half - 1 else "tanh"  # which is no softmax before the loss
        lines.append(f"layer {layer}[2, 4] : {step}")
        lines.append(f"connect {before} -> {layer} as {connection} : {EDGES[at % 5 if at % 7 else 5]}")
        if at % 4 == 3:
            lines.append(
                f"connect {second} -> {layer} as extra_{at} : {{ i -> (k, l) : (i + k + l) % 4 == 0 }}"
            )
        if over_time and at % 6 == 5:
            lines.append(f"connect {layer} -> {layers[at - 2]} as back_{at} : all with delay = {1 + at % 2}")
    y, z = layers[-1], layers[-2]
    penalty = next(c for at, c in enumerate(connections) if at % 7 == 0)
    lines.append(f"output {y}{time}")
    lines.append(f"output {z}, {layers[3]}, {layers[4]}")
    lines.append(f"loss cross_entropy({y}, {codes}) + mse({z}, {wanted}) + 0.1 * l2({penalty})")
    return "\n".join(lines)


@pytest.mark.parametrize("kernel", [pytest.param(None, marks=pytest.mark.slow), "edges"])
@pytest.mark.parametrize("turn", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "over_time",
    # What does not run over time, `tests/drawn` gives names of ours, too.
    [pytest.param(False, marks=pytest.mark.slow), True],
    ids=["", "over time"],
)
def test_any_name_of_ours_is_a_name_for_the_spec(
    torch_module: Callable[[str, str | None], ModuleType], kernel: str | None, turn: int, over_time: bool
) -> None:
    """Forward, loss and gradients are those of the network with other names; layers swap with connections."""
    half = len(NAMES) // 2 * turn
    names = [*NAMES[half:], *NAMES[:half]]
    plain = {name: f"plain_{at}" for at, name in enumerate(names)}
    found = torch_module(network(f"hostile_{turn}", names, over_time), kernel)
    wanted = torch_module(network(f"plain_{turn}", [*plain.values()], over_time), kernel)
    ours, theirs = (m.double() for m in (model_of(found), model_of(wanted)))
    ours.load_arrays({back(name, plain): array for name, array in theirs.to_arrays().items()})
    torch.manual_seed(0)
    steps = (3,) if over_time else ()
    inputs = torch.randn(5, *steps, 2, 4).double(), torch.randn(5, 8).double()
    codes, target = torch.randint(4, (5, *steps, 2)), torch.randn(5, 2, 4).double()
    results = []
    for model in (ours, theirs):
        y, z, *others = model(*inputs)
        model.loss(y, z, codes, target).backward()
        assert len(model.layers(*inputs)) == len(names[4:]) // 2
        grads = {name: parameter.grad for name, parameter in model.named_parameters()}
        results.append(({f"out_{at}": value for at, value in enumerate((y, z, *others))}, grads))
    (values, grads), (wanted_values, wanted_grads) = results
    renamed = {back(name, plain): grad for name, grad in wanted_grads.items()}
    torch.testing.assert_close(values, wanted_values)
    assert grads.keys() == renamed.keys()
    for name, grad in grads.items():
        torch.testing.assert_close(grad, renamed[name], msg=name)


def back(parameter: str, plain: dict[str, str]) -> str:
    """A parameter's name in the network whose names are ours."""
    part, dot, rest = parameter.partition(".")
    return {new: old for old, new in plain.items()}.get(part, part) + dot + rest


def model_of(module: ModuleType) -> nn.Module:
    (found,) = (
        value for value in vars(module).values() if isinstance(value, type) and hasattr(value, "to_arrays")
    )
    return found()


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        *(("graph_mlp", "GraphMlp"), ("tensor", "TensorModel"), ("f", "FModel"), ("mapping", "MappingModel")),
        *(
            ("edge_projection", "EdgeProjectionModel"),
            ("none", "NoneModel"),
            ("value_error", "ValueErrorModel"),
        ),
    ],
)
def test_a_class_has_a_name_that_its_module_has_not(model: str, expected: str, tmp_path: Path) -> None:
    assert class_name(model) == expected
    (tmp_path / f"{model}.nnspec").write_text(f"model {model}\ninput x[3]\nlayer y[3]\nconnect x -> y : all")
    text = compile_spec(tmp_path / f"{model}.nnspec", ["torch"]).files[f"{model}_torch.py"].decode()
    namespace: dict[str, object] = {"__name__": model, "__file__": "none"}
    exec(compile(text, model, "exec"), namespace)
    made = namespace[expected]
    assert isinstance(made, type)
    assert isinstance(made()(torch.zeros(2, 3)), Tensor)


def test_what_kernels_import_is_known() -> None:
    imported = {name for d in closure("torch", set(names_of("torch"))) for name, _ in d.imports}
    assert {name for name in imported if name[0].isupper()} <= {*IMPORTED, *VOCABULARY.imports}


def test_start_values_are_by_name_alone(torch_module: Callable[[str, str | None], ModuleType]) -> None:
    """An alias at the end of a module is no other start value."""
    module = torch_module(
        "model small\ninput flat[3]\nlayer np[3]\nconnect flat -> np : all\noutput np", None
    )
    assert [*module.start_values(0)] == ["flat_np.weight", "np.bias"]
    assert np.array_equal(model_of(module).to_arrays()["np.bias"], np.zeros(3, np.float32))
