"""Networks that run over time: the methods of a PyTorch module for all steps, and for one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import field

from ...compiler.graph.graph import AddBias, Combine, Delay, Parameter, Value
from ...compiler.graph.model import Data
from ...compiler.graph.stages import Arriving, Stage, arriving, read_by_expressions, stages
from ...compiler.plan.plan import Plan
from ...dsl.records import record
from ..parts import each_step, in_steps
from ..source import (
    Assign,
    Comment,
    Expression,
    For,
    Function,
    Given,
    If,
    Name,
    Pair,
    Return,
    Scope,
    Statement,
    names_in,
    node,
)
from ..source import Parameter as Taken
from ..target import behind, chain_of, expression_of, shapes_text
from .layers import (
    COPIES,
    Copies,
    batch_line,
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
    return AtStep(scope.vocabulary, scope.given, scope.aliased, scope.taken, scope.known, {**known, **names})


def methods(scope: Scope, plan: Plan) -> list[Function]:
    """`initial_state`, what computes, what gives that: `run`, `layers` of it, `step` and `forward`."""
    scope = at_step(scope, {each.output.name: scope.new(each.output.name) for each in plan.graph.delays})
    made = [_computed(scope, plan), _run(scope, plan), _layers(scope, plan), _step(scope, plan)]
    made = [*([_initial_state(scope, plan)] if plan.graph.delays else []), *made]
    if not (plan.remat and plan.graph.delays):
        return [*made, _forward(scope, plan)]
    return [*([_once(scope, plan)] if _still(plan) else []), *made, *_in_pieces(scope, plan)]


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


def _forward(scope: Scope, plan: Plan) -> Function:
    """`forward`, which makes of what is computed no more than the outputs."""
    graph, values = plan.graph, scope.name("values")
    outputs = [graph.value(name) for name in graph.outputs]
    given = [_given(scope, values.at(each.name), each, plan) for each in outputs]
    body = list(_calling(scope, plan, *given))
    body += scope.statements("return *given,", given=given) if given[1:] else [Return(given[0])]
    returns = scope.expression("tuple[Tensor, ...]") if given[1:] else scope.name("Tensor")
    said = f"{shapes_text(graph)}."
    return Function("forward", _parameters(scope, plan, steps=True), tuple(body), returns, said)


def _still(plan: Plan) -> list[Value]:
    """The layers that no time reaches."""
    return [layer for layer in plan.graph.layers if layer.name not in plan.graph.timed]


def _in_pieces(scope: Scope, plan: Plan) -> list[Function]:
    """`forward`, some steps at a time, of which gradients need no more than the state before, and a piece."""
    graph, values = plan.graph, scope.name("values")
    outputs = [graph.value(name) for name in graph.outputs]
    timed = [each for each in outputs if each.name in graph.timed]
    given = [_given(scope, values.at(each.name), each, plan) for each in timed]
    state, once = _state(scope, plan), [scope.name("once")] if _still(plan) else []
    said = "The outputs that time reaches of some steps, and the state behind them."
    returns = scope.expression("tuple[list[Tensor], dict[str, Tensor]]")
    body = [*_calling(scope, plan, *given, state, once=once)]
    body += scope.statements("return [*given], state", given=given, state=state)
    taken = (*_parameters(scope, plan, steps=True), *_once_taken(scope, plan))
    piece = Function("_piece", taken, tuple(body), returns, said)

    held = {
        at: scope.new(f"{each.name}_pieces")
        for at, each in enumerate(timed)
        if graph.is_given_over_time(each.name)
    }
    places = {each.name: at for at, each in enumerate(timed)}
    returned = [_of_pieces(scope, output, places, held, plan) for output in outputs]
    over = [data for data in graph.inputs if data.over_time]
    checks = list[Statement]()
    for data in over[1:]:  # what is too long must not be cut off
        checks += scope.statements(
            "check_shape(name, x, (*batch, steps), shape)",
            name=data.name,
            x=scope.user(data.name),
            shape=data.shape,
        )
    steps, batch = _length(scope, plan)
    lines = [*steps, *(batch if scope.reads("batch", checks, returned) else ()), *checks]
    lines += _having_once(scope, plan, "once = self._once(*still)")
    for pieces in held.values():
        lines += scope.statements("pieces = []", pieces=pieces)
    arguments = [
        scope.expression("x.narrow(at, first, count)", x=scope.user(data.name), at=-1 - len(data.shape))
        if data.over_time
        else scope.user(data.name)
        for data in graph.inputs
    ]
    count = [scope.name("count")] if graph.steps else []
    text = (
        "count = min(every, steps - first)\n"
        "piece, state = computed_again(self._piece, *arguments, state, *counted, *apart)"
    )
    each = [*scope.statements(text, every=plan.remat, arguments=arguments, counted=count, apart=once)]
    for at, pieces in held.items():
        each += scope.statements("pieces.append(piece[at])", pieces=pieces, at=at)
    firsts = scope.expression("range(0, steps, every)", every=plan.remat)
    lines.append(For(scope.name("first"), firsts, tuple(each)))
    lines += scope.statements("return *given,", given=returned) if returned[1:] else [Return(returned[0])]
    told = (
        f"{shapes_text(graph)}.\n\nFor gradients, the state after each {plan.remat} steps is kept, and what "
        "is between is computed again."
    )
    returns = scope.expression("tuple[Tensor, ...]") if returned[1:] else scope.name("Tensor")
    whole = Function("forward", _parameters(scope, plan, steps=True), tuple(lines), returns, told)
    return [piece, whole]


def _of_pieces(
    scope: Scope, output: Value, places: Mapping[str, int], held: Mapping[int, Name], plan: Plan
) -> Expression:
    """An output of the whole, of which a piece has its own at a place: the last's, or all that are `held`."""
    if output.name not in plan.graph.timed:
        once = scope.name("once").at(output.name)
        return scope.expression("to_batch_first(x).reshape(*batch, *shape)", x=once, shape=output.shape)
    at = places[output.name]
    if at not in held:
        return scope.expression("piece[at]", at=at)
    return scope.expression("torch.cat(pieces, dim)", pieces=held[at], dim=-1 - len(output.shape))


