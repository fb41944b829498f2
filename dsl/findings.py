"""What is found in a spec, as typed values with spans: a `Code` is a kind of it, a `Diagnostic` one case."""

from __future__ import annotations

from .records import record
from .source import Span


@record(slots=True)
class Code:
    """One kind of diagnostic: `E204` or `W301`, and a message with `{fields}`."""

    code: str
    message: str

    @property
    def severity(self) -> str:
        """`error` or `warning`, by the first letter."""
        return "error" if self.code.startswith("E") else "warning"


@record(slots=True)
class Label:
    """A further place that a diagnostic points at, with what is to be seen there."""

    span: Span
    text: str


@record(slots=True)
class Diagnostic:
    """One finding. `label` stands behind the carets; `span` is None only for a file that cannot be read."""

    code: Code
    message: str
    span: Span | None
    label: str = ""
    others: tuple[Label, ...] = ()
    help: tuple[str, ...] = ()

    @property
    def severity(self) -> str:
        """`error` or `warning`, as its code has it."""
        return self.code.severity
