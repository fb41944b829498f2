"""What PyTorch has itself is PyTorch's own: a plain network reads as one writes it by hand."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nnspec.backends.kernels import names_of

Load = Callable[[str, str | None], ModuleType]

MLP = """model mlp
input x[6]
target t[3]
layer a[5] : relu
layer b[4] : layer_norm, tanh, dropout(0.5)
layer c[4] : bias(off)
layer y[3]
connect x -> a : all
connect a -> b : all
connect b -> c : all
connect c -> y : all
loss mse(y, t) + 0.1 * l2(a_b)
"""


def test_a_plain_network_is_made_of_pytorch_s_own_modules(torch_module: Load) -> None:
    module = torch_module(MLP, None)
    model = module.Mlp(seed=2)
    assert {name: type(part) for name, part in model.named_modules() if name} == {
        "x_a": nn.Linear,
        "a": nn.ReLU,
        "a_b": nn.Linear,
        "b": nn.Sequential,
        "b.layer_norm": nn.LayerNorm,
        "b.tanh": nn.Tanh,
        "b.dropout": nn.Dropout,
        "b_c": nn.Linear,
        "c_y": nn.Linear,
    }
    copied = names_of("torch") & vars(module).keys()
    assert copied == {
        *("uniform", "uniform_by_fan_in"),
        *("arrays_of", "load_into", "check_shape", "flat", "unflat"),
    }
    assert model.b_c.bias is None


def test_it_computes_what_the_same_network_written_by_hand_does(torch_module: Load) -> None:
    model = torch_module(MLP, None).Mlp(seed=2).double().eval()
    norm = nn.LayerNorm(4)
    by_hand = nn.Sequential(
        *(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), norm, nn.Tanh()),
        *(nn.Linear(4, 4, bias=False), nn.Linear(4, 3)),
    ).double()
    arrays = model.to_arrays()
    assert [*arrays][:4] == ["x_a.weight", "a.bias", "a_b.weight", "b.bias"]
    for at, (connection, layer) in {
        0: ("x_a", "a"),
        2: ("a_b", "b"),
        5: ("b_c", "c"),
        6: ("c_y", "y"),
    }.items():
        with torch.no_grad():
            by_hand[at].weight.copy_(torch.tensor(arrays[f"{connection}.weight"]))
            if f"{layer}.bias" in arrays:
                by_hand[at].bias.copy_(torch.tensor(arrays[f"{layer}.bias"] + 0.5))
    model.load_arrays({n: a + 0.5 if n in ("a.bias", "b.bias", "y.bias") else a for n, a in arrays.items()})
    x = torch.randn(7, 6).double()
    torch.testing.assert_close(model(x), by_hand(x))
    values = model.layers(x)
    torch.testing.assert_close(values["a"], by_hand[:2](x))
    assert values.keys() == {"a", "b", "c", "y"}


def test_arrays_of_other_names_are_refused_by_the_names_of_every_target(torch_module: Load) -> None:
    model = torch_module(MLP, None).Mlp()
    arrays = model.to_arrays()
    arrays["x_a.bias"] = arrays.pop("a.bias")
    with pytest.raises(RuntimeError, match=r"missing: a\.bias\nunknown: x_a\.bias"):
        model.load_arrays(arrays)


FROZEN = """model frozen_{bias}
input x[6]
target t[3]
layer y[3] : bias({bias})
connect x -> y : all with weight = 0.5, trainable = false
loss mse(y, t)
"""


@pytest.mark.parametrize("bias", ["on", "off"])
def test_frozen_weights_of_a_linear_layer_stay_whatever_is_asked(torch_module: Load, bias: str) -> None:
    spec = FROZEN.format(bias=bias).replace(" : bias(on)", "")
    module = torch_module(spec, None)
    model = getattr(module, f"Frozen{bias.capitalize()}")()
    assert type(model.x_y) is nn.Linear
    model.requires_grad_(True)
    assert [name for name, _ in model.named_parameters()] == ["x_y.bias"] * (bias == "on")
    assert np.array_equal(model.to_arrays()["x_y.weight"], np.full((3, 6), 0.5, np.float32))
    if bias == "on":
        optimiser = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
        model.loss(model(torch.randn(5, 6)), torch.randn(5, 3)).backward()
        optimiser.step()
        assert model.x_y.bias.abs().min() > 0
    assert torch.equal(model.x_y.weight, torch.full((3, 6), 0.5))
    assert model.double().x_y.weight.dtype == torch.float64


OTHERS = """model others
input x[2, 3]
layer late[4] : tanh, bias(start = 0.5)
layer shared[2, 2] : bias(per = 0, start = 0.25), tanh
layer two[4] : tanh
layer y[2, 2] : softmax
connect x -> late : all
connect x -> shared : all
connect late -> two : all
connect shared -> two : all
connect two -> y : all
output y, shared
"""


def test_biases_that_come_later_or_are_shared_are_the_layer_s(torch_module: Load) -> None:
    model = torch_module(OTHERS, None).Others(seed=1).eval()
    assert (type(model.x_late), model.x_late.bias) == (nn.Linear, None)
    assert [name for name, part in model.named_children() if isinstance(part, nn.Linear)] == [
        "x_late",
        "two_y",
    ]
    x = torch.randn(5, 2, 3)
    flat, arrays = x.flatten(1), {name: torch.tensor(a) for name, a in model.to_arrays().items()}

    def product(values: Tensor, connection: str) -> Tensor:
        return values @ arrays[f"{connection}.weight"].t()

    late = torch.tanh(product(flat, "x_late")) + 0.5
    shared = torch.tanh(product(flat, "x_shared") + 0.25)
    two = torch.tanh(product(late, "late_two") + product(shared, "shared_two") + arrays["two.bias"])
    y = (product(two, "two_y") + arrays["y.bias"]).unflatten(1, (2, 2)).softmax(-1)
    found = model(x)
    torch.testing.assert_close(found[0], y)
    torch.testing.assert_close(found[1], shared.unflatten(1, (2, 2)))
