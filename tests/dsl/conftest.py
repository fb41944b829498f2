"""Ways from text to tree, to diagnostics and to canonical text."""

from collections.abc import Callable

import pytest

from nnspec.dsl.diagnostics import Report
from nnspec.dsl.findings import Diagnostic
from nnspec.dsl.formatter import format_spec
from nnspec.dsl.parser import parse
from nnspec.dsl.source import Source
from nnspec.dsl.syntax import Spec

from ..meaning import meaning_of


def _parse(text: str) -> tuple[Spec, tuple[Diagnostic, ...]]:
    source = Source("test.nnspec", text)
    report = Report(source)
    spec = parse(source, report)
    return spec, report.diagnostics


@pytest.fixture(scope="session")
def tree() -> Callable[[str], Spec]:
    """The tree of a text without mistakes."""

    def parsed(text: str) -> Spec:
        spec, found = _parse(text)
        assert not found, [diagnostic.message for diagnostic in found]
        return spec

    return parsed


@pytest.fixture(scope="session")
def mistakes() -> Callable[[str], tuple[Diagnostic, ...]]:
    """What is wrong with a text."""
    return lambda text: _parse(text)[1]


@pytest.fixture(scope="session")
def formatted(tree) -> Callable[[str], str]:
    """The canonical form of a text."""
    return lambda text: format_spec(tree(text))


@pytest.fixture(scope="session")
def meaning(tree) -> Callable[[str], object]:
    """A text's statements without their places."""
    return lambda text: meaning_of(tree(text).statements)


@pytest.fixture(scope="session")
def expression(tree) -> Callable[[str], object]:
    """The tree of one expression, without places, in nested tuples."""
    return lambda text: meaning_of(tree(f"model m\nloss {text}").statements[1].value)
