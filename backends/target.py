"""What a target is: a name, and a function from the plan to the text of its module.

A target meets these rules, which `backends/emit.py` and the tests rely on:

- it emits one Python module, `<model>_<target>.py`, that imports its framework and numpy alone;
- the module reads `<model>.npz` beside it if the plan stores arrays, and nothing else; it refuses
  one with other arrays than it was compiled with;
- parameters have the names of the graph, weights the canonical order, whatever the framework calls them;
- the arrays that go in and come out have the declared shapes, batch first;
- what the framework has no way to do is written out in a kernel, never approximated.
"""

from __future__ import annotations

import hashlib
import json
import math
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias, TypeGuard

import numpy as np

from ..compiler.edges.edge_set import Diagonal, Full, Indices, Listed, Product, Shape, Shifted
from ..compiler.edges.structure import described
from ..compiler.functions.text import said as as_text
from ..compiler.functions.tree import Argument, substituted
from ..compiler.graph.graph import (
    Add,
    AddBias,
    Apply,
    ApplyNorm,
    Combine,
    Compute,
    Delay,
    Divided,
    Drop,
    Graph,
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
    input_value,
    parameters_of,
    steps_of,
)
from ..compiler.graph.model import Data, ExpressionTerm, LossTerm
from ..compiler.plan.plan import Plan
from ..dsl.records import record
from .common.kernels.edge_digest import edge_digest
from .source import WIDTH, Name, Needs, flat, scaled

Context: TypeAlias = Mapping[str, object]


@record
class Rendering:
    """What a target hands to its template: names to place, kernels to copy and import lines of its own."""

    context: Context
    needs: Needs


@record
class Target:
    """A target: `render` turns a plan into what its template needs.

    `called` is what people call it. `registered` are the kernels that saved models look up by name. Imports
    of `guarded` packages may fail when a module is imported. One that `rematerialises` can keep every Nth
    state of a network over time, and compute the others again.
    """

    name: str
    called: str
    render: Callable[[Plan], Rendering]
    registered: frozenset[str] = frozenset()
    guarded: frozenset[str] = frozenset()
    rematerialises: bool = False


# -------------------------------------------------------------------------------- what targets ask of a plan


def units_digests(plan: Plan) -> dict[str, str]:
    """A SHA-256 in hexadecimal by input and layer: what gives the entries of its units their meaning.

    One of edges, by connection, is that of connections whose edges are divided among projections.

    It covers the shape, the names along every dimension, in order, and the entry of the bias that each unit
    has. There is one where there are names, where units share or lack biases, or share slopes or statistics,
    where several class codes go in, and where an end of a sparse connection has more than one dimension; else
    the number of units is all there is to know, and the arrays themselves have it as their shape.
    """
    graph = plan.graph
    names: dict[str, dict[int, tuple[str, ...]]] = {}
    for named in graph.unit_names:
        for side, dimension in named.bearers:
            names.setdefault(side, {})[dimension] = named.names
    biases = {
        name: bias for name, chain in graph.chains.items() for op in chain if (bias := _shared_bias(op))
    }
    grouped: dict[str, list[Rectify | ApplyNorm]] = {}
    for name, chain in graph.chains.items():
        for op in chain:
            if _is_grouped(op):
                grouped.setdefault(name, []).append(op)
    shared: dict[str, list[list[str]]] = {}
    orders = {each.connection: each.order for each in graph.divided}
    for name, (op, *_) in graph.connections.items():
        if op.parameter and (how := _how_shared(op, orders.get(name))):
            shared.setdefault(op.layer, []).append([name, op.parameter.name, how])
    ends = {
        end
        for op in graph.projections
        if is_sparse(op)
        for end in (op.input.layer or op.input.name, op.layer)
    }
    of_edges = {each.connection: _edges_digest(each) for each in graph.divided if is_sparse(each)}
    of_units = {
        value.name: _units_digest(
            value,
            names.get(value.name, {}),
            biases.get(value.name),
            grouped.get(value.name, []),
            shared.get(value.name, []),
        )
        for value in sides(graph)
        if value.name in names.keys() | biases.keys() | grouped.keys() | shared.keys()
        or (value.classes and value.positions > 1)
        or (value.name in ends and len(value.shape) > 1)
    }
    return of_units | of_edges


def _edges_digest(divided: Divided) -> str:
    """What `edge_digest` gives of a connection whose edges are divided among projections, in hexadecimal."""
    edges = divided.edges
    shape = math.prod(edges.target_shape), math.prod(edges.source_shape)
    return edge_digest(*edges.edges(), shape).astype("<i8").tobytes().hex()


