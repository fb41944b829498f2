"""The generated tests: the plan as facts, and as a reference network in plain numpy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ...compiler.edges.edge_set import Diagonal, Full
from ...compiler.graph.graph import (
    Add,
    AddBias,
    Apply,
    ApplyNorm,
    Drop,
    Multiply,
    Operation,
    Project,
    Rectify,
)
from ...compiler.graph.model import Data
from ...compiler.plan.plan import Plan, Stored, compact
from ..common.kernels.array_hash import array_hash
from ..parts import (
    bias_index,
    index_along,
    loaded,
    loading,
    start_function,
    stored_edges,
    unit_name_functions,
    vocabulary,
    wiring,
)
from ..source import (
    Assign,
    Display,
    Expression,
    Given,
    Pair,
    Scope,
    Statement,
    flat,
    imports_in,
    kernels_in,
    node,
    printed,
    scaled,
    sum_of,
)
from ..target import (
    Rendering,
    chain_of,
    is_sparse,
    loss_arguments,
    summary,
    training_options,
    units_digests,
)
from .exact import exact
from .rules import rules, rules_context, rules_needs

ADAPTERS = {"numpy": "NumpyModel", "torch": "TorchModel", "keras": "KerasModel"}
# Whose adapters have `optimise`.
OPTIMISED = ("keras", "torch")

# What the frame of the module, its template, uses whatever the network is.
FRAME = {
    "Any": "from typing import Any",
    "Callable": "from collections.abc import Callable",
    "ModuleType": "from types import ModuleType",
    "Path": "from pathlib import Path",
    "cache": "from functools import cache",
    "pytest": "import pytest",
}
# And where there are several targets.
PAIRS = {"combinations": "from itertools import combinations"}

VOCABULARY = vocabulary(
    "tests",
    FRAME | PAIRS,
    defined=["CONNECTIONS", "DRAWS", "EXPECTED", "MODELS", "NETWORK", "TARGETS", "reference", "start_values"],
    local=[
        "data",
        "groups",
        "inputs",
        "kinks",
        "loss",
        "moved_inputs",
        "pooled",
        "running",
        "training",
        *"dptvwxy",
    ],
)


def render(plan: Plan, targets: Sequence[str]) -> Rendering:
    """What the template of the tests places; `targets` are the names of those that are built."""
    graph, scope = plan.graph, Scope(VOCABULARY, frozenset())
    optimised = [target for target in targets if target in OPTIMISED]
    if not any(p.trainable for p in graph.parameters):
        optimised = []
    robustness = _robustness(plan, targets)
    stating = rules(plan, {*VOCABULARY.imports, *VOCABULARY.defined})
    trees = {
        "targets": scope.statements("TARGETS = (*targets,)", targets=targets),
        "reference": _reference(scope, plan),
        "start": start_function(scope, plan, "start_values", cached=True),
        "adapters": scope.statements(
            "MODELS = {**adapters}",
            adapters=[Pair(node(target), scope.name(ADAPTERS[target])) for target in targets],
        ),
        "expected": scope.statements("EXPECTED = Expected(**facts)", facts=_facts(scope, plan)),
    }
    blocks = [
        block
        for block in (wiring(scope, plan, cached=True), *unit_name_functions(scope, plan, cached=True))
        if block
    ]
    exactly = exact(scope, plan, targets)
    stated_kernels, stated_imports = rules_needs(stating)
    every = (*trees.values(), *blocks, exactly.trees)
    kernels = kernels_in(*every) | stated_kernels | exactly.kernels | _checks(plan, targets)
    kernels |= {"check_optimiser"} if optimised else set()
    kernels |= {check for checks in robustness.values() for check in checks}
    imports = imports_in(*every) | stated_imports | {*FRAME.values()}
    imports |= {*PAIRS.values()} if len(targets) > 1 else set()
    modes = training_options(graph)
    context = {
        **{name: printed(tree) for name, tree in trees.items()},
        "blocks": [printed(block) for block in blocks],
        **rules_context(stating),
        **exactly.context,
        "name": graph.name,
        "summary": summary(plan),
        "has_stored": bool(plan.stored or plan.restated),
        "wiring": bool(plan.restated),
        "sparse": bool(_sparse(plan)),
        "dropout": "rng" in modes,
        "dropped_gradients": "rng" in modes and "numpy" in targets,
        "several": len(targets) > 1,
        "keras": "keras" in targets,
        "optimised": flat(scope.expression("[*names]", names=optimised)) if optimised else "",
        **{flag: bool(checks) for flag, checks in robustness.items()},
    }
    return Rendering(context, frozenset(kernels), frozenset(imports))


def _checks(plan: Plan, targets: Sequence[str]) -> set[str]:
    """The kernels that `module.py.j2` calls, and the parts that it includes but for `robustness.py.j2`."""
    drops = "rng" in training_options(plan.graph)
    kernels = {"load_module", "check_parameters", "check_start", "check_outputs"}
    kernels |= {"check_gradients", "check_training", "require", "installed"}
    kernels |= {"check_stored"} if plan.stored or plan.restated else set()
    kernels |= {"check_wiring"} if plan.restated else set()
    kernels |= {"check_projections"} if _sparse(plan) else set()
    kernels |= {"check_dropout"} if drops else set()
    kernels |= {"check_dropped_gradients"} if drops and "numpy" in targets else set()
    kernels |= {"check_agreement"} if len(targets) > 1 else set()
    if "keras" in targets:
        kernels |= {"check_variables", "check_copies", "check_saved", "check_compiled"}
    return kernels


def _robustness(plan: Plan, targets: Sequence[str]) -> dict[str, set[str]]:
    """The checks that `robustness.py.j2` calls, by the flag under which it does."""
    numpy = {f"check_numpy_{what}" for what in ("arrays", "forward", "refusals", "seeds")}
    torch = (
        "parameters",
        "values",
        "modules",
        "derivatives",
        "transforms",
        "half",
        "refusals",
        "checkpoints",
    )
    always = {"check_evaluation", "check_batches", "check_large_values", "check_calls", "check_held_digests"}
    return {
        "always": always,
        "running": {"check_repeated_samples"} if any(p.running for p in plan.graph.parameters) else set(),
        "reads_file": {"check_other_stored"} if plan.stored else set(),
        "names": {"check_names"} if plan.graph.unit_names else set(),
        "numpy": numpy if "numpy" in targets else set(),
        "torch_sparse": {"check_torch_layouts"} if "torch" in targets and _sparse(plan) else set(),
        "segments": {"check_numpy_segments"} if "numpy" in targets and _sparse(plan) else set(),
        "torch": {f"check_torch_{what}" for what in torch} if "torch" in targets else set(),
    }


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
    reads = plan.stored or plan.restated
    return {
        "name": graph.name,
        "parameters": _table({p.name: p.shape for p in graph.parameters}),
        "trained": tuple(p.name for p in graph.parameters if p.trainable),
        "running": tuple(p.name for p in graph.parameters if p.running),
        "edges": _table(edges),
        "hashes": _table({stored.name: array_hash(stored.array) for stored in _held(plan)}),
        "inputs": _table({d.name: d.shape for d in graph.inputs}),
        "classes": _table({d.name: d.classes for d in graph.inputs if d.classes}),
        "targets": _table({d.name: (d.shape, d.classes) for d in _compared(plan)}),
        "layers": tuple(str(layer.layer) for layer in graph.layers),
        "outputs": _table({name: graph.value(name).shape for name in graph.outputs}),
        "dropout": _table(drops),
        "dropped_together": _table(_dropped_together(scope, plan)),
        "loss_reads": loss_arguments(graph),
        "compared": tuple(dict.fromkeys((t.prediction, t.target) for t in graph.losses)),
        "cotangents": _table(_cotangents(plan)),
        "modes": training_options(graph),
        "digests": _table(units_digests(plan)),
        "batch": plan.batch,
        "stored": loaded(scope, plan, cached=True) if reads else _table({}),
        "start": scope.name("start_values"),
        "reference": scope.name("reference"),
    }


def _dropped_together(scope: Scope, plan: Plan) -> dict[str, Given]:
    """The group of every unit by layer, where units are dropped in groups."""
    return {
        str(layer.layer): _groups(scope, op)
        for layer in plan.graph.layers
        for op in chain_of(plan.graph, layer)
        if isinstance(op, Drop) and op.per is not None
    }


def _table(entries: Mapping[str, Given]) -> Display:
    return Display("{}", tuple(Pair(node(name), node(value)) for name, value in entries.items()))


# -------------------------------------------------------------------------------------------- reference

_REFERENCE = '''
def reference(
    p: dict[str, np.ndarray], data: dict[str, np.ndarray], training: bool, moved_inputs: Any = None
) -> tuple[dict[str, np.ndarray], Any, list[np.ndarray], dict[str, np.ndarray]]:
    """Every layer's value (batch, units), the loss, distances from kinks, and moved statistics.

    What the loss compares with stays where it is when inputs are moved. Units are dropped as `data` says.
    Complex parameters and inputs give a complex loss, whose imaginary part is a derivative.
    """
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


def _reference(scope: Scope, plan: Plan) -> tuple[Statement, ...]:
    """The reference network, a function: `v` holds every layer's value, (batch, units)."""
    layers = _layers(scope, plan)
    reading = loading(scope, plan, layers, cached=True)
    return scope.statements(_REFERENCE, reading=reading, layers=layers, losses=_losses(scope, plan))


