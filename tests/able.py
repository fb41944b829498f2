"""Specs compiled for the targets that can write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nnspec.compiler import compile_spec
from nnspec.compiler.pipeline import Build
from nnspec.dsl.diagnostics import SpecError


def build_for(spec: Path, targets: Sequence[str] = ("torch", "keras", "numpy"), **options: Any) -> Build:
    """A spec compiled for those of some targets that can write it: Keras has no networks over time yet."""
    try:
        return compile_spec(spec, targets, **options)
    except SpecError as error:
        if {each.code.code for each in error.diagnostics} != {"E901"}:
            raise
        return compile_spec(spec, [target for target in targets if target != "keras"], **options)
