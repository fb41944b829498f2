"""Keras 3: what it spells differently."""

from __future__ import annotations

from dataclasses import field

from ...compiler.edges.edge_set import Full
from ...compiler.graph.graph import (
    Add,
    AddBias,
    Apply,
    ApplyNorm,
    Drop,
    Graph,
    Multiply,
    Operation,
    Parameter,
    Project,
    Value,
    WeightPenalty,
)
from ...compiler.graph.model import LossTerm
from ...compiler.plan.plan import Plan
from ...dsl.records import record
from ..layout import call, chained, collection
from ..target import (
    Rendering,
    Target,
    Unsupported,
    band_arguments,
    bias_index,
    block_arguments,
    chain_of,
    is_identity,
    is_sparse,
    power_of_ten,
    rule_kernels,
    scaled,
    shape_text,
    shapes_text,
    spelled,
    start_context,
    start_kernels,
    stored_edges,
    stored_needs,
    summary,
    units_digests,
)

# A layer's constructor up to its last argument, the name; {parameters} by their catalogue names.
ACTIVATIONS: dict[str, str | Unsupported] = {
    "tanh": 'keras.layers.Activation("tanh"',
    "sigmoid": 'keras.layers.Activation("sigmoid"',
    "relu": 'keras.layers.Activation("relu"',
    "leaky_relu": "LeakyRectifier({slope}",
    "gelu": "Gelu(",
    "gelu_tanh": "GeluTanh(",
    "softplus": 'keras.layers.Activation("softplus"',
    "softmax": "keras.layers.Softmax(axis=-1",
}

# A value per sample, (batch, ...), of y_true and y_pred; the mean over what is left comes after.
LOSSES: dict[str, str | Unsupported] = {
    "cross_entropy": "keras.ops.sparse_categorical_crossentropy(codes, logits, from_logits=True)",
    "binary_cross_entropy": "keras.ops.binary_crossentropy(y_true, y_pred, from_logits=True)",
    "mse": "keras.ops.square(y_pred - y_true)",
    "squared_error": "keras.ops.square(y_pred - y_true)",
    "mae": "keras.ops.abs(y_pred - y_true)",
}

PENALTIES: dict[str, str | Unsupported] = {"l1": "l1", "l2": "l2"}

NORMS: dict[str, str | Unsupported] = {
    "batch_norm": "BatchNorm({units}, eps={eps}, momentum={momentum}",
    "layer_norm": "keras.layers.LayerNormalization(epsilon={eps}",
}

# The kernels that a saved model looks up by their registered names, as it does the loss functions.
REGISTERED = frozenset(
    [
        *("BandProjection", "BatchNorm", "BatchedModel", "Bias", "BlockProjection", "DenseSum", "Diagonal"),
        *("EdgeProjection", "Gelu", "GeluTanh", "LeakyRectifier", "MaskedProjection", "Penalty", "Scale"),
        "Units",
    ]
)

# Keras's own names for what a norm holds.
_LAYER_NORM = {"weight": "gamma", "bias": "beta"}


def _loss_functions(losses: list[tuple[str, str, tuple[str, ...]]]) -> tuple[str, ...]:
    """The names of a module's loss functions: `loss` alone, or one for every output."""
    return tuple(f"{name}_loss" for name, _, _ in losses) if len(losses) > 1 else ("loss",) * len(losses)


def render(plan: Plan) -> Rendering:
    """What the Keras template places."""
    return _Writer(plan).rendering()


