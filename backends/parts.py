"""Source that targets share, as trees: start values, edges restated from rules, digests, names of units."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from ..compiler.edges.convolution import Window
from ..compiler.edges.edge_set import Diagonal, EdgeSet, Full, Listed, Product, Shape, Shifted
from ..compiler.edges.restated import offset_runs
from ..compiler.graph.graph import Graph, Parameter, Spread, Times, Turned, steps_of
from ..compiler.graph.model import Drawn, DrawnByFanIn, Given
from ..compiler.plan.kernels import blocks_of
from ..compiler.plan.plan import FanIn, Plan, part_name
from .archive import archived
from .kernels import names_of
from .source import (
    WIDTH,
    Call,
    Constant,
    Display,
    Expression,
    For,
    Function,
    Keyword,
    Name,
    Pair,
    Scope,
    Starred,
    Statement,
    Subscript,
    Vocabulary,
    node,
)
from .source import (
    Given as Quoted,
)
from .target import kept, sides, units_digests

_IMPORTS = {
    "math": "import math",
    "np": "import numpy as np",
    "cache": "from functools import cache",
    "Mapping": "from collections.abc import Mapping",
    "Sequence": "from collections.abc import Sequence",
}
_DEFINED = frozenset(["wiring", "unit_names", "in_order"])
_LOCAL = frozenset(["__file__", "axis", "columns", "edges", "fan_in", "missing", "seed", "stored", "table"])


def vocabulary(
    target: str,
    imports: Mapping[str, str] | None = None,
    defined: Collection[str] = (),
    local: Collection[str] = (),
) -> Vocabulary:
    """The names of ours in a target's code: its own beside those of the parts that all share."""
    return Vocabulary(
        {**_IMPORTS, **(imports or {})}, names_of(target), _DEFINED | {*defined}, _LOCAL | {*local}
    )


def names_of_spec(graph: Graph) -> frozenset[str]:
    """Every name of inputs, targets, layers, connections, and of the values between them."""
    data = {data.name for data in (*graph.inputs, *graph.targets)}
    shared = {parameter.name for parameter in graph.parameters if parameter.is_named}
    return frozenset(data | {*graph.values} | {op.connection for op in graph.projections} | shared)


def spelled(scope: Scope, table: Mapping[str, str], name: str, **holes: object) -> Expression:
    """A catalogue entry in a target's own words."""
    return scope.expression(table[name], **holes)  # pyright: ignore[reportArgumentType]


# --------------------------------------------------------------------------------------- what is stored


def stored(scope: Scope, name: str) -> Subscript:
    """An array of the npz."""
    return scope.name("stored").at(name)


def stored_edges(scope: Scope, connection: str) -> Starred:
    """Both ends of a connection's edges, as two arguments."""
    return Starred(scope.name("edges_of")(scope.name("stored"), connection))


def loaded(scope: Scope, plan: Plan, *, cached: bool = False) -> Expression:
    """What gives the arrays that are stored, and with them the edges that are restated if there are any.

    Arrays that are `cached` are read-only.
    """
    return scope.expression("wiring()") if plan.restated else _loaded(scope, plan, cached=cached)


def _loaded(scope: Scope, plan: Plan, *, cached: bool) -> Expression:
    load = scope.name("cached_stored" if cached else "load_stored")
    return load(scope.name("__file__"), f"{plan.graph.name}.npz", archived(plan.stored)[1])


def loading(scope: Scope, plan: Plan, *trees: object, cached: bool = False) -> tuple[Statement, ...]:
    """The statement that loads what is `stored`, where trees read that; none where they do not."""
    if not scope.reads("stored", *trees):
        return ()
    return scope.statements("stored = loaded", loaded=loaded(scope, plan, cached=cached))


def index_of(scope: Scope, spread: Spread) -> Expression:
    """Which entry of a parameter stands where: restated for `per`, else stored."""
    if spread.per is None:
        return stored(scope, f"{spread.name}.index")
    return index_along(scope, spread.shape, spread.per)


def index_along(scope: Scope, shape: Shape, per: Collection[int]) -> Expression:
    """A number for every unit, equal for units with equal indices along some dimensions."""
    entries = kept(shape, per)
    return scope.expression(
        "np.broadcast_to(np.arange(count).reshape(*entries), shape).ravel()",
        count=math.prod(entries),
        entries=entries,
        shape=shape,
    )


def factor_of(scope: Scope, times: Times) -> Expression:
    """What entries are multiplied by, in their shape."""
    if isinstance(times.factor, float):
        return node(times.factor)
    return in_shape(scope, stored(scope, f"{times.name}.times"), times.shape)


