"""A process of its own for generated tests: pytest, told nothing by the folders around.

    python -P run_tests.py TEST_FILE require|skip ARGUMENT...

Exits with 0 if all is well, 1 if not, and 2 on wrong usage. This file is run by its path, and imports nothing
of its package: whatever PYTHONPATH is, it is found.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


class Skips:
    """A plugin of pytest that counts the tests that are skipped, by reason."""

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take note of a test that was skipped, in itself or in what it needs."""
        if report.skipped and isinstance(report.longrepr, tuple):
            self.reasons[report.longrepr[2].removeprefix("Skipped: ")] += 1


def isolated(tests: Path) -> list[str]:
    """Options for pytest to read settings and plugins from the folder of `tests`, and from none above it."""
    settings = tests.with_name("pytest.ini")
    settings.write_text("[pytest]\n")
    folder = str(tests.parent)
    return ["-q", "-c", str(settings), "--rootdir", folder, "--confcutdir", folder, "-p", "no:cacheprovider"]


def main(tests: Path, require: bool, arguments: list[str]) -> int:
    """Run generated tests with the user's arguments; say what was skipped, and fail for that if required."""
    try:
        import pytest
    except ModuleNotFoundError as error:
        if error.name != "pytest":
            raise
        print("Error: pytest runs the generated tests, and is missing: pip install pytest", file=sys.stderr)
        return 2
    # These are meant for the tests of some project, which these are not.
    for variable in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        os.environ.pop(variable, None)
    sys.argv[0] = "spec-compile test"  # the name in messages of pytest
    skips = Skips()
    code = pytest.main([*isolated(tests), str(tests), *arguments], plugins=[skips])
    for reason, count in skips.reasons.items():
        print(f"skipped {count} test{'s' if count > 1 else ''}: {reason}", flush=True)
    if code == pytest.ExitCode.USAGE_ERROR:
        return 2
    return int(code != pytest.ExitCode.OK or (require and skips.reasons.total() > 0))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2] == "require", sys.argv[3:]))
