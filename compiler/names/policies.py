"""Policies of builders and files: what happens to an edge outside, and to one that is there already."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...dsl import syntax
from ...dsl.diagnostics import Report, fail
from ...dsl.records import record
from ...dsl.source import Span
from ...dsl.words import suggest
from .. import codes
from ..edges.edge_set import Indices
from .arguments import no_choice
from .sides import Scope, Side, unit_text

OUTSIDE = ("outside", ("error", "skip", "wrap"))
DUPLICATE = ("duplicate", ("error", "merge"))
UNKNOWN = ("unknown", ("error", "skip"))


@record
class Policies:
    """The policies in force; `error` unless the spec says otherwise."""

    outside: str = "error"
    duplicate: str = "error"
    unknown: str = "error"

    @staticmethod
    def of(
        attributions: tuple[syntax.Attribution, ...],
        report: Report,
        text: Callable[[syntax.Name], str],
        known: tuple[tuple[str, tuple[str, ...]], ...],
    ) -> Policies:
        """The policies written after `;`, or among the arguments of `load`."""
        chosen: dict[str, str] = {}
        for attribution in attributions:
            choices = dict(known).get(attribution.name)
            if choices is None:
                names = [name for name, _ in known]
                guess = suggest(attribution.name, names)
                listed = ", ".join(f"`{name}`" for name in names)
                raise fail(
                    report,
                    codes.UNKNOWN_POLICY,
                    attribution.name_span,
                    name=attribution.name,
                    help=f"did you mean `{guess}`?" if guess else f"policies are {listed}",
                )
            value = attribution.value
            word = text(value.name) if isinstance(value, syntax.Reference) else ""
            if attribution.name in chosen:
                raise fail(report, codes.ARGUMENT_TWICE, attribution.span, name=attribution.name)
            if word not in choices:
                raise no_choice(report, value, attribution.name, choices)
            chosen[attribution.name] = word
        return Policies(**chosen)


def size_text(size: int) -> str:
    """How many units there are and how they are numbered."""
    return f"{size} units (0..{size - 1})" if size > 1 else "1 unit (0)"


def apply_outside(
    index: Indices,
    size: int,
    policies: Policies,
    side: Side,
    scope: Scope,
    node: syntax.Expression,
    assignment: Callable[[int], str],
) -> tuple[Indices, NDArray[np.bool_]]:
    """The indices along one dimension, wrapped into it, and whether each is kept."""
    outside = (index < 0) | (index >= size)
    if policies.outside != "error" or not outside.any():
        return index % size, ~outside | (policies.outside == "wrap")
    at = int(np.argmax(outside))
    given = assignment(at)
    raise fail(
        scope.report,
        codes.OUTSIDE,
        node.span,
        label=f"{given} gives {index[at]}" if given else "",
        help="add `; outside = skip` to drop such edges, or `; outside = wrap` to close the ring",
        end="source" if side is scope.source else "target",
        index=int(index[at]),
        side=side.name,
        size=size_text(size) if len(side.shape) == 1 else f"{size_text(size)} along this dimension",
    )


def refuse_duplicates(
    keys: Indices,
    source_side: Side,
    target_side: Side,
    report: Report,
    place: Callable[[int], Span | None],
    label: Callable[[int], str] = lambda at: "",
    help: str = "`duplicate = merge` takes such edges once",
) -> None:
    """Raise `Failed` at the first of the edges, `pair_keys` in order of making, that is there already."""
    order = np.argsort(keys, kind="stable")
    again = order[1:][keys[order][1:] == keys[order][:-1]]
    if len(again) == 0:
        return
    at = int(again.min())
    target, source = divmod(int(keys[at]), source_side.units)
    raise fail(
        report,
        codes.DUPLICATE_EDGE,
        place(at),
        label=label(at),
        help=help,
        source=unit_text(source, source_side),
        target=unit_text(target, target_side),
        more=f", like {len(again) - 1:,} more" if len(again) > 1 else "",
    )
