"""Weights that are shared, tied and made of a parameter, held against PyTorch's own layers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nnspec.backends.torch.kernels.entries import Spread
from nnspec.compiler.graph.graph import Graph, Parameter, Through, Turned
from nnspec.compiler.graph.graph import Spread as SpreadEntries
from nnspec.compiler.pipeline import understand

Load = Callable[[str, str | None], ModuleType]

CONVOLUTION = """model convolution
input image[3, 6, 7]
layer maps[4, 6, 7] : bias(per = 0)
connect image -> maps : { (m, r+a, c+b) -> (k, r, c) : a in -1..1, b in -2..2 ; outside = skip }
  with share = (k, m, a, b)
"""
TIED = """model tied
input x[12]
layer code[5] : tanh
layer back[12]
connect x -> code : all with share = w
connect code -> back : all with share = w
loss mse(back, x) + 0.5 * l2(code, back)
"""
SPARSE = """model sparse
input x[9]
layer h0[9] : tanh
connect x -> h0 : random(fan_in = 3, seed = 2) with share = w, weight = 0.5
for k in 1..2 {
  edges turned{k} : h{k} -> h{k-1} = random(fan_in = 3, seed = 2)
  layer h{k}[9] : bias(share = b), tanh
  connect h{k-1} -> h{k} : random(fan_in = 3, seed = 2) with share = w
}
"""
TURNED = """model pooled
input x[5]
layer code[3]
layer back[5]
connect x -> code : all with share = w
connect code -> back : all with reduce = max, share = w
"""


def graph_of(text: str) -> Graph:
    return understand(Path("spec.nnspec"), text=text).plan.graph


@pytest.mark.parametrize("kernel", ["edges", "masked", "convolution"])
def test_a_shared_window_is_the_convolution_of_pytorch(torch_module: Load, kernel: str) -> None:
    model = torch_module(CONVOLUTION, kernel).Convolution(seed=3).double()
    image = torch.randn(5, 3, 6, 7, dtype=torch.float64, requires_grad=True)
    arrays = {name: torch.tensor(array) for name, array in model.to_arrays().items()}
    weight = arrays["image_maps.weight"].reshape(4, 3, 3, 5).requires_grad_()
    bias = arrays["maps.bias"].requires_grad_()
    wanted = F.conv2d(image, weight, bias, padding=(1, 2))
    found = model(image)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    factor = torch.randn_like(wanted)
    of_image, of_weight, of_bias = torch.autograd.grad(wanted, [image, weight, bias], factor)
    own = torch.autograd.grad(found, [image, model.image_maps_weight, model.maps.bias], factor)
    for got, expected in zip(own, (of_image, of_weight.reshape(-1), of_bias), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-11)


def test_a_tied_autoencoder_is_two_dense_products_with_one_matrix(torch_module: Load) -> None:
    graph = graph_of(TIED)
    encoder, decoder = graph.projections
    assert isinstance(encoder.weight, Parameter)
    assert isinstance(decoder.weight, Turned)
    assert decoder.weight.of is encoder.weight
    assert [(p.name, p.shape) for p in graph.parameters] == [
        *(("w", (5, 12)), ("code.bias", (5,)), ("back.bias", (12,)))
    ]
    assert [penalty.parameter for penalty in graph.penalties] == ["w"]
    module = torch_module(TIED, None)
    assert not {"EdgeProjection", "MaskedProjection", "load_stored"} & vars(module).keys()
    model = module.Tied(seed=1).double()
    x = torch.randn(4, 12, dtype=torch.float64)
    wanted = F.linear(torch.tanh(F.linear(x, model.w, model.code.bias)), model.w.t(), model.back.bias)
    torch.testing.assert_close(model(x), wanted)
    loss = model.loss(model(x), x)
    torch.testing.assert_close(loss, F.mse_loss(wanted, x) + 0.5 * model.w.square().sum())
    assert {*model.state_dict()} >= {"w", "code.bias", "back.bias"}


def test_what_is_pooled_may_have_the_weights_of_a_sum_turned_round(torch_module: Load) -> None:
    model = torch_module(TURNED, None).Pooled(seed=2).double()
    x = torch.randn(4, 5, dtype=torch.float64)
    code = x @ model.w.t()
    torch.testing.assert_close(model(x), (code[:, None] * model.w.t()).amax(2), rtol=1e-12, atol=1e-12)


def test_turns_of_a_loop_have_one_parameter(torch_module: Load) -> None:
    model = torch_module(SPARSE, "edges").Sparse(seed=1)
    assert {name for name, _ in model.named_parameters()} == {"w", "h0.bias", "b"}
    assert model.h1.bias is model.h2.bias is model.b
    assert torch.equal(model.w.detach(), torch.full((27,), 0.5))
    again = torch_module(SPARSE, "edges").Sparse(seed=2)
    with torch.no_grad():
        model.w.normal_()
    again.load_arrays(model.to_arrays())
    x = torch.randn(3, 9)
    assert torch.equal(model(x), again(x))
    assert {"w", "b"} <= model.to_arrays().keys()


def test_a_checkpoint_for_other_keys_is_refused(torch_module: Load) -> None:
    other = CONVOLUTION.replace("share = (k, m, a, b)", "share = (k, m, -a, b)").replace(
        "model conv", "model deconv"
    )
    saved = torch_module(CONVOLUTION, None).Convolution().state_dict()
    with pytest.raises(RuntimeError, match=r"maps\.digest"):
        torch_module(other, None).Deconvolution().load_state_dict(saved)


@pytest.mark.parametrize("size", [1, 4, 50])
def test_spread_entries_have_derivatives_of_every_order(size: int) -> None:
    rng = np.random.default_rng(size)
    index = rng.integers(size, size=60)
    spread = Spread(index, (size,), (60,))
    parameter = torch.randn(size, dtype=torch.float64, requires_grad=True)
    assert torch.equal(spread(parameter), parameter[torch.from_numpy(index)])
    assert torch.autograd.gradcheck(spread, [parameter], check_forward_ad=False)
    assert torch.autograd.gradgradcheck(lambda p: spread(p).square(), [parameter])
    many = torch.randn(7, size, dtype=torch.float64)
    assert torch.equal(torch.vmap(spread)(many), many[:, torch.from_numpy(index)])

    def score(p: torch.Tensor) -> torch.Tensor:
        return (spread(p) ** 3).sum()

    by_row = torch.vmap(torch.func.grad(score))(many)
    wanted = torch.stack([torch.func.grad(score)(row) for row in many])
    torch.testing.assert_close(by_row, wanted)
    forward = torch.func.jvp(score, (many[0],), (many[1],))[1]
    torch.testing.assert_close(forward, wanted[0] @ many[1])


def test_entries_that_no_edge_has_get_no_gradient() -> None:
    spread = Spread(np.array([3, 0, 3]), (5,), (3,))
    parameter = torch.ones(5, requires_grad=True)
    spread(parameter).sum().backward()
    assert parameter.grad is not None
    assert parameter.grad.tolist() == [1, 0, 0, 2, 0]


def test_one_parameter_goes_through_as_many_functions_as_say_so() -> None:
    graph = graph_of("""model through
