"""The generated PyTorch module as its users meet it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

ROOT = Path(__file__).parent.parent.parent


def test_it_is_one_part_of_a_larger_module(graph_mlp: ModuleType, device: str) -> None:
    class Larger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before = nn.Linear(20, 64)
            self.part = graph_mlp.GraphMlp()
            self.after = nn.Linear(10, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.after(self.part(self.before(x)))

    model = Larger().to(device)
    model(torch.rand(8, 20, device=device)).square().mean().backward()
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


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(array, other[name]) for name, array in one.items())


def test_without_a_seed_torch_s_generator_gives_one(graph_mlp: ModuleType) -> None:
    torch.manual_seed(1)
    first, second = (graph_mlp.GraphMlp(seed=None).to_arrays() for _ in range(2))
    assert not same(first, second)
    torch.manual_seed(1)
    assert same(first, graph_mlp.GraphMlp(seed=None).to_arrays())
    assert same(graph_mlp.GraphMlp().to_arrays(), graph_mlp.GraphMlp(seed=0).to_arrays())
    with torch.device("meta"):
        graph_mlp.GraphMlp(seed=None)


def test_arrays_that_go_in_and_out_are_copies(graph_mlp: ModuleType) -> None:
    model, other = graph_mlp.GraphMlp(seed=1), graph_mlp.GraphMlp(seed=1)
    given = graph_mlp.start_values(1)
    model.load_arrays(given)
    for arrays in (given, model.to_arrays()):
        for array in arrays.values():
            array += 1
    assert same(model.to_arrays(), other.to_arrays())


LATE = """model late
input x[2, 2]
layer h[2, 2] : tanh, bias({bias}), tanh
connect x -> h : {edges}
output h
"""


@pytest.mark.parametrize("kernel", ["edges", "masked"])
@pytest.mark.parametrize("edges", ["one_to_one with weight = none", "random(fan_in = 2)"])
@pytest.mark.parametrize(
    ("bias", "entries"), [("start = 0.5", [0, 1, 2, 3]), ("per = 0, start = 0.5", [0, 0, 1, 1])]
)
def test_a_bias_behind_an_activation_is_added_there(
    torch_module: Callable[[str, str], ModuleType], kernel: str, edges: str, bias: str, entries: list[int]
) -> None:
    model = torch_module(LATE.format(bias=bias, edges=edges), kernel).Late()
    x = torch.randn(6, 2, 2)
    before = model.x_h(x.flatten(1)) if hasattr(model, "x_h") else x.flatten(1)
    held = model.h.bias.detach().requires_grad_()
    assert torch.equal(held, torch.full((1 + max(entries),), 0.5))
    wanted = torch.tanh(torch.tanh(before.detach()) + held[entries]).unflatten(1, (2, 2))
    torch.testing.assert_close(model(x), wanted)
    model(x).square().sum().backward()
    wanted.square().sum().backward()
    torch.testing.assert_close(model.h.bias.grad, held.grad)
    assert [name for name, _ in model.h.named_children() if "tanh" in name] == ["tanh", "tanh_2"]


@pytest.mark.parametrize("optimiser", ["SGD", "AdamW"])
def test_weight_decay_leaves_absent_edges_absent_and_frozen_ones_frozen(
    masked_dense: ModuleType, optimiser: str, device: str
) -> None:
    model = masked_dense.MaskedDense(seed=1).to(device)
    held = model.held.weight.clone()
    learned = model.learned.weight.detach().clone()
    step = getattr(torch.optim, optimiser)(model.parameters(), lr=0.05, weight_decay=0.1)
    x, y = torch.rand(64, 20, device=device), torch.rand(64, 3, device=device)
    for _ in range(50):
        step.zero_grad()
        model.loss(model(x), y).backward()
        step.step()
    assert torch.equal(model.held.weight, held)
    assert not torch.equal(model.learned.weight, learned)
    # One input at a time: what reaches a hidden unit is exactly its edges' weights, and nothing else.
    allowed = np.load(ROOT / "examples" / "data" / "A.npy").astype(bool)
    unit = torch.eye(20, device=device)
    reached = (model.learned(unit) + model.held(unit)).detach().cpu().numpy()
    assert np.array_equal(reached != 0, allowed)


def test_what_is_frozen_stays_and_passes_gradients_on(
    graph_mlp: ModuleType, batch: tuple[Tensor, Tensor], device: str
) -> None:
    model = graph_mlp.GraphMlp(seed=1).to(device).eval()
    x = batch[0].requires_grad_()
    model(x).sum().backward()
    wanted, x.grad = x.grad, None
    model.zero_grad()
    model.requires_grad_(False)
    model(x).sum().backward()
    torch.testing.assert_close(x.grad, wanted)
    assert all(parameter.grad is None for parameter in model.parameters())
    model.hidden_grid.weight.requires_grad_(True)
    model(x).sum().backward()
    trained = [name for name, parameter in model.named_parameters() if parameter.grad is not None]
    assert trained == ["hidden_grid.weight"]


def test_empty_batches_and_views_are_batches(
    graph_mlp: ModuleType, batch: tuple[Tensor, Tensor], device: str
) -> None:
    model = graph_mlp.GraphMlp(seed=1).to(device).eval()
    x, _ = batch
    strided = torch.rand(64, 16, device=device)[:, ::2].t()
    assert not strided.is_contiguous()
    torch.testing.assert_close(model(strided), model(strided.contiguous()))
    torch.testing.assert_close(model.hidden_grid(strided), model.hidden_grid(strided.contiguous()))
    one_for_all = x[:1].expand(5, -1)
    torch.testing.assert_close(model(one_for_all), model(x[:1]).expand(5, -1))
    empty = model(x[:0])
    assert empty.shape == (0, 10)
    empty.sum().backward()
    assert not model.hidden_grid.weight.grad.any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_precisions_work(
    graph_mlp: ModuleType, dtype: torch.dtype, batch: tuple[Tensor, Tensor], device: str
) -> None:
    model = graph_mlp.GraphMlp(seed=1).to(device, dtype).eval()
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    assert model.hidden_grid.source.dtype == torch.int32
    x, y = batch
    score = model(x.to(dtype))
    assert score.dtype == dtype
    model.loss(score, y).backward()
    assert {parameter.grad.dtype for parameter in model.parameters()} == {dtype}
    reference = graph_mlp.GraphMlp(seed=1).to(device).eval()
    reference.loss(reference(x), y).backward()
    tolerance = 1e-5 if dtype == torch.float64 else 0.1
    torch.testing.assert_close(score.float(), reference(x), rtol=tolerance, atol=tolerance)
    for ours, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours.grad.float(), theirs.grad, rtol=tolerance, atol=tolerance)
    for array in model.to_arrays().values():
        assert array.dtype in (np.float16, np.float32, np.float64, np.int64)
    # There and back: tables and digests are as they were.
    model.float().load_state_dict(reference.state_dict())
    torch.testing.assert_close(model(x), reference(x))


def test_it_is_made_as_the_defaults_say(graph_mlp: ModuleType, device: str) -> None:
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device(device):
            model = graph_mlp.GraphMlp(seed=1)
    finally:
        torch.set_default_dtype(usual)
    held = [*model.parameters(), *model.buffers(), *tables(model).values()]
    assert {value.device.type for value in held} == {device}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float64}


def tables(model: nn.Module) -> dict[str, Tensor]:
    return {name: getattr(model.hidden_grid, name) for name in ("digest", "source", "reverse_offsets")}


def assert_as_new(model: nn.Module, graph_mlp: ModuleType) -> None:
    for name, table in tables(graph_mlp.GraphMlp()).items():
        assert torch.equal(tables(model)[name].cpu(), table), name
        assert tables(model)[name].dtype == table.dtype


def test_what_empties_a_module_leaves_its_edges(graph_mlp: ModuleType, device: str) -> None:
    """As large models are made: without memory, then with, then from a checkpoint."""
    wanted = graph_mlp.GraphMlp(seed=1)
    x = torch.rand(4, 64)
    with torch.device("meta"):
        assigned, copied = graph_mlp.GraphMlp(), graph_mlp.GraphMlp()
    assert {parameter.device.type for parameter in assigned.parameters()} == {"meta"}
    assigned.load_state_dict(wanted.state_dict(), assign=True)
    copied.to_empty(device=device)
    assert tables(copied)["source"].device.type == device
    assert_as_new(copied, graph_mlp)
    copied.load_state_dict(wanted.state_dict())
    for model in (assigned, copied.cpu()):
        assert torch.equal(model.eval()(x), wanted.eval()(x))
    assert_as_new(wanted.type(torch.float64).share_memory(), graph_mlp)


@pytest.mark.parametrize("decay", [0.9, 0.9999, None])
def test_averages_of_a_model_keep_its_edges(graph_mlp: ModuleType, decay: float | None, device: str) -> None:
    """Buffers are averaged too, integers rounded down: tables must not be among them."""
    model = graph_mlp.GraphMlp(seed=1).to(device).eval()
    how = {"multi_avg_fn": get_ema_multi_avg_fn(decay)} if decay else {}
    averaged = AveragedModel(model, use_buffers=True, **how)
    for _ in range(5):
        averaged.update_parameters(model)
    x = torch.rand(4, 64, device=device)
    torch.testing.assert_close(averaged(x), model(x))
    for value in averaged.module.state_dict().values():
        value.copy_(value * 0.9 + value * 0.1)  # as others average
    assert_as_new(averaged.module, graph_mlp)
    graph_mlp.GraphMlp().load_state_dict(averaged.module.state_dict())


def test_results_are_the_same_in_every_run(
    graph_mlp: ModuleType, batch: tuple[Tensor, Tensor], device: str
) -> None:
    model = graph_mlp.GraphMlp(seed=1).to(device).eval()
    runs = []
    torch.use_deterministic_algorithms(True)
    try:
        for _ in range(3):
            model.zero_grad()
            x = batch[0].clone().requires_grad_()
            y = model.hidden_grid(x)
            y.square().sum().backward()
            runs.append((y.detach(), x.grad, model.hidden_grid.weight.grad.clone()))
    finally:
        torch.use_deterministic_algorithms(False)
    for run in runs[1:]:
        assert all(torch.equal(one, other) for one, other in zip(run, runs[0], strict=True))
