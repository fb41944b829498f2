"""What a target is: a name, and a function from the plan to the text of its module.

A target meets these rules, which `backends/emit.py` and the tests rely on:

- it emits one Python module, `<model>_<target>.py`, that imports its framework and numpy alone;
- the module reads `<model>.npz` beside it if the plan stores arrays, and nothing else; it refuses
  one with other arrays than it was compiled with;
- parameters have the names of the graph, weights the canonical order, whatever the framework calls them;
- the arrays that go in and come out have the declared shapes, batch first;
- what the framework cannot do is an `Unsupported`, never an approximation.
"""

from __future__ import annotations

import hashlib
import json
import math
import textwrap
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeAlias, TypeGuard

import numpy as np

from ..compiler.edges.edge_set import Diagonal, EdgeSet, Full, Listed, Product, Shape, Shifted
from ..compiler.edges.restated import offset_runs
from ..compiler.edges.structure import described
from ..compiler.graph.graph import (
    Add,
    AddBias,
    Apply,
    ApplyNorm,
    Drop,
    Graph,
    Multiply,
    Operation,
    Parameter,
    Project,
    Value,
)
from ..compiler.graph.model import Drawn, DrawnByFanIn, Given
from ..compiler.plan.choice import Kernel, blocks_of
from ..compiler.plan.plan import FanIn, Plan, part_name
from ..dsl.records import record
from ..dsl.source import Span
from .archive import archived
from .layout import WIDTH, call


class Unsupported(Exception):
    """A target cannot do what the spec asks. `span` is the place in the spec, if one place is to blame.

    `target` is filled in by whoever asked the target.
    """

    def __init__(self, why: str, span: Span | None = None) -> None:
        self.why = why
        self.span = span
        self.target = ""
        super().__init__(why)


Context: TypeAlias = Mapping[str, object]


@record
class Rendering:
    """What a target hands to its template: names to place, kernels to copy, import lines of its own."""

    context: Context
    kernels: frozenset[str]
    imports: frozenset[str]


@record
class Target:
    """A target: `render` turns a plan into what its template needs.

    `kernels` are those of the plan that it has, where there is a choice; for what it lacks it uses `edges`.
    `registered` are the kernels that saved models look up by name. Imports of `guarded` packages may fail
    when a module is imported.
    """

    name: str
    render: Callable[[Plan], Rendering]
    kernels: frozenset[Kernel] = frozenset()
    registered: frozenset[str] = frozenset()
    guarded: frozenset[str] = frozenset()


# ------------------------------------------------------------------------------- text that targets share


def power_of_ten(value: float) -> str:
    """A coefficient for people to read: 0.0001 as `1e-4`."""
    text = f"{value:.12g}"
    if float(text) != value:
        return repr(value)
    mantissa, _, exponent = f"{value:e}".partition("e")
    short = f"{float(mantissa):g}e{int(exponent)}"
    return short if abs(value) < 1e-3 and float(short) == value else text


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape as a Python tuple."""
    return f"({shape[0]},)" if len(shape) == 1 else "(" + ", ".join(map(str, shape)) + ")"


def stored_edges(connection: str) -> str:
    """Source text of both ends of a connection's edges, as two arguments."""
    return f'*edges_of(stored, "{connection}")'


def stored(name: str) -> str:
    """Source text of an array of the npz."""
    return f"stored[{name!r}]".replace("'", '"')


def loss_terms(graph: Graph) -> list[tuple[float, str]]:
    """The terms of the loss in the words of the spec, each with its coefficient."""
    terms = [(t.coefficient, f"{t.loss.name}({t.prediction}, {t.target})") for t in graph.losses]
    return terms + [(p.coefficient, f"{p.penalty.name}({p.parameter})") for p in graph.penalties]


def digest_lines(plan: Plan) -> tuple[str, ...]:
    """Entries of a dict: what `units_digests` gives, as source text."""
    return tuple(
        call(f'"{name}.digest": digest_of(', [f'"{digest}"'], "),", indent=8)
        for name, digest in units_digests(plan).items()
    )


