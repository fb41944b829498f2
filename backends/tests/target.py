"""The generated tests: the plan as facts, and as a reference network in plain numpy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from ...compiler.edges.edge_set import Diagonal, Full, Shape
from ...compiler.functions.derive import kinks as kinks_of_tree
from ...compiler.functions.domain import undefined
from ...compiler.functions.function import Function as Stated
from ...compiler.functions.function import Numbers, kinks
from ...compiler.functions.guard import guarded
from ...compiler.functions.simplify import simplified
from ...compiler.functions.tree import Apply as TreeApply
from ...compiler.functions.tree import Argument, Tree, arguments_in, is_name, substituted, walk
from ...compiler.graph.graph import (
    Add,
    AddBias,
    Apply,
    ApplyNorm,
    Combine,
    Compute,
    Cut,
    Drop,
    Entries,
    Graph,
    Multiply,
    Operation,
    Pool,
    Project,
    Rectify,
    Spread,
    Through,
    Times,
    Turned,
    cuts_among,
    identifier,
    made_among,
    steps_of,
)
from ...compiler.graph.graph import Parameter as GraphParameter
from ...compiler.graph.model import Data, ExpressionTerm
from ...compiler.plan.plan import Plan, Stored, compact
from ..common.kernels.array_hash import array_hash
from ..definitions import Definitions, part_names, parted
from ..functions import REFERENCE, Writer, apart
from ..kernels import closure
from ..parts import (
    factor_of,
    in_shape,
    index_along,
    index_of,
    loaded,
    loading,
    start_function,
    stored_edges,
    vocabulary,
    window_fields,
    wiring,
)
from ..source import (
    Assign,
    Display,
    Expression,
    Given,
    Needs,
    Pair,
    Scope,
    Statement,
    needs_of,
    node,
    printed,
    scaled,
    sum_of,
    times,
)
from ..target import (
    Rendering,
    chain_of,
    expression_of,
    is_sparse,
    loss_arguments,
    training_options,
    units_digests,
)
from .exact import exact
from .rules import rules, rules_context, rules_needs

ADAPTERS = {"numpy": "NumpyModel", "torch": "TorchModel", "keras": "KerasModel"}

VOCABULARY = vocabulary(
    "tests",
    {"Any": "from typing import Any"},
    defined=[
        *("CONNECTIONS", "DRAWS", "EXPECTED", "NETWORK", "TestModel"),
        *("made_weights", "reference", "start_values"),
    ],
    local=[
        *(
            "data",
            "groups",
            "inputs",
            "kinks",
            "loss",
            "made",
            "moved_inputs",
            "before",
            "step",
            "steps",
            "_",
            "given",
            "running",
            "training",
            "adapters",
        ),
        *"dptvwxy",
    ],
)


def render(plan: Plan, targets: Sequence[str]) -> Rendering:
    """What the template of the tests places; `targets` are the names of those that are built."""
    graph, scope = plan.graph, Scope(VOCABULARY, frozenset())
    functions = Definitions(scope, scope, REFERENCE, "np.ndarray", around=_granted(scope))
    stating = rules(plan, {*VOCABULARY.imports, *VOCABULARY.defined})
    exactly = exact(scope, plan, targets)
    trees = {
        "made_weights": _made(scope, plan, functions),
        "reference": _reference(scope, plan, functions),
        "start": start_function(scope, plan, "start_values", cached=True),
        "adapters": _adapters(scope, targets),
        "wiring": wiring(scope, plan, cached=True),
        "expected": scope.statements("EXPECTED = Expected(**facts)", facts=_facts(scope, plan)),
    }
    suites = _most_derived({*_suites(plan, targets), *exactly.suites, *stating.suites})
    every = (*trees.values(), exactly.trees, exactly.functions, functions.statements)
    context = {
        **{name: printed(tree) for name, tree in trees.items()},
        **rules_context(stating),
        **exactly.context,
        "functions": [printed([each]) for each in (*functions.statements, *exactly.functions)],
        "name": graph.name,
        "suites": sorted(suites),
        "facts": [*exactly.facts, *stating.facts],
    }
    return Rendering(context, needs_of(*every) | rules_needs(stating) | Needs(frozenset(suites), frozenset()))


def _adapters(scope: Scope, targets: Sequence[str]) -> Sequence[Statement]:
    """The class of each target's models; of all targets they are those of `AllTargetsChecks`."""
    if ADAPTERS.keys() <= {*targets}:
        return ()
    classes = [Pair(node(target), scope.name(ADAPTERS[target])) for target in targets]
    return scope.statements("adapters = {**classes}", classes=classes)