function bent(w, by = 1) = w * sigmoid(by * w)
input x[4]
layer a[4]
layer b[4]
layer c[4]
connect x -> a : one_to_one with share = w, through = bent
connect x -> b : one_to_one with share = w, through = bent(by = 2)
connect x -> c : one_to_one with share = w, through = bent(by = 2)
output a
output b
output c
""")
    first, second, again = (projection.weight for projection in graph.projections)
    assert isinstance(first, Through)
    assert isinstance(second, Through)
    assert first.of is second.of
    assert dict(first.numbers) == {"by": 1.0}
    assert dict(second.numbers) == {"by": 2.0}
    assert second is again


def test_keys_of_no_edges_make_no_weights() -> None:
    (projection,) = graph_of("""model empty
input x[4]
layer y[4]
connect x -> y : { i -> i + 9 ; outside = skip } with share = (i)
""").projections
    assert projection.parameter is not None
    assert projection.parameter.shape == (0,)


CELLS = "id,kind\na,on\nb,off\nc,on\nd,7\n"
LINKS = "source,target,kind\na,a,inh\nb,a,exc\nc,b,exc\nd,b,10\na,c,9\n"


def shared_index(tmp_path: Path, connection: str) -> list[int]:
    """The entry of every edge of a connection between cells."""
    (tmp_path / "cells.csv").write_text(CELLS)
    (tmp_path / "links.csv").write_text(LINKS)
    spec = tmp_path / "m.nnspec"
    spec.write_text(
        'model m\naxis cell = names("cells.csv", column = "id")\ninput x[cell]\nlayer y[cell]\n'
        f"connect x -> y : {connection}\n"
    )
    (op,) = understand(spec).plan.graph.projections
    assert isinstance(op.weight, SpreadEntries)
    assert op.weight.index is not None
    assert op.parameter is not None
    assert op.parameter.shape == (op.weight.index.max() + 1,)
    return op.weight.index.tolist()


def test_edges_share_by_the_texts_of_a_column(tmp_path: Path) -> None:
    """Entries are in the order of texts; `10` and `9` are texts here, as the others are."""
    text = 'load("links.csv") with share = column("kind")'
    assert shared_index(tmp_path, text) == [3, 2, 2, 0, 1]
    kinds = ["inh", "exc", "exc", "10", "9"]
    keys = [*zip((2, 2, 2, 2, 1), kinds, strict=True)]
    both = text.replace('column("kind")', '(fan_in, (column("kind")))')
    assert shared_index(tmp_path, both) == [sorted({*keys}).index(key) for key in keys]


def test_edges_share_by_the_texts_of_fields(tmp_path: Path) -> None:
    text = "{ i -> j : i < j } with share = (cell.kind(i), cell.kind(j))"
    kinds = ["on", "off", "on", "7"]
    keys = [(kinds[i], kinds[j]) for j in range(4) for i in range(j)]
    places = sorted({*keys})
    assert shared_index(tmp_path, text) == [places.index(key) for key in keys]


def test_signs_hold_whatever_training_does(torch_module: Load) -> None:
    text = (
        "model signed\ninput x[6]\ntarget t[4]\nlayer y[4]\n"
        "connect x -> y : all with sign = nonpositive\nloss mse(y, t)\n"
    )
    model = torch_module(text, None).Signed()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    for _ in range(20):
        optimizer.zero_grad()
        x = torch.randn(8, 6)
        model.loss(model(x), x[:, :4] * 3).backward()
        optimizer.step()
    eye = torch.eye(6)
    assert (model(eye) - model(torch.zeros(1, 6)) <= 0).all()


def test_a_bias_that_layers_share_is_moved_once(torch_module: Load) -> None:
    text = (
        "model shift\ninput x[3]\nlayer a[3] : bias(share = b)\n"
        "layer c[3] : scale(2), bias(share = b, start = 0.5)\n"
        "connect x -> a : all\nconnect a -> c : all\n"
    )
    with pytest.raises(Exception, match="differ in their starts"):
        torch_module(text, None)
    model = torch_module(text.replace(", start = 0.5", ""), None).Shift().double()
    linear = nn.Linear(3, 3).double()
    assert model.a.bias is model.c.bias
    with torch.no_grad():
        model.b.normal_()
        linear.weight.copy_(model.x_a.weight if hasattr(model.x_a, "weight") else linear.weight)
    x = torch.randn(2, 3, dtype=torch.float64)
    a = x @ linear.weight.t() + model.b
    torch.testing.assert_close(model(x), 2 * (a @ model.a_c.weight.t()) + model.b)