def units_digests(plan: Plan) -> dict[str, str]:
    """A SHA-256 in hexadecimal by input and layer: what gives the entries of its units their meaning.

    It covers the shape, the names along every dimension, in order, and the entry of the bias that each unit
    has. There is one where there are names, where units share or lack biases, and where an end of a sparse
    connection has more than one dimension; else the number of units is all there is to know, and the arrays
    themselves have it as their shape.
    """
    graph = plan.graph
    names: dict[str, dict[int, tuple[str, ...]]] = {}
    for named in graph.unit_names:
        for side, dimension in named.bearers:
            names.setdefault(side, {})[dimension] = named.names
    biases = {layer.name: op for layer in graph.layers for op in chain_of(graph, layer) if _shares_biases(op)}
    ends = {
        end
        for op in graph.operations
        if isinstance(op, Project) and is_sparse(op)
        for end in (op.input.layer or op.input.name, op.layer)
    }
    return {
        value.name: _units_digest(value, names.get(value.name, {}), biases.get(value.name))
        for value in _sides(graph)
        if value.name in names or value.name in biases or (value.name in ends and len(value.shape) > 1)
    }


def _shares_biases(op: Operation) -> TypeGuard[AddBias]:
    """Whether units share biases, or some have none."""
    if not isinstance(op, AddBias) or op.by_unit:
        return False
    if op.index is None:
        return op.bias.shape != (op.output.units,)
    return not np.array_equal(op.index, np.arange(op.output.units))


def _units_digest(value: Value, names: Mapping[int, tuple[str, ...]], bias: AddBias | None) -> str:
    """The SHA-256 of lines of JSON: the shape, then each dimension's names, then each unit's bias.

    Biases that are shared along dimensions are said by the shape that is left, with 1 for these dimensions:
    such a layer may have more units than could be written out.
    """
    digest = hashlib.sha256(json.dumps(value.shape).encode())
    for dimension in range(len(value.shape)):
        digest.update(b"\n" + json.dumps(names.get(dimension)).encode())
    entries: object = None
    if bias is not None:
        entries = {"per": _kept(bias)} if bias.index is None else bias.index.tolist()
    digest.update(b"\n" + json.dumps(entries).encode())
    return digest.hexdigest()


def _sides(graph: Graph) -> tuple[Value, ...]:
    """What connections start from and lead to: inputs and layers."""
    return (*(Value(data.name, data.shape) for data in graph.inputs), *graph.layers)


def batch_text(shape: Shape) -> str:
    """A shape with the batch before it, for people to read."""
    return "(" + ", ".join(["batch", *map(str, shape)]) + ")"


def shapes_text(graph: Graph) -> str:
    """What goes in and what comes out."""
    inputs = ", ".join(f"{data.name} {batch_text(data.shape)}" for data in graph.inputs)
    outputs = ", ".join(f"{name} {batch_text(graph.value(name).shape)}" for name in graph.outputs)
    return f"{inputs} -> {outputs}"


def loss_arguments(graph: Graph) -> tuple[str, ...]:
    """What the loss reads: predictions in the order of their terms, then targets."""
    names = [term.prediction for term in graph.losses] + [term.target for term in graph.losses]
    return tuple(dict.fromkeys(names))


def spelled(table: Mapping[str, str | Unsupported], name: str, **fields: object) -> str:
    """A catalogue entry in a target's own words. Raises `Unsupported` where the table says so."""
    entry = table[name]
    if isinstance(entry, Unsupported):
        raise entry
    return entry.format(**fields)


def training_options(graph: Graph) -> tuple[str, ...]:
    """Options that tell NumPy functions of training: `training` if it differs, `rng` if units are dropped."""
    drops = any(isinstance(op, Drop) for op in graph.operations)
    running = any(isinstance(op, ApplyNorm) and op.norm.running for op in graph.operations)
    return ("training",) * (drops or running) + ("rng",) * drops


def is_identity(projection: Project) -> bool:
    """Whether a projection passes its input on as it is."""
    return isinstance(projection.edges, Diagonal) and projection.weight is None


def is_sparse(projection: Project) -> bool:
    """Whether a projection has listed edges, one weight each, whichever kernel computes it."""
    return not isinstance(projection.edges, Full | Diagonal)


def scaled(coefficient: float, text: str) -> str:
    """`coefficient * text`, or the text alone for 1."""
    if coefficient == -1:
        return f"-{text}"
    return text if coefficient == 1 else f"{power_of_ten(coefficient)} * {text}"


