"""The body of `build_model`: a functional model, one line a Keras layer."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ...compiler.edges.edge_set import Full
from ...compiler.graph.graph import (
    Add,
    AddBias,
    Apply,
    Combine,
    Compute,
    Operation,
    Pool,
    Project,
    Value,
)
from ...compiler.graph.model import Data
from ...compiler.plan.kernels import KernelName
from ...compiler.plan.plan import Plan
from ...dsl.records import record
from ..definitions import native
from ..parts import band_arguments, block_arguments, loading, stored_edges, windows
from ..source import Assign, Expression, Given, Name, Pair, Statement, node
from ..target import chain_of, expression_of, grid_of, is_identity, is_sparse, units_digests
from .loss import is_own_loss, kept_layers
from .made_weights import MadeWeights, is_given
from .spelling import (
    GIVEN,
    MODULE,
    NAMED_ACTIVATIONS,
    NAMED_FUNCTIONS,
    POOLS,
    PROJECTIONS,
    WINDOW_POOLS,
)


@record(frozen=False)
class Network(MadeWeights):
    """Writes `build_model`, and takes note of which Keras layer holds each parameter, and of digests."""

    def body(self) -> tuple[Statement, ...]:
        """The body of `build_model`."""
        graph, scope = self.plan.graph, self.scope
        for data in graph.inputs:
            self._input(data)
        self._units()
        self._weights()
        self._layers()
        outputs = self._outputs()
        head: list[Statement] = []
        seed = scope.name("seed")
        if seed.text != "seed":  # callers know it by that name
            head.append(Assign(seed, Name("seed")))
        head += loading(scope, self.plan, self.lines)
        end = scope.statements(
            f"model = {'Network' if is_own_loss(graph) else 'BatchedModel'}(inputs, outputs, name=name)\n"
            "load_arrays(model, start_values(random.getrandbits(64) if seed is None else seed))\n"
            "return model",
            inputs=self._one_or_list([scope.user(data.name) for data in graph.inputs]),
            outputs=self._one_or_list(outputs),
            name=graph.name,
        )
        return (*head, *self.lines, *end)

    def _layers(self) -> None:
        """All layers, in their order."""
        for layer in self.plan.graph.layers:
            self._layer(layer, chain_of(self.plan.graph, layer))

    def variable_pairs(self) -> list[Pair]:
        """Where each parameter is, in their order."""
        return [Pair(node(p.name), self.variables[p.name]) for p in self.plan.graph.parameters]

    def _one_or_list(self, tensors: Sequence[Expression]) -> Expression:
        return tensors[0] if len(tensors) == 1 else self.scope.expression("[*tensors]", tensors=tensors)

    def _input(self, value: Data) -> None:
        variable, units = self.scope.user(value.name), prod(value.shape)
        dtype = {} if value.classes is None else {"dtype": "int32"}
        shape = (None, *value.shape) if value.over_time else value.shape
        given = self.scope.expression(
            "keras.Input(shape, **dtype, name=name)", shape=shape, dtype=dtype, name=value.name
        )
        self.lines.append(Assign(variable, given))
        read = any(each.name == value.name for each in self.plan.graph.read)
        if read and len(value.shape) != 1 and not value.over_time:
            name = f"{value.name}_flat"
            self.read[value.name] = self._reshape(self.scope.new(name), (units,), self._free(name), variable)

    def _units(self) -> None:
        """Tell units apart, if anything does: on the way from the first input that is read."""
        graph, digests = self.plan.graph, units_digests(self.plan)
        if not digests:
            return
        data, delayed = {d.name for d in graph.inputs}, graph.delayed
        sources = (delayed[value.name].input if value.name in delayed else value for value in graph.read)
        first = next(value for value in sources if value.name in data)
        x, name = self._input_tensor(first), self._free(f"{first.name}_units")
        pairs = [Pair(node(side), node(digest)) for side, digest in digests.items()]
        self.lines += self.scope.statements("digests = {**pairs}", pairs=pairs)
        units = self.scope.expression("Units(digests, name=name)", name=name)
        self.read[first.name] = self._make(self.scope.new(f"{first.name}_units"), units, x)
        self.digests.append(Pair(None, MODULE.expression("model.get_layer(name).arrays()", name=name)))

    def _input_tensor(self, value: Value) -> Name:
        """The tensor of an input on which units are told apart."""
        return self._read(value)

    # ----------------------------------------------------------------------------------------- layers

    def _layer(self, layer: Value, chain: Sequence[Operation]) -> None:
        """One layer: its projections, their sum, then one line a step, the last by its name."""
        variable = self._value(layer)
        projections = [op for op in chain if isinstance(op, Project)]
        within = _within_dense(chain)
        expression = expression_of(chain)
        if expression is not None:
            parts = [self._combined(expression, variable)]
        elif len(projections) == 1:
            parts = [self._project(projections[0], variable, within)]
        else:
            parts = [self._project(op, self.scope.user(op.connection)) for op in projections]
        x: Expression = parts[0]
        for op in chain[len(projections) + len(within) + (expression is not None) :]:
            if isinstance(op, Add):
                x = self.scope.expression("[*parts]", parts=parts)
            x = self._step(op, variable, x)
        last = chain[-1]
        if isinstance(last, Project) and not _is_dense(last):
            own = self._own_name(layer)
            self._make(variable, self.scope.expression("keras.layers.Identity(name=own)", own=own), x)

    def _value(self, layer: Value) -> Name:
        """The local for a layer's value."""
        return self.scope.user(layer.name)

    def _combined(self, op: Combine, variable: Name) -> Name:
        """The tensor of an expression: a layer that calls what the module defines."""
        function = self.functions.combined(f"{op.layer}_of", op.tree)
        layer = self.scope.expression(
            "Combined(function, name=own)", function=function, own=self._own_name(op.output)
        )
        read = self.scope.expression("[*values]", values=[self._read(value) for value in op.inputs])
        return self._make(variable, layer, read)

    def _project(self, op: Project, variable: Name, within: Sequence[AddBias | Apply | Compute] = ()) -> Name:
        """The tensor of what a connection brings: a new one, or what it reads if that is the same.

        The steps `within` are done by the same layer, which has the name of the value that it makes.
        """
        if is_identity(op):
            return self._read(op.input)
        value, name = (op, *within)[-1].output, op.connection
        if within or (value.layer and _is_dense(op)):
            name = self._own_name(value)
        if op.holds_weight and op.parameter is not None:
            self._held(op.parameter, name, "kernel" if _is_dense(op) else "weight")
        for step in within:
            if isinstance(step, AddBias):
                self._held(step.parameter, name, "bias")
        if is_sparse(op) and op.connection not in self.plan.graph.parts:
            digest = self._found(name, "model.get_layer(name)").get("digest")
            self.digests.append(Pair(node(f"{op.connection}.digest"), digest))
        x: Expression = self._read(op.input)
        if op.connection in self.weights:
            x = self.scope.expression("[x, weight]", x=x, weight=self._weight_of(op.connection))
        return self._make(variable, self._projection(op, within, name), x)

    def _projection(self, op: Project, within: Sequence[AddBias | Apply | Compute], name: str) -> Expression:
        """The layer of a connection."""
        kernel = _kernel(op, self.plan)
        penalty = self._penalty(op.parameter) if op.holds_weight and op.parameter else {}
        frozen = op.parameter is not None and not op.parameter.trainable
        last: dict[str, Given] = {**({"trainable": False} if frozen else {}), "name": name}
        if kernel == "dense" and op.weight is None:
            return self.scope.expression("DenseSum(units, **last)", units=op.output.units, last=last)
        pooling: dict[str, Given | dict[str, Given]] = {}
        if isinstance(op, Pool):
            empty: dict[str, Given] = {"empty": op.empty} if op.has_empty else {}
            layers = WINDOW_POOLS if kernel == "window" else POOLS
            pooling = {"layer": self.scope.name(layers[op.reduction.name]), "empty": empty}
        if kernel in ("convolution", "window"):
            pooling["windows"] = windows(self.scope, self.plan.window(op.connection))
        if is_given(op):
            return self.scope.expression(
                GIVEN[kernel],
                units=op.output.units,
                sources=op.input.units,
                edges=self._edges(op, kernel),
                classes=op.input.classes,
                source=op.input.name,
                last=last,
                **pooling,
            )
        if kernel == "dense":
            penalty = {f"kernel_{key}": value for key, value in penalty.items()}
        return self.scope.expression(
            PROJECTIONS[kernel],
            units=op.output.units,
            sources=op.input.units,
            edges=self._edges(op, kernel),
            classes=op.input.classes,
            source=op.input.name,
            weighted={} if op.weight else {"weighted": False},
            within=_arguments_of(within),
            penalty=penalty,
            last=last,
            **pooling,
        )

    def _edges(self, op: Project, kernel: KernelName) -> Sequence[Expression]:
        """The edges of a connection as arguments of its layer."""
        match kernel:
            case "dense" | "diagonal" | "embedding":
                return ()
            case "band":
                return band_arguments(self.scope, op.edges)
            case "blocks":
                return block_arguments(self.scope, op.edges, op.connection)
            case "masked" | "edges" | "convolution" | "pool" | "window":
                return [stored_edges(self.scope, op.connection)]

    def _outputs(self) -> list[Name]:
        """The tensors of the outputs; the first of them passes by what else the loss reads."""
        graph = self.plan.graph
        outputs, kept = [self._output(graph.value(name)) for name in graph.outputs], kept_layers(graph)
        if kept:
            others = [self._output(graph.value(name)) for name in kept]
            keep = self.scope.expression("KeptForLoss(names, name=name)", names=kept, name=graph.outputs[0])
            outputs[0] = self._make(outputs[0], keep, self.scope.expression("[*x]", x=[outputs[0], *others]))
        return outputs

    def _output(self, value: Value) -> Name:
        """The tensor of an output, or of what the loss reads, in its declared shape."""
        x = self.scope.user(value.name)
        if len(value.shape) == 1:
            return x
        name = self._free(f"{value.name}_shaped") if self._passes_kept(value) else value.name
        return self._reshape(self.scope.new(f"{value.name}_shaped"), value.shape, name, x)


