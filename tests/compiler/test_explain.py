"""What `spec-compile explain` says of a connection is true of its edges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnspec.compiler.command.explain import explained
from nnspec.compiler.graph.graph import Cut, Project
from nnspec.compiler.pipeline import understand
from nnspec.compiler.plan.kernels import KERNELS

ROOT = Path(__file__).parent.parent.parent


def test_layers_that_are_expressions_are_said() -> None:
    text = (
        "model m\ninput x[6]\ninput one[1]\nlayer a[6] : tanh\nlayer b[6] = a * x + one / 2 : dropout(0.1)\n"
        "connect x -> a : all\n"
    )
    (found,) = explained(understand(Path("m.nnspec"), text=text).plan).expressions
    assert (found.layer, found.expression) == ("b", "a * x + one / 2")
    assert sorted(found.reads) == ["a", "one", "x"]


@pytest.mark.parametrize(
    "spec", sorted((ROOT / "tests" / "specs").glob("*.nnspec")), ids=lambda path: path.stem
)
def test_whatever_there_is_can_be_explained(spec: Path) -> None:
    plan = understand(spec).plan
    found = explained(plan)
    assert {fact.connection for fact in found.connections} == {op.connection for op in plan.graph.projections}
    assert all(fact.memory >= 4 * fact.parameters for fact in found.connections)


@pytest.mark.parametrize("spec", ["tests/specs/zoo.nnspec", "examples/lattice.nnspec"])
def test_facts_are_those_of_the_edges(spec: str) -> None:
    plan = understand(ROOT / spec).plan
    operations = {op.connection: op for op in plan.graph.operations if isinstance(op, Project)}
    facts = explained(plan).connections
    assert [fact.connection for fact in facts] == list(operations)
    for fact in facts:
        op = operations[fact.connection]
        _, target = op.edges.edges()
        fan_in = np.bincount(target, minlength=op.output.units)
        assert fact.edges == len(target)
        assert fact.density == pytest.approx(np.mean(fan_in) / op.input.units)
        assert (fact.fan_in_min, fact.fan_in_max) == (fan_in.min(), fan_in.max())
        assert fact.fan_in_median == np.median(fan_in)
        assert fact.parameters == (len(target) if op.weight is not None and op.weight.trainable else 0)
        assert fact.kernel == fact.candidates[0].kernel
        if fact.kernel == "masked":  # a weight, and its place in 64 bits
            assert fact.memory == len(target) * ((4 if op.weight is not None else 0) + 8)


def test_the_memory_of_an_embedding_is_that_of_its_weights() -> None:
    text = "model m\ninput word: class[50]\nlayer h[8]\nconnect word -> h : all\n"
    (fact,) = explained(understand(Path("m.nnspec"), text=text).plan).connections
    assert (fact.kernel, fact.parameters, fact.memory) == ("embedding", 400, 4 * 400)


def test_the_memory_of_blocks_is_that_of_their_weights_and_tables() -> None:
    """30 blocks of 4 x 3, each target block fed by up to 3: what each reads, both ways, and both sides."""
    text = (
        "model m\ninput x[30, 40]\nlayer y[30, 30]\n"
        "connect x -> y : { (b, i) -> (b + d, j) : d in -1..1 ; outside = skip }\n"
    )
    plan = understand(Path("m.nnspec"), text=text).plan
    (op,) = plan.graph.projections
    blocks, sides = 3 * 30 - 2, 30 + 30
    assert op.edges.count == blocks * 40 * 30
    assert KERNELS["blocks"].tables(op) == 3 * blocks + sides + op.edges.count


def test_a_part_of_a_connection_counts_and_names_its_own_weights_alone() -> None:
    """Edges of several delays are parts of one connection, each with a part of its weights."""
    plan = understand(ROOT / "tests" / "specs" / "delays.nnspec").plan
    parts = [op for op in plan.graph.projections if isinstance(op.weight, Cut)]
    assert len(parts) > 1
    facts = {fact.connection: fact for fact in explained(plan).connections}
    for op in parts:
        assert facts[op.connection].parameters == op.edges.count
        assert facts[op.connection].weight.startswith("a part of `by_edge.weight`")
    others = {op.connection for op in plan.graph.projections} - {op.connection for op in parts}
    assert not any("a part of" in facts[connection].weight for connection in others)


def test_the_memory_of_a_pool_is_that_of_its_tables() -> None:
    """Three numbers for each edge, where those of each unit begin, and the order of targets."""
    text = "model m\ninput x[50]\nlayer y[40]\nconnect x -> y : random(fan_in = 3) with reduce = max\n"
    (fact,) = explained(understand(Path("m.nnspec"), text=text).plan).connections
    assert (fact.kernel, fact.parameters, fact.memory) == ("pool", 0, 4 * (3 * 120 + 50 + 2 * 40))
