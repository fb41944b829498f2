"""What the exact tests are told: connections, how integers are drawn, and what of the network is exact."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from ...compiler.edges.degrees import degrees
from ...compiler.edges.edge_set import Diagonal, Full, Indices
from ...compiler.functions.derive import derivative
from ...compiler.functions.function import Function as Stated
from ...compiler.functions.function import Numbers, is_dyadic, is_exact, is_made_of_products
from ...compiler.functions.guard import guarded
from ...compiler.functions.tree import Tree, arguments_in
from ...compiler.graph.graph import (
    AddBias,
    Apply,
    ApplyNorm,
    Combine,
    Compute,
    Cut,
    Delay,
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
    parameter_of,
    steps_of,
)
from ...compiler.graph.model import LossTerm
from ...compiler.plan.plan import Plan
from ...dsl.records import record
from ..definitions import LONGEST_PART, Definitions
from ..functions import NUMPY
from ..parts import factor_of, index_of
from ..source import Display, Expression, Function, Pair, Scope, Statement, flat, node, printed, scaled, times
from ..target import chain_of, is_identity, is_sparse

# Bits of the significand: integers up to two to this power are exact.
BITS = {"float64": 53, "float32": 24}

# A wrong connection passes with at most this probability, as right code fails tests of what is random.
CHANCE = 1e-12

# Edges times samples of the largest batch, at most.
WORK = 2_000_000


@record
class Exact:
    """What the template `exact.py.j2` places and the trees that are in it; which tests there are, of what.

    `functions` are those of expressions that are long.
    """

    context: dict[str, object]
    trees: tuple[object, ...]
    functions: tuple[Function, ...]
    suites: frozenset[str]
    facts: tuple[tuple[str, str], ...]


def exact(scope: Scope, plan: Plan, targets: Sequence[str]) -> Exact:
    """What is held exactly: every connection by itself, and the layers of which no function rounds."""
    projections = [op for op in plan.graph.projections if not isinstance(op, Pool)]
    pools = any(isinstance(op, Pool) and op.reduction.exact for op in plan.graph.projections)
    alone = [op for op in projections if not is_identity(op)]
    # NumPy has products of `all` and `one_to_one` written into its functions, and none for them alone.
    linear = [t for t in targets if alone and (t != "numpy" or any(map(is_sparse, alone)))]
    draws = {dtype: _draws(plan, alone, bits) for dtype, bits in BITS.items() if linear}
    layers = _exact_layers(plan)
    whole = len(layers) == len(plan.graph.layers) and _losses_are_exact(plan)
    kinds = [
        Pair(node(op.connection), node((_kind(op), op.output.units, op.input.units, *_classes(op))))
        for op in projections
    ]
    connections = scope.statements("CONNECTIONS = {**kinds}", kinds=kinds)
    drawn = [Pair(node(dtype), node(draw)) for dtype, draw in draws.items()]
    functions = Definitions(scope, scope, NUMPY, "np.ndarray")
    network = _network(scope, plan, layers, functions, whole=whole) if layers else ()
    context: dict[str, object] = {
        "exact": bool(linear or layers),
        "exact_linear": bool(linear),
        "exact_draws": printed(scope.statements("DRAWS = {**drawn}", drawn=drawn)),
        "exact_bounds": tuple(_bound(dtype, *draw[1:]) for dtype, draw in draws.items()),
        "exact_connections": printed(connections),
        "exact_network": printed(network),
    }
    suites, facts = set[str](), list[tuple[str, str]]()
    if linear:
        suites.add("LinearChecks")
        facts += [("connections", "CONNECTIONS"), ("draws", "DRAWS")]
    if pools:
        suites.add("PoolChecks")
    if layers:
        suites.add("WholeExactChecks" if whole else "FirstExactChecks")
        facts.append(("network", "NETWORK"))
    return Exact(context, network, tuple(functions.statements), frozenset(suites), tuple(facts))


def _classes(projection: Project) -> tuple[int, ...]:
    return (projection.input.classes,) if projection.input.classes else ()


def _kind(projection: Project) -> str:
    match projection.edges:
        case Full() if projection.input.classes:
            return "codes"
        case Full():
            return "all"
        case Diagonal():
            return "one to one"
        case _:
            return "edges"


# ------------------------------------------------------------------------------- every connection by itself


def _draws(plan: Plan, projections: list[Project], bits: int) -> tuple[int, int, int]:
    """The largest batch, the largest integer that is drawn, and how many draws there are.

    The batch is beyond that which the kernels were chosen for, if that is not too much work.
    """
    edges = max(1, *(op.edges.count for op in projections))
    batch = 2 ** max(0, min((2 * plan.batch - 1).bit_length(), (WORK // edges).bit_length() - 1))
    alike = max(np.bincount(index).max() for index in (np.zeros(1, np.int64), *_indices(plan, projections)))
    terms = max(
        batch * int(alike),
        *(degrees(op.edges, end).high for op in projections for end in ("source", "target")),
    )
    most = max(1, math.isqrt(2**bits // terms))
    return batch, most, math.ceil(math.log(CHANCE) / math.log(2 / (2 * most + 1)))


def _indices(plan: Plan, projections: list[Project]) -> Iterator[Indices]:
    """Which entry every edge has, of every convolution."""
    for op in projections:
        if (
            plan.choice(op.connection).window
            and isinstance(op.weight, Spread)
            and op.weight.index is not None
        ):
            yield op.weight.index


def _bound(dtype: str, most: int, count: int) -> str:
    """The probability that what is wrong passes, as text."""
    size = 2 * most + 1
    exponent = math.ceil(count * math.log10(2 / size))
    return f"{dtype}: {count} draws from {size:,} integers, (2 / {size:,})^{count} < 1e{exponent}"


# ------------------------------------------------------------------------------------------ the whole network


def _exact_layers(plan: Plan) -> list[Value]:
    """The layers of which no step rounds, and that read, now or late, but inputs and such layers."""
    graph = plan.graph
    rounding = [name for name, chain in graph.chains.items() if not all(map(_is_exact, chain))]
    for name, chain in graph.chains.items():
        late = (graph.delayed[v.name] for op in chain for v in op.inputs if v.name in graph.delayed)
        if not all(isinstance(delay.start, Parameter) or is_dyadic(delay.start) for delay in late):
            rounding.append(name)
    found = set[str]()
    while rounding:
        name = rounding.pop()
        if name not in found:
            found.add(name)
            rounding += graph.readers.get(name, ())
    return [layer for layer in graph.layers if layer.name not in found]


def _is_exact(op: Operation) -> bool:
    match op:
        case Compute():
            return is_exact(op.function, op.numbers)
        case Combine():
            return is_made_of_products(op.tree)
        case Multiply():
            return is_dyadic(op.factor)
        case Apply() | ApplyNorm() | Rectify() | Pool():
            return False  # pools are held by themselves
        case Project():
            return _is_exactly_made(op)
        case _:
            return True


def _losses_are_exact(plan: Plan) -> bool:
    return all(
        isinstance(term, LossTerm)
        and term.loss.exact
        and is_dyadic(term.coefficient)
        and _averaged(plan, term).bit_count() == 1
        for term in plan.graph.losses
    )


def _averaged(plan: Plan, term: LossTerm) -> int:
    """Of how many numbers a sample's loss is the mean. Steps that the tests choose are a power of two."""
    steps = plan.graph.steps or 1 if plan.graph.is_given_over_time(term.prediction) else 1
    return steps * (plan.graph.value(term.prediction).units if term.loss.averages_units else 1)


