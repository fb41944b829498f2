"""What `explain` says of networks that run over time."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from click.testing import CliRunner

from nnspec.backends.emit import write
from nnspec.compiler import compile_spec
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
    told = [(each.kind, each.layers, each.before, each.each_step) for each in explained(plan).stages]
    assert told == [
        ("once", ("still",), (), ()),
        ("all steps", ("first",), (), ()),
        ("loop", ("h",), ("still_h", "first_h"), ()),
        ("loop", ("g",), (), ()),
        ("all steps", ("out",), (), ()),
    ]
    spec = tmp_path / "parts.nnspec"
    spec.write_text(TEXT)
    shown = CliRunner().invoke(main, ["explain", str(spec)])
    assert shown.exit_code == 0
    assert "step by step: h, behind the sums of still_h, first_h for all steps" in shown.stdout
    assert "for all steps together: out" in shown.stdout


SPARSE = """model few
input u[{units}] over time
layer h[1000] : tanh
connect u -> h : all
connect u -> h as beside : random(fan_in = 2, seed = 1)
connect h -> h : random(fan_in = 5, seed = 2) with delay = 1
output h over time
"""


@pytest.mark.parametrize(("units", "each_step"), [(64, ("u_h",)), (65, ())])
def test_what_pytorch_computes_in_the_loop_is_told_as_it_is(
    tmp_path: Path, units: int, each_step: tuple[str, ...]
) -> None:
    """Of few units, `u_h` is computed where it is needed: so the module says, and so does `explain`."""
    spec = tmp_path / "few.nnspec"
    spec.write_text(SPARSE.format(units=units))
    [stage] = explained(understand(spec).plan).stages
    assert (stage.before, stage.each_step) == (("u_h", "beside"), each_step)
    shown = CliRunner().invoke(main, ["explain", str(spec)]).stdout
    assert ("PyTorch has those of u_h step by step" in shown) == bool(each_step)

    write(compile_spec(spec, ["torch"]).files, tmp_path / "out")
    source = (tmp_path / "out" / "few_torch.py").read_text()
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    [computed] = [each for each in functions if each.name == "_computed"]
    [loop] = [each for each in computed.body if isinstance(each, ast.For)]
    assert ("self.u_h" in ast.unparse(loop)) == bool(each_step)
    assert "self.beside" not in ast.unparse(loop)
