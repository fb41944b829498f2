"""From the syntax tree to the plan: names, shapes, edges, kernels. Imports no framework."""

from .pipeline import Build, Passage, compile_spec, understand
from .resolve import UnknownParam

__all__ = ["Build", "Passage", "UnknownParam", "compile_spec", "understand"]
