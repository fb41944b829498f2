"""From the syntax tree to the plan: names, shapes, edges, kernels. Imports no framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .pipeline import Build, Passage, compile_spec, understand
    from .resolve import UnknownParam

__all__ = ["Build", "Passage", "UnknownParam", "compile_spec", "understand"]


def __getattr__(name: str) -> Any:
    """What `__all__` names, imported when asked for: the pipeline's parts import this package themselves."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import pipeline, resolve

    return getattr(resolve if name == "UnknownParam" else pipeline, name)