def _suites(plan: Plan, targets: Sequence[str]) -> set[str]:
    """The classes of tests that hold a network's modules, but for those that other facts decide."""
    sparse, drops = bool(_sparse(plan)), "rng" in training_options(plan.graph)
    summed = [op for op in _sparse(plan) if not isinstance(op, Pool)]
    gathered = [op for op in summed if not plan.choice(op.connection).window]
    numpy, torch, keras = (target in targets for target in ("numpy", "torch", "keras"))
    held = {
        "NetworkChecks": True,
        "FiniteChecks": _is_partial(plan),
        "AgreementChecks": len(targets) > 1,
        "AllTargetsChecks": ADAPTERS.keys() <= {*targets},
        "StoredChecks": bool(plan.stored or plan.restated),
        "RestatedChecks": bool(plan.restated),
        "FileChecks": bool(plan.stored),
        "UnitNamesChecks": bool(plan.graph.unit_names),
        "SparseChecks": sparse,
        "DropoutChecks": drops,
        "LengthChecks": any(data.over_time for data in plan.graph.inputs),
        "RunningChecks": any(p.running for p in plan.graph.parameters),
        "OptimiserChecks": (torch or keras) and any(p.trainable for p in plan.graph.parameters),
        "NumpyChecks": numpy,
        "NumpySparseChecks": numpy and bool(gathered),
        "NumpyDropoutChecks": numpy and drops,
        "TorchChecks": torch,
        "TorchSparseChecks": torch and bool(summed),
        "KerasChecks": keras,
    }
    return {name for name, applies in held.items() if applies}


def _most_derived(suites: set[str]) -> set[str]:
    """Classes that bring with them all the others."""
    return suites - {base for kernel in closure("tests", suites) for base in kernel.bases}


def _sparse(plan: Plan) -> list[Project]:
    return [op for op in plan.graph.projections if is_sparse(op)]


# Above this, the edges of a rule are not made at compile time to have their hash; the kernels' tests hold.
HASHED_EDGES = 1_000_000


def _held(plan: Plan) -> list[Stored]:
    """What is stored, and the edges that are restated from rules as the compiler makes them."""
    ends = [
        Stored(f"{op.connection}.{end}", compact(units))
        for op in plan.restated_projections()
        if op.edges.count <= HASHED_EDGES
        for end, units in zip(("source", "target"), op.edges.edges(), strict=True)
    ]
    return [*plan.stored, *ends]


def _compared(plan: Plan) -> list[Data]:
    """The targets that the loss reads, in the order in which it takes them; inputs are left out."""
    targets = {target.name: target for target in plan.graph.targets}
    return [targets[name] for name in loss_arguments(plan.graph) if name in targets]


def _cotangents(plan: Plan) -> dict[str, str]:
    """Where no loss reads an output: what the tests multiply each by, under a name that no spec can have."""
    return {} if plan.graph.losses else {name: f"d loss / d {name}" for name in plan.graph.outputs}


# ---------------------------------------------------------------------------------------------- facts


