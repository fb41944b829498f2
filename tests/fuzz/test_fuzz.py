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

BATCH = 250
# Much longer than any takes of a processor; a loop that does not end shows all the same.
SECONDS = 30


@pytest.mark.parametrize("batch", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 200))])
def test_damaged_specs_give_files_or_diagnostics(batch: int, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "data", tmp_path / "data")
    shutil.copy(ROOT / "tests" / "specs" / "has_bias.npy", tmp_path)
    specs, sound, rng = corpus(), corpus(("examples", "tests/specs")), random.Random(batch)
    path = tmp_path / "damaged.nnspec"
    compiled = 0
    for number in range(BATCH):
        text = mutated(rng.choice(sound if number % 2 else specs), specs, rng)
        path.write_text(text, errors="replace", newline="")
        start = time.process_time()
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
        assert time.process_time() - start < SECONDS, text
        assert {entry.name for entry in tmp_path.iterdir()} == {"data", "damaged.nnspec", "has_bias.npy"}
    assert compiled > BATCH // 50, "the damage is so great that nothing behind the resolver is reached"


@pytest.mark.parametrize(
    "spec", sorted((ROOT / "tests" / "fuzz" / "kept").glob("*.nnspec")), ids=lambda p: p.stem
)
def test_kept_specs_give_files(spec: Path) -> None:
    """What `coverage_guided.py` has found, and what the compiler takes now."""
    assert compile_spec(spec).files


@pytest.mark.parametrize(
    ("turn", "kind"),
    [
        ("connect h{k-1} -> h{k} : random(fan_in = 3)", "connections"),
        (
            "connect h{k-1} -> h{k} : all\nedges e{k} : h{k-1} -> h{k} = random(fan_in = 3)",
            "`edges` statements",
        ),
    ],
)
def test_sets_that_fill_the_memory_only_together_are_refused(
    turn: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnspec.compiler.sets.resolver.EDGE_LIMIT", 1000)
    path = tmp_path / "many.nnspec"
    path.write_text(f"model many\ninput h0[10]\nfor k in 1..50 {{\nlayer h{{k}}[10]\n{turn}\n}}\n")
    with pytest.raises(SpecError) as caught:
        compile_spec(path, ("numpy",))
    (found,) = caught.value.diagnostics
    assert found.code.code == "E314"
    assert f"all {kind} so far" in found.help[0]


def test_an_error_in_every_turn_is_looked_at_once(tmp_path):
    path = tmp_path / "m.nnspec"
    path.write_text("model m\nfor k in 1..1000000000 {\n  for j in 9**9**9**9..k {\n  }\n}\n")
    with pytest.raises(SpecError) as error:
        compile_spec(path)
    assert [found.code.code for found in error.value.diagnostics] == ["E211", "E215"]
