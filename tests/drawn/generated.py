"""Runs the tests of a generated test module in this process, without pytest around each of them."""

from __future__ import annotations

import inspect
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def run_all(tests: ModuleType, chosen: Callable[[str], bool] = lambda name: True) -> None:
    """Every test of a generated module, for all that it is parametrised with, or those chosen by name.

    A name is as pytest says it, with the target in brackets: `test_linear_parts_are_exact[torch-float64]`.
    Raises AssertionError with the traceback of the first that fails: from here and not from the generated
    file, whose folder is another each time, so that hypothesis takes it for the same failure each time. It
    looks at what an error arose from too, so that this one arises from nothing. What is skipped is a failure
    unless another test fails, which says why.
    """
    suite = tests.TestModel()
    suite.setup_class()
    skipped = ""
    for name in (name for name in dir(suite) if name.startswith("test_")):
        test = getattr(suite, name)
        for arguments in calls(test, suite.cases()):
            called = "-".join(str(value) for value in arguments.values())
            if not chosen(f"{name}[{called}]"):
                continue
            with ExitStack() as stack:
                if "tmp_path" in inspect.signature(test).parameters:
                    arguments["tmp_path"] = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                failure = ""
                try:
                    test(**arguments)
                except pytest.skip.Exception as reason:
                    skipped = f"{name} is skipped: {reason}"
                except Exception:
                    failure = f"{name}\n{traceback.format_exc()}"
                assert not failure, failure
    assert not skipped, skipped


def calls(test: Callable[..., None], cases: Mapping[str, Iterable[Any]]) -> Iterator[dict[str, Any]]:
    """The arguments that pytest would call a test with: those of its marks, and of the cases it asks for."""
    wanted = inspect.signature(test).parameters
    given = {mark.args[0]: mark.args[1] for mark in getattr(test, "pytestmark", [])}
    given |= {names: values for names, values in cases.items() if {*names.split(",")} <= {*wanted}}
    options: list[list[dict[str, Any]]] = []
    for joined, values in given.items():
        names = joined.split(",")
        rows = [(row,) if len(names) == 1 else row for row in values]
        options.append([dict(zip(names, row, strict=True)) for row in rows])
    for chosen in product(*options):
        yield {name: value for row in chosen for name, value in row.items()}
