"""Templates place text and decide nothing; kernels are ordinary modules."""

from __future__ import annotations

import ast
import random
import re
from collections import Counter
from pathlib import Path

import jinja2
import pytest
from jinja2 import nodes

from nnspec.backends import index, kernels, templates

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
    """That of the tests, which has a test for each check, is in several parts; Keras registers its kernels."""
    names = {path.parent.parent.name: {p.name for p in path.parent.iterdir()} for path in TEMPLATES}
    assert names.keys() == {"torch", "keras", "numpy", "tests", "common"}
    assert names["torch"] == names["numpy"] == {"module.py.j2"}
    assert names["keras"] == {"module.py.j2", "kernels.py.j2"}
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
    for template in ("{{ nothing }}", "{% if nothing %}x{% endif %}", "{% for x in nothing %}{% endfor %}"):
        with pytest.raises(KeyError):
            templates.placed(template, {})


def values_of(text: str, draw: random.Random) -> dict[str, object]:
    """Something for every name of some templates."""
    loops = re.findall(r"\{% for (.*?) in (\w+) %\}", text)
    flags = {*re.findall(r"\w+", " ".join(re.findall(r"\{% if (.*?) %\}", text)))} - {"or"}
    values: dict[str, object] = {name: f"<{name}>" for name in re.findall(r"\{\{ (\w+) \}\}", text)}
    values |= {flag: draw.random() < 0.5 for flag in flags}
    for names, items in loops:
        parts = ["a", "b", "c", ["d", "e"]][-len(names.split(",")) :]
        values[items] = [tuple(parts) if len(parts) > 1 else f"line {at}" for at in range(draw.randrange(3))]
    return values


@pytest.mark.parametrize("target", ["torch", "keras", "numpy", "tests"])
def test_templates_are_placed_as_jinja_places_them(target: str) -> None:
    folders = [BACKENDS / target / "templates", BACKENDS / "common" / "templates"]
    text = "".join(path.read_text() for folder in folders for path in folder.iterdir())
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    draw = random.Random(target)
    for name in environment.list_templates():
        for _ in range(20):
            values = values_of(text, draw)
            assert templates.filled(target, name, values) == environment.get_template(name).render(values)


@pytest.mark.parametrize(
    "template",
    [
        "{% set x = 1 %}",
        "{% if not x %}{% endif %}",
        "{{ x.y }}",
        "{{ x + x }}",
        "{% for y in z(1) %}{% endfor %}",
    ],
)
def test_a_template_that_decides_is_refused(template: str) -> None:
    with pytest.raises((KeyError, ValueError)):
        templates.placed(template, {"x": 0})


def test_the_index_of_kernels_is_that_of_the_kernels() -> None:
    """Otherwise: `python -m nnspec.backends.index`."""
    assert index.PLACE.read_text() == index.index()


def test_a_kernel_that_is_not_in_the_index_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is, so that a change of a kernel is seen before the index is made anew."""
    paths = [*map(str, KERNELS)]
    known = {path: kernels._definitions(path) for path in paths}
    monkeypatch.setattr(kernels, "INDEX", {})
    kernels._definitions.cache_clear()
    try:
        assert {path: kernels._definitions(path) for path in paths} == known
    finally:
        kernels._definitions.cache_clear()
