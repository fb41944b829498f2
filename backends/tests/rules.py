"""The generated tests' statements of edges: every set of a spec as a Python function, and what is compared.

A function `stated_NAME(sources, targets)` gives the edges of a set between some sources and some targets. How
many of them are compared follows from how much there is to look at, and is said with what it may miss.
"""

from __future__ import annotations

from ast import Name, parse, walk
from collections.abc import Callable, Iterator, Sequence
from dataclasses import field
from math import comb, exp, log1p, prod

from ...compiler.edges.edge_set import Diagonal, Full
from ...compiler.graph import statement as stated
from ...compiler.graph.graph import Project
from ...compiler.plan.plan import Plan
from ...dsl.records import record
from ..kernels import names_of
from ..layout import WIDTH, call, collection
from ..target import shape_text
from .expressions import Python, axis_call, can_fail, draws, indices_of, literal, parts_of, variable

# What is looked at for one connection, in assignments of index names: a fraction of a second of Python.
BUDGET = 300_000
# Edges that are drawn where not all pairs are compared.
DRAWN_EDGES = 2_000
# What may be looked at to know a named set whole, where others ask for its edges.
WHOLE_SET = 3_000_000
# More pairs than this in the text of a set are no code to read.
LISTED_PAIRS = 20_000
# A row of a table in the time that an assignment takes.
ROW = 0.05

Sizes = tuple[float, float]


@record
class Sample:
    """How many targets, sources and edges of a connection are compared, of how many."""

    targets: int
    sources: int
    edges: int
    of: tuple[int, int, int]

    @property
    def is_whole(self) -> bool:
        """Whether all pairs are compared."""
        return (self.targets, self.sources) == self.of[:2]

    @property
    def share(self) -> float:
        """The share of pairs that are compared."""
        return self.targets / self.of[0] * self.sources / self.of[1]

    def missed(self, wrong: int) -> tuple[float, float]:
        """The chances that no one is met of missing edges, and of surplus ones, of different targets."""
        (targets, sources, edges), wrong = self.of, min(wrong, self.of[0])
        if self.sources == sources:
            missing = comb(targets - wrong, self.targets) / comb(targets, self.targets)
        else:
            missing = exp(wrong * log1p(-self.share)) if self.share < 1 else 0.0
        surplus = missing
        if edges:
            wrong = min(wrong, edges)
            surplus *= comb(edges - wrong, self.edges) / comb(edges, self.edges)
        return missing, surplus


@record(frozen=False)
class Rules:
    """What the template of the rules places."""

    functions: list[str] = field(default_factory=list[str])
    checks: list[str] = field(default_factory=list[str])
    unstated: list[str] = field(default_factory=list[str])
    names: list[str] = field(default_factory=list[str])
    files: list[str] = field(default_factory=list[str])
    rows: bool = False
    kernels: set[str] = field(default_factory=set[str])
    imports: set[str] = field(default_factory=set[str])


def rules(plan: Plan) -> Rules:
    """The statements of all connections of a plan, and of what they are made of."""
    statements, made = plan.graph.statements, Rules()
    chosen: dict[str, stated.Stated] = {}
    functions: list[str] = []
    for op in (op for op in plan.graph.operations if isinstance(op, Project)):
        own = statements.connections[op.connection]
        cost = Cost(statements, op.edges.count)
        if why := cost.why_not(own):
            made.unstated.append(f'"{op.connection}": {literal(why)},')
            continue
        chosen[op.connection] = own
        sample = cost.sample(own)
        form = "listed"
        if isinstance(op.edges, Full | Diagonal):
            form = "all" if isinstance(op.edges, Full) else "one_to_one"
        drawn = "None" if sample.is_whole else f"({sample.targets}, {sample.sources}, {sample.edges})"
        made.checks.append(f'"{op.connection}": (stated_{op.connection}, "{form}", {drawn}),')
        functions += _functions(op.connection, own, _account(sample))
    stored = [named.axis for named in plan.graph.unit_names]
    stored = [name for name in stored if not Cost(statements, 0).why_not(statements.axes[name])]
    made.names = [f'"{name}": {axis_call(name)[:-2]},' for name in stored]
    sets, axes = _needed([*chosen.values(), *map(stated.SameNames, stored)], statements)
    made.functions += [_axis(name, value) for name, value in statements.axes.items() if name in axes]
    for name, own in statements.sets.items():
        if name in sets:
            made.functions += _functions(name, own, ())
    made.functions += functions
    _take(made, plan)
    return made