def _once(scope: AtStep, plan: Plan) -> Function:
    """The method that computes what no time reaches."""
    graph = plan.graph
    still = [data for data in graph.inputs if not data.over_time]
    copies = _copies(scope, plan)
    body = [*batch_line(scope, still[0].name, still[0].shape)]
    for data in still:
        body += [*_flattened(scope, data, plan), *_prepared(scope, data, plan, copies)]
    weights, made = weights_of(scope, plan)
    body += made
    for stage in stages(graph):
        if stage.kind == "once":
            body += _Stage(scope, plan, stage, copies | weights, {}, frozenset(), frozenset()).lines()
    body = _without_unread(body, copies)
    pairs = [Pair(node(layer.name), scope.user(layer.name)) for layer in _still(plan)]
    body += scope.statements("return {**pairs}", pairs=pairs)
    own, tensor = Taken(scope.name("self")), scope.name("Tensor")
    taken = (own, *(Taken(scope.user(data.name), tensor) for data in still))
    said = "The layers that no time reaches, by name: they are computed once, whatever steps are done again."
    return Function("_once", taken, tuple(body), scope.expression("dict[str, Tensor]"), said)


def _having_once(scope: Scope, plan: Plan, text: str) -> tuple[Statement, ...]:
    """The statement that has what no time reaches computed, where that is apart."""
    still = [scope.user(data.name) for data in plan.graph.inputs if not data.over_time]
    return scope.statements(text, still=still) if _once_taken(scope, plan) else ()


