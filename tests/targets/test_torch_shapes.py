"""What the generated PyTorch module takes and refuses: dimensions of the batch, shapes, codes, dtypes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from torch.func import vmap

BATCHES = [(), (1,), (8,), (2, 4), (3, 1, 2), (0,), (3, 0)]
KERNELS = pytest.mark.parametrize("kernel", ["edges", "blocks", "masked"])
LAYOUTS = pytest.mark.parametrize(
    "kernel", ["edges", "masked"]
)  # units first wherever it can be, and nowhere
INPUTS = {"zoo": {"a": (6,), "gr": (2, 3)}, "layouts": {"x": (40,), "z": (8,)}}


@pytest.fixture(params=INPUTS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def model(generated: Callable[[str], ModuleType], name: str, device: str) -> nn.Module:
    return getattr(generated(f"{name}_torch"), name.capitalize())(seed=2).to(device).eval()


def drawn(name: str, batch: tuple[int, ...], device: str) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(*batch, *shape, device=device) for shape in INPUTS[name].values()]


def rows(values: list[Tensor], name: str) -> list[Tensor]:
    """The same with one dimension for the batch."""
    return [value.reshape(-1, *shape) for value, shape in zip(values, INPUTS[name].values(), strict=True)]


# --------------------------------------------------------------------------------------------- inputs


@LAYOUTS
@pytest.mark.parametrize("batch", BATCHES, ids=str)
def test_all_dimensions_before_the_declared_ones_are_batch(
    model: nn.Module, name: str, batch: tuple[int, ...], device: str
) -> None:
    inputs = drawn(name, batch, device)
    flat = rows(inputs, name)
    for found, wanted in zip(model(*inputs), model(*flat), strict=True):
        assert found.shape == (*batch, *wanted.shape[1:])
        assert found.is_contiguous()
        torch.testing.assert_close(found, wanted.reshape(found.shape))
    wanted_values = model.layers(*flat)
    for layer, value in model.layers(*inputs).items():
        assert value.shape == (*batch, *wanted_values[layer].shape[1:])
        torch.testing.assert_close(value, wanted_values[layer].reshape(value.shape))


def test_gradients_and_maps_of_several_batch_dimensions(model: nn.Module, name: str, device: str) -> None:
    inputs = [value.double() for value in drawn(name, (2, 4), device)]
    model.double()
    for value in inputs:
        value.requires_grad_()
    outputs = model(*inputs)
    gradients = torch.autograd.grad(sum(output.square().sum() for output in outputs), inputs)
    flat = [value.detach().requires_grad_() for value in rows(inputs, name)]
    wanted = torch.autograd.grad(sum(output.square().sum() for output in model(*flat)), flat)
    for found, other in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(found, other.reshape(found.shape))
    for mapped in (vmap(model)(*inputs), vmap(vmap(model))(*inputs)):
        for found, other in zip(mapped, outputs, strict=True):
            torch.testing.assert_close(found, other)


def test_it_compiles_and_exports_with_several_batch_dimensions(graph_mlp: ModuleType) -> None:
    model = graph_mlp.GraphMlp(seed=1).eval()
    x = torch.rand(3, 5, 64)
    torch._dynamo.reset()
    found = torch.compile(model, fullgraph=True, backend="aot_eager")(x)
    torch.testing.assert_close(found, model(x))
    shapes = ({0: torch.export.Dim("batch"), 1: torch.export.Dim("time")},)
    program = torch.export.export(model, (x,), dynamic_shapes=shapes).module()
    torch.testing.assert_close(program(x[:2, :4]), model(x[:2, :4]))


WRONG_INPUTS = [
    ({"a": (8, 7)}, "`a` must have the shape (..., 6), but has (8, 7)."),
    ({"a": (6, 8)}, "`a` must have the shape (..., 6), but has (6, 8)."),
    ({"a": ()}, "`a` must have the shape (..., 6), but has ()."),
    ({"gr": (8, 3, 2)}, "`gr` must have the shape (..., 2, 3), but has (8, 3, 2)."),
    ({"gr": (8, 6)}, "`gr` must have the shape (..., 2, 3), but has (8, 6)."),
    ({"gr": (1, 2, 3)}, "`gr` must have the shape (8, 2, 3), since the batch is (8,), but has (1, 2, 3)."),
    ({"gr": (2, 3)}, "`gr` must have the shape (8, 2, 3), since the batch is (8,), but has (2, 3)."),
    ({"a": (6,)}, "`gr` must have the shape (2, 3), since the batch is (), but has (8, 2, 3)."),
]


@pytest.mark.parametrize("name", ["zoo"])
@pytest.mark.parametrize(("shapes", "message"), WRONG_INPUTS)
def test_inputs_of_other_shapes_are_refused(
    model: nn.Module, shapes: dict[str, tuple[int, ...]], message: str
) -> None:
    given = {"a": (8, 6), "gr": (8, 2, 3)} | shapes
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        model(**{name: torch.zeros(shape) for name, shape in given.items()})


@pytest.mark.parametrize("kernel", ["edges", "masked"])
@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_inputs_that_are_not_floating_are_refused(
    graph_mlp: ModuleType, generated: Callable[[str], ModuleType], dtype: torch.dtype
) -> None:
    """Wherever they go first: into a dense layer, or into a sparse one."""
    with pytest.raises(
        ValueError, match=f"`pixels` must hold floating-point numbers, but is a tensor of {dtype}"
    ):
        graph_mlp.GraphMlp()(torch.zeros(2, 64).to(dtype))
    with pytest.raises(ValueError, match=f"`x` must hold floating-point numbers, but is a tensor of {dtype}"):
        generated("layouts_torch").Layouts()(torch.zeros(2, 40).to(dtype), torch.zeros(2, 8))


# ---------------------------------------------------------------------------------------------- losses


def loss_arguments(batch: tuple[int, ...]) -> dict[str, Tensor]:
    torch.manual_seed(0)
    shapes = {"o": (4,), "lo": (2, 3), "q": (3,), "y": (4,), "z": (3,)}
    shapes |= {"k": (2, 3), "h": (6,), "m": (4,), "w": (3,), "gr": (2, 3)}
    drawn = {name: torch.randn(*batch, *shape) for name, shape in shapes.items()}
    return {**drawn, "kind": torch.randint(3, (*batch, 2))}


@pytest.mark.parametrize("name", ["zoo"])
@pytest.mark.parametrize("batch", [(), (1,), (2, 4), (3, 1, 2)], ids=str)
def test_the_loss_is_a_mean_over_all_batch_dimensions(model: nn.Module, batch: tuple[int, ...]) -> None:
    given = loss_arguments(batch)
    entries = math.prod(batch)
    flat = {name: value.reshape(entries, *value.shape[len(batch) :]) for name, value in given.items()}
    torch.testing.assert_close(model.loss(**given), model.loss(**flat))
    each = [model.loss(**{name: value[at : at + 1] for name, value in flat.items()}) for at in range(entries)]
    torch.testing.assert_close(model.loss(**given), sum(each) / entries)


WRONG_LOSSES = [
    ({"y": (1, 4)}, "`y` must have the shape (8, 4), since the batch is (8,), but has (1, 4)."),
    ({"y": (8, 1)}, "`y` must have the shape (..., 4), but has (8, 1)."),
    ({"y": (4,)}, "`y` must have the shape (8, 4), since the batch is (8,), but has (4,)."),
    ({"z": (3,)}, "`z` must have the shape (8, 3), since the batch is (8,), but has (3,)."),
    ({"z": (8, 1)}, "`z` must have the shape (..., 3), but has (8, 1)."),
    ({"q": (1, 3)}, "`q` must have the shape (8, 3), since the batch is (8,), but has (1, 3)."),
    ({"o": (8, 3)}, "`o` must have the shape (..., 4), but has (8, 3)."),
    ({"kind": (8,)}, "`kind` must have the shape (..., 2), but has (8,)."),
    ({"kind": (16,)}, "`kind` must have the shape (..., 2), but has (16,)."),
    ({"kind": (16, 2)}, "`kind` must have the shape (8, 2), since the batch is (8,), but has (16, 2)."),
    ({"kind": (8, 2, 3)}, "`kind` must have the shape (..., 2), but has (8, 2, 3)."),
]


@pytest.mark.parametrize("name", ["zoo"])
@pytest.mark.parametrize(("shapes", "message"), WRONG_LOSSES)
def test_nothing_is_broadcast_in_the_loss(
    model: nn.Module, shapes: dict[str, tuple[int, ...]], message: str
) -> None:
    given = loss_arguments((8,))
    given |= {name: torch.zeros(shape, dtype=given[name].dtype) for name, shape in shapes.items()}
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        model.loss(**given)


@pytest.mark.parametrize("name", ["zoo"])
@pytest.mark.parametrize("code", [-100, -1, 3, 255])
def test_codes_that_are_no_class_are_refused(model: nn.Module, code: int) -> None:
    """PyTorch by itself leaves out the code -100."""
    given = loss_arguments((8,))
    given["kind"][5, 1] = code
    with pytest.raises(ValueError, match=f"`kind` must hold integers from 0 to 2, but holds {code}"):
        model.loss(**given)


@pytest.mark.parametrize("code", [-100, -1, 10])
def test_codes_that_are_no_class_stop_compiled_and_mapped_code(graph_mlp: ModuleType, code: int) -> None:
    """There the codes are not there yet when they would be looked at; no number comes out all the same."""
    loss = graph_mlp.GraphMlp().loss
    score, digit = torch.randn(6, 10), torch.tensor([0, 1, 9, 3, 4, 5])
    torch._dynamo.reset()
    compiled, mapped = torch.compile(loss, fullgraph=True, backend="aot_eager"), vmap(loss)
    torch.testing.assert_close(compiled(score, digit), loss(score, digit))
    each = [loss(score[at], digit[at]) for at in range(6)]
    torch.testing.assert_close(mapped(score, digit), torch.stack(each))
    digit[2] = code
    for function in (compiled, mapped):
        with pytest.raises((IndexError, RuntimeError), match="out of bounds"):
            function(score, digit)


@pytest.mark.parametrize("name", ["zoo"])
@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int32])
def test_codes_of_any_integers_are_codes(model: nn.Module, dtype: torch.dtype) -> None:
    given = loss_arguments((8,))
    assert torch.equal(model.loss(**{**given, "kind": given["kind"].to(dtype)}), model.loss(**given))


@pytest.mark.parametrize("name", ["zoo"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.complex64])
def test_codes_that_are_no_integers_are_refused(model: nn.Module, dtype: torch.dtype) -> None:
    given = loss_arguments((8,))
    with pytest.raises(
        ValueError, match=f"`kind` must hold integers from 0 to 2, but is a tensor of {dtype}"
    ):
        model.loss(**{**given, "kind": given["kind"].to(dtype)})


BINARY = """model binary
input x[5]
target t[3]
layer out[3]
connect x -> out : all
loss binary_cross_entropy(out, t) + mae(out, t) + mse(out, t)
"""


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.uint8, torch.float64])
def test_targets_may_be_integers(
    torch_module: Callable[[str, str | None], ModuleType], dtype: torch.dtype
) -> None:
    """PyTorch stops at some of these with a message about casting or subtraction, deep in the loss."""
    model = torch_module(BINARY, None).Binary()
    score, target = torch.randn(4, 3), torch.randint(2, (4, 3))
    wanted = model.loss(score, target.float())
    torch.testing.assert_close(model.loss(score, target.to(dtype)), wanted, check_dtype=False)


# --------------------------------------------------------------------------- arrays that belong to one

ALIASES = """model aliases
input x[6]
input grid[2, 3]
layer same[6]
layer shaped[2, 3]
layer dropped[6] : dropout(0.5)
layer again[6] : scale(1)
layer all_of_them[2]
connect x -> same : one_to_one with weight = none
connect grid -> shaped : one_to_one with weight = none
connect same -> dropped : one_to_one with weight = none
connect dropped -> again : one_to_one with weight = none
connect shaped -> all_of_them : random(fan_in = 2)
connect same -> all_of_them as more : random(fan_in = 2)
connect again -> all_of_them as most : random(fan_in = 2)
output same, shaped, again, all_of_them
"""


@LAYOUTS
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("batch", [(), (1,), (4,), (2, 2)], ids=str)
def test_layers_share_no_memory_with_each_other_nor_with_inputs(
    torch_module: Callable[[str, str | None], ModuleType],
    kernel: str,
    training: bool,
    batch: tuple[int, ...],
) -> None:
    """Changing one in place changes no other."""
    model = torch_module(ALIASES, kernel).Aliases().train(training)
    held = {"x": torch.rand(*batch, 6), "grid": torch.rand(*batch, 2, 3)}
    held |= model.layers(*held.values())
    if not training:
        torch.testing.assert_close(held["same"], held["x"])
        torch.testing.assert_close(held["shaped"], held["grid"])
    places = {name: value.untyped_storage().data_ptr() for name, value in held.items()}
    assert len(set(places.values())) == len(places), places


@KERNELS
@pytest.mark.parametrize("training", [False, True])
def test_inputs_are_never_overwritten(model: nn.Module, name: str, training: bool, device: str) -> None:
    inputs = drawn(name, (6,), device)
    outputs = model.train(training)(*inputs)
    values = [*inputs, *outputs]
    before, versions = [value.clone() for value in values], [value._version for value in values]
    model(*inputs)
    sum(output.sum() for output in model(*inputs)).backward()
    assert [value._version for value in values] == versions
    assert all(torch.equal(value, other) for value, other in zip(values, before, strict=True))
