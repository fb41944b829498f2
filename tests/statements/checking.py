"""Generated statements of sets, run in this process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import pytest

from nnspec.backends.emit import write
from nnspec.compiler import compile_spec
from nnspec.compiler.pipeline import Build

from ..drawn.test_drawn_specs import module_of


def generated_tests(build: Build, folder: Path) -> ModuleType:
    """The generated tests of a build, imported from a folder within `folder`, where the spec's files are."""
    with TemporaryDirectory(dir=folder) as within:
        write(build.files, Path(within))
        (path,) = Path(within).glob("test_*.py")
        module = module_of(path)
        _ = module.EXPECTED  # which has read what is stored
    return module


def run_statements(tests: ModuleType, folder: Path) -> Counter[str]:
    """Compare edges and names with what the spec states; count what is compared, and what is not stated."""
    counts: Counter[str] = Counter()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NNSPEC_SPEC_FOLDER", str(folder))
        for name, (statement, form, sample) in getattr(tests, "STATEMENTS", {}).items():
            tests.check_statement(tests.EXPECTED, name, statement, form, sample)
            counts["whole" if sample is None else "sampled"] += 1
        for axis, names in getattr(tests, "NAMES", {}).items():
            tests.check_axis_names(tests.EXPECTED, axis, names())
            counts["names"] += 1
        counts["not stated"] += len(getattr(tests, "NOT_STATED", {}))
    return counts


def check_statements(text: str, folder: Path, files: Mapping[str, bytes] | None = None) -> Counter[str]:
    """Compile a spec for NumPy and run its statements."""
    for name, content in (files or {}).items():
        (folder / name).write_bytes(content)
    path = folder / "stated.nnspec"
    path.write_text(text, encoding="utf-8")
    return run_statements(generated_tests(compile_spec(path, ("numpy",)), folder), folder)