def _facts(scope: Scope, plan: Plan) -> dict[str, Given]:
    """The fields of `Expected`."""
    graph = plan.graph
    drops = {
        str(layer.layer): (op.output.name, op.p)
        for layer in graph.layers
        for op in chain_of(graph, layer)
        if isinstance(op, Drop)
    }
    edges = {op.connection: (op.output.units, op.input.units, op.edges.count) for op in _sparse(plan)}
    pooled = {
        op.connection: (op.reduction.name, op.empty) for op in graph.projections if isinstance(op, Pool)
    }
    reads = plan.stored or plan.restated
    over = [d.name for d in (*graph.inputs, *_compared(plan)) if d.over_time]
    over += [name for name in graph.outputs if name in graph.over_time]

    def at_steps(name: str, shape: Shape) -> Shape:
        return (test_steps(plan), *shape) if name in over else shape

    return {
        "name": graph.name,
        "parameters": _table({p.name: p.shape for p in graph.parameters}),
        "trained": tuple(p.name for p in graph.parameters if p.trainable),
        "running": tuple(p.name for p in graph.parameters if p.running),
        "edges": _table(edges),
        "hashes": _table({stored.name: array_hash(stored.array) for stored in _held(plan)}),
        "inputs": _table({d.name: at_steps(d.name, d.shape) for d in graph.inputs}),
        "classes": _table({d.name: d.classes for d in graph.inputs if d.classes}),
        "targets": _table({d.name: (at_steps(d.name, d.shape), d.classes) for d in _compared(plan)}),
        "layers": tuple(str(layer.layer) for layer in graph.layers),
        "outputs": _table({name: at_steps(name, graph.value(name).shape) for name in graph.outputs}),
        "dropout": _table(drops),
        "dropped_together": _table(_dropped_together(scope, plan)),
        "loss_reads": loss_arguments(graph),
        "compared": tuple(
            dict.fromkeys((y, t) for term in graph.losses for y in term.layers for t in term.data or ("",))
        ),
        "cotangents": _table(_cotangents(plan)),
        "modes": training_options(graph),
        "digests": _table(units_digests(plan)),
        "batch": plan.batch,
        "stored": loaded(scope, plan, cached=True) if reads else _table({}),
        "start": scope.name("start_values"),
        "reference": scope.name("reference"),
        **({"made": scope.name("made_weights"), "shared": _shared(plan)} if made_of(plan) else {}),
        **({"parts": _parts(plan)} if graph.divided else {}),
        **({"surrogate": True} if any(map(_is_surrogate, graph.operations)) else {}),
        **({"pooled": _table(pooled)} if pooled else {}),
        **({"partial": True} if _is_partial(plan) else {}),
        **({"windows": _table({**windows})} if (windows := _windows(plan)) else {}),
        **({"pooled_windows": _table({**slid})} if (slid := _pooled_windows(plan)) else {}),
        **(_facts_of_time(plan, over) if graph.has_time else {}),
    }


def test_steps(plan: Plan) -> int:
    """How many steps most tests take: two more than are read back."""
    return plan.graph.steps or max(plan.graph.memory.values(), default=1) + 2


def _facts_of_time(plan: Plan, over: Sequence[str]) -> dict[str, Given]:
    """The fields of `Expected` of a network that runs over time."""
    graph = plan.graph
    return {
        "steps": test_steps(plan),
        "over_time": tuple(over),
        "timed": tuple(value.name for value in graph.layers if value.name in graph.timed),
        "memory": _table(
            {name: (steps, graph.read_late[name].input.units) for name, steps in graph.memory.items()}
        ),
    }


def _windows(plan: Plan) -> dict[str, tuple[str, Display]]:
    """The convolutions: where it is stored which entry every edge has, and what their kernels are told."""
    return {
        op.connection: (f"{op.weight.name}.index", _table(window_fields(window)))
        for op in plan.graph.projections
        if (window := plan.choice(op.connection).window) and op.weight
    }


def _pooled_windows(plan: Plan) -> dict[str, Display]:
    """The connections that pool windows, and what their kernels are told."""
    return {
        op.connection: _table(window_fields(window))
        for op in plan.graph.projections
        if (window := plan.choice(op.connection).window) and op.weight is None
    }


def _dropped_together(scope: Scope, plan: Plan) -> dict[str, Given]:
    """The group of every unit by layer, where units are dropped in groups."""
    return {
        str(layer.layer): _groups(scope, op)
        for layer in plan.graph.layers
        for op in chain_of(plan.graph, layer)
        if isinstance(op, Drop) and op.per is not None
    }


def made_of(plan: Plan) -> list[Project]:
    """The connections whose weight is made of a parameter, or one that has a name of its own."""
    return [op for op in plan.graph.projections if op.weight is not None and not op.holds_weight]


def _shared(plan: Plan) -> Display:
    """For each of these its parameter, and how many edges enter a unit on average."""
    return _table(
        {
            op.connection: (op.parameter.name, max(1, round(op.edges.count / op.output.units)))
            for op in made_of(plan)
            if op.parameter
        }
    )


def _parts(plan: Plan) -> Display:
    """The connections whose edges are divided among others by their delay."""
    return _table({each.connection: each.parts for each in plan.graph.divided})