def summary(plan: Plan) -> tuple[str, ...]:
    """The network in a few lines, for a generated file's docstring."""
    graph = plan.graph
    lines = [f"input {data.name} {list(data.shape)}" for data in graph.inputs]
    for layer in graph.layers:
        chain = chain_of(graph, layer)
        projections = [op for op in chain if isinstance(op, Project)]
        steps = [text for op in chain if (text := _step_text(op))]
        sources = " + ".join(_connection_text(op) for op in projections)
        lines.append(f"layer {layer.layer} {list(layer.shape)} <- {sources}")
        if steps:
            lines[-1] += " : " + ", ".join(steps)
    lines.append("output " + ", ".join(graph.outputs))
    for at, (coefficient, term) in enumerate(loss_terms(graph)):
        minus = coefficient < 0
        head = f"loss {'-' * minus}" if at == 0 else f"    {'-' if minus else '+'} "
        lines.append(head + scaled(abs(coefficient), term))
    return tuple(lines)


def chain_of(graph: Graph, layer: Value) -> tuple[Operation, ...]:
    """The operations that make one layer's value."""
    return graph.chains[layer.name]


def _connection_text(projection: Project) -> str:
    edges = projection.edges
    weight = "" if projection.weight else ", no weights"
    if projection.weight and not projection.weight.trainable:
        weight = ", frozen"
    match edges:
        case Full():
            return f"{projection.input.name} (all{weight})"
        case Diagonal():
            return f"{projection.input.name} (one to one{weight})"
        case Listed():
            return f"{projection.input.name} ({edges.count:,} edges{weight})"
        case Shifted() | Product():
            return f"{projection.input.name} ({described(edges)}: {edges.count:,} edges{weight})"


def _step_text(operation: Operation) -> str:
    match operation:
        case AddBias():
            return "bias"
        case Apply():
            given = ", ".join(f"{key}={value:g}" for key, value in operation.arguments)
            return operation.activation.name + (f"({given})" if given else "")
        case ApplyNorm():
            return operation.norm.name
        case Drop():
            return f"dropout({operation.p:g})"
        case Multiply():
            return f"scale({operation.factor:g})"
        case Project() | Add():
            return ""


# ------------------------------------------------------------------------------------------- start values


def start_context(plan: Plan, name: str, *, cached: bool = False, fresh: bool = False) -> dict[str, object]:
    """What the template `start.py.j2` places: every parameter with the source text of its start values.

    Arrays that are `cached` are read-only. With `fresh`, the seed may be None.
    """
    shared = _shared_fan_ins(plan)
    fan_ins = tuple(
        call(f'"{layer}": unit_fan_in(', _fan_in_arguments(plan.fan_in(layer)), "),", 8) for layer in shared
    )
    lines = tuple(_start(parameter, plan, shared) for parameter in plan.graph.parameters)
    return {
        "name": plan.graph.name,
        "fan_ins": fan_ins,
        "start": lines,
        "start_name": name,
        "start_stored": any("stored" in line for line in (*fan_ins, *lines)),
        "start_fresh": fresh,
        "load_stored": "wiring()" if plan.restated else _load_stored(plan, cached=cached),
        "axes": _axes_text(plan),
        "load_names": _load_stored(plan, cached=cached),
        "wiring": tuple(_wiring_line(projection) for projection in plan.restated_projections()),
        "wiring_cached": cached,
        "wiring_type": "Mapping[str, np.ndarray]" if cached else "dict[str, np.ndarray]",
        "wiring_begin": "edges = {" if cached else "return {",
        "wiring_stored": _load_stored(plan, cached=False) if plan.stored else "",
    }


def _axes_text(plan: Plan) -> tuple[str, ...]:
    """Lines that say which axes have names, and what they are dimensions of."""
    lines: list[str] = []
    several = {value.name for value in _sides(plan.graph) if len(value.shape) > 1}
    for named in plan.graph.unit_names:
        bearers = (f"dimension {at} of {side}" if side in several else side for side, at in named.bearers)
        text = f'- "{named.axis}": {len(named.names):,} names, {", ".join(bearers)}'
        lines += textwrap.wrap(text, WIDTH - 4, subsequent_indent="  ", break_long_words=False)
    return tuple(lines)


def _load_stored(plan: Plan, *, cached: bool) -> str:
    given = f'__file__, "{plan.graph.name}.npz", "{archived(plan.stored)[1]}"'
    return f"{'cached' if cached else 'load'}_stored({given})"


