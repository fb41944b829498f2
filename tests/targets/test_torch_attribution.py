"""Hooks on a network's modules, and tools that explain it by them: captum and shap, for slow tests alone."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

# Every kind of connection; `cut` is a layer through which everything goes, and `plain` has no operation.
SPEC = """model explained
input x[30]
layer a[24] : tanh
layer b[24] : batch_norm, relu, dropout(0.2), tanh, tanh
layer c[6, 4] : {mixing}, scale(0.7)
layer cut[24] : leaky_relu(0.1), sigmoid
layer plain[24]
layer late[24] : bias(off), softplus
layer y[3]
connect x -> a : random(fan_in = 5)
connect a -> b : {{ i -> i + o : o in -2..2 ; outside = skip }}
connect x -> b as direct : random(fan_in = 3)
connect b -> c : {{ i -> (r, k) : i // 4 == r }}
connect c -> cut : all
connect b -> cut as past : one_to_one with weight = none
connect cut -> plain : one_to_one
connect cut -> plain as past_too : one_to_one with weight = none
connect plain -> late : one_to_one with weight = none
connect late -> y : random(fan_in = 6)
output y
"""
KERNELS = ["edges", "blocks", "masked"]


@pytest.fixture(params=KERNELS)
def kernel(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def made(torch_module: Callable[[str, str | None], ModuleType], kernel: str) -> Callable[[str], nn.Module]:
    """The network with an operation in `c`, in double precision and evaluation mode."""

    def make(mixing: str) -> nn.Module:
        torch.manual_seed(1)
        model = torch_module(SPEC.format(mixing=mixing), kernel).Explained(seed=3).double()
        model.train()(torch.randn(64, 30).double())  # running statistics that are not 0 and 1
        return model.eval()

    return make


@pytest.fixture
def model(made: Callable[[str], nn.Module]) -> nn.Module:
    return made("leaky_relu(0.3)")


@pytest.fixture
def inputs() -> tuple[Tensor, Tensor]:
    """Samples and as many baselines."""
    torch.manual_seed(0)
    return torch.randn(5, 30).double(), torch.randn(5, 30).double()


@pytest.fixture(autouse=True)
def quiet():
    """Both tools say that they set hooks; shap says which modules it takes for linear."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


LAYERS = ("a", "b", "c", "cut", "plain", "late", "y")


def test_each_layer_and_activation_is_called_once_with_one_tensor(
    model: nn.Module, inputs: tuple[Tensor, Tensor]
) -> None:
    calls: Counter[str] = Counter()
    seen: dict[str, Tensor] = {}

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def record(_: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
            assert len(given) == 1, f"{name} takes one tensor"
            assert given[0].shape[0] == result.shape[0] == 5, f"{name} has the batch first"
            calls[name] += 1
            seen[name] = result

        return record

    names = {name for name, part in model.named_modules() if name and not isinstance(part, nn.Sequential)}
    for name in names:
        model.get_submodule(name).register_forward_hook(hook(name))
    values = model.layers(inputs[0])
    assert calls == dict.fromkeys(names, 1)
    assert {"a.tanh", "b.batch_norm", "b.relu", "b.tanh", "b.tanh_2", "c.scale", "cut.sigmoid"} < names
    for name in LAYERS:
        assert torch.equal(seen[name], values[name].flatten(1)), name


def test_what_a_hook_returns_is_what_the_network_goes_on_with(
    model: nn.Module, inputs: tuple[Tensor, Tensor]
) -> None:
    """A layer's value replaced by the one that it has for other inputs, as in activation patching."""
    x, other = inputs
    wanted = {name: value.flatten(1) for name, value in model.layers(other).items()}
    for name in ("cut", "plain", "late", "y"):
        handle = getattr(model, name).register_forward_hook(lambda *_, name=name: wanted[name])
        torch.testing.assert_close(model(x), model(other) if name == "y" else wanted["y"])
        handle.remove()
    assert not torch.equal(model(x), wanted["y"])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["DeepLift", "IntegratedGradients"])
def test_captum_s_attributions_add_up(
    made: Callable[[str], nn.Module], inputs: tuple[Tensor, Tensor], method: str
) -> None:
    import captum.attr

    x, base = inputs
    model = made("tanh")
    if method == "IntegratedGradients":  # of what is smooth, so that few steps are enough
        model.b.relu = model.cut.leaky_relu = nn.Tanh()
    found = getattr(captum.attr, method)(model).attribute(x, base, target=1)
    torch.testing.assert_close(found.sum(1), (model(x) - model(base))[:, 1], rtol=0, atol=1e-5)


@pytest.mark.slow
def test_captum_s_deep_lift_shap_adds_up(model: nn.Module, inputs: tuple[Tensor, Tensor]) -> None:
    from captum.attr import DeepLiftShap

    x, base = inputs
    found = DeepLiftShap(model).attribute(x, base[:3], target=2)
    wanted = model(x)[:, 2] - model(base[:3])[:, 2].mean()
    torch.testing.assert_close(found.sum(1), wanted, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_captum_sees_layers(model: nn.Module, inputs: tuple[Tensor, Tensor]) -> None:
    from captum.attr import LayerActivation, LayerDeepLift, LayerIntegratedGradients

    x, base = inputs
    values = model.layers(x)
    for name in LAYERS:
        found = LayerActivation(model, getattr(model, name)).attribute(x)
        assert torch.equal(found, values[name].flatten(1)), name
    wanted = (model(x) - model(base))[:, 0]
    for name in ("cut", "plain", "late", "y"):  # all that goes to `y` goes through each of these
        layer = getattr(model, name)
        found = LayerDeepLift(model, layer).attribute(x, base, target=0)
        torch.testing.assert_close(found.sum(1), wanted, rtol=0, atol=1e-5, msg=name)
        found = LayerIntegratedGradients(model, layer).attribute(x, base, target=0, n_steps=200)
        assert found.shape == values[name].flatten(1).shape
        if name != "cut":  # it has a kink, which takes more steps than a test should
            torch.testing.assert_close(found.sum(1), wanted, rtol=0, atol=1e-5, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("mixing", ["gelu", "softmax", "leaky_relu(0.3)"])
def test_shap_s_deep_explainer_adds_up(
    made: Callable[[str], nn.Module], inputs: tuple[Tensor, Tensor], mixing: str
) -> None:
    import shap

    x, base = inputs
    model = made(mixing)
    explainer = shap.DeepExplainer(model, base)
    found = explainer.shap_values(x)
    assert found.shape == (5, 30, 3)
    wanted = model(x).detach() - model(base).detach().mean(0)
    torch.testing.assert_close(torch.tensor(found).sum(1), wanted, rtol=0, atol=1e-5)


def by_hand(model: nn.Module) -> nn.Module:
    """`graph_mlp` as one writes it in PyTorch, with a matrix for each connection."""
    linear = {"hidden": nn.Linear(64, 64), "grid": nn.Linear(64, 64), "score": nn.Linear(64, 10)}
    into = {"hidden": model.pixels_hidden, "grid": model.hidden_grid, "score": model.grid_score}
    for name, part in linear.items():
        of_none = into[name](torch.zeros(1, 64, dtype=torch.float64))  # a bias, if it is added there
        matrix = (into[name](torch.eye(64, dtype=torch.float64)) - of_none).t()
        part.weight = nn.Parameter(matrix.detach().contiguous())
        part.bias = nn.Parameter(torch.tensor(model.to_arrays()[f"{name}.bias"]))
    norm = model.grid.batch_norm
    first, second, last = linear.values()
    return nn.Sequential(first, nn.Tanh(), second, norm, nn.Tanh(), last).eval()


@pytest.mark.slow
def test_it_is_explained_as_the_same_network_written_by_hand(graph_mlp: ModuleType) -> None:
    """Also where the sums agree by luck: every single attribution."""
    import shap
    from captum.attr import DeepLift, IntegratedGradients

    torch.manual_seed(0)
    model = graph_mlp.GraphMlp(seed=1).double()
    x, base = torch.rand(4, 64).double(), torch.rand(4, 64).double()
    model.train()(torch.rand(64, 64).double())
    model.eval()
    other = by_hand(model)
    torch.testing.assert_close(model(x), other(x))
    for method in (DeepLift, IntegratedGradients):
        found, wanted = (method(network).attribute(x, base, target=3) for network in (model, other))
        torch.testing.assert_close(found, wanted, msg=method.__name__)
        assert found.abs().max() > 0.01
    found, wanted = (torch.tensor(shap.DeepExplainer(n, base).shap_values(x)) for n in (model, other))
    torch.testing.assert_close(found, wanted)
