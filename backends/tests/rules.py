"""The generated tests' statements of edges: every set of a spec as a Python function, and what is compared.

A function `stated_NAME(sources, targets)` gives the edges of a set between some sources and some targets. How
many of them are compared follows from how much there is to look at, and is said with what it may miss.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ...compiler.edges.edge_set import Diagonal, Full
from ...compiler.graph import statement as stated
from ...compiler.plan.plan import Plan
from ...dsl.records import record
from ..kernels import closure, names_of
from ..source import (
    Function,
    Needs,
    Pair,
    Scope,
    Statement,
    Vocabulary,
    names_in,
    needs_of,
    node,
    printed,
)
from .axes import axis_function
from .cost import Cost, Sample, needed
from .expressions import Naming
from .sets import set_functions

VOCABULARY = Vocabulary(
    imports={
        "Any": "from typing import Any",
        "Collection": "from collections.abc import Collection",
        "Iterator": "from collections.abc import Iterator",
        "Path": "from pathlib import Path",
        "cache": "from functools import cache",
        "floor": "from math import floor",
        "np": "import numpy as np",
        "product": "from itertools import product",
    },
    kernels=names_of("tests"),
    defined=frozenset(["content", "rows", "EXPECTED", "STATEMENTS", "NOT_STATED", "NAMES", "FILES"]),
    local=frozenset(["sources", "targets", "source", "target", "edges", "row", "kept", "unit", "pair"]),
)


@record
class Rules:
    """What the template of the rules places: functions, and dicts of what is compared, as trees."""

    files: tuple[Statement, ...]
    functions: tuple[Function, ...]
    checks: tuple[Statement, ...]
    unstated: tuple[Statement, ...]
    names: tuple[Statement, ...]

    @property
    def trees(self) -> tuple[object, ...]:
        """All that is placed."""
        return self.files, self.functions, self.checks, self.unstated, self.names

    @property
    def reads_rows(self) -> bool:
        """Whether a function reads the rows of a table."""
        return any(name.text == "rows" for name in names_in(self.functions))

    @property
    def suites(self) -> set[str]:
        """The classes of tests that hold the modules to what is stated."""
        held = {"StatementChecks": self.checks, "AxisNamesChecks": self.names}
        return {name for name, stated in held.items() if stated}

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What they are told."""
        checks = [("statements", "STATEMENTS")] if self.checks else []
        return [*checks, ("names", "NAMES")] if self.names else checks


def rules(plan: Plan, beside: Collection[str]) -> Rules:
    """The statements of all connections of a plan, and of what they are made of.

    No index name hides what stands `beside` in the module.
    """
    statements, scope = plan.graph.statements, Scope(VOCABULARY, frozenset(), taken=_imported() | {*beside})
    naming = Naming(scope)
    chosen: dict[str, stated.Stated] = {}
    checks, unstated = list[Pair](), list[Pair]()
    functions: list[Function] = []
    for connection, (op, *others) in plan.graph.connections.items():
        own = statements.connections[connection]
        cost = Cost(statements, sum(part.edges.count for part in (op, *others)))
        if why := cost.why_not(own):
            unstated.append(Pair(node(connection), node(why)))
            continue
        chosen[connection] = own
        sample = cost.sample(own)
        form = "listed"
        if isinstance(op.edges, Full | Diagonal):
            form = "all" if isinstance(op.edges, Full) else "one_to_one"
        drawn = None if sample.is_whole else (sample.targets, sample.sources, sample.edges)
        name = naming.set(connection)
        checks.append(Pair(node(connection), node((name, form, drawn))))
        functions += set_functions(naming, name, own, _account(sample))
    stored = [named.axis for named in plan.graph.unit_names]
    stored = [name for name in stored if not Cost(statements, 0).why_not(statements.axes[name])]
    sets, axes = needed([*chosen.values(), *map(stated.SameNames, stored)], statements)
    before = [axis_function(naming, name, value) for name, value in statements.axes.items() if name in axes]
    for name, own in statements.sets.items():
        if name in sets:
            before += set_functions(naming, naming.set(name), own, "")
    functions = [*before, *functions]
    reads = any(name.text in ("content", "rows") for name in names_in(functions))
    files = [Pair(node(file.name), node(file.sha256)) for file in plan.graph.files if reads]
    names = [Pair(node(name), naming.axis(name)) for name in stored]

    def placed(text: str, entries: Sequence[Pair]) -> tuple[Statement, ...]:
        return scope.statements(text, entries=entries) if entries else ()

    return Rules(
        files=placed("FILES = {**entries,}", files),
        functions=tuple(functions),
        checks=placed(
            "STATEMENTS: dict[str, tuple[Statement, str, tuple[int, int, int] | None]] = {**entries,}", checks
        ),
        unstated=placed("NOT_STATED = {**entries,}", unstated),
        names=placed("NAMES = {**entries,}", names),
    )


def _imported() -> set[str]:
    """What kernels bring into a module with them, which no index name may hide."""
    imports = (name for kernel in closure("tests", {*names_of("tests")}) for name, _ in kernel.imports)
    return {"annotations", *imports}


def rules_context(stating: Rules) -> dict[str, object]:
    """What the template `rules.py.j2` places."""
    return {
        "stated_files": printed(stating.files),
        "stated_rows": stating.reads_rows,
        "stated_functions": [printed([function]) for function in stating.functions],
        "stated_checks": printed(stating.checks),
        "not_stated": printed(stating.unstated),
        "stated_names": printed(stating.names),
    }


def rules_needs(stating: Rules) -> Needs:
    """What statements need, and their frame."""
    needs, imports = needs_of(*stating.trees), VOCABULARY.imports
    if stating.files:
        needs |= Needs(frozenset(["read_file"]), frozenset([imports["Path"], imports["cache"]]))
    if stating.reads_rows:
        needs |= Needs(frozenset(["rows_of"]), frozenset([imports["Iterator"]]))
    return needs


def _account(sample: Sample) -> str:
    """What is compared, and what may be missed, as a docstring."""
    targets, sources, edges = sample.of
    if sample.is_whole:
        return f"All {sources:,} x {targets:,} pairs are compared."
    some = "all sources" if sample.sources == sources else f"{sample.sources:,} of {sources:,} sources"
    drawn = f", and {sample.edges:,} of {edges:,} edges" if sample.edges else ""
    (one, surplus), (many, many_surplus) = sample.missed(1), sample.missed(100)
    return (
        f"Compared are {sample.targets:,} of {targets:,} targets with {some}{drawn}.\n\n"
        f"A single missing edge is overlooked with a chance of {one:.2g}, and 100 of different targets with\n"
        f"{many:.2g}; one too many with {surplus:.2g}, and 100 with {many_surplus:.2g}."
    )
