"""What stands after `with`: how the weights of a connection start, and whether they are trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...dsl import syntax
from ...dsl.diagnostics import fail
from ...dsl.findings import Label
from ...dsl.walk import call_parts, name_of, written
from ...dsl.words import counted, suggest
from .. import codes
from ..catalogue.initialisers import DISTRIBUTIONS
from ..edges.degrees import degrees
from ..edges.edge_set import EdgeSet, Full, Indices, Listed, TooManyEdges, occurrences
from ..graph.model import Drawn, DrawnByFanIn, Given, Start, Weight
from ..names.arguments import bind, no_choice
from ..names.axes import file_name
from ..names.by_name import is_placed, placed
from ..names.evaluate import FLOAT32_MAX, Evaluator, Value
from ..sets import builders
from ..sets.resolver import SetResolver
from ..sets.rules.rule import Sides

ATTRIBUTES = ("weight", "trainable")
# Attributes of the language that this version does not have, with the words that they can be, if it is words.
LATER = {
    "share": (),
    "sign": ("nonnegative", "nonpositive"),
    "reduce": ("sum", "mean", "max", "min", "product"),
}


def resolve_weight(
    statement: syntax.ConnectStatement,
    sides: Sides,
    edges: EdgeSet,
    sets: SetResolver,
    variables: Mapping[str, int],
    classes: int = 1,
) -> Weight | None:
    """The weight of a connection, or None for `weight = none`.

    Of `classes` units that stand for a code of the source one at most is not 0, and they count as one.
    """
    report = sets.names.report
    seen: dict[str, syntax.Attribution] = {}
    for attribution in statement.attributes:
        name = attribution.name
        if name in LATER:
            _refuse_later(attribution, sets)
        elif name not in ATTRIBUTES:
            guess = suggest(name, (*ATTRIBUTES, *LATER))
            help = f"did you mean `{guess}`?" if guess else "attributes are `weight` and `trainable`"
            raise fail(report, codes.UNKNOWN_ATTRIBUTE, attribution.name_span, name=name, help=help)
        if name in seen:
            raise fail(report, codes.ARGUMENT_TWICE, attribution.span, name=name)
        seen[name] = attribution
    trainable = _truth(seen["trainable"], sets) if "trainable" in seen else True
    if "weight" not in seen:
        return Weight(DrawnByFanIn(), trainable)
    attribution = seen["weight"]
    if attribution.operator == "=" and call_parts(attribution.value) == ("none", ()):
        if "trainable" in seen:
            raise fail(
                report, codes.NOT_TOGETHER, seen["trainable"].span, first="weight = none", second="trainable"
            )
        return None
    start = _Start(statement, sides, edges, sets, variables, classes)
    value = attribution.value
    try:
        return Weight(start.drawn(value) if attribution.operator == "~" else start.given(value), trainable)
    except TooManyEdges as error:
        raise fail(report, codes.TOO_MANY_EDGES, value.span, count=f"{error.count:,}") from None


def _refuse_later(attribution: syntax.Attribution, sets: SetResolver) -> None:
    """Refuse what the language has and this version has not, and what the language has not either."""
    report, name, value = sets.names.report, attribution.name, attribution.value
    choices = LATER[name]
    parts = call_parts(value)
    if choices and (attribution.operator != "=" or parts is None or parts[1] or parts[0] not in choices):
        raise no_choice(report, value, name, choices)
    if parts == ("sum", ()):
        return  # what a unit does anyway
    given = f"`{name} = {parts[0]}`" if choices and parts else f"the attribute `{name}`"
    raise fail(report, codes.NOT_YET, attribution.span, what=given)


def _truth(attribution: syntax.Attribution, sets: SetResolver) -> bool:
    parts = call_parts(attribution.value)
    if attribution.operator != "=" or parts not in (("true", ()), ("false", ())):
        raise no_choice(sets.names.report, attribution.value, attribution.name, ("true", "false"))
    return parts[0] == "true"


class _Start:
    """Evaluates start values over the edges of one connection."""

    def __init__(
        self,
        statement: syntax.ConnectStatement,
        sides: Sides,
        edges: EdgeSet,
        sets: SetResolver,
        variables: Mapping[str, int],
        classes: int,
    ) -> None:
        self.classes = classes
        self.statement = statement
        self.sides = sides
        self.edges = edges
        self.sets = sets
        self.variables = variables

    def drawn(self, node: syntax.Expression) -> Start:
        """`weight ~ distribution(...)`."""
        report = self.sets.names.report
        name = name_of(report, node)
        if name not in DISTRIBUTIONS:
            guess = suggest(name, DISTRIBUTIONS)
            help = "distributions are " + ", ".join(f"`{d}`" for d in DISTRIBUTIONS)
            if guess:
                help = f"did you mean `{guess}`?"
            elif not isinstance(node, syntax.Call) or name in ("load", "column"):
                help = f"a weight that is given is written `weight = {written(report, node)}`"
            raise fail(report, codes.UNKNOWN_DISTRIBUTION, node.span, name=name, help=help)
        entry = DISTRIBUTIONS[name]
        bound = bind(report, node, entry.parameters)
        arguments: list[float | NDArray[np.float64]] = []
        for parameter in entry.parameters:
            if parameter not in bound:
                raise fail(report, codes.MISSING_ARGUMENT, node.span, name=name, argument=parameter)
            value = self._per_edge(bound[parameter].value)
            if parameter in entry.nonnegative and np.any(np.asarray(value) < 0):
                raise fail(
                    report,
                    codes.TOO_SMALL,
                    bound[parameter].span,
                    what=f"`{parameter}`",
                    value=f"{np.min(value):g}",
                    least=0,
                )
            arguments.append(value)
        if entry.ordered and np.any(np.less(arguments[1], arguments[0])):
            low, high = entry.parameters
            width = np.min(np.subtract(arguments[1], arguments[0]))
            what = f"`{high}` less `{low}`"
            raise fail(report, codes.TOO_SMALL, node.span, what=what, value=f"{width:g}", least=0)
        return Drawn(name, tuple(arguments))

    def given(self, node: syntax.Expression) -> Start:
        """`weight = expression`, `weight = load("w.npy")` or `weight = column("w")`."""
        parts = call_parts(node)
        if parts and parts[0] == "load":
            return Given(self._loaded(node))
        if parts and parts[0] in DISTRIBUTIONS:
            help = f"a weight that is drawn is written `weight ~ {written(self.sets.names.report, node)}`"
            raise fail(self.sets.names.report, codes.UNKNOWN_FUNCTION, node.span, name=parts[0], help=help)
        value = self._per_edge(node)
        return Given(self._float32(value, node) if isinstance(value, np.ndarray) else value)

    def _loaded(self, node: syntax.Expression) -> NDArray[np.float32]:
        report = self.sets.names.report
        name = file_name(node, bind(report, node, ("file",)), self.sets.names, self.variables)
        weights = self.sets.files.finite(name, node.span)
        n_source, n_target = self.sides.source.units, self.sides.target.units
        matrix = isinstance(self.edges, Full) and weights.shape == (n_target, n_source)
        if weights.shape != (self.edges.count,) and not matrix:
            fields = {"name": name, "shape": list(weights.shape), "edges": counted(self.edges.count, "edge")}
            help = self._about_shape(weights.shape, name)
            raise fail(report, codes.WEIGHT_SHAPE, node.span, help=help, **fields)
        return self._float32(weights.reshape(-1), node)

    def _about_shape(self, shape: tuple[int, ...], name: str) -> str:
        """What to do with weights of another shape than the edges have, in Python."""
        n_source, n_target = self.sides.source.units, self.sides.target.units
        turned = ".T" if shape == (n_source, n_target) != (n_target, n_source) else ""
        if turned and isinstance(self.edges, Full):
            return (
                f'this is (sources, targets): `numpy.save("{name}", weights.T)` makes it (targets, sources)'
            )
        if shape in ((n_target, n_source), (n_source, n_target)):
            return (
                "of a (targets, sources) matrix, take the entries at the edges: "
                f"`weights{turned}[mask]`, where `mask` has True at each edge"
            )
        return (
            "there is one weight for each edge, ordered by target, then by source, which is the order of "
            "`matrix[mask]` for a (targets, sources) matrix; `spec-compile edges` prints the edges"
        )

    def _column(self, node: syntax.Call) -> NDArray[np.float64]:
        """A column of the file that the set was loaded from, perhaps by way of its name, in edge order."""
        loaded, sides, variables = self._loads()
        parts = call_parts(loaded)
        if not (isinstance(loaded, syntax.Call) and parts and parts[0] == "load"):
            others = () if loaded is self.statement.set else (Label(loaded.span, "this is not one `load`"),)
            help = "give each `load` a connection of its own: several into one layer add up"
            raise fail(
                self.sets.names.report, codes.COLUMN_WITHOUT_TABLE, node.span, others=others, help=help
            )
        values = self.sets.loader(loaded, sides, variables).numbers(node, self.variables)
        if is_placed(sides.both, self.sides.both):
            edges = self.sets.loader(loaded, sides, variables).edges()
            return values[placed(edges, sides.both, self.sides.both).origin]
        return values

    def _loads(self) -> tuple[syntax.Expression, Sides, Mapping[str, int]]:
        """The set of the connection, or what the named set that it is stands for, with what surrounds it."""
        node, sides, variables = self.statement.set, self.sides, self.variables
        while isinstance(node, syntax.Parenthesised | syntax.Reference):
            if isinstance(node, syntax.Parenthesised):
                node = node.inner
                continue
            named = self.sets.named.get(self.sets.names.text(node.name, variables))
            if named is None:
                break
            node, sides, variables = named.node, named.sides, named.placed.variables
        return node, sides, variables

    def _per_edge(self, node: syntax.Expression) -> float | NDArray[np.float64]:
        """A number, or one per edge where the expression speaks of the edge."""
        columns: dict[str, Callable[[], Indices]] = {
            "fan_in": lambda: occurrences(self.edges.edges()[1]),
            "fan_out": lambda: occurrences(self.edges.edges()[0]),
        }
        uniform = self._uniform_fans()
        hint = "indices are known here where the set is one pair of braces"
        if isinstance(self.statement.set, syntax.Builder):
            hint = "an index is known here if every edge has one value of it"

        def lookup(reference: syntax.Reference) -> Value:
            name = self.sets.names.text(reference.name, self.variables)
            if name in uniform:
                return uniform[name]
            if name in columns:
                return columns[name]()
            if not self.sets.names.is_number(name, self.variables) and name in self._index_columns:
                return self._index_columns[name]
            if self.sets.names.is_number(name, self.variables):
                return self.sets.names.number(reference, self.variables)
            guess = suggest(name, ("none", *columns, *self._index_columns))
            return self.sets.names.number(
                reference, self.variables, f"did you mean `{guess}`?" if guess else hint
            )

        functions = {"column": self._column}
        surroundings = self.sets.names.surroundings(self.variables)
        value = Evaluator(self.sets.names.report, lookup, functions, surroundings).value(node)
        if isinstance(value, bool) or (isinstance(value, np.ndarray) and value.dtype.kind == "b"):
            raise fail(self.sets.names.report, codes.NOT_A_NUMBER, node.span, what="a condition")
        self._float32(np.asarray(value), node)
        return value.astype(np.float64) if isinstance(value, np.ndarray) else float(value)

    def _float32(self, value: NDArray[Any], node: syntax.Expression) -> NDArray[np.float32]:
        """Numbers as float32. Raises `Failed` if one is beyond its range."""
        if np.any(np.abs(value) > FLOAT32_MAX):
            raise fail(self.sets.names.report, codes.BEYOND_FLOAT32, node.span, what="a weight")
        return value.astype(np.float32)

    def _uniform_fans(self) -> dict[str, int]:
        """`fan_in` and `fan_out` where they are one number, so that no array is made of it."""
        if isinstance(self.edges, Listed) or not self.edges.count:
            return {}
        ends = {"fan_in": degrees(self.edges, "target"), "fan_out": degrees(self.edges, "source")}
        fans = {name: fans.low for name, fans in ends.items() if fans.low == fans.high}
        if "fan_in" in fans:
            fans["fan_in"] //= self.classes
        return fans

    @cached_property
    def _index_columns(self) -> dict[str, Indices]:
        """The values of a builder's index names on every edge, where the set is exactly one builder.

        Of several assignments that make one edge, only what they have in common is visible.
        """
        node = self.statement.set
        if not isinstance(node, syntax.Builder):
            return {}
        return builders.index_columns(node, self.sets.scope(self.sides, self.variables))
