"""Layouts: as few numbers as possible are transposed, held against all assignments there are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product
from math import prod
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnspec.compiler.graph.graph import Combine, Graph, Project
from nnspec.compiler.pipeline import understand
from nnspec.compiler.plan.kernels import KernelName
from nnspec.compiler.plan.layouts import Layouts, assign, cheapest

KERNELS: tuple[KernelName, ...] = ("dense", "masked", "edges", "band", "blocks", "diagonal")


@st.composite
def networks(draw: st.DrawFn) -> tuple[str, dict[str, KernelName]]:
    """A spec of some layers, each fed by some before it, and a kernel for each connection."""
    names = [f"v{i}" for i in range(draw(st.integers(2, 7)))]
    inputs = draw(st.integers(1, 2))
    lines, kernels, used = ["model m"], dict[str, KernelName](), set[str]()
    sizes = [draw(st.sampled_from([1, 2, 10, 11, 50])) for _ in names]
    for i, name in enumerate(names):
        lines.append(f"{'input' if i < inputs and i < len(names) - 1 else 'layer'} {name}[{sizes[i]}]")
    for i, name in enumerate(names):
        alike = [f"v{j}" for j in range(i) if sizes[j] in (1, sizes[i])]
        if lines[1 + i].startswith("layer") and sizes[i] in sizes[:i] and draw(st.booleans()):
            read = {f"v{sizes.index(sizes[i])}", *draw(st.sets(st.sampled_from(alike), max_size=3))}
            lines[1 + i] += f" = {' * '.join(sorted(read))}"
            used |= read
        elif lines[1 + i].startswith("layer"):
            for source in sorted(draw(st.sets(st.integers(0, i - 1), min_size=1, max_size=3))):
                lines.append(f"connect v{source} -> {name} : all")
                kernels[f"v{source}_{name}"] = draw(st.sampled_from(KERNELS))
                used.add(f"v{source}")
    # What nothing reads has to be an output; others may be.
    layers = [name for i, name in enumerate(names) if lines[1 + i].startswith("layer")]
    outputs = [name for name in layers if name not in used or draw(st.booleans())]
    lines.append(f"output {', '.join(outputs)}")
    return "\n".join(lines) + "\n", kernels


def transposed(graph: Graph, kernels: dict[str, KernelName], first: set[str]) -> int:
    """Numbers that are transposed for a sample, if some values are units first: written down from scratch."""
    units = {data.name: prod(data.shape) for data in graph.inputs}
    total = sum(size for name, size in units.items() if name in first)
    layers = {layer.name: layer.units for layer in graph.layers}
    units |= layers
    total += sum(units[name] for name in graph.outputs if name in first)
    for operation in graph.operations:
        if isinstance(operation, Project):
            source, target = operation.input.name, operation.layer
            match kernels[operation.connection]:
                case "edges" | "band":
                    total += sum(units[name] for name in (source, target) if name not in first)
                case "blocks" | "diagonal":
                    # Of an input that is transposed the original is there, too.
                    if (source in first) != (target in first) and (source in layers or target in first):
                        total += min(units[source], units[target])
                case "dense" | "masked":
                    pass
        if isinstance(operation, Combine):
            for value in operation.inputs:
                apart = (value.name in first) != (operation.layer in first)
                if value.units > 1 and apart and (value.name in layers or operation.layer in first):
                    total += value.units
    return total


def assignments(graph: Graph) -> Iterator[set[str]]:
    names = [*(data.name for data in graph.inputs), *(layer.name for layer in graph.layers)]
    for chosen in product([False, True], repeat=len(names)):
        yield {name for name, is_first in zip(names, chosen, strict=True) if is_first}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(networks())
def test_no_assignment_transposes_fewer_numbers(tmp_path_factory: pytest.TempPathFactory, drawn) -> None:
    text, kernels = drawn
    spec = tmp_path_factory.getbasetemp() / "m.nnspec"
    spec.write_text(text)
    graph = understand(spec).graph
    layouts = assign(graph, kernels)
    found = sum(transpose.units for transpose in layouts.transposes)
    best = min(transposed(graph, kernels, first) for first in assignments(graph))
    # What several connections read is transposed once, and counted for each of them in the comparison.
    assert found <= best
    if not layouts.copies:
        assert found == best
    # Nothing is copied twice into a layout, and nothing back into one that it was copied from.
    made = [(t.value, t.to) for t in layouts.transposes if t.reason.startswith("read")]
    assert len(made) == len({*made})
    for value, to in made:
        held = layouts.of(value)
        assert to != held or (value in {data.name for data in graph.inputs} and to == "units first")


@st.composite
def choices(draw: st.DrawFn) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """What `cheapest` takes: up to six names, any bonds, and small numbers, so that many choices tie."""
    names = [f"v{i}" for i in range(draw(st.integers(1, 6)))]
    prefers = {name: draw(st.integers(-4, 4)) for name in names}
    bonds: dict[str, dict[str, int]] = {name: {} for name in names}
    for a, b in combinations(names, 2):
        if draw(st.booleans()):
            bonds[a][b], bonds[b][a] = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    return prefers, bonds


@settings(max_examples=400, deadline=None, derandomize=True)
@given(choices())
def test_the_cheapest_choice_is_the_smallest_of_the_cheapest(drawn) -> None:
    prefers, bonds = drawn

    def cost(chosen: frozenset[str]) -> int:
        left = (bonds[a][b] for a in chosen for b in bonds[a] if b not in chosen)
        return sum(prefers[name] for name in chosen) + sum(left)

    every = [frozenset(some) for count in range(len(prefers) + 1) for some in combinations(prefers, count)]
    least = min(map(cost, every))
    smallest = frozenset.intersection(*(chosen for chosen in every if cost(chosen) == least))
    assert cost(smallest) == least
    assert cheapest(dict(prefers), {name: dict(others) for name, others in bonds.items()}) == smallest


def layouts_of(folder: Path, text: str) -> Layouts:
    spec = folder / "m.nnspec"
    spec.write_text(f"model m\n{text}")
    return understand(spec).plan.layouts


SPARSE = "random(fan_in = 2)"  # of 1000 units: too few edges for a matrix


def test_a_chain_of_sparse_layers_is_transposed_at_its_ends_only(tmp_path: Path) -> None:
    layers = "".join(f"layer h{i}[1000] : tanh\n" for i in range(1, 5))
    chain = "".join(f"connect h{i} -> h{i + 1} : {SPARSE}\n" for i in range(1, 4))
    layouts = layouts_of(tmp_path, f"input x[1000]\n{layers}connect x -> h1 : {SPARSE}\n{chain}output h4\n")
    assert [(t.value, t.connection, t.to) for t in layouts.transposes] == [
        ("x", "x_h1", "units first"),
        ("h4", None, "batch first"),
    ]


def test_between_dense_layers_a_sparse_one_needs_no_transpose(tmp_path: Path) -> None:
    layouts = layouts_of(
        tmp_path,
        "input x[64]\nlayer a[1000] : tanh\nlayer b[1000] : tanh\nlayer y[10]\n"
        f"connect x -> a : all\nconnect a -> b : {SPARSE}\nconnect b -> y : all\noutput y\n",
    )
    assert layouts == Layouts(("a", "b"), (), ())


def test_what_several_connections_read_is_transposed_once(tmp_path: Path) -> None:
    """And an input that is read in both layouts is not transposed back."""
    layouts = layouts_of(
        tmp_path,
        "input x[1000]\nlayer a[1000]\nlayer b[1000]\nlayer c[1000]\nlayer y[9]\n"
        f"connect x -> a : {SPARSE}\nconnect x -> b : {SPARSE}\nconnect x -> c : one_to_one\n"
        "connect a -> y : all\nconnect b -> y : all\noutput y, c\n",
    )
    assert [(copy.value, copy.to, copy.connections) for copy in layouts.copies] == [
        ("x", "units first", ("x_a", "x_b"))
    ]
    assert [(t.value, t.to) for t in layouts.transposes] == [("x", "units first")]
    assert layouts.of("x") == "batch first"


def test_a_band_is_gathered_along_its_edges(tmp_path: Path) -> None:
    """PyTorch has no kernel of its own for it."""
    band = "{ i -> i + d : d in -1..1 ; outside = wrap }"
    layouts = layouts_of(tmp_path, f"input x[1000]\nlayer y[1000]\nconnect x -> y : {band}\n")
    assert [(t.value, t.to) for t in layouts.transposes] == [("x", "units first"), ("y", "batch first")]
    between = layouts_of(
        tmp_path,
        f"input x[9]\nlayer a[1000]\nlayer b[1000]\nlayer y[9]\nconnect x -> a : all\n"
        f"connect a -> b : {band}\nconnect b -> y : all\noutput y\n",
    )
    assert between == Layouts(("a", "b"), (), ())


def test_a_dense_network_stays_batch_first(tmp_path: Path) -> None:
    text = "input x[64]\nlayer a[100] : tanh\nlayer y[10]\nconnect x -> a : all\nconnect a -> y : all\n"
    assert layouts_of(tmp_path, text + "output y\n") == Layouts((), (), ())


def test_an_expression_reads_all_in_one_layout(tmp_path: Path) -> None:
    """That of the layers around it; what has one unit has no layout to change."""
    connected = f"connect x -> a : {SPARSE}\nconnect a -> b : {SPARSE}\nconnect g -> y : {SPARSE}\n"
    layers = "input x[1000]\nlayer a[1000]\nlayer b[1000]\nlayer y[1000]\n"
    gated = "input s[1]\nlayer g[1000] = a * b + s\n"
    layouts = layouts_of(tmp_path, f"{layers}{gated}{connected}output y\n")
    assert layouts.of("g") == "units first"
    assert [(t.value, t.to) for t in layouts.transposes] == [("x", "units first"), ("y", "batch first")]
    beside = "input e[1000]\nlayer g[1000] = a * b + e\nlayer d[1000] = x * g\nlayer n[1000] = d + e\n"
    mixed = layouts_of(tmp_path, f"{layers}{beside}{connected}output y, d, n\n")
    assert [(t.value, t.connection, t.to) for t in mixed.transposes] == [
        ("x", "x_a", "units first"),
        ("e", "g", "units first"),
        ("g", "d", "batch first"),
        ("y", None, "batch first"),
    ]
    assert mixed.before("e", "g") == "units first"
    assert not mixed.copies
