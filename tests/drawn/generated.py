"""Runs the tests of a generated test module in this process, without pytest around each of them."""

from __future__ import annotations

import inspect
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any


def run_all(tests: ModuleType, chosen: Callable[[str], bool] = lambda name: True) -> None:
    """Every test of a generated module, for all that it is parametrised with, or those chosen by name.

    A name is as pytest says it, with the target in brackets: `test_linear_parts_are_exact[torch-float64]`.
    Raises AssertionError with the traceback of the first that fails: from here and not from the generated
    file, whose folder is another each time, so that hypothesis takes it for the same failure each time. It
    looks at what an error arose from too, so that this one arises from nothing.
    """
    made = cache(tests.build)

    def models(target: str, dtype: str = "float64") -> Any:
        return made(target, 0, dtype)

    for name, test in list(vars(tests).items()):
        if name.startswith("test_"):
            for called, arguments in calls(test, tests.TARGETS, models):
                if not chosen(f"{name}[{called}]"):
                    continue
                with ExitStack() as stack:
                    if "tmp_path" in inspect.signature(test).parameters:
                        arguments["tmp_path"] = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                    failure = ""
                    try:
                        test(**arguments)
                    except Exception:
                        failure = f"{name}\n{traceback.format_exc()}"
                    assert not failure, failure


def calls(
    test: Callable[..., None], targets: tuple[str, ...], models: Callable[..., Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What pytest would call a test with, and what it says of it: the values of marks and of fixtures."""
    options: list[list[dict[str, Any]]] = []
    for mark in getattr(test, "pytestmark", []):
        if mark.name == "parametrize":
            names = [mark.args[0]] if isinstance(mark.args[0], str) else mark.args[0]
            rows = [(row,) if len(names) == 1 else row for row in mark.args[1]]
            options.append([dict(zip(names, row, strict=True)) for row in rows])
    wanted = inspect.signature(test).parameters
    if "model" in wanted:
        options.append([{"model": target} for target in targets])
    for chosen in product(*options):
        arguments = {name: value for given in chosen for name, value in given.items()}
        called = "-".join(str(value) for value in arguments.values())
        if "model" in wanted:
            arguments["model"] = models(arguments["model"])
        if "models" in wanted:
            arguments["models"] = models
        yield called, arguments