def digest_pairs(scope: Scope, plan: Plan) -> list[Pair]:
    """Entries of a dict: what `units_digests` gives."""
    digest_of = scope.name("digest_of")
    return [Pair(node(f"{name}.digest"), digest_of(digest)) for name, digest in units_digests(plan).items()]


# ------------------------------------------------------------------------------------ edges from rules


def rule(scope: Scope, edges: EdgeSet, name: str) -> Expression:
    """A set of edges in the words of the kernels that restate them; a list is read from what is stored."""
    n_source, n_target = math.prod(edges.source_shape), math.prod(edges.target_shape)
    match edges:
        case Full():
            return scope.name("every_pair")(n_source, n_target)
        case Diagonal():
            return scope.name("same_index")(n_target)
        case Listed():
            return scope.expression(
                "Edges(*ends, n_source, n_target)",
                ends=[stored_edges(scope, name)],
                n_source=n_source,
                n_target=n_target,
            )
        case Shifted():
            strides = {} if {*edges.strides} == {1} else {"strides": _short(edges.strides)}
            return scope.expression(
                "shifted_edges(source, target, offsets, **strides, **wrap)",
                source=_short(edges.source_shape),
                target=_short(edges.target_shape),
                offsets=_offsets(scope, edges),
                strides=strides,
                wrap={"wrap": True} if edges.wrap else {},
            )
        case Product():
            factors = [rule(scope, factor, part_name(name, at)) for at, factor in enumerate(edges.factors)]
            return factors[0] if len(factors) == 1 else Call(scope.name("crossed_edges"), tuple(factors))


def _short(shape: Shape) -> int | Shape:
    return shape[0] if len(shape) == 1 else shape


def _offsets(scope: Scope, edges: Shifted) -> Expression:
    """Offsets as a range where they are one, else as a list in which ranges are unpacked."""
    runs = offset_runs(edges.offsets)
    if len(runs) == 1 and isinstance(runs[0], range):
        return _range(scope, runs[0])
    items = [Starred(_range(scope, run)) if isinstance(run, range) else node(_short(run)) for run in runs]
    return scope.expression("[*items]", items=items)


def _range(scope: Scope, run: range) -> Expression:
    step = [run.step] if run.step != 1 else []
    start = [run.start] if run.start or step else []
    return scope.expression("range(*given)", given=[*start, run[-1] + 1, *step])


def band_arguments(scope: Scope, edges: EdgeSet) -> list[Expression]:
    """What a kernel for bands takes after its shape: offsets, and stride and wrap if they are not usual."""
    assert isinstance(edges, Shifted)
    (stride,) = edges.strides
    unusual = [Keyword("stride", node(stride))] if stride != 1 else []
    return [_offsets(scope, edges), *unusual, *([Keyword("wrap", node(True))] if edges.wrap else [])]


def block_arguments(scope: Scope, edges: EdgeSet, name: str) -> list[Expression]:
    """What a kernel for blocks takes after its shape: the size of a block, and which block feeds which.

    Nothing says the latter where each block feeds its own counterpart.
    """
    blocks = blocks_of(edges)
    assert blocks is not None
    size = node((blocks.targets, blocks.sources))
    match outer := blocks.outer():
        case Diagonal():
            return [size]
        case Listed():
            return [size, stored_edges(scope, part_name(name, 0))]
        case _:
            return [size, Starred(scope.expression("edges[:2]", edges=rule(scope, outer, name)))]


def windows(scope: Scope, window: Window) -> Expression:
    """A convolution in the words of the kernels."""
    return scope.name("Windows")(**window_fields(window))


def window_fields(window: Window) -> dict[str, Quoted]:
    """The fields of `Windows`: those that are as usual are left out."""
    along = window.along
    plain = tuple(range(len(window.kernel)))
    unusual: dict[str, Quoted] = {
        "groups": window.groups if window.groups > 1 else (),
        "copies": window.copies if window.copies > 1 else (),
        "wrap": tuple(each.wrap for each in along) if any(each.wrap for each in along) else (),
        "channels_last": window.last if any(window.last) else (),
        "order": window.order if window.order != plain else (),
        "flipped": window.flipped,
    }
    return {
        "grid": tuple(each.sources for each in along),
        "places": tuple(each.targets for each in along),
        "kernel": window.kernel,
        "pad": tuple((each.before, each.after) for each in along),
        "stride": tuple(each.stride for each in along),
        "dilation": tuple(each.dilation for each in along),
        **{name: value for name, value in unusual.items() if value},
    }