def _once_taken(scope: Scope, plan: Plan) -> tuple[Taken, ...]:
    """The parameter for what no time reaches, where that is computed apart."""
    if not (plan.remat and plan.graph.delays and _still(plan)):
        return ()
    return (Taken(scope.name("once"), scope.expression("dict[str, Tensor] | None"), node(None)),)


def _given(scope: Scope, value: Expression, layer: Value, plan: Plan) -> Expression:
    """An output as it is returned: batch first."""
    text = "to_batch_first(value).reshape(*batch, *shape)"
    if layer.name in plan.graph.timed:
        over = plan.graph.is_given_over_time(layer.name)
        text = f"{'over_time' if over else 'last_step'}(value, batch, steps, shape)"
    return scope.expression(text, value=value, shape=layer.shape)


def _calling(
    scope: Scope, plan: Plan, *reading: object, once: Sequence[Expression] = (), every: bool = False
) -> tuple[Statement, ...]:
    """The statement that has everything computed, and gives names to what is read of that.

    Of layers in loops that is what they are at `every` step, or at those which something reads.
    """
    wanted = ["values", *(["before"] if plan.graph.delays else []), "batch", "steps"]
    names = [scope.name(name if scope.reads(name, *reading) else "_") for name in wanted]
    asked: dict[str, Given] = (
        {scope.name("every").text: True} if every and _let_go(stages(plan.graph), plan) else {}
    )
    made = scope.name("self").get("_computed")(*arguments(scope, plan), *once, **asked)
    return scope.statements("*names, = made", names=names, made=made)


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
    said = (
        "What values are before the first step, by name, (*batch, how many steps are read, ...).\n\n"
        "The oldest comes first."
    )
    taken = [Taken(own), Taken(scope.name("batch"), scope.expression("int | tuple[int, ...]"))]
    like: Expression = own
    if not graph.parameters:
        said += " Its numbers have the type and the device of `like`, if that is given."
        like = scope.expression("self if like is None else like")
        taken.append(Taken(scope.name("like"), scope.expression("Tensor | None"), node(None)))
    body = scope.statements(
        "batch = (batch,) if isinstance(batch, int) else batch\nreturn state_before(like_, batch, {**pairs})",
        pairs=pairs,
        like_=like,
    )
    return Function("initial_state", tuple(taken), body, scope.expression("dict[str, Tensor]"), said)


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


def _computed(scope: AtStep, plan: Plan) -> Function:
    graph, copies = plan.graph, _copies(scope, plan)
    body = [*_inputs(scope, plan), *_before(scope, plan)]
    weights, made = weights_of(scope, plan)
    body += made
    for data in graph.inputs:
        body += [*_delayed(scope, plan, data.name, copies), *_prepared(scope, data, plan, copies)]
    parts, kept = stages(graph), dict[str, Expression]()
    whole, passing = _read_whole(parts, plan), _let_go(parts, plan)
    if apart := _once_taken(scope, plan):
        for layer in _still(plan):
            value = scope.name("once").at(layer.name)
            body += [Assign(scope.user(layer.name), value), *copy_lines(scope, layer.name, plan, copies)]
    for stage in parts:
        if apart and stage.kind == "once":
            continue
        body += _Stage(scope, plan, stage, copies | weights, kept, whole, passing).lines()
    body = _without_unread(body, copies)
    late = [graph.value(name) for name in graph.read_late]
    values = {value.name: kept.get(value.name, scope.user(value.name)) for value in (*graph.layers, *late)}
    pairs = [Pair(node(name), value) for name, value in values.items()]
    text = f"return {{**pairs}}, {'before, ' if graph.delays else ''}batch, steps"
    body += scope.statements(text, pairs=pairs)
    said = (
        "What each layer is by name, and what it is of: how many samples and steps.\n\n"
        "That is (samples, units) for each step of a loop, else (steps * samples, units), or (samples,\n"
        "units) where no time matters."
    )
    taken = [*_parameters(scope, plan, steps=True), *apart]
    if passing:
        taken.append(Taken(scope.name("every"), scope.name("bool"), node(False)))
        said += (
            "\n\nLoops let go of what nothing reads any more, unless what `every` step gives is asked for."
        )
    before = "dict[str, list[Tensor]], " if graph.delays else ""
    returns = scope.expression(f"tuple[dict[str, Any], {before}Sequence[int], int]")
    return Function("_computed", tuple(taken), tuple(body), returns, said)


