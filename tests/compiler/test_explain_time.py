"""What `explain` says of networks that run over time."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from nnspec.compiler.command.explain import explained
from nnspec.compiler.command.main import main
from nnspec.compiler.pipeline import understand

TEXT = """model parts
input u[3] over time
input x[4]
layer still[5] : tanh
layer first[6] : tanh
layer h[6] : tanh
layer g[6] = h * before(g)
layer out[2]
connect x -> still : all
connect u -> first : all
connect first -> h : all
connect still -> h : all
connect h -> h : all with delay = 2
connect g -> out : all
connect u -> out : all with delay = 3
output out over time
"""


def test_stages_are_told(tmp_path: Path) -> None:
    plan = understand(Path("parts.nnspec"), text=TEXT).plan
    told = [(each.kind, each.layers, each.before) for each in explained(plan).stages]
    assert told == [
        ("once", ("still",), ()),
        ("all steps", ("first",), ()),
        ("loop", ("h",), ("still_h", "first_h")),
        ("loop", ("g",), ()),
        ("all steps", ("out",), ()),
    ]
    spec = tmp_path / "parts.nnspec"
    spec.write_text(TEXT)
    shown = CliRunner().invoke(main, ["explain", str(spec)])
    assert shown.exit_code == 0
    assert "step by step: h, behind the sums of still_h, first_h for all steps" in shown.stdout
    assert "for all steps together: out" in shown.stdout