def wiring(scope: Scope, plan: Plan, *, cached: bool = False) -> tuple[Statement, ...]:
    """The function that gives both ends of every edge; none where no edges are restated."""
    if not plan.restated:
        return ()
    entries = [
        Pair(None, scope.name("ends_of")(op.connection, rule(scope, op.edges, op.connection)))
        for op in plan.restated_projections()
    ]
    head: tuple[Statement, ...] = ()
    if plan.stored:
        head = scope.statements("stored = loaded", loaded=_loaded(scope, plan, cached=False))
        entries.insert(0, Pair(None, scope.name("stored")))
    said = "Both ends of every edge by its connection, restated from the spec's rules, and what is stored."
    if not cached:
        text = "def wiring() -> dict[str, np.ndarray]:\n    head\n    return {**entries,}"
    else:
        text = (
            "@cache\ndef wiring() -> Mapping[str, np.ndarray]:\n"
            "    head\n    edges = {**entries,}\n    return read_only(edges)"
        )
    return _with_docstring(scope.statements(text, head=head, entries=entries), said)


# ------------------------------------------------------------------------------------------ start values


def start_function(
    scope: Scope, plan: Plan, name: str, *, cached: bool = False, fresh: bool = False
) -> tuple[Statement, ...]:
    """The function of every parameter's start values. With `fresh`, the seed may be None."""
    shared = _shared_fan_ins(plan)
    fan_ins = [
        Pair(node(layer), scope.expression("unit_fan_in(*given)", given=_counted(scope, plan.fan_in(layer))))
        for layer in shared
    ]
    entries = [
        Pair(node(parameter.name), _start(scope, parameter, plan, shared))
        for parameter in plan.graph.parameters
    ]
    body: list[Statement] = []
    if fresh:
        drawn = "int(np.random.default_rng().integers(2**63 - 1))"
        body += scope.statements(f"seed = {drawn} if seed is None else seed")
    body += loading(scope, plan, fan_ins, entries, cached=cached)
    if fan_ins:
        body += scope.statements("fan_in = {**entries,}", entries=fan_ins)
    said = (
        "Start values by name: weights drawn from (seed, name) alone, so every target starts from the same."
    )
    if fresh:
        said += "\n\n`seed=None` draws a fresh seed, from the entropy of the system."
    (frame,) = _functions(
        scope.statements(
            f"def start(seed: {'int | None' if fresh else 'int'} = 0) -> dict[str, np.ndarray]:\n"
            "    body\n    return {**entries,}",
            body=body,
            entries=entries,
        )
    )
    return _with_docstring([replace(frame, name=name)], said)


def _shared_fan_ins(plan: Plan) -> Mapping[str, None]:
    """The layers whose units' fan-ins are counted, for more than one weight: these are counted once."""
    weights = Counter(
        plan.graph.weighted[parameter.name].layer
        for parameter in plan.graph.parameters
        if isinstance(parameter.start, DrawnByFanIn)
    )
    return dict.fromkeys(n for n, count in weights.items() if count > 1 and plan.fan_in(n).counted)


def _counted(scope: Scope, fan_in: FanIn) -> list[Expression]:
    """The arguments of `unit_fan_in`."""
    counted = [stored(scope, f"{name}.target") for name in fan_in.counted]
    also = [Keyword("also", node(fan_in.constant))] if fan_in.constant else []
    return [node(fan_in.units), *counted, *also]


def _start(scope: Scope, parameter: Parameter, plan: Plan, shared: Collection[str]) -> Expression:
    """The start values of one parameter."""
    shape, length = parameter.shape, math.prod(parameter.shape)
    match parameter.start:
        case DrawnByFanIn():
            fan_in = _fan_in(scope, parameter, plan, shared)
            return scope.expression(
                "uniform_by_fan_in(seed, name, shape, fan_in)",
                name=parameter.name,
                shape=shape,
                fan_in=fan_in,
            )
        case Drawn(distribution=distribution, arguments=arguments):
            given = [
                a
                if isinstance(a, float)
                else in_shape(scope, stored(scope, f"{parameter.name}.start_{position}"), shape)
                for position, a in enumerate(arguments)
            ]
            return scope.expression(
                "draw(seed, name, shape, *given)",
                draw=scope.name(distribution),
                name=parameter.name,
                shape=shape,
                given=given,
            )
        case Given(value=float() as value):
            return scope.expression("np.full(shape, value, np.float32)", shape=shape, value=value)
        case Given():
            array = scope.expression("np.array(given)", given=stored(scope, f"{parameter.name}.start"))
            return in_shape(scope, array, shape)
        case 0:
            return scope.expression("np.zeros(length, np.float32)", length=length)
        case 1:
            return scope.expression("np.ones(length, np.float32)", length=length)
        case value:
            return scope.expression("np.full(length, value, np.float32)", length=length, value=value)


def in_shape(scope: Scope, array: Expression, shape: tuple[int, ...]) -> Expression:
    """An array that is held flat, in its shape."""
    return array if len(shape) == 1 else scope.expression("array.reshape(*shape)", array=array, shape=shape)


