"""The functions of a NumPy module in which names of the spec are names in code, each built whole."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TypeAlias

from ...compiler.functions.guard import guarded
from ...compiler.graph.model import ExpressionTerm
from ..functions import NUMPY, Writer, apart
from ..parts import loading
from ..source import (
    Assign,
    Call,
    Display,
    Expression,
    Function,
    Keyword,
    Name,
    Pair,
    Parameter,
    Return,
    Statement,
    node,
    returned_sum,
    scaled,
)
from ..target import shapes_text, training_options
from .backward import backward_steps
from .forward import forward_steps, kept
from .module import OUTER, Module, shaped
from .stages import backward_over_time, forward_over_time, kept_over_time, repeated

ARRAY = OUTER.expression("np.ndarray")
ARRAYS = OUTER.expression("dict[str, np.ndarray]")

# An array that a function takes: what people call it, its name in code, its shape, and of codes how many
# classes there are, and the least code if it is not 0.
Taken: TypeAlias = tuple[str, Name, tuple[int, ...], tuple[int, ...]]


def layers(module: Module) -> Function:
    """`layers`, which returns the value of every step."""
    if module.graph.has_time:
        return _layers_of_run(module)
    scope, steps = module.scope, [*module.flattened(), *forward_steps(module)]
    values = Display("{}", tuple(Pair(node(name), variable) for name, variable in kept(module)))
    body = [
        *(scope.statements("p = parameters") if scope.reads("p", steps) else ()),
        _batched(module, _inputs(module)),
        *loading(scope, module.plan, steps, cached=True),
        *steps,
        Assign(scope.name("values"), values),
        *scope.statements("return unbatched(values, batch)"),
    ]
    return Function("layers", _passed_to_layers(module, False), tuple(body), ARRAYS, _layers_text(module))


def _layers_text(module: Module) -> str:
    said = "Every step's value by name, (*batch, units) each; a layer's under the layer's name."
    return "\n".join([said, *_modes_text(module)])


def _modes_text(module: Module) -> list[str]:
    """Lines on what is otherwise in training."""
    lines = list[str]()
    drops = "Dropout draws from `rng`; without it nothing is dropped."
    if module.has_running:
        lines += [
            "",
            "In training, batch norms use the statistics of all samples, and the running ones are moved, "
            "once a call:",
            f"new arrays take their place in `{module.scope.name('parameters').text}`.",
        ]
    if "rng" in training_options(module.graph):
        lines += [drops] if module.has_running else ["", drops]
    return lines


def forward(module: Module) -> Function:
    """`forward`, which returns the outputs."""
    outputs = [_output(module, name) for name in module.graph.outputs]
    returned = outputs[0] if len(outputs) == 1 else Display("()", tuple(outputs), bare=True)
    body = (Assign(module.scope.name("values"), _call_of_layers(module)), Return(returned))
    returns = ARRAY if len(outputs) == 1 else OUTER.expression("tuple[np.ndarray, ...]")
    said = f"{shapes_text(module.graph)}."
    return Function("forward", _passed_to_layers(module, False), body, returns, said)


def _output(module: Module, name: str) -> Expression:
    """An output, (*batch, units) among the values, in its declared shape."""
    shape, held = module.graph.value(name).shape, module.scope.name("values").at(name)
    if module.is_last_step(module.graph.value(name)):
        held = module.scope.expression("value[..., -1, :]", value=held)
    return held if len(shape) == 1 else module.scope.name("in_shape")(held, shape)


def loss(module: Module) -> tuple[Function, ...]:
    """`loss`, of what its terms compare, and of the parameters that are penalised; none without terms."""
    graph, scope = module.graph, module.scope
    parameters, terms, lines = scope.name("parameters"), list[Expression](), list[Statement]()
    for term in graph.losses:
        if isinstance(term, ExpressionTerm):
            names = {name: module.local[name] for name in (*term.layers, *term.data)}
            each = Writer(scope, NUMPY, names, tuple(names)).value(guarded(term.value))
            each = apart(lines, lambda term=term: scope.new(f"{term.layers[0]}_costs"), each)
            text = "np.mean(each)" if term.pool == "mean" else "np.sum(each) / len(y)"
            pooled = scope.expression(text, each=each, y=names[term.layers[0]])
            terms.append(scaled(term.coefficient, pooled))
            continue
        y, t = module.local[term.prediction], module.local[term.target]
        terms.append(
            scaled(term.coefficient, scope.expression(term.loss.formula, y=y, t=t, **dict(term.arguments)))
        )
    for each in graph.penalties:
        w = parameters.at(each.parameter)
        terms.append(scaled(each.coefficient, scope.expression(each.penalty.formula, w=w)))
    if not terms:
        return ()
    compared = [*_predictions(module), *_targets(module)]
    over = [taken for taken in compared if graph.is_given_over_time(taken[0])]
    groups = [over, [taken for taken in compared if taken not in over]]
    body = [
        *(_batched(module, group, samples_alone=True) for group in groups if group),
        *lines,
        *returned_sum(terms, scope.name("total")),
    ]
    arguments = (Parameter(parameters, ARRAYS), *_arrays(compared))
    said = "The loss of the network above, a mean over the batch."
    return (Function("loss", arguments, tuple(body), OUTER.expression("np.floating"), said),)


def _held(module: Module) -> tuple[Statement, ...]:
    """`v`, which has what `values` have: nothing over time where no layer reads an input over time."""
    if any(timed for *_, timed in kept_over_time(module)):
        return module.scope.statements("v = SimpleNamespace(**rows_of(values, batch, steps))")
    return module.scope.statements("v = SimpleNamespace(**rebatched(values, batch))")


def gradients(module: Module) -> Function:
    """`gradients`, where a loss compares outputs with something."""
    scope, steps = module.scope, _steps_back(module)
    names = [name for name, *_ in _inputs(module)]
    targets = [taken for taken in _targets(module) if taken[0] not in names]
    values = [module.graph.value(name) for name, *_ in _predictions(module)]
    compared = [shaped(module.compared(value), value) for value in values]
    compared += [module.target(name) for name, *_ in _targets(module)]
    held: Sequence[Statement] = scope.statements(
        "v = SimpleNamespace(**values)", values=_call_of_layers(module)
    )
    first = list[Statement]()
    if module.graph.has_time:
        first = [Assign(scope.name("values"), _call_of_layers(module))]
        held = _held(module)
    body = [
        *scope.statements("p, g = parameters, {}"),
        *first,
        _over_time(module, [*_inputs(module), *targets]),
        *loading(scope, module.plan, steps, cached=True),
        *held,
        *steps,
        *scope.statements("return loss(p, *compared), g", compared=compared),
    ]
    returns = OUTER.expression("tuple[np.floating, dict[str, np.ndarray]]")
    arguments = _passed_to_layers(module, True, targets)
    return Function("gradients", arguments, tuple(body), returns, _gradients_text(module))


def _gradients_text(module: Module) -> str:
    lines = [
        "The loss, and its derivative by every trained parameter and every input, by name.",
        "",
        "Derivatives of the loss are called `d_` and the name of what they belong to, and stand in the "
        "opposite",
        "order of the steps in `layers`. An input that the loss compares with is constant there.",
    ]
    if module.has_running:
        held = module.scope.name("parameters").text
        lines += ["", f"Calls `layers` once, so in training the running statistics in `{held}` move once."]
    return "\n".join(lines)


def backward(module: Module) -> Function:
    """`backward`, where no loss reads the outputs. `training` has no default: it is that of `layers`."""
    scope, steps = module.scope, _steps_back(module)
    outputs = [module.graph.value(name) for name in module.graph.outputs]
    ds = [(module.gradients[y.name].text, module.gradients[y.name], y.shape, ()) for y in outputs]
    body = [
        *scope.statements("p, g = parameters, {}" if scope.reads("p", steps) else "g = {}"),
        _over_time(
            module, [*_inputs(module), *ds], {module.gradients[name].text for name in module.graph.over_time}
        ),
        *loading(scope, module.plan, steps, cached=True),
        *(_held(module) if scope.reads("v", steps) else ()),
        *steps,
        *scope.statements("return g"),
    ]
    arguments = [
        *(Parameter(scope.name(name), ARRAYS) for name in ("parameters", "values")),
        *_arrays([*_inputs(module), *ds]),
        *_state(module),
    ]
    if module.has_running:
        arguments += [Parameter(Name("*")), Parameter(scope.name("training"), OUTER.name("bool"))]
    return Function("backward", tuple(arguments), tuple(body), ARRAYS, _backward_text(module))


def _backward_text(module: Module) -> str:
    lines = [
        "The derivatives of a loss by every trained parameter and every input, by name.",
        "",
        f"Takes those by the outputs, `d_` and their names, and `{module.scope.name('values').text}`, "
        "what `layers` gave for the same arguments.",
    ]
    lines += ["`training` is as it was there."] if module.has_running else []
    lines += ["Those of the penalties above are added."] if module.graph.penalties else []
    return "\n".join([*lines, "They stand in the opposite order of the steps in `layers`."])


# ------------------------------------------------------------------------------------------ what is shared


def _inputs(module: Module) -> list[Taken]:
    return [
        (data.name, module.local[data.name], data.shape, (data.classes, -1) if data.classes else ())
        for data in module.graph.inputs
    ]


def _predictions(module: Module) -> list[Taken]:
    """The layers that the loss reads."""
    return [(name, module.local[name], module.graph.value(name).shape, ()) for name in module.graph.compared]


def _targets(module: Module) -> list[Taken]:
    """What the loss compares these with: targets, and perhaps inputs."""
    data = {data.name: data for data in (*module.graph.inputs, *module.graph.targets)}
    names = dict.fromkeys(name for term in module.graph.losses for name in term.data)
    return [
        (name, module.local[name], data[name].shape, (n,) if (n := data[name].classes) else ())
        for name in names
    ]


def _batched(module: Module, taken: Sequence[Taken], *, samples_alone: bool = False) -> Statement:
    """The statement that checks shapes, and takes all samples together.

    It binds `batch` to the batch's dimensions unless they are not needed.
    """
    scope = module.scope
    facts = [(name, (local, shape, *codes)) for name, local, shape, codes in taken]
    call = Call(scope.name("batched"), tuple(Keyword(name, node(each)) for name, each in facts))
    bound = [local for _, local, _, _ in taken]
    if samples_alone and len(bound) == 1:
        return Assign(bound[0], scope.expression("call[1]", call=call))
    if samples_alone:
        return Assign(Display("()", tuple(bound), bare=True), scope.expression("call[1:]", call=call))
    return Assign(Display("()", (scope.name("batch"), *bound), bare=True), call)


def _arrays(taken: Iterable[Taken]) -> list[Parameter]:
    return [Parameter(local, ARRAY) for _, local, _, _ in taken]


def _passed_to_layers(module: Module, training: bool, more: Sequence[Taken] = ()) -> tuple[Parameter, ...]:
    """The parameters of `layers`, and of what calls it; `training` is the default of that option."""
    options = {
        "training": Parameter(module.scope.name("training"), OUTER.name("bool"), node(training)),
        "rng": Parameter(
            module.scope.name("rng"), OUTER.expression("np.random.Generator | None"), node(None)
        ),
    }
    given = [options[name] for name in training_options(module.graph)]
    return (
        Parameter(module.scope.name("parameters"), ARRAYS),
        *_arrays([*_inputs(module), *more]),
        *_state(module),
        *([Parameter(Name("*"))] if given else []),
        *given,
    )


def _call_of_layers(module: Module) -> Expression:
    scope = module.scope
    options = {name: scope.name(name) for name in training_options(module.graph)}
    inputs = [local for _, local, _, _ in _inputs(module)]
    inputs += [scope.name("state")] if module.graph.delays else []
    return scope.expression("layers(parameters, *inputs, **options)", inputs=inputs, options=options)


# ------------------------------------------------------------------------------------------ over time


def run(module: Module) -> tuple[Function, ...]:
    """`run`, which returns the value of every step of time, and the state behind the last."""
    graph, scope = module.graph, module.scope
    if not graph.has_time:
        return ()
    steps = [*module.flattened(), *forward_over_time(module)]
    over = [Pair(node(name), variable) for name, variable, timed in kept_over_time(module) if timed]
    once = [Pair(node(name), variable) for name, variable, timed in kept_over_time(module) if not timed]
    values = scope.expression("values_over_time({**over,}, batch, steps)", over=over)
    if once:
        values = scope.expression("unbatched({**once,}, batch) | values", once=once, values=values)
    sources = {delay.input.name: delay.input for delay in graph.delays}
    last = [Pair(node(name), repeated(module, value, module.local[name])) for name, value in sources.items()]
    state = scope.expression("behind_last(before, {**last}, batch, steps)", last=last)
    body = [
        *(scope.statements("p = parameters") if scope.reads("p", steps) else ()),
        _over_time(module, _inputs(module)),
        *loading(scope, module.plan, steps, cached=True),
        *steps,
        Assign(scope.name("values"), values),
        Return(Display("()", (scope.name("values"), state if last else Display("{}", ())), bare=True)),
    ]
    returns = OUTER.expression("tuple[dict[str, np.ndarray], dict[str, np.ndarray]]")
    return (Function("run", _passed_to_layers(module, False), tuple(body), returns, _run_text(module)),)


def _run_text(module: Module) -> str:
    lines = [
        "The values of all steps by name, (*batch, steps, units), and the state behind the last step.",
        "",
        "A state has, by name, what values were before the first step, (*batch, how many steps, units), the "
        "oldest",
        "first. It goes into the next call, which then goes on where this one has ended.",
    ]
    return "\n".join([*lines, *_modes_text(module)])


def _layers_of_run(module: Module) -> Function:
    """`layers` of a network that runs over time."""
    options = {name: module.scope.name(name) for name in training_options(module.graph)}
    inputs = [*(local for _, local, _, _ in _inputs(module)), *(each.name for each in _state(module))]
    text = "return run(parameters, *inputs, **options)[0]"
    body = module.scope.statements(text, inputs=inputs, options=options)
    said = "Every layer's and step's value by name, (*batch, steps, units) each; see `run`."
    return Function("layers", _passed_to_layers(module, False), body, ARRAYS, said)


def _state(module: Module) -> list[Parameter]:
    """The parameter that takes what values were before the first step."""
    if not module.graph.delays:
        return []
    return [
        Parameter(module.scope.name("state"), OUTER.expression("dict[str, np.ndarray] | None"), node(None))
    ]


def _steps_back(module: Module) -> list[Statement]:
    back = backward_over_time if module.graph.has_time else backward_steps
    return [*module.flattened(), *back(module)]


def _over_time(module: Module, taken: Sequence[Taken], given: Collection[str] = ()) -> Statement:
    """As `_batched`; steps come first where an array is over time, as some gradients are that are `given`."""
    graph, scope = module.graph, module.scope
    if not graph.has_time:
        return _batched(module, taken)
    data = {data.name for data in (*graph.inputs, *graph.targets) if data.over_time}
    over = tuple(name for name, *_ in taken if name in data or name in given)
    facts = [(name, (local, shape, *codes)) for name, local, shape, codes in taken]
    keywords = [Keyword(name, node(each)) for name, each in facts]
    steps = [node(graph.steps)] if graph.steps else []
    call = Call(scope.name("over_time"), (node(over), *steps, *keywords))
    bound = (scope.name("batch"), scope.name("steps"), *(local for _, local, _, _ in taken))
    return Assign(Display("()", bound, bare=True), call)
