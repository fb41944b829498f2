"""Names of the steps between layers: Python's, distinct, and none of the spec's own."""

from __future__ import annotations

from pathlib import Path

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
