"""What a text of a spec means: its tree, wherever things stand in it."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

from nnspec.dsl.source import Span


def meaning_of(node: object) -> object:
    """A tree without its places, its names as parts, to compare two texts that mean the same."""
    if isinstance(node, tuple):
        return tuple(meaning_of(item) for item in node)
    if is_dataclass(node):
        parts = [getattr(node, part.name) for part in fields(node)]
        return (type(node).__name__, *(meaning_of(part) for part in parts if not isinstance(part, Span)))
    return node
