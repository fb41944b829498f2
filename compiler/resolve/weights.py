"""What stands after `with`: how the weights of a connection start, and whether they are trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ...dsl import syntax
from ...dsl.diagnostics import Failed, fail
from ...dsl.findings import Label
from ...dsl.records import record
from ...dsl.walk import call_parts, name_of
from ...dsl.words import suggest
from .. import codes
from ..catalogue.activations import ACTIVATIONS
from ..edges.edge_set import EdgeSet, TooManyEdges, weight_shape
from ..functions import catalogue
from ..functions.function import Function
from ..graph.model import Compute, DrawnByFanIn, Share, Start, Weight
from ..names.arguments import no_choice
from ..names.names import Placed
from ..sets.resolver import SetResolver
from ..sets.rules.rule import Sides
from .edge_values import EdgeValues
from .functions import function_names, function_of, own_names
from .known import Known
from .operations import computed
from .sharing import SHARED, Tie, as_first, by_key, entry_of, is_number, key_items, same_start, share_name
from .starts import drawn, given

ATTRIBUTES = ("weight", "trainable", "share", "sign", "through", "times", "reduce", "empty", "delay")
# Those that give weights to a connection that pools otherwise than by a sum.
GIVING = ("weight", "share", "sign", "through", "times")
SIGNS = {"nonnegative": 1.0, "nonpositive": -1.0}
# What weights of a given sign go through.
_ABSOLUTE = Compute(cast("Function", catalogue.function("abs")), ())


def resolve_weight(
    statement: syntax.ConnectStatement,
    sides: Sides,
    edges: EdgeSet,
    known: Known,
    placed: Placed,
    classes: int = 1,
    *,
    pooled: bool,
) -> Weight | None:
    """The weight of a connection; None for `weight = none`, or where it is `pooled` and nothing gives one.

    Of `classes` units that stand for a code of the source one at most is not 0, and they count as one.
    """
    report = known.report
    seen: dict[str, syntax.Attribution] = {}
    for attribution in statement.attributes:
        name = attribution.name
        if name not in ATTRIBUTES:
            guess = suggest(name, ATTRIBUTES)
            *others, last = (f"`{each}`" for each in ATTRIBUTES)
            help = f"did you mean `{guess}`?" if guess else f"attributes are {', '.join(others)} and {last}"
            raise fail(report, codes.UNKNOWN_ATTRIBUTE, attribution.name_span, name=name, help=help)
        if name in seen:
            raise fail(report, codes.ARGUMENT_TWICE, attribution.span, name=name)
        seen[name] = attribution
    weight = seen.get("weight")
    if weight and weight.operator == "=" and call_parts(weight.value) == ("none", ()):
        for name in (name for name in seen if name not in ("weight", "reduce", "empty", "delay")):
            both = {"first": "weight = none", "second": name}
            raise fail(report, codes.NOT_TOGETHER, seen[name].span, **both)
        return None
    if pooled and not seen.keys() & {*GIVING}:
        return None
    try:
        return _Made(statement, sides, edges, known, placed, classes).weight(seen)
    except TooManyEdges as error:
        span = weight.value.span if weight else statement.set.span
        raise fail(report, codes.TOO_MANY_EDGES, span, count=f"{error.count:,}") from None


@record
class _Made:
    """Makes the weight of one connection out of its attributes."""

    statement: syntax.ConnectStatement
    sides: Sides
    edges: EdgeSet
    known: Known
    placed: Placed
    classes: int

    @property
    def sets(self) -> SetResolver:
        """What resolves sets, and knows all names."""
        return self.known.sets

    def weight(self, seen: Mapping[str, syntax.Attribution]) -> Weight:
        """The weight that some attributes make."""
        report = self.sets.names.report
        variables = self.placed.variables
        values = EdgeValues(self.statement, self.sides, self.edges, self.sets, variables, self.classes)
        for name, attribution in seen.items():
            if name in ("share", "sign", "through", "times") and attribution.operator != "=":
                raise fail(report, codes.NOT_DRAWN, attribution.span, name=name)
        if {"sign", "through"} <= seen.keys():
            raise fail(report, codes.NOT_TOGETHER, seen["through"].span, first="sign", second="through")
        through = self._through(seen["through"]) if "through" in seen else None
        sign = self._sign(seen["sign"], values) if "sign" in seen else None
        factor = 1.0 if sign is None else sign
        if "times" in seen:
            factor = factor * values.per_edge(seen["times"].value)
        share = self._share(seen["share"], values) if "share" in seen else None
        if share is not None:
            values.index = entry_of(share, self.edges)
            values.entries = int(np.prod(share.shape))
        start = self._start(seen["weight"], values, sign) if "weight" in seen else None
        trainable = _truth(seen["trainable"], self.sets) if "trainable" in seen else None
        if share is not None and share.named:
            start, trainable = self._tied(share, start, trainable, seen)
        return Weight(
            DrawnByFanIn() if start is None else start,
            trainable is not False,
            share,
            _ABSOLUTE if sign is not None else through,
            _plain(factor),
        )

    def _through(self, attribution: syntax.Attribution) -> Compute:
        """The function that weights go through: the spec's own, or one of the catalogue."""
        report, node = self.known.report, attribution.value
        function = function_of(name, self.known) if (name := name_of(report, node)) else None
        if function is None or not isinstance(node, syntax.Reference | syntax.Call):
            if name in ACTIVATIONS:
                raise fail(report, codes.NOT_OF_VALUES, node.span, what=f"`{name}`")
            guess = suggest(name, function_names(self.known))
            some = ", ".join(f"`{each}`" for each in (*own_names(self.known), "softplus", "exp", "tanh"))
            help = f"did you mean `{guess}`?" if guess else f"any function that a layer can have: {some}, ..."
            raise fail(report, codes.UNKNOWN_FUNCTION, node.span, name=name, help=help)
        return computed(function, node, self.sets, self.placed.variables)

    def _share(self, attribution: syntax.Attribution, values: EdgeValues) -> Share:
        node, names = attribution.value, self.sets.names
        name = share_name(node, self.statement.set, names, self.placed)
        own = f"{self.sides.owner}.weight"
        if name and names.declared[name].kind != SHARED:
            raise Failed  # it is declared twice, which is recorded
        if isinstance(node, syntax.Reference) and name:
            share = Share(name, True, weight_shape(self.edges), None, False, None)
        else:
            if name:
                assert isinstance(node, syntax.Call)
                items = [argument.value for argument in node.arguments]
                if not items:
                    raise fail(names.report, codes.MISSING_ARGUMENT, node.span, name=name, argument="key")
            else:
                items = key_items(node)
                self._warn_of_number(node)
            found = [values.key(item) for item in items]
            columns = [np.broadcast_to(numbers, self.edges.count) for numbers, _ in found]
            texts = tuple((at, texts) for at, (_, texts) in enumerate(found) if texts)
            share = replace(by_key(name or own, bool(name), columns, self.edges), texts=texts)
        if name in self.known.ties:
            first, span = self.known.ties[name], attribution.value.span
            return as_first(share, first, self.edges, self.sides.source.name, span, names)
        return share

    def _warn_of_number(self, node: syntax.Expression) -> None:
        """Warn of a number where the name of a parameter may be meant: it is one key, of all edges."""
        names = self.sets.names
        if not isinstance(node, syntax.Reference):
            return
        name = names.text(node.name, self.placed.variables)
        if is_number(name, names, self.placed):
            help = f"`share = ({name},)` says that this is meant; a parameter to share needs another name"
            names.report.add(codes.SHARED_BY_NUMBER, node.span, name=name, help=help)

    def _tied(
        self,
        share: Share,
        start: Start | None,
        trainable: bool | None,
        seen: Mapping[str, syntax.Attribution],
    ) -> tuple[Start, bool]:
        """How a parameter with a name starts, and whether it is trained: what its first user says."""
        name, names = share.parameter, self.sets.names
        if name not in self.known.ties:
            made = DrawnByFanIn() if start is None else start
            span = seen["share"].value.span
            self.known.ties[name] = Tie(
                share, made, trainable is not False, self.edges, span, self.sides.target.name
            )
        first = self.known.ties[name]
        assert not isinstance(first.start, float | int)
        differs = {
            "weight": start is not None and not same_start(start, first.start),
            "trainable": trainable is not None and trainable != first.trainable,
        }
        for what, other in differs.items():
            if other:
                raise fail(
                    names.report,
                    codes.SHARE_DIFFERS,
                    seen[what].span,
                    name=name,
                    what=f"`{what}`",
                    others=(Label(first.span, "shared first here"),),
                    help="say it where the name is used first: it holds for all that use it",
                )
        return first.start, first.trainable

    def _start(
        self, attribution: syntax.Attribution, values: EdgeValues, sign: float | NDArray[np.float64] | None
    ) -> Start:
        value = attribution.value
        if attribution.operator == "~":
            return drawn(values, value)
        return given(values, value, sign)

    def _sign(self, attribution: syntax.Attribution, values: EdgeValues) -> float | NDArray[np.float64]:
        """1 or -1, for all edges or for each."""
        report, node = self.sets.names.report, attribution.value
        parts = call_parts(node)
        if parts and not parts[1] and parts[0] in SIGNS:
            return SIGNS[parts[0]]
        if parts and not parts[1] and suggest(parts[0], SIGNS):
            raise no_choice(report, node, "sign", SIGNS)
        sign = values.per_edge(node)
        signs = np.atleast_1d(sign)
        wrong = signs[np.abs(signs) != 1]
        if len(wrong):
            raise fail(report, codes.NOT_A_SIGN, node.span, value=f"{wrong[0]:g}")
        return sign


def _plain(factor: float | NDArray[np.float64]) -> float | NDArray[np.float32] | None:
    """A factor as it is held: one number where all are the same, and none where that is 1."""
    if isinstance(factor, np.ndarray):
        if len(factor) == 0 or np.any(factor != factor[0]):
            return factor.astype(np.float32)
        factor = float(factor[0])
    return None if factor == 1 else factor


def _truth(attribution: syntax.Attribution, sets: SetResolver) -> bool:
    parts = call_parts(attribution.value)
    if attribution.operator != "=" or parts not in (("true", ()), ("false", ())):
        raise no_choice(sets.names.report, attribution.value, attribution.name, ("true", "false"))
    return parts[0] == "true"
