"""Names of a spec and names of ours do not meet: drawn specs are called what generated code and kernels are.

Whatever the compiler does not refuse must do: each compiles for all targets, has nothing undefined, unused or
defined twice in what is generated, and passes its generated tests.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path
from random import Random, SystemRandom
from tempfile import TemporaryDirectory

import pytest
from hypothesis import Phase, assume, given, seed

from nnspec.backends.emit import write
from nnspec.compiler import compile_spec
from nnspec.dsl.diagnostics import SpecError

from .generated import run_all
from .names import free_for, identifiers, renamed
from .specs import Spec, specs
from .test_drawn_specs import ALL, drawing, kernels_beside, module_of

NAMED = int(os.environ.get("NNSPEC_NAMED", "2000"))
# What ruff looks at together.
BATCH = 100
# Errors of names: refused, declared twice, shadowed by a loop, no model's.
OF_NAMES = {"E203", "E204", "E205", "E206"}

# Names that were refused once, or are what generated code is full of.
OURS = (
    "v",
    "p",
    "g",
    "total",
    "flat",
    "normal",
    "check_stored",
    "restored",
    "stored_heat",
    "LIF",
    "np",
    "self",
)
# They take all roles: the model and an index, a param, an axis, a set, data, layers, connections.
TEXT = """model {0}
param {1} = 3
axis {2} = {1} + 1
edges {3} : [{2}] -> [4] = {{ {0} -> j : {0} < {1}, j != {0} }}
input {4}[{2}]
target {5}[4]
target {6}: class[4]
layer {7}[4] : batch_norm, tanh, dropout(0.25), bias
layer {8}[2, 2] : layer_norm, gelu, bias(per = 0)
layer {9}[4] : relu, bias
connect {4} -> {7} as {10} : {3}
connect {7} -> {8} : all
connect {8} -> {9} as {11} : random(fan_in = 2)
connect {4} -> {9} : one_to_one
output {7}, {9}
loss mse({7}, {5}) + 0.5 * cross_entropy({9}, {6}) - 1e-2 * l2({10})
"""


def compiled(spec: Spec, folder: Path, kernels: str = "inside") -> bool:
    """Write what all targets make of a spec, and run the tests of NumPy's; False if a name is refused."""
    folder.mkdir()
    for name, content in spec.files.items():
        (folder / name).write_bytes(content)
    path = folder / "drawn.nnspec"
    path.write_text(spec.text, encoding="utf-8")
    try:
        build = compile_spec(path, ALL, kernels=kernels)
    except SpecError as error:
        if {each.code.code for each in error.diagnostics if each.severity == "error"} - OF_NAMES:
            raise
        return False
    write(build.files, folder / "all")
    alone = compile_spec(path, ("numpy",), kernels=kernels)
    write(alone.files, folder / "numpy")
    with kernels_beside(alone.files):
        run_all(module_of(folder / "numpy" / f"test_{build.passage.model.name}.py"))
    return True


def clean(folder: Path) -> None:
    """Nothing is undefined, unused or defined twice in any file of a folder."""
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "F"]
    finished = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout


def run(count: int, folder: Path, *, start: int | None) -> None:
    """Draw so many specs with names that are not refused: the same ones every time for a start."""
    folder.mkdir(exist_ok=True)
    first = SystemRandom().getrandbits(32) if start is None else start
    numbers = itertools.count(first)

    @seed(first)
    @drawing(count, database=None, phases=[Phase.generate])
    @given(specs())
    def drawn(spec: Spec) -> None:
        number = next(numbers)
        place = ("inside", "beside")[number % 2]
        assume(compiled(renamed(spec, Random(number)), folder / str(number), place))

    drawn()
    clean(folder)


def test_names_are_drawn_from_all_that_there_are() -> None:
    assert len(identifiers()) > 1500
    assert {*OURS, "stored", "batch", "in_order", "_places", "astype", "functools"} <= {*identifiers(), *OURS}
    for kind in ("layer", "connection", "axis"):
        assert len(free_for(kind)) > 1000


def test_some_names_of_ours(tmp_path: Path) -> None:
    run(2, tmp_path / "specs", start=12)


@pytest.mark.slow
def test_many_names_of_ours(tmp_path: Path) -> None:
    """`make fuzz`: new ones every time, as many as NNSPEC_NAMED says."""
    for number in range(0, NAMED, BATCH):
        with TemporaryDirectory(dir=tmp_path) as folder:
            run(min(BATCH, NAMED - number), Path(folder), start=None)


@pytest.mark.parametrize("turn", range(0, len(OURS), 3))
def test_names_of_ours_in_every_role(turn: int, tmp_path: Path) -> None:
    spec = Spec(TEXT.format(*OURS[turn:], *OURS[:turn]), {}, {})
    assert compiled(spec, tmp_path / "spec"), spec.text
    clean(tmp_path)


@pytest.mark.xdist_group("keras")
@pytest.mark.parametrize("turn", [0, 6])
def test_names_of_ours_mean_the_same_for_all_targets(turn: int, tmp_path: Path) -> None:
    names = (*OURS[turn:], *OURS[:turn])
    write(compile_spec(text=TEXT.format(*names), targets=ALL).files, tmp_path)
    tests = module_of(tmp_path / f"test_{names[0]}.py")
    for target in ALL:
        model = tests.TestModel().build(target)
        tests.check_parameters(tests.EXPECTED, model)
        tests.check_outputs(tests.EXPECTED, model, training=False)
        tests.check_gradients(tests.EXPECTED, model)


@pytest.mark.slow
@pytest.mark.xdist_group("keras")
def test_names_of_ours_pass_all_tests(tmp_path: Path) -> None:
    write(compile_spec(text=TEXT.format(*OURS), targets=ALL).files, tmp_path)
    run_all(module_of(tmp_path / f"test_{OURS[0]}.py"))