def _shared_bias(op: Operation) -> Spread | None:
    """The bias of a step, if units share it or some have none."""
    if not isinstance(op, AddBias) or not isinstance(op.bias, Spread):
        return None
    bias, units = op.bias, op.output.units
    if bias.index is None:
        return bias if bias.of.shape != (units,) else None
    return None if np.array_equal(bias.index, np.arange(units)) else bias


def _is_grouped(op: Operation) -> TypeGuard[Rectify | ApplyNorm]:
    """Whether units share what a step holds besides biases."""
    if not isinstance(op, Rectify | ApplyNorm):
        return False
    return any(parameter.shape != (op.output.units,) for parameter in parameters_of(op))


def _how_shared(op: Project, order: Indices | None) -> str:
    """Which entry of its parameter each edge of a connection has; empty where every one has its own.

    Of a connection that is divided, the weight is in the `order` of the parts.
    """
    for step in steps_of(op.weight) if op.weight else ():
        if isinstance(step, Turned):
            return "turned"
        if isinstance(step, Spread) and step.index is not None:
            index = step.index
            if order is not None:
                index = np.empty_like(index)
                index[order] = step.index
                if np.array_equal(index, np.arange(math.prod(step.of.shape))):
                    return ""
            return hashlib.sha256(index.astype("<i8").tobytes()).hexdigest()
    return ""


def _units_digest(
    value: Value,
    names: Mapping[int, tuple[str, ...]],
    bias: Spread | None,
    grouped: Sequence[Rectify | ApplyNorm],
    shared: Sequence[Sequence[str]],
) -> str:
    """The SHA-256 of lines of JSON: the shape, each dimension's names, each unit's bias, and shared weights.

    Biases that are shared along dimensions are said by the shape that is left, with 1 for these dimensions:
    such a layer may have more units than could be written out. So are other shared parameters, after these.
    """
    digest = hashlib.sha256(json.dumps(value.shape).encode())
    for dimension in range(len(value.shape)):
        digest.update(b"\n" + json.dumps(names.get(dimension)).encode())
    entries: object = None
    if bias is not None:
        entries = {"per": kept(bias.shape, bias.per or ())} if bias.index is None else bias.index.tolist()
    digest.update(b"\n" + json.dumps(entries).encode())
    others = {
        "prelu" if isinstance(op, Rectify) else op.norm.name: kept(op.output.shape, op.per or ())
        for op in grouped
    }
    if others:
        digest.update(b"\n" + json.dumps(others).encode())
    if shared:
        digest.update(b"\n" + json.dumps(shared).encode())
    return digest.hexdigest()


def sides(graph: Graph) -> tuple[Value, ...]:
    """What connections start from and lead to: inputs and layers."""
    return (*(input_value(data) for data in graph.inputs), *graph.layers)


def batch_text(shape: Shape, *, over_time: bool = False) -> str:
    """A shape with the batch before it, and the steps of what is over time, for people to read."""
    return "(" + ", ".join(["batch", *["steps"] * over_time, *map(str, shape)]) + ")"


def shapes_text(graph: Graph) -> str:
    """What goes in and what comes out."""
    inputs = ", ".join(
        f"{data.name} {batch_text(data.shape, over_time=data.over_time)}" for data in graph.inputs
    )
    shapes = {name: graph.value(name).shape for name in graph.outputs}
    outputs = ", ".join(
        f"{name} {batch_text(shape, over_time=name in graph.over_time)}" for name, shape in shapes.items()
    )
    return f"{inputs} -> {outputs}"


def loss_arguments(graph: Graph) -> tuple[str, ...]:
    """What the loss reads: predictions in the order of their terms, then targets."""
    return (*graph.compared, *dict.fromkeys(name for term in graph.losses for name in term.data))


def training_options(graph: Graph) -> tuple[str, ...]:
    """Options that tell NumPy functions of training: `training` if it differs, `rng` if units are dropped."""
    drops = any(isinstance(op, Drop) for op in graph.operations)
    running = any(isinstance(op, ApplyNorm) and op.norm.running for op in graph.operations)
    return ("training",) * (drops or running) + ("rng",) * drops


def is_identity(projection: Project) -> bool:
    """Whether a projection passes its input on as it is."""
    return isinstance(projection.edges, Diagonal) and projection.weight is None


def is_sparse(projection: Project | Divided) -> bool:
    """Whether a projection has listed edges, one weight each, whichever kernel computes it."""
    return not isinstance(projection.edges, Full | Diagonal)


