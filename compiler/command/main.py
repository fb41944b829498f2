"""The command `spec-compile`. Exit codes: 0 fine, or warnings alone; 1 findings; 2 wrong usage."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...dsl.diagnostics import SpecError
from ...dsl.findings import Diagnostic
from ...dsl.printing import printable
from ...dsl.render import Format, as_object, json_text
from ...dsl.source import Source
from ...dsl.words import suggest
from ..defaults import BATCH, KERNELS, TARGET_NAMES
from ..names.reserved import is_name
from ..version import VERSION
from .building import compare, compiled, orders_of, show_difference, watched, write_builds
from .console import REMOVE_BAR, encodable, open_streams, put, put_data, say
from .reporting import Reporting, fails, settings, show, wanted
from .settings import Order

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from ..graph.model import Connection, Model
    from ..pipeline import Passage
    from .edge_table import EdgeColumn


class Commands(click.Group):
    """A group whose first word may be a spec instead of a command: then it is compiled."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the command line, whatever the standard streams are."""
        open_streams()
        # What a compilation makes stays to its end. To look for garbage as often as usual finds none, and to
        # look through all of it when Python ends takes a sixth of the time.
        gc.set_threshold(100_000, *gc.get_threshold()[1:])
        atexit.register(gc.freeze)
        return super().main(*args, **options)

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """Read the options that stand before a command."""
        with _usage_errors():
            return super().make_context(*args, **options)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `build` before a first word that is neither a command nor an option of the group."""
        if not args and ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        if not args:
            if settings() is None:
                put(ctx.get_help() + "\n", err=True)
                ctx.exit(2)
            args = ["build"]
        own = {"-h", "--help", "--version", "--explain"}
        if args[0] not in self.commands and args[0].partition("=")[0] not in own:
            if not (args[0].startswith("-") or Path(args[0]).suffix or os.path.lexists(args[0])):
                guess = suggest(args[0], self.commands) or _near(Path(args[0]))
                hint = f"did you mean `{guess}`?" if guess else f"commands are {', '.join(self.commands)}"
                raise click.UsageError(f"`{args[0]}` is neither a command nor a file; {hint}", ctx)
            args = ["build", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a first word: a command, a spec, or an option of either the group or `build`."""
        from click.shell_completion import CompletionItem

        found = super().shell_complete(ctx, incomplete)
        if incomplete.startswith("-"):
            build = self.commands["build"]
            return [*found, *build.shell_complete(click.Context(build, ctx), incomplete)]
        return [*found, CompletionItem(incomplete, type="file")]

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        with _usage_errors():
            if not sys.stderr.isatty():
                return super().invoke(ctx)
            from rich.console import Console

            from .progress import search_progress

            with search_progress(Console(stderr=True)):
                return super().invoke(ctx)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show both forms."""
        formatter.write_usage("spec-compile", "FILE... [-t TARGET]... [-o FOLDER] [-D NAME=VALUE]...")
        formatter.write_usage("spec-compile", "COMMAND ...", prefix="       ")


@contextmanager
def _usage_errors() -> Generator[None]:
    """Make messages fit for a terminal. A file that cannot be read or written is wrong usage, too."""
    try:
        yield
    except BrokenPipeError:
        raise  # click ends the process quietly
    except click.UsageError as error:
        message, context = error.format_message(), error.ctx
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        message, context = f"{where}{error.strerror or error}", None
    else:
        return
    raise click.UsageError(encodable(printable(message), sys.stderr), context)


def _params(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> Mapping[str, int | float]:
    params: dict[str, int | float] = {}
    for text in values:
        name, equals, value = text.partition("=")
        try:
            number = float(value)
            params[name.strip()] = int(value) if number == int(number) and _is_integer(value) else number
        except (ValueError, OverflowError):
            number = float("nan")
        if not equals or number != number or abs(number) == float("inf"):
            raise click.BadParameter(f"`{text}` is not NAME=NUMBER", context, parameter)
    return params


def _model_name(context: click.Context, parameter: click.Parameter, name: str | None) -> str | None:
    if name is not None and not is_name(name):
        raise click.BadParameter(f"`{name}` is no name: letters, digits and `_` make one", context, parameter)
    return name


def _is_integer(text: str) -> bool:
    return text.strip().lstrip("+-").isdigit()


class SpecPath(click.Path):
    """A spec that is there. Of one that is not, the nearest is named that is in the same folder."""

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path of a spec."""
        path = Path(value)
        if not os.path.lexists(path) and (near := _near(path)):
            self.fail(f"file '{path}' does not exist; did you mean `{near}`?", param, ctx)
        return super().convert(value, param, ctx)


