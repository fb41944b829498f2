"""The generated PyTorch module under autocast, `torch.func`, `torch.compile` and checkpointing."""

from __future__ import annotations

import copy
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, stack_module_state, vmap
from torch.utils.checkpoint import checkpoint

Batch = tuple[Tensor, Tensor]


@pytest.fixture(autouse=True)
def traced_anew() -> None:
    """PyTorch's tracer gives up a function that it has traced in many ways, those of other tests included."""
    torch.compiler.reset()


@pytest.fixture
def model(graph_mlp: ModuleType, device: str) -> nn.Module:
    """In double precision and evaluation mode."""
    return graph_mlp.GraphMlp(seed=1).double().to(device).eval()


def gradients(model: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()  # which lets go of the gradients
    return found


# ------------------------------------------------------------------------------------- mixed precision


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_trains(graph_mlp: ModuleType, dtype: torch.dtype, batch: Batch, device: str) -> None:
    model = graph_mlp.GraphMlp(seed=1).to(device).eval()
    x, y = batch
    with torch.autocast(device, dtype=dtype):
        assert model.hidden_grid(x).dtype == dtype
        found = gradients(model, model.loss(model(x), y))
    wanted = gradients(model, model.loss(model(x), y))
    for name, value in wanted.items():
        assert found[name].dtype == torch.float32, name
        torch.testing.assert_close(found[name], value, rtol=0.1, atol=0.02 * float(value.abs().max()))


def test_autocast_leaves_double_precision_alone(model: nn.Module, batch: Batch, device: str) -> None:
    x = batch[0].double()
    with torch.autocast(device, dtype=torch.bfloat16):
        assert model.hidden_grid(x).dtype == torch.float64
        inside = model(x)
    torch.testing.assert_close(inside, model(x))


def test_grad_scaler_scales_steps_and_skips_overflows(
    graph_mlp: ModuleType, batch: Batch, device: str
) -> None:
    model = graph_mlp.GraphMlp(seed=1).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    scaler = torch.amp.GradScaler(device, init_scale=2.0**40)
    x, y = batch
    weight, losses = model.hidden_grid.weight, []
    for _ in range(60):
        optimizer.zero_grad()
        with torch.autocast(device, dtype=torch.float16):
            loss = model.loss(model(x), y)
        scaler.scale(loss).backward()
        before, scale = weight.detach().clone(), scaler.get_scale()
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
        assert torch.equal(before, weight) == (scaler.get_scale() < scale), "an overflow skips the step"
    assert torch.isfinite(weight).all()
    assert 1 < scaler.get_scale() < 2.0**40
    assert losses[-1] < losses[0]


# ---------------------------------------------------------------------------------------- checkpointing


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_gives_the_same_gradients(
    model: nn.Module, batch: Batch, device: str, reentrant: bool
) -> None:
    x = batch[0].double().requires_grad_()
    with torch.autocast(device, dtype=torch.bfloat16):
        wanted = gradients(model, model(x).square().sum())
        found = gradients(model, checkpoint(model, x, use_reentrant=reentrant).square().sum())
    for name, value in wanted.items():
        assert torch.equal(found[name], value), name


# -------------------------------------------------------------------------------------------- torch.func


def test_functional_gradients_are_those_of_backward(model: nn.Module, batch: Batch) -> None:
    x, y = batch[0].double(), batch[1]
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    found = grad(lambda p: nn.functional.cross_entropy(functional_call(model, p, (x,)), y))(parameters)
    wanted = gradients(model, nn.functional.cross_entropy(model(x), y))
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value)


def test_gradients_per_sample(model: nn.Module, batch: Batch) -> None:
    x, y = batch[0][:6].double(), batch[1][:6]
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def loss(p: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return nn.functional.cross_entropy(functional_call(model, p, (x[None],)), y[None])

    found = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, x, y)
    for at in range(len(x)):
        wanted = gradients(model, nn.functional.cross_entropy(model(x[at : at + 1]), y[at : at + 1]))
        for name, value in wanted.items():
            torch.testing.assert_close(found[name][at], value)


def test_ensembles(graph_mlp: ModuleType, batch: Batch, device: str) -> None:
    """As in PyTorch's tutorial: parameters and buffers of several models, stacked."""
    models = [graph_mlp.GraphMlp(seed).double().to(device).eval() for seed in range(3)]
    base = copy.deepcopy(models[0]).to("meta")
    x = batch[0].double()
    found = vmap(lambda p, b, x: functional_call(base, (p, b), (x,)), in_dims=(0, 0, None))(
        *stack_module_state(models), x
    )
    torch.testing.assert_close(found, torch.stack([model(x) for model in models]))
    parameters, _ = stack_module_state(models)
    mapped = vmap(grad(lambda p, x: functional_call(models[0], p, (x,)).square().sum()), in_dims=(0, None))
    found = mapped(parameters, x)["hidden_grid.weight"]
    wanted = [gradients(model, model(x).square().sum())["hidden_grid.weight"] for model in models]
    torch.testing.assert_close(found, torch.stack(wanted))


