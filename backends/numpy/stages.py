"""Networks that run over time: the stages of the forward pass, and back through them in the opposite order.

A value is (steps * samples, units) here, so that what does not recur is written as without time. Within a
loop a value has a name of its own, `h_t` say, for the step that is computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from functools import cached_property

from ...compiler.graph.graph import AddBias, Combine, Delay, Operation, Parameter, Project, Value
from ...compiler.graph.stages import Stage, arriving, read_by_expressions, stages
from ...dsl.records import record
from ..parts import each_step, in_steps
from ..source import (
    Comment,
    Display,
    Expression,
    For,
    Name,
    Pair,
    Statement,
    names_in,
    node,
    sum_of,
    summed,
)
from .backward import Gradients, Share, back, back_through, begin_back, end_back, read_later, whole_backward
from .forward import bias_entries, kept, projected, step_statements, weight_steps
from .module import EXTRAS, Module, steps_among


def earlier_steps(module: Module) -> list[Statement]:
    """The statement that gives what values were before the first step, if any are read."""
    graph, scope = module.graph, module.scope
    if not graph.delays:
        return []
    wanted = [
        Pair(node(name), node((graph.memory[name], delay.input.units, _start(module, delay))))
        for name, delay in graph.read_late.items()
    ]
    like = [module.local[data.name] for data in graph.inputs]
    text = "before = before_first(state, batch, {**wanted}, *like, *p.values())"
    return [*scope.statements(text, wanted=wanted, like=like)]


def _start(module: Module, delay: Delay) -> Expression:
    return module.p(delay.start.name) if isinstance(delay.start, Parameter) else node(delay.start)


def delayed(module: Module, delays: Iterable[Delay], *, forward: bool) -> list[Statement]:
    """Statements that give what values were some steps before each step, for the pass `forward` or back."""
    text = "y = delayed(x, before[name], steps)"
    lines: list[Statement] = []
    for each in delays:
        x = module.local[each.input.name] if forward else module.read(each.input)
        lines += module.scope.statements(
            text,
            y=module.local[each.output.name],
            x=repeated(module, each.input, x),
            name=each.input.name,
            steps=each.steps,
        )
    return lines


def repeated(module: Module, value: Value, x: Expression) -> Expression:
    """A value at every step, also where it is the same at all of them."""
    return module.scope.expression("every_step(x, steps)", x=x) if module.is_once(value) else x


def chain_steps(module: Module, layer: Value) -> tuple[tuple[Operation, ...], ...]:
    """The steps of one layer."""
    return steps_among(module.graph.chains[layer.name])


# ------------------------------------------------------------------------------------------------ forward


def forward_over_time(module: Module) -> list[Statement]:
    """Statements that compute all values of all steps from the inputs."""
    lines: list[Statement] = [*earlier_steps(module), *weight_steps(module)]
    for stage in stages(module.graph):
        for layer in stage.layers:
            lines += delayed(module, stage.delays.get(layer.name, ()), forward=True)
            if stage.kind == "loop":
                continue
            for step in chain_steps(module, layer):
                lines += _step(module, step, stage)
        if stage.kind == "loop":
            lines += Loop(module, stage).forward()
    return lines


def kept_over_time(module: Module) -> Iterator[tuple[str, Name, bool]]:
    """What `kept` gives, and whether each differs from step to step."""
    timed = {module.local[name].text for name in module.graph.timed if name in module.local}
    timed |= {module.extras[key].text for key in module.extras if key[0] in module.graph.timed}
    for name, variable in kept(module):
        yield name, variable, variable.text in timed


def _step(module: Module, step: tuple[Operation, ...], stage: Stage) -> list[Statement]:
    """A step for all steps of time together, or once."""
    if isinstance(step[0], Project):
        return summed(module.local[step[-1].output.name], _terms(module, step, stage))
    if isinstance(step[-1], Combine) and stage.kind != "once":
        return step_statements(at_every_step(module, step[-1]), step)
    return step_statements(module, step)


def at_every_step(module: Module, op: Combine) -> Module:
    """The module, in which what an expression reads is there for every step."""
    own = {value.name: repeated(module, value, module.local[value.name]) for value in op.inputs}
    return replace(module, local={**module.local, **own})


def _terms(module: Module, step: tuple[Operation, ...], stage: Stage) -> list[Expression]:
    """The terms of a layer's sum, or of what enters a loop; what time does not reach comes first."""
    arrives = arriving(step, stage, module.graph)
    terms = [projected(module, op) for op in arrives.before]
    if arrives.once:
        once = sum_of([projected(module, op) for op in arrives.once])
        terms.insert(0, module.scope.expression("every_step(x, steps)", x=once))
    if terms or not arrives.within:
        terms += [bias_entries(module, op.bias) for op in step if isinstance(op, AddBias)]
    if len(terms) == 1 and isinstance(terms[0], Name):
        return [terms[0].get("copy")()]  # what is returned is not what was given
    return terms


