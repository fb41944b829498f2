"""What the compiler says to wrong specs: each `.nnspec` here has its `.expected`, to the letter.

A case is called after the one code that it gives, `E204_...`; the others show several findings at once.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from nnspec.compiler.command.main import main

HERE = Path(__file__).parent
CASES = sorted(path.stem for path in HERE.glob("*.nnspec"))


@pytest.mark.parametrize("case", CASES)
def test_bad(case: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    result = CliRunner().invoke(main, ["check", f"{case}.nnspec"])
    held = HERE / f"{case}.expected"
    if request.config.getoption("--update-bad", default=False):
        held.write_text(result.stdout, encoding="utf-8")
    assert result.stdout == held.read_text(encoding="utf-8")
    assert result.stderr == ""
    found = re.findall(r"^(error|warning)\[([EW]\d+)\]: ", result.stdout, re.MULTILINE)
    assert result.exit_code == (1 if any(severity == "error" for severity, _ in found) else 0)
    code = case.partition("_")[0]
    if re.fullmatch(r"[EW]\d+", code):
        assert {found_code for _, found_code in found} == {code}


def test_nothing_is_expected_of_no_case() -> None:
    assert sorted(path.stem for path in HERE.glob("*.expected")) == CASES
