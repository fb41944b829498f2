"""`EdgeProjection`: values and gradients against other products, and what PyTorch does to modules."""

import copy
import io
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

torch = pytest.importorskip("torch")

from nnspec.backends.common.kernels.edge_digest import edge_digest  # noqa: E402
from nnspec.backends.torch.kernels import edges as kernel  # noqa: E402
from nnspec.backends.torch.kernels.edges import EdgeProjection  # noqa: E402
from nnspec.backends.torch.kernels.units_first import transposed_copy  # noqa: E402


def layer_from_mask(mask, dtype=torch.float64, seed=0, **options):
    target, source = np.nonzero(mask)
    layer = EdgeProjection(source, target, mask.shape, **options).to(dtype)
    if layer.weight is not None:
        torch.manual_seed(seed)
        with torch.no_grad():
            layer.weight.normal_()
    return layer


def random_mask(n_target, n_source, density, seed=0):
    """First target: fan-in 0. Last target: reads all but source 0, which nobody reads."""
    mask = np.random.default_rng(seed).random((n_target, n_source)) < density
    mask[0] = False
    mask[-1] = True
    mask[:, 0] = False
    return mask


def dense_weight(layer):
    """The (targets, sources) matrix that the layer multiplies by; differentiable in its weights."""
    matrix = torch.zeros(layer.n_target, layer.n_source, dtype=layer.weight.dtype)
    return matrix.index_put((layer.target.long(), layer.source.long()), layer.weight)


def called(layer):
    """The layer as a function of x and weight."""
    return lambda x, weight: torch.func.functional_call(layer, {"weight": weight}, (x,))


def check_against_references(mask, batch, seed=0):
    layer = layer_from_mask(mask, seed=seed)
    n_target, n_source = mask.shape
    x = torch.randn(batch, n_source, dtype=torch.float64, requires_grad=True)
    grad = torch.randn(batch, n_target, dtype=torch.float64)
    y = layer(x)
    ours = y, *torch.autograd.grad(y, (x, layer.weight), grad)
    y = x @ dense_weight(layer).t()
    dense = y, *torch.autograd.grad(y, (x, layer.weight), grad)
    for one, other in zip(ours, dense, strict=True):
        torch.testing.assert_close(one, other)

    ends = layer.target.numpy(), layer.source.numpy()
    matrix = sparse.csr_array((layer.weight.detach().numpy(), ends), shape=mask.shape)
    inputs, grads = x.detach().numpy(), grad.numpy()
    np.testing.assert_allclose(ours[0].detach(), (matrix @ inputs.T).T, atol=1e-12)
    np.testing.assert_allclose(ours[1], (matrix.T @ grads.T).T, atol=1e-12)
    np.testing.assert_allclose(ours[2], (inputs.T[ends[1]] * grads.T[ends[0]]).sum(1), atol=1e-12)
    assert (ours[0][:, ~mask.any(axis=1)] == 0).all()
    assert (ours[1][:, ~mask.any(axis=0)] == 0).all()


@pytest.mark.parametrize("batch", [0, 1, 2, 33])
@pytest.mark.parametrize(("n_target", "n_source"), [(1, 1), (1, 300), (300, 1), (40, 70)])
@pytest.mark.parametrize("density", [0.0, 0.1, 1.0])
def test_equals_references(batch, n_target, n_source, density):
    check_against_references(random_mask(n_target, n_source, density), batch)
    mask = np.random.default_rng(1).random((n_target, n_source)) < density
    check_against_references(mask, batch)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    n_target=st.integers(1, 12),
    n_source=st.integers(1, 12),
    density=st.floats(0, 1),
    batch=st.integers(0, 5),
    seed=st.integers(0, 1000),
)
def test_equals_references_drawn(n_target, n_source, density, batch, seed):
    mask = np.random.default_rng(seed).random((n_target, n_source)) < density
    check_against_references(mask, batch, seed)


