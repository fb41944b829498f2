"""Diagnostics: typed values with spans, and their three renderings.

A `Code` is declared once, in `codes.py`, with its message. The places that find a problem
add it to a `Report` with the fields of the message; whoever runs the compiler renders the report.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any

from .findings import Code, Diagnostic, Label
from .records import record
from .source import Source, Span


@record(frozen=False)
class Report:
    """What has been found so far in one spec."""

    source: Source
    found: list[Diagnostic] = field(default_factory=list[Diagnostic])
    _seen: set[object] = field(default_factory=set[object])
    _codes: set[str] = field(default_factory=set[str])

    def add(
        self,
        code: Code,
        span: Span | None,
        *,
        label: str = "",
        others: tuple[Label, ...] = (),
        help: str | tuple[str, ...] = (),
        **fields: object,
    ) -> None:
        """Record a finding; `fields` fill the message of `code`.

        The same warning twice counts once, and of errors of one kind at one place, as a loop makes them, the
        first is enough.
        """
        helps = (help,) if isinstance(help, str) else help
        diagnostic = Diagnostic(code, code.message.format(**fields), span, label, others, helps)
        key = (code.code, span) if span is not None and diagnostic.severity == "error" else diagnostic
        if key not in self._seen:
            self._seen.add(key)
            self._codes.add(code.code)
            self.found.append(diagnostic)

    def has(self, code: Code, span: Span) -> bool:
        """Whether an error of this kind has been found at this place."""
        return (code.code, span) in self._seen

    def has_any(self, code: Code) -> bool:
        """Whether an error of this kind has been found anywhere."""
        return code.code in self._codes

    @property
    def failed(self) -> bool:
        """Whether an error, not only warnings, has been found."""
        return any(diagnostic.severity == "error" for diagnostic in self.found)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """The findings in the order of their places in the text."""
        return tuple(sorted(self.found, key=lambda d: d.span.start if d.span else -1))

    def check(self) -> None:
        """Raise `SpecError` if an error has been found."""
        if self.failed:
            raise SpecError(self.source, self.diagnostics)


class SpecError(Exception):
    """A spec has errors. Carries the source and all diagnostics, in order of position."""

    def __init__(self, source: Source, diagnostics: tuple[Diagnostic, ...]) -> None:
        self.source = source
        self.diagnostics = diagnostics
        super().__init__(source, diagnostics)

    def __str__(self) -> str:
        """All diagnostics with their lines, as the command shows them."""
        from .render import render

        return "\n\n" + render(self.diagnostics, self.source)


class Failed(Exception):
    """A diagnostic has been recorded; whoever caught this gives up on its statement."""


def fail(report: Report, code: Code, span: Span | None, **rest: Any) -> Failed:
    """Record a diagnostic and return the exception to raise."""
    report.add(code, span, **rest)
    return Failed()