@pytest.mark.parametrize("dimension", [0, 1, 2])
def test_mapped_over_any_dimension(model: nn.Module, batch: Batch, dimension: int) -> None:
    x = batch[0].double().unflatten(0, (3, 16)).movedim(0, dimension)
    found = vmap(model, in_dims=dimension)(x)
    torch.testing.assert_close(found.flatten(0, 1), model(batch[0].double()))
    nothing = vmap(model.hidden_grid)(x.movedim(dimension, 0)[:, :0])
    assert nothing.shape == (3, 0, 64)


def test_jacobians_and_hessians(model: nn.Module, batch: Batch) -> None:
    x = batch[0][0].double()

    def score(x: Tensor) -> Tensor:
        return model(x[None])[0]

    def energy(x: Tensor) -> Tensor:
        return score(x).square().sum()

    jacobian = torch.autograd.functional.jacobian(score, x)
    torch.testing.assert_close(jacrev(score)(x), jacobian)
    torch.testing.assert_close(jacfwd(score)(x), jacobian)
    value, tangent = jvp(score, (x,), (x.cos(),))
    torch.testing.assert_close((value, tangent), (score(x), jacobian @ x.cos()))
    second = torch.autograd.functional.hessian(energy, x)
    assert second.abs().max() > 1e-3
    for form in (hessian, lambda f: jacrev(jacrev(f)), lambda f: jacfwd(jacfwd(f))):
        torch.testing.assert_close(form(energy)(x), second)


def test_forward_derivative_by_the_weights(model: nn.Module, batch: Batch) -> None:
    x = batch[0].double()
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    direction = {name: torch.cos(p) for name, p in parameters.items()}
    _, found = jvp(lambda p: functional_call(model, p, (x,)).square().sum(), (parameters,), (direction,))
    wanted = gradients(model, model(x).square().sum())
    torch.testing.assert_close(found, sum((wanted[name] * direction[name]).sum() for name in wanted))


# --------------------------------------------------------------------------------------- torch.compile


def test_compiled_without_graph_breaks_it_trains_the_same(
    graph_mlp: ModuleType, batch: Batch, device: str
) -> None:
    """The module is used twice in a step."""
    model = graph_mlp.GraphMlp(seed=1).to(device).eval()
    other = copy.deepcopy(model)
    compiled = torch.compile(model, fullgraph=True)
    x, y = batch
    for forward, own in ((compiled, model), (other, other)):
        optimizer = torch.optim.SGD(forward.parameters(), lr=0.05)
        for _ in range(3):
            optimizer.zero_grad()
            (own.loss(forward(x), y) + forward(x.flip(0)).square().mean()).backward()
            optimizer.step()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name], rtol=1e-3, atol=1e-4, msg=name)
    twin = copy.deepcopy(compiled)
    torch.testing.assert_close(twin(x), compiled(x))
    assert twin.hidden_grid.weight is not model.hidden_grid.weight
    state = {f"_orig_mod.{name}": value for name, value in other.state_dict().items()}
    twin.load_state_dict(state)
    with pytest.raises(RuntimeError, match=r"`_orig_mod\.hidden_grid\.digest` differs"):
        twin.load_state_dict({**state, "_orig_mod.hidden_grid.digest": torch.zeros(4, dtype=torch.int64)})


# Traced as for any backend but run as traced, which takes a tenth of the time that code takes to generate.
TRACED = {"fullgraph": True, "backend": "aot_eager"}


@pytest.mark.parametrize("training", [False, True])
def test_traced_it_has_the_same_gradients(model: nn.Module, batch: Batch, training: bool) -> None:
    """Outside of training, batch norm gives its gradient another layout than it is traced with."""
    model.train(training).grid.dropout.p = 0.0
    x, y = batch[0].double(), batch[1]
    wanted = gradients(model, model.loss(model(x), y))
    found = gradients(model, model.loss(torch.compile(model, **TRACED)(x), y))
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-9)


@pytest.mark.slow  # code is made for a quarter of a minute
def test_compiled_functional_gradients(model: nn.Module, batch: Batch) -> None:
    x = batch[0].double()
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def found(parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        return grad(lambda p: functional_call(model, p, (x,)).square().sum())(parameters)

    wanted = gradients(model, model(x).square().sum())
    for name, value in torch.compile(found, **TRACED)(parameters).items():
        torch.testing.assert_close(value, wanted[name])
    jacobian = torch.compile(jacrev(model), **TRACED)(x[:3])
    torch.testing.assert_close(jacobian, jacrev(model)(x[:3]))


def test_what_does_not_compile_says_so(model: nn.Module, batch: Batch) -> None:
    """`vmap`, forward derivatives and second derivatives of compiled code are errors, and never wrong."""
    x = batch[0].double()
    compiled = torch.compile(model, **TRACED)
    with pytest.raises(Exception, match="Unsupported functorch tracing"):
        vmap(compiled)(x[:, None])
    with pytest.raises(Exception, match="vmap support"):
        torch.compile(vmap(model), **TRACED)(x[:, None])
    with pytest.raises(Exception, match="forward AD"):
        torch.compile(lambda x: jvp(model, (x,), (x,)), **TRACED)(x)
    x.requires_grad_()
    (slope,) = torch.autograd.grad(compiled(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="double backward"):
        slope.sum().backward()