def _is_partial(plan: Plan) -> bool:
    """Whether a function of the network is not finite for all numbers, whatever it is given here."""
    steps = [step for made in plan.graph.made.values() for step in steps_of(made)]
    through = [step for step in steps if isinstance(step, Through)]
    computed = [op for op in plan.graph.operations if isinstance(op, Compute)]
    trees = [
        substituted(tree, dict(step.numbers))
        for step in (*through, *computed)
        for tree in (step.function.value, step.function.declared)
        if tree is not None
    ]
    trees += [term.value for term in plan.graph.losses if isinstance(term, ExpressionTerm)]
    trees += [op.tree for op in plan.graph.operations if isinstance(op, Combine)]
    return any(True for tree in trees for _ in undefined(simplified(tree), {}))


def _is_surrogate(op: Operation) -> bool:
    """Whether the derivative of a step is another one than that of its value."""
    match op:
        case Combine(tree=tree) | Compute(function=Stated(value=tree)):
            words = {each.word for each in walk(tree) if isinstance(each, TreeApply)}
        case _:
            return False
    declared = isinstance(op, Compute) and op.function.declared is not None
    return declared or bool(words & {"declared", "stop"})


def _table(entries: Mapping[str, Given]) -> Display:
    return Display("{}", tuple(Pair(node(name), node(value)) for name, value in entries.items()))


# -------------------------------------------------------------------------------------------- reference

_REFERENCE = '''
def reference(
    p: dict[str, np.ndarray], data: dict[str, np.ndarray], training: bool, moved_inputs: Any = None
) -> tuple[dict[str, np.ndarray], Any, list[np.ndarray], dict[str, np.ndarray]]:
    """Values (batch, units) of layers, the loss, distances from kinks, moved statistics: see `Expected`."""
    inputs = data | (moved_inputs or {})
    reading
    v: dict[str, np.ndarray] = {}
    kinks: list[np.ndarray] = []
    running: dict[str, np.ndarray] = {}
    layers
    loss = 0.0
    losses
    return v, loss, kinks, running
'''


def _reference(scope: Scope, plan: Plan, functions: Definitions) -> tuple[Statement, ...]:
    """The reference network, a function: `v` holds every layer's value, (batch, units)."""
    if plan.graph.has_time:
        return _reference_over_time(scope, plan, functions)
    layers = [*_head(scope, plan, functions), *_inputs(scope, plan), *_layers(scope, plan, functions)]
    reading = loading(scope, plan, layers, cached=True)
    return scope.statements(_REFERENCE, reading=reading, layers=layers, losses=_losses(scope, plan))


_OVER_TIME = '''
def reference(
    p: dict[str, np.ndarray], data: dict[str, np.ndarray], training: bool, moved_inputs: Any = None
) -> tuple[dict[str, np.ndarray], Any, list[np.ndarray], dict[str, np.ndarray]]:
    """Every layer's value, the loss, distances from kinks, and moved statistics, one step after the other.

    A layer that differs from step to step is (batch, steps * units), any other (batch, units): `Expected`.
    """
    inputs = data | (moved_inputs or {})
    reading
    kinks: list[np.ndarray] = []
    running: dict[str, np.ndarray] = {}
    head
    before: list[dict[str, np.ndarray]] = []
    for at in range(steps):
        v: dict[str, np.ndarray] = {}
        layers
        before.append(v)
    v = at_all_steps(before, timed)
    loss = 0.0
    losses
    return v, loss, kinks, running
'''


def _reference_over_time(scope: Scope, plan: Plan, functions: Definitions) -> tuple[Statement, ...]:
    """The reference of a network that runs over time, in which every layer is computed at every step."""
    graph = plan.graph
    head = _head(scope, plan, functions)
    steps: Expression = node(graph.steps)
    if over := [data.name for data in graph.inputs if data.over_time]:
        steps = scope.expression("inputs[name].shape[1]", name=over[0])
    layers = [*_inputs(scope, plan), *_delayed(scope, plan), *_layers(scope, plan, functions)]
    reading = loading(scope, plan, [head, layers], cached=True)
    timed = tuple(sorted(value.name for value in graph.layers if value.name in graph.timed))
    holes = {"reading": reading, "head": head, "layers": layers, "losses": _losses(scope, plan)}
    at = scope.name("step" if scope.reads("step", layers) else "_")
    return scope.statements(_OVER_TIME, at=at, steps=steps, timed=timed, **holes)


