"""PyTorch modules of networks that run over time: compiled, and exported with a fixed number of steps."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from nnspec.compiler import load

# Sparse layers of which one recurs, a dense one that enters, and an output of all steps and one of the last.
TEXT = """model passing
input u[3] over time
layer h[40] : tanh
layer v[40] = 0.5 * before(v, 2) + h
layer y[2]
connect u -> h : all
connect h -> h : random(fan_in = 4, seed = 1) with delay = 1
connect v -> h : random(fan_in = 4, seed = 2) with delay = 2
connect v -> y : all
output h over time
output y
"""
STEPS = 5


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NNSPEC_CACHE", str(tmp_path_factory.mktemp("cache")))
        return load(text=TEXT, target="torch", batch=2).Passing().eval()


def check_step(model: Any, backend: str) -> None:
    """A step that is compiled whole gives what it gives uncompiled, and the same gradients."""
    torch.compiler.reset()
    step = torch.compile(model.step, fullgraph=True, backend=backend)
    found = list[list[torch.Tensor]]()
    for run in (model.step, step):
        model.zero_grad()
        state, u = model.initial_state(3), torch.linspace(-1, 1, 3 * STEPS * 3).reshape(3, STEPS, 3)
        values = {}
        for t in range(STEPS):
            values, state = run(u[:, t], state)
        (values["h"].square().sum() + values["y"].sum()).backward()
        found.append([*values.values(), *state.values(), *(x.grad for x in model.parameters())])
    for mine, wanted in zip(*found, strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=1e-5)


def test_a_step_is_compiled_whole(model: Any) -> None:
    check_step(model, "aot_eager")


@pytest.mark.slow
def test_a_step_is_compiled_by_inductor(model: Any) -> None:
    check_step(model, "inductor")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.parametrize("remat", [0, 2])
def test_all_steps_are_compiled(model: Any, backend: str, remat: int) -> None:
    own = load(text=TEXT, target="torch", batch=2, remat=remat).Passing().eval()
    own.load_arrays(model.to_arrays())
    torch.compiler.reset()
    u, found = torch.linspace(-1, 1, 3 * STEPS * 3).reshape(3, STEPS, 3), list[list[torch.Tensor]]()
    for run in (model, torch.compile(own, fullgraph=True, backend=backend)):
        h, y = run(u)
        held = model if run is model else own
        held.zero_grad()
        (h.square().sum() + y.sum()).backward()
        found.append([h, y, *(x.grad for x in held.parameters())])
    for mine, wanted in zip(*found, strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=1e-5)


def test_an_exported_program_computes_and_trains_the_same(model: Any) -> None:
    """It has the number of steps that it was exported with, and any batch."""
    u = torch.linspace(-1, 1, 3 * STEPS * 3).reshape(3, STEPS, 3)
    dynamic = ({0: torch.export.Dim("batch")}, None)
    file = io.BytesIO()
    torch.export.save(torch.export.export(model, (u, None), dynamic_shapes=dynamic), file)
    file.seek(0)
    program = torch.export.load(file).module()
    found = list[list[torch.Tensor]]()
    for run in (model, program):
        run.zero_grad()
        torch.testing.assert_close(run(u[:2], None), model(u[:2]))
        h, y = run(u, None)
        (h.square().sum() + y.sum()).backward()
        gradients = {name: x.grad for name, x in run.named_parameters()}
        found.append([h, y, *(gradients[name] for name, _ in model.named_parameters())])
    for mine, wanted in zip(*found, strict=True):
        torch.testing.assert_close(mine, wanted)
    with pytest.raises(Exception, match=r"(?i)guard|expected|shape|constraint"):
        program(u[:, :2], None)


@pytest.mark.slow
def test_onnx_runtime_computes_the_same(model: Any, tmp_path: Path) -> None:
    u = torch.linspace(-1, 1, 3 * STEPS * 3).reshape(3, STEPS, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shapes = ({0: torch.export.Dim("batch")},)
        torch.onnx.export(model, (u,), tmp_path / "m.onnx", dynamo=True, dynamic_shapes=shapes, verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    for size in (1, 3):
        found = session.run(None, {session.get_inputs()[0].name: u[:size].numpy()})
        for ours, theirs in zip(found, model(u[:size]), strict=True):
            np.testing.assert_allclose(ours, theirs.detach(), rtol=1e-4, atol=1e-6)
