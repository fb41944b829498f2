"""What every PyTorch layer with one weight an edge keeps to, whatever its kernel; used by their tests."""

import copy
import pickle

import numpy as np
import pytest
import torch

from nnspec.backends.torch.kernels.edges import EdgeProjection


def plain_edges(layer, source, target):
    """An `EdgeProjection` of the same edges and weights."""
    same = EdgeProjection(source, target, (layer.n_target, layer.n_source)).double()
    with torch.no_grad():
        same.weight.copy_(torch.ones(len(source)) if layer.weight is None else layer.weight)
    return same


def drawn(make, dtype=torch.float64, **options):
    layer = make(**options).to(dtype)
    if layer.weight is not None:
        with torch.no_grad():
            layer.weight.normal_(generator=torch.Generator().manual_seed(0))
    return layer


def layouts(x):
    return x, x.t().contiguous().t(), x.repeat(1, 2)[:, : x.shape[1]]


def check_values(make, source, target):
    """Values, both gradients and digest are those of the listed edges, in every layout."""
    layer = drawn(make)
    same = plain_edges(layer, source, target)
    assert torch.equal(layer.digest, same.digest)
    matrix = np.zeros((layer.n_target, layer.n_source))
    matrix[target, source] = layer.weight.detach()
    for batch in (0, 1, 3, 8):
        values = torch.randn(batch, layer.n_source, dtype=torch.float64)
        grad = torch.randn(batch, layer.n_target, dtype=torch.float64)
        for view in layouts(values):
            for upstream in layouts(grad):
                results = []
                for each in (layer, same):
                    x = view.detach().requires_grad_()
                    y = each(x)
                    results.append((y, *torch.autograd.grad(y, (x, each.weight), upstream)))
                for one, other in zip(*results, strict=True):
                    torch.testing.assert_close(one, other)
        np.testing.assert_allclose(layer(values).detach().numpy(), values.numpy() @ matrix.T, atol=1e-12)
    check_onto(layer)


def check_onto(layer):
    """Added to a vector or a matrix, values and gradients are those of a sum, and the layout stays."""
    for batch in (1, 5):
        vector = torch.randn(layer.n_target, dtype=torch.float64)
        matrix = torch.randn(batch, layer.n_target, dtype=torch.float64)
        grad = torch.randn(batch, layer.n_target, dtype=torch.float64)
        for view in layouts(torch.randn(batch, layer.n_source, dtype=torch.float64)):
            for base in (vector, *layouts(matrix), vector.float()):
                before, results = base.clone(), []
                for apart in (False, True):
                    x, onto = view.detach().requires_grad_(), base.detach().requires_grad_()
                    y = layer(x) + onto.to(x.dtype) if apart else layer(x, onto)
                    alone = layer(x)
                    assert y.is_contiguous() == alone.is_contiguous()
                    assert y.t().is_contiguous() == alone.t().is_contiguous()
                    results.append((y, *torch.autograd.grad(y, (x, layer.weight, onto), grad)))
                for one, other in zip(*results, strict=True):
                    torch.testing.assert_close(one, other)
                assert torch.equal(base, before)


def check_derivatives(make):
    layer = drawn(make)
    weight, other = layer.weight, torch.randn(3, layer.n_source, dtype=torch.float64)

    def call(x, weight):
        return torch.func.functional_call(layer, {"weight": weight}, (x,)).sin()

    def onto(x, weight, base):
        return torch.func.functional_call(layer, {"weight": weight}, (x, base)).sin()

    # All at once: each layout of the input, first of these with a matrix to add to, then with a vector.
    vector = torch.randn(layer.n_target, dtype=torch.float64, requires_grad=True)
    matrix = torch.randn(3, layer.n_target, dtype=torch.float64, requires_grad=True)
    for view, base in zip(layouts(other)[:2], (matrix, vector), strict=True):
        arguments = view.detach().requires_grad_(), weight, base
        assert torch.autograd.gradcheck(onto, arguments)
        assert torch.autograd.gradgradcheck(onto, arguments)
    x, w = other, weight.detach()
    for base in (vector.detach(), matrix.detach()):
        tangents = x.cos(), w.cos(), base.cos()
        _, found = torch.func.jvp(onto, (x, w, base), tangents)
        _, wanted = torch.autograd.functional.jvp(onto, (x, w, base), tangents)
        torch.testing.assert_close(found, wanted)
        stack = torch.stack([x, 2 * x])
        mapped = torch.func.vmap(onto, in_dims=(0, None, None))(stack, w, base)
        torch.testing.assert_close(mapped, torch.stack([onto(x, w, base), onto(2 * x, w, base)]))
        mapped = torch.func.vmap(onto, in_dims=(None, None, 0))(x, w, torch.stack([base, -base]))
        torch.testing.assert_close(mapped, torch.stack([onto(x, w, base), onto(x, w, -base)]))
    wanted = torch.autograd.functional.jacobian(call, (x, w))
    y, found = torch.func.jvp(call, (x, w), (x.cos(), w.cos()))
    torch.testing.assert_close(y, call(x, w))
    expected = (wanted[0] * x.cos()).sum((2, 3)) + (wanted[1] * w.cos()).sum(2)
    torch.testing.assert_close(found, expected)
    # A gradient for every sample, several inputs at once, several weights at once.
    by_sample = torch.func.vmap(torch.func.grad(lambda w, x: call(x[None], w).sum()), in_dims=(None, 0))(w, x)
    for at in range(len(x)):
        torch.testing.assert_close(by_sample[at], wanted[1][at].sum(0))
    stacks = torch.stack([x, 2 * x])
    for dim in (0, 1, 2):
        mapped = torch.func.vmap(lambda x: call(x, w), in_dims=dim)(stacks.movedim(0, dim))
        torch.testing.assert_close(mapped, torch.stack([call(x, w), call(2 * x, w)]))
    mapped = torch.func.vmap(call, in_dims=(None, 0))(x, torch.stack([w, -w]))
    torch.testing.assert_close(mapped, torch.stack([call(x, w), call(x, -w)]))


