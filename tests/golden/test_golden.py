"""The plan and every target's source of every example, byte for byte; `make golden` accepts new ones.

Modules are held with their kernels beside them, each of which is there once; that kernels inside are these
is held by `tests/emit/test_beside.py`.
"""

from __future__ import annotations

import ast
import hashlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from nnspec.compiler import compile_spec
from nnspec.compiler.command.show import show

HERE = Path(__file__).parent
MODULES, PLANS = HERE / "modules", HERE / "plans"


def current(spec: Path) -> dict[Path, str]:
    """What the compiler makes of an example: sources and plan as text, data as digests."""
    build = compile_spec(spec, kernels="beside")
    sources = {name: content for name, content in build.files.items() if name.endswith(".py")}
    texts = {MODULES / name: content.decode() for name, content in sources.items()}
    texts[PLANS / f"{spec.stem}.txt"] = show(build.passage.plan)
    data = sorted(build.files.keys() - sources.keys())
    digests = [f"{hashlib.sha256(build.files[name]).hexdigest()}  {name}\n" for name in data]
    return texts | ({PLANS / f"{spec.stem}.sha256": "".join(digests)} if digests else {})


@pytest.fixture(scope="module")
def accepted(examples_folder: Path, request: pytest.FixtureRequest) -> Mapping[Path, str]:
    """What is accepted, by path, after accepting what there is now if that is asked for."""
    if request.config.getoption("--update-golden"):
        for folder in (MODULES, PLANS):
            folder.mkdir(exist_ok=True)
            for path in folder.iterdir():
                path.unlink()
        for spec in sorted(examples_folder.glob("*.nnspec")):
            for path, text in current(spec).items():
                path.write_bytes(text.encode())
    held = [path for folder in (MODULES, PLANS) for path in sorted(folder.iterdir()) if path.is_file()]
    return {path: path.read_bytes().decode() for path in held}


def test_output_is_as_accepted(example: str, examples_folder: Path, accepted: Mapping[Path, str]) -> None:
    for path, text in current(examples_folder / f"{example}.nnspec").items():
        name = path.relative_to(HERE)
        assert path in accepted, f"{name} is not there: run `make golden` and look at the difference"
        assert accepted[path] == text, f"{name} differs: run `make golden` and look at the difference"


def test_everything_accepted_is_of_an_example(examples_folder: Path, accepted: Mapping[Path, str]) -> None:
    specs = sorted(examples_folder.glob("*.nnspec"))
    assert accepted.keys() == {path for spec in specs for path in current(spec)}


@pytest.mark.parametrize(
    "tool", [["format", "--check"], ["check", "--select", "F,E,W,I,B,UP,C4,SIM,RET,PIE"]]
)
def test_generated_sources_are_clean(tool: list[str]) -> None:
    """No unused import or definition, sorted imports, and stable under the formatter."""
    beside = [f"nnspec_{folder}" for folder in ("common", "torch", "keras", "numpy", "tests")]
    own = ["--config", f"lint.isort.known-first-party={beside}"] if tool[0] == "check" else []
    command = [sys.executable, "-m", "ruff", *tool, "--no-cache", "--line-length", "110", *own, str(MODULES)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_few_lines_are_copies() -> None:
    """How much of all modules stands in another one already, in runs of six lines or more."""
    seen: set[tuple[str, ...]] = set()
    copied = lines = 0
    # Of the two decoders, whose specs differ in the rule of a check alone, of the two gated networks, and of
    # the two of neurons that leak, one counts each.
    alike = "min_sum_decoder", "gru", "spiking"
    modules = [path for path in MODULES.glob("*.py") if not any(name in path.name for name in alike)]
    for path in sorted(modules, key=lambda path: (not path.name.startswith("nnspec_"), path)):
        source = path.read_text()
        # At its top a module says of which network it is, as the others of the network do.
        text = source.replace(ast.get_docstring(ast.parse(source), clean=False) or "", "", 1).splitlines()
        again: set[int] = set()
        for at in range(len(text) - 5):
            run = tuple(text[at : at + 6])
            again.update(range(at, at + 6) if run in seen else ())
            seen.add(run)
        copied, lines = copied + len(again), lines + len(text)
    assert copied < 0.20 * lines  # of networks over time it is a third: they run, step and start alike
