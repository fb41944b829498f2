"""The benchmark of networks over time, at toy size: figures are there, nothing about them is asserted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # `python -m benchmarks` is run from there; it is not in the package

from benchmarks import over_time  # noqa: E402

WORKS = over_time.works(over_time.TOY)
# The first stands for the others in the usual tests.
NUMBERS = [pytest.param(at, marks=[pytest.mark.slow] * bool(at)) for at in range(len(WORKS))]


@pytest.mark.parametrize("at", NUMBERS)
def test_every_version_runs_and_gives_what_the_first_gives(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNSPEC_CACHE", str(tmp_path))
    rows = over_time.measured(WORKS[at], over_time.TOY)
    failed = {row["version"]: row["failure"] for row in rows if row["failure"]}
    # Peers may not be there; our own versions and those of plain PyTorch are.
    assert set(failed.values()) <= {"not installed"}, failed
    lines = over_time.cells_of(WORKS[at], rows, {})
    assert len(lines) == len(WORKS[at].versions)
    assert all(len(line) == len(over_time.HEADINGS) for line in lines)
