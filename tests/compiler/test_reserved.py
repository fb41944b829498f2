"""The lists of names that a spec cannot use, held against torch, the kernels and what the targets write."""

from __future__ import annotations

import ast
import importlib.util
import keyword
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from nnspec.compiler import compile_spec
from nnspec.compiler.names.reserved import (
    MODULE,
    NUMBER_WORDS,
    OVER_TIME,
    OWN,
    RESERVED,
    class_name,
    refusal,
)
from nnspec.compiler.pipeline import understand
from nnspec.compiler.sets.rules import RULES
from nnspec.dsl.diagnostics import SpecError

OWN_MODULE = re.compile(r"(?!nnspec_)\w+_torch\.py")
ROOT = Path(__file__).parent.parent.parent
SPECS = [*sorted((ROOT / "tests" / "specs").glob("*.nnspec")), ROOT / "examples" / "autoencoder.nnspec"]


def compiled(folder: Path, text: str, name: str = "spec") -> dict[str, bytes]:
    path = folder / f"{name}.nnspec"
    path.write_text(text)
    return dict(compile_spec(path).files)


def found(folder: Path, text: str) -> list[str]:
    """The codes of a spec's errors."""
    try:
        compiled(folder, text)
    except SpecError as error:
        return [diagnostic.code.code for diagnostic in error.diagnostics]
    return []


# ------------------------------------------------------------------------------------- what is generated


def identifiers(node: ast.AST) -> set[str]:
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    names |= {part.arg for part in ast.walk(node) if isinstance(part, ast.arg)}
    return {name for name in names if not name.startswith("__")}


def bound(node: ast.AST) -> set[str]:
    stored = {p.id for p in ast.walk(node) if isinstance(p, ast.Name) and isinstance(p.ctx, ast.Store)}
    return stored | {part.arg for part in ast.walk(node) if isinstance(part, ast.arg)}