def _copies(scope: Scope, plan: Plan) -> dict[str, Expression]:
    """The variables for values in another layout, by the values' names."""
    return {copy.value: scope.new(f"{copy.value}_{COPIES[copy.to]}") for copy in plan.layouts.copies}


def _without_unread(body: Sequence[Statement], copies: Copies) -> list[Statement]:
    """Statements, but for those that make a copy which none of them reads.

    What is planned for a network is read at all steps, at one step, or where no time reaches.
    """
    found = Counter(names_in(*body) if copies else ())
    unread = {copy for copy in copies.values() if isinstance(copy, Name) and found[copy] == 1}
    return [each for each in body if not (isinstance(each, Assign) and each.target in unread)]


def _read_whole(parts: Sequence[Stage], plan: Plan) -> frozenset[str]:
    """The layers of loops that others read at all steps together, by name."""
    looped = {layer.name: stage for stage in parts if stage.kind == "loop" for layer in stage.layers}
    return frozenset(
        value.name
        for stage in parts
        for layer in stage.layers
        for op in plan.graph.chains[layer.name]
        for value in op.inputs
        if looped.get(value.name, stage) is not stage
        and not (stage.kind == "loop" and (isinstance(op, Combine) or plan.enters_each_step(op)))
    )


def _let_go(parts: Sequence[Stage], plan: Plan) -> frozenset[str]:
    """The layers of loops, by name, that only their own loop reads, and of outputs perhaps the last step."""
    graph = plan.graph
    looped = {layer.name: stage for stage in parts if stage.kind == "loop" for layer in stage.layers}
    read = {
        name
        for stage in parts
        for layer in stage.layers
        for op in graph.chains[layer.name]
        for value in op.inputs
        if looped.get(name := graph.origin(value), stage) is not stage
    }
    given = {name for name in graph.outputs if graph.is_given_over_time(name)}
    return frozenset(name for name in looped if name not in read | given)


def _run(scope: AtStep, plan: Plan) -> Function:
    graph, values = plan.graph, scope.name("values")
    once, over = list[Pair](), list[Pair]()
    for layer in graph.layers:
        value = values.at(layer.name)
        if layer.name in graph.timed:
            text = "over_time(value, batch, steps, shape)"
            over.append(Pair(node(layer.name), scope.expression(text, value=value, shape=layer.shape)))
        else:
            once.append(Pair(node(layer.name), shaped(scope, layer, value)))
    text = "unflat({**once}, batch) | {**over}" if once else "{**over}"
    given = scope.expression(text, once=once, over=over)
    state = _state(scope, plan)
    body = [
        *_calling(scope, plan, given, state, every=True),
        *scope.statements("return given, state", given=given, state=state),
    ]
    said = (
        "The values of all steps by name, (*batch, steps, ...), and the state behind the last step.\n\n"
        "It goes into the next call, which then goes on where this one has ended. Every value is an array\n"
        "of its own."
    )
    returns = scope.expression("tuple[dict[str, Tensor], dict[str, Tensor]]")
    return Function("run", _parameters(scope, plan, steps=True), tuple(body), returns, said)


def _state(scope: Scope, plan: Plan) -> Expression:
    """The state behind the last step."""
    graph = plan.graph
    if not graph.delays:
        return scope.expression("{}")
    last = list[Pair]()
    for name in graph.read_late:
        x: Expression = scope.name("values").at(name)
        if name not in graph.timed:
            x = scope.expression("[x] * steps", x=x)
        last.append(Pair(node(name), x))
    shapes = [Pair(node(name), node(delay.input.shape)) for name, delay in graph.read_late.items()]
    text = "behind_last(before, {**last}, batch, steps, {**shapes})"
    return scope.expression(text, last=last, shapes=shapes)