def _layers(scope: Scope, plan: Plan) -> list[Statement]:
    graph, lines = plan.graph, list[Statement]()
    for d in graph.inputs:
        size = math.prod(d.shape)
        lines += scope.statements("v[name] = inputs[name].reshape(-1, size)", name=d.name, size=size)
    for layer in graph.layers:
        chain = chain_of(graph, layer)
        first, *others = [_term(scope, op) for op in chain if isinstance(op, Project)]
        lines += scope.statements("x = first", first=first)
        for term in others:
            lines += scope.statements("x = x + term", term=term)
        for op in chain:
            lines += _step(scope, op)
        lines += scope.statements("v[layer] = x", layer=str(layer.layer))
    return lines


def _losses(scope: Scope, plan: Plan) -> list[Statement]:
    """The terms of the loss, or what stands for it, and the penalties."""
    lines, loss = list[Statement](), scope.name("loss")

    def add(term: Expression) -> None:
        lines.append(Assign(loss, sum_of([loss, term])))

    for term in plan.graph.losses:
        shape = plan.graph.value(term.prediction).shape
        lines += scope.statements(
            "y, t = v[prediction].reshape(-1, *shape), data[target]",
            prediction=term.prediction,
            shape=shape,
            target=term.target,
        )
        if term.loss.kink_at_target:
            lines += scope.statements("kinks.append((y - t).real)")
        add(scaled(term.coefficient, scope.expression("loss(y, t)", loss=scope.name(term.loss.name))))
    for output, cotangent in _cotangents(plan).items():
        text = "np.sum(v[output] * data[cotangent].reshape(v[output].shape))"
        add(scope.expression(text, output=output, cotangent=cotangent))
    for penalty in plan.graph.penalties:
        weight = scope.name("p").at(penalty.parameter)
        if penalty.penalty.kink_at_zero:
            lines += scope.statements("kinks.append(weight.real)", weight=weight)
        add(scaled(penalty.coefficient, scope.name(penalty.penalty.name)(weight)))
    return lines


