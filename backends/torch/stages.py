"""Networks that run over time: the methods of a PyTorch module for all steps, and for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from ...compiler.graph.graph import AddBias, Delay, Parameter, Project, Value
from ...compiler.graph.model import Data
from ...compiler.graph.stages import Arriving, Stage, arriving, read_by_expressions, stages
from ...compiler.plan.plan import Plan
from ...dsl.records import record
from ..parts import each_step
from ..source import (
    Assign,
    Comment,
    Expression,
    Function,
    Name,
    Pair,
    Scope,
    Statement,
    node,
)
from ..source import Parameter as Taken
from ..target import behind, chain_of, expression_of, shapes_text
from .layers import (
    COPIES,
    Copies,
    bias_of,
    codes_input,
    copy_lines,
    flat_input,
    has_module,
    held_by_model,
    layer_lines,
    own_bias_of,
    projections_onto,
    shaped,
    summed_layer,
    weights_of,
)


@record(frozen=False)
class AtStep(Scope):
    """A scope in which values have the names that they have at one step, or that earlier steps have."""

    names: dict[str, Name] = field(default_factory=dict[str, Name])

    def user(self, name: str) -> Name:
        """What a value is called."""
        return self.names.get(name) or super().user(name)


def at_step(scope: Scope, names: Mapping[str, Name]) -> AtStep:
    """A scope with other names for some values."""
    known = scope.names if isinstance(scope, AtStep) else {}
    return AtStep(scope.vocabulary, scope.given, scope.aliased, scope.taken, {**known, **names})


def methods(scope: Scope, plan: Plan) -> list[Function]:
    """`initial_state` and `run`, `layers` of these, and `step`."""
    scope = at_step(scope, {each.output.name: scope.new(each.output.name) for each in plan.graph.delays})
    made = [_run(scope, plan), _layers(scope, plan), _step(scope, plan)]
    return [_initial_state(scope, plan), *made] if plan.graph.delays else made


# ------------------------------------------------------------------------------------------ the methods


def _parameters(scope: Scope, plan: Plan, *, steps: bool) -> tuple[Taken, ...]:
    graph = plan.graph
    taken = [Taken(scope.name("self"))]
    taken += [Taken(scope.user(data.name), scope.name("Tensor")) for data in graph.inputs]
    if graph.delays:
        taken.append(Taken(scope.name("state"), scope.expression("dict[str, Tensor] | None"), node(None)))
    if graph.steps and steps:
        taken.append(Taken(scope.name("steps"), scope.name("int"), node(graph.steps)))
    return tuple(taken)


def arguments(scope: Scope, plan: Plan, *, steps: bool = True) -> list[Expression]:
    """What a method passes on of what it takes."""
    taken: list[Expression] = [scope.user(data.name) for data in plan.graph.inputs]
    taken += [scope.name("state")] if plan.graph.delays else []
    return taken + ([scope.name("steps")] if plan.graph.steps and steps else [])


def forward_method(scope: Scope, plan: Plan, body: Sequence[Statement], returns: Expression) -> Function:
    """`forward` of a network that runs over time."""
    said = f"{shapes_text(plan.graph)}."
    return Function("forward", _parameters(scope, plan, steps=True), tuple(body), returns, said)


def _layers(scope: Scope, plan: Plan) -> Function:
    text = "return self.run(*given)[0]"
    body = scope.statements(text, given=arguments(scope, plan))
    said = "Every layer's value by name, an array of its own, over time (*batch, steps, ...); see `run`."
    returns = scope.expression("dict[str, Tensor]")
    return Function("layers", _parameters(scope, plan, steps=True), body, returns, said)


def _initial_state(scope: Scope, plan: Plan) -> Function:
    graph, own = plan.graph, scope.name("self")
    held = held_by_model(plan)
    pairs = [
        Pair(
            node(name),
            scope.expression(
                "(steps, shape, start)",
                steps=graph.memory[name],
                shape=delay.input.shape,
                start=own.get(held[delay.start.name]) if isinstance(delay.start, Parameter) else delay.start,
            ),
        )
        for name, delay in graph.read_late.items()
    ]
    body = scope.statements(
        "batch = (batch,) if isinstance(batch, int) else batch\nreturn state_before(self, batch, {**pairs})",
        pairs=pairs,
    )
    said = (
        "What values are before the first step, by name, (*batch, how many steps are read, ...).\n\n"
        "The oldest comes first."
    )
    taken = (Taken(own), Taken(scope.name("batch"), scope.expression("int | tuple[int, ...]")))
    return Function("initial_state", taken, body, scope.expression("dict[str, Tensor]"), said)


def _step(scope: Scope, plan: Plan) -> Function:
    graph, timed = plan.graph, plan.graph.timed
    over = [data for data in graph.inputs if data.over_time]
    lines = [
        statement
        for data in over
        for statement in scope.statements(
            "x = x.unsqueeze(at)", x=scope.user(data.name), at=-1 - len(data.shape)
        )
    ]
    first = (over or graph.inputs)[0]
    batch = scope.expression("x.dim() - rank", x=scope.user(first.name), rank=len(first.shape) + bool(over))
    text = "values, state = self.run(*given, *one)\nreturn of_one_step(values, batch, timed), state"
    names = tuple(layer.name for layer in graph.layers if layer.name in timed)
    given, one = arguments(scope, plan, steps=False), [node(1)] if graph.steps else []
    if not graph.delays:
        text = "values, _ = self.run(*given, *one)\nreturn of_one_step(values, batch, timed), {}"
    lines += scope.statements(text, given=given, one=one, batch=batch, timed=names)
    said = (
        "The values of one step by name, and the state behind it; without a state, of the first step.\n\n"
        "What is over time is given, and comes, without its dimension. A state that goes back in detached "
        "ends\nwhere gradients go back to."
    )
    returns = scope.expression("tuple[dict[str, Tensor], dict[str, Tensor]]")
    return Function("step", _parameters(scope, plan, steps=False), tuple(lines), returns, said)


def _run(scope: AtStep, plan: Plan) -> Function:
    graph = plan.graph
    copies: dict[str, Expression] = {
        copy.value: scope.new(f"{copy.value}_{COPIES[copy.to]}") for copy in plan.layouts.copies
    }
    body = [*_inputs(scope, plan), *_before(scope, plan)]
    weights, made = weights_of(scope, plan)
    body += made
    for data in graph.inputs:
        body += [*_delayed(scope, plan, data.name, copies), *_prepared(scope, data, plan, copies)]
    for stage in stages(graph):
        body += _Stage(scope, plan, stage, copies | weights).lines()
    pairs = [Pair(node(layer.name), _whole(scope, plan, layer)) for layer in graph.layers]
    once = [pair for pair, layer in zip(pairs, graph.layers, strict=True) if layer.name not in graph.timed]
    over = [pair for pair, layer in zip(pairs, graph.layers, strict=True) if layer.name in graph.timed]
    text = "values = unflat({**once}, batch) | {**over}" if once else "values = {**over}"
    body += scope.statements(text, once=once, over=over)
    body += _returned(scope, plan)
    said = (
        "The values of all steps by name, (*batch, steps, ...), and the state behind the last step.\n\n"
        "It goes into the next call, which then goes on where this one has ended. Every value is an array\n"
        "of its own."
    )
    returns = scope.expression("tuple[dict[str, Tensor], dict[str, Tensor]]")
    return Function("run", _parameters(scope, plan, steps=True), tuple(body), returns, said)


def _inputs(scope: Scope, plan: Plan) -> list[Statement]:
    """Statements that bind `batch` and `steps`, and take all samples of inputs together."""
    graph, lines = plan.graph, list[Statement]()
    over = [data for data in graph.inputs if data.over_time]
    first = (over or graph.inputs)[0]
    x, rank = scope.user(first.name), len(first.shape) + bool(over)
    if over:
        lines += scope.statements("steps = steps_of(name, x, shape)", x=x, name=first.name, shape=first.shape)
    lines += scope.statements("batch = x.shape[:end]" if rank else "batch = x.shape", x=x, end=-rank)
    for data in graph.inputs:
        lines += _flattened(scope, data)
    return lines


def _flattened(scope: Scope, data: Data) -> tuple[Statement, ...]:
    if not data.over_time:
        return flat_input(scope, data.name, data.shape) if data.classes is None else codes_input(scope, data)
    text = "x = steps_first(flat(name, x, (*batch, steps), shape), steps)"
    if data.classes is not None:
        text = "x = steps_first(input_codes(name, x, (*batch, steps), shape, classes), steps)"
    x = scope.user(data.name)
    return scope.statements(text, x=x, name=data.name, shape=data.shape, classes=data.classes)


def _before(scope: Scope, plan: Plan) -> tuple[Statement, ...]:
    """Statements that give what values were before the first step."""
    graph = plan.graph
    if not graph.delays:
        return ()
    wanted = [
        Pair(node(name), node((graph.memory[name], *delay.input.shape)))
        for name, delay in graph.read_late.items()
    ]
    first = scope.expression("self.initial_state(batch)")
    if not plan.graph.parameters:  # of which a model knows the type of its numbers, and where it is
        like = next(data.name for data in plan.graph.inputs if not data.classes)
        first = scope.expression("state_like(first, x)", first=first, x=scope.user(like))
    text = "state = first if state is None else state\nbefore = before_first(state, batch, {**wanted})"
    return scope.statements(text, first=first, wanted=wanted)


def _prepared(scope: Scope, data: Data, plan: Plan, copies: Copies) -> list[Statement]:
    """An input in the layout that its readers take."""
    lines: list[Statement] = []
    if plan.layouts.of(data.name) == "units first":
        lines += scope.statements("x = to_units_first(x)", x=scope.user(data.name))
    return [*lines, *copy_lines(scope, data.name, plan, copies)]


def _delayed(scope: Scope, plan: Plan, name: str, copies: Copies) -> list[Statement]:
    """Statements that give what an input was some steps before each step."""
    lines: list[Statement] = []
    for delay in plan.graph.delays:
        if delay.input.name == name and delay.input.layer is None:
            lines += [*_late(scope, delay, plan)]
            if plan.layouts.of(delay.output.name) == "units first":
                lines += scope.statements("x = to_units_first(x)", x=scope.user(delay.output.name))
            lines += copy_lines(scope, delay.output.name, plan, copies)
    return lines


def _late(scope: Scope, delay: Delay, plan: Plan) -> tuple[Statement, ...]:
    """The statement that gives what a value was some steps before each step."""
    x: Expression = scope.user(delay.input.name)
    if delay.input.name not in plan.graph.timed:
        x = scope.expression("every_step(x, steps)", x=x)
    text = "late = delayed(x, before[name], delay, steps)"
    return scope.statements(
        text, late=scope.user(delay.output.name), x=x, name=delay.input.name, delay=delay.steps
    )


def _whole(scope: Scope, plan: Plan, layer: Value) -> Expression:
    """A layer's value as it is returned."""
    value = shaped(scope, layer)
    if layer.name not in plan.graph.timed:
        return value
    return scope.expression("over_time(value, batch, steps)", value=value)


