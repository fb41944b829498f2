"""What a spec's connections cost and how they are computed, for people and for programs."""

from __future__ import annotations

from dataclasses import asdict
from math import prod

from ...dsl.records import record
from ..edges.degrees import degrees
from ..graph.graph import Project
from ..plan.choice import Candidate
from ..plan.kernels import KERNELS
from ..plan.layouts import Transpose
from ..plan.plan import Plan


@record
class ConnectionFacts:
    """One connection: sizes, degrees, cost and the kernel with its reason. Memory in bytes, in float32.

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
    candidates: tuple[Candidate, ...]


@record
class Explanation:
    """What a plan holds, for batches of `batch`; the transposes are those of PyTorch, in order."""

    batch: int
    connections: tuple[ConnectionFacts, ...]
    transposes: tuple[Transpose, ...]


def explained(plan: Plan) -> Explanation:
    """The facts of every connection, in the order of computation, and all transposes."""
    projections = plan.graph.projections
    return Explanation(plan.batch, tuple(_facts(op, plan) for op in projections), plan.layouts.transposes)


def _facts(op: Project, plan: Plan) -> ConnectionFacts:
    choice = plan.choice(op.connection)
    fan_in = degrees(op.edges, "target")
    n_source, n_target = op.input.units, op.output.units
    held = prod(op.parameter.shape) if op.parameter is not None else 0
    parameters = held if op.parameter is not None and op.parameter.trainable else 0
    return ConnectionFacts(
        connection=op.connection,
        source=op.input.layer or op.input.name,
        target=op.layer,
        edges=op.edges.count,
        density=op.edges.count / (n_source * n_target),
        fan_in_min=fan_in.low,
        fan_in_median=fan_in.median,
        fan_in_max=fan_in.high,
        parameters=parameters,
        memory=4 * (held + KERNELS[choice.kernel].tables(op)),
        kernel=choice.kernel,
        reason=choice.reason,
        candidates=choice.candidates,
    )


def as_json(explanation: Explanation) -> dict[str, object]:
    """An explanation as plain values."""
    return asdict(explanation)
