"""The generated PyTorch module keeps values in the layouts that the compiler assigned."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from nnspec.backends.emit import write
from nnspec.compiler import compile_spec
from nnspec.compiler.command.explain import explained

KERNELS = pytest.mark.parametrize("kernel", ["edges", "blocks", "masked"])


@pytest.fixture
def model(generated: Callable[[str], ModuleType], device: str) -> nn.Module:
    return generated("layouts_torch").Layouts(seed=2).to(device).eval()


@pytest.fixture
def inputs(device: str) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(16, 40, device=device, requires_grad=True), torch.randn(16, 8, device=device)


def copies(run: Callable[[], object], step: str) -> int:
    """How many values were transposed in a call, forward or backward."""
    with torch.profiler.profile() as profile:
        run()
    return sum(event.name == step for event in profile.events())


def trained(model: nn.Module, results: tuple[Tensor, Tensor]) -> None:
    model.zero_grad()
    (results[0].square().sum() + results[1].square().sum()).backward()


@pytest.mark.parametrize("kernel", ["edges"])
def test_values_are_transposed_where_the_plan_says_and_nowhere_else(
    model: nn.Module, inputs: tuple[Tensor, Tensor]
) -> None:
    """`x` on the way in, `h3` and `y` on the way out; their gradients on the way back."""
    assert copies(lambda: model(*inputs), "TransposedCopy") == 3
    results = model(*inputs)
    assert copies(lambda: trained(model, results), "TransposedCopyBackward") == 3
    assert copies(lambda: trained(model, model(*inputs)), "TransposedCopy") == 6


@pytest.mark.parametrize("kernel", ["edges"])
def test_layers_between_are_units_first(model: nn.Module, inputs: tuple[Tensor, Tensor]) -> None:
    values = model.layers(*inputs)
    for name in ("h1", "h2", "h3", "side", "mixed"):
        assert values[name].flatten(1).t().is_contiguous(), name


@KERNELS
def test_what_is_returned_is_contiguous(model: nn.Module, inputs: tuple[Tensor, Tensor]) -> None:
    results = model(*inputs)
    assert all(result.is_contiguous() for result in results)
    trained(model, results)
    assert inputs[0].grad is not None
    assert inputs[0].grad.is_contiguous()


# In the usual tests what is traced runs as it was traced: to generate code takes a quarter of a minute.
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
@KERNELS
def test_it_traces_without_a_break_and_computes_the_same(
    model: nn.Module, inputs: tuple[Tensor, Tensor], backend: str
) -> None:
    torch._dynamo.reset()
    model, inputs = model.double(), tuple(x.detach().double() for x in inputs)
    found = {}
    for way, run in (("eager", model), ("compiled", torch.compile(model, fullgraph=True, backend=backend))):
        results = run(*inputs)
        trained(model, results)
        grads = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
        found[way] = {"h3": results[0].detach(), "y": results[1].detach(), **grads}
    for name, value in found["eager"].items():
        torch.testing.assert_close(found["compiled"][name], value, msg=name)


def test_a_sum_of_connections_and_a_bias_takes_one_array(
    generated: Callable[[str], ModuleType], device: str
) -> None:
    """Each connection adds onto what the one before gave, in place: `side` has two and a bias."""
    model = generated("layouts_torch").Layouts().to(device)
    h3, x = torch.randn(512, 24, device=device), torch.randn(512, 40, device=device)
    with torch.no_grad(), torch.profiler.profile(profile_memory=True, record_shapes=True) as profile:
        model.h3_side(h3, model.side.bias)
    adds = [event for event in profile.events() if event.name in ("aten::add", "aten::mul")]
    assert not adds, "something was added out of place"
    total = model.x_side(x, model.h3_side(h3, model.side.bias))
    wanted = x * model.x_side.weight + model.h3_side(h3) + model.side.bias
    torch.testing.assert_close(total, wanted)


MANY = """model many
input x[3000]
layer a[3000]
layer b[150, 20]
layer c[150, 20]
layer d[40]
layer y[40]
connect x -> a : random(fan_in = 3)
connect x -> a as near : { i -> i + e : e in -2..2 ; outside = skip }
connect a -> b : { i -> (r, k) : i // 20 == r }
connect b -> c : { (r, k) -> (r + o, j) : o in -1..1 ; outside = skip }
connect c -> d : random(p = 0.2)
connect d -> y : random(p = 0.3)
output y
"""


def test_explain_tells_the_memory_that_modules_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights and tables of each connection, but for offsets and what some targets at the ends need."""
    spec = tmp_path / "many.nnspec"
    spec.write_text(MANY)
    made = compile_spec(spec, ["torch"])
    write(made.files, tmp_path / "out")
    monkeypatch.syspath_prepend(str(tmp_path / "out"))
    sys.modules.pop("many_torch", None)
    model = importlib.import_module("many_torch").Many()
    kernels = set()
    for facts in explained(made.passage.plan).connections:
        layer = getattr(model, facts.connection)
        held = [layer.weight, *(getattr(layer, name) for name in getattr(layer, "table_names", ()))]
        count = sum(tensor.numel() * tensor.element_size() for tensor in held if tensor is not None)
        assert facts.memory == pytest.approx(count, rel=0.05), facts.connection
        kernels.add(facts.kernel)
    assert kernels == {"edges", "band", "blocks", "masked"}