def _wiring_line(projection: Project) -> str:
    """The edges of a connection in the words of the kernels that restate them."""
    name, edges = projection.connection, projection.edges
    text = call("**ends_of(", [f'"{name}"', _rule_text(edges, name)], "),", indent=8)
    if all(len(line) <= WIDTH for line in text.splitlines()):
        return text
    return call("**ends_of(", [f'"{name}"', _rule_text(edges, name, indent=12)], "),", indent=8)


def _rule_text(edges: EdgeSet, name: str, indent: int | None = None) -> str:
    """A set in the words of the kernels; a product is broken into lines where an indent is given."""
    n_source, n_target = math.prod(edges.source_shape), math.prod(edges.target_shape)
    match edges:
        case Full():
            return f"every_pair({n_source}, {n_target})"
        case Diagonal():
            return f"same_index({n_target})"
        case Listed():
            return f'Edges(*edges_of(stored, "{name}"), {n_source}, {n_target})'
        case Shifted():
            given = [_short(edges.source_shape), _short(edges.target_shape), _offsets_text(edges)]
            given += [f"strides={_short(edges.strides)}"] * ({*edges.strides} != {1})
            return f"shifted_edges({', '.join([*given, *['wrap=True'] * edges.wrap])})"
        case Product():
            factors = [_rule_text(factor, part_name(name, at)) for at, factor in enumerate(edges.factors)]
            if len(factors) == 1:
                return factors[0]
            if indent is None:
                return f"crossed_edges({', '.join(factors)})"
            return call("crossed_edges(", factors, ")", indent)


def _offsets_text(edges: Shifted) -> str:
    """Offsets as a range where they are one, else as a list in which ranges are unpacked."""
    runs = [_run_text(run) for run in offset_runs(edges.offsets)]
    if len(runs) == 1 and runs[0].startswith("range"):
        return runs[0]
    return f"[{', '.join(f'*{run}' if run.startswith('range') else run for run in runs)}]"


def band_arguments(edges: EdgeSet) -> list[str]:
    """What a kernel for bands takes after its shape: offsets, and stride and wrap if they are not usual."""
    assert isinstance(edges, Shifted)
    ((stride,), wrap) = edges.strides, edges.wrap
    return [_offsets_text(edges), *[f"stride={stride}"] * (stride != 1), *["wrap=True"] * wrap]


def block_arguments(edges: EdgeSet, name: str) -> list[str]:
    """What a kernel for blocks takes after its shape: the size of a block, and which block feeds which.

    Nothing says the latter where each block feeds its own counterpart.
    """
    blocks = blocks_of(edges)
    assert blocks is not None
    size = f"({blocks.targets}, {blocks.sources})"
    match outer := blocks.outer():
        case Diagonal():
            return [size]
        case Listed():
            return [size, stored_edges(part_name(name, 0))]
        case _:
            return [size, f"*{_rule_text(outer, name)}[:2]"]


def _short(shape: Shape) -> str:
    return str(shape[0]) if len(shape) == 1 else str(shape)


def _run_text(run: range | Shape) -> str:
    if not isinstance(run, range):
        return _short(run)
    step = f", {run.step}" if run.step != 1 else ""
    return f"range({run.start}, {run[-1] + 1}{step})"


def stored_needs(plan: Plan, *, cached: bool = False) -> tuple[frozenset[str], frozenset[str]]:
    """Kernels and imports of what reads or restates edges and given values."""
    names = {"names_of", "units_in_table"} if plan.graph.unit_names else set[str]()
    imports = {"from collections.abc import Sequence"} if names else set[str]()
    if names or (plan.stored and not plan.restated):
        names.add(f"{'cached' if cached else 'load'}_stored")
    if not plan.restated:
        return frozenset(names), frozenset(imports)
    texts = [
        _rule_text(projection.edges, projection.connection) for projection in plan.restated_projections()
    ]
    kernels = {"ends_of", *rule_kernels(texts)}
    kernels |= {"load_stored"} if plan.stored else set()
    if cached:
        kernels.add("read_only")
        imports |= {"from functools import cache", "from collections.abc import Mapping"}
    return frozenset(kernels | names), frozenset(imports)


