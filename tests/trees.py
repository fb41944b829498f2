"""Walks over Python's syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def statements(node: ast.AST, at_once: bool = True) -> Iterator[tuple[ast.stmt, bool]]:
    """Every statement within a node, and whether it runs as the module is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child, at_once
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from statements(child, at_once and not isinstance(child, ast.FunctionDef | ast.If))
