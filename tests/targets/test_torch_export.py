"""The generated PyTorch module, exported: as a program of PyTorch and as an ONNX model."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

DYNAMIC = {0: torch.export.Dim("batch")}


def gradients(module: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    module.zero_grad()
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in module.named_parameters()}


@pytest.mark.parametrize("kernel", ["edges", "masked"])
@pytest.mark.parametrize("strict", [False, True])
def test_an_exported_program_computes_and_trains_the_same(
    graph_mlp: ModuleType, batch: tuple[Tensor, Tensor], device: str, strict: bool
) -> None:
    """An exported program has no functions of ours, and so none of their gradients."""
    model = graph_mlp.GraphMlp(seed=1).to(device).eval()
    x, y = batch
    program = torch.export.export(model, (x,), dynamic_shapes=(DYNAMIC,), strict=strict)
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    exported = torch.export.load(file).module()
    for size in (1, 7, 48):
        torch.testing.assert_close(exported(x[:size]), model(x[:size]))
    found = gradients(exported, nn.functional.cross_entropy(exported(x), y))
    wanted = gradients(model, nn.functional.cross_entropy(model(x), y))
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, msg=name)


def onnx_model(
    model: nn.Module, inputs: tuple[Tensor, ...], path: Path, kernel: str
) -> Callable[..., list[np.ndarray]]:
    """A module as ONNX, checked, as a function that ONNX Runtime computes."""
    shapes = tuple(DYNAMIC for _ in inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch about itself, and that two inputs share their batch
        torch.onnx.export(model.eval(), inputs, path, dynamo=True, dynamic_shapes=shapes, verbose=False)
    onnx.checker.check_model(path)
    nodes = onnx.load(path).graph.node
    used = {node.op_type for node in nodes}
    # Loops take a step for every unit, and ONNX Runtime's scatters lose sums on several threads: `masked`,
    # which makes a matrix of its weights, may scatter, but not add.
    assert not {kind for kind in used if "Loop" in kind or "Sequence" in kind}
    assert kernel == "masked" or not {kind for kind in used if "Scatter" in kind}
    scatters = [node for node in nodes if "Scatter" in node.op_type]
    assert all(a.s == b"none" for node in scatters for a in node.attribute if a.name == "reduction")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    return lambda *arrays: session.run(None, dict(zip(names, arrays, strict=True)))


ONNX = [
    ("masked_dense", "MaskedDense", [(20,)], "edges"),
    ("masked_dense", "MaskedDense", [(20,)], "masked"),
]
# To export takes seconds.
OTHERS = [
    pytest.param(*case, marks=pytest.mark.slow)
    for case in (
        ("zoo", "Zoo", [(6,), (2, 3)], "edges"),
        ("zoo", "Zoo", [(6,), (2, 3)], "masked"),
        ("graph_mlp", "GraphMlp", [(64,)], "edges"),
        ("graph_mlp", "GraphMlp", [(64,)], "masked"),
    )
]


@pytest.mark.parametrize(("name", "class_name", "shapes", "kernel"), [*ONNX, *OTHERS])
def test_onnx_runtime_computes_the_same(
    generated: Callable[[str], ModuleType],
    tmp_path: Path,
    name: str,
    class_name: str,
    shapes: list[tuple[int, ...]],
    kernel: str,
) -> None:
    model = getattr(generated(f"{name}_torch"), class_name)(seed=1).eval()
    example = tuple(torch.rand(5, *shape) for shape in shapes)
    computed = onnx_model(model, example, tmp_path / "model.onnx", kernel)
    for size in (1, 5, 300):
        inputs = [torch.rand(size, *shape) for shape in shapes]
        wanted = model(*inputs)
        found = computed(*(value.numpy() for value in inputs))
        for ours, theirs in zip(found, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
            np.testing.assert_allclose(ours, theirs.detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.slow  # ONNX Runtime takes seconds to read a graph of many units
def test_a_hub_among_many_units_stays_proportional_to_edges_in_onnx(
    masked_dense: ModuleType, tmp_path: Path, kernel: str
) -> None:
    """One target reads 3000 units, others one or none: no table of targets x largest fan-in."""
    n = 3000
    target = np.r_[np.arange(n // 2), np.full(n, n // 2)]
    source = np.r_[np.arange(n // 2), np.arange(n)]
    layer = masked_dense.EdgeProjection(source, target, (n, n))
    nn.init.uniform_(layer.weight)
    computed = onnx_model(layer, (torch.rand(2, n),), tmp_path / "hub.onnx", kernel)
    x = torch.rand(4, n)
    (found,) = computed(x.numpy())
    np.testing.assert_allclose(found, layer(x).detach(), rtol=1e-4)
    size = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert 4 * len(target) < size < 100 * len(target)