def _near(path: Path) -> Path | None:
    """The spec whose name is most like that of a path, in the folder where that would be."""
    folder = path.parent
    specs = {spec.name: spec for spec in folder.glob("*.nnspec")} if folder.is_dir() else {}
    guess = path.name + ".nnspec" if path.name + ".nnspec" in specs else suggest(path.name, specs)
    return specs[guess] if guess else None


PATH = SpecPath()
FILE = click.argument("file", type=PATH)
FILES = click.argument("specs", nargs=-1, required=True, type=PATH, metavar="FILE...")
OWN_FILES = click.argument("specs", nargs=-1, type=PATH, metavar="[FILE]...")
PARAMS = click.option(
    "-D",
    "params",
    multiple=True,
    callback=_params,
    metavar="NAME=VALUE",
    help="Override a param of the spec.",
)
TARGETS = click.option(
    "-t",
    "--target",
    "targets",
    multiple=True,
    type=click.Choice(TARGET_NAMES),
    help="A target to compile for; may be given again. All of them by default.",
)
QUIET = click.option("-q", "--quiet", is_flag=True, help="Say nothing but what is wrong.")


BATCH_SIZE = click.option(
    "--batch",
    type=click.IntRange(min=1, max=2**31 - 1),
    metavar="N",
    help=f"The batch that kernels are chosen for, {BATCH} by default; any other works as well.",
)


REMAT = click.option(
    "--remat",
    type=click.IntRange(min=1, max=2**31 - 1),
    metavar="N",
    help="Over time, PyTorch keeps every Nth state for gradients and computes what is between again.",
)


KERNELS_PLACE = click.option(
    "--kernels",
    type=click.Choice(KERNELS),
    help="Where kernels stand: inside each module (the default), or beside, once, in nnspec_<target>.py.",
)
PACKAGE = click.option(
    "--package", is_flag=True, help="Kernels beside, imported relatively: the folder is a package's."
)


def _explain(context: click.Context, parameter: click.Parameter, code: str | None) -> None:
    """Print what a diagnostic means, and leave."""
    if code is None or context.resilient_parsing:
        return
    from .explanations import explained_codes, explanation

    known = explained_codes()
    if code.upper() not in known:
        guess = suggest(code, known)
        hint = f"; did you mean `{guess}`?" if guess else ""
        raise click.UsageError(f"no diagnostic has the code `{code}`{hint}")
    put(explanation(code.upper()).text())
    context.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="spec-compile")
@click.option(
    "--explain",
    metavar="CODE",
    is_eager=True,
    expose_value=False,
    callback=_explain,
    help="Show what a diagnostic means, E204 say, with a wrong and a right spec.",
)
def main() -> None:
    """Compile a .nnspec file to PyTorch, Keras 3 or NumPy code, with tests that prove its gradients."""


