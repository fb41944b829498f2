"""Set expressions: rules, files, builders, named sets and their algebra, resolved to edge sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import field

from ...dsl import syntax
from ...dsl.diagnostics import Failed, fail
from ...dsl.findings import Label
from ...dsl.records import record
from ...dsl.source import Span
from ...dsl.walk import called_name, name_of
from ...dsl.words import article
from .. import codes
from ..data.files import Files
from ..edges.algebra import Partial, difference, intersection, settled, union
from ..edges.draw import seed_of
from ..edges.edge_set import EDGE_LIMIT, EdgeSet, Indices, Listed, TooManyEdges
from ..edges.structure import recognised
from ..names.budget import Budget
from ..names.by_name import between, goes_by_name, is_placed, refuse_strays
from ..names.names import Declaration, Names, Placed
from ..names.sides import Member, Scope, Side
from . import builders
from .loading.call import PARAMETERS, LoadCall
from .rules import RULES
from .rules.rule import Setting, Sides


@record
class NamedSet:
    """An `edges` statement with its sides."""

    sides: Sides
    node: syntax.Expression
    placed: Placed


@record(frozen=False)
class SetResolver:
    """Resolves set expressions. Named sets are resolved once, when first used.

    `declare` reads an `edges` statement that is needed before its turn, as for an axis, into `named`.
    """

    names: Names
    files: Files
    declare: Callable[[Declaration], None]
    budget: Budget = field(default_factory=lambda: Budget())
    named: dict[str, NamedSet] = field(default_factory=dict[str, NamedSet])
    resolved: dict[str, EdgeSet | None] = field(default_factory=dict[str, "EdgeSet | None"])
    _resolving: list[str] = field(default_factory=list[str])
    _listed: Counter[str] = field(default_factory=Counter[str])

    def resolve(self, node: syntax.Expression, sides: Sides, variables: Mapping[str, int]) -> EdgeSet:
        """The edges of a whole set expression. Raises `Failed` after recording a diagnostic."""
        try:
            edges = recognised(settled(self._set(node, sides, variables, "0")))
        except TooManyEdges as error:
            raise fail(
                self.names.report,
                codes.TOO_MANY_EDGES,
                node.span,
                count=f"{error.count:,}",
                help="`all` alone is never written out; what is taken from it or added to it is",
            ) from None
        self._refuse_many_together(edges, node.span)
        return edges

    def _refuse_many_together(self, edges: EdgeSet, span: Span) -> None:
        """Hold the edges of all named sets, and those of all connections, to the limit of a single set."""
        kind = "`edges` statements" if self._resolving else "connections"
        self._listed[kind] += edges.count if isinstance(edges, Listed) else 0
        if self._listed[kind] > EDGE_LIMIT:
            help = f"these are the edges of all {kind} so far, of which each alone would do"
            count = f"{self._listed[kind]:,}"
            self.names.report.add(codes.TOO_MANY_EDGES, span, count=count, help=help)
            self.names.report.check()  # what else is wrong would be looked for in sets as large

    def _set(
        self, node: syntax.Expression, sides: Sides, variables: Mapping[str, int], place: str
    ) -> Partial:
        report = self.names.report
        match node:
            case syntax.Parenthesised():
                return self._set(node.inner, sides, variables, place)
            case syntax.Binary(operator="|" | "&" | "-"):
                left = self._set(node.left, sides, variables, place + "0")
                right = self._set(node.right, sides, variables, place + "1")
                combine = {"|": union, "&": intersection, "-": difference}[node.operator]
                return combine(left, right)
            case syntax.Builder():
                return builders.build(node, self.scope(sides, variables, place))
            case syntax.Reference() | syntax.Call():
                return self._rule(node, sides, variables, place)
            case _:
                raise fail(
                    report,
                    codes.NOT_A_SET,
                    node.span,
                    help='a set is a rule such as `all`, a file `load("edges.csv")`, edges in braces, '
                    "or the name of an `edges` statement",
                )

    def scope(self, sides: Sides, variables: Mapping[str, int], place: str = "0") -> Scope:
        """What a builder between these sides sees, at a place of the expression it stands in."""
        return Scope(
            report=self.names.report,
            source=sides.source,
            target=sides.target,
            text=lambda name: self.names.text(name, variables),
            string=lambda string: self.names.string(string, variables),
            loop_variables=variables,
            outer=lambda reference: self.names.number(reference, variables),
            declared=lambda name: self.names.declared[name].kind if name in self.names.declared else None,
            surroundings=self.names.surroundings(variables),
            member=lambda node: self.member(node, variables),
            seed=lambda: seed_of(sides.owner, place),
            budget=self.budget,
        )

    def index_columns(
        self, node: syntax.Expression, sides: Sides, variables: Mapping[str, int]
    ) -> dict[str, Indices]:
        """The value on every edge of each index name of a set, in canonical order.

        There are none but where the set is exactly one builder, or one rule that names some.
        """
        if isinstance(node, syntax.Builder):
            return builders.index_columns(node, self.scope(sides, variables))
        if isinstance(node, syntax.Call) and (rule := RULES.get(called_name(node))):
            return rule.indices(node, self._setting(sides, variables, "0"))
        return {}

    def _setting(self, sides: Sides, variables: Mapping[str, int], place: str) -> Setting:
        """What a rule between these sides sees."""
        return Setting(
            sides,
            variables,
            place,
            self.names,
            self.files,
            self.budget,
            within=lambda node, place: self._set(node, sides, variables, place),
            member=lambda node: self.member(node, variables),
            refuse_sides=lambda node: self._refuse_sides(self.names.text(node.name, variables), node, sides),
        )

    # --------------------------------------------------------------------------------------- rules

    def _rule(
        self, node: syntax.Reference | syntax.Call, sides: Sides, variables: Mapping[str, int], place: str
    ) -> EdgeSet:
        report = self.names.report
        name = name_of(report, node)
        if name in RULES:
            return RULES[name].edges(node, self._setting(sides, variables, place))
        if isinstance(node, syntax.Reference):
            text = self.names.text(node.name, variables)
            if self._is_named(text):
                return self._named(text, node, sides)
            declared = self.names.declared.get(text)
            if declared is not None and declared.kind == "edge set":
                raise Failed  # its own statement has an error, which is recorded
            if declared is not None:
                raise fail(
                    report,
                    codes.WRONG_KIND,
                    node.span,
                    name=text,
                    kind=article(declared.kind),
                    wanted="a rule or edge set",
                    others=(Label(declared.span, "declared here"),),
                )
            name = text
        guess = self.names.declared_as(("edge set",)).nearest(name, also=RULES)
        help = f"did you mean `{guess}`?" if guess else "rules are " + ", ".join(f"`{r}`" for r in RULES)
        raise fail(report, codes.UNKNOWN_RULE, node.span, name=name, help=help)

    def _is_named(self, name: str) -> bool:
        """Whether there is a named set of this name; its statement is read if it has not been yet."""
        declared = self.names.declared.get(name)
        if name not in self.named and declared is not None and declared.kind == "edge set":
            self.declare(declared)
        return name in self.named

    def _named(self, name: str, node: syntax.Reference, sides: Sides) -> EdgeSet:
        own = self.named[name].sides
        self._refuse_sides(name, node, sides)
        edges, ends, wanted = self.edges_of(name, node.span), own.both, sides.both
        return between(edges, ends, wanted) if is_placed(ends, wanted) else edges

    def _refuse_sides(self, name: str, node: syntax.Reference, sides: Sides) -> None:
        """Refuse to use a named set between sides that have neither its shapes nor names of its own."""
        report, own = self.names.report, self.named[name].sides
        source, target = sides.both
        if not all(map(_fits, own.both, sides.both)):
            turned = all(map(_fits, own.both[::-1], sides.both))
            raise fail(
                report,
                codes.SIDES_DIFFER,
                node.span,
                name=name,
                shapes=f"{list(own.source.shape)} -> {list(own.target.shape)}",
                wanted=f"`{source.name}` -> `{target.name}` is {list(source.shape)} -> {list(target.shape)}",
                others=(Label(self.names.declared[name].span, "declared here"),),
                help="it leads the other way round" if turned else (),
            )
        for side, other in zip(own.both, sides.both, strict=True):
            for at in range(len(side.shape)):
                axis, wanted_axis = side.axis(at), other.axis(at)
                if axis is not None and wanted_axis is not None and goes_by_name(axis, wanted_axis):
                    refuse_strays(wanted_axis, axis, report, node.span)

    def edges_of(self, name: str, span: Span) -> EdgeSet:
        """The edges of a named set where it is used. Raises `Failed` if it has errors, or needs itself."""
        if name in self._resolving:
            raise fail(self.names.report, codes.SET_CYCLE, span, name=name)
        edges = self.named_edges(name)
        if edges is None:
            raise Failed
        return edges

    def member(self, node: syntax.Expression, variables: Mapping[str, int]) -> Member:
        """The named set that stands where only one can stand, as in a membership."""
        report = self.names.report
        text = self.names.text(node.name, variables) if isinstance(node, syntax.Reference) else ""
        if not self._is_named(text):
            declared = self.names.declared.get(text)
            if isinstance(node, syntax.Reference) and declared is not None:
                self.names.find(node.name, variables, "edge set")
                raise Failed  # its own statement has an error, which is recorded
            guess = self.names.declared_as(("edge set",)).nearest(text) if text else None
            help = f"did you mean `{guess}`?" if guess else "declare it: `edges NAME : A -> B = ...`"
            raise fail(report, codes.NOT_A_NAMED_SET, node.span, help=help)
        if text in self._resolving:
            raise fail(report, codes.SET_CYCLE, node.span, name=text)
        edges = self.named_edges(text)
        if edges is None:
            raise Failed
        sides = self.named[text].sides
        return Member(sides.source, sides.target, edges)

    def named_edges(self, name: str) -> EdgeSet | None:
        """The edges of a named set, or None if it has errors, which are recorded once."""
        if name not in self.resolved:
            self.resolved[name] = None
            named = self.named[name]
            self._resolving.append(name)
            try:
                self.resolved[name] = self.resolve(named.node, named.sides, named.placed.variables)
            except Failed:
                return None
            except RecursionError:
                if len(self._resolving) > 1:
                    raise
                self.names.report.add(codes.LONG_CHAIN, self.names.declared[name].span, name=name)
            finally:
                self._resolving.pop()
        return self.resolved[name]

    def load_call(
        self,
        node: syntax.Expression,
        variables: Mapping[str, int],
        parameters: tuple[str, ...] = PARAMETERS,
    ) -> LoadCall:
        """A `load(...)` with its arguments looked at. Raises `Failed` after recording a diagnostic."""
        return LoadCall.of(node, self.names, self.files, variables, parameters)


def _fits(own: Side, wanted: Side) -> bool:
    """Whether a set on one side can be used on another: of one size along each dimension, or by name."""
    return len(own.shape) == len(wanted.shape) and all(
        own.shape[at] == wanted.shape[at] or goes_by_name(own.axis(at), wanted.axis(at))
        for at in range(len(own.shape))
    )
