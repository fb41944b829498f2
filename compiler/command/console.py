"""What the command prints: lines for people, and data for programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, TextIO

import click

from ...dsl.printing import printable

if TYPE_CHECKING:
    from rich.console import Console

# Takes a bar of progress off the terminal, if there is one: it goes before anything is printed.
REMOVE_BAR: ContextVar[Callable[[], None]] = ContextVar("REMOVE_BAR", default=lambda: None)


def open_streams() -> None:
    """Make the standard streams safe to write to.

    One that is closed leads nowhere, so that no file that is opened later takes its number and is written
    what was meant for people. A character that a stream cannot hold is escaped.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest number that is free, which is this one; child processes have it, too.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def is_coloured(stream: TextIO) -> bool:
    """Whether a stream is a terminal that may have colours, or the environment asks for them."""
    return not os.environ.get("NO_COLOR") and (bool(os.environ.get("FORCE_COLOR")) or stream.isatty())


def say(line: str, *, err: bool = False, colour: str | None = None) -> None:
    """Print a line for people, escaped where it would act on a terminal."""
    text = printable(line, keep="\t")
    if colour and is_coloured(sys.stderr if err else sys.stdout):
        text = click.style(text, fg=colour)
    put(text + "\n", err=err)


def put(text: str, *, err: bool = False) -> None:
    """Print text that holds nothing but what is meant for a terminal, line breaks and colours as they are."""
    REMOVE_BAR.get()()
    click.echo(encodable(text, sys.stderr if err else sys.stdout), nl=False, err=err)


def encodable(text: str, stream: TextIO) -> str:
    """Text with what the encoding of a stream lacks escaped."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def put_data(pieces: Iterable[str]) -> None:
    """Print data: in UTF-8, to the byte, to a file or a program; to a terminal as text for people."""
    REMOVE_BAR.get()()
    if sys.stdout.isatty():
        for piece in pieces:
            put(printable(piece, keep="\n\t"))
        return
    sys.stdout.flush()
    for piece in pieces:
        click.echo(piece.encode(), nl=False)


def table_console() -> Console:
    """A console of rich on standard output, for tables; of a fixed width where that is no terminal."""
    from rich.console import Console

    REMOVE_BAR.get()()
    return Console(width=None if sys.stdout.isatty() else 120)
