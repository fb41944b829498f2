"""Whatever stands in a spec, the compiler answers with files or with diagnostics: no traceback, no hang."""

from __future__ import annotations

import ast
import random
import shutil
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from mutations import ROOT, corpus, mutated

from nnspec.compiler import compile_spec
from nnspec.dsl.diagnostics import SpecError
from nnspec.dsl.render import render

BATCH = 1000
# Much longer than any takes; a hang or a quadratic pass shows all the same.
SECONDS = 30


@pytest.mark.parametrize(
    "batch", [*range(10), *(pytest.param(n, marks=pytest.mark.slow) for n in range(10, 100))]
)
def test_damaged_specs_give_files_or_diagnostics(batch: int, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "data", tmp_path / "data")
    shutil.copy(ROOT / "tests" / "specs" / "has_bias.npy", tmp_path)
    specs, sound, rng = corpus(), corpus(("examples", "tests/specs")), random.Random(batch)
    path = tmp_path / "damaged.nnspec"
    compiled = 0
    for number in range(BATCH):
        text = mutated(rng.choice(sound if number % 2 else specs), specs, rng)
        path.write_text(text, errors="replace", newline="")
        start = time.monotonic()
        try:
            # All targets of a spec that is valid take much longer than finding out that it is not.
            files = compile_spec(path, ("torch", "keras", "numpy") if number % 20 == 0 else ("numpy",)).files
        except SpecError as error:
            shown = render(error.diagnostics, error.source, "full")
            assert "error[E" in shown, text
        else:
            compiled += 1
            for name, content in files.items():
                if name.endswith(".py"):
                    ast.parse(content)
        assert time.monotonic() - start < SECONDS, text
        assert {entry.name for entry in tmp_path.iterdir()} == {"data", "damaged.nnspec", "has_bias.npy"}
    assert compiled > BATCH // 50, "the damage is so great that nothing behind the resolver is reached"
