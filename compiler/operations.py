"""The operations of a layer: names looked up in the catalogue, arguments evaluated."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..dsl import syntax
from ..dsl.diagnostics import Report
from ..dsl.words import suggest
from . import codes
from .arguments import Bound, bind, call_parts
from .catalogue.activations import ACTIVATIONS
from .catalogue.norms import NORMS
from .connectivity.edge_set import Indices, Shape
from .expressions import fail
from .model import Activate, Bias, Dropout, Normalise, Operation, Scale
from .sets import SetResolver

# Operations of the language that this version does not have.
LATER = frozenset(
    [
        "elu",
        "selu",
        "silu",
        "mish",
        "hard_sigmoid",
        "hard_tanh",
        "softsign",
        "log_softmax",
        "prelu",
        "exp",
        "rms_norm",
    ]
)

_ALSO = ("bias", "dropout", "scale")


def resolve_operation(
    node: syntax.Reference | syntax.Call, shape: Shape, sets: SetResolver, variables: Mapping[str, int]
) -> Operation | None:
    """One operation; None for `bias(off)`. Raises `Failed` after recording a diagnostic."""
    report = sets.names.report
    evaluator = sets.names.evaluator(variables)
    parts = call_parts(node)
    name = parts[0] if parts else ""
    if name == "bias":
        return _bias(node, shape, sets, variables)
    if name == "dropout":
        bound = bind(report, node, ("p",))
        p = evaluator.number(_required(report, node, bound, "p").value, "`p`")
        if not 0 <= p < 1:
            raise fail(report, codes.NOT_A_PROBABILITY, bound["p"].span, value=p)
        return Dropout(float(p))
    if name == "scale":
        bound = bind(report, node, ("factor",))
        return Scale(float(evaluator.number(_required(report, node, bound, "factor").value, "the factor")))
    if name in NORMS:
        return Normalise(NORMS[name], _numbers(node, dict(NORMS[name].parameters), sets, variables))
    if name in ACTIVATIONS:
        entry = ACTIVATIONS[name]
        return Activate(entry, _numbers(node, dict(entry.parameters), sets, variables))
    if name in LATER:
        raise fail(report, codes.NOT_YET, node.span, what=f"the operation `{name}`")
    known = [*_ALSO, *NORMS, *ACTIVATIONS]
    guess = suggest(name, known)
    help = f"did you mean `{guess}`?" if guess else "operations are " + ", ".join(f"`{n}`" for n in known)
    raise fail(report, codes.UNKNOWN_OPERATION, node.span, name=name, help=help)


def _required(report: Report, node: syntax.Expression, bound: Bound, argument: str) -> syntax.Argument:
    if argument not in bound:
        parts = call_parts(node)
        raise fail(
            report, codes.MISSING_ARGUMENT, node.span, name=parts[0] if parts else "", argument=argument
        )
    return bound[argument]


def _numbers(
    node: syntax.Expression, defaults: dict[str, float], sets: SetResolver, variables: Mapping[str, int]
) -> tuple[tuple[str, float], ...]:
    """The numeric arguments of an entry, defaults filled in."""
    later = ("per",) if "eps" in defaults else ()
    bound = bind(sets.names.report, node, tuple(defaults), None if not later else 0, later=later)
    evaluator = sets.names.evaluator(variables)
    return tuple(
        (key, float(evaluator.number(bound[key].value, f"`{key}`")) if key in bound else default)
        for key, default in defaults.items()
    )


def _bias(
    node: syntax.Expression, shape: Shape, sets: SetResolver, variables: Mapping[str, int]
) -> Bias | None:
    report = sets.names.report
    units = int(np.prod(shape))
    parts = call_parts(node)
    arguments = parts[1] if parts else ()
    if len(arguments) == 1 and arguments[0].name is None and call_parts(arguments[0].value) == ("off", ()):
        return None
    bound = bind(report, node, ("per", "start", "only"), 0, later=("share",))
    start = 0.0
    if "start" in bound:
        start = float(sets.names.evaluator(variables).number(bound["start"].value, "the start of a bias"))
    if "per" in bound and "only" in bound:
        raise fail(report, codes.NOT_TOGETHER, node.span, first="per", second="only")
    if "per" in bound:
        per = _dimensions(bound["per"].value, shape, sets, variables)
        index = _pooled(shape, per)
        return Bias(int(index.max()) + 1, start, index, per)
    if "only" in bound:
        only = _units_with(bound["only"].value, units, sets, variables)
        index = np.where(only, np.cumsum(only) - 1, -1)
        return Bias(int(only.sum()), start, index, None)
    return Bias(units, start, None, None)


def _dimensions(
    node: syntax.Expression, shape: Shape, sets: SetResolver, variables: Mapping[str, int]
) -> tuple[int, ...]:
    """The dimensions of `per = 0` or `per = (0, 2)`, ascending."""
    items = node.items if isinstance(node, syntax.Tuple) else (node,)
    evaluator = sets.names.evaluator(variables)
    dimensions: set[int] = set()
    for item in items:
        dimension = evaluator.integer(item, "a dimension", least=0)
        if dimension >= len(shape):
            raise fail(sets.names.report, codes.NO_DIMENSION, item.span, dimension=dimension, rank=len(shape))
        dimensions.add(dimension)
    return tuple(sorted(dimensions))


def _pooled(shape: Shape, per: tuple[int, ...]) -> Indices:
    """For each unit the entry that it shares with all units of the same indices along `per`."""
    kept = [size if dimension in per else 1 for dimension, size in enumerate(shape)]
    entries = np.arange(int(np.prod(kept))).reshape(kept)
    return np.broadcast_to(entries, shape).reshape(-1).astype(np.int64)


def _units_with(
    node: syntax.Expression, units: int, sets: SetResolver, variables: Mapping[str, int]
) -> np.ndarray:
    report = sets.names.report
    parts = call_parts(node)
    if parts is None or parts[0] != "load":
        raise fail(report, codes.NOT_A_VECTOR, node.span, help='write `only = load("b.npy")`')
    name = sets.file_name(node, bind(report, node, ("file",)), variables)
    only = sets.files.zero_one(name, node.span).reshape(-1)
    if len(only) != units:
        raise fail(report, codes.VECTOR_LENGTH, node.span, name=name, length=len(only), units=units)
    return only
