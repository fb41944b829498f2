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
    Value,
    WeightPenalty,
)
from ...compiler.graph.model import LossTerm
from ...compiler.plan.plan import Plan
from ..layout import collection
from ..target import bias_index, chain_of, is_identity, is_sparse, scaled

# Bits of the significand: integers up to two to this power are exact.
BITS = {"float64": 53, "float32": 24}

# A wrong connection passes with at most this probability, as right code fails tests of what is random.
CHANCE = 1e-12

# Edges times samples of the largest batch, at most.
WORK = 2_000_000


def exact_context(plan: Plan, targets: Sequence[str]) -> tuple[dict[str, object], set[str]]:
    """What the template `exact.py.j2` places, and the kernels that it calls."""
    projections = [op for op in plan.graph.operations if isinstance(op, Project)]
    alone = [op for op in projections if not is_identity(op)]
    # NumPy has products of `all` and `one_to_one` written into its functions, and none for them alone.
    linear = [t for t in targets if alone and (t != "numpy" or any(map(is_sparse, alone)))]
    draws = {dtype: _draws(plan, alone, bits) for dtype, bits in BITS.items() if linear}
    layers = _exact_layers(plan)
    whole = len(layers) == len(plan.graph.layers) and _losses_are_exact(plan)
    context: dict[str, object] = {
        "exact": bool(linear or layers),
        "exact_linear": bool(linear),
        "exact_dtypes": _parameters("dtype", list(BITS)),
        "exact_targets": _parameters("target", linear),
        "exact_draws": collection("DRAWS = {", [f'"{dtype}": {draw}' for dtype, draw in draws.items()], "}"),
        "exact_bounds": tuple(_bound(dtype, *draw[1:]) for dtype, draw in draws.items()),
        "exact_connections": _connections(projections),
        "exact_network": _network(plan, layers, whole=whole) if layers else "",
        "exact_whole": whole,
        "exact_some": bool(layers) and not whole,
    }
    kernels = {"check_linear_parts"} if linear else set[str]()
    return context, kernels | ({"check_network_exactly"} if layers else set[str]())


def _connections(projections: list[Project]) -> str:
    given = [f'"{op.connection}": ("{_kind(op)}", {op.output.units}, {op.input.units})' for op in projections]
    return collection("CONNECTIONS = {", given, "}")


def _parameters(name: str, values: Sequence[str]) -> str:
    given = ", ".join(f'"{value}"' for value in values)
    return f'@pytest.mark.parametrize("{name}", [{given}])'


def _kind(projection: Project) -> str:
    match projection.edges:
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
        case ApplyNorm():
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


def _network(plan: Plan, layers: list[Value], *, whole: bool) -> str:
    """The facts of `ExactNetwork`; without a loss where not the whole network is exact."""
    graph = plan.graph
    penalties = [p for p in graph.penalties if _dyadic(p.coefficient)]
    others = dict.fromkeys(f'"{p.parameter}"' for p in graph.penalties if not _dyadic(p.coefficient))
    facts = [
        '"connections": CONNECTIONS',
        _inside(collection('"layers": {', [_layer(plan, layer) for layer in layers], "},", 4)),
        _inside(collection('"losses": [', [_loss(term) for term in graph.losses if whole], "],", 4)),
        _inside(collection('"penalties": [', [_penalty(term) for term in penalties if whole], "],", 4)),
        _inside(collection('"inexact": [', [*others], "],", 4)),
        f'"whole": {whole}',
    ]
    return collection("NETWORK: dict[str, Any] = {", facts, "}")


def _inside(text: str) -> str:
    """An item of a collection, laid out with the comma behind it, which the collection adds."""
    return text.removesuffix(",")


def _layer(plan: Plan, layer: Value) -> str:
    chain = chain_of(plan.graph, layer)
    projections = [op for op in chain if isinstance(op, Project)]
    entering = [f'"{op.connection}": "{op.input.layer or op.input.name}"' for op in projections]
    sums = _inside(collection("{", entering, "},", 12))
    steps = _inside(collection("[", [text for op in chain if (text := _step(op))], "],", 12))
    return _inside(collection(f'"{layer.layer}": (', [sums, steps], "),", 8))


def _step(op: Operation) -> str:
    """A step of a layer: a bias with the entries that units have, or a function and how it goes back."""
    match op:
        case AddBias():
            index = "None" if op.by_unit else f"lambda stored: {bias_index(op)}"
            return _item([f'"{op.bias.name}"', index], 16, '"bias"')
        case Apply():
            given = dict(op.arguments)
            assert op.activation.derivative is not None
            derivative = op.activation.derivative.format(x="x", y="y", **given)
            function = op.activation.formula.format(x="x", **given)
            return _item([f"lambda x: {function}", f"lambda d, x, y: d * {derivative}"], 16, '"function"')
        case Multiply():
            return _item([f"lambda x: {op.factor} * x", f"lambda d, x, y: {op.factor} * d"], 16, '"function"')
        case _:
            return ""


def _item(parts: list[str], indent: int, first: str) -> str:
    return _inside(collection("(", [first, *parts], "),", indent))


def _loss(term: LossTerm) -> str:
    """Prediction and target, and the term as a function of both, with its derivative by the first."""
    value = scaled(term.coefficient, term.loss.formula.format(y="y", t="t"))
    derivative = term.loss.derivative.format(y="y", t="t")
    by_y = scaled(term.coefficient * term.loss.factor, derivative)
    parts = [f'"{term.target}"', f"lambda y, t: {value}", f"lambda y, t: {by_y}"]
    return _item(parts, 8, f'"{term.prediction}"')


def _penalty(term: WeightPenalty) -> str:
    """A parameter, and the term as a function of it, with its derivative."""
    value = scaled(term.coefficient, term.penalty.formula.format(w="w"))
    derivative = scaled(term.coefficient * term.penalty.factor, term.penalty.derivative.format(w="w"))
    return _item([f"lambda w: {value}", f"lambda w: {derivative}"], 8, f'"{term.parameter}"')
