"""The operations of a layer: names looked up in the catalogue, arguments evaluated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

import numpy as np

from ...dsl import syntax
from ...dsl.diagnostics import Report, fail
from ...dsl.walk import call_parts, name_of
from ...dsl.words import counted, suggest
from .. import codes
from ..catalogue.activations import ACTIVATIONS, Activation
from ..catalogue.norms import NORMS, Norm
from ..functions.function import Function, is_somewhere_finite
from ..functions.read import refuse_infinite
from ..functions.tree import FUNCTIONS, substituted
from ..graph.model import Activate, Bias, Compute, Dropout, Given, Normalise, Operation, Prelu, Scale
from ..names.arguments import Bound, bind
from ..names.arithmetic import FLOAT32_MAX
from ..names.file_arguments import file_name
from ..names.sides import Side
from ..sets.loading.call import UNIT_PARAMETERS
from ..sets.loading.numbers import numbers_by_unit
from ..sets.resolver import SetResolver
from .functions import function_names, function_of
from .known import Known
from .sharing import SHARED

_ALSO = ("bias", "dropout", "scale", "prelu")


def resolve_operation(
    node: syntax.Reference | syntax.Call, side: Side, known: Known, variables: Mapping[str, int]
) -> Operation | None:
    """One operation of a layer; None for `bias(off)`. Raises `Failed` after recording a diagnostic."""
    report, sets = known.report, known.sets
    name = name_of(report, node)
    if name == "bias":
        return _bias(node, side, sets, variables)
    if name == "dropout":
        bound = bind(report, node, ("p", "per"), 1)
        _required(report, node, bound, "p")
        return Dropout(_number("p", bound, sets, variables), _per(bound, side, sets, variables))
    if name == "scale":
        _refuse_per(node, "multiplies all units by one number", sets)
        bound = bind(report, node, ("factor",))
        _required(report, node, bound, "factor")
        return Scale(_number("factor", bound, sets, variables))
    if name == "prelu":
        return _prelu(node, side, sets, variables)
    if name in NORMS:
        return _norm(NORMS[name], node, side, sets, variables)
    if name in ACTIVATIONS:
        return _activation(ACTIVATIONS[name], node, side, sets, variables)
    if (function := function_of(name, known)) is not None:
        return computed(function, node, sets, variables)
    names = [*_ALSO, *NORMS, *ACTIVATIONS, *function_names(known)]
    guess = suggest(name, names)
    help = f"did you mean `{guess}`?" if guess else "operations are " + ", ".join(f"`{n}`" for n in names)
    if FUNCTIONS.get(name) == 1:
        help = f"`{name}` is a word of functions: `function NAME(x) = {name}(x)` makes an operation of it"
    raise fail(report, codes.UNKNOWN_OPERATION, node.span, name=name, help=help)


def _required(report: Report, node: syntax.Expression, bound: Bound, argument: str) -> None:
    if argument not in bound:
        name = name_of(report, node)
        raise fail(report, codes.MISSING_ARGUMENT, node.span, name=name, argument=argument)


# What numbers of operations must be, by the names of the arguments.
_RANGES: dict[str, tuple[str, Callable[[float], bool]]] = {
    "p": ("at least 0 and below 1", lambda p: 0 <= p < 1),
    "eps": ("above 0", lambda eps: eps > 0),
    "momentum": ("between 0 and 1", lambda momentum: 0 <= momentum <= 1),
}


def _number(key: str, bound: Bound, sets: SetResolver, variables: Mapping[str, int]) -> float:
    """The number that an argument is. Raises `Failed` if it is out of its range."""
    number = float(sets.names.evaluator(variables).number(bound[key].value))
    if key in _RANGES and not _RANGES[key][1](number):
        fields = {"what": f"`{key}`", "wanted": _RANGES[key][0], "value": number}
        raise fail(sets.names.report, codes.OUT_OF_RANGE, bound[key].span, **fields)
    if abs(number) > FLOAT32_MAX:
        raise fail(sets.names.report, codes.BEYOND_FLOAT32, bound[key].span, what=f"`{key}`")
    return number


def _numbers(
    bound: Bound, defaults: tuple[tuple[str, float], ...], sets: SetResolver, variables: Mapping[str, int]
) -> tuple[tuple[str, float], ...]:
    """The numeric arguments of an entry, defaults filled in."""
    return tuple(
        (key, _number(key, bound, sets, variables) if key in bound else default) for key, default in defaults
    )


def _norm(
    entry: Norm, node: syntax.Expression, side: Side, sets: SetResolver, variables: Mapping[str, int]
) -> Normalise:
    # A norm's numbers go by their names: which comes first would have to be looked up.
    bound = bind(sets.names.report, node, (*dict(entry.parameters), "per"), 0)
    numbers, per = _numbers(bound, entry.parameters, sets, variables), _per(bound, side, sets, variables)
    if per is not None and not entry.running:
        _check_pooled(entry.name, per, bound["per"], side, sets)
    return Normalise(entry, numbers, per)


def _activation(
    entry: Activation, node: syntax.Expression, side: Side, sets: SetResolver, variables: Mapping[str, int]
) -> Activate:
    bound = bind(sets.names.report, node, (*dict(entry.parameters), "per"), len(entry.parameters))
    numbers, per = _numbers(bound, entry.parameters, sets, variables), _per(bound, side, sets, variables)
    if per is None:
        return Activate(entry, numbers, (len(side.shape) - 1,))
    _check_pooled(entry.name, per, bound["per"], side, sets)
    return Activate(entry, numbers, tuple(at for at in range(len(side.shape)) if at not in per))


def _prelu(node: syntax.Expression, side: Side, sets: SetResolver, variables: Mapping[str, int]) -> Prelu:
    bound = bind(sets.names.report, node, ("per", "start"), 0)
    per = _per(bound, side, sets, variables)
    entries = side if per is None else side.along(per)
    return Prelu(entries.units, _start(bound, entries, sets, variables, 0.25), per)


def _per(bound: Bound, side: Side, sets: SetResolver, variables: Mapping[str, int]) -> tuple[int, ...] | None:
    """The dimensions that `per` lists; None without it."""
    return _dimensions(bound["per"].value, side, sets, variables) if "per" in bound else None


def _refuse_per(node: syntax.Expression, why: str, sets: SetResolver) -> None:
    """Refuse `per` of an operation in which units neither pool nor share anything."""
    name, arguments = call_parts(node) or ("", ())
    for argument in arguments:
        if argument.name == "per":
            raise fail(
                sets.names.report, codes.NO_PER, argument.span, name=name, why=why, help="leave `per` out"
            )


def _check_pooled(
    name: str, per: tuple[int, ...], argument: syntax.Argument, side: Side, sets: SetResolver
) -> None:
    """Refuse a `per` that leaves an operation nothing but single units to pool over."""
    if prod(side.shape[at] for at in per) == side.units:
        help = "`per` lists the dimensions that stay apart: leave out those to pool over"
        raise fail(sets.names.report, codes.NOTHING_POOLED, argument.span, name=name, help=help)


def computed(
    function: Function, node: syntax.Expression, sets: SetResolver, variables: Mapping[str, int]
) -> Compute:
    """A function of each unit's value, with numbers for all arguments but the first."""
    report, defaults = sets.names.report, dict(function.defaults)
    if "per" not in function.arguments:
        _refuse_per(node, "takes each unit by itself", sets)
    bound = bind(report, node, function.arguments[1:])
    for argument in function.arguments[1:]:
        if argument not in defaults:
            _required(report, node, bound, argument)
    numbers = tuple(
        (key, _plain(_number(key, bound, sets, variables)) if key in bound else defaults[key])
        for key in function.arguments[1:]
    )
    tree = substituted(function.value, dict(numbers))
    refuse_infinite(tree, node, report)
    if not is_somewhere_finite(tree):
        raise fail(report, codes.NOWHERE_FINITE, node.span, name=function.name)
    return Compute(function, numbers)


