"""What `spec-compile explain` says of a connection is true of its edges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnspec.compiler.command.explain import explained
from nnspec.compiler.graph.graph import Project
from nnspec.compiler.pipeline import understand

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