@record(frozen=False)
class _Writer:
    """Writes one module; `variables` collects where each parameter lives."""

    plan: Plan
    kernels: set[str] = field(default_factory=set[str])
    variables: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    digests: list[str] = field(default_factory=list[str])
    taken: set[str] = field(default_factory=set[str])
    penalties: dict[str, list[WeightPenalty]] = field(default_factory=dict[str, list[WeightPenalty]])
    outputs: set[str] = field(default_factory=set[str])
    read: dict[str, str] = field(default_factory=dict[str, str])

    def rendering(self) -> Rendering:
        graph = self.plan.graph
        self.kernels |= {"BatchedModel", "array_of", "assign_arrays", *start_kernels(self.plan)}
        self.taken |= {d.name for d in graph.inputs} | {op.output.name for op in graph.operations}
        self.taken |= {op.connection for op in graph.operations if isinstance(op, Project)}
        for penalty in graph.penalties:
            self.penalties.setdefault(penalty.parameter, []).append(penalty)
        self.outputs |= set(graph.outputs)
        build = [line for data in graph.inputs for line in self._input(data.name, data.shape)]
        build += self._units()
        for layer in graph.layers:
            build += self._layer(layer, chain_of(graph, layer))
        outputs = [self._output(name) for name in graph.outputs]
        build += [line for lines, _ in outputs for line in lines]
        inputs_text = self._one_or_list([data.name for data in graph.inputs])
        outputs_text = self._one_or_list([text for _, text in outputs])
        losses = self._losses(graph)
        needed, imported = stored_needs(self.plan)
        self.kernels |= needed
        order = {parameter.name: at for at, parameter in enumerate(graph.parameters)}
        self.variables.sort(key=lambda entry: order[entry[0]])
        context = {
            **start_context(self.plan, "start_values"),
            "summary": summary(self.plan),
            "build": tuple(build),
            "stored": any("stored" in line for line in build),
            "model": f'BatchedModel({inputs_text}, {outputs_text}, name="{graph.name}")',
            "shapes": shapes_text(graph),
            "losses": tuple(losses),
            "loss_table": collection("losses = {", [f'"{n}": {n}_loss' for n, _, _ in losses], "}")
            if len(losses) > 1
            else "",
            "variables": tuple(f'"{name}": {text},' for name, text in self.variables),
            "digests": tuple(self.digests),
            "digests_of_model": "digests(model)" if self.digests else "{}",
            "registered_losses": _loss_functions(losses),
            "model_name": graph.name,
        }
        imports = {
            "import keras",
            "import random",
            "import numpy as np",
            "from collections.abc import Mapping",
        }
        return Rendering(context, frozenset(self.kernels), frozenset(imports | imported))

    def _free(self, name: str) -> str:
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    @staticmethod
    def _one_or_list(names: list[str]) -> str:
        return names[0] if len(names) == 1 else f"[{', '.join(names)}]"

    # --------------------------------------------------------------------------------------- layers

    def _input(self, name: str, shape: tuple[int, ...]) -> list[str]:
        lines = [f'{name} = keras.Input({shape_text(shape)}, name="{name}")']
        if len(shape) > 1:
            units = Value(name, shape).units
            flat = self.read[name] = self._free(f"{name}_flat")
            lines.append(f'{flat} = keras.layers.Reshape(({units},), name="{flat}")({name})')
        return lines

    def _units(self) -> list[str]:
        """The line that tells units apart, if anything does: on the way from the first input that is read."""
        digests = units_digests(self.plan)
        if not digests:
            return []
        self.kernels.add("Units")
        projections = (op for op in self.plan.graph.operations if isinstance(op, Project))
        data = {d.name for d in self.plan.graph.inputs}
        first = next(op.input for op in projections if op.input.name in data)
        x, units = self._read(first), self._free(f"{first.name}_units")
        self.read[first.name] = units
        self.digests.append(f'**model.get_layer("{units}").arrays(),')
        table = collection("digests = {", [f'"{name}": "{text}"' for name, text in digests.items()], "}", 4)
        return [table, f'{units} = Units(digests, name="{units}")({x})']

    def _read(self, value: Value) -> str:
        """The Keras tensor (batch, units) of a value."""
        return self.read.get(value.name, value.name)

    def _layer(self, layer: Value, chain: tuple[Operation, ...]) -> list[str]:
        """Lines for one layer: its projections, their sum, then one line a step, the last by its name."""
        name = layer.name
        projections = [op for op in chain if isinstance(op, Project)]
        steps = [op for op in chain if not isinstance(op, Project)]
        lines: list[str] = []
        parts: list[str] = []
        for op in projections:
            variable = name if len(projections) == 1 else op.connection
            if is_identity(op):
                parts.append(self._read(op.input))
                continue
            head, arguments = self._projection(op)
            lines.append(chained(f"{variable} = {head}", arguments, self._read(op.input), 4))
            parts.append(variable)
        for op in projections:
            self._remember(op)
        x = parts[0]
        for op in steps:
            own = self._own_name(op.output)
            if isinstance(op, Add):
                lines.append(
                    chained(f"{name} = keras.layers.Add(", [f'name="{own}"'], f"[{', '.join(parts)}]", 4)
                )
            else:
                lines += self._step(op, name, x, own)
            x = name
        if not steps:
            lines.append(f'{name} = keras.layers.Identity(name="{self._own_name(layer)}")({x})')
        return lines

    def _projection(self, op: Project) -> tuple[str, list[str]]:
        """The constructor and arguments of a projection's layer."""
        n_source, n_target = op.input.units, op.output.units
        kernel = self.plan.choice(op.connection).kernel
        last = [f'name="{op.connection}"']
        if op.weight is not None and not op.weight.trainable:
            last.insert(0, "trainable=False")
        if kernel == "dense" and op.weight is None:
            self.kernels.add("DenseSum")
            return "DenseSum(", [str(n_target), *last]
        if kernel == "dense":
            return "keras.layers.Dense(", [
                str(n_target),
                "use_bias=False",
                *self._penalty(op, "kernel_"),
                *last,
            ]
        if kernel == "diagonal":
            self.kernels.add("Diagonal")
            return "Diagonal(", [str(n_source), *self._penalty(op), *last]
        shape = f"({n_target}, {n_source})"
        match kernel:
            case "band":
                class_, arguments = "BandProjection", [shape, *band_arguments(op.edges)]
            case "blocks":
                class_, arguments = "BlockProjection", [shape, *block_arguments(op.edges, op.connection)]
                self.kernels |= rule_kernels(arguments)
            case _:
                class_ = "EdgeProjection" if kernel == "edges" else "MaskedProjection"
                arguments = [shape, stored_edges(op.connection)]
                self.kernels.add("edges_of")
        self.kernels.add(class_)
        if op.weight is None:
            arguments.append("weighted=False")
        return f"{class_}(", [*arguments, *self._penalty(op), *last]

    def _penalty(self, op: Project, prefix: str = "") -> list[str]:
        """The regularizer of a weight: the sum of its penalties."""
        sums: dict[str, float] = {}
        for penalty in self.penalties.get(op.weight.name, ()) if op.weight is not None else ():
            key = spelled(PENALTIES, penalty.penalty.name)
            sums[key] = sums.get(key, 0.0) + penalty.coefficient
        if not sums:
            return []
        self.kernels.add("Penalty")
        given = ", ".join(f"{key}={power_of_ten(value)}" for key, value in sorted(sums.items()))
        return [f"{prefix}regularizer=Penalty({given})"]

    def _remember(self, op: Project) -> None:
        if op.weight is not None:
            attribute = "kernel" if isinstance(op.edges, Full) else "weight"
            self.variables.append((op.weight.name, f'layer("{op.connection}").{attribute}'))
        if is_sparse(op):
            self.digests.append(f'"{op.connection}.digest": model.get_layer("{op.connection}").digest,')

    def _step(self, op: Operation, variable: str, x: str, own: str) -> list[str]:
        arguments: list[str] = []
        match op:
            case AddBias():
                self.kernels.add("Bias")
                head = "Bias("
                arguments = [str(op.bias.shape[0])]
                if not op.by_unit:
                    arguments.append(bias_index(op))
                self._held(op.bias, own, "bias")
            case Apply():
                return self._activation(op, variable, x, own)
            case ApplyNorm():
                numbers = dict(op.arguments)
                text = spelled(NORMS, op.norm.name, units=op.output.units, **numbers)
                head, _, rest = text.partition("(")
                head, arguments = head + "(", [rest]
                if op.norm.running:
                    self.kernels.add("BatchNorm")
                held = [p for p in (op.weight, op.bias, op.running_mean, op.running_var) if p]
                for parameter in held:
                    attribute = parameter.name.rpartition(".")[2]
                    self._held(parameter, own, attribute if op.norm.running else _LAYER_NORM[attribute])
            case Drop():
                head, arguments = "keras.layers.Dropout(", [str(op.p)]
            case Multiply():
                self.kernels.add("Scale")
                head, arguments = "Scale(", [str(op.factor)]
            case Project() | Add():
                raise AssertionError("a sum is no step")
        return [chained(f"{variable} = {head}", [*arguments, f'name="{own}"'], x, 4)]

    def _held(self, parameter: Parameter, layer: str, attribute: str) -> None:
        self.variables.append((parameter.name, f'layer("{layer}").{attribute}'))

    def _activation(self, op: Apply, variable: str, x: str, own: str) -> list[str]:
        text = spelled(ACTIVATIONS, op.activation.name, **dict(op.arguments))
        head, _, rest = text.partition("(")
        if head in REGISTERED:
            self.kernels.add(head)
        arguments = [rest] if rest else []
        shape = op.output.shape
        if op.activation.derivative is not None or len(shape) == 1:
            return [chained(f"{variable} = {head}(", [*arguments, f'name="{own}"'], x, 4)]
        grid, inner = self._free(f"{own}_grid"), self._free(f"{own}_{op.activation.name}")
        return [
            f'{variable} = keras.layers.Reshape({shape_text(shape)}, name="{grid}")({x})',
            chained(f"{variable} = {head}(", [*arguments, f'name="{inner}"'], variable, 4),
            f'{variable} = keras.layers.Reshape(({op.output.units},), name="{own}")({variable})',
        ]

    def _output(self, name: str) -> tuple[list[str], str]:
        """An output in its declared shape: the lines it takes, and the tensor."""
        value = self.plan.graph.value(name)
        if len(value.shape) == 1:
            return [], name
        shaped = self._free(f"{name}_shaped")
        return [f'{shaped} = keras.layers.Reshape({shape_text(value.shape)}, name="{name}")({name})'], shaped

    def _own_name(self, value: Value) -> str:
        """The Keras layer that makes a value; an output of several dimensions is shaped after it."""
        if value.layer in self.outputs and len(value.shape) > 1:
            return self._free(f"{value.name}_flat")
        return value.name

    # ----------------------------------------------------------------------------------------- loss

    def _losses(self, graph: Graph) -> list[tuple[str, str, tuple[str, ...]]]:
        """For every output that the loss reads: its name, its target, and its function's lines."""
        result: list[tuple[str, str, tuple[str, ...]]] = []
        compared: dict[str, list[LossTerm]] = {}
        for term in graph.losses:
            compared.setdefault(term.prediction, []).append(term)
        for name, terms in compared.items():
            if name not in self.outputs:
                why = f"Keras gives a loss only what the model returns; add `{name}` to `output`"
                raise Unsupported(why, terms[0].span)
            if len({term.target for term in terms}) > 1:
                why = f"Keras compares an output with one target, but the loss compares `{name}` with several"
                raise Unsupported(why, terms[1].span)
            target, shape = terms[0].target, shape_text(graph.value(name).shape)
            check = "coded" if terms[0].loss.codes else "check_compared"
            bound = "codes, logits = " if terms[0].loss.codes else ""
            self.kernels.add(check)
            arguments = [f'"{name}"', "y_pred", f'"{target}"', "y_true", shape]
            lines = [call(f"{bound}{check}(", arguments, ")", 4)]
            parts: list[str] = []
            for term in terms:
                text, pooled = self._per_sample(term.loss.name, graph.value(name))
                if len(terms) == 1 and pooled == "{}":
                    parts.append(scaled(term.coefficient, text))
                    continue
                part = f"{term.loss.name}_{len(parts)}" if len(terms) > 1 else "each"
                lines.append(f"{part} = {text}")
                parts.append(scaled(term.coefficient, pooled.format(part)))
            if len(parts) > 1:
                lines += [f"total = {parts[0]}", *(f"total = total + {part}" for part in parts[1:])]
                parts = ["total"]
            result.append((name, terms[0].target, (*lines, f"return {parts[0]}")))
        return result

    @staticmethod
    def _per_sample(loss: str, value: Value) -> tuple[str, str]:
        """A loss by unit, and how it is pooled over all but the batch, so that Keras can weight samples."""
        rank = len(value.shape) - (loss == "cross_entropy")
        pool = "sum" if loss == "squared_error" else "mean"
        axis = "-1" if rank == 1 else shape_text(tuple(range(-rank, 0))) if rank else ""
        return spelled(LOSSES, loss), f"keras.ops.{pool}({{}}, axis={axis})" if rank else "{}"


TARGET = Target("keras", render, registered=REGISTERED)