def _delayed(scope: Scope, plan: Plan) -> Iterator[Statement]:
    """Statements for values of earlier steps."""
    for each in plan.graph.delays:
        start = each.start
        given = scope.name("p").at(start.name) if isinstance(start, GraphParameter) else node(start)
        text = "v[late] = step_before(before, name, delay, start, (batch, units))"
        first = plan.graph.inputs[0]
        batch = scope.expression("len(inputs[name])", name=first.name)
        yield from scope.statements(
            text,
            late=each.output.name,
            name=each.input.name,
            delay=each.steps,
            start=given,
            batch=batch,
            units=each.input.units,
        )


_MADE = '''
def made_weights(p: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weight of every edge, by connection, of those whose weights are made of a parameter."""
    reading
    lines
    return {**pairs,}
'''


def _made(scope: Scope, plan: Plan, functions: Definitions) -> tuple[Statement, ...]:
    """The function of weights that are made of parameters; none where there are none."""
    made, wholes, lines = (
        made_among(op.weight for op in made_of(plan)),
        dict[str, Expression](),
        list[Statement](),
    )
    for name in cuts_among(made):
        wholes[name] = scope.new(identifier(name))
        lines.append(Assign(wholes[name], _entries(scope, made[name], functions)))
    pairs = list[Pair]()
    for op in made_of(plan):
        if isinstance(op.weight, Cut):
            whole, first, last = wholes[op.weight.of.name], op.weight.first, op.weight.last
            entries = scope.expression("whole[first:last]", whole=whole, first=first, last=last)
            pairs.append(Pair(node(op.connection), entries))
        elif op.weight:
            pairs.append(Pair(node(op.connection), _entries(scope, op.weight, functions)))
    if not pairs:
        return ()
    reading = loading(scope, plan, lines, pairs, cached=True)
    return scope.statements(_MADE, reading=reading, lines=lines, pairs=pairs)


def _entries(scope: Scope, entries: Entries, functions: Definitions) -> Expression:
    """A weight in plain arithmetic on its parameter."""
    match entries:
        case GraphParameter():
            return scope.name("p").at(entries.name)
        case Spread():
            spread = scope.name("entries_at")(
                _entries(scope, entries.of, functions), index_of(scope, entries)
            )
            return in_shape(scope, spread, entries.shape)
        case Turned():
            return _entries(scope, entries.of, functions).get("T")
        case Through(function=function, numbers=numbers):
            return functions.value(function, numbers, _entries(scope, entries.of, functions))
        case Times():
            return times(factor_of(scope, entries), _entries(scope, entries.of, functions))
        case Cut():
            raise AssertionError(entries)  # which `_made` reads of what it is cut out of


def _kinks_of_weights(scope: Scope, plan: Plan, functions: Definitions) -> list[Statement]:
    """Distances of parameters from where functions that weights go through, or their derivatives, jump."""
    steps = [step for made in plan.graph.made.values() for step in steps_of(made)]
    through = [step for step in steps if isinstance(step, Through)]
    lines: list[Statement] = []
    for step in {(step.of.name, step.function, step.numbers): step for step in through}.values():
        read = _entries(scope, step.of, functions)
        for distance in _distances(step.function, step.numbers, read, functions):
            lines += scope.statements("kinks.append(np.real(distance))", distance=distance)
    return lines


def _distances(
    function: Stated, numbers: Numbers, x: Expression, functions: Definitions
) -> Iterator[Expression]:
    """What is 0 where a function or its derivative jumps."""
    for switch in kinks(function, numbers):
        yield functions.written(simplified(substituted(switch, dict(numbers))), {function.first: x})


def _head(scope: Scope, plan: Plan, functions: Definitions) -> list[Statement]:
    """What is made of parameters alone."""
    lines = [*scope.statements("made = made_weights(p)")] if made_of(plan) else list[Statement]()
    return [*lines, *_kinks_of_weights(scope, plan, functions)]


def _inputs(scope: Scope, plan: Plan) -> Iterator[Statement]:
    """Statements for the inputs, over time those of a step."""
    for d in plan.graph.inputs:
        text = "v[name] = inputs[name][:, step].reshape(-1, size)" if d.over_time else ""
        text = text or "v[name] = inputs[name].reshape(-1, size)"
        yield from scope.statements(text, name=d.name, size=math.prod(d.shape))


