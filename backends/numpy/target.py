"""NumPy: the forward pass step by step, and the derivatives written out in the opposite order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import field

from ...compiler.edges.edge_set import Diagonal, Full, Listed, Product, Shifted
from ...compiler.graph.graph import (
    Add,
    AddBias,
    Apply,
    ApplyNorm,
    Drop,
    Multiply,
    Operation,
    Parameter,
    Project,
    Value,
)
from ...compiler.plan.plan import Plan
from ...dsl.records import record
from ..layout import call, collection, returned_sum, summed
from ..target import (
    Rendering,
    Target,
    bias_index,
    digest_lines,
    is_identity,
    is_sparse,
    loss_arguments,
    scaled,
    shape_text,
    shapes_text,
    start_context,
    start_kernels,
    stored_edges,
    stored_needs,
    summary,
    training_options,
)

# The options of `training_options` as they stand in a signature.
OPTIONS = {"training": "training: bool = False", "rng": "rng: np.random.Generator | None = None"}


def render(plan: Plan) -> Rendering:
    """What the NumPy template places."""
    return _Writer(plan).rendering()


@record(frozen=False)
class _Writer:
    """Writes one module. `needed` values are those that a derivative reads."""

    plan: Plan
    kernels: set[str] = field(default_factory=set[str])
    taken: set[str] = field(default_factory=set[str])
    kept: list[str] = field(default_factory=list[str])
    extra: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    started: set[str] = field(default_factory=set[str])
    gradients: dict[str, str] = field(default_factory=dict[str, str])
    derivatives: set[str] = field(default_factory=set[str])
    data: set[str] = field(default_factory=set[str])
    sources: dict[str, dict[str, None]] = field(default_factory=dict[str, dict[str, None]])

    def rendering(self) -> Rendering:
        graph = self.plan.graph
        self.kernels |= {"batched", "checked", "unbatched", *start_kernels(self.plan)}
        self.data |= {d.name for d in (*graph.inputs, *graph.targets)}
        self.taken |= self.data | {op.output.name for op in graph.operations}
        for op in graph.operations:
            if isinstance(op, Project):
                self.sources.setdefault(op.layer, {})[op.input.layer or op.input.name] = None
        forward = self._flatten() + [line for op in self._fused() for line in self._forward(op)]
        backward = self._backward()
        reads_values = any(re.search(r"\bv\.", line) for line in (*backward, self._gradients_return()))
        losses = self._losses()
        inputs = [d.name for d in graph.inputs]
        modes = training_options(graph)
        options = ["*"] * bool(modes) + [OPTIONS[mode] for mode in modes]
        passed = [f"{mode}={mode}" for mode in modes]
        typed = [f"{name}: np.ndarray" for name in inputs]
        arrays = ["parameters: dict[str, np.ndarray]", *typed]
        digests = [
            f'"{op.connection}.digest": '
            f"edge_digest({self._edges(op)}, ({op.output.units}, {op.input.units})),"
            for op in graph.operations
            if isinstance(op, Project) and is_sparse(op)
        ]
        if digests:
            self.kernels.add("edge_digest")
        if units := digest_lines(self.plan):
            self.kernels.add("digest_of")
            digests += units
        outputs = [self._returned(graph.value(name)) for name in graph.outputs]
        returned = "np.ndarray" if len(outputs) == 1 else "tuple[np.ndarray, ...]"
        computed = f"layers({', '.join(['parameters', *inputs, *passed])})"
        everything = [f'"{name}": {name}' for name in self.kept]
        context = {
            **start_context(self.plan, "init", cached=True, fresh=True),
            "summary": summary(self.plan),
            "layers_signature": call("def layers(", [*arrays, *options], ") -> dict[str, np.ndarray]:"),
            "batched": self._batched(inputs, 1),
            "reads_edges": any("stored" in line for line in forward),
            "forward": tuple(forward),
            "values": collection("values = {", everything, "}", 4),
            "forward_signature": call("def forward(", [*arrays, *options], f") -> {returned}:"),
            "forward_shapes": shapes_text(graph),
            "computed": computed,
            "trains": "training" in modes,
            "drops": "rng" in modes,
            "forward_return": "return " + ", ".join(outputs),
            "loss": returned_sum(losses, 4) if losses else (),
            "loss_batched": self._batched(loss_arguments(graph)) if graph.losses else "",
            "loss_signature": call(
                "def loss(",
                ["parameters: dict[str, np.ndarray]", *(f"{n}: np.ndarray" for n in loss_arguments(graph))],
                ") -> np.floating:",
            ),
            "compares": bool(graph.losses),
            "gradients_signature": self._gradients_signature(arrays, options),
            "gradients_batched": self._gradients_batched(),
            "backward_signature": self._backward_signature(typed),
            "backward_trains": self._moves_statistics(),
            "moves": self._moves_statistics(),
            "backward_reads_edges": any("stored" in line for line in backward),
            "backward_reads_values": reads_values,
            "backward": tuple(backward),
            "gradients_return": self._gradients_return(),
            "digests": tuple(digests),
            "digests_stored": any("stored" in line for line in digests),
            "copied": "{name: np.array(array) for name, array in parameters.items()}"
            + " | digests()" * bool(digests),
            "digests_of_model": "digests()" if digests else "{}",
        }
        imports = {"import numpy as np", "from collections.abc import Mapping"}
        needed, imported = stored_needs(self.plan, cached=True)
        self.kernels |= needed
        imports |= imported
        if reads_values:
            imports.add("from types import SimpleNamespace")
            self.kernels |= set() if graph.losses else {"rebatched"}
        return Rendering(context, frozenset(self.kernels), frozenset(imports))

    # ---------------------------------------------------------------------------------------- names

    def _layers(self) -> set[str]:
        return {layer.name for layer in self.plan.graph.layers}

    def _extra(self, value: str, what: str) -> str:
        """A name for something that the forward pass keeps besides values, `graph_var` say."""
        if (value, what) not in self.extra:
            name = f"{value}_{what}"
            while name in self.taken:
                name += "_"
            self.taken.add(name)
            self.extra[value, what] = name
        return self.extra[value, what]

    def _d(self, value: Value) -> str:
        """The name of the gradient of a value."""
        if value.name not in self.gradients:
            name = f"d_{value.name}"
            while name in self.data or name in self.derivatives:
                name += "_"
            self.derivatives.add(name)
            self.gradients[value.name] = name
        return self.gradients[value.name]

    def _shaped(self, text: str, value: Value) -> str:
        """Source text of a value (samples, units) in its declared shape."""
        if len(value.shape) == 1:
            return text
        return f"{text}.reshape(-1, {', '.join(map(str, value.shape))})"

    def _read(self, value: Value) -> str:
        """Source text of a value in the backward pass: inputs are at hand, steps are in `v`."""
        return value.name if value.name in self.data else f"v.{value.name}"

    @staticmethod
    def _p(parameter: Parameter) -> str:
        return f'p["{parameter.name}"]'

    @staticmethod
    def _g(parameter: Parameter) -> str:
        return f'g["{parameter.name}"]'

    # -------------------------------------------------------------------------------------- forward

    def _batched(self, names: Sequence[str], first: int = 0) -> str:
        """The line that checks the shapes of inputs and targets, or layers', and takes all samples together.

        `batch` is bound to the batch's dimensions if `first` is 1.
        """
        graph = self.plan.graph
        data = {d.name: d for d in (*graph.inputs, *graph.targets)}
        given: list[str] = []
        for name in names:
            facts = [name]
            if name in data and data[name].classes is not None:
                facts += [shape_text(data[name].shape), str(data[name].classes)]
            else:
                facts.append(shape_text(data[name].shape if name in data else graph.value(name).shape))
            given.append(f"{name}=({', '.join(facts)})")
        bound = ["batch"] * first + list(names)
        return call(f"{', '.join(bound)} = batched(", given, ")" if first else ")[1:]", 4)

    def _gradients_batched(self) -> str:
        """The same for the arguments of `gradients` or `backward`."""
        graph = self.plan.graph
        inputs = [d.name for d in graph.inputs]
        if graph.losses:
            others = [n for n in loss_arguments(graph) if n not in (*inputs, *self._layers())]
            return self._batched([*inputs, *others], 1)
        ds = {self._d(graph.value(name)): shape_text(graph.value(name).shape) for name in graph.outputs}
        given = [f"{d.name}=({d.name}, {shape_text(d.shape)})" for d in graph.inputs]
        given += [f"{d}=({d}, {shape})" for d, shape in ds.items()]
        return call(f"{', '.join(['batch', *inputs, *ds])} = batched(", given, ")", 4)

    def _flatten(self) -> list[str]:
        """Lines that flatten inputs of several dimensions to (samples, units)."""
        values = [Value(d.name, d.shape) for d in self.plan.graph.inputs if len(d.shape) > 1]
        return [f"{value.name} = {value.name}.reshape(-1, {value.units})" for value in values]

    def _returned(self, value: Value) -> str:
        """Source text of an output, (*batch, units) among the values, in its declared shape."""
        text = f'values["{value.name}"]'
        if len(value.shape) == 1:
            return text
        self.kernels.add("in_shape")
        return f"in_shape({text}, {shape_text(value.shape)})"

    def _fused(self) -> list[tuple[Operation, ...]]:
        """Operations, with the sum of a layer and its bias taken together as one step."""
        steps: list[tuple[Operation, ...]] = []
        for op in self.plan.graph.operations:
            joins = isinstance(op, Add | AddBias) and steps and isinstance(steps[-1][-1], Project | Add)
            if joins or (isinstance(op, Project) and steps and self._same_sum(op, steps[-1])):
                steps[-1] = (*steps[-1], op)
            else:
                steps.append((op,))
        return steps

    @staticmethod
    def _same_sum(op: Project, step: tuple[Operation, ...]) -> bool:
        return isinstance(step[-1], Project) and step[-1].layer == op.layer

    def _forward(self, step: tuple[Operation, ...]) -> list[str]:
        op, output = step[-1], step[-1].output.name
        if isinstance(step[0], Project):
            terms = [self._term(part) for part in step if not isinstance(part, Add)]
            if len(terms) == 1 and is_identity(step[0]):
                terms[0] += ".copy()"  # what is returned is not what was given
            self.kept.append(output)
            return summed(output, terms, 4)
        x = step[0].inputs[0].name
        lines: list[str] = []
        match op:
            case Apply():
                lines = [f"{output} = {self._formula(op, x)}"]
            case AddBias():
                lines = [f"{output} = {x} + {self._bias(op)}"]
            case Multiply():
                lines = [f"{output} = {op.factor} * {x}"]
            case Drop():
                keep = self._extra(op.output.name, "keep")
                self.kernels.add("dropout_mask")
                self.kept.append(keep)
                lines = [
                    f"{keep} = dropout_mask({x}.shape, {op.p}, rng) if training and rng is not None else 1",
                    f"{output} = {x} * {keep}",
                ]
            case ApplyNorm():
                lines = self._norm(op, x)
            case Project() | Add():
                raise AssertionError("a sum is fused")
        self.kept.append(output)
        return lines

    def _term(self, op: Operation) -> str:
        """One term of a layer's sum."""
        if isinstance(op, AddBias):
            return self._bias(op)
        assert isinstance(op, Project)
        x = op.input.name
        if is_identity(op):
            return x
        weight = self._p(op.weight) if op.weight else "None"
        match op.edges:
            case Full():
                if op.weight is None:
                    return f"np.repeat({x}.sum(axis=1, keepdims=True), {op.output.units}, axis=1)"
                return f"{x} @ {weight}.T"
            case Diagonal():
                return f"{x} * {weight}"
            case Listed() | Shifted() | Product():
                self.kernels.add("project")
                return f"project({x}, {weight}, {self._edges(op)}, {op.output.units})"

    def _edges(self, op: Project) -> str:
        self.kernels.add("edges_of")
        return stored_edges(op.connection)

    def _bias(self, op: AddBias) -> str:
        if op.by_unit:
            return self._p(op.bias)
        self.kernels.add("spread")
        return f"spread({self._p(op.bias)}, {bias_index(op)})"

    def _formula(self, op: Apply, x: str) -> str:
        self.kernels |= set(op.activation.kernels) & {op.activation.formula.partition("(")[0]}
        mixes = op.activation.derivative is None
        argument = self._shaped(x, op.output) if mixes else x
        text = op.activation.formula.format(x=argument, **dict(op.arguments))
        return f"{text}.reshape({x}.shape)" if mixes and len(op.output.shape) > 1 else text

    def _norm(self, op: ApplyNorm, x: str) -> list[str]:
        hat, std = self._extra(op.output.name, "hat"), self._extra(op.output.name, "std")
        self.kept += [hat, std]
        self.kernels.add(op.norm.name)
        numbers = [f"{name}={value}" for name, value in op.arguments]
        if op.running_mean is None:
            arguments = [x, self._p(op.weight), self._p(op.bias), *numbers]
        else:
            arguments = [x, "p", f'"{op.name}"', *numbers, "training=training"]
        return [call(f"{op.output.name}, {hat}, {std} = {op.norm.name}(", arguments, ")", 4)]

    # ----------------------------------------------------------------------------------------- loss

    def _losses(self) -> list[str]:
        terms: list[str] = []
        for term in self.plan.graph.losses:
            self._loss_kernel(term.loss.formula, term.loss.kernels)
            terms.append(scaled(term.coefficient, term.loss.formula.format(y=term.prediction, t=term.target)))
        terms += [
            scaled(p.coefficient, p.penalty.formula.format(w=f'parameters["{p.parameter}"]'))
            for p in self.plan.graph.penalties
        ]
        return terms

    def _gradients_signature(self, arrays: list[str], options: list[str]) -> str:
        names = {*(d.name for d in self.plan.graph.inputs), *self._layers()}
        targets = [f"{n}: np.ndarray" for n in loss_arguments(self.plan.graph) if n not in names]
        trained = [option.replace("False", "True") for option in options]
        returned = ") -> tuple[np.floating, dict[str, np.ndarray]]:"
        return call("def gradients(", [*arrays, *targets, *trained], returned)

    def _backward_signature(self, inputs: list[str]) -> str:
        """Where no loss reads the outputs. There is no default of `training`: it is that of `layers`."""
        graph = self.plan.graph
        dicts = [f"{name}: dict[str, np.ndarray]" for name in ("parameters", "values")]
        cotangents = [f"{self._d(graph.value(name))}: np.ndarray" for name in graph.outputs]
        options = ["*", "training: bool"] if self._moves_statistics() else []
        return call("def backward(", [*dicts, *inputs, *cotangents, *options], ") -> dict[str, np.ndarray]:")

    def _moves_statistics(self) -> bool:
        return any(parameter.running for parameter in self.plan.graph.parameters)

    def _gradients_return(self) -> str:
        """What `gradients` or `backward` returns."""
        if not self.plan.graph.losses:
            return "return g"
        graph, layers = self.plan.graph, self._layers()
        read = [
            self._shaped(f"v.{name}", graph.value(name)) if name in layers else self._target(name)
            for name in loss_arguments(graph)
        ]
        return f"return loss({', '.join(['p', *read])}), g"

    def _target(self, name: str) -> str:
        """Source text of what a loss compares with, in its declared shape: an input has been flattened."""
        inputs = {d.name: d for d in self.plan.graph.inputs}
        return self._shaped(name, Value(name, inputs[name].shape)) if name in inputs else name

    def _loss_kernel(self, text: str, kernels: tuple[str, ...]) -> None:
        self.kernels |= {kernel for kernel in kernels if f"{kernel}(" in text}

    # ------------------------------------------------------------------------------------- backward

    def _backward(self) -> list[str]:
        """Lines of `gradients` or `backward`, from the loss or the outputs back to the inputs."""
        graph = self.plan.graph
        lines = self._flatten()
        if not graph.losses:
            lines += self._given()
        for term in graph.losses:
            value = graph.value(term.prediction)
            self._loss_kernel(term.loss.derivative, term.loss.kernels)
            y = self._shaped(f"v.{value.name}", value)
            text = term.loss.derivative.format(y=y, t=self._target(term.target))
            text = scaled(term.coefficient * term.loss.factor, text)
            if len(value.shape) > 1:
                text = f"({text}).reshape(v.{value.name}.shape)"
            lines.append(self._accumulate(value, text))
        layer = ""
        for step in reversed(self._fused()):
            if self._d(step[-1].output) not in self.started:
                continue
            if step[-1].output.layer is not None:
                layer = step[-1].output.layer
                lines.append(f"# {layer} <- {', '.join(self.sources[layer])}")
            lines += self._back(step)
        made = {line.partition(" =")[0] for line in lines}
        for parameter in graph.parameters:
            if parameter.trainable and self._g(parameter) not in made:
                lines.append(f"{self._g(parameter)} = np.zeros_like({self._p(parameter)})")
        for penalty in graph.penalties:
            text = penalty.penalty.derivative.format(w=f'p["{penalty.parameter}"]')
            text = scaled(penalty.coefficient * penalty.penalty.factor, text)
            g = f'g["{penalty.parameter}"]'
            lines.append(f"{g} = {g} + {text}")
        for data in graph.inputs:
            value = Value(data.name, data.shape)
            read = self._d(value) in self.started
            text = self._d(value) if read else f"np.zeros_like({data.name})"
            shape = ", ".join(["*batch", *map(str, value.shape)])
            lines.append(f'g["{data.name}"] = {text}.reshape({shape})')
        return lines

    def _given(self) -> list[str]:
        """Lines that flatten the gradients of outputs, which `backward` is given."""
        lines: list[str] = []
        for value in map(self.plan.graph.value, self.plan.graph.outputs):
            d = self._d(value)
            self.started.add(d)
            if len(value.shape) > 1:
                lines.append(f"{d} = {d}.reshape(-1, {value.units})")
        return lines

    def _accumulate(self, value: Value, text: str) -> str:
        return self._assign(value) + text

    def _assign(self, value: Value) -> str:
        """The beginning of a line that adds to the gradient of a value, or makes it."""
        d = self._d(value)
        first = d not in self.started
        self.started.add(d)
        return f"{d} = " if first else f"{d} = {d} + "

    def _back(self, step: tuple[Operation, ...]) -> list[str]:
        op, d = step[-1], self._d(step[-1].output)
        if isinstance(step[0], Project):
            lines = [self._back_bias(part, d) for part in step if isinstance(part, AddBias)]
            for part in step:
                if isinstance(part, Project):
                    lines += self._back_projection(part, d)
            return lines
        x = self._read(step[0].inputs[0])
        match op:
            case Apply():
                return [self._accumulate(op.input, self._derivative(op, x, d))]
            case AddBias():
                return [self._back_bias(op, d), self._accumulate(op.input, d)]
            case Multiply():
                return [self._accumulate(op.input, f"{op.factor} * {d}")]
            case Drop():
                return [self._accumulate(op.input, f"{d} * v.{self._extra(op.output.name, 'keep')}")]
            case ApplyNorm():
                return self._back_norm(op, d)
            case Project() | Add():
                raise AssertionError("a sum is fused")

    def _back_bias(self, op: AddBias, d: str) -> str:
        if op.by_unit:
            return f"{self._g(op.bias)} = {d}.sum(axis=0)"
        self.kernels.add("gathered")
        return f"{self._g(op.bias)} = gathered({d}, {bias_index(op)}, {op.bias.shape[0]})"

    def _back_projection(self, op: Project, d: str) -> list[str]:
        x, d_x = self._read(op.input), op.input
        if is_identity(op):
            first = self._d(d_x) not in self.started
            return [self._accumulate(d_x, d + ".copy()" * first)]
        sparse, dense = is_sparse(op), isinstance(op.edges, Full)
        trained = op.weight is not None and op.weight.trainable
        lines: list[str] = []
        weight = self._p(op.weight) if op.weight else "None"
        if op.weight and trained:
            name = self._g(op.weight)
            if sparse:
                self.kernels.add("project_weight")
                lines.append(call(f"{name} = project_weight(", [x, d, self._edges(op)], indent=4))
            else:
                lines.append(f"{name} = " + (f"{d}.T @ {x}" if dense else f"({d} * {x}).sum(axis=0)"))
        if sparse:
            self.kernels.add("project_back")
            arguments = [d, weight, self._edges(op), str(op.input.units)]
            lines.append(call(f"{self._assign(d_x)}project_back(", arguments, indent=4))
            return lines
        if op.weight is None:
            text = f"np.repeat({d}.sum(axis=1, keepdims=True), {op.input.units}, axis=1)"
        else:
            text = f"{d} @ {weight}" if dense else f"{d} * {weight}"
        lines.append(self._accumulate(d_x, text))
        return lines

    def _derivative(self, op: Apply, x: str, d: str) -> str:
        y = f"v.{op.output.name}"
        if op.activation.derivative is None:
            self.kernels.add("softmax_gradient")
            text = f"softmax_gradient({self._shaped(y, op.output)}, {self._shaped(d, op.output)})"
            return f"{text}.reshape({d}.shape)" if len(op.output.shape) > 1 else text
        text = op.activation.derivative.format(x=x, y=y, **dict(op.arguments))
        self._loss_kernel(text, op.activation.kernels)
        # A sum needs parentheses as a factor; products, calls and what has them already do not.
        return f"{d} * ({text})" if text.startswith("1 - ") else f"{d} * {text}"

    def _back_norm(self, op: ApplyNorm, d: str) -> list[str]:
        hat, std = (f"v.{self._extra(op.output.name, what)}" for what in ("hat", "std"))
        gradient = f"{op.norm.name}_gradient"
        self.kernels.add(gradient)
        arguments = [f"{d} * {self._p(op.weight)}", hat, std]
        if op.running_mean is not None:
            arguments.append("training")
        return [
            f"{self._g(op.weight)} = ({d} * {hat}).sum(axis=0)",
            f"{self._g(op.bias)} = {d}.sum(axis=0)",
            call(f"{self._assign(op.input)}{gradient}(", arguments, ")", 4),
        ]


TARGET = Target("numpy", render)