def _inputs(scope: Scope, plan: Plan) -> list[Statement]:
    """Statements that bind `batch` and `steps`, and take all samples of inputs together."""
    steps, batch = _length(scope, plan)
    lines = [
        *steps,
        *batch,
        *_having_once(scope, plan, "once = self._once(*still) if once is None else once"),
    ]
    for data in plan.graph.inputs:
        lines += _flattened(scope, data, plan)
    return lines


def _length(scope: Scope, plan: Plan) -> tuple[tuple[Statement, ...], tuple[Statement, ...]]:
    """The statement that binds `steps`, where that is no argument, and the one that binds `batch`."""
    graph, lines = plan.graph, tuple[Statement, ...]()
    over = [data for data in graph.inputs if data.over_time]
    first = (over or graph.inputs)[0]
    x, rank = scope.user(first.name), len(first.shape) + bool(over)
    if over:
        lines = scope.statements("steps = steps_of(name, x, shape)", x=x, name=first.name, shape=first.shape)
    return lines, scope.statements("batch = x.shape[:end]" if rank else "batch = x.shape", x=x, end=-rank)


def _flattened(scope: Scope, data: Data, plan: Plan) -> tuple[Statement, ...]:
    """The statement that takes all samples of an input together, and its steps first, where it has any.

    What is read units first alone is laid out so by the same copy.
    """
    if not data.over_time:
        return flat_input(scope, data.name, data.shape) if data.classes is None else codes_input(scope, data)
    text = "x = steps_first(flat(name, x, (*batch, steps), shape), steps)"
    if data.classes is not None:
        text = "x = steps_first(input_codes(name, x, (*batch, steps), shape, classes), steps)"
    elif _is_laid_out_once(data, plan):
        text = "x = units_first_in_steps(flat(name, x, (*batch, steps), shape), steps)"
    x = scope.user(data.name)
    return scope.statements(text, x=x, name=data.name, shape=data.shape, classes=data.classes)


def _is_laid_out_once(data: Data, plan: Plan) -> bool:
    """Whether one copy of an input over time puts its steps first and its units first in memory."""
    units_first = data.over_time and plan.layouts.of(data.name) == "units first"
    return units_first and data.name not in plan.graph.read_late


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
    if not graph.parameters:  # of which a model knows the type of its numbers, and where it is
        like = next(data.name for data in graph.inputs if not data.classes)
        first = scope.expression("self.initial_state(batch, x)", x=scope.user(like))
    text = "state = first if state is None else state\nbefore = before_first(state, batch, {**wanted})"
    return scope.statements(text, first=first, wanted=wanted)


def _prepared(scope: Scope, data: Data, plan: Plan, copies: Copies) -> list[Statement]:
    """An input in the layout that its readers take."""
    lines: list[Statement] = []
    if plan.layouts.of(data.name) == "units first" and not _is_laid_out_once(data, plan):
        lines += scope.statements("x = to_units_first(x)", x=scope.user(data.name))
    return [*lines, *copy_lines(scope, data.name, plan, copies)]


def _delayed(scope: Scope, plan: Plan, name: str, copies: Copies) -> list[Statement]:
    """Statements that give what an input was some steps before each step."""
    lines: list[Statement] = []
    for delay in plan.graph.delays:
        if delay.input.name == name and delay.input.layer is None:
            lines += [*_late(scope, delay, plan, {})]
            if plan.layouts.of(delay.output.name) == "units first":
                lines += scope.statements("x = to_units_first(x)", x=scope.user(delay.output.name))
            lines += copy_lines(scope, delay.output.name, plan, copies)
    return lines