def _plain(number: float) -> float:
    """A number as one writes it: a whole one without a point, as the defaults have it."""
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _bias(
    node: syntax.Expression, side: Side, sets: SetResolver, variables: Mapping[str, int]
) -> Bias | None:
    report, units = sets.names.report, side.units
    parts = call_parts(node)
    arguments = parts[1] if parts else ()
    if len(arguments) == 1 and arguments[0].name is None and call_parts(arguments[0].value) == ("off", ()):
        return None
    bound = bind(report, node, ("per", "start", "only", "share"), 0)
    share = None
    if "share" in bound:
        name = bound["share"].value
        if not isinstance(name, syntax.Reference):
            raise fail(report, codes.NOT_A_NAME, name.span, what="a shared bias")
        share = sets.names.find(name.name, variables, SHARED).name
    if "per" in bound and "only" in bound:
        raise fail(report, codes.NOT_TOGETHER, node.span, first="per", second="only")
    if "per" in bound:
        per = _dimensions(bound["per"].value, side, sets, variables)
        entries = side.along(per)
        return Bias(entries.units, _start(bound, entries, sets, variables), None, per, share)
    start = _start(bound, side, sets, variables)
    if "only" in bound:
        only = _units_with(bound["only"].value, units, sets, variables)
        index = np.where(only, np.cumsum(only) - 1, -1)
        if isinstance(start, Given):
            start = Given(np.asarray(start.value)[only])
        return Bias(int(only.sum()), start, index, None, share)
    return Bias(units, start, None, None, share)