def _returned(scope: Scope, plan: Plan) -> tuple[Statement, ...]:
    """The statement that returns values and the state behind the last step."""
    graph = plan.graph
    if not graph.delays:
        return scope.statements("return values, {}")
    last = list[Pair]()
    for name in graph.read_late:
        x: Expression = scope.user(name)
        if name not in graph.timed:
            x = scope.expression("every_step(x, steps)", x=x)
        last.append(Pair(node(name), x))
    shapes = [Pair(node(name), node(delay.input.shape)) for name, delay in graph.read_late.items()]
    text = "return values, behind_last(before, {**last}, batch, steps, {**shapes})"
    return scope.statements(text, last=last, shapes=shapes)


# -------------------------------------------------------------------------------------------- the stages


@record
class _Stage:
    """A stage of `run`."""

    scope: AtStep
    plan: Plan
    stage: Stage
    copies: Copies

    def lines(self) -> list[Statement]:
        """The statements that compute the layers."""
        lines = list[Statement]()
        for layer in self.stage.layers:
            for delay in self.stage.delays.get(layer.name, ()):
                if delay.input.layer is not None:
                    lines += [*_late(self.scope, delay, self.plan)]
                    lines += copy_lines(self.scope, delay.output.name, self.plan, self.copies)
            if self.stage.kind != "loop":
                lines += self._layer(layer)
                lines += copy_lines(self.scope, layer.name, self.plan, self.copies)
        return [*lines, *self._loop()] if self.stage.kind == "loop" else lines

    def _layer(self, layer: Value) -> list[Statement]:
        """A layer for all steps together, or once."""
        scope, plan, chain = self.scope, self.plan, chain_of(self.plan.graph, layer)
        if expression := expression_of(chain):
            repeated = {
                value.name
                for value in expression.inputs
                if self.stage.kind != "once" and value.name not in plan.graph.timed
            }
            return layer_lines(scope, layer, chain, plan, self.copies, repeated)
        arrives = arriving(chain, self.stage, plan.graph)
        if not arrives.once:
            return layer_lines(scope, layer, chain, plan, self.copies)
        lines = self._entering(layer, arrives, value := scope.user(layer.name))
        if has_module(layer, plan):
            lines.append(Assign(value, scope.name("self").get(layer.name)(value)))
        return lines

    def _bias(self, layer: Value) -> Expression | None:
        """The bias that the first of a layer's projections adds."""
        chain = chain_of(self.plan.graph, layer)
        steps, module = behind(chain), self.scope.name("self").get(layer.name)
        if steps and isinstance(steps[0], AddBias) and not own_bias_of(layer, self.plan):
            return bias_of(steps[0], chain, module, self.plan)
        return None

    def _entering(self, layer: Value, arrives: Arriving, value: Name) -> list[Statement]:
        """Statements for the sum of what enters a layer from elsewhere, with its bias, at all steps."""
        scope, onto = self.scope, self._bias(layer)
        lines = list[Statement]()
        if arrives.once:
            lines += projections_onto(scope, arrives.once, value, onto, self.plan, self.copies)
            lines += scope.statements("x = every_step(x, steps)", x=value)
            onto = value
        return lines + projections_onto(scope, arrives.before, value, onto, self.plan, self.copies)

    def _loop(self) -> list[Statement]:
        """Statements for what enters the loop, the loop, and what it has computed, at all steps."""
        scope, layers = self.scope, self.stage.layers
        kept = {layer.name: scope.new(f"{layer.name}_steps") for layer in layers}
        entering, lines = dict[str, Name](), list[Statement]()
        for layer in layers:
            arrives = arriving(chain_of(self.plan.graph, layer), self.stage, self.plan.graph)
            if arrives.once or arrives.before:
                entering[layer.name] = scope.new(f"{layer.name}_entering")
                lines += self._entering(layer, arrives, entering[layer.name])
        timed = self.plan.graph.timed
        reads = [name for name in read_by_expressions(self.stage, self.plan.graph) if name in timed]
        whole: list[Expression] = [*entering.values(), *(scope.user(name) for name in reads)]
        entered = {name: scope.new(f"{entering[name].text}_t") for name in entering}
        names = {name: scope.new(f"{name}_t") for name in (*reads, *kept)}
        names |= {each.output.name: scope.new(f"{each.output.name}_t") for each in self.stage.recurring}
        within = at_step(scope, names)
        copies = dict(self.copies)
        copies |= {name: scope.new(f"{name}_copy_t") for name in names if name in copies}
        body = list[Statement]()
        for delay in self.stage.recurring:
            text = "late = kept[back]"
            late, held = within.user(delay.output.name), kept[delay.input.name]
            body += scope.statements(text, late=late, kept=held, back=-delay.steps)
            body += copy_lines(within, delay.output.name, self.plan, copies)
        for name in reads:
            body += copy_lines(within, name, self.plan, copies)
        for layer in layers:
            body += self._at_step(within, layer, entered.get(layer.name), copies)
            body += copy_lines(within, layer.name, self.plan, copies)
        for layer in layers:
            body += scope.statements("kept.append(x)", kept=kept[layer.name], x=within.user(layer.name))
        memory = self.plan.graph.memory
        for name, held in kept.items():
            text = "kept = [*before[name]]" if name in memory else "kept = []"
            lines += scope.statements(text, kept=held, name=name)
        lines.append(Comment(f"{', '.join(kept)}, step by step."))
        at = [*entered.values(), *(names[name] for name in reads)]
        lines.append(each_step(scope, at, whole, body))
        for layer in layers:
            text = "x = at_all_steps(kept[back:])" if layer.name in memory else "x = at_all_steps(kept)"
            back, x = memory.get(layer.name, 0), scope.user(layer.name)
            lines += scope.statements(text, x=x, kept=kept[layer.name], back=back)
            lines += copy_lines(scope, layer.name, self.plan, self.copies)
        return lines

    def _at_step(self, within: AtStep, layer: Value, entered: Name | None, copies: Copies) -> list[Statement]:
        """A layer of the loop at one step."""
        plan, chain = self.plan, chain_of(self.plan.graph, layer)
        if expression_of(chain) or entered is None:
            return layer_lines(within, layer, chain, plan, copies)
        projections: Sequence[Project] = arriving(chain, self.stage, plan.graph).within
        return summed_layer(within, layer, projections, entered, plan, copies)