def _is_dense(op: Project) -> bool:
    """Whether a connection is a layer `Dense` of Keras."""
    return isinstance(op.edges, Full) and op.holds_weight and not op.input.classes


# A mean of windows is a sum over as many offsets at most.
MOST_OFFSETS = 64


def _kernel(op: Project, plan: Plan) -> KernelName:
    """The kernel of a connection.

    Keras has no pooling of units that are apart, and means of windows that reach over an end are a sum over
    their offsets, of which there should be few.
    """
    choice = plan.choice(op.connection)
    if choice.kernel != "window":
        return choice.kernel
    window = plan.window(op.connection)
    over = any(along.before > 0 or along.after > 0 for along in window.along)
    summed = isinstance(op, Pool) and op.reduction.name == "mean" and over
    many = summed and prod(along.extent for along in window.along) > MOST_OFFSETS
    return "pool" if many or any(along.dilation > 1 for along in window.along) else "window"


def _within_dense(chain: Sequence[Operation]) -> tuple[AddBias | Apply | Compute, ...]:
    """The bias and the activation that are within `Dense`, where that is all that enters a layer.

    A bias is if each unit has its own, and it is trained as the weights are; an activation, if Keras has it.
    """
    first, *steps = chain
    if not (isinstance(first, Project) and _is_dense(first) and first.parameter):
        return ()
    within: list[AddBias | Apply | Compute] = []
    for step in steps:
        match step:
            case AddBias() if (
                not within
                and step.by_unit
                and step.holds_bias
                and step.parameter.trainable == first.parameter.trainable
            ):
                within.append(step)
            case Apply() if step.activation.name in NAMED_ACTIVATIONS and not grid_of(step):
                return (*within, step)
            case Compute() if native(NAMED_FUNCTIONS, step.function, step.numbers):
                return (*within, step)
            case _:
                break
    return tuple(within)


def _arguments_of(within: Sequence[AddBias | Apply | Compute]) -> dict[str, Given]:
    """What `Dense` takes for the steps that it does beside its product."""
    known = [NAMED_ACTIVATIONS[step.activation.name] for step in within if isinstance(step, Apply)]
    known += [NAMED_FUNCTIONS[step.function.name] for step in within if isinstance(step, Compute)]
    arguments: dict[str, Given] = {"activation": known[0]} if known else {}
    return arguments if len(known) < len(within) else {**arguments, "use_bias": False}
