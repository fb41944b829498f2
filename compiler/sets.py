"""Set expressions: rules, files, builders, named sets and their algebra, resolved to edge sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..dsl import syntax
from ..dsl.diagnostics import Label
from ..dsl.words import suggest
from . import codes
from .arguments import Bound, bind, call_parts, name_of
from .connectivity import builders
from .connectivity.edge_set import (
    EDGE_LIMIT,
    Diagonal,
    EdgeSet,
    Full,
    Indices,
    TooManyEdges,
    difference,
    intersection,
    listed,
    pair_keys,
    union,
)
from .connectivity.files import Files, Table
from .connectivity.policies import DUPLICATE, OUTSIDE, Policies, refuse_duplicates, size_text
from .connectivity.random_edges import choose_sources, seed_of
from .connectivity.sides import Scope, Side, rank_text
from .expressions import Failed, article, fail
from .scope import Names, Placed

# Rules of the language that this version does not have.
RULES_LATER = ("window",)


@dataclass(frozen=True)
class Sides:
    """The two ends of a set, and the names that seed its random rules."""

    source: Side
    target: Side
    owner: str


@dataclass(frozen=True)
class NamedSet:
    """An `edges` statement with its sides."""

    sides: Sides
    node: syntax.Expression
    placed: Placed


@dataclass
class SetResolver:
    """Resolves set expressions. Named sets are resolved once, when first used."""

    names: Names
    files: Files
    named: dict[str, NamedSet] = field(default_factory=dict[str, NamedSet])
    resolved: dict[str, EdgeSet | None] = field(default_factory=dict[str, "EdgeSet | None"])
    _resolving: list[str] = field(default_factory=list[str])
    _tables: dict[str, Table] = field(default_factory=dict[str, Table])

    def resolve(self, node: syntax.Expression, sides: Sides, variables: Mapping[str, int]) -> EdgeSet:
        """The edges of a whole set expression. Raises `Failed` after recording a diagnostic."""
        try:
            return self._set(node, sides, variables, "0")
        except TooManyEdges as error:
            raise fail(
                self.names.report,
                codes.TOO_MANY_EDGES,
                node.span,
                count=f"{error.count:,}",
                help="`all` alone is never written out; what is taken from it or added to it is",
            ) from None

    def _set(
        self, node: syntax.Expression, sides: Sides, variables: Mapping[str, int], place: str
    ) -> EdgeSet:
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
                return builders.build(node, self.scope(sides, variables))
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

    def scope(self, sides: Sides, variables: Mapping[str, int]) -> Scope:
        """What a builder between these sides sees."""
        return Scope(
            report=self.names.report,
            source=sides.source,
            target=sides.target,
            text=lambda name: self.names.text(name, variables),
            loop_variables=variables,
            outer=lambda reference: self.names.number(reference, variables),
            declared=lambda name: self.names.declared[name].kind if name in self.names.declared else None,
        )

    # --------------------------------------------------------------------------------------- rules

    def _rule(
        self, node: syntax.Reference | syntax.Call, sides: Sides, variables: Mapping[str, int], place: str
    ) -> EdgeSet:
        report = self.names.report
        name = name_of(report, node)
        if name in RULES:
            return RULES[name](self, node, sides, variables, place)
        if name in RULES_LATER:
            raise fail(report, codes.NOT_YET, node.span, what=f"the rule `{name}`")
        if isinstance(node, syntax.Reference):
            text = self.names.text(node.name, variables)
            if text in self.named:
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
        known = [*RULES, *self.named]
        guess = suggest(name, known)
        help = f"did you mean `{guess}`?" if guess else "rules are " + ", ".join(f"`{r}`" for r in RULES)
        raise fail(report, codes.UNKNOWN_RULE, node.span, name=name, help=help)

    def _named(self, name: str, node: syntax.Reference, sides: Sides) -> EdgeSet:
        report = self.names.report
        named = self.named[name]
        wanted = (sides.source.shape, sides.target.shape)
        if (named.sides.source.shape, named.sides.target.shape) != wanted:
            turned = (named.sides.target.shape, named.sides.source.shape) == wanted
            raise fail(
                report,
                codes.SIDES_DIFFER,
                node.span,
                name=name,
                shapes=f"{list(named.sides.source.shape)} -> {list(named.sides.target.shape)}",
                wanted=f"`{sides.source.name}` -> `{sides.target.name}` is "
                f"{list(sides.source.shape)} -> {list(sides.target.shape)}",
                others=(Label(self.names.declared[name].span, "declared here"),),
                help="it leads the other way round" if turned else (),
            )
        if name in self._resolving:
            raise fail(report, codes.SET_CYCLE, node.span, name=name)
        edges = self.named_edges(name)
        if edges is None:
            raise Failed
        return edges

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

    def rule_all(
        self, node: syntax.Expression, sides: Sides, variables: Mapping[str, int], place: str
    ) -> EdgeSet:
        """`all`: every pair."""
        bind(self.names.report, node, ())
        return Full(sides.source.shape, sides.target.shape)

    def rule_one_to_one(
        self, node: syntax.Expression, sides: Sides, variables: Mapping[str, int], place: str
    ) -> EdgeSet:
        """`one_to_one`: equal indices of equal shapes."""
        bind(self.names.report, node, ())
        if sides.source.shape != sides.target.shape:
            raise fail(
                self.names.report,
                codes.SHAPES_DIFFER,
                node.span,
                source=sides.source.name,
                source_shape=list(sides.source.shape),
                target=sides.target.name,
                target_shape=list(sides.target.shape),
            )
        return Diagonal(sides.source.shape, sides.target.shape)

    def rule_random(
        self, node: syntax.Expression, sides: Sides, variables: Mapping[str, int], place: str
    ) -> EdgeSet:
        """`random(fan_in = k, seed = s)`: k distinct sources for every target."""
        report = self.names.report
        bound = bind(report, node, ("fan_in", "seed"), 0, later=("fan_out", "p", "edges", "among"))
        if "fan_in" not in bound:
            raise fail(report, codes.MISSING_ARGUMENT, node.span, name="random", argument="fan_in")
        evaluator = self.names.evaluator(variables)
        fan_in = evaluator.integer(bound["fan_in"].value, "`fan_in`", least=0)
        if fan_in > sides.source.units:
            raise fail(
                report,
                codes.TOO_FEW_SOURCES,
                bound["fan_in"].span,
                fan_in=fan_in,
                source=sides.source.name,
                size=size_text(sides.source.units),
            )
        edges = fan_in * sides.target.units
        if edges > EDGE_LIMIT and fan_in < sides.source.units:
            raise TooManyEdges(edges)
        if "seed" in bound:
            seed = evaluator.integer(bound["seed"].value, "`seed`", least=0)
            if variables and isinstance(bound["seed"].value, syntax.Number):
                report.add(
                    codes.SAME_SEED, bound["seed"].span, help="leave `seed` out, or let it depend on the loop"
                )
        else:
            seed = seed_of(sides.owner, place)
        if fan_in == sides.source.units:
            return Full(sides.source.shape, sides.target.shape)
        source, target = choose_sources(seed, sides.source.units, sides.target.units, fan_in)
        return listed(source, target, sides.source.shape, sides.target.shape)

    # --------------------------------------------------------------------------------------- files

    def rule_load(
        self, node: syntax.Expression, sides: Sides, variables: Mapping[str, int], place: str
    ) -> EdgeSet:
        """`load(file, ...)`: pairs from a table, or a 0/1 matrix."""
        report = self.names.report
        bound = bind(
            report,
            node,
            ("file", "source", "target", "rows", "outside", "duplicate"),
            1,
            later=("where", "unknown"),
        )
        name = self.file_name(node, bound, variables)
        suffix = name.rpartition(".")[2].lower()
        if suffix in ("csv", "tsv"):
            return self._pairs(name, node, bound, sides, variables)
        if suffix == "npz" and "rows" not in bound:
            help = "for a matrix in a .npz file, say `rows = source` or `rows = target`"
            raise fail(report, codes.NOT_YET, node.span, what="reading pairs from .npz files", help=help)
        if suffix in ("npy", "npz"):
            return self._matrix(name, node, bound, sides)
        if suffix in ("parquet", "mtx", "gmt"):
            raise fail(report, codes.NOT_YET, node.span, what=f"reading .{suffix} files")
        kinds = ", ".join(f"`.{kind}`" for kind in ("csv", "tsv", "npy", "npz"))
        raise fail(report, codes.FILE_KIND, node.span, name=name, kinds=kinds)

    def file_name(self, node: syntax.Expression, bound: Bound, variables: Mapping[str, int]) -> str:
        """The file argument of `load`, templates filled in."""
        report = self.names.report
        if "file" not in bound:
            raise fail(report, codes.MISSING_ARGUMENT, node.span, name="load", argument="file")
        value = bound["file"].value
        if not isinstance(value, syntax.String):
            raise fail(report, codes.NOT_A_STRING, value.span, what="a file's name")
        return self.names.string(value, variables)

    def table(self, name: str, node: syntax.Expression) -> Table:
        """A table, read once however often it is named."""
        if name not in self._tables:
            self._tables[name] = self.files.table(name, node.span)
        return self._tables[name]

    def _pairs(
        self,
        name: str,
        node: syntax.Expression,
        bound: Bound,
        sides: Sides,
        variables: Mapping[str, int],
    ) -> EdgeSet:
        report = self.names.report
        if "rows" in bound:
            raise fail(
                report, codes.SURPLUS_ARGUMENT, bound["rows"].span, name="load", help="`rows` is for matrices"
            )
        source, target, lines = self.pair_columns(name, node, bound, sides, variables)
        policies = Policies.of(
            tuple(
                syntax.Attribution(bound[key].span, key, bound[key].span, "=", bound[key].value)
                for key in ("outside", "duplicate")
                if key in bound
            ),
            report,
            lambda n: self.names.text(n, variables),
            (OUTSIDE, DUPLICATE),
        )
        keep = np.ones(len(source), bool)
        units: list[Indices] = []
        for end, columns, side in (("source", source, sides.source), ("target", target, sides.target)):
            unit = np.zeros(len(source), np.int64)
            for dimension, size in enumerate(side.shape):
                index = columns[:, dimension]
                outside = (index < 0) | (index >= size)
                if outside.any() and policies.outside == "error":
                    at = int(np.argmax(outside))
                    raise fail(
                        report,
                        codes.OUTSIDE,
                        node.span,
                        end=end,
                        index=int(index[at]),
                        side=side.name,
                        size=size_text(size),
                        label=f"line {lines[at]} of {name}",
                        help="`outside = skip` drops such edges, `outside = wrap` closes the ring",
                    )
                keep &= ~outside | (policies.outside == "wrap")
                unit = unit * size + (index % max(size, 1))
            units.append(unit)
        source_units, target_units = units[0][keep], units[1][keep]
        if policies.duplicate == "error":
            line_of = np.asarray(lines, np.int64)[keep]
            refuse_duplicates(
                pair_keys(source_units, target_units, sides.source.shape, sides.target.shape),
                sides.source,
                sides.target,
                report,
                lambda i: node.span,
                lambda i: f"again on line {line_of[i]} of {name}",
            )
        return listed(source_units, target_units, sides.source.shape, sides.target.shape)

    def pair_columns(
        self,
        name: str,
        node: syntax.Expression,
        bound: Bound,
        sides: Sides,
        variables: Mapping[str, int],
    ) -> tuple[Indices, Indices, list[int]]:
        """Indices of sources and targets in a table, (rows, dimensions) each, and the rows' lines."""
        table = self.table(name, node)
        columns: list[Indices] = []
        for end, side in (("source", sides.source), ("target", sides.target)):
            if end in bound:
                value = bound[end].value
                if not isinstance(value, syntax.String):
                    raise fail(self.names.report, codes.NOT_A_STRING, value.span, what="a column's name")
                wanted = [self.names.string(value, variables)]
            elif len(side.shape) == 1:
                wanted = [end]
            else:
                wanted = [f"{end}_{dimension}" for dimension in range(len(side.shape))]
            if len(wanted) != len(side.shape):
                raise fail(
                    self.names.report,
                    codes.RANK,
                    bound[end].span,
                    side=side.name,
                    rank=rank_text(side.shape),
                    shape=list(side.shape),
                    given=1,
                    help=f"leave `{end}` out: the columns are then `{end}_0`, `{end}_1`, ...",
                )
            columns.append(np.stack([table.integers(column) for column in wanted], axis=1))
        return columns[0], columns[1], table.lines

    def _matrix(self, name: str, node: syntax.Expression, bound: Bound, sides: Sides) -> EdgeSet:
        report = self.names.report
        for surplus in ("source", "target", "outside", "duplicate"):
            if surplus in bound:
                raise fail(
                    report,
                    codes.SURPLUS_ARGUMENT,
                    bound[surplus].span,
                    name="load",
                    help=f"`{surplus}` is for tables of pairs",
                )
        rows = bound.get("rows")
        word = call_parts(rows.value) if rows else None
        if word is None or word[0] not in ("source", "target"):
            raise fail(
                report,
                codes.ORIENTATION,
                rows.span if rows else node.span,
                name=name,
                help="`rows = source` for an (in, out) matrix, `rows = target` for an (out, in) matrix",
            )
        matrix = self.files.zero_one(name, node.span)
        wanted = (sides.source.units, sides.target.units)
        wanted = wanted if word[0] == "source" else wanted[::-1]
        if matrix.shape != wanted:
            turned = matrix.shape == wanted[::-1]
            other = "target" if word[0] == "source" else "source"
            raise fail(
                report,
                codes.MATRIX_SHAPE,
                node.span,
                name=name,
                shape=list(matrix.shape),
                wanted=list(wanted),
                source=sides.source.name,
                target=sides.target.name,
                help=f"its transpose would fit: `rows = {other}`" if turned else (),
            )
        first, second = np.nonzero(matrix)
        source, target = (first, second) if word[0] == "source" else (second, first)
        return listed(source, target, sides.source.shape, sides.target.shape)


Rule = Callable[[SetResolver, syntax.Expression, Sides, Mapping[str, int], str], EdgeSet]

RULES: dict[str, Rule] = {
    "all": SetResolver.rule_all,
    "one_to_one": SetResolver.rule_one_to_one,
    "random": SetResolver.rule_random,
    "load": SetResolver.rule_load,
}