@pytest.mark.parametrize("batch", [0, 3])
def test_no_edges_in_float32(batch):
    layer = layer_from_mask(np.zeros((4, 5), bool), torch.float32)
    x = torch.randn(batch, 5, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert y.shape == (batch, 4)
    assert not y.any()
    assert not x.grad.any()
    assert layer.weight.grad.shape == (0,)


def test_one_target_reads_very_many():
    mask = np.zeros((3, 50_000), bool)
    mask[1] = True
    layer = layer_from_mask(mask, torch.float32)
    x = torch.randn(2, 50_000, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    torch.testing.assert_close(y[:, 1], x @ layer.weight, rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(layer.weight.grad, x.detach().sum(0))
    torch.testing.assert_close(x.grad, layer.weight.detach().expand(2, -1))


def test_unweighted_is_a_plain_sum():
    mask = random_mask(6, 9, 0.4)
    layer = layer_from_mask(mask, weighted=False)
    assert layer.weight is None
    assert list(layer.state_dict()) == ["digest"]
    x = torch.randn(4, 9, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(layer(x), x @ torch.from_numpy(mask).double().t())
    assert torch.autograd.gradcheck(layer, (x,))
    assert torch.autograd.gradgradcheck(layer, (x,))


@pytest.mark.parametrize("layout", ["plain", "transposed", "strided"])
def test_first_and_second_derivatives(layout):
    layer = layer_from_mask(random_mask(5, 7, 0.4))
    call = called(layer)
    shape, view = {
        "plain": ((3, 7), lambda x: x),
        "transposed": ((7, 3), torch.t),
        "strided": ((3, 14), lambda x: x[:, ::2]),
    }[layout]
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    # The clone makes the gradient that comes in contiguous as (batch, targets): transposed to what is summed.
    for end in (lambda y: y, lambda y: y.clone(memory_format=torch.contiguous_format).sin()):
        function = lambda x, weight, end=end: end(call(view(x), weight))  # noqa: E731
        assert torch.autograd.gradcheck(function, (x, layer.weight))
        assert torch.autograd.gradgradcheck(function, (x, layer.weight))


@pytest.mark.parametrize("grad_layout", ["contiguous", "transposed", "expanded"])
def test_gradients_of_any_layout(grad_layout):
    layer = layer_from_mask(random_mask(40, 30, 0.2), torch.float32)
    x = torch.randn(8, 30, requires_grad=True)
    grad = {
        "contiguous": torch.randn(8, 40),
        "transposed": torch.randn(40, 8).t(),
        "expanded": torch.ones(()).expand(8, 40),
    }[grad_layout]
    ours = torch.autograd.grad(layer(x), (x, layer.weight), grad)
    dense = torch.autograd.grad(x @ dense_weight(layer).t(), (x, layer.weight), grad)
    for one, other in zip(ours, dense, strict=True):
        torch.testing.assert_close(one, other)


def test_chain_stays_units_first():
    layer = layer_from_mask(random_mask(30, 30, 0.2), torch.float32)
    x = torch.randn(8, 30, requires_grad=True)
    y = layer(torch.tanh(layer(x)))
    assert y.t().is_contiguous()
    assert transposed_copy(y).data_ptr() == y.data_ptr()
    assert transposed_copy(y.t()).is_contiguous()
    y.sum().backward()
    assert x.grad.is_contiguous()


@pytest.fixture
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    "shape",
    [(3, 400_001), (400_001, 3), (512, 512), (700, 690), (9001, 64), (4096, 16), (0, 5), (5, 0), (1, 4)],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("threads", [1, 2], indirect=True)
def test_transposed_copy(shape, dtype, threads):
    matrix = torch.randn(shape).to(dtype)
    for source in (
        matrix,
        matrix.t(),
        torch.randn(shape[0], 2 * shape[1]).to(dtype)[:, ::2],
        matrix[:, :1].expand(shape),
    ):
        transpose = transposed_copy(source)
        assert transpose.is_contiguous()
        assert torch.equal(transpose, source.t())


@pytest.mark.parametrize("shape", [(32, 120_000), (120_000, 32)])
@pytest.mark.parametrize("threads", [1, 2], indirect=True)
def test_a_transposed_copy_takes_one_array(shape, threads):
    """Beside the result there are a few tiles, never a second array."""
    matrix = torch.randn(shape)
    with torch.profiler.profile(profile_memory=True) as profile:
        transposed_copy(matrix)
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = np.cumsum([event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())])
    assert matrix.nbytes <= held.max() <= 1.4 * matrix.nbytes


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_module(dtype):
    layer = layer_from_mask(random_mask(20, 300, 0.3), dtype)
    assert layer.digest.dtype == torch.int64
    assert layer.source.dtype == torch.int32
    x = torch.randn(16, 300).to(dtype).requires_grad_()
    y = layer(x)
    grads = torch.autograd.grad(y, (x, layer.weight), torch.ones_like(y))
    exact, x64 = layer_from_mask(random_mask(20, 300, 0.3)), x.detach().double().requires_grad_()
    with torch.no_grad():
        exact.weight.copy_(layer.weight)
    y64 = exact(x64)
    grads64 = torch.autograd.grad(y64, (x64, exact.weight), torch.ones_like(y64))
    # Summed in float32 and rounded once: half an ulp of the result, whatever the fan-in.
    ulp = torch.finfo(dtype).eps
    for one, other in zip((y, *grads), (y64, *grads64), strict=True):
        assert one.dtype == dtype
        torch.testing.assert_close(one.double(), other, rtol=0.51 * ulp, atol=1e-4)


@pytest.mark.parametrize(
    ("x_dtype", "weight_dtype", "expected"),
    [
        (torch.float64, torch.float32, torch.float64),
        (torch.bfloat16, torch.float32, torch.float32),
        (torch.float16, torch.bfloat16, torch.float32),
    ],
)
def test_mixed_dtypes_promote(x_dtype, weight_dtype, expected):
    layer = layer_from_mask(random_mask(6, 9, 0.4), weight_dtype)
    x = torch.randn(4, 9).to(x_dtype).requires_grad_()
    y = layer(x)
    y.sum().backward()
    assert (y.dtype, x.grad.dtype, layer.weight.grad.dtype) == (expected, x_dtype, weight_dtype)


def test_autocast():
    layer = layer_from_mask(random_mask(6, 9, 0.4), torch.float32)
    x = torch.randn(4, 9, requires_grad=True)
    expected = layer(x)
    for inside in (False, True):
        x.grad = layer.weight.grad = None
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = layer(x)
            if inside:
                y.float().square().sum().backward()
        if not inside:
            y.float().square().sum().backward()
        assert (y.dtype, x.grad.dtype, layer.weight.grad.dtype) == (
            torch.bfloat16,
            torch.float32,
            torch.float32,
        )
        torch.testing.assert_close(y.float(), expected, rtol=0.02, atol=0.05)


@pytest.fixture
def fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("dynamic", [pytest.param(False, marks=pytest.mark.slow), True])
def test_compiled_equals_eager(fresh_compiler, dynamic):
    layer = layer_from_mask(random_mask(50, 40, 0.2), torch.float32)
    after = torch.nn.Linear(50, 3)
    between = layer_from_mask(random_mask(50, 50, 0.1), torch.float32)

    def model(x):
        # The dense end sends a gradient that is contiguous as (batch, targets) into the sparse layers.
        return after(between(torch.tanh(layer(x))))

    compiled = torch.compile(model, fullgraph=True, dynamic=dynamic)
    wanted = [layer.weight, between.weight, after.weight]
    for batch in (8, 5):
        x = torch.randn(batch, 40, requires_grad=True)
        ours = torch.autograd.grad(compiled(x).square().sum(), [x, *wanted])
        eager = torch.autograd.grad(model(x).square().sum(), [x, *wanted])
        for one, other in zip(ours, eager, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_compiled_sums_contiguous_rows(fresh_compiler):
    from torch._dynamo.backends.common import aot_autograd

    seen = []

    def inspect(graph, inputs):
        for node in graph.graph.nodes:
            if "_embedding_bag" in str(node.target):
                seen.append(node.args[0].meta["val"].is_contiguous())
        return graph.forward

    layer = layer_from_mask(random_mask(50, 40, 0.2), torch.float32)
    after = torch.nn.Linear(50, 3)
    backend = aot_autograd(fw_compiler=inspect, bw_compiler=inspect)
    compiled = torch.compile(lambda x: after(layer(x)), fullgraph=True, backend=backend)
    compiled(torch.randn(8, 40, requires_grad=True)).sum().backward()
    assert seen == [True, True]


def test_functional_gradient():
    layer = layer_from_mask(random_mask(6, 9, 0.4))
    x = torch.randn(4, 9, dtype=torch.float64)

    def loss(parameters):
        return torch.func.functional_call(layer, parameters, (x,)).square().sum()

    functional = torch.func.grad(loss)({"weight": layer.weight.detach()})["weight"]
    layer(x).square().sum().backward()
    torch.testing.assert_close(functional, layer.weight.grad)


@pytest.mark.parametrize("batch", [0, 1, 33])
@pytest.mark.parametrize("density", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weighted", [True, False])
def test_plain_operations_compute_the_same(batch, density, weighted):
    """What forward-mode derivatives and ONNX get in place of `EdgeSum`, with its own gradients."""
    layer = layer_from_mask(random_mask(40, 70, density), weighted=weighted)
    x = torch.randn(batch, 70, dtype=torch.float64, requires_grad=True)
    grad = torch.randn(batch, 40, dtype=torch.float64)
    wanted = [x, layer.weight] if weighted else [x]
    y = layer(x)
    ours = y, *torch.autograd.grad(y, wanted, grad)
    arguments = layer.weight, layer.source, layer.target, layer.target_offsets, layer.fan_in
    y = kernel.plain_edge_sum(x.t(), *arguments).t()
    plain = y, *torch.autograd.grad(y, wanted, grad)
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, other)
    assert (plain[0][:, 0] == 0).all()


def test_plain_operations_without_edges():
    layer = layer_from_mask(np.zeros((3, 4), bool))
    with torch.autograd.forward_ad.dual_level():
        y = layer(torch.ones(2, 4, dtype=torch.float64))
    assert y.shape == (2, 3)
    assert not y.any()


def test_absent_edges_have_no_influence_on_plain_operations_even_when_infinite():
    mask = np.array([[1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]])
    layer = layer_from_mask(mask)
    x = torch.tensor([[1.0, 2.0, np.inf, np.nan]], dtype=torch.float64)
    arguments = layer.weight, layer.source, layer.target, layer.target_offsets, layer.fan_in
    y = kernel.plain_edge_sum(x.t(), *arguments).t()
    assert y.isfinite().tolist() == [[True, False, True]]
    torch.testing.assert_close(y[:, 0], layer(x)[:, 0])


def test_plain_operations_add_up_in_float32():
    layer = layer_from_mask(np.ones((1, 4096)), torch.float16)
    x = torch.rand(2, 4096).half()
    arguments = layer.weight, layer.source, layer.target, layer.target_offsets, layer.fan_in
    y = kernel.plain_edge_sum(x.t(), *arguments).t()
    assert y.dtype == torch.float16
    torch.testing.assert_close(y.double(), x.double() @ layer.weight.double()[:, None], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("strict", [False, True])
def test_export(tmp_path, strict):
    layer = layer_from_mask(random_mask(6, 9, 0.4), torch.float32)
    x = torch.randn(4, 9)
    dynamic = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(layer, (x,), dynamic_shapes=dynamic, strict=strict)
    torch.export.save(program, tmp_path / "layer.pt2")
    loaded = torch.export.load(tmp_path / "layer.pt2").module()
    for batch in (4, 7):
        x = torch.randn(batch, 9)
        torch.testing.assert_close(loaded(x), layer(x))


def through_save(layer):
    buffer = io.BytesIO()
    torch.save(layer, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), through_save])
def test_copies(duplicate):
    mask = random_mask(6, 9, 0.4)
    layer = layer_from_mask(mask)
    twin = duplicate(layer)
    x = torch.randn(4, 9, dtype=torch.float64)
    torch.testing.assert_close(twin(x), layer(x))
    twin(x).sum().backward()
    assert layer.weight.grad is None
    mask[2, 3] = not mask[2, 3]
    with pytest.raises(RuntimeError, match="made for other edges"):
        twin.load_state_dict(layer_from_mask(mask).state_dict())


def test_state_dict_round_trip():
    layer = layer_from_mask(random_mask(6, 9, 0.4))
    assert set(layer.state_dict()) == {"weight", "digest"}
    other = layer_from_mask(random_mask(6, 9, 0.4), seed=1)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(layer.weight, other.weight)


@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("strict", [False, True])
def test_refuses_checkpoint_of_other_edges(assign, strict):
    mask = np.eye(6, dtype=bool)
    layer = torch.nn.Sequential(layer_from_mask(mask))
    other = torch.nn.Sequential(layer_from_mask(mask[::-1].copy(), seed=1))
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    with pytest.raises(RuntimeError, match=r"`0\.digest` differs: the checkpoint was made for other edges"):
        layer.load_state_dict(other.state_dict(), assign=assign, strict=strict)
    for name, value in layer.state_dict().items():
        assert torch.equal(value, before[name])


def test_frozen_weight_is_a_buffer():
    layer = layer_from_mask(random_mask(6, 9, 0.4), trainable=False)
    assert list(layer.parameters()) == []
    assert set(layer.state_dict()) == {"weight", "digest"}
    x = torch.randn(4, 9, dtype=torch.float64, requires_grad=True)
    layer(x).sum().backward()
    assert layer.weight.grad is None
    assert x.grad is not None


@pytest.mark.parametrize(
    ("x_wanted", "trainable", "sums", "dots"), [(True, True, 2, 1), (False, True, 1, 1), (True, False, 2, 0)]
)
def test_skips_gradients_not_wanted(monkeypatch, x_wanted, trainable, sums, dots):
    calls = []
    for name in ("summed_rows", "row_products"):
        function = getattr(kernel, name)
        monkeypatch.setattr(
            kernel, name, lambda *args, name=name, function=function: (calls.append(name), function(*args))[1]
        )
    layer = layer_from_mask(random_mask(6, 9, 0.4), trainable=trainable)
    layer(torch.randn(4, 9, dtype=torch.float64, requires_grad=x_wanted)).sum().backward()
    assert (calls.count("summed_rows"), calls.count("row_products")) == (sums, dots)


def test_trains_with_weight_decay():
    mask = random_mask(6, 9, 0.4)
    layer, wanted = layer_from_mask(mask, torch.float32), layer_from_mask(mask, torch.float32, seed=1)
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-5)
    x = torch.randn(64, 9)
    for _ in range(200):
        optimiser.zero_grad()
        loss = (layer(x) - wanted(x).detach()).square().mean()
        loss.backward()
        optimiser.step()
    assert loss < 1e-4
    assert not dense_weight(layer)[torch.from_numpy(~mask)].any()


def test_no_warnings():
    layer = layer_from_mask(random_mask(6, 9, 0.4), torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(torch.randn(4, 9, requires_grad=True)).sum().backward()


def test_makes_no_array_of_edges_times_batch():
    units, fan_in, batch = 2000, 16, 64
    random = np.random.default_rng(0)
    source = np.concatenate([np.sort(random.choice(units, fan_in, replace=False)) for _ in range(units)])
    layer = EdgeProjection(source, np.repeat(np.arange(units), fan_in), (units, units))
    x = torch.randn(batch, units, requires_grad=True)
    layer(x).sum().backward()
    with torch.profiler.profile(profile_memory=True) as profile:
        layer(x).sum().backward()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    largest = max(event.nbytes() for event in events)
    assert units * batch * 4 <= largest < 2 * units * batch * 4


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ([0, 1], [0], "vectors of one length"),
        ([[0]], [[0]], "vectors of one length"),
        ([0.0], [0.0], "must hold integers"),
        ([3], [0], "`source` must lie in 0 to 2, but runs from 3 to 3"),
        ([-1], [0], "`source` must lie in 0 to 2"),
        ([0], [2], "`target` must lie in 0 to 1"),
        ([0, 0], [1, 0], r"edge 1 \(0 -> 0\) follows edge 0 \(0 -> 1\)"),
        ([1, 0], [0, 0], "sorted by target, then by source"),
        ([0, 1, 1], [0, 1, 1], r"without duplicates, but edge 2 \(1 -> 1\)"),
    ],
)
def test_refuses_edges(source, target, message):
    with pytest.raises(ValueError, match=message):
        EdgeProjection(np.array(source), np.array(target), (2, 3))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64, ">i8"])
