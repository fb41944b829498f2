"""Whether frameworks are there: tests of one that is missing are skipped, and of one that is broken fail."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import pytest


class Framework(ModuleType):
    """A framework that is imported when a test first uses it: tests of other targets do not wait for it.

    One that is missing skips the tests of its target, and one that is broken fails them.
    """

    def __getattr__(self, name: str) -> Any:
        """What the framework has under a name."""
        return getattr(importlib.import_module(self.__name__), name)


def missing_package(model: Any) -> str | None:
    """The package that an adapter needs and that is not installed. What is installed and broken raises."""
    for package in model.needs:
        try:
            importlib.import_module(package)
        except ModuleNotFoundError as error:
            if error.name not in model.needs:
                raise
            return error.name
    return None


def require(model: Any) -> None:
    """Skip a test that an adapter's framework is missing for."""
    if package := missing_package(model):
        needs = f"the target {model.name} needs the package {package}, which is not installed"
        pytest.skip(f"{needs}: pip install {' '.join(model.needs)}")


def installed(models: dict[str, Any]) -> list[str]:
    """The targets whose frameworks are installed; without any, the test is skipped."""
    found = [target for target, model in models.items() if missing_package(model) is None]
    if not found:
        require(next(iter(models.values())))
    return found
