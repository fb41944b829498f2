"""Losses against PyTorch's own: values and gradients, also where they would overflow if written naively."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
import torch.nn.functional as F
from torch import Tensor

from nnspec.backends.emit import write
from nnspec.compiler import compile_spec
from nnspec.compiler.catalogue.losses import LOSSES
from nnspec.compiler.functions.derive import derivative
from nnspec.compiler.functions.evaluate import evaluate
from nnspec.compiler.functions.losses import loss_function, pool_of, statements

from ..targets.conftest import imported

pytestmark = pytest.mark.xdist_group("keras")
Y = np.array([-1e4, -90.0, -3.1, -0.7, -1e-9, 0.0, 0.4, 1.3, 2.6, 90.0])
T = np.array([0.1, 1.0, -2.0, 0.5, 0.3, 1.0, 0.0, 1.3, 0.9, 0.2])
OF_TORCH: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": lambda y, t: F.mse_loss(y, t, reduction="none"),
    "squared_error": lambda y, t: F.mse_loss(y, t, reduction="none"),
    "mae": lambda y, t: F.l1_loss(y, t, reduction="none"),
    "huber": lambda y, t: F.huber_loss(y, t, reduction="none"),
    "log_cosh": lambda y, t: (y - t).abs() + torch.log1p((-2 * (y - t).abs()).exp()) - np.log(2),
    "hinge": lambda y, t: F.relu(1 - y * t),
    "poisson": lambda y, t: F.poisson_nll_loss(y, t, reduction="none"),
    "binary_cross_entropy": lambda y, t: F.binary_cross_entropy_with_logits(y, t, reduction="none"),
    "kl_divergence": lambda y, t: F.kl_div(y, t.abs(), reduction="none"),
}


@pytest.mark.parametrize("name", OF_TORCH)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_each_is_that_of_torch_with_its_gradient(name: str, dtype: str) -> None:
    function = loss_function(name)
    assert function is not None
    targets = np.abs(T) if name == "kl_divergence" else T
    y = torch.tensor(Y, dtype=getattr(torch, dtype), requires_grad=True)
    t = torch.tensor(targets, dtype=getattr(torch, dtype))
    numbers = dict(function.defaults)
    given = {"y": Y.astype(dtype), "t": targets.astype(dtype), **numbers}
    wanted = OF_TORCH[name](y, t)
    (slope,) = torch.autograd.grad(wanted.sum(), y)
    tight = 1e-12 if dtype == "float64" else 2e-5
    found = evaluate(function.value, given)
    np.testing.assert_allclose(found, wanted.detach().numpy(), rtol=tight, atol=tight)
    found = np.broadcast_to(evaluate(derivative(function.value, "y"), given), Y.shape)
    np.testing.assert_allclose(found, slope.numpy(), rtol=tight, atol=tight)


def test_every_loss_of_units_is_compared() -> None:
    assert {*OF_TORCH} == {*statements()}


SPEC = """model named
input x[4]
target t[3]
target g[2, 2]
target kind: class[3]
layer y[3]
layer z[2, 2]
connect x -> y : all
connect x -> z : all
loss {loss}
"""
Loss = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
WHOLE: dict[str, Loss] = {
    "mse(y, t)": lambda y, z, t, g, kind: F.mse_loss(y, t),
    "squared_error(z, g)": lambda y, z, t, g, kind: F.mse_loss(z, g, reduction="sum") / len(z),
    "mae(z, g)": lambda y, z, t, g, kind: F.l1_loss(z, g),
    "huber(z, g, delta = 0.5)": lambda y, z, t, g, kind: F.huber_loss(z, g, delta=0.5),
    "log_cosh(y, t)": lambda y, z, t, g, kind: (y - t).cosh().log().mean(),
    "hinge(y, t)": lambda y, z, t, g, kind: F.relu(1 - y * t).mean(),
    "poisson(y, t)": lambda y, z, t, g, kind: F.poisson_nll_loss(y, t),
    "kl_divergence(z, g)": lambda y, z, t, g, kind: F.kl_div(z, g, reduction="batchmean"),
    "binary_cross_entropy(y, t)": lambda y, z, t, g, kind: F.binary_cross_entropy_with_logits(y, t),
    "cosine(z, g)": lambda y, z, t, g, kind: F.cosine_embedding_loss(
        z.flatten(1), g.flatten(1), torch.ones(len(z))
    ),
    "cross_entropy(y, kind)": lambda y, z, t, g, kind: F.cross_entropy(y, kind),
    "cross_entropy(y, kind, smoothing = 0.2)": lambda y, z, t, g, kind: F.cross_entropy(
        y, kind, label_smoothing=0.2
    ),
    "cross_entropy(y, kind, smoothing = 0.1, weights = [1, 0.5, 3])": lambda y, z, t, g, kind: (
        F.cross_entropy(y, kind, y.new_tensor([1, 0.5, 3]), label_smoothing=0.1, reduction="none").mean()
    ),
    "mean(where(t > 0.4, (y - t)**2, 0)) - 0.1 * sum(abs(z))": lambda y, z, t, g, kind: (
        torch.where(t > 0.4, (y - t) ** 2, 0).mean() - 0.1 * z.abs().sum() / len(z)
    ),
    "sum(max(z, g) * exp(-z) / (1 + g**2)) / 3": lambda y, z, t, g, kind: (
        (torch.maximum(z, g) * (-z).exp() / (1 + g**2)).sum() / len(z) / 3
    ),
    "mean(where(t > 0.4, huber(y, t), 0))": lambda y, z, t, g, kind: torch.where(
        t > 0.4, F.huber_loss(y, t, reduction="none"), 0
    ).mean(),
}


def data(dtype: torch.dtype) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "x": torch.randn(6, 4, generator=generator, dtype=dtype),
        "t": torch.rand(6, 3, generator=generator, dtype=dtype),
        "g": torch.rand(6, 2, 2, generator=generator, dtype=dtype),
        "kind": torch.randint(3, (6,), generator=generator),
    }


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, ModuleType]]:
    """The modules of all targets, by the loss."""
    made: dict[str, dict[str, ModuleType]] = {}
    for number, loss in enumerate(WHOLE):
        folder, name = tmp_path_factory.mktemp("named"), f"named_{number}"
        build = compile_spec("named.nnspec", text=SPEC.format(loss=loss), name=name)
        write(build.files, folder)
        made[loss] = {
            target: imported(folder / f"{name}_{target}.py", f"{name}_{target}")
            for target in ("numpy", "torch", "keras")
        }
    return made


@pytest.mark.parametrize("loss", WHOLE)
def test_targets_compute_what_torch_computes(loss: str, modules: dict[str, dict[str, ModuleType]]) -> None:
    given, made = data(torch.float64), modules[loss]
    arrays = {name: tensor.numpy() for name, tensor in given.items()}
    numpy = made["numpy"]
    p = {name: array.astype(np.float64) for name, array in numpy.init(3).items()}
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in p.items()}
    y = given["x"] @ tensors["x_y.weight"].T + tensors["y.bias"]
    z = (given["x"] @ tensors["x_z.weight"].T + tensors["z.bias"]).reshape(-1, 2, 2)
    wanted = WHOLE[loss](y, z, *(given[name] for name in ("t", "g", "kind")))
    variables, keep = [*tensors.values()], {"materialize_grads": True, "retain_graph": True}
    slopes = torch.autograd.grad(wanted, variables, **keep)
    reads = [name for name in ("t", "g", "kind") if name in _words(loss)]
    value, gradients = numpy.gradients(p, *(arrays[name] for name in ("x", *reads)))
    assert value == pytest.approx(wanted.item(), rel=1e-12)
    for (name, _), slope in zip(tensors.items(), slopes, strict=True):
        np.testing.assert_allclose(gradients[name], slope.numpy(), rtol=1e-10, atol=1e-12, err_msg=name)
    values = {"y": y, "z": z}
    layers = [values[name] for name in ("y", "z") if name in _words(loss)]
    cls = next(
        c for c in vars(made["torch"]).values() if isinstance(c, type) and c.__name__.startswith("Named")
    )
    own = cls().loss(*layers, *(given[name] for name in reads))
    assert own.item() == pytest.approx(wanted.item(), rel=1e-12)
    found_by_torch = torch.autograd.grad(own, variables, **keep)
    for found, slope in zip(found_by_torch, slopes, strict=True):
        np.testing.assert_allclose(found.numpy(), slope.numpy(), rtol=1e-10, atol=1e-12)
    of_keras = made["keras"].loss
    tensors_of_keras = [keras.ops.convert_to_tensor(layer.detach().numpy()) for layer in layers]
    targets = [keras.ops.convert_to_tensor(arrays[name]) for name in reads]
    own_loss = hasattr(made["keras"], "Network")
    each = of_keras(*tensors_of_keras, *targets) if own_loss else of_keras(targets[0], tensors_of_keras[0])
    assert float(np.mean(each)) == pytest.approx(wanted.item(), rel=1e-10)


def _words(loss: str) -> set[str]:
    return {*"".join(character if character.isalnum() else " " for character in loss).split()}


def test_angles_of_very_short_vectors_have_one_derivative(modules: dict[str, dict[str, ModuleType]]) -> None:
    """Below a length of 1e-8 the loss is linear: 1 - y.t / (1e-8 |t|), at zero too."""
    made, g = modules["cosine(z, g)"], data(torch.float64)["g"]
    wanted = -g / (6e-8 * g.flatten(1).norm(dim=1)[:, None, None])
    numpy, direction = made["numpy"], torch.randn(6, 2, 2, dtype=torch.float64)
    own = next(c for n, c in vars(made["torch"]).items() if n.startswith("Named"))()
    for length in (0.0, 1e-12, 5e-9):
        z = torch.full((6, 2, 2), length / 2, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(own.loss(z, g), z, create_graph=True)
        (second,) = torch.autograd.grad((slope * direction).sum(), z)
        torch.testing.assert_close(slope, wanted, rtol=1e-12, atol=0)
        assert not second.any()
        by_hand = numpy.cosine_gradient(z.detach().numpy(), g.numpy())
        np.testing.assert_allclose(by_hand, wanted.numpy(), rtol=1e-12)
        with tf.GradientTape() as tape:
            y = tf.constant(z.detach().numpy())
            tape.watch(y)
            loss = keras.ops.mean(made["keras"].loss(tf.constant(g.numpy()), y))
        np.testing.assert_allclose(tape.gradient(loss, y), wanted.numpy(), rtol=1e-12)


def test_large_logits_stay_finite(modules: dict[str, dict[str, ModuleType]]) -> None:
    rng = np.random.default_rng(0)
    for loss in WHOLE:
        if any(word in loss for word in ("poisson", "exp(")):
            continue
        numpy = modules[loss]["numpy"]
        p = {name: 1e4 * rng.normal(size=array.shape) for name, array in numpy.init(0).items()}
        arrays = {name: tensor.numpy() for name, tensor in data(torch.float64).items()}
        reads = [name for name in ("t", "g", "kind") if name in _words(loss)]
        value, gradients = numpy.gradients(p, *(arrays[name] for name in ("x", *reads)))
        assert np.isfinite(value), loss
        assert all(np.isfinite(gradient).all() for gradient in gradients.values()), loss


def test_every_named_loss_is_compared_with_torch() -> None:
    assert {*LOSSES, *statements()} <= {loss.partition("(")[0] for loss in WHOLE}
    assert {name for name in statements() if pool_of(name) == "sum"} == {"kl_divergence", "squared_error"}
