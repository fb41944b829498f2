"""What is known while the body of `build_model` is written: names, lines, and which layer holds what."""

from __future__ import annotations

from dataclasses import field

from ...compiler.graph.graph import (
    Graph,
    Parameter,
    Project,
    Value,
    WeightPenalty,
)
from ...compiler.plan.plan import Plan
from ...dsl.records import record
from ..definitions import Definitions
from ..functions import KERAS
from ..source import Assign, Constant, Expression, Name, Pair, Scope, Statement, power_of_ten
from ..target import chain_of
from .loss import kept_layers
from .spelling import (
    MODULE,
    PENALTIES,
    VOCABULARY,
)


@record(frozen=False)
class Frame:
    """What all parts of `build_model` write into: its lines, what layers are called, and who holds what."""

    plan: Plan
    scope: Scope = field(init=False)
    functions: Definitions = field(init=False)
    lines: list[Statement] = field(default_factory=list[Statement])
    variables: dict[str, Expression] = field(default_factory=dict[str, Expression])
    digests: list[Pair] = field(default_factory=list[Pair])
    # What Keras layers are called, and the tensor (batch, units) of a value that has another than its own.
    taken: set[str] = field(default_factory=set[str])
    read: dict[str, Name] = field(default_factory=dict[str, Name])
    penalties: dict[str, list[WeightPenalty]] = field(default_factory=dict[str, list[WeightPenalty]])
    # Tensors of shared variables and of what is made of them, and those that connections and biases read, by
    # the name of the connection or of the value behind the bias, with their shapes.
    made: dict[str, Name] = field(default_factory=dict[str, Name])
    weights: dict[str, tuple[Name, tuple[int, ...]]] = field(
        default_factory=dict[str, tuple[Name, tuple[int, ...]]]
    )

    def __post_init__(self) -> None:
        graph = self.plan.graph
        self.scope = Scope(VOCABULARY, frozenset(_locals(graph)))
        registered = MODULE.expression("keras.saving.register_keras_serializable(name)", name=graph.name)
        self.functions = Definitions(self.scope, MODULE, KERAS, "Any", (registered,))
        self.taken |= {data.name for data in graph.inputs} | {op.output.name for op in graph.operations}
        self.taken |= {op.connection for op in graph.projections}
        for penalty in graph.penalties:
            self.penalties.setdefault(penalty.parameter, []).append(penalty)

    def _free(self, name: str) -> str:
        """What a Keras layer can be called: the name wished for, or with underscores behind it."""
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def _make(self, variable: Name, layer: Expression, x: Expression) -> Name:
        """Put a tensor through a layer."""
        self.lines.append(Assign(variable, layer(x)))
        return variable

    def _reshape(self, variable: Name, shape: tuple[int, ...], name: str, x: Expression) -> Name:
        reshape = self.scope.expression("keras.layers.Reshape(shape, name=name)", shape=shape, name=name)
        return self._make(variable, reshape, x)

    def _read(self, value: Value) -> Name:
        """The Keras tensor (batch, units) of a value."""
        return self.read.get(value.name) or self.scope.user(value.name)

    def _penalty(self, parameter: Parameter) -> dict[str, Expression]:
        """The regularizer of a weight: the sum of its penalties."""
        sums: dict[str, float] = {}
        for penalty in self.penalties.get(parameter.name, ()):
            key = PENALTIES[penalty.penalty.name]
            sums[key] = sums.get(key, 0.0) + penalty.coefficient
        if not sums:
            return {}
        given = {key: Constant(value, power_of_ten(value)) for key, value in sorted(sums.items())}
        return {"regularizer": self.scope.expression("Penalty(**given)", given=given)}

    def _held(self, parameter: Parameter, layer: str, attribute: str) -> None:
        self.variables[parameter.name] = self._found(layer, "layer(name)").get(attribute)

    def _found(self, layer: str, text: str) -> Expression:
        """The Keras layer of that name, by a `text` that finds one of the model."""
        return MODULE.expression(text, name=layer)

    def _weight_of(self, reader: str) -> Name:
        """The tensor of a weight or a bias that is made elsewhere, by what reads it."""
        return self.weights[reader][0]

    def _own_name(self, value: Value) -> str:
        """The Keras layer that makes a value.

        One of several dimensions that is shown is shaped after it, and the first output may pass by others.
        """
        graph = self.plan.graph
        if value.layer in {*graph.outputs, *kept_layers(graph)} and len(value.shape) > 1:
            return self._free(f"{value.name}_flat")
        return self._free(f"{value.name}_alone") if self._passes_kept(value) else value.name

    def _passes_kept(self, value: Value) -> bool:
        """Whether a value is the output that passes by what else the loss reads."""
        graph = self.plan.graph
        return value.layer == graph.outputs[0] and bool(kept_layers(graph))


def _locals(graph: Graph) -> set[str]:
    """The names of the spec that become locals of `build_model`."""
    names = {*graph.values}
    for layer in graph.layers:
        entering = [op for op in chain_of(graph, layer) if isinstance(op, Project)]
        if len(entering) > 1:
            names |= {op.connection for op in entering}
    return names | {parameter.name for parameter in graph.parameters if parameter.is_named}