def _take(made: Rules, plan: Plan) -> None:
    """Note which kernels, imports and files the functions use."""
    used = {node.id for text in made.functions for node in walk(parse(text)) if isinstance(node, Name)}
    made.rows = "rows" in used
    if {"content", "rows"} & used:
        made.files = [f"{literal(file.name)}: {literal(file.sha256)}," for file in plan.graph.files]
        made.kernels |= {"read_file"} | ({"rows_of"} if made.rows else set())
    made.kernels |= {"Statement", "check_statement"} if made.checks else set()
    made.kernels |= {"check_axis_names"} if made.names else set()
    made.kernels |= used & names_of("tests")
    imports = {
        "product": "from itertools import product",
        "floor": "from math import floor",
        "cache": "from functools import cache",
        "Collection": "from collections.abc import Collection",
        "Iterator": "from collections.abc import Iterator",
        "np": "import numpy as np",
    }
    made.imports = {line for name, line in imports.items() if name in used}


def _account(sample: Sample) -> tuple[str, ...]:
    """What is compared, and what may be missed: lines of a docstring."""
    targets, sources, edges = sample.of
    if sample.is_whole:
        return (f"All {sources:,} x {targets:,} pairs are compared.",)
    some = "all sources" if sample.sources == sources else f"{sample.sources:,} of {sources:,} sources"
    drawn = f", and {sample.edges:,} of {edges:,} edges" if sample.edges else ""
    (one, surplus), (many, many_surplus) = sample.missed(1), sample.missed(100)
    return (
        f"Compared are {sample.targets:,} of {targets:,} targets with {some}{drawn}.",
        "",
        f"A single missing edge is overlooked with a chance of {one:.2g}, and 100 of different targets with",
        f"{many:.2g}; one too many with {surplus:.2g}, and 100 with {many_surplus:.2g}.",
    )


# ----------------------------------------------------------------------------------------- what is needed


def _sets_in(node: object) -> Iterator[str]:
    for part in parts_of(node):
        match part:
            case stated.Named(name) | stated.Length(name) | stated.EdgeEnd(name):
                yield name
            case stated.Member(name) | stated.ReachedNames(name):
                yield name
            case _:
                pass


def _axes_in(node: object) -> Iterator[str]:
    for part in parts_of(node):
        match part:
            case stated.Unit(axis) | stated.UnitName(axis) | stated.Names(axis) | stated.Field(axis):
                yield axis
            case stated.Moved(_, own, other):
                yield from (own, other)
            case stated.SameNames(axis):
                yield axis
            case stated.ReachedNames(axis=axis, other=other):
                yield axis
                if other:
                    yield other
            case stated.Named(_, source, target):
                yield from (axis for pair in (*source, *target) if pair for axis in pair)
            case stated.Stated(source, target, set) if any(
                isinstance(part, stated.Table) for part in parts_of(set)
            ):
                yield from (axis for end in (source, target) for axis in end.axes if axis)
            case _:
                pass


def _needed(nodes: Sequence[object], statements: stated.Statements) -> tuple[set[str], set[str]]:
    """The named sets and the axes that statements need, and those need in turn."""
    sets: set[str] = set()
    axes: set[str] = set()
    pending = list(nodes)
    while pending:
        node = pending.pop()
        new_sets, new_axes = {*_sets_in(node)} - sets, {*_axes_in(node)} - axes
        sets |= new_sets
        axes |= new_axes
        pending += [statements.sets[name] for name in new_sets]
        pending += [statements.axes[name] for name in new_axes]
    return sets, axes


