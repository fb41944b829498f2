"""The body of `build_model`: a functional model, one line a Keras layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from math import prod

from ...compiler.edges.edge_set import Full
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
    Entries,
    Graph,
    Made,
    Multiply,
    Operation,
    Parameter,
    Pool,
    Project,
    Rectify,
    Spread,
    Through,
    Times,
    Turned,
    Value,
    WeightPenalty,
    identifier,
    parameter_of,
    steps_of,
)
from ...compiler.graph.model import Data
from ...compiler.plan.kernels import KernelName
from ...compiler.plan.plan import Plan
from ...dsl.records import record
from ..definitions import Definitions, native
from ..functions import KERAS
from ..parts import band_arguments, block_arguments, index_of, loading, spelled, stored, stored_edges, windows
from ..source import Assign, Constant, Expression, Given, Name, Pair, Scope, Statement, node, power_of_ten
from ..target import chain_of, expression_of, grid_of, is_identity, is_sparse, units_digests
from .loss import is_own_loss, kept_layers
from .spelling import (
    ACTIVATIONS,
    GIVEN,
    GROUPED_NORMS,
    MIXING,
    MODULE,
    NAMED_ACTIVATIONS,
    NAMED_FUNCTIONS,
    NATIVE,
    NORMS,
    PENALTIES,
    POOLS,
    PROJECTIONS,
    VOCABULARY,
    WINDOW_POOLS,
)


@record(frozen=False)
class Network:
    """Writes `build_model`, and takes note of which Keras layer holds each parameter, and of digests."""

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
    # Tensors of shared variables and of what is made of them, and those that connections and biases read.
    made: dict[str, Name] = field(default_factory=dict[str, Name])
    weights: dict[str, Name] = field(default_factory=dict[str, Name])

    def __post_init__(self) -> None:
        graph = self.plan.graph
        self.scope = Scope(VOCABULARY, frozenset(_locals(graph)))
        registered = MODULE.expression("keras.saving.register_keras_serializable(name)", name=graph.name)
        self.functions = Definitions(self.scope, MODULE, KERAS, "Any", (registered,))
        self.taken |= {data.name for data in graph.inputs} | {op.output.name for op in graph.operations}
        self.taken |= {op.connection for op in graph.projections}
        for penalty in graph.penalties:
            self.penalties.setdefault(penalty.parameter, []).append(penalty)

    def body(self) -> tuple[Statement, ...]:
        """The body of `build_model`."""
        graph, scope = self.plan.graph, self.scope
        for data in graph.inputs:
            self._input(data)
        self._units()
        self._weights()
        for layer in graph.layers:
            self._layer(layer, chain_of(graph, layer))
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

    def variable_pairs(self) -> list[Pair]:
        """Where each parameter is, in their order."""
        return [Pair(node(p.name), self.variables[p.name]) for p in self.plan.graph.parameters]

    def _one_or_list(self, tensors: Sequence[Expression]) -> Expression:
        return tensors[0] if len(tensors) == 1 else self.scope.expression("[*tensors]", tensors=tensors)

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

    def _input(self, value: Data) -> None:
        variable, units = self.scope.user(value.name), prod(value.shape)
        dtype = {} if value.classes is None else {"dtype": "int32"}
        given = self.scope.expression(
            "keras.Input(shape, **dtype, name=name)", shape=value.shape, dtype=dtype, name=value.name
        )
        self.lines.append(Assign(variable, given))
        read = any(each.name == value.name for each in self.plan.graph.read)
        if read and len(value.shape) != 1:
            name = f"{value.name}_flat"
            self.read[value.name] = self._reshape(self.scope.new(name), (units,), self._free(name), variable)

    def _units(self) -> None:
        """Tell units apart, if anything does: on the way from the first input that is read."""
        graph, digests = self.plan.graph, units_digests(self.plan)
        if not digests:
            return
        data = {d.name for d in graph.inputs}
        first = next(value for value in graph.read if value.name in data)
        x, name = self._read(first), self._free(f"{first.name}_units")
        pairs = [Pair(node(side), node(digest)) for side, digest in digests.items()]
        self.lines += self.scope.statements("digests = {**pairs}", pairs=pairs)
        units = self.scope.expression("Units(digests, name=name)", name=name)
        self.read[first.name] = self._make(self.scope.new(f"{first.name}_units"), units, x)
        self.digests.append(Pair(None, MODULE.expression("model.get_layer(name).arrays()", name=name)))

    def _read(self, value: Value) -> Name:
        """The Keras tensor (batch, units) of a value."""
        return self.read.get(value.name) or self.scope.user(value.name)

    # ---------------------------------------------------------------- weights that are made of parameters

    def _weights(self) -> None:
        """The variables that layers share, and what is made of them before any layer reads it."""
        graph = self.plan.graph
        used: dict[str, Entries] = {
            op.connection: weight
            for op in graph.projections
            if (weight := self.plan.weight(op)) is not None and _is_given(op)
        }
        used |= {
            op.output.name: op.bias
            for op in graph.operations
            if isinstance(op, AddBias) and not op.holds_bias
        }
        for reader, entries in used.items():
            self.weights[reader] = self._entries(entries)

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
        x = self._shared(parameter_of(entries))
        steps = steps_of(entries)
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
            case Turned():
                return scope.expression("Turned(name=own)", own=own)
            case Through():
                return self._computed(step.function, step.numbers, own)
            case Times(factor=float() as factor):
                return scope.expression("Scale(factor, name=own)", factor=factor, own=own)
            case Times():
                factor = stored(scope, f"{step.name}.times")
                return scope.expression("Times(factor, name=own)", factor=factor, own=own)

    # ----------------------------------------------------------------------------------------- layers

    def _layer(self, layer: Value, chain: Sequence[Operation]) -> None:
        """One layer: its projections, their sum, then one line a step, the last by its name."""
        variable = self.scope.user(layer.name)
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
        if is_sparse(op):
            digest = MODULE.expression("model.get_layer(name).digest", name=name)
            self.digests.append(Pair(node(f"{op.connection}.digest"), digest))
        x: Expression = self._read(op.input)
        if op.connection in self.weights:
            x = self.scope.expression("[x, weight]", x=x, weight=self.weights[op.connection])
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
        if _is_given(op):
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
        self.variables[parameter.name] = MODULE.expression("layer(name)", name=layer).get(attribute)

    def _step(self, op: Operation, variable: Name, x: Expression) -> Name:
        """One operation after the projections; `x` are several tensors where they are added."""
        scope, own = self.scope, self._own_name(op.output)
        match op:
            case Add():
                layer = scope.expression("keras.layers.Add(name=own)", own=own)
            case AddBias() if not op.holds_bias:
                layer = scope.expression("AddShared(name=own)", own=own)
                x = scope.expression("[x, bias]", x=x, bias=self.weights[op.output.name])
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


def _is_given(op: Project) -> bool:
    """Whether a connection reads a weight that is no variable of its own."""
    return op.weight is not None and not op.holds_weight


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


def _locals(graph: Graph) -> set[str]:
    """The names of the spec that become locals of `build_model`."""
    names = {*graph.values}
    for layer in graph.layers:
        entering = [op for op in chain_of(graph, layer) if isinstance(op, Project)]
        if len(entering) > 1:
            names |= {op.connection for op in entering}
    return names | {parameter.name for parameter in graph.parameters if parameter.is_named}