def _start(
    bound: Bound, side: Side, sets: SetResolver, variables: Mapping[str, int], default: float = 0.0
) -> Given | float:
    """The number that a bias or slope starts as, or those of a file, one a unit."""
    if "start" not in bound:
        return default
    node = bound["start"].value
    parts = call_parts(node)
    if parts is None or parts[0] != "load":
        return _number("start", bound, sets, variables)
    values = numbers_by_unit(sets.load_call(node, variables, UNIT_PARAMETERS), side)
    if np.any(np.abs(values) > FLOAT32_MAX):
        raise fail(sets.names.report, codes.BEYOND_FLOAT32, node.span, what="a number of this file")
    return Given(values.astype(np.float32))


def _dimensions(
    node: syntax.Expression, side: Side, sets: SetResolver, variables: Mapping[str, int]
) -> tuple[int, ...]:
    """The dimensions of `per = 0`, `per = channel` or `per = (0, 2)`, ascending."""
    items = node.items if isinstance(node, syntax.Tuple) else (node,)
    return tuple(sorted({_dimension(item, side, sets, variables) for item in items}))


def _dimension(node: syntax.Expression, side: Side, sets: SetResolver, variables: Mapping[str, int]) -> int:
    """A dimension by its position, or by the axis that it is."""
    report = sets.names.report
    if isinstance(node, syntax.Reference):
        name = sets.names.text(node.name, variables)
        declared = sets.names.declared.get(name)
        if declared is not None and declared.kind == "axis":
            found = [at for at in range(len(side.shape)) if (axis := side.axis(at)) and axis.name == name]
            if len(found) == 1:
                return found[0]
            if found:
                dimensions = " and ".join(map(str, found))
                help = f"write the position of the one that is meant: `{found[0]}`, or `{found[1]}`"
                fields = {"axis": name, "dimensions": dimensions}
                raise fail(report, codes.AXIS_TWICE, node.span, help=help, **fields)
            help = f"the shape of `{side.name}` must name the axis; a position, such as 0, will do as well"
            raise fail(report, codes.AXIS_ELSEWHERE, node.span, axis=name, layer=side.name, help=help)
    dimension = sets.names.evaluator(variables).integer(node, "a dimension", least=0)
    if dimension >= len(side.shape):
        dimensions = ", ".join(map(str, range(len(side.shape))))
        raise fail(report, codes.NO_DIMENSION, node.span, dimension=dimension, dimensions=dimensions)
    return dimension


def _units_with(
    node: syntax.Expression, units: int, sets: SetResolver, variables: Mapping[str, int]
) -> np.ndarray:
    report = sets.names.report
    parts = call_parts(node)
    if parts is None or parts[0] != "load":
        raise fail(report, codes.NOT_A_VECTOR, node.span, help='write `only = load("b.npy")`')
    name = file_name(node, bind(report, node, ("file",)), sets.names, variables)
    only = sets.files.zero_one(name, node.span).reshape(-1)
    if len(only) != units:
        raise fail(
            report, codes.VECTOR_LENGTH, node.span, name=name, length=len(only), units=counted(units, "unit")
        )
    return only