def rule_kernels(texts: Iterable[str]) -> set[str]:
    """The kernels that restate edges in some source texts."""
    rules = ("every_pair", "same_index", "shifted_edges", "crossed_edges", "edges_of", "Edges")
    return {rule for text in texts for rule in rules if f"{rule}(" in text}


def start_kernels(plan: Plan) -> frozenset[str]:
    """The kernels that `start_lines` calls."""
    kernels: set[str] = set()
    for parameter in plan.graph.parameters:
        if isinstance(parameter.start, DrawnByFanIn):
            kernels.add("uniform_by_fan_in")
            if plan.fan_in(plan.graph.weighted[parameter.name].layer).counted:
                kernels.add("unit_fan_in")
        elif isinstance(parameter.start, Drawn):
            kernels.add(parameter.start.distribution)
    return frozenset(kernels)


def _shared_fan_ins(plan: Plan) -> Mapping[str, None]:
    """The layers whose units' fan-ins are counted, for more than one weight: these are counted once."""
    weights = Counter(
        plan.graph.weighted[parameter.name].layer
        for parameter in plan.graph.parameters
        if isinstance(parameter.start, DrawnByFanIn)
    )
    return dict.fromkeys(n for n, count in weights.items() if count > 1 and plan.fan_in(n).counted)


def _fan_in_arguments(fan_in: FanIn) -> list[str]:
    arguments = [str(fan_in.units), *(stored(f"{name}.target") for name in fan_in.counted)]
    return [*arguments, *[f"also={fan_in.constant}"] * bool(fan_in.constant)]


def _start(parameter: Parameter, plan: Plan, shared: Collection[str]) -> str:
    """One line of the dict of start values."""
    shape = shape_text(parameter.shape)
    head = f'"{parameter.name}": '
    draw = ["seed", f'"{parameter.name}"', shape]
    reshaped = f".reshape{shape}" if len(parameter.shape) > 1 else ""
    length = math.prod(parameter.shape)
    match parameter.start:
        case DrawnByFanIn():
            draw.append(_fan_in(parameter, plan, shared))
            return call(f"{head}uniform_by_fan_in(", draw, "),", indent=8)
        case Drawn(distribution=distribution, arguments=arguments):
            draw += [
                repr(a) if isinstance(a, float) else stored(f"{parameter.name}.start_{position}") + reshaped
                for position, a in enumerate(arguments)
            ]
            return call(f"{head}{distribution}(", draw, "),", indent=8)
        case Given(value=value):
            if isinstance(value, float):
                return f"{head}np.full({shape}, {value!r}, np.float32),"
            return f"{head}np.array({stored(f'{parameter.name}.start')}){reshaped},"
        case 0:
            return f"{head}np.zeros({length}, np.float32),"
        case 1:
            return f"{head}np.ones({length}, np.float32),"
        case value:
            return f"{head}np.full({length}, {value!r}, np.float32),"


def _fan_in(parameter: Parameter, plan: Plan, shared: Collection[str]) -> str:
    """Source text of the fan-in of each weight's unit: one number where it is one."""
    projection = plan.graph.weighted[parameter.name]
    fan_in = plan.fan_in(projection.layer)
    if not fan_in.counted:
        return str(fan_in.constant)
    if projection.layer in shared:
        by_unit = f'fan_in["{projection.layer}"]'
    else:
        by_unit = f"unit_fan_in({', '.join(_fan_in_arguments(fan_in))})"
    match projection.edges:
        case Full():
            return f"{by_unit}[:, None]"
        case Diagonal():
            return by_unit
        case Listed() | Shifted() | Product():
            return f"{by_unit}[{stored(projection.connection + '.target')}]"


def _kept(operation: AddBias) -> tuple[int, ...]:
    """The shape of the units with dimensions that share entries at length 1."""
    per = operation.per or ()
    return tuple(size if at in per else 1 for at, size in enumerate(operation.output.shape))


def bias_index(operation: AddBias) -> str:
    """Source text of the entry of every unit: restated for `per`, stored for `only`."""
    if operation.per is None:
        return stored(f"{operation.bias.name}.index")
    shape, kept = operation.output.shape, _kept(operation)
    entries = f"np.arange({math.prod(kept)}).reshape{shape_text(kept)}"
    return f"np.broadcast_to({entries}, {shape_text(shape)}).ravel()"