def _term(scope: Scope, op: Project) -> Expression:
    """The sum that a connection adds to its layer."""
    x = scope.name("v").at(op.input.layer or op.input.name)
    weight = scope.name("p").at(op.weight.name) if op.weight else None
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


def _step(scope: Scope, op: Operation) -> tuple[Statement, ...]:
    match op:
        case AddBias():
            if op.by_unit:
                return scope.statements("x = x + p[bias]", bias=op.bias.name)
            return scope.statements(
                "x = x + biases(p[bias], index)", bias=op.bias.name, index=bias_index(scope, op)
            )
        case Apply():
            return _applied(scope, op)
        case ApplyNorm():
            return _norm(scope, op)
        case Rectify():
            index = None if op.per is None else _groups(scope, op)
            slope = scope.expression(
                "p[slope]" if index is None else "p[slope][index]", slope=op.slope.name, index=index
            )
            return scope.statements("kinks.append(x.real)\nx = prelu(x, slope)", slope=slope)
        case Multiply():
            return scope.statements("x = factor * x", factor=op.factor)
        case Drop():
            return scope.statements(
                "if kept in data:\n    x = x * data[kept] / (1 - share)",
                kept=f"{op.output.name} kept",
                share=op.p,
            )
        case Project() | Add():
            return ()


def _applied(scope: Scope, op: Apply) -> tuple[Statement, ...]:
    """An activation, behind distances from its kinks; one that mixes units is given them in their shape."""
    lines: list[Statement] = []
    for kink in op.activation.kinks:
        distance = scope.expression("x.real - kink" if kink else "x.real", kink=kink)
        lines += scope.statements("kinks.append(distance)", distance=distance)
    mixes = op.activation.derivative is None and len(op.output.shape) > 1
    if mixes and op.over != (len(op.output.shape) - 1,):
        text = "groups = index\nx = as_units(function(in_groups(x, groups), **numbers), groups)"
        function, numbers = scope.name(op.activation.name), dict(op.arguments)
        return scope.statements(text, function=function, numbers=numbers, index=_groups(scope, op))
    return (
        *lines,
        *scope.statements(
            "x = function(x.reshape(-1, *shape), **numbers).reshape(x.shape)"
            if mixes
            else "x = function(x, **numbers)",
            function=scope.name(op.activation.name),
            shape=op.output.shape,
            numbers=dict(op.arguments),
        ),
    )


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
        apart += "pooled = x.shape\nx = x.reshape(-1, pooled[-1])\n"
        together = "\nx = as_units(np.moveaxis(x.reshape(pooled), 2, 1), groups)"
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
