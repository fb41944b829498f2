"""From the syntax tree to the plan: names, shapes, edges, kernels. Imports no framework."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..dsl.diagnostics import SpecError
    from .loaded import load
    from .pipeline import Build, Passage, compile_spec, understand
    from .resolve.resolve import UnknownParam

__all__ = ["Build", "Passage", "SpecError", "UnknownParam", "compile_spec", "load", "understand"]

_PLACES = {"SpecError": "..dsl.diagnostics", "UnknownParam": ".resolve.resolve", "load": ".loaded"}


def __getattr__(name: str) -> Any:
    """What `__all__` names, imported when asked for: the pipeline's parts import this package themselves."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES.get(name, ".pipeline"), __name__), name)
