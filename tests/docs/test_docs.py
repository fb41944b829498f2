"""The pages under `docs`, run: every example in the order in which it stands there, a folder for each page.

What a fenced block is for shows in what stands behind its three backticks:

    nnspec             a whole spec; compiles for all targets
    nnspec frame       a spec that the fragments below it are appended to, up to the next frame
    nnspec fragment    statements; compile together with the frame above them
    nnspec NAME        a whole spec, also written to the file NAME; so for csv and python
    console            `$ command` lines, each with exactly what it prints below it; `...` stands for any text
    diff NAME          a change of the file NAME, which is made there
    python             run as if typed after the blocks of Python above it

Other blocks are for reading.
"""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nnspec.compiler import compile_spec
from nnspec.compiler.catalogue.activations import ACTIVATIONS
from nnspec.compiler.catalogue.initialisers import DISTRIBUTIONS
from nnspec.compiler.catalogue.losses import LOSSES, PENALTIES
from nnspec.compiler.catalogue.norms import NORMS
from nnspec.compiler.catalogue.reductions import REDUCTIONS
from nnspec.compiler.functions import catalogue
from nnspec.compiler.functions.tree import FUNCTIONS as WORDS
from nnspec.compiler.names.arithmetic import FUNCTIONS
from nnspec.compiler.sets.rules import RULES
from nnspec.dsl.diagnostics import SpecError

from ..processes import commands

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
LANGUAGE = ROOT / "docs" / "language.md"
COMMANDS = ("spec-compile", "python", "echo", "head", "sed", "OMP_NUM_THREADS=1 torchrun", "KERAS_BACKEND=")

pytestmark = pytest.mark.xdist_group("keras")


@dataclass(frozen=True)
class Block:
    """A fenced block: where its text begins, its language, what stands behind that, and its text."""

    page: Path
    line: int
    language: str
    rest: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page."""
    start, fence, lines = 0, "", list[str]()
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if not start and line.startswith("```"):
            start, fence, lines = number + 1, line[3:].strip(), []
        elif start and line.startswith("```"):
            language, _, rest = fence.partition(" ")
            yield Block(page, start, language, rest, "\n".join([*lines, ""]))
            start = 0
        elif start:
            lines.append(line)
    assert not start, f"{page.name}:{start}: a block that does not end"


# ------------------------------------------------------------------------------------------- running pages


# Blocks of one start Keras, on three backends in turn, those of the other what trains and exports PyTorch.
LONG = ("in-keras.md", "in-pytorch.md")
RUN = [pytest.param(page, marks=[pytest.mark.slow] * (page.name in LONG), id=page.name) for page in PAGES]


@pytest.mark.parametrize("page", RUN)
def test_examples_of_a_page_run(
    page: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    if page.name == "examples.md":  # its specs load what is in folders beside them
        for folder in (path for path in (ROOT / "examples").iterdir() if path.is_dir()):
            shutil.copytree(folder, folder.name)
    made = tmp_path_factory.getbasetemp()
    forget_generated(made)  # by other tests, under names that a page may use
    namespace: dict[str, object] = {"__name__": page.stem}
    frame = ""
    try:
        for block in blocks(page):
            if block.language == "diff":
                change(block)
            elif block.rest not in ("", "frame", "fragment"):
                Path(block.rest).parent.mkdir(parents=True, exist_ok=True)
                Path(block.rest).write_text(block.text, encoding="utf-8")
            if block.language == "nnspec" and block.rest == "frame":
                frame = block.text
            elif block.language == "nnspec":
                check_spec(block, frame if block.rest == "fragment" else "")
            elif block.language == "console":
                check_console(block)
            elif block.language == "python" and not block.rest:
                # Line numbers of the page show in a traceback.
                code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
                exec(code, namespace)
    finally:
        forget_generated(made)


def forget_generated(folder: Path) -> None:
    """Forget imported modules that tests have made somewhere below a folder."""
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(f"{folder}{os.sep}"):
            del sys.modules[name]


def change(block: Block) -> None:
    """Replace the lines of a file that a diff takes away, or has around, by those that it has afterwards."""
    lines = block.text.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if not line.startswith("+"))
    after = "".join(line[1:] for line in lines if not line.startswith("-"))
    text = Path(block.rest).read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{block.place}: not once in {block.rest}:\n{before}"
    Path(block.rest).write_text(text.replace(before, after), encoding="utf-8")


def check_spec(block: Block, frame: str) -> None:
    """A spec, or the statements of a fragment in their frame, compile for all targets."""
    path = Path(block.rest if block.rest.endswith(".nnspec") else "example.nnspec")
    path.write_text(frame + block.text, encoding="utf-8")
    try:
        compile_spec(path)
    except SpecError as error:
        messages = [f"{diagnostic.code.code}: {diagnostic.message}" for diagnostic in error.diagnostics]
        pytest.fail(f"{block.place} does not compile: {messages}", pytrace=False)


def check_console(block: Block) -> None:
    """Every command prints what the page says."""
    parts = re.split(r"^\$ (.*)\n", block.text, flags=re.MULTILINE)
    for command, wanted in zip(parts[1::2], parts[2::2], strict=True):
        if command.startswith(COMMANDS):
            printed = run(command)
            message = f"{block.place}: `{command}` prints\n{printed}\ninstead of\n{wanted}"
            assert doctest.OutputChecker().check_output(wanted, printed, doctest.ELLIPSIS), message


def run(command: str) -> str:
    """What a command prints, errors included, without blanks at the ends of lines."""
    quickly = commands("keras" if "KERAS_BACKEND=tensorflow" in command else "spec-compile")
    path = os.pathsep.join([quickly, str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "COLUMNS": "80"}
    finished = subprocess.run(
        command,
        shell=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
        env=environment,
    )
    return "".join(line.rstrip() + "\n" for line in finished.stdout.splitlines())


# ------------------------------------------------------------------------------------ what pages must have


def section(page: Path, heading: str) -> str:
    """The text below a heading, up to the next of its level or above."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert found, f"{page.name} has no heading `{heading}`"
    rest = text[found.end() :]
    following = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: following.start()] if following else rest


