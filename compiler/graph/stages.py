"""A network that runs over time, split into what is computed once, for all steps together, and step by step.

What no time reaches is computed once. What time reaches and no cycle needs is computed for all steps
together, as if each step were a sample of a larger batch. Only layers that read earlier steps of themselves,
directly or by way of each other, are computed step by step, each such group in a loop of its own; and of the
sums that enter these, what comes from elsewhere is there for all steps before the loop begins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Literal, TypeAlias

from ...dsl.records import record
from .cycles import components
from .graph import Combine, Delay, Graph, Operation, Project, Value

Kind: TypeAlias = Literal["once", "all steps", "loop"]


@record
class Stage:
    """Some layers, in an order in which they can be computed, and how that is done.

    `delays` are values of earlier steps that are made for all steps before a layer is computed, by its name,
    and `recurring` those that the steps of a loop have of each other.
    """

    kind: Kind
    layers: tuple[Value, ...]
    delays: Mapping[str, tuple[Delay, ...]]
    recurring: tuple[Delay, ...]

    @cached_property
    def made(self) -> frozenset[str]:
        """The names of the layers, and of their earlier steps that a loop has."""
        return frozenset([layer.name for layer in self.layers] + [d.output.name for d in self.recurring])


def stages(graph: Graph) -> tuple[Stage, ...]:
    """The stages of a network that runs over time, in their order."""
    reads = _reads(graph)
    into = {
        layer: tuple(dict.fromkeys(name for value in read if (name := graph.origin(value)) in reads))
        for layer, read in reads.items()
    }
    groups: dict[tuple[int, str], list[str]] = {}
    level: dict[str, int] = {}
    for names in components(into):
        before = [level[read] for name in names for read in into[name] if read in level]
        first, key = names[0], ""
        if len(names) > 1 or first in into[first]:
            # Loops have odd levels, and each is a stage by itself.
            own, key = max(1, *(at + 2 if at % 2 else at + 1 for at in before), 1), first
        elif first in graph.timed:
            own = max(0, *(at + 1 if at % 2 else at for at in before), 0)
        else:
            own = -2
        level |= dict.fromkeys(names, own)
        groups.setdefault((own, key), []).extend(names)
    made: list[Stage] = []
    given: set[str] = set()
    for (own, _), names in sorted(groups.items(), key=lambda each: each[0][0]):
        made.append(_stage(graph, own, names, reads, given))
    return tuple(made)


def _stage(
    graph: Graph, level: int, names: Sequence[str], reads: Mapping[str, list[Value]], given: set[str]
) -> Stage:
    """The stage of some layers; `given` are the earlier steps that are there for all steps, and grows."""
    kind: Kind = "once" if level < 0 else "loop" if level % 2 else "all steps"
    looped = {*names} if kind == "loop" else set[str]()
    delays: dict[str, tuple[Delay, ...]] = {}
    recurring: dict[str, Delay] = {}
    for name in names:
        late = {value.name: graph.delayed[value.name] for value in reads[name] if value.name in graph.delayed}
        recurring |= {key: delay for key, delay in late.items() if delay.input.name in looped}
        # All that enters a loop is there before its first layer.
        first = names[0] if looped else name
        new = tuple(delay for key, delay in late.items() if key not in recurring and key not in given)
        delays[first] = (*delays.get(first, ()), *new)
        given |= {delay.output.name for delay in new}
    layers = tuple(graph.value(name) for name in names)
    return Stage(kind, layers, delays, tuple(recurring.values()))


def _reads(graph: Graph) -> Mapping[str, list[Value]]:
    """What each layer reads of other layers, inputs and earlier steps."""
    known = {*graph.values, *graph.delayed}
    return {
        name: [value for op in chain for value in op.inputs if value.name in known]
        for name, chain in graph.chains.items()
    }


@record
class Arriving:
    """The connections into a layer: `once` from what time does not reach, `before` the loop, and `within` it.

    Outside a loop nothing is within.
    """

    once: tuple[Project, ...]
    before: tuple[Project, ...]
    within: tuple[Project, ...]


def arriving(chain: Sequence[Operation], stage: Stage, graph: Graph) -> Arriving:
    """How the connections into a layer of a stage are computed."""
    once, before, within = list[Project](), list[Project](), list[Project]()
    for op in (op for op in chain if isinstance(op, Project)):
        if stage.kind != "once" and op.input.name not in graph.timed:
            once.append(op)
        elif stage.kind == "loop" and op.input.name in stage.made:
            within.append(op)
        else:
            before.append(op)
    return Arriving(tuple(once), tuple(before), tuple(within))


def read_by_expressions(stage: Stage, graph: Graph) -> tuple[str, ...]:
    """The values that layers of a stage read which are expressions, and that are not computed in it."""
    chains = (graph.chains[layer.name] for layer in stage.layers)
    read = (value.name for chain in chains for op in chain if isinstance(op, Combine) for value in op.inputs)
    return tuple(dict.fromkeys(name for name in read if name not in stage.made))