def _layers(scope: Scope, plan: Plan, functions: Definitions) -> list[Statement]:
    graph, lines = plan.graph, list[Statement]()
    for layer in graph.layers:
        chain = chain_of(graph, layer)
        if expression := expression_of(chain):
            lines += _combined(scope, expression)
        else:
            first, *others = [_term(scope, op) for op in chain if isinstance(op, Project)]
            lines += scope.statements("x = first", first=first)
            for term in others:
                lines += scope.statements("x = x + term", term=term)
        for op in chain:
            lines += _step(scope, op, functions, timed=op.output.name in graph.timed)
        lines += scope.statements("v[layer] = x", layer=str(layer.layer))
    return lines


def _losses(scope: Scope, plan: Plan) -> list[Statement]:
    """The terms of the loss, or what stands for it, and the penalties."""
    lines, loss = list[Statement](), scope.name("loss")

    def add(term: Expression) -> None:
        lines.append(Assign(loss, sum_of([loss, term])))

    for term in plan.graph.losses:
        if isinstance(term, ExpressionTerm):
            names = _read_by_loss(scope, plan.graph, term)
            lines += _kinks_of_tree(scope, term.value, names, term.layers)
            add(scaled(term.coefficient, _expression(scope, term, names, lines)))
            continue
        shape = plan.graph.value(term.prediction).shape
        target = plan.graph.is_given_over_time(term.target)
        lines += scope.statements(
            "y, t = prediction.reshape(-1, *shape), data[target].reshape(-1, *data[target].shape[2:])"
            if target
            else "y, t = prediction.reshape(-1, *shape), data[target]",
            prediction=_given(scope, plan.graph, term.prediction),
            shape=shape,
            target=term.target,
        )
        if term.loss.kink_at_target:
            lines += scope.statements("kinks.append(np.real(y - t))")
        add(
            scaled(
                term.coefficient,
                scope.expression(
                    "loss(y, t, **given)", loss=scope.name(term.loss.name), given=dict(term.arguments)
                ),
            )
        )
    for output, cotangent in _cotangents(plan).items():
        value = _given(scope, plan.graph, output)
        text = "np.sum(value * data[cotangent].reshape(value.shape))"
        add(scope.expression(text, value=value, cotangent=cotangent))
    for penalty in plan.graph.penalties:
        weight = scope.name("p").at(penalty.parameter)
        if penalty.penalty.kink_at_zero:
            lines += scope.statements("kinks.append(np.real(weight))", weight=weight)
        add(scaled(penalty.coefficient, scope.name(penalty.penalty.name)(weight)))
    return lines


def _given(scope: Scope, graph: Graph, layer: str) -> Expression:
    """A layer's value as it is given: all steps of it, or of an output perhaps the last."""
    value = scope.name("v").at(layer)
    if layer not in graph.timed or graph.is_given_over_time(layer):
        return value
    return scope.expression("v[layer][:, start:]", layer=layer, start=-graph.value(layer).units)


def _read_by_loss(scope: Scope, graph: Graph, term: ExpressionTerm) -> dict[str, Expression]:
    """What the tree of a term reads, in its declared shape."""
    data, shape = scope.name("data"), term.shape
    over = graph.is_given_over_time(term.layers[0])

    def shaped(x: Expression) -> Expression:
        return scope.expression("x.reshape(-1, *shape)", x=x, shape=shape)

    layers = {name: _given(scope, graph, name) for name in term.layers}
    if len(shape) > 1 or over:
        layers = {name: shaped(x) for name, x in layers.items()}
    return {**layers, **{name: shaped(data.at(name)) if over else data.at(name) for name in term.data}}


def _combined(scope: Scope, op: Combine) -> list[Statement]:
    """The value of an expression, behind distances from where it or its derivatives jump."""
    names: dict[str, Expression] = {value.name: scope.name("v").at(value.name) for value in op.inputs}
    lines = _kinks_of_tree(scope, op.tree, names, tuple(names))
    value = _granted_by(scope, op.tree, names, tuple(names), lines)
    # What is no operation, as a name, would be the very array that another layer is.
    value = scope.expression("+x", x=value) if is_name(op.tree) else value
    return [*lines, Assign(scope.name("x"), value)]