def _late(scope: Scope, delay: Delay, plan: Plan, kept: Mapping[str, Expression]) -> tuple[Statement, ...]:
    """The statement that gives what a value was some steps before each step."""
    x = kept.get(delay.input.name, scope.user(delay.input.name))
    if delay.input.name not in plan.graph.timed:
        x = scope.expression("[x] * steps", x=x)
    text = "late = delayed(x, before[name], delay, steps)"
    return scope.statements(
        text, late=scope.user(delay.output.name), x=x, name=delay.input.name, delay=delay.steps
    )


# -------------------------------------------------------------------------------------------- the stages


@record
class _Stage:
    """A stage of what computes.

    `kept` has the lists of steps that loops before it have made, and gets those of its own; `whole` are the
    layers of loops that are needed at all steps together, and of `passing` ones the last steps will do.
    """

    scope: AtStep
    plan: Plan
    stage: Stage
    copies: Copies
    kept: dict[str, Expression]
    whole: frozenset[str]
    passing: frozenset[str]

    def lines(self) -> list[Statement]:
        """The statements that compute the layers."""
        lines = list[Statement]()
        for layer in self.stage.layers:
            for delay in self.stage.delays.get(layer.name, ()):
                if delay.input.layer is not None:
                    lines += [*_late(self.scope, delay, self.plan, self.kept)]
                    lines += copy_lines(self.scope, delay.output.name, self.plan, self.copies)
            if self.stage.kind != "loop":
                lines += self._layer(layer)
                lines += copy_lines(self.scope, layer.name, self.plan, self.copies)
        return [*lines, *self._loop()] if self.stage.kind == "loop" else lines

    def _layer(self, layer: Value) -> list[Statement]:
        """A layer for all steps together, or once."""
        scope, plan, chain = self.scope, self.plan, chain_of(self.plan.graph, layer)
        if expression := expression_of(chain):
            same = {
                value.name
                for value in expression.inputs
                if self.stage.kind != "once" and value.name not in plan.graph.timed
            }
            return layer_lines(scope, layer, chain, plan, self.copies, same)
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
        """Statements for the sum of what enters a layer from elsewhere, with its bias, at all steps.

        Where all of it is the same at every step, it is there once.
        """
        scope, onto = self.scope, self._bias(layer)
        lines = list[Statement]()
        if arrives.once:
            same = scope.new(f"{value.text}_once") if arrives.before else value
            lines += projections_onto(scope, arrives.once, same, onto, self.plan, self.copies)
            if not arrives.before:
                return lines
            text = "x = plus_at_each_step(x, same, steps)"
            return [
                *lines,
                *projections_onto(scope, arrives.before, value, None, self.plan, self.copies),
                *scope.statements(text, x=value, same=same),
            ]
        return lines + projections_onto(scope, arrives.before, value, onto, self.plan, self.copies)

    def _loop(self) -> list[Statement]:
        """Statements for what enters the loop, the loop, and what it has computed, at all steps."""
        scope, layers, memory = self.scope, self.stage.layers, self.plan.graph.memory
        kept = {layer.name: scope.new(f"{layer.name}_steps") for layer in layers}
        entering, timed, lines = self._entering_loop()
        reads = self._read_at_each_step()
        each: list[Expression] = [entering[name] for name in timed]
        each += [in_steps(scope, self.kept.get(name, scope.user(name))) for name in reads]
        entered = entering | {
            name: scope.of(("entering", name), f"{entering[name].text}_t") for name in timed
        }
        late = (each.output.name for each in self.stage.recurring)
        names = {name: scope.of(("step", name), f"{name}_t") for name in (*reads, *kept, *late)}
        body = self._one_step(at_step(scope, names), reads, entered, kept)
        for name, held in kept.items():
            text = "kept = [*before[name]]" if name in memory else "kept = []"
            lines += scope.statements(text, kept=held, name=name)
        lines.append(Comment(f"{', '.join(kept)}, step by step."))
        at = [*(entered[name] for name in timed), *(names[name] for name in reads)]
        lines.append(each_step(scope, at, each, body))
        for name, held in kept.items():
            text = "kept[-steps:]" if name in self.passing else "kept[back:]"
            steps = scope.expression(text if name in memory else "kept", kept=held, back=memory.get(name))
            self.kept[name], x = steps, scope.user(name)
            if name in self.whole:
                lines += scope.statements("x = at_all_steps(steps)", x=x, steps=steps)
                lines += copy_lines(scope, name, self.plan, self.copies)
        return lines

    def _entering_loop(self) -> tuple[dict[str, Name], list[str], list[Statement]]:
        """The sums that enter layers of the loop from elsewhere, which of them differ, and their statements.

        Those that differ from step to step are laid out by steps at once, and what they were is let go.
        """
        entering, timed, lines = dict[str, Name](), list[str](), list[Statement]()
        for layer in self.stage.layers:
            arrives = self._arriving(layer)
            if arrives.once or arrives.before:
                entering[layer.name] = x = self.scope.new(f"{layer.name}_entering")
                lines += self._entering(layer, arrives, x)
            if arrives.before:
                timed.append(layer.name)
                last = lines.pop()
                assert isinstance(last, Assign)
                lines.append(Assign(last.target, in_steps(self.scope, last.value)))
        return entering, timed, lines

    def _read_at_each_step(self) -> list[str]:
        """The names of what differs from step to step, and is read within the loop as it is."""
        reads = dict.fromkeys(read_by_expressions(self.stage, self.plan.graph))
        for layer in self.stage.layers:
            within = (op.input.name for op in self._arriving(layer).within)
            reads |= dict.fromkeys(name for name in within if name not in self.stage.made)
        return [name for name in reads if name in self.plan.graph.timed]

    def _one_step(
        self,
        within: AtStep,
        reads: Sequence[str],
        entered: Mapping[str, Name],
        kept: Mapping[str, Name],
    ) -> list[Statement]:
        """The statements of one step of the loop."""
        layers, memory = self.stage.layers, self.plan.graph.memory
        own: Copies = {n: self.scope.of(("copy", n), f"{n}_copy_t") for n in self.copies if n in within.names}
        copies = {**self.copies, **own}
        body = list[Statement]()
        for delay in self.stage.recurring:
            text = "late = kept[back]"
            late, held = within.user(delay.output.name), kept[delay.input.name]
            body += within.statements(text, late=late, kept=held, back=-delay.steps)
            body += copy_lines(within, delay.output.name, self.plan, copies)
        for name in reads:
            body += copy_lines(within, name, self.plan, copies)
        for layer in layers:
            body += self._at_step(within, layer, entered.get(layer.name), copies)
            body += copy_lines(within, layer.name, self.plan, copies)
        body = _without_unread(body, own)
        for layer in layers:
            body += within.statements("kept.append(x)", kept=kept[layer.name], x=within.user(layer.name))
        last = list[Statement]()
        for layer in layers:
            if layer.name in self.passing:
                back = -memory.get(layer.name, 1)
                last += within.statements("kept = kept[back:]", kept=kept[layer.name], back=back)
        return [*body, *([If(within.expression("not every"), tuple(last))] if last else [])]

    def _arriving(self, layer: Value) -> Arriving:
        """How the connections into a layer of the loop are computed."""
        arrives = arriving(chain_of(self.plan.graph, layer), self.stage, self.plan.graph)
        few = tuple(op for op in arrives.before if self.plan.enters_each_step(op))
        before = tuple(op for op in arrives.before if op not in few)
        return Arriving(arrives.once, before, (*few, *arrives.within))

    def _at_step(self, within: AtStep, layer: Value, entered: Name | None, copies: Copies) -> list[Statement]:
        """A layer of the loop at one step."""
        plan, chain = self.plan, chain_of(self.plan.graph, layer)
        if expression_of(chain) or entered is None:
            return layer_lines(within, layer, chain, plan, copies)
        return summed_layer(within, layer, self._arriving(layer).within, entered, plan, copies)
