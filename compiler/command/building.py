"""What `spec-compile` builds: from orders to files, compared with those that are there, or written."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...dsl.records import record
from ..defaults import BATCH, TARGET_NAMES
from .console import say
from .reporting import Reporting, refuse_warnings, settings, show
from .settings import Order, over

if TYPE_CHECKING:
    from ...backends.emit import Found


@record
class Builds:
    """The files of some builds, by folder and name, and what their specs read."""

    files: Mapping[Path, Mapping[str, bytes]]
    reads: tuple[Path, ...]


def orders_of(specs: Sequence[Path], asked: Order) -> list[Order]:
    """What is to be built: the specs that are given, or those of the settings, with what the command asks.

    Of an order, `asked` has what options say, and nothing where they say nothing.
    """
    chosen = settings()
    if specs:
        orders = [order for spec in specs for order in (chosen.orders_of(spec) if chosen else (Order(spec),))]
    elif chosen is not None and chosen.orders:
        orders = list(chosen.orders)
    else:
        why = (
            "the settings name none" if chosen else "no pyproject.toml here or above has a table tool.nnspec"
        )
        raise click.UsageError(f"which FILE? {why}")
    if asked.name is not None and len(orders) > 1:
        raise click.UsageError(f"--name names one model, and there are {len(orders)} specs to build")
    return [
        replace(
            order,
            targets=asked.targets or order.targets,
            output=asked.output or order.output,
            batch=asked.batch or order.batch,
            remat=asked.remat or order.remat,
            params={**(order.params or {}), **(asked.params or {})},
            name=asked.name or order.name,
            **over(_place(order), {key: said for key, said in _place(asked).items() if said is not None}),
        )
        for order in orders
    ]


def _place(order: Order) -> dict[str, str | bool | None]:
    """Where an order has kernels stand."""
    return {"kernels": order.kernels, "package": order.package}


def compiled(orders: Sequence[Order]) -> Builds:
    """The files of all orders; wrong usage if two make the same file."""
    from ..pipeline import compile_spec, read_by

    folders: dict[Path, dict[str, bytes]] = {}
    reads: list[Path] = []
    for order in orders:
        with Reporting(order.params or {}):
            made = compile_spec(
                order.spec,
                order.targets or TARGET_NAMES,
                order.params,
                order.batch or BATCH,
                name=order.name,
                kernels=order.kernels,
                package=bool(order.package),
                remat=order.remat or 0,
            )
            show(made.diagnostics, made.passage.tree.source)
        refuse_warnings(made.diagnostics)
        files = folders.setdefault(_near(order.output or Path()), {})
        # Kernels beside modules are the same whichever model they are for.
        both = files.keys() & made.files.keys()
        if twice := sorted(name for name in both if files[name] != made.files[name]):
            raise click.UsageError(f"{order.spec}: a FILE before it makes `{twice[0]}` too; rename a model")
        files.update(made.files)
        reads += read_by(order.spec, made.passage.model)
    return Builds(folders, tuple(reads))


def _near(folder: Path) -> Path:
    """A folder as people in the current one would write it."""
    if not folder.is_absolute():
        return folder
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


# ---------------------------------------------------------------------------- what is there, and writing


_LEFT_OVER = "left over from an earlier build"


def _reason(found: Found) -> str:
    """What is the matter with a file at a place, and what it was made from where that is it."""
    from ...backends.emit import State

    if found.state is State.OTHER and found.held and found.ours:
        return f"made from {found.held.network}, and not from {found.ours.network}"
    return found.state.value


def compare(builds: Builds, *, show_diff: bool) -> int:
    """Say which files differ and how, or show it, and which are left over; 1 if there are any."""
    from ...backends.emit import State, find, left_over

    different = [
        (found, files[found.path.name])
        for folder, files in builds.files.items()
        for found in find(files, folder, builds.reads)
        if found.state is not State.CURRENT
    ]
    for found, content in different:
        if show_diff and found.path.name.endswith(".py"):
            held = b"" if found.state is State.MISSING else found.path.read_bytes()
            show_difference(held.decode(errors="replace"), content.decode(), str(found.path))
        else:
            say(f"{_reason(found)}: {found.path}")
    old = [path for folder, files in builds.files.items() for path in left_over(files, folder)]
    for path in old:
        say(f"{_LEFT_OVER}: {path}")
    return 1 if different or old else 0


def show_difference(before: str, after: str, name: str, made: str = "compiled") -> None:
    """Show how a file would change; `made` says what was done to make its other side."""
    import difflib

    old, new = (list(io.StringIO(text, newline="\n")) for text in (before, after))
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for line in difflib.unified_diff(old, new, name, f"{name} ({made})"):
        say(line.removesuffix("\n"), colour=colours.get(line[:1]))
        if not line.endswith("\n"):
            say("\\ No newline at end of file")


def write_builds(builds: Builds, *, force: bool, quiet: bool) -> None:
    """Write builds, all files or none, or say which files there are not to be lost, and why."""
    from ...backends.emit import Refused, left_over, write_folders

    try:
        changed = {*write_folders(builds.files, force=force, reads=builds.reads)}
    except Refused as error:
        _say_refused(error.found)
        sys.exit(1)
    for folder, files in builds.files.items():
        for name in files if not quiet else ():
            path = folder / name
            say(f"{'wrote    ' if path in changed else 'unchanged'} {path}")
        if old := left_over(files, folder):
            say(f"{_LEFT_OVER}: {', '.join(map(str, old))}", err=True)
            say("Compile for all targets that are in use, and remove what is not in use.", err=True)


def _say_refused(refused: Sequence[Found]) -> None:
    """Say which files are not overwritten, why, and what to do."""
    from ...backends.emit import State

    reasons: dict[str, list[str]] = {}
    for found in refused:
        reasons.setdefault(_reason(found), []).append(str(found.path))
    for reason, paths in reasons.items():
        say(f"not overwritten, because {reason}: {', '.join(paths)}", err=True)
    states = {found.state for found in refused}
    ways = ["move the change into the spec"] if State.EDITED in states else []
    ways += ["rename the model", "compile into another folder with -o"] if states - {State.EDITED} else []
    ways += [] if State.READ in states else ["compile with --force"]
    text = f"{', '.join(ways[:-1])}, or {ways[-1]}. Nothing was written."
    say(text[0].upper() + text[1:], err=True)


# --------------------------------------------------------------------------------------------- watching


# How often files are looked at, in seconds.
PAUSE = 0.3


def watched(orders: Sequence[Order], *, force: bool, quiet: bool) -> None:
    """Build, and build again what reads a file that has changed, until the user ends it."""
    # What every spec reads, and as what it was there when it was last read.
    seen: list[dict[Path, object]] = [{order.spec: None} for order in orders]
    with suppress(KeyboardInterrupt):
        while True:
            changed = [at for at, stamps in enumerate(seen) if _stamps(stamps) != stamps]
            for at in changed:
                before = _stamps(seen[at])
                reads = _rebuilt(orders[at], force=force, quiet=quiet) or tuple(before)
                seen[at] = {**_stamps(reads), **{path: before[path] for path in reads if path in before}}
            if changed and not quiet:
                say("watching for changes; Ctrl-C ends it", err=True)
            time.sleep(PAUSE)


def _rebuilt(order: Order, *, force: bool, quiet: bool) -> tuple[Path, ...]:
    """Build one spec, and return what it reads; nothing where it has errors, which are shown."""
    try:
        builds = compiled([order])
        write_builds(builds, force=force, quiet=quiet)
    except SystemExit:
        return ()
    except click.UsageError as error:
        say(error.format_message(), err=True)
        return ()
    return builds.reads


def _stamps(paths: Iterable[Path]) -> dict[Path, object]:
    """What shows that a file has changed, by path; None where there is no file."""

    def stamp(path: Path) -> object:
        try:
            status = path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    return {path: stamp(path) for path in paths}
