"""Specs of one connection, resolved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nnspec.compiler.graph.model import Model
from nnspec.compiler.resolve.resolve import resolve
from nnspec.dsl.diagnostics import Report, SpecError
from nnspec.dsl.findings import Diagnostic
from nnspec.dsl.parser import parse
from nnspec.dsl.source import Source

from .oracle import Edges


class Refused(Exception):
    """The compiler found errors."""

    def __init__(self, found: Sequence[Diagnostic]) -> None:
        self.found = found
        self.codes = [d.code.code for d in found if d.severity == "error"]
        super().__init__("; ".join(f"{d.code.code} {d.message} {d.label}" for d in found))


def resolved(text: str, folder: Path = Path("/nowhere")) -> tuple[Model | None, tuple[Diagnostic, ...]]:
    """The model of a spec, None if it has errors, and what was found in it."""
    source = Source("test.nnspec", text)
    report = Report(source)
    try:
        spec = parse(source, report)
        report.check()
        return resolve(spec, report, folder, {}), report.diagnostics
    except SpecError as error:
        return None, error.diagnostics


def model(text: str, folder: Path = Path("/nowhere")) -> Model:
    """The model of a spec. Raises `Refused`."""
    found, diagnostics = resolved(text, folder)
    if found is None:
        raise Refused(diagnostics)
    return found


def spec(
    edges: str,
    source: Sequence[int] | int = 10,
    target: Sequence[int] | int = 10,
    *,
    before: str = "",
    attributes: str = "",
) -> str:
    """A spec whose connection `wire`, from `left` to `right`, has these edges."""
    shapes = [[s] if isinstance(s, int) else list(s) for s in (source, target)]
    attributes = f" with {attributes}" if attributes else ""
    return (
        f"model m\n{before}\ninput left{shapes[0]}\nlayer right{shapes[1]}\n"
        f"connect left -> right as wire : {edges}{attributes}\n"
    )


def connection(edges: str, *sides: Sequence[int] | int, folder: Path = Path("/nowhere"), **rest: str):
    """The connection of `spec`."""
    return model(spec(edges, *sides, **rest), folder).connections[0]


def pairs(edges: str, *sides: Sequence[int] | int, folder: Path = Path("/nowhere"), **rest: str) -> Edges:
    """Its edges as a set."""
    source, target = connection(edges, *sides, folder=folder, **rest).edges.edges()
    return set(zip(source.tolist(), target.tolist(), strict=True))


def refusal(
    edges: str, *sides: Sequence[int] | int, folder: Path = Path("/nowhere"), **rest: str
) -> Diagnostic:
    """The only error of a spec."""
    found, diagnostics = resolved(spec(edges, *sides, **rest), folder)
    errors = [d for d in diagnostics if d.severity == "error"]
    assert found is None, found
    assert len(errors) == 1, errors
    return errors[0]
