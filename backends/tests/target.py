"""The generated tests: the plan as facts, and as a reference network in plain numpy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ...compiler.edges.edge_set import Diagonal, Full
from ...compiler.graph.graph import Add, AddBias, Apply, ApplyNorm, Drop, Multiply, Operation, Project
from ...compiler.graph.model import Data
from ...compiler.plan.plan import Plan, Stored, compact
from ..common.kernels.array_hash import array_hash
from ..layout import call, collection
from ..target import (
    Rendering,
    bias_index,
    chain_of,
    is_sparse,
    loss_arguments,
    scaled,
    shape_text,
    start_context,
    start_kernels,
    stored_edges,
    stored_needs,
    summary,
    training_options,
    units_digests,
)
from .exact import exact_context
from .rules import rules

ADAPTERS = {"numpy": "NumpyModel", "torch": "TorchModel", "keras": "KerasModel"}
# Whose adapters have `optimise`.
OPTIMISED = ("keras", "torch")


def render(plan: Plan, targets: Sequence[str]) -> Rendering:
    """What the template of the tests places; `targets` are the names of those that are built."""
    graph = plan.graph
    sparse = bool(_sparse(plan))
    modes = training_options(graph)
    drops = "rng" in modes
    kernels = {"Expected", "load_module", "check_parameters", "check_start", "check_outputs"}
    kernels |= {"check_gradients", "check_training", "require", "installed"}
    kernels |= {"check_stored"} if plan.stored or plan.restated else set()
    kernels |= {"check_wiring"} if plan.restated else set()
    kernels |= {"check_projections"} if sparse else set()
    kernels |= {"check_dropout"} if drops else set()
    kernels |= {"check_dropped_gradients"} if drops and "numpy" in targets else set()
    kernels |= {"check_agreement"} if len(targets) > 1 else set()
    if "keras" in targets:
        kernels |= {"check_variables", "check_copies", "check_saved", "check_compiled"}
    optimised = [target for target in targets if target in OPTIMISED]
    if not any(p.trainable for p in graph.parameters):
        optimised = []
    kernels |= {"check_optimiser"} if optimised else set()
    robustness = _robustness(plan, targets)
    kernels |= {check for checks in robustness.values() for check in checks}
    kernels |= start_kernels(plan) | {ADAPTERS[target] for target in targets}
    exact, exact_kernels = exact_context(plan, targets)
    kernels |= exact_kernels
    lines = _reference(plan, kernels)
    start = start_context(plan, "start_values", cached=True)
    loaded = start["load_stored"]
    facts = [
        f'name="{graph.name}",',
        _table("parameters", ((p.name, shape_text(p.shape)) for p in graph.parameters)),
        _names("trained", (p.name for p in graph.parameters if p.trainable)),
        _names("running", (p.name for p in graph.parameters if p.running)),
        _table("edges", ((op.connection, _edges(op)) for op in _sparse(plan))),
        _table("hashes", ((stored.name, f'"{array_hash(stored.array)}"') for stored in _held(plan))),
        _table("inputs", ((d.name, shape_text(d.shape)) for d in graph.inputs)),
        _table("targets", ((d.name, f"({shape_text(d.shape)}, {d.classes})") for d in _compared(plan))),
        _names("layers", (str(layer.layer) for layer in graph.layers)),
        _table("outputs", ((name, shape_text(graph.value(name).shape)) for name in graph.outputs)),
        _table(
            "dropout",
            (
                (str(layer.layer), f'("{op.output.name}", {op.p})')
                for layer in graph.layers
                for op in chain_of(graph, layer)
                if isinstance(op, Drop)
            ),
        ),
        _names("loss_reads", loss_arguments(graph)),
        _tuple(
            "compared",
            [f'("{a}", "{b}")' for a, b in dict.fromkeys((t.prediction, t.target) for t in graph.losses)],
        ),
        _table("cotangents", ((y, f'"{d}"') for y, d in _cotangents(plan).items())),
        _names("modes", modes),
        _table("digests", ((name, f'"{digest}"') for name, digest in units_digests(plan).items())),
        f"batch={plan.batch},",
        f"stored={loaded}," if plan.stored or plan.restated else "stored={},",
        "start=start_values,",
        "reference=reference,",
    ]
    stating = rules(plan)
    kernels |= stating.kernels
    context = {
        **start,
        "stated_files": stating.files,
        "stated_rows": stating.rows,
        "stated_functions": stating.functions,
        "stated_checks": stating.checks,
        "not_stated": stating.unstated,
        "stated_names": stating.names,
        "summary": summary(plan),
        "adapters": collection("MODELS = {", [f'"{t}": {ADAPTERS[t]}' for t in targets], "}"),
        "reads_stored": any("stored" in line for line in lines),
        "facts": tuple(facts),
        "targets": _tuple("TARGETS", [f'"{t}"' for t in targets]).replace("=", " = ").rstrip(","),
        "reference": lines,
        "has_stored": bool(plan.stored or plan.restated),
        "sparse": sparse,
        "dropout": drops,
        "dropped_gradients": drops and "numpy" in targets,
        "several": len(targets) > 1,
        **exact,
        "keras": "keras" in targets,
        "optimised": ", ".join(f'"{target}"' for target in optimised),
        **{flag: bool(checks) for flag, checks in robustness.items()},
    }
    imports = {
        "from collections.abc import Callable",
        "from functools import cache",
        "from itertools import combinations",
        "from pathlib import Path",
        "from types import ModuleType",
        "from typing import Any",
        "import numpy as np",
        "import pytest",
    }
    imports |= stating.imports
    needed, imported = stored_needs(plan, cached=True)
    kernels |= needed
    imports |= imported
    if len(targets) < 2:
        imports.discard("from itertools import combinations")
    return Rendering(context, frozenset(kernels), frozenset(imports))


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
    return [op for op in plan.graph.operations if isinstance(op, Project) and is_sparse(op)]


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


def _edges(op: Project) -> str:
    return f"({op.output.units}, {op.input.units}, {op.edges.count})"


def _compared(plan: Plan) -> list[Data]:
    """The targets that the loss reads, in the order in which it takes them; inputs are left out."""
    targets = {target.name: target for target in plan.graph.targets}
    return [targets[name] for name in loss_arguments(plan.graph) if name in targets]


def _cotangents(plan: Plan) -> dict[str, str]:
    """Where no loss reads an output: what the tests multiply each by, under a name that no spec can have."""
    return {} if plan.graph.losses else {name: f"d loss / d {name}" for name in plan.graph.outputs}


def _table(key: str, entries: Iterable[tuple[str, str]]) -> str:
    return collection(f"{key}={{", [f'"{name}": {value}' for name, value in entries], "},", 4)


def _names(key: str, names: Iterable[str]) -> str:
    return _tuple(key, [f'"{name}"' for name in names])


def _tuple(key: str, items: list[str]) -> str:
    return collection(f"{key}=(", items, ",)," if len(items) == 1 else "),", 4)


# -------------------------------------------------------------------------------------------- reference


def _reference(plan: Plan, kernels: set[str]) -> tuple[str, ...]:
    """Lines of the reference network: `v` holds every layer's value, (batch, units)."""
    graph = plan.graph
    lines = [f'v["{d.name}"] = inputs["{d.name}"].reshape(-1, {math.prod(d.shape)})' for d in graph.inputs]
    for layer in graph.layers:
        chain = chain_of(graph, layer)
        terms = [_term(op, plan, kernels) for op in chain if isinstance(op, Project)]
        lines += [f"x = {terms[0]}", *(f"x = x + {term}" for term in terms[1:])]
        for op in chain:
            lines += _step(op, kernels)
        lines.append(f'v["{layer.layer}"] = x')
    lines.append("loss = 0.0")
    for term in graph.losses:
        value = graph.value(term.prediction)
        shape = ", ".join(map(str, value.shape))
        lines += [f'y, t = v["{term.prediction}"].reshape(-1, {shape}), data["{term.target}"]']
        if term.loss.kink_at_target:
            lines.append("kinks.append((y - t).real)")
        kernels.add(term.loss.name)
        lines.append(f"loss = loss + {scaled(term.coefficient, f'{term.loss.name}(y, t)')}")
    for output, cotangent in _cotangents(plan).items():
        shape = f'data["{cotangent}"].reshape(v["{output}"].shape)'
        lines.append(f'loss = loss + np.sum(v["{output}"] * {shape})')
    for penalty in graph.penalties:
        weight = f'p["{penalty.parameter}"]'
        if penalty.penalty.kink_at_zero:
            lines.append(f"kinks.append({weight}.real)")
        kernels.add(penalty.penalty.name)
        value = f"{penalty.penalty.name}({weight})"
        lines.append(f"loss = loss + {scaled(penalty.coefficient, value)}")
    return tuple(lines)


