"""Weights that are made of parameters, step by step, before any layer reads them."""

from __future__ import annotations

from ...compiler.graph.graph import (
    AddBias,
    Cut,
    Entries,
    Made,
    Parameter,
    Project,
    Spread,
    Through,
    Times,
    Turned,
    identifier,
    parameter_of,
    steps_of,
)
from ...dsl.records import record
from ..parts import index_of, stored
from ..source import Expression, Name, node
from .steps import Steps


@record(frozen=False)
class MadeWeights(Steps):
    """Writes the variables that layers share, and what is made of them."""

    def _weights(self) -> None:
        """The variables that layers share, and what is made of them before any layer reads it."""
        graph = self.plan.graph
        used: dict[str, Entries] = {
            op.connection: weight
            for op in graph.projections
            if (weight := self.plan.weight(op)) is not None and is_given(op)
        }
        used |= {
            op.output.name: op.bias
            for op in graph.operations
            if isinstance(op, AddBias) and not op.holds_bias
        }
        for reader, entries in used.items():
            self.weights[reader] = self._entries(entries), entries.shape

    def _shared(self, parameter: Parameter) -> Name:
        """The tensor of a parameter that is a variable of its own."""
        if parameter.name not in self.made:
            name = self._free(identifier(parameter.name))
            self._held(parameter, name, "weight")
            last = {**({} if parameter.trainable else {"trainable": False}), "name": name}
            layer = self.scope.expression(
                "SharedWeight(shape, **penalty, **last)",
                shape=parameter.shape,
                penalty=self._penalty(parameter),
                last=last,
            )
            first = self.scope.user(self.plan.graph.inputs[0].name)
            self.made[parameter.name] = self._make(self._variable(parameter.name), layer, first)
        return self.made[parameter.name]

    def _variable(self, name: str) -> Name:
        """A local for a parameter, or for what is made of one; a name of the spec stays as it is."""
        text = identifier(name)
        return self.scope.user(text) if text in self.scope.given else self.scope.new(text)

    def _entries(self, entries: Entries) -> Name:
        """The tensor of a weight or a bias, made of its parameter."""
        # What several are cut out of is made once.
        of, steps = (entries.of, (entries,)) if isinstance(entries, Cut) else (None, steps_of(entries))
        x = self._shared(parameter_of(entries)) if of is None else self._entries(of)
        key = f"{entries.name} made"
        if steps and key not in self.made:
            variable = self._variable(f"{entries.name}_entries")
            for step in steps:
                x = self._make(variable, self._maker(step), x)
            self.made[key] = variable
        return self.made[key] if steps else x

    def _maker(self, step: Made) -> Expression:
        """The layer of one step from a parameter to a weight."""
        scope, own = self.scope, self._free(identifier(step.name) + "_" + type(step).__name__.lower())
        match step:
            case Spread():
                arguments = index_of(scope, step), node(step.of.shape), node(step.shape)
                return scope.expression("Spread(*arguments, name=own)", arguments=arguments, own=own)
            case Cut(first=first, last=last):
                return scope.expression("Cut(first, last, name=own)", first=first, last=last, own=own)
            case Turned():
                return scope.expression("Turned(name=own)", own=own)
            case Through():
                return self._computed(step.function, step.numbers, own)
            case Times(factor=float() as factor):
                return scope.expression("Scale(factor, name=own)", factor=factor, own=own)
            case Times():
                factor = stored(scope, f"{step.name}.times")
                return scope.expression("Times(factor, name=own)", factor=factor, own=own)


def is_given(op: Project) -> bool:
    """Whether a connection reads a weight that is no variable of its own."""
    return op.weight is not None and not op.holds_weight
