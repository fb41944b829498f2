"""One Keras layer for each operation after the projections of a layer."""

from __future__ import annotations

from collections.abc import Mapping

from ...compiler.functions.function import Function as Stated
from ...compiler.functions.function import Numbers
from ...compiler.graph.graph import (
    Add,
    AddBias,
    Apply,
    ApplyNorm,
    Combine,
    Compute,
    Drop,
    Multiply,
    Operation,
    Project,
    Rectify,
    Spread,
)
from ...dsl.records import record
from ..definitions import native
from ..parts import index_of, spelled
from ..source import Expression, Name
from ..target import grid_of
from .frame import Frame
from .spelling import (
    ACTIVATIONS,
    GROUPED_NORMS,
    MIXING,
    NATIVE,
    NORMS,
)


@record(frozen=False)
class Steps(Frame):
    """Writes the operations of a layer after its projections, one Keras layer each."""

    def _step(self, op: Operation, variable: Name, x: Expression) -> Name:
        """One operation after the projections; `x` are several tensors where they are added."""
        scope, own = self.scope, self._own_name(op.output)
        match op:
            case Add():
                layer = scope.expression("keras.layers.Add(name=own)", own=own)
            case AddBias() if not op.holds_bias:
                layer = scope.expression("AddShared(name=own)", own=own)
                x = scope.expression("[x, bias]", x=x, bias=self._weight_of(op.output.name))
            case AddBias():
                index = [index_of(scope, op.bias)] if isinstance(op.bias, Spread) else []
                layer = scope.expression(
                    "Bias(size, *index, name=own)", size=op.parameter.shape[0], index=index, own=own
                )
                self._held(op.parameter, own, "bias")
            case Apply():
                return self._apply(op, variable, x, own)
            case Compute():
                layer = self._computed(op.function, op.numbers, own)
            case Rectify():
                grid = grid_of(op)
                given = [grid.shape, grid.over] if grid else [(op.output.units,)]
                layer = scope.expression("Prelu(*given, name=own)", given=given, own=own)
                self._held(op.slope, own, "weight")
            case ApplyNorm():
                layer = self._norm(op, own)
            case Drop() if grid := grid_of(op):
                text = "GroupedDropout(p, shape, over, name=own)"
                layer = scope.expression(text, p=op.p, shape=grid.shape, over=grid.over, own=own)
            case Drop():
                layer = scope.expression("keras.layers.Dropout(p, name=own)", p=op.p, own=own)
            case Multiply():
                layer = scope.expression("Scale(factor, name=own)", factor=op.factor, own=own)
            case Project() | Combine():
                raise AssertionError("a projection, or an expression, comes before all steps")
        return self._make(variable, layer, x)

    def _computed(self, function: Stated, numbers: Numbers, own: str) -> Expression:
        """A function as a layer: Keras' own, or one that calls what the module defines."""
        if (text := native(NATIVE, function, numbers)) is not None:
            return self.scope.expression(text, **dict(numbers), own=own)
        name, (_, *parameters) = self.functions.defined(function, numbers)
        given = {each.text: value for each, (_, value) in zip(parameters, numbers, strict=True)}
        return self.scope.expression(
            "Elementwise(function, **numbers, name=own)",
            function=name,
            numbers={"numbers": self.scope.expression("dict(**given)", given=given)} if given else {},
            own=own,
        )

    def _norm(self, op: ApplyNorm, own: str) -> Expression:
        grid = grid_of(op)
        native = op.norm.name == "layer_norm" and grid is None
        self._held(op.weight, own, "gamma" if native else "weight")
        if op.bias:
            self._held(op.bias, own, "beta" if native else "bias")
        if op.running_mean and op.running_var:
            self._held(op.running_mean, own, "running_mean")
            self._held(op.running_var, own, "running_var")
        holes: dict[str, object] = {**dict(op.arguments), "units": op.output.units, "own": own}
        if grid:
            holes |= {"entries": op.weight.shape[0], "shape": grid.shape, "over": grid.over}
        return spelled(self.scope, GROUPED_NORMS if grid else NORMS, op.norm.name, **holes)

    def _apply(self, op: Apply, variable: Name, x: Expression, own: str) -> Name:
        """An activation; one that mixes units sees them in their shape."""

        def named(name: str, table: Mapping[str, str], **axis: object) -> Expression:
            return spelled(self.scope, table, op.activation.name, **dict(op.arguments), own=name, **axis)

        grid = grid_of(op)
        if grid is None:
            return self._make(variable, named(own, ACTIVATIONS), x)
        shaped, inner = self._free(f"{own}_grid"), self._free(f"{own}_{op.activation.name}")
        layer = named(inner, ACTIVATIONS)
        if grid.over != (len(grid.shape),):
            layer = named(inner, MIXING, axis=grid.over[0] if len(grid.over) == 1 else grid.over)
        x = self._make(variable, layer, self._reshape(variable, grid.shape, shaped, x))
        return self._reshape(variable, (op.output.units,), own, x)
