"""Networks that run over time: `build_model` of what is computed once, for all steps, and step by step.

A value over time is a Keras tensor (batch, steps, ...), the output of the layer of its name. What does not
recur is computed for all steps as for a larger batch, by the layers that networks without time have. The step
of a loop is a model of its own, of the same layers, and `Loop` runs it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field
from math import prod

from ...compiler.graph.graph import AddBias, Delay, Drop, Operation, Parameter, Project, Value
from ...compiler.graph.stages import Stage, arriving, stages
from ...dsl.records import record
from ..source import Assign, Comment, Display, Expression, Given, Name, Pair, Statement, node
from ..target import behind, chain_of, expression_of
from .network import Network
from .spelling import MODULE


@record(frozen=False)
class Step:
    """The step of a loop while it is written: its layers, and what enters it.

    `sequences` are tensors (batch, steps, ...) and `constants` tensors that are the same at every step, each
    beside what it is called within, and `earlier` what values of earlier steps are called. `names` are what
    values and weights are called within, by name, and `entered` what has been wished for as names of inputs.
    """

    stage: Stage
    name: str
    sequences: list[tuple[Name, Name]] = field(default_factory=list[tuple[Name, Name]])
    constants: list[tuple[Name, Name]] = field(default_factory=list[tuple[Name, Name]])
    earlier: list[Name] = field(default_factory=list[Name])
    names: dict[str, Name] = field(default_factory=dict[str, Name])
    inputs: list[Statement] = field(default_factory=list[Statement])
    entering: dict[str, Name] = field(default_factory=dict[str, Name])
    entered: set[str] = field(default_factory=set[str])


@record(frozen=False)
class NetworkOverTime(Network):
    """Writes `build_model` of a network that runs over time.

    `flat` are tensors (batch * steps, units) of values, and `whole` those (batch, steps, ...) of what is no
    layer or input over time, by the value's name; `before` are what values were before the first step, and
    the layers of Keras that give that. `shown` are those that have a value at all steps. What has `entered`
    one loop has the same names, in Python and in Keras, in the next.
    """

    step: Step | None = None
    outer: list[Statement] | None = None
    all_steps: bool = False
    flat: dict[str, Name] = field(default_factory=dict[str, Name])
    whole: dict[str, Name] = field(default_factory=dict[str, Name])
    before: dict[str, tuple[Name, str]] = field(default_factory=dict[str, tuple[Name, str]])
    shown: dict[str, str] = field(default_factory=dict[str, str])
    entered: dict[str, tuple[Name, str]] = field(default_factory=dict[str, tuple[Name, str]])

    def state_pairs(self) -> list[Pair]:
        """By each value that is read late, the layers that have it before the first step and at all steps."""
        return [
            Pair(node(name), node((before, self.shown.get(name, name))))
            for name, (_, before) in self.before.items()
        ]

    def _input_tensor(self, value: Value) -> Name:
        """An input as it is given."""
        return super()._read(value)

    # ------------------------------------------------------------------------------- how steps are told

    def _with_clock(self, x: Expression | None) -> Expression:
        """What a layer that gives all steps reads: x, if any, and what has as many steps, if that differs."""
        clock = self._clock()
        if x is None:
            return clock or self.scope.user(self.plan.graph.inputs[0].name)
        return x if clock is None else self.scope.expression("[x, clock]", x=x, clock=clock)

    def _clock(self) -> Name | None:
        """The first input that is over time."""
        over = [data.name for data in self.plan.graph.inputs if data.over_time]
        return self.scope.user(over[0]) if over else None

    def _steps(self) -> dict[str, Given]:
        """How many steps there are, where it is a number."""
        return {} if self._clock() or not self.plan.graph.steps else {"steps": self.plan.graph.steps}

    def _in_steps(self, layer: str, shape: Sequence[int], name: str) -> Expression:
        return self.scope.expression(
            f"{layer}(shape, **steps, name=name)", shape=tuple(shape), steps=self._steps(), name=name
        )

    # ---------------------------------------------------------------------------------- what is read

    def _read(self, value: Value) -> Name:
        """The Keras tensor of a value: of a step within a loop, of all steps as samples, or once."""
        if self.step is not None:
            return self._at_step(value, self.step)
        if value.name in self.plan.graph.timed or self.all_steps:
            return self._folded(value)
        return super()._read(value)

    def _folded(self, value: Value) -> Name:
        """The tensor (batch * steps, units) of a value."""
        if value.name not in self.flat:
            x, name = self._at_all_steps(value), f"{value.name}_flat"
            folded = self.scope.expression("Folded(name=name)", name=self._free(name))
            self.flat[value.name] = self._make(self.scope.new(name), folded, x)
        return self.flat[value.name]

    def _at_all_steps(self, value: Value) -> Name:
        """The tensor (batch, steps, ...) of a value."""
        graph, name = self.plan.graph, value.name
        if name in self.whole:
            return self.whole[name]
        if name in graph.delayed:
            delay = graph.delayed[name]
            source, (before, _) = self._at_all_steps(delay.input), self.before[delay.input.name]
            x = self.scope.expression("[x, before]", x=source, before=before)
            own = self._free(name)
            layer = self.scope.expression("Delayed(delay, name=own)", delay=delay.steps, own=own)
            self.whole[name] = self._make(self.scope.new(name), layer, x)
        elif name not in graph.timed:
            self.shown[name] = self._free(f"{name}_every_step")
            layer = self._in_steps("EveryStep", self._shape(name), self.shown[name])
            x = self._with_clock(super()._read(value))
            self.whole[name] = self._make(self.scope.new(f"{name}_every_step"), layer, x)
        else:
            return self.read.get(name) or self.scope.user(name)
        return self.whole[name]

    def _shape(self, name: str) -> tuple[int, ...]:
        """The declared shape of an input or a layer."""
        declared = {data.name: data.shape for data in self.plan.graph.inputs}
        return declared.get(name) or self.plan.graph.value(name).shape

    def _at_step(self, value: Value, step: Step) -> Name:
        """The tensor of a value within a loop."""
        if value.name not in step.names:
            timed = value.name in self.plan.graph.timed
            with self._outside():
                x = self._at_all_steps(value) if timed else super()._read(value)
            enter = self._sequence if timed else self._constant
            step.names[value.name] = enter(step, x, value.name, (value.units,))
        return step.names[value.name]

    def _weight_of(self, reader: str) -> Name:
        """The tensor of a weight that is made elsewhere, which enters a loop from there."""
        weight, step = super()._weight_of(reader), self.step
        if step is None:
            return weight
        if weight.text not in step.names:
            _, shape = self.weights[reader]
            step.names[weight.text] = self._constant(step, weight, weight.text, shape, False)
        return step.names[weight.text]

    def _sequence(self, step: Step, x: Name, name: str, shape: tuple[int, ...]) -> Name:
        """What enters a loop at each step, by what it is called within."""
        within = self._enter(step, f"{name}_t", shape)
        step.sequences.append((x, within))
        return within

    def _constant(
        self, step: Step, x: Name, name: str, shape: tuple[int, ...], of_samples: bool = True
    ) -> Name:
        """What enters a loop and is the same at every step, by what it is called within."""
        within = self._enter(step, f"{name}_here", shape, of_samples)
        step.constants.append((x, within))
        return within

    def _enter(self, step: Step, wish: str, shape: tuple[int, ...], of_samples: bool = True) -> Name:
        """An input of the model of a step."""
        text = "keras.Input(shape, name=name)" if of_samples else "keras.Input(batch_shape=shape, name=name)"
        if wish not in self.entered or wish in step.entered:
            self.entered[wish] = self.scope.new(wish), self._free(wish)
        within, name = self.entered[wish]
        step.entered.add(wish)
        step.inputs.append(Assign(within, self.scope.expression(text, shape=shape, name=name)))
        return within

    @contextmanager
    def _outside(self) -> Generator[None]:
        """Write before the loop that is being written."""
        step, lines, all_steps = self.step, self.lines, self.all_steps
        assert self.outer is not None
        self.step, self.lines, self.all_steps = None, self.outer, False
        yield
        self.step, self.lines, self.all_steps = step, lines, all_steps

    def _found(self, layer: str, text: str) -> Expression:
        """The Keras layer of that name, perhaps in the step of a loop."""
        if self.step is None:
            return super()._found(layer, text)
        found = super()._found(self.step.name, text)
        return MODULE.expression("loop.step.get_layer(name)", loop=found, name=layer)

    # ------------------------------------------------------------------------------------- names

    def _value(self, layer: Value) -> Name:
        if self.step is None:
            return super()._value(layer)
        return self.step.names.setdefault(layer.name, self.scope.of(("step", layer.name), f"{layer.name}_t"))

    def _own_name(self, value: Value) -> str:
        if self.outer is not None and self.step is None:
            return self._free(f"{value.name}_dropout")
        if value.layer is None or value.name not in self.plan.graph.timed:
            return super()._own_name(value)
        return self._free(f"{value.name}_{'t' if self.step else 'flat'}")

    def _show(self, layer: Value) -> str:
        """What the Keras layer is called that has a layer at all steps: as the layer, if that is returned."""
        graph, name = self.plan.graph, layer.name
        if not graph.is_given_over_time(name):
            name = self._free(f"{name}_steps")
        elif self._passes_kept(layer):
            name = self._free(f"{name}_alone")
        self.shown[layer.name] = name
        return name

    # ------------------------------------------------------------------------------------ the stages

    def _layers(self) -> None:
        graph = self.plan.graph
        for name, delay in graph.read_late.items():
            self._begin(name, delay)
        for stage in stages(graph):
            self.all_steps = False
            if stage.kind == "loop":
                self._loop(stage)
                continue
            for layer in stage.layers:
                if stage.kind == "once":
                    self._layer(layer, chain_of(graph, layer))
                else:
                    self._layer_at_all_steps(layer, stage)

    def _begin(self, name: str, delay: Delay) -> None:
        """What a value was before the first step."""
        memory, own = self.plan.graph.memory[name], self._free(f"{name}_first")
        start: dict[str, Given] = {}
        if isinstance(delay.start, Parameter):
            start["start"] = None
            self._held(delay.start, own, "start")
        elif delay.start:
            start["start"] = delay.start
        layer = self.scope.expression(
            "Before(steps, shape, **start, name=own)",
            steps=memory,
            shape=delay.input.shape,
            start=start,
            own=own,
        )
        self.before[name] = self._make(self.scope.new(f"{name}_first"), layer, self._with_clock(None)), own

    def _layer_at_all_steps(self, layer: Value, stage: Stage) -> None:
        chain, x = chain_of(self.plan.graph, layer), self._value(layer)
        variable = x
        if expression_of(chain):
            self.all_steps = True
            self._layer(layer, chain)
            self.all_steps = False
        elif arriving(chain, stage, self.plan.graph).once:
            x = self._rest(layer, *self._entering(layer, stage))
        else:
            self._layer(layer, chain)
        over_time = self._in_steps("OverTime", layer.shape, self._show(layer))
        self._make(variable, over_time, self._with_clock(x))

    def _entering(self, layer: Value, stage: Stage) -> tuple[list[Name], Sequence[Operation]]:
        """The sum of what enters a layer from outside a loop, as (batch * steps, units), and what is left.

        A bias that comes next is a part of it. What is the same at every step is added up once.
        """
        scope, chain = self.scope, chain_of(self.plan.graph, layer)
        arrives, rest = arriving(chain, stage, self.plan.graph), behind(chain)
        parts = [self._apart(op) for op in arrives.before]
        if arrives.once:
            once = self._added(layer, [self._apart(op) for op in arrives.once], "once")
            every = self._in_steps("EveryStep", (layer.units,), self._free(f"{layer.name}_every_step"))
            local = scope.new(f"{layer.name}_every_step")
            self._make(local, every, self._with_clock(once))
            folded = scope.expression("Folded(name=own)", own=self._free(f"{layer.name}_once_flat"))
            parts.insert(0, self._make(local, folded, local))
        if not parts:
            return [], rest
        x = self._added(layer, parts, "entering")
        if rest and isinstance(rest[0], AddBias):
            x = self._step(rest[0], scope.new(f"{layer.name}_entering"), x)
            rest = rest[1:]
        return [x], rest

    def _apart(self, op: Project) -> Name:
        """The tensor of what a connection brings, by a local of its own."""
        own = op.connection in self.scope.given and op.connection not in self.plan.graph.values
        return self._project(op, self.scope.user(op.connection) if own else self.scope.new(op.connection))

    def _added(self, layer: Value, parts: list[Name], what: str) -> Name:
        """The sum of tensors."""
        if len(parts) == 1:
            return parts[0]
        name = f"{layer.name}_{what}"
        add = self.scope.expression("keras.layers.Add(name=own)", own=self._free(f"{name}_sum"))
        x = self.scope.expression("[*parts]", parts=parts)
        return self._make(self.scope.new(name), add, x)

    def _rest(self, layer: Value, parts: Sequence[Name], rest: Sequence[Operation]) -> Name:
        """The tensor of a layer of what has entered it: the sum, then one line a step."""
        x = self._added(layer, [*parts], "sum")
        for op in rest:
            x = self._step(op, self._value(layer), x)
        return x

    def _step(self, op: Operation, variable: Name, x: Expression) -> Name:
        """One operation; within a loop, which units are dropped is drawn for all steps before it."""
        step = self.step
        if step is None or not isinstance(op, Drop):
            return super()._step(op, variable, x)
        name, scope = f"{op.output.name}_kept", self.scope
        with self._outside():
            ones = self._in_steps("Ones", (op.output.units,), self._free(f"{op.output.name}_ones"))
            kept = self._make(scope.new(name), ones, self._with_clock(None))
            kept = super()._step(op, kept, kept)
            over_time = self._in_steps("OverTime", (op.output.units,), self._free(f"{name}_steps"))
            kept = self._make(kept, over_time, self._with_clock(kept))
        within = self._sequence(step, kept, name, (op.output.units,))
        times = scope.expression("keras.layers.Multiply(name=own)", own=self._own_name(op.output))
        return self._make(variable, times, scope.expression("[x, kept]", x=x, kept=within))

    # -------------------------------------------------------------------------------------- a loop

    def _loop(self, stage: Stage) -> None:
        """What enters a loop, a model of its step, and the loop."""
        graph, layers = self.plan.graph, stage.layers
        alone = len(layers) == 1
        name = self._show(layers[0]) if alone else self._free(f"{layers[0].name}_loop")
        step = Step(stage, name)
        for layer in layers:
            arrives = arriving(chain_of(graph, layer), stage, graph)
            if not expression_of(chain_of(graph, layer)) and (arrives.once or arrives.before):
                self._sum_enters(layer, step)
        late: list[Name] = []
        for delay in stage.recurring:
            late.append(self._enter(step, f"{delay.output.name}_t", (delay.output.units,)))
            step.names[delay.output.name] = late[-1]
        held = step.inputs[-len(late) :]
        del step.inputs[-len(late) :]
        self.outer, self.lines, self.step = self.lines, [], step
        for layer in layers:
            self._layer_at_step(layer, step)
        body, self.lines, self.step = self.lines, self.outer, None
        self.outer = None
        clock = self._clock()
        if not step.sequences and clock:
            self._sequence(step, clock, clock.text, (prod(self._shape(clock.text)),))
        self.lines.append(Comment(f"{', '.join(layer.name for layer in layers)}: one step."))
        self.lines += [*step.inputs, *held, *body]
        self.lines += self._looped(step, late, layers)

    def _sum_enters(self, layer: Value, step: Step) -> None:
        """The sum of what enters a layer of a loop from elsewhere, at all steps."""
        (x,), _ = self._entering(layer, step.stage)
        name = f"{layer.name}_entering"
        over_time = self._in_steps("OverTime", (layer.units,), self._free(name))
        local = self._make(self.scope.new(f"{name}_steps"), over_time, self._with_clock(x))
        step.entering[layer.name] = self._sequence(step, local, name, (layer.units,))

    def _layer_at_step(self, layer: Value, step: Step) -> None:
        chain = chain_of(self.plan.graph, layer)
        if layer.name not in step.entering:
            self._layer(layer, chain)
            return
        within = arriving(chain, step.stage, self.plan.graph).within
        rest = behind(chain)
        rest = rest[1:] if rest and isinstance(rest[0], AddBias) else rest
        parts = [step.entering[layer.name], *(self._apart(op) for op in within)]
        step.names[layer.name] = self._rest(layer, parts, rest)

    def _looped(self, step: Step, late: Sequence[Name], layers: Sequence[Value]) -> Iterator[Statement]:
        """The statements that make a model of the step, run it, and give the layers their names."""
        scope, stage, alone = self.scope, step.stage, len(layers) == 1
        numbers = {layer.name: at for at, layer in enumerate(layers)}
        sources = list(dict.fromkeys(delay.input.name for delay in stage.recurring))
        model = scope.new(f"{step.name}_step")
        yield Assign(
            model,
            scope.expression(
                "keras.Model([*given], [*made], name=name)",
                given=[*(n for _, n in step.sequences), *(n for _, n in step.constants), *late],
                made=[step.names[layer.name] for layer in layers],
                name=self._free(f"{step.name}_step"),
            ),
        )
        loop = scope.expression(
            "Loop(model, shapes, delays, sequences=count, **steps, name=name)",
            model=model,
            shapes=tuple(layer.shape for layer in layers),
            delays=tuple((numbers[delay.input.name], delay.steps) for delay in stage.recurring),
            count=len(step.sequences),
            steps=self._steps(),
            name=step.name,
        )
        given = [*(x for x, _ in (*step.sequences, *step.constants)), *(self.before[n][0] for n in sources)]
        made = tuple(scope.user(layer.name) for layer in layers)
        value = loop(scope.expression("[*given]", given=given))
        yield Assign(made[0] if alone else Display("()", made, bare=True), value)
        read = self._read_outside(stage)
        # What nothing else reads passes by something that is read, so that it is in the model.
        within = [layer for layer in layers if layer.name not in read]
        by = next((layer for layer in layers if layer.name in read), layers[0])
        for layer in [*within, *(each for each in layers if each.name in read)] if not alone else ():
            variable, beside = scope.user(layer.name), [scope.user(each.name) for each in within]
            text = (
                "Beside(name=own)([x, *beside])"
                if layer is by and within
                else "keras.layers.Identity(name=own)(x)"
            )
            shown = {"own": self._show(layer), "x": variable, "beside": beside}
            yield Assign(variable, scope.expression(text, **shown))

    def _read_outside(self, stage: Stage) -> set[str]:
        """The layers of a loop that something else reads, or that are returned."""
        graph, own = self.plan.graph, {layer.name for layer in stage.layers}
        asked = {*graph.outputs, *graph.compared}
        return {name for name in own if name in asked or not own.issuperset(graph.readers.get(name, ()))}

    # ------------------------------------------------------------------------------------ outputs

    def _output(self, value: Value) -> Name:
        """The tensor of an output, or of what the loss reads: at all steps, at the last one, or once."""
        graph = self.plan.graph
        if value.name not in graph.timed:
            return super()._output(value)
        x = self.scope.user(value.name)
        if graph.is_given_over_time(value.name):
            return x
        name = self._free(f"{value.name}_alone") if self._passes_kept(value) else value.name
        last = self.scope.expression("LastStep(name=name)", name=name)
        return self._make(self.scope.new(f"{value.name}_last"), last, x)