# --------------------------------------------------------------------------------------------------- back


def backward_over_time(module: Module) -> list[Statement]:
    """Statements from the loss, or from the gradients of the outputs, back to parameters and inputs."""
    gradients = Gradients(module)
    lines = begin_back(gradients)
    for stage in reversed(stages(module.graph)):
        if stage.kind == "loop":
            lines += Loop(module, stage).back(gradients)
        for layer in reversed(stage.layers):
            if stage.kind != "loop":
                lines += back_through(chain_steps(module, layer), gradients)
            for delay in stage.delays.get(layer.name, ()):
                lines += gradients.add(_of_delay(module, delay, gradients.begun))
    lines += end_back(gradients)
    every = delayed(module, module.graph.delays, forward=False)
    return whole_backward(module, [*earlier_steps(module), *every, *lines])


def _of_delay(module: Module, delay: Delay, begun: set[str]) -> Iterator[Share]:
    """What a value gets of the gradient of its earlier steps, and what it starts as."""
    if delay.output.name not in begun:
        return
    d, scope = module.gradients[delay.output.name], module.scope
    given: Expression = scope.expression("later(d, delay, steps)", d=d, delay=delay.steps)
    if module.is_once(delay.input):
        given = scope.expression("summed_steps(d, steps)", d=given)
    yield delay.input, given
    if isinstance(delay.start, Parameter):
        yield delay.start, scope.expression("first_steps(d, delay, steps)", d=d, delay=delay.steps)