def check_compiled(make, backend="aot_eager"):
    """Compiled, a layer has the same gradients in both layouts, added to something, after a dense layer.

    One graph holds both, as it takes long to compile: batch first for one size of the batch and added to a
    vector, units first for any size and added to a matrix. By default it is traced only: "inductor" makes
    code of it, which takes seconds.
    """
    layer = drawn(make, torch.float32)
    after = torch.nn.Linear(layer.n_target, 2)

    def loss(*inputs):
        pairs = zip(inputs[::2], inputs[1::2], strict=True)
        return sum(after(torch.tanh(layer(x, onto))).square().sum() for x, onto in pairs)

    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, backend=backend)
    x, vector = torch.randn(8, layer.n_source), torch.randn(layer.n_target)
    for batch in (7, 5):
        flipped = [torch.randn(units, batch).t() for units in (layer.n_source, layer.n_target)]
        inputs = [each.requires_grad_() for each in (x, vector, *flipped)]
        for each in flipped:
            torch._dynamo.mark_dynamic(each, 0)
        ours = torch.autograd.grad(compiled(*inputs), (layer.weight, *inputs))
        eager = torch.autograd.grad(loss(*inputs), (layer.weight, *inputs))
        for one, other in zip(ours, eager, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    torch._dynamo.reset()


def check_export(make):
    layer = drawn(make, torch.float32)
    program = torch.export.export(
        layer, (torch.randn(4, layer.n_source),), dynamic_shapes=({0: torch.export.Dim("batch")},)
    )
    for batch in (4, 7):
        x = torch.randn(batch, layer.n_source)
        torch.testing.assert_close(program.module()(x), layer(x))


def check_dtypes(make):
    exact = drawn(make)
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        layer = drawn(make).to(dtype)
        x = torch.randn(5, layer.n_source).to(dtype).requires_grad_()
        with torch.no_grad():
            exact.weight.copy_(layer.weight)
        y = layer(x)
        grads = torch.autograd.grad(y, (x, layer.weight), torch.ones_like(y))
        x64 = x.detach().double().requires_grad_()
        y64 = exact(x64)
        grads64 = torch.autograd.grad(y64, (x64, exact.weight), torch.ones_like(y64))
        for one, other in zip((y, *grads), (y64, *grads64), strict=True):
            assert one.dtype == dtype
            error = 0.51 * torch.finfo(dtype).eps if dtype != torch.float32 else 1e-5
            torch.testing.assert_close(one.double(), other, rtol=error, atol=1e-4)
    layer = drawn(make, torch.float32)
    x = torch.randn(4, layer.n_source, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
        assert layer(x.double()).dtype == torch.float64
        y.float().square().sum().backward()
    assert (y.dtype, x.grad.dtype, layer.weight.grad.dtype) == (torch.bfloat16, torch.float32, torch.float32)
    torch.testing.assert_close(y.float(), layer(x), rtol=0.02, atol=0.1)


def check_module(make, other):
    """Copies, `meta`, checkpoints of these and of other edges, frozen and absent weights."""
    layer = drawn(make)
    x = torch.randn(4, layer.n_source, dtype=torch.float64, requires_grad=True)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        torch.testing.assert_close(twin(x), layer(x))
    empty = copy.deepcopy(layer).to("meta").to_empty(device="cpu")
    empty.load_state_dict(layer.state_dict())
    torch.testing.assert_close(empty(x), layer(x))
    assert set(layer.state_dict()) == {"weight", "digest"}
    before = layer.weight.detach().clone()
    for strict in (False, True):
        with pytest.raises(RuntimeError, match="`digest` differs: the checkpoint was made for other edges"):
            layer.load_state_dict(drawn(other).state_dict(), strict=strict)
    assert torch.equal(layer.weight, before)

    frozen = drawn(make, trainable=False)
    assert not list(frozen.parameters())
    frozen(x).sum().backward()
    assert frozen.weight.grad is None
    unweighted = make(weighted=False)
    assert unweighted.weight is None
    with torch.no_grad():
        frozen.weight.fill_(1.0)
    torch.testing.assert_close(unweighted(x), frozen(x))
    assert torch.autograd.gradcheck(unweighted, (x,))
    assert torch.autograd.gradgradcheck(unweighted, (x,))
    for bad in (torch.ones(3), torch.ones(2, layer.n_source + 1), torch.ones(2, layer.n_source).long()):
        with pytest.raises(ValueError, match=r"`x` must be a floating \(batch, "):
            layer(bad)


CONTRACT = [check_derivatives, check_compiled, check_export, check_dtypes]
