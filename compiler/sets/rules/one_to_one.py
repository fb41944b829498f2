"""The rule `one_to_one`: equal indices of equal shapes."""

from __future__ import annotations

from ....dsl import syntax
from ....dsl.diagnostics import fail
from ... import codes
from ...edges.edge_set import Diagonal, EdgeSet
from ...graph import statement as stated
from ...names.arguments import bind
from .rule import Rule, Setting


def _edges(node: syntax.Expression, setting: Setting) -> EdgeSet:
    bind(setting.names.report, node, ())
    source, target = setting.sides.both
    if source.shape != target.shape:
        raise fail(
            setting.names.report,
            codes.SHAPES_DIFFER,
            node.span,
            source=source.name,
            source_shape=list(source.shape),
            target=target.name,
            target_shape=list(target.shape),
        )
    return Diagonal(source.shape, target.shape)


ONE_TO_ONE = Rule("one_to_one", _edges, lambda node, stating: stated.OneToOne())