def table_cells(text: str) -> list[list[str]]:
    """The rows of the tables in a text, headings left out; `\\|` in a cell is a bar."""
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]
    return [row for row, after in zip(cells, [*cells[1:], [""]], strict=True) if not is_rule(row, after)]


def is_rule(row: list[str], after: list[str]) -> bool:
    """Whether a row of a table is its heading or the line below that."""
    return row[0].startswith("---") or after[0].startswith("---")


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("Operations", [*ACTIVATIONS, *catalogue.names(), *NORMS, "bias", "dropout", "scale", *WORDS]),
        ("Edge sets", RULES),
        ("Weights", DISTRIBUTIONS),
        ("Weights", REDUCTIONS),
        ("Losses and penalties", [*LOSSES, *PENALTIES]),
        ("Expressions", FUNCTIONS),
    ],
)
def test_everything_in_the_catalogues_is_described(heading: str, names: list[str]) -> None:
    text = section(LANGUAGE, heading)
    missing = [name for name in names if not re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", text)]
    assert not missing, f"not described under `{heading}`: {missing}"


def test_defaults_are_those_of_the_catalogues() -> None:
    text = section(LANGUAGE, "Operations")
    functions = [function for name in catalogue.names() if (function := catalogue.function(name))]
    numbers = [(entry, entry.parameters) for entry in (*ACTIVATIONS.values(), *NORMS.values())]
    for entry, parameters in (*numbers, *((function, function.defaults) for function in functions)):
        for name, value in parameters:
            wanted = re.compile(rf"`{entry.name}.*`{name} = {value:g}`".replace("1e-05", "1e-0?5"))
            assert any(map(wanted.search, text.splitlines())), f"{entry.name}: {name} = {value:g}"


def test_all_generated_tests_are_listed() -> None:
    suites = (ROOT / "backends" / "tests" / "kernels" / "suites.py").read_text()
    tests = re.findall(r"^    def test_(\w+)", suites, re.MULTILINE)
    rows = table_cells(section(ROOT / "docs" / "generated-code.md", "The generated tests"))
    assert sorted(row[0].strip("`") for row in rows) == sorted(tests)


def test_refused_names_are_refused(tmp_path: Path) -> None:
    rows = table_cells(section(LANGUAGE, "Names that are refused"))
    assert rows
    for _, names, code in rows:
        for name in re.findall(r"`([^`]+)`", names):
            spec = tmp_path / "name.nnspec"
            spec.write_text(f"model m\ninput x[2]\nlayer {name}[2]\n")
            with pytest.raises(SpecError) as error:
                compile_spec(spec)
            assert code in {diagnostic.code.code for diagnostic in error.value.diagnostics}, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / link).exists(), f"{page.name}: {link}"
    if page.name == "architecture.md":
        for path in re.findall(
            r"`((?:dsl|compiler|backends|tests|examples|benchmarks|docs)/[^`*<{ ]*)`", text
        ):
            assert (ROOT / path).exists(), f"{page.name}: {path}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_are_short(page: Path) -> None:
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith("|"):  # a row of a table cannot be broken
            assert len(line) <= 110, f"{page.name}:{number}"
