"""What stands after `with`: how the weights of a connection start, and whether they are trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ...dsl import syntax
from ...dsl.diagnostics import Failed, fail
from ...dsl.findings import Label
from ...dsl.records import record
from ...dsl.walk import call_parts, called_name, name_of, written
from ...dsl.words import counted, suggest
from .. import codes
from ..catalogue.activations import ACTIVATIONS
from ..catalogue.initialisers import DISTRIBUTIONS
from ..data.columns import Coded
from ..edges.degrees import degrees
from ..edges.edge_set import EdgeSet, Full, Indices, Listed, TooManyEdges, occurrences, weight_shape
from ..functions import catalogue
from ..functions.function import Function
from ..graph.model import Compute, Drawn, DrawnByFanIn, Given, Share, Start, Weight
from ..names.arguments import bind, no_choice
from ..names.arithmetic import FLOAT32_MAX, Value
from ..names.by_name import is_placed, placed
from ..names.evaluate import Evaluator
from ..names.faults import not_an_integer
from ..names.file_arguments import file_name
from ..names.names import Placed
from ..names.sides import unit_text
from ..sets.loading.edges import loaded_edges
from ..sets.loading.numbers import keys_by_edge, numbers_by_edge, wholes_by_edge
from ..sets.resolver import SetResolver
from ..sets.rules.rule import Sides
from .functions import function_names, function_of, own_names
from .known import Known
from .operations import computed
from .sharing import SHARED, Tie, as_first, by_key, entry_of, is_number, key_items, same_start, share_name

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
            return values.drawn(value)
        return values.given(value, sign)

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


class EdgeValues:
    """Evaluates start values, and what else an expression says, over the edges of one connection."""

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
        # The entry of each edge and how many there are, where weights are shared.
        self.index: Indices | None = None
        self.entries: int | None = None

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
            value = self._by_entry(self.per_edge(bound[parameter].value), bound[parameter].value)
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

    def given(self, node: syntax.Expression, sign: float | NDArray[np.float64] | None) -> Start:
        """`weight = expression`, `weight = load("w.npy")` or `weight = column("w")`."""
        parts = call_parts(node)
        if parts and parts[0] == "load":
            loaded = self._loaded(node)
            if len(loaded) != self.edges.count:
                return Given(loaded)
            return self._given(loaded, node, sign)
        if parts and parts[0] in DISTRIBUTIONS:
            help = f"a weight that is drawn is written `weight ~ {written(self.sets.names.report, node)}`"
            raise fail(self.sets.names.report, codes.UNKNOWN_FUNCTION, node.span, name=parts[0], help=help)
        return self._given(self.per_edge(node), node, sign)

    def _given(
        self,
        value: float | NDArray[Any],
        node: syntax.Expression,
        sign: float | NDArray[np.float64] | None,
    ) -> Given:
        """Start values of edges as those of a parameter."""
        report = self.sets.names.report
        if sign is not None and np.any(wrong := np.atleast_1d(value * sign) < 0):
            first = np.broadcast_to(value, len(wrong))[np.argmax(wrong)]
            raise fail(report, codes.AGAINST_SIGN, node.span, value=f"{first:g}")
        value = self._by_entry(value, node)
        return Given(self._float32(value, node) if isinstance(value, np.ndarray) else value)

    def _by_entry(self, value: float | NDArray[Any], node: syntax.Expression) -> float | NDArray[Any]:
        """What edges have as what the entries of their parameter have."""
        if self.index is None or not isinstance(value, np.ndarray):
            return value
        entries = np.empty(self.entries or 0, value.dtype)
        entries[self.index] = value
        differs = entries[self.index] != value
        if np.any(differs):
            at = int(np.argmax(differs))
            raise fail(
                self.sets.names.report,
                codes.SHARED_STARTS,
                node.span,
                first=f"{value[at]:g}",
                second=f"{entries[self.index[at]]:g}",
            )
        return entries

    def _loaded(self, node: syntax.Expression) -> NDArray[np.float32]:
        report = self.sets.names.report
        name = file_name(node, bind(report, node, ("file",)), self.sets.names, self.variables)
        weights = self.sets.files.finite(name, node.span)
        n_source, n_target = self.sides.source.units, self.sides.target.units
        matrix = isinstance(self.edges, Full) and weights.shape == (n_target, n_source)
        if self.entries is not None and weights.shape == (self.entries,):
            return self._float32(weights, node)
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

    def key(self, node: syntax.Expression) -> tuple[float | NDArray[np.float64], tuple[str, ...]]:
        """A part of a key: a number, or one per edge; of texts the place of each among these."""
        while isinstance(node, syntax.Parenthesised):
            node = node.inner
        if isinstance(node, syntax.Call) and called_name(node) == "column":
            return self._by_edge(node, keys_by_edge)
        evaluator = self._evaluator()
        value, faulty = evaluator.key(node)
        if isinstance(value, Coded):
            if np.any(faulty):
                raise evaluator.failure(int(np.max(faulty)))
            return value.ranked()
        return self.evaluated(node), ()

    def whole(self, node: syntax.Expression, what: str) -> int | Indices:
        """A whole number, at least 1, or one per edge where the expression speaks of the edge."""
        while isinstance(node, syntax.Parenthesised):
            node = node.inner
        if isinstance(node, syntax.Call) and called_name(node) == "column":
            read = partial(wholes_by_edge, what=what)
            return self._by_edge(node, lambda *given: (read(*given), ()))[0].astype(np.int64)
        value = self.evaluated(node)
        numbers = np.atleast_1d(value)
        fraction, small = numbers % 1 != 0, numbers < 1
        if np.any(fraction | small):
            at = int(np.argmax(fraction | small))
            if isinstance(value, np.ndarray):
                what = f"{what} of {self._edge_text(at)}"
            if fraction[at]:
                raise not_an_integer(self.sets.names.report, node, what, f"{numbers[at]:g}")
            fields = {"what": what, "value": f"{numbers[at]:g}", "least": 1}
            raise fail(self.sets.names.report, codes.TOO_SMALL, node.span, **fields)
        return value.astype(np.int64) if isinstance(value, np.ndarray) else int(value)

    def _edge_text(self, at: int) -> str:
        """An edge, by its number, as people write it."""
        source, target = (int(units[at]) for units in self.edges.edges())
        return f"{unit_text(source, self.sides.source)} -> {unit_text(target, self.sides.target)}"

    def _column(self, node: syntax.Call) -> NDArray[np.float64]:
        """A column of numbers, in edge order."""
        return self._by_edge(node, lambda *given: (numbers_by_edge(*given), ()))[0]

    def _by_edge(
        self, node: syntax.Call, read: Callable[..., tuple[NDArray[np.float64], tuple[str, ...]]]
    ) -> tuple[NDArray[np.float64], tuple[str, ...]]:
        """A column of the file that the set was loaded from, perhaps by way of its name, in edge order."""
        loaded, sides, variables = self._loads()
        parts = call_parts(loaded)
        if not (isinstance(loaded, syntax.Call) and parts and parts[0] == "load"):
            others = () if loaded is self.statement.set else (Label(loaded.span, "this is not one `load`"),)
            help = "give each `load` a connection of its own: several into one layer add up"
            raise fail(
                self.sets.names.report, codes.COLUMN_WITHOUT_TABLE, node.span, others=others, help=help
            )
        call = self.sets.load_call(loaded, variables)
        values, texts = read(call, sides, node, self.variables)
        if is_placed(sides.both, self.sides.both):
            edges = loaded_edges(call, sides)
            values = values[placed(edges, sides.both, self.sides.both).origin]
        return values, texts

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

    def per_edge(self, node: syntax.Expression) -> float | NDArray[np.float64]:
        """A number that fits a 32-bit float, or one per edge where the expression speaks of the edge."""
        value = self.evaluated(node)
        self._float32(np.asarray(value), node)
        return value

    def _fan(self, units: Indices) -> Indices:
        """How many edges the unit of each edge has: the most of all edges that share a weight."""
        fan = occurrences(units)
        if self.index is None:
            return fan
        most = np.zeros(self.entries or 0, fan.dtype)
        np.maximum.at(most, self.index, fan)
        return most[self.index]

    def _evaluator(self) -> Evaluator:
        """What gives the value of an expression on every edge."""
        columns: dict[str, Callable[[], Indices]] = {
            "fan_in": lambda: self._fan(self.edges.edges()[1]),
            "fan_out": lambda: self._fan(self.edges.edges()[0]),
        }
        uniform = self._uniform_fans()
        hint = "indices are known here where the set is one pair of braces, or a window with names"
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
        return Evaluator(self.sets.names.report, lookup, functions, surroundings)

    def evaluated(self, node: syntax.Expression) -> float | NDArray[np.float64]:
        """A number, or one per edge where the expression speaks of the edge."""
        value = self._evaluator().value(node)
        if isinstance(value, bool) or (isinstance(value, np.ndarray) and value.dtype.kind == "b"):
            raise fail(self.sets.names.report, codes.NOT_A_NUMBER, node.span, what="a condition")
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
        """The values of index names on every edge, where the set is exactly one builder or rule.

        Of several assignments that make one edge, only what they have in common is visible.
        """
        return self.sets.index_columns(self.statement.set, self.sides, self.variables)
