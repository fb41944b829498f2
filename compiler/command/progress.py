"""A bar on the terminal while a spec's edges are searched for, from the second second on."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..names.budget import WATCHER
from .console import REMOVE_BAR

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

PATIENCE = 1.0


@contextmanager
def search_progress(console: Console) -> Generator[None]:
    """Show on a console how much of what may be searched has been, where that takes longer than a second.

    The bar is removed before anything is printed, and no stream is led to the console: one may be a file.
    """
    started: float | None = None
    bar: Progress | None = None
    task: TaskID | None = None

    def watch(done: int, limit: int) -> None:
        nonlocal started, bar, task
        if started is None:
            started = time.monotonic()
        if time.monotonic() - started < PATIENCE:
            return
        if bar is None or task is None:
            from rich.progress import Progress

            bar = Progress(console=console, transient=True, redirect_stdout=False, redirect_stderr=False)
            task = bar.add_task("pairs tried one by one, of those that may be", total=limit)
            bar.start()
        bar.update(task, completed=done)

    def remove() -> None:
        nonlocal started, bar
        if bar is not None:
            bar.stop()
        started = bar = None

    watcher, removed = WATCHER.set(watch), REMOVE_BAR.set(remove)
    try:
        yield
    finally:
        WATCHER.reset(watcher)
        REMOVE_BAR.reset(removed)
        remove()