@record
class Loop:
    """A stage that is computed step by step: its statements, forward and back.

    `entering` are the sums of what comes from elsewhere, by the name of the sum.
    """

    module: Module
    stage: Stage
    entering: dict[str, Name] = field(default_factory=dict[str, Name])

    @cached_property
    def steps(self) -> tuple[tuple[Operation, ...], ...]:
        """The steps of the layers, in their order."""
        return tuple(step for layer in self.stage.layers for step in chain_steps(self.module, layer))

    @cached_property
    def made(self) -> frozenset[str]:
        """The names of the values that are computed in the loop, or are earlier steps of these."""
        made = {op.output.name for step in self.steps for op in step}
        return frozenset(made | {delay.output.name for delay in self.stage.recurring})

    @cached_property
    def memory(self) -> dict[str, int]:
        """How many steps back each layer of the loop is read within it, if it is."""
        longest: dict[str, int] = {}
        for delay in self.stage.recurring:
            longest[delay.input.name] = max(delay.steps, longest.get(delay.input.name, 0))
        return longest

    def at_step(self, name: str) -> Name:
        """What a value is called at a step."""
        return self.module.helper(self.module.local[name].text, "t")

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """The values from elsewhere that steps read themselves: what expressions read."""
        return read_by_expressions(self.stage, self.module.graph)

    @cached_property
    def within(self) -> Module:
        """The module with the names that values have at a step."""
        module = self.module
        timed = {name for name in self.reads if name in module.graph.timed}
        local = {name: self.at_step(name) for name in (*sorted(self.made), *sorted(timed))}
        extras = {
            (op.output.name, what): module.helper(module.extras[op.output.name, what].text, "t")
            for step in self.steps
            for op in step
            for what in EXTRAS.get(type(op), ())
        }
        gradients = {name: module.helper(module.gradients[name].text, "t") for name in sorted(self.made)}
        return replace(
            module,
            local={**module.local, **local},
            extras={**module.extras, **extras},
            gradients={**module.gradients, **gradients},
            at_step=True,
        )

    def forward(self) -> list[Statement]:
        """What enters the loop, the loop, and what it has computed, at all steps."""
        module, scope = self.module, self.module.scope
        lines = self._enter()
        given = [
            *self.entering.values(),
            *(module.local[name] for name in self.reads if name in module.graph.timed),
        ]
        at_step = {name.text: module.helper(name.text, "t") for name in given}
        kept = {
            op.output.name: module.helper(module.local[op.output.name].text, "steps") for *_, op in self.steps
        }
        body: list[Statement] = []
        for delay in self.stage.recurring:
            text = "earlier = kept[back]"
            earlier, held = self.within.local[delay.output.name], kept[delay.input.name]
            body += scope.statements(text, earlier=earlier, kept=held, back=-delay.steps)
        for step in self.steps:
            body += self._step(step, at_step)
        lists = list(self._lists(kept))
        for held, now, _, _ in lists:
            body += scope.statements("held.append(now)", held=held, now=now)
        memory = module.graph.memory
        for held, _, _, name in lists:
            text = "held = [*before[name]]" if name in memory else "held = []"
            lines += scope.statements(text, held=held, name=name)
        lines.append(Comment(f"{', '.join(str(each.layer) for each in self.stage.layers)}, step by step."))
        each = [in_steps(scope, whole) for whole in given]
        lines.append(each_step(scope, [at_step[name.text] for name in given], each, body))
        for held, _, whole, name in lists:
            text = "whole = at_all_steps(held[start:])" if name in memory else "whole = at_all_steps(held)"
            lines += scope.statements(text, whole=whole, held=held, start=memory.get(name, 0))
        return lines

    def _enter(self) -> list[Statement]:
        """Statements for the sums of what comes from elsewhere, at all steps."""
        lines: list[Statement] = []
        for step in self.steps:
            if isinstance(step[0], Project) and (terms := _terms(self.module, step, self.stage)):
                name = self.entering[step[-1].output.name] = self.module.helper(step[0].layer, "entering")
                lines += summed(name, terms)
        return lines

    def _lists(self, kept: Mapping[str, Name]) -> Iterator[tuple[Name, Name, Name, str]]:
        """What is kept of each step: the list, what is added at a step, all of it, and of which value it is.

        What is kept besides values is of none.
        """
        module, within = self.module, self.within
        for *_, op in self.steps:
            name = op.output.name
            for what in EXTRAS.get(type(op), ()):
                extra = module.extras[name, what]
                yield module.helper(extra.text, "steps"), within.extras[name, what], extra, ""
            yield kept[name], within.local[name], module.local[name], name

    def _step(self, step: tuple[Operation, ...], at_step: dict[str, Name]) -> list[Statement]:
        if not isinstance(step[0], Project):
            return step_statements(self.within, step)
        output = step[-1].output.name
        terms: list[Expression] = []
        if output in self.entering:
            terms.append(at_step[self.entering[output].text])
        terms += [projected(self.within, op) for op in arriving(step, self.stage, self.module.graph).within]
        if output not in self.entering:
            terms += [bias_entries(self.within, op.bias) for op in step if isinstance(op, AddBias)]
        return summed(self.within.local[output], terms)

    # -------------------------------------------------------------------------------------------- back

    def back(self, gradients: Gradients) -> list[Statement]:
        """From the gradients of the layers at all steps to those of what enters the loop.

        Within the loop are the gradients of values alone, which need each other; those of parameters, and of
        what comes from elsewhere, are taken of all steps together behind it.
        """
        module, scope = self.module, self.module.scope
        lines: list[Statement] = []
        held = {
            layer.name: module.helper(module.gradients[layer.name].text, "steps")
            for layer in self.stage.layers
            if layer.name in gradients.begun or layer.name in self.memory
        }
        body, begun = self._back_at_step(held)
        after: list[Statement] = []
        for step in reversed(self.steps):
            output = step[-1].output
            if output.name in begun:
                before = list[Statement]()
                shares = [
                    s
                    for s in back(module, step, module.gradients[output.name], before)
                    if not self._is_inner(s)
                ]
                after += [*before, *gradients.add(shares)]
        starts = list(self._starts(held, gradients))
        read = {name.text for name in names_in(after)}
        kept = [
            (
                module.helper(module.gradients[name].text, "kept"),
                self.within.gradients[name],
                module.gradients[name],
            )
            for name in begun
            if module.gradients[name].text in read
        ]
        for keeps, now, _ in kept:
            body += scope.statements("keeps.append(now)", keeps=keeps, now=now)
        body = read_later(body)
        read = {name.text for name in names_in([*body, *starts])}
        taken = {
            name: self.within.gradients[name]
            for name, steps in held.items()
            if steps.text in read or self.within.gradients[name].text in read
        }
        for layer in self.stage.layers:
            if layer.name in taken and layer.name not in gradients.begun:
                d, y = module.gradients[layer.name], module.step(layer)
                lines += scope.statements("d = np.zeros_like(y)", d=d, y=y)
        for name in taken:
            d, back_ = module.gradients[name], self.memory.get(name, 0)
            lines += scope.statements("held = with_earlier(d, back, steps)", held=held[name], d=d, back=back_)
        for keeps, _, _ in kept:
            lines += scope.statements("keeps = []", keeps=keeps)
        pops = [
            statement
            for name, d in taken.items()
            for statement in scope.statements(
                "d = held.pop()" if d.text in read else "held.pop()", d=d, held=held[name]
            )
        ]
        body = [*pops, *body]
        names = ", ".join(str(layer.layer) for layer in self.stage.layers)
        lines.append(Comment(f"{names}, from the last step to the first."))
        lines.append(self._backwards(body))
        for keeps, _, whole in kept:
            lines += scope.statements("whole = at_all_steps(keeps[::-1])", whole=whole, keeps=keeps)
        return [*lines, *after, *starts]

    def _back_at_step(self, held: dict[str, Name]) -> tuple[list[Statement], list[str]]:
        """The statements of one step back, and the values of which there is a gradient.

        Gradients that are `held` have parts from elsewhere: from behind the loop, or from later steps.
        """
        scope, within = self.module.scope, self.within
        body: list[Statement] = []
        inner = Gradients(within, {*held})
        late = {delay.output.name: delay for delay in self.stage.recurring}
        done: list[str] = []
        for step in reversed(self.steps):
            output = step[-1].output
            if output.name not in inner.begun:
                continue
            done.append(output.name)
            before = list[Statement]()
            shares = [
                s for s in back(within, step, within.gradients[output.name], before) if self._is_inner(s)
            ]
            body += before
            for of, term in shares:
                delay = late.get(of.name) if isinstance(of, Value) else None
                if delay is None:
                    body += inner.add([(of, term)])
                    continue
                text = "held[back] = held[back] + term"
                body += scope.statements(text, held=held[delay.input.name], back=-delay.steps, term=term)
        return body, done

    def _is_inner(self, share: Share) -> bool:
        """Whether a share is of a value that the loop computes."""
        return isinstance(share[0], Value) and share[0].name in self.made

    def _starts(self, held: dict[str, Name], gradients: Gradients) -> Iterator[Statement]:
        """Statements for the gradients of what layers start as: of what they were before the first step."""
        scope = self.module.scope
        done: set[str] = set()
        for delay in self.stage.recurring:
            name = delay.input.name
            if isinstance(delay.start, Parameter) and name not in done:
                done.add(name)
                term = scope.expression("np.sum(held, axis=(0, 1))", held=held[name])
                yield from gradients.add([(delay.start, term)])

    def _backwards(self, body: list[Statement]) -> Statement:
        """The loop from the last step to the first, with what its body reads of the forward pass."""
        module, within, scope = self.module, self.within, self.module.scope
        read = {name.text for name in names_in(body)}
        pairs = [
            (within.local[name], module.read(value))
            for name, value in self._values().items()
            if within.local[name].text in read and within.local[name] != module.local.get(name)
        ]
        more = [
            (within.extras[key], module.extra(self._values()[key[0]], key[1]))
            for key in within.extras
            if key[0] in self.made and within.extras[key].text in read
        ]
        if not pairs and not more:
            return For(scope.name("_"), scope.expression("range(steps)"), tuple(body))
        if len(pairs) == 1 and not more:  # of which there may be one number for all steps
            ((now, whole),) = pairs
            return For(now, scope.expression("reversed(in_steps(whole, steps))", whole=whole), tuple(body))
        every = (*pairs, *more)
        target = Display("()", tuple(now for now, _ in every), bare=len(every) > 1)
        wholes = [whole for _, whole in every]
        return For(target, scope.expression("last_step_first(steps, *wholes)", wholes=wholes), tuple(body))

    def _values(self) -> dict[str, Value]:
        """The values that the loop computes or reads, by name."""
        values = {op.output.name: op.output for step in self.steps for op in step}
        values |= {delay.output.name: delay.output for delay in self.stage.recurring}
        read = {value.name: value for step in self.steps for value in step[0].inputs}
        return values | {name: read[name] for name in self.reads}
