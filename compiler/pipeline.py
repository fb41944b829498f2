"""The whole way from a spec to files, as one line of plain function calls. Read this first.

text ──parse──> syntax tree ──resolve──> model ──lower──> graph ──plan──> plan ──emit──> files
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..backends.emit import Kernels, emit
from ..backends.headers import Made
from ..backends.registry import TARGETS
from ..backends.target import Target
from ..dsl.diagnostics import Report
from ..dsl.findings import Diagnostic
from ..dsl.parser import parse
from ..dsl.records import record
from ..dsl.source import Source
from ..dsl.syntax import Spec
from . import codes
from .defaults import BATCH, KERNELS
from .graph.graph import Graph, check
from .graph.lower import lower
from .graph.model import Model
from .names.reserved import is_name
from .plan.plan import Plan, plan
from .resolve.resolve import resolve
from .version import VERSION

# A spec is written by people; beyond this it is data, and belongs in a file that the spec loads.
SPEC_SIZE_LIMIT = 16 << 20
# The name of a spec that is no file.
TEXT = "text.nnspec"


@record
class Passage:
    """Everything that stands between the arrows, and the warnings found on the way."""

    tree: Spec
    model: Model
    graph: Graph
    plan: Plan
    made: Made
    diagnostics: tuple[Diagnostic, ...]


@record
class Build:
    """The files of a build by name, what they were made of, and the warnings."""

    files: Mapping[str, bytes]
    passage: Passage
    diagnostics: tuple[Diagnostic, ...]


def understand(
    path: Path,
    params: Mapping[str, int | float] | None = None,
    batch: int = BATCH,
    *,
    text: str | None = None,
    name: str | None = None,
    remat: int = 0,
) -> Passage:
    """From a file, or a text that stands for it, to its plan for batches of a size, without a target.

    `remat` is which states a network over time keeps, as `compile_spec` says. `name` is a name for the model
    instead of the spec's own. Raises `SpecError` with everything that is wrong.
    """
    # What is no text, a lone surrogate say, is refused as it is in a file.
    source, report = read(path) if text is None else as_read(path, text.encode(errors="surrogatepass"))
    tree = parse(source, report)
    report.check()
    model = resolve(tree, report, path.parent, params or {}, name)
    graph = check(lower(model))
    planned = plan(graph, batch, remat)
    made = made_of(source, model, params or {}, batch, remat)
    return Passage(tree, model, graph, planned, made, report.diagnostics)


def compile_spec(
    path: str | Path = TEXT,
    targets: Sequence[str] = tuple(TARGETS),
    params: Mapping[str, int | float] | None = None,
    batch: int = BATCH,
    *,
    text: str | None = None,
    name: str | None = None,
    kernels: str | None = None,
    package: bool = False,
    remat: int = 0,
) -> Build:
    """Compile the spec at `path` for `targets`: the files by name, nothing written.

    With `text`, that is the spec, and no file is read at `path`: what the spec loads is beside it all the
    same, or in the current folder without a `path`. `params` override those of the spec, and `name` its
    model's name, so that one spec gives modules of several sizes. Kernels are chosen for batches of `batch`,
    and stand `inside` each module, or `beside` them in `nnspec_<target>.py`, the same bytes for every model;
    with `package` they are beside, and imported relatively. In PyTorch, a network over time keeps every
    `remat`-th state for its gradients, and computes what is between again; where that has no effect, there
    is a warning.

    Raises `SpecError` with all errors of the spec, `UnknownParam` for an override that the spec does not
    declare, ValueError for a `name` that is no identifier or another word for `kernels`, and KeyError for an
    unknown target.
    """
    if name is not None and not is_name(name):
        raise ValueError(f"{name!r} is no name for a model: letters, digits and underscores make one")
    if kernels not in (None, *(KERNELS if not package else ["beside"])):
        raise ValueError(f"kernels are inside, or beside as they are in a package, and not {kernels!r}")
    place = Kernels.PACKAGE if package else Kernels(kernels or "inside")
    if remat < 0:
        raise ValueError(f"every {remat}th state cannot be kept: `remat` is a number of steps, or 0")
    passage = understand(Path(path), params, batch, text=text, name=name, remat=remat)
    chosen = [TARGETS[target]() for target in targets]
    passage = _without_effect(passage, chosen) if remat else passage
    files = emit(passage.plan, chosen, passage.made, place)
    return Build(files, passage, passage.diagnostics)


def _without_effect(passage: Passage, targets: Sequence[Target]) -> Passage:
    """Warn of targets in which the states of all steps are kept whatever is asked, and of what has none."""
    report = Report(passage.tree.source)
    others = [target.called for target in targets if not target.rematerialises]
    help = "its states are what PyTorch's `forward` keeps of a network whose connections have delays"
    if not passage.graph.delays:
        report.add(codes.NO_REMAT, None, where="on a network without delays", help=help)
    elif others:
        report.add(codes.NO_REMAT, None, where=f"in {' and '.join(others)}", help=help)
    return replace(passage, diagnostics=(*passage.diagnostics, *report.diagnostics))


def read(path: Path) -> tuple[Source, Report]:
    """The text of a spec. Raises `SpecError` if it is no text, or too much of it."""
    content = b""
    if path.is_file():  # a pipe would be waited for, and a device may never end
        with path.open("rb") as file:
            content = file.read(SPEC_SIZE_LIMIT + 1)
    return as_read(path, content, is_there=path.is_file())


def as_read(path: Path, content: bytes, *, is_there: bool = True) -> tuple[Source, Report]:
    """The text of a spec whose content is, or could be, that of `path`. Raises `SpecError` as `read` does."""
    # The name is printed on terminals and into generated code, and a file's name may hold line breaks.
    name = "".join(character if character.isprintable() else "\ufffd" for character in path.name)
    source = Source(name, content.decode("utf-8-sig", errors="replace"))
    report = Report(source)
    if not is_there:
        report.add(codes.NOT_A_FILE, None, name=name)
    if len(content) > SPEC_SIZE_LIMIT:
        report.add(codes.SPEC_TOO_LARGE, None, limit=f"{SPEC_SIZE_LIMIT:,}")
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        report.add(codes.NOT_TEXT, None, name=name, reason=f"byte {error.start} does not fit")
    report.check()
    return source, report


def read_by(path: Path, model: Model) -> tuple[Path, ...]:
    """The spec and the files that it loads, which nothing may overwrite."""
    return (path, *(path.parent / file.name for file in model.files))


def made_of(
    source: Source, model: Model, params: Mapping[str, int | float], batch: int, remat: int = 0
) -> Made:
    """The header's account of what generated files were made of, `params` being those that override.

    The batch is no part of the hash of inputs, nor which states are kept: these modules are of one network.
    """
    hasher = hashlib.sha256()
    files = (f"{file.name}\0{file.sha256}" for file in model.files)
    for part in (VERSION, source.text, repr(model.params), *files):
        hasher.update(f"{len(part)}\0{part}".encode())
    return Made(VERSION, source.name, model.name, tuple(params.items()), hasher.hexdigest(), batch, remat)