@main.command(short_help="Compile specs (the default).")
@OWN_FILES
@TARGETS
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to write to; this one by default.",
)
@PARAMS
@BATCH_SIZE
@REMAT
@KERNELS_PLACE
@PACKAGE
@click.option(
    "--name", callback=_model_name, metavar="NAME", help="A name for the model, not the spec's own."
)
@click.option("--stdout", is_flag=True, help="Print the modules instead of writing files.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if files are stale, edited or missing.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
@click.option("--force", is_flag=True, help="Overwrite files that were edited by hand, or made otherwise.")
@click.option("--watch", is_flag=True, help="Write, and write again whenever a spec or its data changes.")
@click.option(
    "--emit",
    type=click.Choice(["tree", "model", "graph", "plan"]),
    help="Print what stands between two steps of the compiler, and write nothing.",
)
@QUIET
def build(
    specs: Sequence[Path],
    targets: tuple[str, ...],
    output: Path | None,
    params: Mapping[str, int | float],
    batch: int | None,
    remat: int | None,
    kernels: str | None,
    package: bool,
    name: str | None,
    stdout: bool,
    check: bool,
    diff: bool,
    force: bool,
    watch: bool,
    emit: str | None,
    quiet: bool,
) -> None:
    """Compile each FILE to one module for every target, their tests, and a .npz of edges if there are any.

    Without a FILE, what the settings of the project name is compiled: the table tool.nnspec of the nearest
    pyproject.toml. They hold for a FILE too, where no option says otherwise.
    """
    asked = {"--emit": emit, "--stdout": stdout, "--check or --diff": check or diff, "--watch": watch}
    asked["--force"] = force and not watch
    if len(given := [option for option, value in asked.items() if value]) > 1:
        raise click.UsageError(f"{given[0]} and {given[1]} are two different things to do; give one of them")
    if package and kernels == "inside":
        raise click.UsageError("--package is for kernels beside the modules, and --kernels inside is not")
    asked_order = Order(Path(), targets, output, batch, params, name, kernels, package or None, remat)
    orders = orders_of(specs, asked_order)
    if emit is not None:
        from .show import show

        for order in orders:
            put_data([show(getattr(_understand(order), emit))])
        return
    if watch:
        watched(orders, force=force, quiet=quiet)
        return
    builds = compiled(orders)
    if stdout:
        for files in builds.files.values():
            put_data([content.decode() for name, content in files.items() if name.endswith(".py")])
    elif check or diff:
        sys.exit(compare(builds, show_diff=diff))
    else:
        write_builds(builds, force=force, quiet=quiet)


def _understand(order: Order) -> Passage:
    from ..pipeline import understand

    with Reporting(order.params or {}):
        passage = understand(
            order.spec, order.params, order.batch or BATCH, name=order.name, remat=order.remat or 0
        )
        show(passage.diagnostics, passage.tree.source)
        return passage


class Checked(SpecPath):
    """A spec, a folder of specs, or `-` for standard input."""

    def __init__(self) -> None:
        super().__init__()
        self.dir_okay = True

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path of what is checked."""
        return Path("-") if value == "-" else super().convert(value, param, ctx)


@main.command()
@click.argument("specs", nargs=-1, type=Checked(), metavar="[FILE]...")
@PARAMS
@click.option("--format", "style", type=click.Choice(["full", "concise", "json"]), default="full")
@QUIET
def check(specs: Sequence[Path], params: Mapping[str, int | float], style: Format, quiet: bool) -> None:
    """Show all errors and warnings of each FILE, for every target, on standard output.

    A folder stands for all specs in it and below, `-` for standard input. Without a FILE, the specs that the
    settings of the project name are checked. Exits with 1 if there is an error. `json` is one list, empty if
    nothing is found. With --quiet, warnings are not shown.
    """
    orders = orders_of([spec for path in specs for spec in _specs_in(path)], Order(Path(), params=params))
    found = [_findings(order) for order in orders]
    if quiet:
        found = [(source, [d for d in own if fails([d])]) for source, own in found]
    if style == "json":
        objects = [as_object(diagnostic, source) for source, own in found for diagnostic in wanted(own)]
        put(json_text(objects) + "\n")
    else:
        for source, own in found:
            show(own, source, style, err=False)
    if any(fails(own) for _, own in found):
        sys.exit(1)


def _specs_in(path: Path) -> Sequence[Path]:
    """The specs in a folder and below; anything else as it is."""
    if not path.is_dir():
        return [path]
    found = sorted(path.rglob("*.nnspec"))
    if not found:
        raise click.UsageError(f"{path}: there is no .nnspec file in this folder or below")
    return found


def _findings(order: Order) -> tuple[Source, Sequence[Diagnostic]]:
    """The source of a spec, under the path by which it was given, and what there is to say of it."""
    from ..pipeline import SPEC_SIZE_LIMIT, compile_spec

    text = None
    if order.spec == Path("-"):
        text = sys.stdin.buffer.read(SPEC_SIZE_LIMIT + 1).decode("utf-8-sig", errors="replace")
    with Reporting(order.params or {}):
        try:
            made = compile_spec(order.spec, TARGET_NAMES, order.params, text=text, name=order.name)
            source, found = made.passage.tree.source, made.diagnostics
        except SpecError as error:
            source, found = error.source, error.diagnostics
    return replace(source, name=str(order.spec)), found


@main.command()
@FILE
@PARAMS
@BATCH_SIZE
@click.option("--format", "style", type=click.Choice(["table", "json"]), default="table")
def explain(file: Path, params: Mapping[str, int | float], batch: int | None, style: str) -> None:
    """Show every connection of FILE: edges, density, fan-in, parameters, memory, kernel and the reason.

    Then the kernels that could compute it, with bytes and operations of a training step for a batch and the
    time it takes, in times of the quickest kernel; of a network over time, which layers are computed once,
    for all steps together, or step by step; and where values are transposed.
    """
    from .explain import as_json, explained
    from .tables import show_explanation

    explanation = explained(_understand(Order(file, params=params, batch=batch)).plan)
    if style == "json":
        import json

        put(json.dumps(as_json(explanation), indent=2) + "\n")
    else:
        show_explanation(explanation)


@main.command()
@FILE
@click.argument("connection", required=False)
@PARAMS
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a .csv or .npz file instead, which `load` reads.",
)
@click.option("--summary", is_flag=True, help="Print degrees, components and units without edges instead.")
def edges(
    file: Path,
    connection: str | None,
    params: Mapping[str, int | float],
    output: Path | None,
    summary: bool,
) -> None:
    """Print the edges of a CONNECTION of FILE as csv, in the order of its weights, source first.

    Units stand there by name where they have names.
    """
    from ..edges.edge_set import TooManyEdges
    from ..pipeline import read_by
    from .edge_table import csv_pieces, edge_columns, summarised
    from .tables import show_summary

    if summary and output is not None:
        raise click.UsageError("--summary prints, and -o writes; give one of them")
    if output is not None and output.suffix not in (".csv", ".npz"):
        raise click.UsageError(f"{output}: edges are written as .csv or .npz")
    model = _understand(Order(file, params=params)).model
    found = _connection(model, connection)
    sides = model.side(found.source), model.side(found.target)
    try:
        if summary:
            show_summary(found.name, sides, summarised(found.edges, sides))
        elif output is not None:
            _write_edges(output, edge_columns(found.edges, sides), read_by=read_by(file, model))
        else:
            put_data(csv_pieces(edge_columns(found.edges, sides)))
    except TooManyEdges as error:
        say(f"`{found.name}` has {error.count:,} edges, more than can be written out", err=True)
        sys.exit(1)


def _write_edges(output: Path, columns: list[EdgeColumn], read_by: Sequence[Path]) -> None:
    """Write edges as a file, unless it is one that their spec reads."""
    from ...backends.archive import npz
    from ...backends.emit import replace_files
    from ..plan.plan import Stored
    from .edge_table import NamesTooLong, csv_pieces, edge_arrays

    place = _writable(output)
    if place.exists() and any(place.samefile(read) for read in read_by):
        raise click.UsageError(f"{output}: the spec reads this file, so it is not overwritten")
    try:
        if output.suffix == ".npz":
            content = npz([Stored(name, array) for name, array in edge_arrays(columns).items()])
        else:
            content = b"".join(piece.encode() for piece in csv_pieces(columns))
    except NamesTooLong as error:
        lines = f"the names of `{error.axis}` would take {error.size:,} bytes as an array; write a .csv"
        say(lines, err=True)
        sys.exit(1)
    replace_files({place: content})
    say(f"wrote {output}")


def _connection(model: Model, name: str | None) -> Connection:
    """The connection of a name; wrong usage that says which there are if it has none, or no name is given."""
    names = [connection.name for connection in model.connections]
    if name in names:
        return model.connections[names.index(name)]
    guess = suggest(name or "", names)
    hint = f"did you mean `{guess}`?" if guess else f"connections are {', '.join(names)}"
    wrong = "which CONNECTION" if name is None else f"no connection is called `{name}`"
    raise click.UsageError(f"{wrong}; {hint}")


def _writable(path: Path) -> Path:
    """The ordinary file that a path leads to, there already or not, unless it may not be written to."""
    from ...backends.emit import ordinary_file

    place = ordinary_file(path)
    # Who may write to everything, as root may, is asked to respect the mark as well.
    if place.exists() and not (place.stat().st_mode & 0o222 and os.access(place, os.W_OK)):
        raise click.UsageError(f"{path} is read-only")
    return place


@main.command()
@FILES
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if the layout is not canonical.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
def fmt(specs: Sequence[Path], check: bool, diff: bool) -> None:
    """Lay out each FILE canonically, in place.

    A link is followed. Other hard links to a file keep what it was before.
    """
    different = [spec for spec in specs if _lay_out(spec, check, diff)]
    if different and (check or diff):
        sys.exit(1)


def _lay_out(file: Path, check: bool, diff: bool) -> bool:
    """Lay out a spec canonically, or say what would change; whether it was laid out otherwise."""
    from ...dsl.formatter import format_spec
    from ...dsl.parser import parse
    from ..pipeline import read

    with Reporting({}):
        source, report = read(file)
        tree = parse(source, report)
        report.check()
    formatted = format_spec(tree)
    if formatted == source.text:
        return False
    if diff:
        show_difference(source.text, formatted, str(file), "formatted")
    if check:
        say(f"not in canonical layout: {file}")
    if not (check or diff):
        _replace(file, source, formatted)
    return True


def _replace(file: Path, source: Source, formatted: str) -> None:
    """Put a spec's layout in its place, unless it is another spec by now."""
    from ...backends.emit import replace_files
    from ..pipeline import read

    place = _writable(file)
    names = place.stat().st_nlink
    with Reporting({}):
        now, _ = read(file)
    if now.text != source.text:
        raise click.UsageError(f"{file} was changed at this moment, and is left alone; lay it out again")
    replace_files({place: formatted.encode()})
    say(f"formatted {file}{'; its other hard links keep the old layout' if names > 1 else ''}")


@main.command(context_settings={"ignore_unknown_options": True})
@FILE
@TARGETS
@PARAMS
@BATCH_SIZE
@click.option("--require", is_flag=True, help="Fail if tests are skipped because a framework is missing.")
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def test(
    file: Path,
    targets: tuple[str, ...],
    params: Mapping[str, int | float],
    batch: int | None,
    require: bool,
    pytest_arguments: tuple[str, ...],
) -> None:
    """Compile FILE into a scratch folder and run the generated tests with pytest.

    Neither settings nor plugins of the folders around are read. Other arguments go to pytest, `-k torch` say.
    Tests of a target whose framework is not installed are skipped, and counted in the last line.
    """
    import subprocess
    import tempfile

    from ...backends.emit import write

    if several := [text for text in pytest_arguments if text.endswith(".nnspec")]:
        raise click.UsageError(f"one FILE at a time is tested, and `{several[0]}` is another")
    (files,) = compiled([Order(file, targets, None, batch, params)]).files.values()
    with tempfile.TemporaryDirectory(prefix="nnspec-") as folder:
        write(files, Path(folder))
        tests = next(name for name in files if name.startswith("test_"))
        runner = Path(__file__).with_name("run_tests.py")
        command = [sys.executable, "-P", str(runner), str(Path(folder) / tests)]
        command += ["require" if require else "skip", *pytest_arguments]
        REMOVE_BAR.get()()
        # Processes that plugins of pytest start keep the current folder off their path, too.
        told = {"PYTHONSAFEPATH": "1", "NNSPEC_SPEC_FOLDER": str(file.resolve().parent)}
        finished = subprocess.run(command, env={**os.environ, **told}, check=False)
    sys.exit(finished.returncode if finished.returncode in (0, 2) else 1)


if __name__ == "__main__":
    main()