def test_takes_integers_of_any_kind(dtype):
    target, source = np.nonzero(random_mask(6, 9, 0.4))
    layer = EdgeProjection(source.astype(dtype), target.astype(dtype), (6, 9))
    same = EdgeProjection(source, target, (6, 9))
    assert len(same.table_names) == 7
    for name in same.table_names:
        assert torch.equal(getattr(layer, name), getattr(same, name))


@pytest.mark.parametrize("x", [torch.ones(3), torch.ones(1, 2, 3), torch.ones(2, 4), torch.ones(2, 3).long()])
def test_refuses_inputs(x):
    layer = EdgeProjection(np.array([0]), np.array([0]), (2, 3))
    with pytest.raises(ValueError, match=r"`x` must be a floating \(batch, 3\)"):
        layer(x)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint16, ">i8"])
def test_edge_digest_is_pinned(dtype):
    import hashlib

    random = np.random.default_rng(0)
    source, target = random.integers(0, 60_000, (2, 200_000))
    expected = hashlib.sha256(
        b"".join(np.array(part, dtype="<i8").tobytes() for part in ((70_000, 60_000), source, target))
    ).digest()
    digest = edge_digest(source.astype(dtype), target.astype(dtype)[::1], (70_000, 60_000))
    assert digest.dtype == np.int64
    assert digest.astype("<i8").tobytes() == expected
    pinned = edge_digest(np.array([0, 2, 1]), np.array([0, 0, 1]), (2, 3))
    assert pinned.tolist() == [
        -6094063617010221192,
        1260211851621060905,
        -2544239475793339016,
        -3632315450260107370,
    ]
