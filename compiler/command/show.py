"""What stands between two arrows of the pipeline, as text: for `--emit` and for golden plans."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ...dsl.source import Source, Span
from ..graph.statement import Statements

# Where things stand in the text is not shown: a comment added above must not move everything below. Nor is
# what the spec says of its edges, which is the spec itself.
_LEFT_OUT = (Span, Source, Statements)


def show(value: object) -> str:
    """A frozen dataclass and all within it, one field a line; arrays as type, shape and a hash."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: object) -> Iterator[str]:
    if is_dataclass(value) and not isinstance(value, type):
        yield type(value).__name__
        for field in fields(value):
            part = getattr(value, field.name)
            if isinstance(part, _LEFT_OUT):
                continue
            yield from _named(field.name, part)
    elif isinstance(value, tuple) and not _flat(parts := cast("tuple[object, ...]", value)):
        yield "("
        for part in parts:
            for line in _lines(part):
                yield "  " + line
        yield ")"
    else:
        yield _text(cast(object, value))


def _named(name: str, value: object) -> Iterator[str]:
    first, *rest = _lines(value)
    yield f"  {name}: {first}"
    for line in rest:
        yield "  " + line


def _flat(parts: tuple[object, ...]) -> bool:
    return not any(is_dataclass(part) or (isinstance(part, tuple) and part != ()) for part in parts)


def _text(value: object) -> str:
    if isinstance(value, np.ndarray):
        array = cast("NDArray[Any]", value)
        content = np.ascontiguousarray(array).tobytes()
        return f"{array.dtype}{list(array.shape)} sha256 {hashlib.sha256(content).hexdigest()[:16]}"
    return repr(value)
