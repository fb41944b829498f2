"""What `--explain` shows: a Markdown file for each diagnostic, called after its code.

Those of the syntax are in `dsl/explanations/`, the others in `compiler/explanations/`.
"""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent

from ...dsl.records import record

FOLDERS = (Path(__file__).parents[2] / "dsl" / "explanations", Path(__file__).parents[1] / "explanations")

_LAYOUT = re.compile(
    r"# (?P<code>[EW]\d{3}): (?P<title>.+)\n\n"
    r"(?P<prose>(?s:.+?))\n\n"
    r"Wrong:\n\n```nnspec\n(?P<wrong>(?s:.+?))```\n\n"
    r"Right:\n\n```nnspec\n(?P<right>(?s:.+?))```\n"
)


@record
class Explanation:
    """A kind of diagnostic in general, why it is one, and a spec that gives it beside one that does not."""

    code: str
    title: str
    prose: str
    wrong: str
    right: str

    def text(self) -> str:
        """As a terminal shows it."""
        severity = "error" if self.code.startswith("E") else "warning"
        examples = (f"{title}:\n{indent(spec, ' ' * 4)}" for title, spec in self.examples().items())
        return f"{severity}[{self.code}]: {self.title}\n\n{self.prose}\n\n" + "\n".join(examples)

    def examples(self) -> dict[str, str]:
        """The two specs by what stands above them."""
        return {"Wrong": self.wrong, "Right": self.right}


def explained_codes() -> list[str]:
    """The codes of all diagnostics."""
    return [path.stem for folder in FOLDERS for path in sorted(folder.glob("*.md"))]


def explanation(code: str) -> Explanation:
    """What explains a diagnostic. Raises `FileNotFoundError` if no diagnostic has the code."""
    folder = next((folder for folder in FOLDERS if (folder / f"{code}.md").is_file()), FOLDERS[0])
    text = (folder / f"{code}.md").read_text(encoding="utf-8")
    found = _LAYOUT.fullmatch(text)
    assert found, f"{code}.md is not laid out as the others"
    return Explanation(**found.groupdict())