def summary(plan: Plan) -> tuple[str, ...]:
    """The network in a few lines, for a generated file's docstring."""
    graph = plan.graph
    lines = [_input_text(data) for data in graph.inputs]
    late = {key: Argument(_late(delay)) for key, delay in graph.delayed.items()}
    for layer in graph.layers:
        chain = chain_of(graph, layer)
        entering = _entering(chain, graph)
        steps = [text for op in chain if (text := _step_text(op))]
        head = f"layer {layer.layer} {list(layer.shape)}"
        if expression := expression_of(chain):
            lines.append(f"{head} = {as_text(substituted(expression.tree, late))}")
        else:
            lines.append(f"{head} <- {' + '.join(entering)}")
            if len(lines[-1]) > WIDTH:
                first, *others = entering
                lines[-1:] = [f"{head} <- {first}", *(f"    + {each}" for each in others)]
        if steps:
            then = " : " + ", ".join(steps)
            if len(lines[-1]) + len(then) > WIDTH:
                lines.append("   " + then)
            else:
                lines[-1] += then
    if graph.steps:
        lines.append(f"steps {graph.steps}")
    last = [name for name in graph.outputs if name not in graph.over_time]
    lines += ["output " + ", ".join(last)] if last else []
    over = [name for name in graph.outputs if name in graph.over_time]
    lines += ["output " + ", ".join(over) + " over time"] if over else []
    terms = [(t.coefficient, _loss_text(t)) for t in graph.losses]
    terms += [(p.coefficient, f"{p.penalty.name}({p.parameter})") for p in graph.penalties]
    for at, (coefficient, term) in enumerate(terms):
        minus = coefficient < 0
        head = f"loss {'-' * minus}" if at == 0 else f"    {'-' if minus else '+'} "
        lines.append(head + flat(scaled(abs(coefficient), Name(term))))
    wrapped = (
        textwrap.wrap(line, WIDTH, subsequent_indent=" " * 6, break_long_words=False) for line in lines
    )
    return tuple(part for parts in wrapped for part in parts)


def _input_text(data: Data) -> str:
    shape = f" {list(data.shape)}" if data.shape or data.classes is None else ""
    classes = f": class[{data.classes:,}]" if data.classes else ""
    return f"input {data.name}{shape}{classes}{' over time' * data.over_time}"


def _loss_text(term: LossTerm | ExpressionTerm) -> str:
    """A term of the loss, without its coefficient."""
    if isinstance(term, LossTerm):
        name, given = term.loss.called or term.loss.name, [each for each in term.arguments if each[1]]
    elif term.name:
        name, given = term.name, term.numbers
    else:
        return f"{term.pool}({as_text(term.value)})"
    numbers = [f"{key} = {_numbers_text(value)}" for key, value in given]
    return f"{name}({', '.join([*term.layers, *term.data, *numbers])})"


def _numbers_text(value: float | tuple[float, ...] | None) -> str:
    return f"[{', '.join(f'{each:g}' for each in value)}]" if isinstance(value, tuple) else f"{value:g}"


def behind(chain: Sequence[Operation]) -> list[Operation]:
    """The steps of a layer behind what makes its sum, or behind its expression."""
    return [op for op in chain if not isinstance(op, Project | Add | Combine)]


def expression_of(chain: Sequence[Operation]) -> Combine | None:
    """The expression that a layer is, if it is one."""
    first = chain[0]
    return first if isinstance(first, Combine) else None


def chain_of(graph: Graph, layer: Value) -> tuple[Operation, ...]:
    """The operations that make one layer's value."""
    return graph.chains[layer.name]


def _late(delay: Delay) -> str:
    """An earlier step of a value, as an expression says it."""
    return f"before({delay.input.name}{f', {delay.steps}' if delay.steps > 1 else ''})"


def _entering(chain: Sequence[Operation], graph: Graph) -> list[str]:
    """What enters a layer, connection by connection."""
    texts: list[str] = []
    for op in (op for op in chain if isinstance(op, Project)):
        whole = graph.parts.get(op.connection)
        if whole is None:
            texts.append(_connection_text(op, graph))
        elif op.connection == whole.parts[0]:
            texts.append(_divided_text(whole, op, graph))
    return texts


def _divided_text(whole: Divided, projection: Project, graph: Graph) -> str:
    """A connection of several delays, of which `projection` is the first part."""
    delays = [graph.delayed[op.input.name].steps for op in graph.connections[whole.connection]]
    source = graph.delayed[projection.input.name].input.name
    text = f"{whole.edges.count:,} edges of {len(delays)} delays, {delays[0]} to {delays[-1]}"
    return f"{source} ({text}{_weight_text(projection)})"


def _connection_text(projection: Project, graph: Graph) -> str:
    edges, source = projection.edges, projection.input.name
    if source in graph.delayed:
        source = _late(graph.delayed[source])
    weight = _weight_text(projection)
    match edges:
        case Full() if projection.input.classes:
            return f"{source} (embedding{weight})"
        case Full():
            return f"{source} (all{weight})"
        case Diagonal():
            return f"{source} (one to one{weight})"
        case Listed():
            return f"{source} ({edges.count:,} edges{weight})"
        case Shifted() | Product():
            return f"{source} ({described(edges)}: {edges.count:,} edges{weight})"


