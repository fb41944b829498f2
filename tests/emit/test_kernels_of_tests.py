"""The kernels of tests are a module by itself, which any generated test file can import."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

from nnspec.backends.kernels import outlines
from nnspec.backends.parts import vocabulary
from nnspec.backends.source import Vocabulary
from nnspec.backends.tests.rules import VOCABULARY as OF_RULES
from nnspec.backends.tests.target import VOCABULARY as OF_TESTS
from nnspec.compiler import compile_spec

ROOT = Path(__file__).parents[2]
KERNELS = [
    p for part in ("common", "tests") for p in sorted((ROOT / "backends" / part).glob("kernels/[!_]*.py"))
]
# What looks at the module that a kernel stands in, which is another one where kernels are beside.
OWN_MODULE = {"globals", "eval", "exec"}


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.stem)
def test_a_kernel_knows_nothing_of_the_module_that_it_is_in(path: Path) -> None:
    used = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
    assert not {name for name in used if name in OWN_MODULE or name.startswith("__")}


def test_they_are_imported_without_any_framework(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = compile_spec(ROOT / "examples" / "ring.nnspec", ["numpy"], kernels="beside").files
    for name in ("nnspec_tests.py", "nnspec_common.py"):
        (tmp_path / name).write_bytes(files[name])
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "nnspec_common", raising=False)
    for framework in ("torch", "keras", "jax", "tensorflow"):
        monkeypatch.setitem(sys.modules, framework, None)
    spec = importlib.util.spec_from_file_location("nnspec_tests", tmp_path / "nnspec_tests.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "nnspec_tests", module)
    spec.loader.exec_module(module)
    assert module.missing_package(module.TorchModel) == "torch"
    assert module.missing_package(module.NumpyModel) is None


@pytest.mark.parametrize("names", [OF_TESTS, OF_RULES, vocabulary("tests")])
def test_no_parameter_of_ours_is_called_like_a_kernel(names: Vocabulary) -> None:
    """Quoted code would bring the kernel with it."""
    assert not names.kernels & (names.local | names.defined | {*names.imports})


def test_what_a_definition_calls_its_own_is_no_kernel() -> None:
    text = """
from numpy import array, dot, ones, zeros

def whole(x: array = ones, edges=edges):
    units = [part for part in x]
    return units, parts, inner(edges)

class Layer(Base):
    count: Size = zeros

    def forward(self, x):
        offsets = Layer.count

        def shifted(dot):
            nonlocal offsets
            return dot, offsets, count

        return shifted(x)
"""
    whole, layer = outlines(text)
    assert whole.uses == ("array", "edges", "inner", "ones", "parts")
    assert layer.uses == ("Base", "Layer", "Size", "count", "zeros")
    assert [name for name, _ in whole.imports] == ["array", "ones"]
    assert [name for name, _ in layer.imports] == ["zeros"]


@pytest.mark.parametrize("target", ["numpy", "torch"])
def test_tests_for_a_target_import_its_framework_alone(target: str) -> None:
    text = "model small\ninput x[2] over time\nlayer y[2]\nconnect x -> y : one_to_one\n"
    test = compile_spec(text=text, targets=[target]).files["test_small.py"].decode()
    tree = ast.parse(test)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported & {"torch", "keras", "tensorflow", "jax"} == {target} - {"numpy"}