def _parted(scope: Scope, tree: Tree, names: Mapping[str, Expression], lines: list[Statement]) -> Expression:
    """A tree of arrays, behind lines for what repeats in it or is long."""
    return parted(Writer(scope, REFERENCE, names, tuple(names)), tree, part_names(scope, "x"), lines)


def _kinks_of_tree(
    scope: Scope, tree: Tree, names: Mapping[str, Expression], by: Sequence[str]
) -> list[Statement]:
    """Distances from where a tree, or its derivatives `by` some of what it reads, jump."""
    lines: list[Statement] = []
    for switch in kinks_of_tree(tree, tuple(by)):
        if {*arguments_in(switch)} & {*by}:
            distance = _parted(scope, switch, names, lines)
            lines += scope.statements("kinks.append(np.real(distance))", distance=distance)
    return lines


def _granted_by(
    scope: Scope, tree: Tree, names: Mapping[str, Expression], by: Sequence[str], lines: list[Statement]
) -> Expression:
    """A tree, to whose derivatives `by` some of what it reads roundings are granted."""
    value, around = _parted(scope, guarded(tree), names, lines), _granted(scope)
    for name in by:
        value = around(tree, value, names[name])
    return value


def _expression(
    scope: Scope, term: ExpressionTerm, names: Mapping[str, Expression], lines: list[Statement]
) -> Expression:
    """The mean over the batch of what a term takes of its units, behind a line for what is long."""
    each = _granted_by(scope, term.value, names, term.layers, lines)
    each = apart(lines, lambda: scope.name("x"), each)
    if term.pool == "sum":
        return scope.expression("np.sum(each) / len(y)", each=each, y=names[term.layers[0]])
    return scope.expression("np.mean(each)", each=each)


def _term(scope: Scope, op: Project) -> Expression:
    """The sum that a connection adds to its layer."""
    x = scope.name("v").at(op.input.name)
    if isinstance(op, Pool):
        return _pooled(scope, op, x)
    weight = _weight(scope, op)
    match op.edges:
        case Full() if op.input.classes:
            return scope.expression("looked_up(x, weight, n)", x=x, weight=weight, n=op.input.classes)
        case Full():
            shape = (op.output.units, op.input.units)
            matrix = weight or scope.expression("np.ones(shape)", shape=shape)
            return scope.expression("x @ matrix.T", x=x, matrix=matrix)
        case Diagonal():
            return scope.expression("x * weight", x=x, weight=weight) if weight else x
        case _:
            return scope.expression(
                "weighted_sum(x, weight, *ends, units)",
                x=x,
                weight=weight,
                ends=[stored_edges(scope, op.connection)],
                units=op.output.units,
            )


def _weight(scope: Scope, op: Project) -> Expression | None:
    """The weights of a connection, if it has any."""
    if op.parameter is None:
        return None
    return scope.name("p").at(op.parameter.name) if op.holds_weight else scope.name("made").at(op.connection)


def _pooled(scope: Scope, op: Pool, x: Expression) -> Expression:
    """What a connection brings that pools otherwise than by a sum."""
    return scope.expression(
        "pooled(x, weight, *ends, units, pools, empty, kinks)",
        x=x,
        weight=_weight(scope, op),
        ends=[stored_edges(scope, op.connection)],
        units=op.output.units,
        pools=scope.name(f"{op.reduction.name}_of_inputs"),
        empty=op.empty,
    )


def _step(scope: Scope, op: Operation, functions: Definitions, *, timed: bool) -> Sequence[Statement]:
    """What an operation makes of `x`; what is `timed` is computed for one step."""
    match op:
        case AddBias():
            if not isinstance(op.bias, Spread):
                return scope.statements("x = x + p[bias]", bias=op.bias.name)
            return scope.statements(
                "x = x + biases(p[bias], index)", bias=op.parameter.name, index=index_of(scope, op.bias)
            )
        case Apply():
            return _applied(scope, op)
        case Compute():
            return _computed(scope, op, functions)
        case ApplyNorm():
            return _norm(scope, op)
        case Rectify():
            index = None if op.per is None else _groups(scope, op)
            slope = scope.expression(
                "p[slope]" if index is None else "p[slope][index]", slope=op.slope.name, index=index
            )
            return scope.statements("kinks.append(np.real(x))\nx = prelu(x, slope)", slope=slope)
        case Multiply():
            return scope.statements("x = factor * x", factor=op.factor)
        case Drop():
            return scope.statements(
                "if kept in data:\n    x = x * data[kept][:, step] / (1 - share)"
                if timed
                else "if kept in data:\n    x = x * data[kept] / (1 - share)",
                kept=f"{op.output.name} kept",
                share=op.p,
            )
        case Project() | Add() | Combine():
            return ()