# ------------------------------------------------------------------------------------------------- cost


@record
class Cost:
    """How many assignments of index names are looked at, for sets with so many edges."""

    statements: stated.Statements
    edges: int

    def why_not(self, node: object) -> str:
        """Why a set, or the names of an axis, are not stated; nothing if they are."""
        sets, axes = _needed([node], self.statements)
        own = [self.statements.sets[name] for name in sets]
        nodes = [node, *own, *(self.statements.axes[name] for name in axes)]
        for part in (part for each in nodes for part in parts_of(each)):
            if isinstance(part, stated.Unstated):
                return part.why
            if isinstance(part, stated.Builder) and (listed := _listed(part)) > LISTED_PAIRS:
                return f"{listed:,} units are listed, which are no code to read"
            if isinstance(part, stated.Arrow) and can_fail((part.source, part.target)):
                drawn, failing = (any(map(ask, part.conditions)) for ask in (draws, can_fail))
                if drawn and failing:
                    return "an index and a condition may fail where `chance` rules them out"
        for name in {name for each in nodes for name in _asked_whole(each)}:
            inner = self.statements.sets[name]
            if self.of(inner.set, inner, (prod(inner.source.shape), prod(inner.target.shape))) > WHOLE_SET:
                return f"`{name}` has more pairs than can be looked at"
        return ""

    def sample(self, own: stated.Stated) -> Sample:
        """All pairs, or as many targets and sources as can be looked at, and some edges."""
        sources, targets = prod(own.source.shape), prod(own.target.shape)
        of = (targets, sources, self.edges)

        def most(cost_of: list[float], size: int) -> int:
            """How many units may be looked at, of the costs of none and of one."""
            none, each = cost_of[0], cost_of[1] - cost_of[0]
            return (
                size if not each and none <= BUDGET else int(max(0, min(size, (BUDGET - none) / (each or 1))))
            )

        if self.of(own.set, own, (sources, targets)) <= BUDGET:
            return Sample(targets, sources, 0, of)
        some_targets = most([self.of(own.set, own, (sources, number)) for number in (0, 1)], targets)
        some_sources = most([self.of(own.set, own, (number, targets)) for number in (0, 1)], sources)
        side = max(1, int((BUDGET / max(1.0, self.of(own.set, own, (1, 1)))) ** 0.5))
        choices = [
            (some_targets, sources),
            (targets, some_sources),
            (min(side, targets), min(side, sources)),
        ]
        most_targets, most_sources = max(choices, key=lambda pair: pair[0] * pair[1])
        one = max(1.0, self.of(own.set, own, (1, 1)))
        drawn = min(self.edges, DRAWN_EDGES, int(BUDGET / one))
        return Sample(most_targets, most_sources, drawn, of)

    def of(self, node: stated.Set, own: stated.Stated, sizes: Sizes) -> float:
        """What it takes to know the edges of a set between so many sources and so many targets."""
        sources, targets = sizes
        match node:
            case stated.All():
                return sources * targets
            case stated.OneToOne():
                return sources
            case stated.Window(extents):
                widths = (e.value if isinstance(e, stated.Number) else 10 for e in extents)
                return targets * prod(widths)
            case stated.Table() | stated.Matrix():
                return ROW * self.edges
            case stated.Named(name, source, target, closure):
                inner = self.statements.sets[name]
                if closure or any((*source, *target)):
                    sizes = prod(inner.source.shape), prod(inner.target.shape)
                return self.of(inner.set, inner, sizes)
            case stated.Combined(_, left, right):
                return self.of(left, own, sizes) + self.of(right, own, sizes)
            case stated.Builder(arrows):
                return sum(_cost_of_arrow(arrow, own, sizes) for arrow in arrows)
            case stated.Random():
                return self._of_random(node, own, sizes)
            case stated.Unstated():
                return 0.0

    def _of_random(self, node: stated.Random, own: stated.Stated, sizes: Sizes) -> float:
        """Numbers are drawn for each target, for each source, or for all edges at once."""
        every = prod(own.source.shape), prod(own.target.shape)
        drawn = 10.0 * self.edges
        match node.form:
            case "fan_in":
                drawn, sizes = drawn * sizes[1] / every[1], (every[0], sizes[1])
            case "fan_out":
                drawn, sizes = drawn * sizes[0] / every[0], (sizes[0], every[1])
            case "edges":
                sizes = every
            case _:
                drawn = drawn * sizes[1] / every[1]
        return drawn + (self.of(node.among, own, sizes) if node.among else 0.0)


