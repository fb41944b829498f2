"""Functions that are finite for some numbers only: generated tests find a place, or one says why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from nnspec.backends.emit import write
from nnspec.compiler import compile_spec

from ..drawn.generated import run_all
from ..drawn.test_drawn_specs import module_of

# Of two layers that their own biases move; between two bounds; of sums that no bias moves; below 0.
DIFFERENCE = """model difference
input x[4]
layer a[3] : bias
layer b[3] : bias
layer d[3] = log(a - b)
connect x -> a : all
connect x -> b : all
"""
WINDOW = """model window_of_two
function between(x) = sqrt(x - 2) + sqrt(2.5 - x)
input x[4]
layer y[3] : between
connect x -> y : all
"""
MIXED = """model mixed
function ln(x) = log(x)
input x[10]
layer y[10] : ln
connect x -> y : random(fan_in = 4, seed = 1) with weight = 1
connect x -> y as less : one_to_one with weight = -1
"""
BELOW = """model below
function root(x) = sqrt(x)
input x[4]
layer y[3] : root
connect x -> y : all with sign = nonpositive
"""
SPECS = {"difference": DIFFERENCE, "window_of_two": WINDOW, "mixed": MIXED, "below": BELOW}
# A tanh is never above 1.5.
NOWHERE = """model nowhere
input x[4]
layer y[3] : tanh
layer z[3] = log(y - 1.5)
layer more[2] : relu
connect x -> y : all
connect z -> more : all
"""


def check(text: str, folder: Path, old: str = "", new: str = "") -> None:
    """Run the generated tests of NumPy's module, in which `old` has become `new`; none may be skipped."""
    files = compile_spec(text=text, targets=("numpy",)).files
    write(files, folder)
    name = text.split()[1]
    module = folder / f"{name}_numpy.py"
    before = module.read_text()
    assert old in before
    module.write_text(before.replace(old, new))
    run_all(module_of(folder / f"test_{name}.py"))


@pytest.mark.parametrize("name", SPECS)
def test_a_place_is_found(name: str, tmp_path: Path) -> None:
    check(SPECS[name], tmp_path)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("difference", "np.log(a - b)", "np.log(1.001 * a - b)"),
        ("window_of_two", "np.sqrt(2.5 - x)", "np.sqrt(2.501 - x)"),
        ("mixed", "np.log(", "np.log1p("),
        ("below", "0.5 /", "0.501 /"),
    ],
)
def test_a_fault_there_is_caught(name: str, old: str, new: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"differs|times the error"):
        check(SPECS[name], tmp_path, old, new)


def test_one_test_says_what_is_finite_nowhere(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="layer z of nowhere is not finite at any parameters and inputs"):
        check(NOWHERE, tmp_path)
