"""The generated PyTorch module as its users meet it."""

from __future__ import annotations

import copy
import io
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad

ROOT = Path(__file__).parent.parent.parent


def load(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A generated module, imported as a person would."""
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop(name, None)
    module = __import__(name)
    assert Path(module.__file__ or "").parent == folder
    return module


@pytest.fixture
def graph_mlp(compiled: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(compiled(ROOT / "examples" / "graph_mlp.nnspec"), "graph_mlp_torch", monkeypatch)


@pytest.fixture
def masked_dense(compiled: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(compiled(ROOT / "examples" / "masked_dense.nnspec"), "masked_dense_torch", monkeypatch)


def digits(batch: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, 64, generator=generator), torch.randint(10, (batch,), generator=generator)


def test_compiled_without_graph_breaks_it_is_the_same(graph_mlp: ModuleType) -> None:
    model = graph_mlp.GraphMlp(seed=1).eval()
    x, y = digits()
    compiled = torch.compile(model, fullgraph=True)
    results = []
    for forward in (model, compiled):
        model.zero_grad()
        score = forward(x)
        model.loss(score, y).backward()
        results.append((score.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]))
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-6)


def test_functional_gradients_are_those_of_backward(graph_mlp: ModuleType) -> None:
    model = graph_mlp.GraphMlp(seed=1).double().eval()
    x, y = digits()
    x = x.double()

    def loss(parameters: dict[str, torch.Tensor]) -> torch.Tensor:
        return nn.functional.cross_entropy(functional_call(model, parameters, (x,)), y)

    parameters = {name: p.detach() for name, p in model.named_parameters()}
    found = grad(loss)(parameters)
    nn.functional.cross_entropy(model(x), y).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad)


def test_exported_it_is_the_same(graph_mlp: ModuleType) -> None:
    model = graph_mlp.GraphMlp(seed=1).eval()
    x, _ = digits()
    exported = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.testing.assert_close(exported.module()(x[:7]), model(x[:7]))


@pytest.mark.parametrize("copied", ["deepcopy", "pickle", "save"])
def test_copies_compute_the_same(graph_mlp: ModuleType, copied: str) -> None:
    model = graph_mlp.GraphMlp(seed=1).eval()
    if copied == "deepcopy":
        other = copy.deepcopy(model)
    elif copied == "pickle":
        other = pickle.loads(pickle.dumps(model))
    else:
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        other = torch.load(file, weights_only=False)
    x, _ = digits()
    assert torch.equal(other(x), model(x))


def test_state_dict_goes_round_and_knows_its_edges(graph_mlp: ModuleType) -> None:
    model, other = graph_mlp.GraphMlp(seed=1), graph_mlp.GraphMlp(seed=2)
    other.load_state_dict(model.state_dict())
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)
    foreign = {**model.state_dict(), "hidden_grid.digest": torch.zeros(4, dtype=torch.int64)}
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(RuntimeError, match="other edges"):
        model.load_state_dict(foreign)
    arrays = {name: value.numpy() for name, value in foreign.items() if not name.endswith("batches_tracked")}
    with pytest.raises((RuntimeError, ValueError), match="other edges"):
        model.load_arrays(arrays)
    assert torch.equal(model.state_dict()["hidden_grid.weight"], before["hidden_grid.weight"])


def test_arrays_with_another_name_or_shape_are_refused(graph_mlp: ModuleType) -> None:
    model = graph_mlp.GraphMlp()
    arrays = model.to_arrays()
    with pytest.raises(RuntimeError, match=r"score\.bias"):
        model.load_arrays({name: array for name, array in arrays.items() if name != "score.bias"})
    with pytest.raises(RuntimeError, match=r"score\.bias"):
        model.load_arrays({**arrays, "score.bias": np.zeros(11, np.float32)})
    with pytest.raises(RuntimeError, match="surplus"):
        model.load_arrays({**arrays, "surplus": np.zeros(1, np.float32)})


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_work(graph_mlp: ModuleType, dtype: torch.dtype) -> None:
    model = graph_mlp.GraphMlp(seed=1).to(dtype).eval()
    x, y = digits()
    score = model(x.to(dtype))
    assert score.dtype == dtype
    model.loss(score, y).backward()
    reference = graph_mlp.GraphMlp(seed=1).eval()(x)
    tolerance = 0.1 if dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(score.float(), reference, rtol=tolerance, atol=tolerance)
    assert model.to_arrays()["hidden_grid.weight"].dtype in (np.float32, np.float64)


def test_autocast_trains(graph_mlp: ModuleType) -> None:
    model = graph_mlp.GraphMlp(seed=1)
    x, y = digits()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model.loss(model(x), y)
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.dtype == torch.float32
        assert torch.isfinite(parameter.grad).all()


def test_it_is_one_part_of_a_larger_module(graph_mlp: ModuleType) -> None:
    class Larger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before = nn.Linear(20, 64)
            self.part = graph_mlp.GraphMlp()
            self.after = nn.Linear(10, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.after(self.part(self.before(x)))

    model = Larger()
    model(torch.rand(8, 20)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert "part.hidden_grid.weight" in model.state_dict()


def test_one_seed_one_model_whatever_the_global_state(graph_mlp: ModuleType) -> None:
    torch.manual_seed(1)
    first = graph_mlp.GraphMlp(seed=3).to_arrays()
    state = torch.random.get_rng_state()
    second = graph_mlp.GraphMlp(seed=3).to_arrays()
    assert torch.equal(state, torch.random.get_rng_state()), "making a model must not draw from torch"
    for name, array in first.items():
        assert np.array_equal(array, second[name])


@pytest.mark.parametrize("optimiser", ["SGD", "AdamW"])
def test_weight_decay_leaves_absent_edges_absent_and_frozen_ones_frozen(
    masked_dense: ModuleType, optimiser: str
) -> None:
    model = masked_dense.MaskedDense(seed=1)
    held = model.held.weight.clone()
    learned = model.learned.weight.detach().clone()
    step = getattr(torch.optim, optimiser)(model.parameters(), lr=0.05, weight_decay=0.1)
    x, y = torch.rand(64, 20), torch.rand(64, 3)
    for _ in range(50):
        step.zero_grad()
        model.loss(model(x), y).backward()
        step.step()
    assert torch.equal(model.held.weight, held)
    assert not torch.equal(model.learned.weight, learned)
    # One input at a time: what reaches a hidden unit is exactly its edges' weights, and nothing else.
    allowed = np.load(ROOT / "examples" / "data" / "A.npy").astype(bool)
    unit = torch.eye(20)
    reached = (model.learned(unit) + model.held(unit)).detach().numpy()
    assert np.array_equal(reached != 0, allowed)