def _fan_in(scope: Scope, parameter: Parameter, plan: Plan, shared: Collection[str]) -> Expression:
    """The fan-in of each weight's unit: one number where it is one."""
    projection = plan.graph.weighted[parameter.name]
    assert projection.weight is not None
    fan_in = plan.fan_in(projection.layer)
    if not fan_in.counted:
        return Constant(fan_in.constant)
    if projection.layer in shared:
        by_unit = scope.name("fan_in").at(projection.layer)
    else:
        by_unit = scope.expression("unit_fan_in(*given)", given=_counted(scope, fan_in))
    spread = next((step for step in steps_of(projection.weight) if isinstance(step, Spread)), None)
    if isinstance(projection.edges, Full):
        if spread is not None:
            sources = projection.input.units
            by_edge = scope.expression("np.repeat(by_unit, sources)", by_unit=by_unit, sources=sources)
            return _largest(scope, by_edge, spread)
        turned = any(isinstance(step, Turned) for step in steps_of(projection.weight))
        return by_unit if turned else scope.expression("by_unit[:, None]", by_unit=by_unit)
    by_edge: Expression = by_unit
    if not isinstance(projection.edges, Diagonal):
        targets: Expression = stored(scope, f"{projection.connection}.target")
        if whole := plan.graph.parts.get(projection.connection):
            targets = scope.name("targets_of")(scope.name("stored"), *whole.parts)
        by_edge = Subscript(by_unit, targets)
    return by_edge if spread is None else _largest(scope, by_edge, spread)


def _largest(scope: Scope, by_edge: Expression, spread: Spread) -> Expression:
    """The largest number of all edges that share an entry, in the shape of the parameter."""
    shape = spread.of.shape
    largest = scope.name("largest_of_entry")(by_edge, index_of(scope, spread), math.prod(shape))
    if len(shape) == 1:
        return largest
    return scope.expression("np.reshape(largest, shape)", largest=largest, shape=shape)


# ---------------------------------------------------------------------------------------- names of units


def unit_name_functions(scope: Scope, plan: Plan, *, cached: bool = False) -> list[tuple[Statement, ...]]:
    """`unit_names` and `in_order`, a block each; none where no axis has names."""
    if not plan.graph.unit_names:
        return []
    names = scope.statements(
        "def unit_names(axis: str) -> np.ndarray:\n    return names_of(loaded, axis)",
        loaded=_loaded(scope, plan, cached=cached),
    )
    order = scope.statements(_IN_ORDER)
    return [_with_docstring(names, _axes_text(plan)), order]


_IN_ORDER = '''
def in_order(
    columns: Sequence[str], axis: str, table: np.ndarray | None = None, missing: float | None = None
) -> np.ndarray:
    """Where an axis's units are among a table's columns: `table[:, in_order(header, axis)]` has their order.

    Given the `table` (..., columns) too, these columns of it, as `units_in_table` says.
    """
    return units_in_table(unit_names(axis), columns, table, missing)
'''


def _with_docstring(block: Sequence[Statement], said: str) -> tuple[Statement, ...]:
    return tuple(replace(function, docstring=said) for function in _functions(block))


def _functions(block: Sequence[Statement]) -> list[Function]:
    return [statement for statement in block if isinstance(statement, Function)]


def _axes_text(plan: Plan) -> str:
    """Which axes have names, and what they are dimensions of."""
    lines = ["Names of the units along an axis, in the order of the model's arrays. Axes with names:", ""]
    several = {value.name for value in sides(plan.graph) if len(value.shape) > 1}
    for named in plan.graph.unit_names:
        bearers = (f"dimension {at} of {side}" if side in several else side for side, at in named.bearers)
        text = f'- "{named.axis}": {len(named.names):,} names, {", ".join(bearers)}'
        lines += textwrap.wrap(text, WIDTH - 4, subsequent_indent="  ", break_long_words=False)
    return "\n".join(lines)


def in_steps(scope: Scope, whole: Expression) -> Expression:
    """A value at all steps as a list of what it is at each."""
    return scope.expression("in_steps(x, steps)", x=whole)


def each_step(
    scope: Scope, at: Sequence[Name], each: Sequence[Expression], body: Sequence[Statement]
) -> Statement:
    """The loop over all steps of time, in which values have the names `at`; `each` has the steps of each."""
    if not each:
        return For(scope.name("_"), scope.expression("range(steps)"), tuple(body))
    if len(each) == 1:
        return For(at[0], each[0], tuple(body))
    zipped = scope.expression("zip(*each, strict=True)", each=each)
    return For(Display("()", tuple(at), bare=True), zipped, tuple(body))