def _weight_text(projection: Project) -> str:
    """What there is to say of the weights of a connection, and of how it pools."""
    weight = "" if projection.weight else ", no weights"
    if projection.parameter and not projection.parameter.trainable:
        weight = ", frozen"
    if projection.parameter and not projection.holds_weight:
        weight += _made_text(projection.parameter, steps_of(projection.weight or projection.parameter))
    if isinstance(projection, Pool):
        weight += f", {projection.reduction.name}"
    return weight


def _made_text(parameter: Parameter, steps: Sequence[Made]) -> str:
    """How weights are made of a parameter, in a few words."""
    words = [f"weights {parameter.name}"] if parameter.is_named else []
    for step in steps:
        match step:
            case Spread() if not parameter.is_named and not _is_permuted(step):
                words.append(f"{math.prod(parameter.shape):,} weights")
            case Turned():
                words.append("transposed")
            case Through(function=function):
                words.append(f"through {function.name}")
            case Times(factor=float() as factor) if abs(factor) != 1:
                words.append(f"times {factor:g}")
            case _:
                pass
    return "".join(f", {word}" for word in words)


def _is_permuted(step: Spread) -> bool:
    """Whether a weight has every entry of its parameter once, in another order."""
    size = math.prod(step.of.shape)
    return step.index is not None and len(step.index) == size == len(np.unique(step.index))


def _step_text(operation: Operation) -> str:
    match operation:
        case AddBias():
            return "bias"
        case Apply():
            given = ", ".join(f"{key}={value:g}" for key, value in operation.arguments)
            shape, over = operation.output.shape, operation.over
            if over and over != (len(shape) - 1,):
                given = _per_text(tuple(at for at in range(len(shape)) if at not in over))
            return operation.activation.name + (f"({given})" if given else "")
        case Rectify():
            return f"prelu({per})" if (per := _per_text(operation.per)) else "prelu"
        case Compute():
            given = ", ".join(f"{key}={value:g}" for key, value in operation.numbers)
            return operation.function.name + (f"({given})" if given else "")
        case ApplyNorm():
            return (
                f"{operation.norm.name}({per})" if (per := _per_text(operation.per)) else operation.norm.name
            )
        case Drop():
            return f"dropout({', '.join(filter(None, [f'{operation.p:g}', _per_text(operation.per)]))})"
        case Multiply():
            return f"scale({operation.factor:g})"
        case Project() | Add() | Combine():
            return ""


def _per_text(per: tuple[int, ...] | None) -> str:
    """An argument `per` as it is written, nothing without one."""
    return "" if per is None else f"per={per[0] if len(per) == 1 else per}"


def kept(shape: Shape, per: Collection[int]) -> tuple[int, ...]:
    """The shape of the units with dimensions that share entries at length 1."""
    return tuple(size if at in per else 1 for at, size in enumerate(shape))


@record
class Grid:
    """Units in as few dimensions as tell those apart that are taken together, `over`, and those that are not.

    `shape` leaves the batch out, and the numbers in `over` count it as dimension 0.
    """

    shape: Shape
    over: tuple[int, ...]

    @property
    def apart(self) -> tuple[int, ...]:
        """The dimensions that are not `over`, counted as these are."""
        return tuple(at for at in range(1, 1 + len(self.shape)) if at not in self.over)

    @property
    def entries(self) -> Shape:
        """The shape with dimensions that are taken together at length 1."""
        return tuple(1 if at in self.over else size for at, size in enumerate(self.shape, 1))


def grid_over(shape: Shape, over: Collection[int]) -> Grid:
    """A layer's units, with neighbouring dimensions that are alike made one, and none of length 1."""
    sizes: list[int] = []
    together: list[bool] = []
    for at, size in enumerate(shape):
        if size == 1:
            continue
        if together and together[-1] == (at in over):
            sizes[-1] *= size
        else:
            sizes.append(size)
            together.append(at in over)
    if over and True not in together:
        sizes.append(1)
        together.append(True)
    return Grid(tuple(sizes), tuple(at for at, each in enumerate(together, 1) if each))


def grid_of(operation: Apply | Rectify | ApplyNorm | Drop) -> Grid | None:
    """Units as an operation takes them together; None where that is what it does without `per`."""
    shape = operation.output.shape
    if isinstance(operation, Apply):
        grid = grid_over(shape, operation.over)
    elif operation.per is None:
        return None
    else:
        grid = grid_over(shape, [at for at in range(len(shape)) if at not in operation.per])
    by_sample = isinstance(operation, Apply) or (
        isinstance(operation, ApplyNorm) and not operation.norm.running
    )
    return grid if grid.over and (grid.apart or not by_sample) else None
