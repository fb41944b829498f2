"""What a generated PyTorch module saves, and what it refuses to load: all or nothing."""

from __future__ import annotations

import copy
import gc
import io
import pickle
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn


def through_save(model: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda m: pickle.loads(pickle.dumps(m)), "save": through_save}


def moved(model: nn.Module, digest: str) -> dict[str, Tensor]:
    """A checkpoint in which every number is another one, and the edges of one connection are."""
    state = {name: value + 1 for name, value in model.state_dict().items() if not name.endswith("digest")}
    return {**model.state_dict(), **state, digest: torch.zeros(4, dtype=torch.int64)}


def assert_unmoved(model: nn.Module, before: dict[str, Tensor]) -> None:
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_state_dict_goes_round(graph_mlp: ModuleType, device: str) -> None:
    model, other = graph_mlp.GraphMlp(seed=1).to(device), graph_mlp.GraphMlp(seed=2)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True, map_location="cpu"))
    assert_unmoved(other, {name: value.cpu() for name, value in model.state_dict().items()})
    assert not any("source" in name or "offsets" in name for name in model.state_dict())


@pytest.mark.parametrize("copied", COPIES)
def test_copies_compute_the_same_and_refuse_the_same(
    graph_mlp: ModuleType, copied: str, batch: tuple[Tensor, Tensor], device: str
) -> None:
    model = graph_mlp.GraphMlp(seed=1).to(device).eval()
    other = COPIES[copied](model)
    x, _ = batch
    assert torch.equal(other(x), model(x))
    assert other.hidden_grid.weight is not model.hidden_grid.weight
    foreign, before = moved(model, "hidden_grid.digest"), snapshot(other)
    del model  # a copy stands on its own
    gc.collect()
    with pytest.raises(RuntimeError, match="other edges"):
        other.load_state_dict(foreign)
    assert_unmoved(other, before)


@pytest.mark.parametrize("digest", ["learned.digest", "held.digest"])
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("assign", [True, False])
def test_one_connection_of_other_edges_and_nothing_is_loaded(
    masked_dense: ModuleType, digest: str, strict: bool, assign: bool
) -> None:
    model = masked_dense.MaskedDense(seed=1)
    before = snapshot(model)
    with pytest.raises(RuntimeError, match=f"`{digest}` differs: .* other edges"):
        model.load_state_dict(moved(model, digest), strict=strict, assign=assign)
    assert_unmoved(model, before)
    arrays = {name: array + 1 for name, array in model.to_arrays().items() if not name.endswith("digest")}
    arrays = {**model.to_arrays(), **arrays, digest: np.zeros(4, np.int64)}
    with pytest.raises(RuntimeError, match="other edges"):
        model.load_arrays(arrays)
    assert_unmoved(model, before)


class Larger(nn.Module):
    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.before = nn.Linear(2, 2)
        self.part = part


def test_in_a_larger_module_the_part_is_loaded_whole_or_not_at_all(masked_dense: ModuleType) -> None:
    larger = Larger(masked_dense.MaskedDense(seed=1))
    before, foreign = snapshot(larger.part), moved(larger, "part.held.digest")
    with pytest.raises(RuntimeError, match=r"`part\.held\.digest` differs"):
        larger.load_state_dict(foreign)
    assert_unmoved(larger.part, before)


def test_with_the_hook_of_the_part_a_larger_module_is_loaded_whole_or_not_at_all(
    masked_dense: ModuleType,
) -> None:
    larger = Larger(masked_dense.MaskedDense(seed=1))
    larger.register_load_state_dict_pre_hook(masked_dense.refuse_other_edges)
    before = snapshot(larger)
    with pytest.raises(RuntimeError, match=r"`part\.held\.digest` differs"):
        larger.load_state_dict(moved(larger, "part.held.digest"))
    assert_unmoved(larger, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("score.bias"), r"missing: score\.bias"),
        (lambda arrays: arrays.update({"score.bias": np.zeros(11)}), r"score\.bias has the shape \(11,\)"),
        (lambda arrays: arrays.update(surplus=np.zeros(1)), "unknown: surplus"),
        (lambda arrays: arrays.update({"hidden_grid.digest": np.zeros(4, np.int64)}), "other edges"),
    ],
)
def test_wrong_arrays_are_refused_before_any_is_loaded(
    graph_mlp: ModuleType, change: Callable[[dict[str, np.ndarray]], object], message: str
) -> None:
    model = graph_mlp.GraphMlp()
    before = snapshot(model)
    arrays = {
        name: array + 1 if array.dtype.kind == "f" else array for name, array in model.to_arrays().items()
    }
    change(arrays)
    with pytest.raises(RuntimeError, match=message):
        model.load_arrays(arrays)
    assert_unmoved(model, before)
