"""What a spec's connections cost and how they are computed, for people and for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from .connectivity.degrees import degrees
from .graph import Project
from .plan import Plan


@dataclass(frozen=True)
class ConnectionFacts:
    """One connection: sizes, degrees, cost and the kernel with its reason. Memory in bytes, in float32."""

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


def connection_facts(plan: Plan) -> list[ConnectionFacts]:
    """The facts of every connection, in the order of computation."""
    return [_facts(op, plan) for op in plan.graph.operations if isinstance(op, Project)]


def _facts(op: Project, plan: Plan) -> ConnectionFacts:
    choice = plan.choice(op.connection)
    fan_in = degrees(op.edges, "target")
    n_source, n_target = op.input.units, op.output.units
    parameters = op.edges.count if op.weight is not None and op.weight.trainable else 0
    # Weights, and for listed edges both ends in both directions with offsets, in 32 bits.
    held = op.edges.count if op.weight is not None else 0
    tables = 4 * op.edges.count + n_source + n_target if choice.kernel == "edges" else 0
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
        memory=4 * (held + tables),
        kernel=choice.kernel,
        reason=choice.reason,
    )


def as_json(facts: list[ConnectionFacts]) -> list[dict[str, object]]:
    """The facts as plain values."""
    return [asdict(entry) for entry in facts]