def _asked_whole(node: object) -> Iterator[str]:
    """The named sets of which all edges are needed, whatever is compared."""
    for part in parts_of(node):
        match part:
            case stated.Length(name) | stated.EdgeEnd(name) | stated.Member(name):
                yield name
            case stated.ReachedNames(name):
                yield name
            case stated.Named(name, source, target, closure) if closure or any((*source, *target)):
                yield name
            case _:
                pass


def _listed(node: stated.Builder) -> int:
    pairs = (arrow for arrow in node.arrows if isinstance(arrow, stated.Pairs))
    return sum(len(arrow.sources) + len(arrow.targets) for arrow in pairs)


def _cost_of_arrow(arrow: stated.Arrow | stated.Pairs, own: stated.Stated, sizes: Sizes) -> float:
    if isinstance(arrow, stated.Pairs):
        return len(arrow.sources) * len(arrow.targets)
    loops = _loops(arrow, own, wraps=False)
    cost = 10.0 if any(map(draws, arrow.conditions)) else 1.0
    for end, size in zip(("source", "target"), sizes, strict=True):
        cost *= size if end in loops.ends else 1
    for domain in loops.others:
        cost *= _size(domain.values)
    return cost


def _size(values: int | stated.Interval | stated.Items) -> float:
    """How many values a name runs over, as far as that can be told."""
    match values:
        case int():
            return values
        case stated.Items(items):
            return len(items)
        case stated.Interval(first, last):
            found = [
                (high - low + 1)
                for at in (0, 100)
                if (low := _value(first, at)) is not None and (high := _value(last, at)) is not None
            ]
            return max(1.0, *found) if found else 10.0


def _value(node: stated.Expression, at: int) -> float | None:
    """A sum of numbers, every index being some number."""
    match node:
        case stated.Number(value):
            return value
        case stated.Index():
            return at
        case stated.Operation("-", (one,)):
            value = _value(one, at)
            return None if value is None else -value
        case stated.Operation("+" | "-" | "*" as symbol, (left, right)):
            a, b = _value(left, at), _value(right, at)
            if a is None or b is None:
                return None
            return {"+": a + b, "-": a - b, "*": a * b}[symbol]
        case _:
            return None


# -------------------------------------------------------------------------------------------- functions


def _functions(name: str, own: stated.Stated, account: Sequence[str]) -> list[str]:
    """The function of a set, behind those of its parts."""
    writer = _Writer(name, own)
    lines = writer.body(own.set)
    return [*writer.parts, _function(f"stated_{name}", own, lines, account)]


def _function(name: str, own: stated.Stated, lines: Sequence[str], account: Sequence[str]) -> str:
    """The text of a function."""
    result = "Any" if lines[-1].startswith("return") else "Iterator[Any]"
    documented = []
    if account:
        ends = ['"""'] if len(account) > 1 else []
        last = '"""' if not ends else ""
        documented = [f'"""{account[0]}{last}', *account[1:], *ends]
    return "\n".join([
        f"@stated({shape_text(own.source.shape)}, {shape_text(own.target.shape)})",
        f"def {name}(sources: Collection[Any], targets: Collection[Any]) -> {result}:",
        *(f"    {line}" if line else "" for line in (*documented, *lines)),
    ])  # fmt: skip