def top_level(module: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= bound(node)
    return names - {"annotations"}


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
def test_methods_of_a_pytorch_model_are_reserved(spec: Path) -> None:
    files = compile_spec(spec, ["torch"], kernels="beside").files
    (module,) = (
        ast.parse(content)
        for name, content in files.items()
        if name.endswith("_torch.py") and "nnspec" not in name
    )
    (model,) = (n for n in module.body if isinstance(n, ast.ClassDef))
    methods = {n.name for n in model.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")}
    assert methods <= MODULE | OWN | (OVER_TIME if understand(spec).graph.has_time else set())


def test_generated_tests_hold_names_as_strings_alone(tmp_path: Path) -> None:
    """So that names which only the tests use, `ends` say, can be those of layers."""
    text = """model own
        input spec_a[3]
        target spec_t[3]
        layer spec_b[3] : batch_norm, tanh, dropout(0.5)
        layer spec_c[3]
        connect spec_a -> spec_b as spec_d : { i -> j : i <= j }
        connect spec_b -> spec_c : all
        loss mse(spec_c, spec_t) + l2(spec_d)"""
    module = ast.parse(compiled(tmp_path, text)["test_own.py"])
    assert not {name for name in identifiers(module) | top_level(module) if name.startswith("spec_")}


# ------------------------------------------------------------------------------------- what the lists hold


def test_module_is_what_torch_has() -> None:
    import torch

    public = {name for name in dir(torch.nn.Module()) if not name.startswith("_")}
    assert public <= MODULE


def test_words_are_those_of_the_language() -> None:
    assert NUMBER_WORDS.isdisjoint(keyword.kwlist)


def test_lists_are_distinct_identifiers() -> None:
    assert all(name.isidentifier() and name.isascii() for name in RESERVED)
    assert not MODULE & OWN


@pytest.mark.parametrize("kind", ["input", "target", "layer", "connection"])
def test_what_is_in_generated_code_keeps_clear_of_it(kind: str) -> None:
    assert all(refusal(name, kind, RULES) for name in RESERVED | {*keyword.kwlist})
    assert refusal("hidden", kind, RULES) is None
    assert refusal("none", kind, RULES) is None


@pytest.mark.parametrize("kind", ["param", "axis", "edge set"])
def test_what_is_not_in_generated_code_is_free(kind: str) -> None:
    for name in ("p", "seed", "values", "lambda", "forward", "softmax"):
        assert refusal(name, kind, RULES) is None
    assert refusal("none" if kind != "edge set" else "all", kind, RULES)


# ---------------------------------------------------------------------------------------- names of models


@pytest.mark.parametrize("name", ["lambda", "None", "_m", "a__b", "nnspec"])
def test_models_that_are_refused(name: str, tmp_path: Path) -> None:
    expected = {"_m": ["E206"], "a__b": ["E206"]}
    text = f"model {name}\ninput x[3]\nlayer y[3]\nconnect x -> y : all"
    assert found(tmp_path, text) == expected.get(name, ["E205"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tensor", "TensorModel"),
        ("edge_projection", "EdgeProjectionModel"),
        ("f", "FModel"),
        ("class_", "Class"),
    ],
)
def test_a_class_that_is_there_keeps_its_name(name: str, expected: str, tmp_path: Path) -> None:
    files = compiled(tmp_path, f"model {name}\ninput x[3]\nlayer y[3]\nconnect x -> y : all - one_to_one")
    assert expected in top_level(ast.parse(files[f"{name}_torch.py"]))


@pytest.mark.parametrize("name", ["keras", "torch", "numpy", "test", "m_", "m1", "T", "graph_2_mlp"])
def test_models_may_be_called_like_modules(name: str, tmp_path: Path) -> None:
    files = compiled(tmp_path, f"model {name}\ninput x[3]\nlayer y[3]\nconnect x -> y : all")
    tree = ast.parse(files[f"{name}_torch.py"])
    assert class_name(name) in top_level(tree)


@pytest.mark.parametrize(
    ("name", "expected"), [("graph_mlp", "GraphMlp"), ("m", "M"), ("m_", "M"), ("aB", "AB")]
)
def test_class_names(name: str, expected: str) -> None:
    assert class_name(name) == expected
    assert class_name(name).isidentifier()


# ---------------------------------------------------------------- names from outside, and names that are fine


@pytest.mark.parametrize("name", ["größe", "ﬁn", "x\u0301", "𝐱", "naïve", "κ"])  # noqa: RUF001
def test_names_are_ascii(name: str, tmp_path: Path) -> None:
    """Python takes `ﬁn` for `fin`; the language takes neither for the other."""
    text = f"model m\ninput x[3]\nlayer {name}[3]\nconnect x -> {name} : all"
    assert set(found(tmp_path, text)) & {"E106", "E101"}
    assert {"E106"} <= {*found(tmp_path, f"model {name}"), *found(tmp_path, text)}


@pytest.mark.parametrize("name", ['a\nimport os\n"""', "a\u2028b", "\x1b[31mred", "größe", "a'b\"c"])
def test_the_name_of_the_file_cannot_get_out_of_its_comment(name: str, tmp_path: Path) -> None:
    files = compiled(tmp_path, "model m\ninput x[3]\nlayer y[3]\nconnect x -> y : all", name)
    for file, content in files.items():
        first, second, *_ = content.decode().splitlines()
        assert first.startswith("# Generated by nnspec")
        assert second.startswith("# inputs sha256"), file
        assert first.isprintable()


ODD = ["x", "t", "d", "data", "sides", "ends", "codes", "each", "y_true", "name", "array", "bias", "weight"]
ODD += [
    "dropout",
    "kernel",
    "mean",
    "tanh",
    "relu",
    "match",
    "case",
    "log",
    "exp",
    "d_x",
    "d_",
    "h_",
    "h",
    "d_h",
]
ODD += [
    "h_sum",
    "h_input",
    "variable",
    "layer_",
    "connect_",
    "filter",
    "map",
    "id",
    "next",
    "hash",
    "mse",
    "l2",
]
# What generated code calls something itself.
ODD += [
    *("p", "v", "g", "total", "flat", "normal", "values", "check_stored", "restored", "stored_heat", "LIF"),
    *("np", "torch", "keras", "nn", "F", "Tensor", "seed", "stored", "softmax", "project", "self", "batch"),
    *("rng", "parameters_", "params", "start_values", "build_model", "SimpleNamespace", "losses"),
]


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chain of layers with names that look as if generated code could trip over them."""
    folder = tmp_path_factory.mktemp("odd")
    lines = ["model odd", "input inputs_[3]", "input d_values[3]", "target targets_[3]"]
    for at, name in enumerate(ODD):
        operations = [
            "tanh",
            "batch_norm, tanh",
            "softmax",
            "dropout(0.1), scale(2)",
        ]
        lines.append(f"layer {name}[3] : {operations[at % 4]}")
        lines.append(f"connect {ODD[at - 1] if at else 'inputs_'} -> {name} as c{at} : {{ i -> j : i <= j }}")
    lines.append(f"connect d_values -> {ODD[-1]} as part : all")
    lines.append("connect inputs_ -> log as softmax_ : all")
    lines.append(f"output {ODD[-1]}, x, h")
    lines.append(
        f"loss mse({ODD[-1]}, targets_) + mae(h, targets_) + mse(x, targets_) + 0.1 * l2(log, softmax_)"
    )
    from nnspec.backends.emit import write

    path = folder / "odd.nnspec"
    path.write_text("\n".join(lines))
    write(compile_spec(path).files, folder)
    return folder


def test_odd_names_are_no_trouble(odd: Path) -> None:
    import torch

    numpy_module, torch_module = load(odd / "odd_numpy.py"), load(odd / "odd_torch.py")
    rng = np.random.default_rng(0)
    data = {name: rng.standard_normal((5, 3)) for name in ("inputs_", "d_values", "targets_")}
    parameters = {name: array.astype(float) for name, array in numpy_module.init(3).items()}
    numpy_loss, gradients = numpy_module.gradients(parameters, *data.values(), training=False)
    model: Any = torch_module.Odd(3).double().eval()
    tensors = {name: torch.tensor(array) for name, array in data.items()}
    outputs = model(tensors["inputs_"], tensors["d_values"])
    assert len(outputs) == 3
    # Predictions in the order of the terms: the last layer, h, x.
    torch_loss = model.loss(outputs[0], outputs[2], outputs[1], tensors["targets_"])
    torch_loss.backward()
    assert float(numpy_loss) == pytest.approx(float(torch_loss.detach()), rel=1e-12)
    for name, parameter in model.named_parameters():
        expected = np.zeros(parameter.shape) if parameter.grad is None else parameter.grad.numpy()
        np.testing.assert_allclose(gradients[name], expected, rtol=1e-9, atol=1e-12, err_msg=name)


def test_odd_names_are_no_trouble_to_keras(odd: Path) -> None:
    keras_module, numpy_module = load(odd / "odd_keras.py"), load(odd / "odd_numpy.py")
    rng = np.random.default_rng(0)
    x, z = rng.standard_normal((2, 5, 3)).astype(np.float32)
    model = keras_module.build_model(3)
    outputs = model([x, z])
    expected = numpy_module.forward(numpy_module.init(3), x, z)
    for output, value in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output.numpy(), value, rtol=1e-4, atol=1e-5)
