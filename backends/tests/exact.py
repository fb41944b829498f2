"""What the exact tests are told: connections, how integers are drawn, and what of the network is exact."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...compiler.edges.degrees import degrees
from ...compiler.edges.edge_set import Diagonal, Full
from ...compiler.graph.graph import (
    AddBias,
    Apply,
    ApplyNorm,
    Multiply,
    Operation,
    Project,
    Rectify,
    Value,
    WeightPenalty,
)
from ...compiler.graph.model import LossTerm
from ...compiler.plan.plan import Plan
from ...dsl.records import record
from ..parts import bias_index
from ..source import Expression, Pair, Scope, Statement, flat, node, printed, scaled, times
from ..target import chain_of, is_identity, is_sparse

# Bits of the significand: integers up to two to this power are exact.
BITS = {"float64": 53, "float32": 24}

# A wrong connection passes with at most this probability, as right code fails tests of what is random.
CHANCE = 1e-12

# Edges times samples of the largest batch, at most.
WORK = 2_000_000


@record
class Exact:
    """What the template `exact.py.j2` places, the trees that are in it, and the kernels that it calls."""

    context: dict[str, object]
    trees: tuple[object, ...]
    kernels: frozenset[str]


def exact(scope: Scope, plan: Plan, targets: Sequence[str]) -> Exact:
    """What is held exactly: every connection by itself, and the layers of which no function rounds."""
    projections = plan.graph.projections
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
    network = _network(scope, plan, layers, whole=whole) if layers else ()
    context: dict[str, object] = {
        "exact": bool(linear or layers),
        "exact_linear": bool(linear),
        "exact_dtypes": _parameters(scope, "dtype", list(BITS)),
        "exact_targets": _parameters(scope, "target", linear),
        "exact_draws": printed(scope.statements("DRAWS = {**drawn}", drawn=drawn)),
        "exact_bounds": tuple(_bound(dtype, *draw[1:]) for dtype, draw in draws.items()),
        "exact_connections": printed(connections),
        "exact_network": printed(network),
        "exact_whole": whole,
        "exact_some": bool(layers) and not whole,
    }
    kernels = {"check_linear_parts"} if linear else set[str]()
    kernels |= {"check_network_exactly"} if layers else set()
    return Exact(context, network, frozenset(kernels))


def _parameters(scope: Scope, name: str, values: Sequence[str]) -> str:
    """The decorator of a test that is run for each of some values."""
    text = "pytest.mark.parametrize(name, [*values])"
    return flat(scope.expression(text, name=name, values=values))


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
    terms = max(batch, *(degrees(op.edges, end).high for op in projections for end in ("source", "target")))
    most = max(1, math.isqrt(2**bits // terms))
    return batch, most, math.ceil(math.log(CHANCE) / math.log(2 / (2 * most + 1)))


def _bound(dtype: str, most: int, count: int) -> str:
    """The probability that what is wrong passes, as text."""
    size = 2 * most + 1
    exponent = math.ceil(count * math.log10(2 / size))
    return f"{dtype}: {count} draws from {size:,} integers, (2 / {size:,})^{count} < 1e{exponent}"


# ------------------------------------------------------------------------------------------ the whole network


def _dyadic(number: float) -> bool:
    """Whether a number has few bits: it is a small multiple of 1/1024."""
    return (1024 * number).is_integer() and abs(number) <= 1024


def _exact_layers(plan: Plan) -> list[Value]:
    """The layers that nothing enters but inputs and such layers, and whose steps are all exact."""
    names = {data.name for data in plan.graph.inputs}
    layers: list[Value] = []
    for layer in plan.graph.layers:
        chain = chain_of(plan.graph, layer)
        reads = {op.input.layer or op.input.name for op in chain if isinstance(op, Project)}
        if reads <= names and all(map(_is_exact, chain)):
            names.add(str(layer.layer))
            layers.append(layer)
    return layers


def _is_exact(op: Operation) -> bool:
    match op:
        case Apply():
            return op.activation.exact and all(_dyadic(number) for _, number in op.arguments)
        case Multiply():
            return _dyadic(op.factor)
        case ApplyNorm() | Rectify():
            return False
        case _:
            return True


def _losses_are_exact(plan: Plan) -> bool:
    return all(
        term.loss.exact
        and _dyadic(term.coefficient)
        and not (term.loss.averages_units and plan.graph.value(term.prediction).units.bit_count() > 1)
        for term in plan.graph.losses
    )


def _network(scope: Scope, plan: Plan, layers: list[Value], *, whole: bool) -> tuple[Statement, ...]:
    """The facts of `ExactNetwork`; without a loss where not the whole network is exact."""
    graph = plan.graph
    penalties = [p for p in graph.penalties if _dyadic(p.coefficient)]
    others = dict.fromkeys(p.parameter for p in graph.penalties if not _dyadic(p.coefficient))
    return scope.statements(
        "NETWORK: dict[str, Any] = {'connections': CONNECTIONS, 'layers': {**layers}, 'losses': [*losses], "
        "'penalties': [*penalties], 'inexact': [*inexact], 'whole': whole}",
        layers=[Pair(node(str(layer.layer)), _layer(scope, plan, layer)) for layer in layers],
        losses=[_loss(scope, term) for term in graph.losses if whole],
        penalties=[_penalty(scope, term) for term in penalties if whole],
        inexact=list(others),
        whole=whole,
    )


def _layer(scope: Scope, plan: Plan, layer: Value) -> Expression:
    """What enters a layer, connection by connection, and its steps."""
    chain = chain_of(plan.graph, layer)
    projections = [op for op in chain if isinstance(op, Project)]
    entering = [Pair(node(op.connection), node(op.input.layer or op.input.name)) for op in projections]
    steps = [step for op in chain if (step := _step(scope, op))]
    return scope.expression("({**entering}, [*steps])", entering=entering, steps=steps)


def _step(scope: Scope, op: Operation) -> Expression | None:
    """A step of a layer: a bias with the entries that units have, or a function and how it goes back."""
    match op:
        case AddBias():
            index = None
            if not op.by_unit:
                index = scope.expression("lambda stored: index", index=bias_index(scope, op))
            return scope.expression("('bias', name, index)", name=op.bias.name, index=index)
        case Apply():
            assert op.activation.derivative is not None
            numbers = dict(op.arguments)
            return scope.expression(
                "('function', lambda x: value, lambda d, x, y: back)",
                value=scope.expression(op.activation.formula, **numbers),
                back=times(scope.name("d"), scope.expression(op.activation.derivative, **numbers)),
            )
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
