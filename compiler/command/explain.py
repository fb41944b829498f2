"""What a spec's connections cost and how they are computed, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from math import prod

import numpy as np

from ...dsl.records import record
from ...dsl.words import counted
from ..edges.degrees import degrees
from ..functions.text import said
from ..graph.graph import Combine, Cut, Pool, Project, Spread, Through, Times, Turned, parameter_of, steps_of
from ..graph.stages import Stage, arriving, stages
from ..plan.choice import Candidate
from ..plan.kernels import KERNELS
from ..plan.layouts import Transpose
from ..plan.plan import Plan


@record
class ConnectionFacts:
    """One connection: sizes, degrees, cost and the kernel with its reason. Memory in bytes, in float32.

    `weight` says how weights are made of their parameter, and how units pool; it is empty of plain sums.
    `candidates` are all kernels that could compute it, the quickest, which is `kernel`, first.
    """

    connection: str
    source: str
    target: str
    edges: int
    density: float
    fan_in_min: int
    fan_in_median: float
    fan_in_max: int
    parameters: int
    memory: int
    kernel: str
    reason: str
    weight: str
    candidates: tuple[Candidate, ...]


@record
class StageFacts:
    """Layers of a network that runs over time, in the order of computation, and how they are computed.

    That is `once`, for `all steps` together, or step by step in a `loop`, which `before` it has the sums over
    some connections, for all steps. PyTorch computes those over `each_step`, which are among these, in the
    loop.
    """

    kind: str
    layers: tuple[str, ...]
    before: tuple[str, ...]
    each_step: tuple[str, ...]


@record
class ExpressionFacts:
    """One layer that is an expression: what it reads, and the expression in the words of the language."""

    layer: str
    reads: tuple[str, ...]
    expression: str


@record
class Explanation:
    """What a plan holds, for batches of `batch`; the transposes are those of PyTorch, in order.

    There are stages where a network runs over time.
    """

    batch: int
    connections: tuple[ConnectionFacts, ...]
    expressions: tuple[ExpressionFacts, ...]
    transposes: tuple[Transpose, ...]
    stages: tuple[StageFacts, ...] = ()


def explained(plan: Plan) -> Explanation:
    """The facts of every connection and expression, in the order of computation, and all transposes."""
    connections = tuple(_facts(op, plan) for op in plan.graph.projections)
    expressions = tuple(
        ExpressionFacts(op.layer, tuple(value.name for value in op.inputs), said(op.tree))
        for op in plan.graph.operations
        if isinstance(op, Combine)
    )
    parts = stages(plan.graph) if plan.graph.has_time else ()
    told = tuple(_of_stage(stage, plan) for stage in parts)
    return Explanation(plan.batch, connections, expressions, plan.layouts.transposes, told)


def _of_stage(stage: Stage, plan: Plan) -> StageFacts:
    names = tuple(str(layer.layer) for layer in stage.layers)
    if stage.kind != "loop":
        return StageFacts(stage.kind, names, (), ())
    arrivals = [arriving(plan.graph.chains[layer.name], stage, plan.graph) for layer in stage.layers]
    before = tuple(op.connection for each in arrivals for op in (*each.once, *each.before))
    few = tuple(op.connection for each in arrivals for op in each.before if plan.enters_each_step(op))
    return StageFacts(stage.kind, names, before, few)


def _facts(op: Project, plan: Plan) -> ConnectionFacts:
    choice = plan.choice(op.connection)
    fan_in = degrees(op.edges, "target")
    n_source, n_target = op.input.units, op.output.units
    held = _held(op)
    parameters = held if op.parameter is not None and op.parameter.trainable else 0
    tables = KERNELS[choice.kernel].tables(op) if choice.kernel in KERNELS else 0  # an embedding has none
    return ConnectionFacts(
        connection=op.connection,
        source=_source(op, plan),
        target=op.layer,
        edges=op.edges.count,
        density=op.edges.count / (n_source * n_target),
        fan_in_min=fan_in.low,
        fan_in_median=fan_in.median,
        fan_in_max=fan_in.high,
        parameters=parameters,
        memory=4 * (held + tables),
        kernel=choice.kernel,
        reason=choice.reason,
        weight="; ".join(_made(op)),
        candidates=choice.candidates,
    )


def _held(op: Project) -> int:
    """How many entries the parameter of a connection has, or those edges that are a part of a connection."""
    if op.parameter is None:
        return 0
    held = prod(op.parameter.shape)
    return min(held, op.edges.count) if isinstance(op.weight, Cut) else held


def _source(op: Project, plan: Plan) -> str:
    """What a connection starts from, and how much later it arrives."""
    delay = plan.graph.delayed.get(op.input.name)
    return op.input.name if delay is None else f"{delay.input.name}, {delay.steps} before"


def _made(op: Project) -> Iterator[str]:
    """How the weights of a connection are made, step by step, and how its units pool."""
    if op.weight is not None:
        parameter = parameter_of(op.weight)
        if isinstance(op.weight, Cut):
            yield f"a part of `{parameter.name}`"
        elif parameter.name != f"{op.connection}.weight" or any(
            isinstance(step, Spread) for step in steps_of(op.weight)
        ):
            entries = counted(prod(parameter.shape), "entry").replace("entrys", "entries")
            yield f"shares the {entries} of `{parameter.name}`"
        for step in steps_of(op.weight):
            match step:
                case Turned():
                    yield "turned round"
                case Through(function=function, numbers=numbers):
                    given = ", ".join(f"{name} = {value:g}" for name, value in numbers)
                    yield f"through {function.name}{f'({given})' if given else ''}"
                case Times(factor=factor):
                    one = np.ndim(factor) == 0
                    yield f"times {float(factor):g}" if one else "times a number of each edge"
                case Spread() | Cut():
                    pass
    if isinstance(op, Pool):
        yield f"reduce = {op.reduction.name}"


def as_json(explanation: Explanation) -> dict[str, object]:
    """An explanation as plain values."""
    return asdict(explanation)
