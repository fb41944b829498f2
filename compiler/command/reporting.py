"""How the command tells what a compilation finds: diagnostics, and what the settings make of warnings."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import click

from ...dsl.diagnostics import SpecError
from ...dsl.findings import Diagnostic
from ...dsl.render import Format, render
from ...dsl.source import Source
from ...dsl.words import suggest
from ..defaults import TARGET_NAMES
from .console import is_coloured, put, say
from .settings import Settings, WrongSettings, find_settings


def settings() -> Settings | None:
    """The settings of the project that the current folder is in; wrong ones are wrong usage."""
    return _settings(Path.cwd())


@cache
def _settings(folder: Path) -> Settings | None:
    from ..codes import by_code

    try:
        return find_settings(folder, TARGET_NAMES, by_code())
    except WrongSettings as error:
        raise click.UsageError(str(error)) from None


class Reporting:
    """Turns what a compilation raises into diagnostics on stderr and an exit code."""

    def __init__(self, params: Mapping[str, int | float]) -> None:
        self.params = params

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, SpecError):
            show(error.diagnostics, error.source)
            sys.exit(1)
        if error is None:
            return
        from ..resolve.resolve import UnknownParam

        if isinstance(error, UnknownParam):
            guess = suggest(error.name, error.known)
            hint = f"; did you mean `{guess}`?" if guess else ""
            raise click.UsageError(f"-D {error.name}: the spec has no param of that name{hint}")


def wanted(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """All but the warnings that the settings ignore."""
    chosen = settings()
    return [d for d in diagnostics if chosen is None or d.code.code not in chosen.ignored]


def fails(diagnostics: Sequence[Diagnostic]) -> bool:
    """Whether there is an error, or a warning that the settings make one."""
    chosen = settings()
    return any(d.severity == "error" or (chosen and d.code.code in chosen.errors) for d in diagnostics)


def show(
    diagnostics: Sequence[Diagnostic], source: Source, style: Format = "full", *, err: bool = True
) -> None:
    """Print diagnostics, in colour on a terminal, and how many there are."""
    if not diagnostics or not (diagnostics := wanted(diagnostics)):
        return
    stream = sys.stderr if err else sys.stdout
    put(render(diagnostics, source, style, colour=is_coloured(stream)) + "\n\n", err=err)
    counts = [(sum(d.severity == kind for d in diagnostics), kind) for kind in ("error", "warning")]
    text = ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for count, kind in counts if count)
    say(f"{source.name}: {text}", err=err)


def refuse_warnings(diagnostics: Sequence[Diagnostic]) -> None:
    """End the command if a warning was found that the settings make an error."""
    if codes := sorted({d.code.code for d in diagnostics if fails([d])}):
        say(f"{', '.join(codes)}: errors by the settings of the project", err=True)
        sys.exit(1)
