"""Templates place text and decide nothing; kernels are ordinary modules."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import jinja2
import pytest
from jinja2 import nodes

BACKENDS = Path(__file__).parent.parent.parent / "backends"
TEMPLATES = sorted(BACKENDS.glob("*/templates/*.j2"))
KERNELS = sorted(BACKENDS.glob("*/kernels/[!_]*.py"))
ALLOWED = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.For,
    nodes.If,
    nodes.Include,
    nodes.Block,
    nodes.Tuple,
    nodes.Const,
)


def identifier(path: Path) -> str:
    return str(path.relative_to(BACKENDS))


@pytest.mark.parametrize("path", TEMPLATES, ids=identifier)
def test_a_template_has_no_calls_comparisons_or_assignments(path: Path) -> None:
    tree = jinja2.Environment().parse(path.read_text())
    pending: list[nodes.Node] = [tree]
    while pending:
        node = pending.pop()
        assert isinstance(node, ALLOWED), f"line {node.lineno}: {type(node).__name__}"
        if isinstance(node, nodes.If):
            assert isinstance(node.test, nodes.Name), f"line {node.lineno}: a condition is a flag"
        if isinstance(node, nodes.Tuple):
            assert node.ctx == "store", f"line {node.lineno}: a tuple is made"
        pending.extend(node.iter_child_nodes())
    assert len(path.read_text().splitlines()) <= 150


def test_all_targets_have_the_same_templates() -> None:
    """That of the tests, which has a test for each check, is in several parts."""
    names = {path.parent.parent.name: {p.name for p in path.parent.iterdir()} for path in TEMPLATES}
    assert names.keys() == {"torch", "keras", "numpy", "tests", "common"}
    assert names["torch"] == names["keras"] == names["numpy"] == {"module.py.j2"}
    assert "module.py.j2" in names["tests"]


@pytest.mark.parametrize("path", KERNELS, ids=identifier)
def test_a_kernel_is_a_docstring_imports_and_definitions(path: Path) -> None:
    module = ast.parse(path.read_text())
    assert ast.get_docstring(module)
    for node in module.body[1:]:
        assert isinstance(node, ast.Import | ast.ImportFrom | ast.ClassDef | ast.FunctionDef), ast.unparse(
            node
        )
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            assert ast.get_docstring(node), node.name


def test_kernel_names_are_distinct_within_a_target() -> None:
    for target in ("torch", "keras", "numpy", "tests"):
        names = Counter(
            node.name
            for path in KERNELS
            if path.parent.parent.name in ("common", target)
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.ClassDef | ast.FunctionDef)
        )
        assert [name for name, count in names.items() if count > 1] == []


def test_a_missing_name_in_a_template_is_an_error() -> None:
    from nnspec.backends.emit import _environment

    with pytest.raises(jinja2.UndefinedError):
        _environment("torch").from_string("{{ nothing }}").render()