def _applied(scope: Scope, op: Apply) -> tuple[Statement, ...]:
    """An activation that mixes units, which is given them in their shape."""
    function, numbers, shape = scope.name(op.activation.name), dict(op.arguments), op.output.shape
    if op.over != (len(shape) - 1,):
        text = "groups = index\nx = as_units(function(in_groups(x, groups), **numbers), groups)"
        return scope.statements(text, function=function, numbers=numbers, index=_groups(scope, op))
    return scope.statements(
        "x = function(x.reshape(-1, *shape), **numbers).reshape(x.shape)"
        if len(shape) > 1
        else "x = function(x, **numbers)",
        function=function,
        shape=shape,
        numbers=numbers,
    )


def _computed(scope: Scope, op: Compute, functions: Definitions) -> list[Statement]:
    """A function, behind distances from where it or its derivative jumps."""
    x, lines = scope.name("x"), list[Statement]()
    for distance in _distances(op.function, op.numbers, x, functions):
        lines += scope.statements("kinks.append(np.real(distance))", distance=distance)
    return [*lines, Assign(x, functions.value(op.function, op.numbers, x))]


def _granted(scope: Scope) -> Callable[[Tree, Expression, Expression], Expression]:
    """What grants the derivative of a function that rounds roundings of 1: see `smooth`."""

    def around(tree: Tree, value: Expression, x: Expression) -> Expression:
        rounds = any(isinstance(each, TreeApply) and each.word in _ROUNDING for each in walk(tree))
        alone = isinstance(tree, TreeApply) and isinstance(tree.operands[0], Argument)
        return scope.name("smooth")(value, x) if rounds and not alone else value

    return around


# Words whose derivatives are made of differences: 1 - y^2 and its like.
_ROUNDING = frozenset(["erf", "log_sigmoid", "sigmoid", "softplus", "tan", "tanh"])


# A norm of (batch, units), or (batch, groups, units).
_BY_SAMPLE = {"layer_norm": "normalised(x, -1, eps)", "rms_norm": "rms_normalised(x, eps)"}


def _groups(scope: Scope, op: Apply | ApplyNorm | Drop | Rectify) -> Expression:
    """The group of every unit: those of one have equal indices along the dimensions that stay apart."""
    shape = op.output.shape
    apart = [at for at in range(len(shape)) if at not in op.over] if isinstance(op, Apply) else op.per or ()
    return index_along(scope, shape, apart)


def _norm(scope: Scope, op: ApplyNorm) -> tuple[Statement, ...]:
    numbers, p = dict(op.arguments), scope.name("p")
    last = scope.statements("x = x * p[weight]", weight=op.weight.name)
    if op.bias:
        last = scope.statements("x = x * p[weight] + p[bias]", weight=op.weight.name, bias=op.bias.name)
    if op.running_mean is None or op.running_var is None:
        norm = _BY_SAMPLE[op.norm.name]
        text = f"x = {norm}"
        if op.per is not None:
            text = f"groups = index\nx = in_groups(x, groups)\nx = {norm}\nx = as_units(x, groups)"
        return (*scope.statements(text, index=_groups(scope, op), eps=numbers["eps"]), *last)
    apart = together = ""
    if op.per is not None:  # what is pooled counts as more samples
        apart = "groups = index\nx = np.moveaxis(in_groups(x, groups), 1, 2)\n"
        apart += "given = x.shape\nx = x.reshape(-1, given[-1])\n"
        together = "\nx = as_units(np.moveaxis(x.reshape(given), 2, 1), groups)"
    return scope.statements(
        f"{apart}"
        "running |= moved(p, name, x, momentum)\n"
        "if training:\n"
        "    x = normalised(x, 0, eps)\n"
        "else:\n"
        "    x = (x - mean) / np.sqrt(var + eps)\n"
        f"last{together}",
        index=_groups(scope, op),
        name=op.name,
        momentum=numbers["momentum"],
        eps=numbers["eps"],
        mean=p.at(op.running_mean.name),
        var=p.at(op.running_var.name),
        last=last,
    )
