"""What the command prints: lines for people, and data for programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TextIO

import click

from ..dsl.printing import printable


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
    """Whether a stream is a terminal that may have colours."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def say(line: str, *, err: bool = False, colour: str | None = None) -> None:
    """Print a line for people, escaped where it would act on a terminal."""
    text = printable(line, keep="\t")
    if colour and is_coloured(sys.stderr if err else sys.stdout):
        text = click.style(text, fg=colour)
    put(text + "\n", err=err)


def put(text: str, *, err: bool = False) -> None:
    """Print text that holds nothing but what is meant for a terminal, line breaks and colours as they are."""
    click.echo(encodable(text, sys.stderr if err else sys.stdout), nl=False, err=err)


def encodable(text: str, stream: TextIO) -> str:
    """Text with what the encoding of a stream lacks escaped."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def put_data(pieces: Iterable[str]) -> None:
    """Print data: in UTF-8, to the byte, to a file or a program; to a terminal as text for people."""
    if sys.stdout.isatty():
        for piece in pieces:
            put(printable(piece, keep="\n\t"))
        return
    sys.stdout.flush()
    for piece in pieces:
        click.echo(piece.encode(), nl=False)