def _network(
    scope: Scope, plan: Plan, layers: list[Value], functions: Definitions, *, whole: bool
) -> tuple[Statement, ...]:
    """The facts of `ExactNetwork`; without a loss where not the whole network is exact."""
    graph = plan.graph
    penalties = [p for p in graph.penalties if is_dyadic(p.coefficient)]
    others = dict.fromkeys(p.parameter for p in graph.penalties if not is_dyadic(p.coefficient))
    return scope.statements(
        "NETWORK: dict[str, Any] = {'connections': CONNECTIONS, 'layers': {**layers}, 'losses': [*losses], "
        "'penalties': [*penalties], 'inexact': [*inexact], 'whole': whole, **weights, **delays}",
        delays=[Pair(node("delays"), _delays(plan, layers))] if graph.has_time else [],
        weights=[Pair(node("weights"), _weights(scope, plan, layers))] if _made_into(plan, layers) else [],
        layers=[Pair(node(str(layer.layer)), _layer(scope, plan, layer, functions)) for layer in layers],
        losses=[_loss(scope, term) for term in graph.losses if whole and isinstance(term, LossTerm)],
        penalties=[_penalty(scope, term) for term in penalties if whole],
        inexact=list(others),
        whole=whole,
    )


def _delays(plan: Plan, layers: list[Value]) -> Display:
    """The values of earlier steps that some layers read: of what, how late, and from what they start."""
    reads = {v.name for layer in layers for op in chain_of(plan.graph, layer) for v in op.inputs}
    pairs = [
        Pair(node(each.output.name), node((each.input.name, each.steps, _started(each))))
        for each in plan.graph.delays
        if each.output.name in reads
    ]
    return Display("{}", tuple(pairs))


def _started(delay: Delay) -> str | float:
    return delay.start.name if isinstance(delay.start, Parameter) else delay.start


def _made_into(plan: Plan, layers: list[Value]) -> list[Project]:
    """The connections into some layers whose weights are made of parameters."""
    names = {layer.layer for layer in layers}
    return [
        op
        for op in plan.graph.projections
        if op.weight is not None and not op.holds_weight and op.layer in names
    ]


