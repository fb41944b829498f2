"""The compiler's work grows in proportion to a spec: counted, not timed, for every shape of the benchmark."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # `python -m benchmarks` is run from there; it is not in the package

from benchmarks.growth import SHAPES, measure  # noqa: E402
from nnspec.dsl import words  # noqa: E402

from ..steps import assert_in_proportion, lines_run  # noqa: E402

SIZES = (10, 20, 30)
# A long statement is looked through for its depth, and what is made of it has an item a line; these are long
# enough for that from the first size on.
LATER = dict.fromkeys(("long sum", "terms of a loss", "union in one set", "items of a list"), (60, 80, 100))
# Chains that are declared backwards end, at some length, in a diagnostic, which is no growth.
BACKWARDS = [name for name in SHAPES if name.endswith("backwards") and name != "chain declared backwards"]


# Shapes that between them go through every pass; the others take minutes more.
NORMALLY = (
    "chain, mixed kernels",
    "sparse, into one layer, in a loop",
    "misspelt layers",
)


def shapes() -> Iterator[Any]:
    assert SHAPES.keys() >= set(NORMALLY)
    for name in SHAPES:
        if name not in BACKWARDS:
            yield pytest.param(name, marks=[] if name in NORMALLY else [pytest.mark.slow])


@pytest.mark.parametrize("name", list(shapes()))
def test_the_next_part_of_a_spec_takes_as_much_work_as_the_one_before(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "MOST_COMPARISONS", 0)
    shape, sizes = SHAPES[name], LATER.get(name, SIZES)
    measure(shape.spec(sizes[0], tmp_path), tmp_path)  # imports and caches
    lines: list[int] = []
    bytes_made: list[int] = []
    for n in sizes:
        spec = shape.spec(n, tmp_path)
        count, (_, size, _) = lines_run(lambda spec=spec: measure(spec, tmp_path))
        lines.append(count)
        bytes_made.append(size)
    assert_in_proportion(lines)
    assert_in_proportion(bytes_made)