def _axis(name: str, value: stated.AxisNames) -> str:
    """The text of the function that gives an axis."""
    lines = [f"return {_axis_text(value)}"]
    match value:
        case stated.CombinedNames(operator, left, right) if len(lines[0]) + 4 > WIDTH:
            left, right = (
                _assigned(end, _axis_text(each)) for end, each in (("left", left), ("right", right))
            )
            lines = [*left, *right, f"return left {operator} right"]
        case stated.FileNames(file, str(column), header, where) if where is not None:
            kept = f"row for row in {_rows(file, header)} if {Python().text(where)}"
            lines = [*_assigned("kept", f"({kept})"), f"return names_of_rows(kept, {literal(column)})"]
        case _:
            pass
    return "\n".join(["@cache", f"def {axis_call(name)} -> Axis:", *(f"    {line}" for line in lines)])


def _axis_text(value: stated.AxisNames, *, inner: bool = False) -> str:
    """The names of an axis as an expression."""
    match value:
        case stated.SameNames(axis):
            return axis_call(axis)
        case stated.CombinedNames(operator, left, right):
            text = f"{_axis_text(left, inner=True)} {operator} {_axis_text(right, inner=True)}"
            return f"({text})" if inner else text
        case stated.ReachedNames(set, end, axis, other, bound):
            names = (
                f"{_axis_text(bound, inner=True)}.places"
                if bound and not isinstance(bound, tuple)
                else "None"
            )
            if isinstance(bound, tuple):
                names = f"[{', '.join(map(literal, bound))}]"
            given = f"{axis_call(axis)}, {names}, {axis_call(other or axis)}"
            return f"reached(stated_{set}, {int(end == 'target')}, {given})"
        case stated.FileNames(file, None):
            return f"names_of_lines(content({literal(file)}))"
        case stated.FileNames(file, column, header, where):
            assert column is not None
            rows = _rows(file, header)
            if where is not None:
                rows = f"(row for row in {rows} if {Python().text(where)})"
            return f"names_of_rows({rows}, {literal(column)})"
        case stated.Unstated(why):
            raise AssertionError(why)


def _rows(file: str, header: bool) -> str:
    return f"rows({literal(file)}{'' if header else ', header=False'})"


@record(frozen=False)
class _Loops:
    """How an arrow is looped over: ends of which all units are taken, and names by what they run over."""

    ends: tuple[str, ...]
    others: tuple[stated.Domain, ...]
    conditions: tuple[stated.Expression, ...]


def _loops(arrow: stated.Arrow, own: stated.Stated, *, wraps: bool) -> _Loops:
    """Ends that consist of index names are looped over unit by unit; other names by what they run over."""
    domains = {domain.name: domain for domain in arrow.names}
    known: set[str] = set()
    ends: list[str] = []
    conditions: list[stated.Expression] = []
    for end, index, side in (("source", arrow.source, own.source), ("target", arrow.target, own.target)):
        names = [part.name for part in index if isinstance(part, stated.Index)]
        if len(names) < len(index) or len({*names}) < len(names) or known & {*names}:
            continue
        runs = [domains[name].values for name in names]
        if all(
            run == size if isinstance(run, int) else not wraps
            for run, size in zip(runs, side.shape, strict=True)
        ):
            ends.append(end)
            known |= {*names}
            conditions += [
                stated.Comparison(stated.Index(name), (("in", run),))
                for name, run in zip(names, runs, strict=True)
                if not isinstance(run, int)
            ]
    waiting = [domain for domain in arrow.names if domain.name not in known]
    others: list[stated.Domain] = []
    while waiting:
        ready = next(d for d in waiting if not indices_of((d.values,)) - known)
        waiting.remove(ready)
        known.add(ready.name)
        others.append(ready)
    return _Loops(tuple(ends), tuple(others), tuple(conditions))