def _weights(scope: Scope, plan: Plan, layers: list[Value]) -> Display:
    """How weights are made: the parameter, and the steps from it."""
    pairs: list[Pair] = []
    for op in _made_into(plan, layers):
        assert op.weight is not None
        made = [_made(scope, step) for step in steps_of(op.weight)]
        name = parameter_of(op.weight).name
        pairs.append(Pair(node(op.connection), scope.expression("(name, *made)", name=name, made=made)))
    return Display("{}", tuple(pairs))


def _made(scope: Scope, step: Made) -> Expression:
    match step:
        case Spread():
            index = index_of(scope, step)
            return scope.expression("('entries', lambda stored: index, None)", index=index)
        case Turned():
            index = scope.expression(
                "np.arange(count).reshape(*shape).T", count=math.prod(step.shape), shape=step.of.shape
            )
            return scope.expression("('entries', lambda stored: index, None)", index=index)
        case Through():
            return _function(scope, step.function, step.numbers)
        case Times():
            return scope.expression("('times', lambda stored: factor, None)", factor=factor_of(scope, step))
        case Cut():
            text = "('entries', lambda stored: np.arange(first, last), None)"
            return scope.expression(text, first=step.first, last=step.last)


def _is_exactly_made(op: Project) -> bool:
    """Whether no step from a parameter to a weight rounds numbers with few bits."""
    for step in steps_of(op.weight) if op.weight else ():
        if isinstance(step, Through) and not is_exact(step.function, step.numbers):
            return False
        if isinstance(step, Times) and not all(map(is_dyadic, np.ravel(step.factor).tolist())):
            return False
    return True


def _function(scope: Scope, function: Stated, numbers: Numbers) -> Expression:
    """A step that is a function: its value, and the gradient of what it takes."""
    functions = Definitions(scope, scope, NUMPY, "np.ndarray", inline=True)
    x, y = scope.name("x"), scope.name("y")
    return scope.expression(
        "('function', lambda x: value, lambda d, x, y: back)",
        value=functions.value(function, numbers, x),
        back=times(scope.name("d"), functions.slope(function, numbers, x, y)),
    )


def _expression(scope: Scope, op: Combine, functions: Definitions) -> Expression:
    """The step of a layer that is an expression: its value, and its derivative by each that it reads."""
    names = {value.name: scope.name("v").at(value.name) for value in op.inputs}

    def of_values(tree: Tree, wish: str) -> Expression:
        value = functions.written(guarded(tree), names)
        if len(flat(value)) > LONGEST_PART:
            value = functions.combined(wish, tree)(*(names[name] for name in arguments_in(tree)))
        return scope.expression("lambda v: value", value=value)

    slopes = [
        Pair(node(name), of_values(derivative(op.tree, name), f"{op.layer}_by_{name}")) for name in names
    ]
    value = of_values(op.tree, f"{op.layer}_of")
    return scope.expression("('expression', value, {**slopes})", value=value, slopes=slopes)


def _layer(scope: Scope, plan: Plan, layer: Value, functions: Definitions) -> Expression:
    """What enters a layer, connection by connection, and its steps."""
    chain = chain_of(plan.graph, layer)
    projections = [op for op in chain if isinstance(op, Project)]
    entering = [Pair(node(op.connection), node(op.input.layer or op.input.name)) for op in projections]
    steps = [step for op in chain if (step := _step(scope, op, functions))]
    return scope.expression("({**entering}, [*steps])", entering=entering, steps=steps)


def _step(scope: Scope, op: Operation, functions: Definitions) -> Expression | None:
    """A step of a layer: a bias with the entries that units have, or a function and how it goes back."""
    match op:
        case AddBias():
            index = None
            if isinstance(op.bias, Spread):
                index = scope.expression("lambda stored: index", index=index_of(scope, op.bias))
            return scope.expression("('bias', name, index)", name=op.parameter.name, index=index)
        case Compute():
            return _function(scope, op.function, op.numbers)
        case Combine():
            return _expression(scope, op, functions)
        case Multiply():
            return scope.expression(
                "('function', lambda x: factor * x, lambda d, x, y: factor * d)", factor=op.factor
            )
        case _:
            return None


def _loss(scope: Scope, term: LossTerm) -> Expression:
    """Prediction and target, and the term as a function of both, with its derivative by the first."""
    return scope.expression(
        "(prediction, target, lambda y, t: value, lambda y, t: by_y)",
        prediction=term.prediction,
        target=term.target,
        value=scaled(term.coefficient, scope.expression(term.loss.formula)),
        by_y=scaled(term.coefficient * term.loss.factor, scope.expression(term.loss.derivative)),
    )


def _penalty(scope: Scope, term: WeightPenalty) -> Expression:
    """A parameter, and the term as a function of it, with its derivative."""
    penalty = term.penalty
    return scope.expression(
        "(parameter, lambda w: value, lambda w: by_w)",
        parameter=term.parameter,
        value=scaled(term.coefficient, scope.expression(penalty.formula)),
        by_w=scaled(term.coefficient * penalty.factor, scope.expression(penalty.derivative)),
    )
