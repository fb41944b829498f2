"""Names of the steps between layers: Python's, distinct, and none of the spec's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nnspec.compiler.graph.graph import Combine, GraphError, check
from nnspec.compiler.pipeline import understand


def test_steps_are_named_past_whatever_layers_are_called(tmp_path: Path) -> None:
    """The sum and the bias of `h` would be `h_input` and `h_bias`; these, and what comes next, are layers."""
    taken = ["h_input", "h_input_", "h_input_2", "h_input_3", "h_bias", "h_bias_", "h_bias_2"]
    spec = tmp_path / "m.nnspec"
    spec.write_text(
        "model m\ninput x[3]\nlayer h[3] : bias, tanh\nconnect x -> h as one : all\n"
        + "".join(f"layer {name}[3]\nconnect x -> {name} as x{at} : all\n" for at, name in enumerate(taken))
        + "connect h_bias -> h as two : all\nlayer y[3]\nconnect h -> y : all\n"
        + "".join(f"connect {name} -> y as y{at} : all\n" for at, name in enumerate(taken))
    )
    graph = understand(spec).plan.graph
    names = [operation.output.name for operation in graph.operations]
    assert all(name.isidentifier() for name in names)
    assert len({*names}) == len(names)
    assert {*taken} <= {*names}


def test_what_is_read_of_earlier_steps_is_named_after_how_many() -> None:
    text = (
        "model m\ninput x[3] over time\nlayer y[3] = before(x) + before(x, 2)\nlayer x_before_3[3]\n"
        "layer z[3] = before(y, 3) + before(x, 3)\nconnect x -> x_before_3 : all\n"
    )
    delays = understand(Path("m.nnspec"), text=text).plan.graph.delays
    named = {(delay.input.name, delay.steps): delay.output.name for delay in delays}
    assert named["x", 1] == "x_before"
    assert named["x", 2] == "x_before_2"
    assert named["y", 3] == "y_before_3"
    assert named["x", 3] not in ("x_before_3", *(name for key, name in named.items() if key != ("x", 3)))


def test_an_expression_of_too_few_or_too_many_units_is_a_mistake_of_the_compiler() -> None:
    text = "model m\ninput x[6]\ninput one[1]\nlayer b[6] = x + one\n"
    graph = understand(Path("m.nnspec"), text=text).plan.graph
    (expression,) = (each for each in graph.operations if isinstance(each, Combine))
    assert check(graph) is graph
    for units in (1, 5, 7):
        output = replace(expression.output, shape=(units,))
        with pytest.raises(GraphError, match="`b` changes the number of units"):
            check(replace(graph, operations=(replace(expression, output=output),)))