@record(frozen=False)
class _Writer:
    """Writes the function of one set, and in `parts` those of what it is combined from."""

    name: str
    own: stated.Stated
    parts: list[str] = field(default_factory=list[str])
    named: dict[stated.Set, str] = field(default_factory=dict["stated.Set", str])

    def body(self, node: stated.Set) -> list[str]:
        """The lines of a function that gives the edges of a set."""
        match node:
            case stated.Builder():
                return self._builder(node)
            case stated.Table():
                return self._table(node)
            case stated.Window():
                return _lines(call("return window(", self._window(node), ")", 4))
            case stated.Random():
                return _lines(call("return random_edges(", self._random(node), ")", 4))
            case stated.Matrix(file, rows):
                shapes = shape_text(self.own.source.shape), shape_text(self.own.target.shape)
                given = [literal(file), f"content({literal(file)})", literal(rows), *shapes]
                return [
                    *_lines(call("edges = matrix(", given, ")", 4)),
                    "return among(edges, sources, targets)",
                ]
            case stated.Named() if _moves(node):
                return _lines(call("return among(", [self._edges(node), "sources", "targets"], ")", 4))
            case stated.Combined():
                return self._combined(node)
            case _:
                return [f"return {self.term(node)}"]

    def _combined(self, node: stated.Combined) -> list[str]:
        """Sets that are combined: on one line if they fit, else each on its own before."""
        line = f"    return {self.term(node)}"
        if len(line) <= WIDTH:
            return [line.strip()]
        terms: list[str] = []

        def named(node: stated.Set, binding: int = 0) -> str:
            if not isinstance(node, stated.Combined):
                terms.append(self.term(node))
                return f"set_{len(terms)}"
            text, own = self._operation(node, named)
            return f"({text})" if own < binding else text

        result = named(node)
        given = [line for at, term in enumerate(terms, 1) for line in _assigned(f"set_{at}", term)]
        return [*given, f"return {result}"]

    def _operation(self, node: stated.Combined, term: Callable[[stated.Set, int], str]) -> tuple[str, int]:
        own = "|&-".index(node.operator)
        return f"{term(node.left, own)} {node.operator} {term(node.right, own + 1)}", own

    def term(self, node: stated.Set, binding: int = 0) -> str:
        """A set as an expression."""
        match node:
            case stated.All():
                return "set(product(sources, targets))"
            case stated.OneToOne():
                return "{(unit, unit) for unit in sources if unit in targets}"
            case stated.Combined():
                text, own = self._operation(node, self.term)
                return f"({text})" if own < binding else text
            case stated.Named():
                edges = self._edges(node)
                return f"among({edges}, sources, targets)" if _moves(node) else f"{edges}(sources, targets)"
            case stated.Builder() | stated.Table() | stated.Matrix() | stated.Window() | stated.Random():
                return f"{self.part(node)}(sources, targets)"
            case stated.Unstated():
                raise AssertionError(node.why)

    def _window(self, node: stated.Window) -> list[str]:
        python = Python()
        sizes = (node.extents, node.strides, node.dilations, node.pads)
        given = (self._tuple([python.text(size) for size in each]) for each in sizes)
        return ["sources", "targets", shape_text(self.own.source.shape), *given]

    def part(self, node: stated.Set) -> str:
        """The name of a function for a part of the set, written when it is first asked for."""
        if node not in self.named:
            name = self.named[node] = f"stated_{self.name}__{len(self.named) + 1}"
            inner = _Writer(f"{self.name}__{len(self.named)}", self.own)
            lines = inner.body(node)
            self.parts += [*inner.parts, _function(name, self.own, lines, ())]
        return self.named[node]

    def _tuple(self, items: Sequence[str]) -> str:
        return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"

    def _edges(self, node: stated.Named) -> str:
        """The edges of a named set, or what follows from all of them."""
        name = f"stated_{node.name}"
        if not _moves(node):
            return name
        edges = f"closure_of({name})" if node.closure else f"{name}.whole"
        if any((*node.source, *node.target)):
            ends = [
                [f"({axis_call(pair[0])}, {axis_call(pair[1])})" if pair else "None" for pair in end]
                for end in (node.source, node.target)
            ]
            edges = f"by_name({edges}, [{', '.join(ends[0])}], [{', '.join(ends[1])}])"
        return edges

    def _random(self, node: stated.Random) -> list[str]:
        python = Python()
        shapes = f"({shape_text(self.own.source.shape)}, {shape_text(self.own.target.shape)})"
        given = [shapes, literal(node.form), python.text(node.value), python.seed(node.seed)]
        if node.among is not None and not isinstance(node.among, stated.All):
            same = isinstance(node.among, stated.Named) and not _moves(node.among)
            given.append(self._edges(node.among) if same else self.part(node.among))  # pyright: ignore
            given += ["complement=True"] * (node.form == "p" and node.complement)
        return ["sources", "targets", *given]

    # ------------------------------------------------------------------------------------------- tables

    def _table(self, node: stated.Table) -> list[str]:
        lines = [f"for row in {_rows(node.file, node.header)}:"]
        indent = "    "
        if node.where is not None:
            lines += _if([Python().text(node.where, 2)], indent)
            indent += "    "
        for word, columns, end in (
            ("source", node.source, self.own.source),
            ("target", node.target, self.own.target),
        ):
            parts = [
                f"{axis_call(axis)}.places.get(row[{literal(column)}])"
                if axis
                else f"whole(row[{literal(column)}])" + (f" % {size}" if node.wraps else "")
                for column, axis, size in zip(columns, end.axes, end.shape, strict=True)
            ]
            lines.append(f"{indent}{word} = {parts[0] if len(parts) == 1 else self._tuple(parts)}")
        return [
            *lines,
            *_if(["source in sources", "target in targets"], indent),
            f"{indent}    yield source, target",
        ]

    # ----------------------------------------------------------------------------------------- builders

    def _builder(self, node: stated.Builder) -> list[str]:
        lines: list[str] = []
        pairs = [arrow for arrow in node.arrows if isinstance(arrow, stated.Pairs)]
        if pairs:
            lines += self._pairs(pairs, wraps=node.wraps)
        for arrow in node.arrows:
            if isinstance(arrow, stated.Arrow):
                lines += self._arrow(arrow, wraps=node.wraps)
        return lines or ["return ()"]

    def _pairs(self, pairs: Sequence[stated.Pairs], *, wraps: bool) -> list[str]:
        """Listed units, an arrow an item."""
        items: list[str] = []
        for arrow in pairs:
            ends = [
                [self._unit(index, side, wraps=wraps) for index in listed]
                for listed, side in ((arrow.sources, self.own.source), (arrow.targets, self.own.target))
            ]
            texts = [f"[{', '.join(end)}]" for end in ends]
            single = len(ends[0]) == len(ends[1]) == 1
            items.append(f"({ends[0][0]}, {ends[1][0]})" if single else f"*product({', '.join(texts)})")
        return [*_lines(collection("edges = [", items, "]", 4)), "yield from among(edges, sources, targets)"]

    def _unit(self, index: Sequence[stated.Expression], side: stated.End, *, wraps: bool) -> str:
        python = Python()
        parts = [
            self._around(python, part, size, wraps=wraps)
            for part, size in zip(index, side.shape, strict=True)
        ]
        return parts[0] if len(parts) == 1 else self._tuple(parts)

    def _around(self, python: Python, part: stated.Expression, size: int, *, wraps: bool) -> str:
        """An index, counted around the ends where it may be outside."""
        inside = isinstance(part, stated.Unit) or (isinstance(part, stated.Number) and 0 <= part.value < size)
        if not wraps or inside:
            return python.text(part)
        return f"{python.text(part, 7)} % {size}"

    def _arrow(self, arrow: stated.Arrow, *, wraps: bool) -> list[str]:
        loops = _loops(arrow, self.own, wraps=wraps)
        shapes = self.own.source.shape, self.own.target.shape
        units = {
            "source": Python().index(arrow.source) if "source" in loops.ends else "source",
            "target": Python().index(arrow.target) if "target" in loops.ends else "target",
        }
        python = Python()
        waiting = [*loops.conditions, *arrow.conditions]
        lines: list[str] = []
        indent, known = "", set[str]()
        asked: list[str] = []  # what the last line asks, if that is an `if`
        before = 0  # where it begins

        def ask(texts: Sequence[str]) -> None:
            nonlocal indent, asked, before
            if not texts:
                return
            if asked:
                del lines[before:]
                indent = indent[4:]
            asked, before = [*asked, *texts], len(lines)
            lines.extend(_if(asked, indent))
            indent += "    "

        def add(line: str) -> None:
            nonlocal asked
            lines.append(f"{indent}{line}")
            asked = []

        def ask_ready() -> None:
            ready = [c for c in waiting if not can_fail(c) and not draws(c) and indices_of(c) <= known]
            for condition in ready:
                waiting.remove(condition)
            ask([python.text(condition, 2) for condition in ready])

        ask_ready()
        for end, index in (("source", arrow.source), ("target", arrow.target)):
            if end in loops.ends:
                add(f"for {', '.join(map(python.text, index))} in {end}s:")
                indent += "    "
                known |= indices_of(index)
                ask_ready()
        for domain in loops.others:
            values = domain.values
            over = f"range({values})" if isinstance(values, int) else python.text(values)
            add(f"for {variable(domain.name)} in {over}:")
            indent += "    "
            known.add(domain.name)
            ask_ready()
        failing = [condition for condition in waiting if not draws(condition)]
        drawing = [condition for condition in waiting if draws(condition)]
        if failing and drawing:
            drawing, failing = [*drawing, *failing], []  # what is drawn may make a failure irrelevant
        if len(failing) > 1:
            ask([python.deciding("holds", failing)])
        elif failing:
            ask([python.text(failing[0], 2)])
        final: list[str] = []
        for end, index, shape in (("source", arrow.source, shapes[0]), ("target", arrow.target, shapes[1])):
            if end not in loops.ends:
                parts = [
                    self._around(python, part, size, wraps=wraps and not self._runs_inside(part, arrow, size))
                    for part, size in zip(index, shape, strict=True)
                ]
                add(f"{end} = {parts[0] if len(parts) == 1 else self._tuple(parts)}")
                final.append(f"{end} in {end}s")
        if drawing:
            mixed = any(not draws(condition) for condition in drawing)
            drawn = [python.text(condition, 2) for condition in drawing]
            drawn = [python.deciding("holds", drawing)] if mixed else drawn
            ask(final)
            numbers = (
                f"number_of({units[end]}, {shape_text(shape)})"
                for end, shape in zip(units, shapes, strict=True)
            )
            add(f"pair = {', '.join(numbers)}")
            final = drawn
        ask(final)
        return [*lines, f"{indent}yield {units['source']}, {units['target']}"]

    def _runs_inside(self, part: stated.Expression, arrow: stated.Arrow, size: int) -> bool:
        """Whether a name alone runs over no more than the units of a dimension."""
        if not isinstance(part, stated.Index):
            return False
        values = next(domain.values for domain in arrow.names if domain.name == part.name)
        return isinstance(values, int) and values <= size


def _moves(node: stated.Named) -> bool:
    """Whether all edges of a named set are needed to know some: of a closure, or where units go by name."""
    return node.closure or any((*node.source, *node.target))


def _lines(text: str) -> list[str]:
    """Lines of a body that were laid out where they stand, four blanks from the left."""
    first, *rest = text.split("\n")
    return [first, *(line.removeprefix("    ") for line in rest)]


def _assigned(name: str, text: str) -> list[str]:
    """`name = text`, in parentheses on a line of its own if it does not fit."""
    line = f"{name} = {text}"
    return [line] if len(line) + 4 <= WIDTH else [f"{name} = (", f"    {text}", ")"]


def _if(conditions: Sequence[str], indent: str) -> list[str]:
    """An `if` of conditions that must all hold, on one line if it fits."""
    line = f"{indent}if {' and '.join(conditions)}:"
    if len(line) + 4 <= WIDTH:
        return [line]
    first, *rest = conditions
    return [f"{indent}if (", f"{indent}    {first}", *(f"{indent}    and {c}" for c in rest), f"{indent}):"]