def _term(op: Project, plan: Plan, kernels: set[str]) -> str:
    x = f'v["{op.input.layer or op.input.name}"]'
    weight = f'p["{op.weight.name}"]' if op.weight else "None"
    match op.edges:
        case Full():
            ones = f"np.ones(({op.output.units}, {op.input.units}))"
            return f"{x} @ {weight if op.weight else ones}.T"
        case Diagonal():
            return f"{x} * {weight}" if op.weight else x
        case _:
            kernels.add("weighted_sum")
            kernels.update(("weighted_sum", "edges_of"))
            return f"weighted_sum({x}, {weight}, {stored_edges(op.connection)}, {op.output.units})"


def _step(op: Operation, kernels: set[str]) -> list[str]:
    match op:
        case AddBias():
            if op.by_unit:
                return [f'x = x + p["{op.bias.name}"]']
            kernels.add("biases")
            return [call("x = x + biases(", [f'p["{op.bias.name}"]', bias_index(op)], ")", 4)]
        case Apply():
            kernels.add(op.activation.name)
            kinks = [f"kinks.append(x.real{_less(kink)})" for kink in op.activation.kinks]
            grid = op.activation.derivative is None and len(op.output.shape) > 1
            x = f"x.reshape(-1, {', '.join(map(str, op.output.shape))})" if grid else "x"
            numbers = "".join(f", {name}={value}" for name, value in op.arguments)
            text = f"{op.activation.name}({x}{numbers})"
            return [*kinks, f"x = {text}.reshape(x.shape)" if grid else f"x = {text}"]
        case ApplyNorm():
            return _norm(op, kernels)
        case Multiply():
            return [f"x = {op.factor} * x"]
        case Drop():
            kept = f'data["{op.output.name} kept"]'
            return [f'if "{op.output.name} kept" in data:', f"    x = x * {kept} / (1 - {op.p})"]
        case Project() | Add():
            return []


def _less(kink: float) -> str:
    return f" - {kink}" if kink else ""


def _norm(op: ApplyNorm, kernels: set[str]) -> list[str]:
    kernels.add("normalised")
    numbers = dict(op.arguments)
    last = f'x = x * p["{op.weight.name}"] + p["{op.bias.name}"]'
    if op.running_mean is None or op.running_var is None:
        return [f"x = normalised(x, 1, {numbers['eps']})", last]
    kernels.add("moved")
    mean, var = f'p["{op.running_mean.name}"]', f'p["{op.running_var.name}"]'
    return [
        f'running |= moved(p, "{op.name}", x, {numbers["momentum"]})',
        "if training:",
        f"    x = normalised(x, 0, {numbers['eps']})",
        "else:",
        f"    x = (x - {mean}) / np.sqrt({var} + {numbers['eps']})",
        last,
    ]
