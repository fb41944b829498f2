"""The rule `all`: every pair."""

from __future__ import annotations

from ....dsl import syntax
from ...edges.edge_set import EdgeSet, Full
from ...graph import statement as stated
from ...names.arguments import bind
from .rule import Rule, Setting


def _edges(node: syntax.Expression, setting: Setting) -> EdgeSet:
    bind(setting.names.report, node, ())
    return Full(setting.sides.source.shape, setting.sides.target.shape)


ALL = Rule("all", _edges, lambda node, stating: stated.All())
