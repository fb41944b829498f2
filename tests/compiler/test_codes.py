"""Every diagnostic is explained by an example that gives it, and has a case of its own under `tests/bad`."""

from __future__ import annotations

import os
import re
import string
from collections.abc import Callable
from pathlib import Path

import pytest

from nnspec.compiler import codes as semantic
from nnspec.compiler import pipeline
from nnspec.compiler.command.explanations import explained_codes, explanation
from nnspec.compiler.data import limits
from nnspec.dsl import codes as syntax
from nnspec.dsl.diagnostics import SpecError
from nnspec.dsl.findings import Code

BAD = Path(__file__).parent.parent / "bad"
CODES = [code for module in (syntax, semantic) for code in vars(module).values() if isinstance(code, Code)]
SOURCES = [
    *(Path(semantic.__file__).parent).rglob("*.py"),
    *(Path(syntax.__file__).parent).rglob("*.py"),
]

# What no file of reasonable size, or no text at all, can show. The tests below show it.
SHOWN_HERE = {
    "E603": "test_examples",
    "E604": "test_examples",
    "E613": "test_examples",
    "E614": "test_examples",
    "E630": "test_examples",
    "E631": "test_examples",
    "W902": "test_examples",  # `check` keeps no states
}


@pytest.fixture
def found(tmp_path: Path) -> Callable[..., set[str]]:
    """The codes that a spec beside the data of `tests/bad` gives, understood or compiled for targets."""
    for path in BAD.iterdir():
        if path.suffix not in (".nnspec", ".expected"):
            (tmp_path / path.name).symlink_to(path)

    def compiled(text: str, *targets: str, encoding: str = "utf-8", remat: int = 0) -> set[str]:
        spec = tmp_path / "example.nnspec"
        spec.write_text(text, encoding=encoding)
        try:
            if targets:
                said = pipeline.compile_spec(spec, targets, remat=remat).diagnostics
            else:
                said = pipeline.understand(spec, remat=remat).diagnostics
            return {diagnostic.code.code for diagnostic in said}
        except SpecError as error:
            return {diagnostic.code.code for diagnostic in error.diagnostics}

    return compiled


def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner of the machine may read everything, so that permissions alone would not do."""
    opened = os.open

    def refused(path: str | Path, *rest: int) -> int:
        if Path(path).suffix == ".csv":
            raise PermissionError(13, "Permission denied")
        return opened(path, *rest)

    monkeypatch.setattr(os, "open", refused)


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.code)
def test_examples(code: Code, found: Callable[..., set[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    right = found(explanation(code.code).right, "numpy")
    assert not {name for name in right if name.startswith("E") or name == code.code}
    if code is semantic.FILE_TOO_LARGE:
        monkeypatch.setattr(limits, "FILE_SIZE_LIMIT", 100)
    elif code is semantic.UNPACKS_TO_TOO_MUCH:
        monkeypatch.setattr(limits, "UNPACKED_LIMIT", 100)
        monkeypatch.setattr(limits, "UNPACKED_RATIO", 0)
    elif code is semantic.TABLE_TOO_LARGE:
        monkeypatch.setattr(limits, "VALUE_LIMIT", 3)
    elif code is semantic.SPEC_TOO_LARGE:
        monkeypatch.setattr(pipeline, "SPEC_SIZE_LIMIT", 60)
    elif code is semantic.UNREADABLE:
        forbid_reading(monkeypatch)
    encoding = "latin-1" if code is semantic.NOT_TEXT else "utf-8"
    targets, remat = (("numpy",), 10) if code is semantic.NO_REMAT else ((), 0)
    assert found(explanation(code.code).wrong, *targets, encoding=encoding, remat=remat) == {code.code}


def test_explanations_are_laid_out_alike() -> None:
    for code in CODES:
        found = explanation(code.code)
        assert found.code == code.code
        assert found.title[0] == found.title[0].lower(), code.code
        assert not found.title.endswith("."), code.code
        assert found.prose.endswith("."), code.code
        shown = found.text()
        assert not re.search(r"[ \t]\n|\t", shown), code.code
        if code is not syntax.TOO_DEEP:
            assert max(len(line) for line in shown.splitlines()) <= 110, code.code
        for word in ("please", "simply", "just ", "(s)", "is/are", "!\n"):
            assert word not in (found.prose + found.title + code.message).lower(), code.code


def test_every_file_explains_a_code() -> None:
    assert sorted(explained_codes()) == sorted(code.code for code in CODES)
    assert len({explanation(code).title for code in explained_codes()}) == len(CODES)


def test_codes_and_messages_are_distinct() -> None:
    assert len({code.code for code in CODES}) == len(CODES)
    assert len({code.message for code in CODES}) == len(CODES)
    for module, digits in ((syntax, "1"), (semantic, "234569")):
        for code in vars(module).values():
            if isinstance(code, Code):
                assert re.fullmatch(rf"[EW][{digits}]\d\d", code.code)


def test_every_code_has_a_case() -> None:
    cases = {path.name.partition("_")[0] for path in BAD.glob("*.nnspec")}
    for code in CODES:
        assert (code.code in cases) != (code.code in SHOWN_HERE), code.code


def test_every_code_is_raised_somewhere() -> None:
    texts = [path.read_text(encoding="utf-8") for path in SOURCES]
    for module in (syntax, semantic):
        for name, value in vars(module).items():
            assert not isinstance(value, Code) or any(f"codes.{name}" in text for text in texts), name


def test_messages_are_filled() -> None:
    """No message of a case has a gap: a brace of its template, or an empty name."""
    for code in CODES:
        fields = [field for _, field, _, _ in string.Formatter().parse(code.message) if field is not None]
        assert all(field.isidentifier() for field in fields), code.code
        assert not {"label", "others", "help", "span", "code"} & set(fields), code.code
        for path in BAD.glob(f"{code.code}_*.expected"):
            titles = re.findall(rf"^(?:error|warning)\[{code.code}\]: (.*)$", path.read_text(), re.MULTILINE)
            assert titles, path.name
            for title in titles:
                assert "``" not in title, path.name
                assert not title.endswith((" ", ":")), path.name
