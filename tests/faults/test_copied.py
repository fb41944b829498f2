"""Every statement that is copied into generated modules is run by the generated tests of some spec.

What is not has a reason here.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from planting import Earlier, run_tests

from nnspec.backends.emit import write
from nnspec.compiler import compile_spec

SPECS = Path(__file__).parent.parent / "specs"
ZOO, PART, NAMED, TILES, GROUPED, BETWEEN, POOLS, CONVOLUTIONS = (
    SPECS / f"{name}.nnspec"
    for name in ("zoo", "part", "named", "tiles", "grouped", "between", "pools", "convolutions")
)
LATTICE = SPECS.parent.parent / "examples" / "lattice.nnspec"
BUILDS = {
    "numpy": [(ZOO, "edges"), (PART, None), (NAMED, None), (GROUPED, None), (CONVOLUTIONS, "convolution")],
    "torch": [
        *((ZOO, kernel) for kernel in ("edges", "masked")),
        *((TILES, kernel) for kernel in ("edges", "blocks")),
        (PART, "edges"),
        (NAMED, None),
        (GROUPED, None),
        (BETWEEN, "edges"),
        (POOLS, None),
        (LATTICE, None),
        (CONVOLUTIONS, "convolution"),
    ],
}
# The beginnings of statements that are not run, by the reason. Refusals (`raise`) that no generated test asks
# for are held one by one by `tests/kernels` and `tests/targets`.
REASONS = {
    "said in a refusal": ("axes = ", "edge = int(", "raise "),
    "of other targets": ("sides = self.kernel[0]", "return self.copies * sides[0]"),
    "of sets without edges": ("return taken.new_zeros(rows, ",),
    "on a GPU": ("return torch.ops.aten._embedding_bag_per_sample_weights_backward(",),
}
Preferring = Callable[[str | None], AbstractContextManager[None]]


def statements(node: ast.AST, text: list[str], owner: str = "") -> Iterator[tuple[str, str, int]]:
    """The statements in functions: the function, the first line as text, and its number."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            yield from statements(child, text, f"{owner}.{child.name}".lstrip("."))
            continue
        documents = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
        if isinstance(child, ast.stmt) and owner and not documents and not isinstance(node, ast.ClassDef):
            yield owner, text[child.lineno - 1].strip(), child.lineno
        yield from statements(child, text, owner)


def lines_run(folder: Path, name: str, target: str) -> set[int]:
    """The lines of a module that its generated tests run."""
    path, lines = str(folder / f"{name}_{target}.py"), set[int]()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename != path:
            return None
        lines.add(frame.f_lineno)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        assert run_tests(folder, name, Earlier())
    finally:
        sys.settrace(before)
    return lines


def unrun(target: str, folder: Path, preferring: Preferring) -> set[tuple[str, str]]:
    """Statements (function, first line) that the generated tests of none of the builds run."""
    ran: dict[tuple[str, str], bool] = {}
    for number, (spec, kernel) in enumerate(BUILDS[target]):
        place = folder / str(number)
        with preferring(kernel):
            write(compile_spec(spec, [target]).files, place)
        module = place / f"{spec.stem}_{target}.py"
        lines, text = lines_run(place, spec.stem, target), module.read_text()
        for owner, statement, line in statements(ast.parse(text), text.splitlines()):
            ran[owner, statement] = ran.get((owner, statement), False) or line in lines
    assert len(ran) > 200
    return {key for key, run in ran.items() if not run}


@pytest.mark.slow
@pytest.mark.parametrize("target", ["numpy", "torch"])
def test_every_statement_of_a_module_is_run(target: str, tmp_path: Path, preferring: Preferring) -> None:
    excused = tuple(beginning for beginnings in REASONS.values() for beginning in beginnings)
    missed = {key for key in unrun(target, tmp_path, preferring) if not key[1].startswith(excused)}
    assert not missed, "\n".join(f"{owner}: {statement}" for owner, statement in sorted(missed))


def test_a_statement_that_no_test_runs_is_found(
    tmp_path: Path, preferring: Preferring, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(folder: Path, name: str, target: str) -> set[int]:
        return set()

    monkeypatch.setitem(BUILDS, "numpy", [(ZOO, "edges")])
    monkeypatch.setitem(globals(), "lines_run", none)
    assert len(unrun("numpy", tmp_path, preferring)) > 200
