"""The checks of a PyTorch module by itself: its parameters, its derivatives of every kind, and its modes."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import torch

from ...common.kernels.stored import edges_of
from .checks import assert_close
from .expected import Expected, draw_data
from .points import Doubt, assert_within, direction_through, evaluated
from .robustness import draw_moderate, slopes, smooth_step
from .torch_model import TorchModel, at_steps


def torch_inputs(expected: Expected, model: TorchModel, data: dict[str, np.ndarray]) -> list[Any]:
    """What `forward` takes."""
    return [given_tensor(data[name], model.dtype) for name in expected.inputs]


def given_tensor(array: np.ndarray, dtype: Any) -> Any:
    """Numbers of this type, or codes."""
    return torch.tensor(array, dtype=dtype if array.dtype.kind == "f" else torch.int64)


def check_torch_parameters(expected: Expected, model: TorchModel) -> None:
    """All parameters are the named ones, and the very same objects after calls; so are buffers and keys."""
    model.load(draw_moderate(expected, 50))
    net, data = model.model, draw_data(expected, 51)
    counters = {name for name, _ in net.named_buffers() if name.endswith(".num_batches_tracked")}

    def held() -> dict[str, Any]:
        named = model.renamed(dict(net.named_parameters(remove_duplicate=False)))
        assert named.keys() == set(expected.trained), "torch: parameters are others than those of the spec"
        assert {id(p) for p in net.parameters()} == {id(p) for p in named.values()}
        buffers = model.renamed(dict(net.named_buffers(remove_duplicate=False)))
        fixed = expected.parameters.keys() - named.keys()
        assert buffers.keys() == fixed | counters, "torch: buffers are others than those of the spec"
        return named | buffers

    before = held()
    for name, tensor in before.items():
        assert tensor.requires_grad == (name in expected.trained), f"torch: requires_grad of {name}"
        assert tensor.is_leaf, f"torch: {name} is computed"
    model.differentiate(data)
    model.outputs(data)
    model.layers(data, True)
    for name, tensor in held().items():
        assert tensor is before[name], f"torch: a call has put another tensor in the place of {name}"
    digests = {f"{name}.digest" for name in (*expected.digested, *expected.digests)}
    keys = model.renamed(net.state_dict()).keys()
    assert keys == {*expected.parameters, *digests, *counters}, "torch: keys of state_dict"


def check_torch_values(expected: Expected, model: TorchModel) -> None:
    """`forward` is what `layers` gives; nothing passed in is changed, and every value is an array of its own.

    Running statistics move in training, once by each call.
    """
    parameters, data = draw_moderate(expected, 52), draw_data(expected, 53)
    net = model.model
    for training in (False, True):
        who, point = f"torch, training={training}", evaluated(expected, parameters, data, training)
        results: dict[str, Any] = {}
        for name, call in (("forward", net), ("layers", net.layers)):
            model.load(parameters)
            net.train(training)
            inputs = torch_inputs(expected, model, data)
            versions = [tensor._version for tensor in (*inputs, *net.parameters())]
            results[name] = call(*inputs)
            assert [t._version for t in (*inputs, *net.parameters())] == versions, f"{who}: {name} overwrites"
            for key, array in model.arrays().items():
                if training and key in expected.running:
                    wanted, error = point.wanted.running[key], point.running_errors[key]
                    assert_within(array, wanted, error, f"{who}: {key} after {name}")
                elif key in parameters:
                    assert np.array_equal(array, parameters[key]), f"{who}: {name} changes {key}"
        outputs, layers = results["forward"], results["layers"]
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        for name, output in zip(expected.outputs, outputs, strict=True):
            assert output.is_contiguous(), f"{who}: {name} is not contiguous"
            layer = expected.given(name, layers[name])
            assert_close(output.detach(), layer.detach(), 1e-12, f"{who}: forward's {name}")
            assert output.requires_grad == layer.requires_grad, f"{who}: {name} is detached"
    with torch.no_grad():
        model.load(parameters)
        values, inputs = net.layers(*inputs), [tensor.clone() for tensor in inputs]
        kept = {name: value.clone() for name, value in values.items()}
        for name, value in values.items():
            assert torch.equal(value, kept[name]), f"torch: {name} shares memory with another layer's value"
            value.zero_()
        assert all(
            np.array_equal(model.arrays()[n], a) for n, a in parameters.items() if n in expected.trained
        )


def check_torch_modules(expected: Expected, model: TorchModel) -> None:
    """A layer is a module that is called once in a pass, and returns its value; what hooks return goes on.

    Over time it is called once for all steps, or once a step if it reads earlier ones of itself. What `print`
    shows of the network has all of its modules. Its dropout drops in training alone: with the same units
    dropped, all layers are the reference's.
    """
    parameters, data = draw_moderate(expected, 65), draw_data(expected, 66, 32)
    net, called, kept, modules = model.model, dict[str, list[Any]](), {}, model.layer_modules()
    shown = repr(net)
    for name, _ in net.named_children():
        assert f"({name}): " in shown, f"torch: {name} is not shown"

    def keep(name: str) -> Callable[..., None]:
        def hook(part: Any, given: Any, value: Any) -> None:
            called.setdefault(name, []).append((given[0], value))

        return hook

    drops = {name: getattr(net, name).dropout for name in expected.dropout}
    for training in (False, True):
        model.load(parameters)
        net.train(training)
        called.clear()
        handles = [part.register_forward_hook(keep(name)) for name, part in modules.items()]
        handles += [part.register_forward_hook(keep(f"{name}.dropout")) for name, part in drops.items()]
        for name, part in drops.items():
            part.p = expected.dropout[name][1]
        try:
            with torch.no_grad():
                values = net.layers(*torch_inputs(expected, model, data))
        finally:
            for handle in handles:
                handle.remove()
            for part in drops.values():
                part.p = 0.0
        seen = {name: passed(expected, name, calls, 32) for name, calls in called.items()}
        assert seen.keys() == {*modules, *(f"{name}.dropout" for name in drops)}, (
            "torch: some modules of layers are not called"
        )
        for name, part in drops.items():
            given, value = seen[f"{name}.dropout"]
            assert training or torch.equal(given, value), f"torch: {name} drops outside training"
            assert part.p == 0.0
            kept[f"{expected.dropout[name][0]} kept"] = ((value != 0) | (given == 0)).numpy()
        at = parameters, data | (kept if training else {}), training
        wanted, doubt = expected.reference(*at)[0], Doubt(expected, *at)
        for name in expected.layers:
            value = values[name].numpy().reshape(wanted[name].shape)
            who, error = f"torch, units dropped={training}: layer {name}", partial(doubt.value, name)
            assert_close(value, wanted[name], 1e-9, who, 1e-2, error)
            given = seen[name][1].numpy().reshape(value.shape) if name in modules else value
            assert np.array_equal(given, value), f"torch: {name} is not what its module gives"
    last = next((name for name in expected.outputs if name in modules), None)
    if last is None:
        return
    handle = modules[last].register_forward_hook(lambda part, given, value: torch.full_like(value, 7.0))
    with torch.no_grad():
        value = net.eval().layers(*torch_inputs(expected, model, data))[last]
    handle.remove()
    assert (value == 7.0).all(), f"torch: what a hook of {last} returns is not what goes on"


def passed(expected: Expected, module: str, calls: list[Any], samples: int) -> tuple[Any, Any]:
    """What a module was given and has returned, over time (samples, steps, units)."""
    if module.removesuffix(".dropout") not in expected.timed:
        assert len(calls) == 1, f"torch: {module} is called {len(calls)} times"
        return calls[0]
    given, value = (at_steps([*each], samples) for each in zip(*calls, strict=True))
    return given, value


def torch_score(values: dict[str, Any], factors: dict[str, Any]) -> Any:
    """A number that every entry of every layer has a part in, with second derivatives."""
    return sum((values[name].square() * factor).sum() for name, factor in factors.items())


def torch_factors(expected: Expected, values: dict[str, Any]) -> dict[str, Any]:
    """A number for each entry of every layer, for `torch_score`."""
    rng = np.random.default_rng(54)
    return {name: torch.tensor(rng.normal(size=tuple(values[name].shape))) for name in expected.layers}


@contextmanager
def calling_layers(net: Any) -> Iterator[None]:
    """Have the module return all layers where it is called, as `functional_call` calls it."""
    net.forward = net.layers
    try:
        yield
    finally:
        del net.forward


def torch_function(net: Any) -> Callable[..., Any]:
    """All layers as a function of parameters by name and of the inputs."""
    buffers = dict(net.named_buffers())

    def layers(parameters: dict[str, Any], *inputs: Any) -> Any:
        return torch.func.functional_call(net, parameters | buffers, inputs)

    return layers


def gradients_of(score: Any, leaves: dict[str, Any], *, create_graph: bool = False) -> tuple[Any, ...]:
    """Gradients of a number; zeros where it depends on nothing, as before any delay has passed."""
    if not leaves or not score.requires_grad:
        return tuple(torch.zeros_like(x) for x in leaves.values())
    return torch.autograd.grad(
        score, list(leaves.values()), create_graph=create_graph, materialize_grads=True
    )


def check_torch_derivatives(expected: Expected, model: TorchModel) -> None:
    """Forward mode is the reference's slope, of every layer, and reverse mode its adjoint.

    For g = J'c and any direction v, <g, v> = <c, Jv>. The product of the Hessian and v, by reverse mode
    twice, is held against differences of the gradient: PyTorch has no forward mode of all its gradients.
    """
    parameters, data = draw_moderate(expected, 55), draw_data(expected, 56)
    net = model.model.eval()
    model.load(parameters)
    direction = direction_through(expected, data, 55)
    wanted = slopes(expected, parameters, data, direction, False)
    leaves = {name: tensor.detach().clone() for name, tensor in net.named_parameters()}
    held = dict(zip(expected.inputs, torch_inputs(expected, model, data), strict=True))
    leaves |= {name: held[name] for name in expected.moved}
    along = {name: torch.tensor(direction[model.names.get(name, name)]) for name in leaves}
    function = torch_function(net)

    def layers(leaves: dict[str, Any]) -> Any:
        given = {**leaves}
        inputs = [given.pop(name) if name in given else held[name] for name in expected.inputs]
        return function(given, *inputs)

    # PyTorch would compile derivatives of its own first, for seconds; no step here needs one of them.
    with calling_layers(net), mock.patch.dict(os.environ, PYTORCH_JIT="0"):
        values, tangents, *_ = torch.func.jvp(layers, (leaves,), (along,))
        factors = torch_factors(expected, values)
        for name in expected.layers:
            slope, error = wanted[name]
            got = tangents[name].numpy().reshape(slope.shape)
            assert_within(got, slope, error, f"torch: the forward derivative of {name}")

        def gradient(shift: float) -> tuple[dict[str, Any], Any]:
            moved = {n: (x + shift * along[n]).requires_grad_() for n, x in leaves.items()}
            score = torch_score(layers(moved), factors)
            return moved, gradients_of(score, moved, create_graph=shift == 0)

        moved, found = gradient(0.0)
        slope = sum((g * along[name]).sum() for name, g in zip(leaves, found, strict=True))
        parts = [(2 * values[name] * factor * tangents[name]) for name, factor in factors.items()]
        size = sum(part.abs().sum() for part in parts)
        forward = sum(part.sum() for part in parts)
        message = "torch: reverse mode is not the adjoint of forward mode: are layers detached?"
        assert abs(slope - forward) <= 1e-9 * max(1.0, size), message
        if expected.surrogate:
            return  # the gradient's differences are not what its own derivative is declared to be
        second = gradients_of(slope, moved)
        step = smooth_step(expected, parameters, data, direction)
        ends = {shift: gradient(shift)[1] for shift in (step, -step, step / 2, -step / 2)}
    largest = max(float(g.detach().abs().max()) for g in (*second, *found) if g.numel())
    for at, name in enumerate(leaves):
        # Differences extrapolated to a step of zero (Richardson), which differ by more than is left of error.
        wide = (ends[step][at] - ends[-step][at]) / (2 * step)
        narrow = (ends[step / 2][at] - ends[-step / 2][at]) / step
        rounding = 256 * np.finfo(np.float64).eps * largest / step
        doubt = 8 * (narrow - wide).abs() + rounding + 1e-6 * largest
        good = (second[at] - (4 * narrow - wide) / 3).abs() <= doubt
        assert good.all(), f"torch: second derivatives by {name} are not those of the gradient"


def check_torch_transforms(expected: Expected, model: TorchModel) -> None:
    """`vmap` over samples or over parameters gives what calls by themselves give, gradients of samples too.

    So do the paths that code takes while it is compiled or exported, and those for large arrays.
    """
    parameters, data = draw_moderate(expected, 57), draw_data(expected, 58)
    net = model.model.eval()
    inputs = [x.unflatten(0, (3, 2)) for x in torch_inputs(expected, model, data)]
    model.load(parameters)
    leaves = {name: tensor.detach().clone() for name, tensor in net.named_parameters()}
    function = torch_function(net)

    def close(got: dict[str, Any], wanted: dict[str, Any], what: str) -> None:
        for name, value in wanted.items():
            assert_close(got[name].detach(), value.detach(), 1e-9, f"torch, {what}: {name}", scale)

    # A few blocks at a time, as where there are many.
    module = model.module
    if hasattr(module, "transposed_copy"):
        check_torch_tiles(module)
    with calling_layers(net):
        values = function(leaves, *inputs)
        factors = torch_factors(expected, values)
        # What is added up on the way to a gradient is of this size, however much of it cancels.
        scale = sum(float((values[n].square() * factor).abs().sum()) for n, factor in factors.items())
        scale = max(1.0, scale, *(float(value.abs().max()) for value in values.values() if value.numel()))

        def score(leaves: dict[str, Any], factors: dict[str, Any], *inputs: Any) -> Any:
            return torch_score(function(leaves, *inputs), factors)

        wanted = torch.func.grad(score)(leaves, factors, *inputs)
        over = (None, 0, *(0 for _ in inputs))
        close(torch.func.vmap(function, (None, *over[2:]))(leaves, *inputs), values, "vmap over samples")
        each = torch.func.vmap(torch.func.grad(score), over)(leaves, factors, *inputs)
        close({name: g.sum(0) for name, g in each.items()}, wanted, "gradients of samples")
        if hasattr(module, "block_tile_size"):
            with mock.patch.object(module, "block_tile_size", return_value=2):
                close(function(leaves, *inputs), values, "by tiles")
                found = torch.func.grad(score)(leaves, factors, *inputs)
            close(found, wanted, "gradients by tiles")
        none, nothing = [x[:0] for x in inputs], {name: factor[:0] for name, factor in factors.items()}
        assert all(value.shape[:2] == (0, 2) for value in function(leaves, *none).values())
        for name, gradient in torch.func.grad(score)(leaves, nothing, *none).items():
            assert not gradient.any(), f"torch: without samples, the gradient of {name} is not zero"
        two = {name: torch.stack([tensor, 0.5 * tensor]) for name, tensor in leaves.items()}
        if two:
            mapped = torch.func.vmap(function, (0, *(None for _ in inputs)))(two, *inputs)
            close({name: value[0] for name, value in mapped.items()}, values, "vmap over parameters")
        for mode in ("is_compiling", "is_exporting"):
            with mock.patch.object(torch.compiler, mode, return_value=True):
                close(function(leaves, *inputs), values, f"as where {mode}")
                given = {name: tensor.clone().requires_grad_() for name, tensor in leaves.items()}
                found = gradients_of(score(given, factors, *inputs), given)
            close(dict(zip(given, found, strict=True)), wanted, f"gradients as where {mode}")
    if hasattr(net, "loss") and expected.loss_reads:
        held = {name: expected.given(name, value) for name, value in values.items()}
        held |= {name: x.unflatten(0, (3, 2)) for name, x in model._tensors(data).items()}
        reads = [held[name].detach() for name in expected.loss_reads]
        close({"loss": torch.func.vmap(net.loss)(*reads).mean()}, {"loss": net.loss(*reads)}, "vmap")


def check_torch_layouts(expected: Expected, model: TorchModel) -> None:
    """A sparse connection takes a batch in either layout, and adds to nothing, to a bias or to an array."""
    rng = np.random.default_rng(67)
    model.load(draw_moderate(expected, 68))
    for name, (targets, sources, edges) in expected.summed.items():
        part = getattr(model.model, name)
        source, target = (torch.tensor(units, dtype=torch.int64) for units in edges_of(expected.stored, name))
        weight = torch.ones(edges, dtype=torch.float64) if part.weight is None else part.weight.detach()
        x, factor, array = (torch.tensor(rng.normal(size=(5, n))) for n in (sources, targets, targets))
        y = torch.zeros_like(factor).index_add(1, target, x[:, source] * weight)
        x_grad = torch.zeros_like(x).index_add(1, source, factor[:, target] * weight)
        for onto in (None, array[0], array, array.t().contiguous().t()):
            for given in (x, x.t().contiguous().t(), x.repeat(1, 2)[:, :sources]):
                given = given.detach().requires_grad_()
                kept: Any = None if onto is None else onto.clone(memory_format=torch.preserve_format)
                wanted = y if onto is None else y + onto
                for compiling in (False, True):
                    with mock.patch.object(torch.compiler, "is_compiling", return_value=compiling):
                        found = part(given, onto=kept)
                        (gradient,) = torch.autograd.grad((found * factor).sum(), given)
                    who = f"{name} in another layout, compiling={compiling}"
                    assert_close(found.detach().numpy(), wanted.numpy(), 1e-10, f"torch: {who}", 1.0)
                    assert_close(
                        gradient.numpy(), x_grad.numpy(), 1e-10, f"torch: gradient through {who}", 1.0
                    )
                assert onto is None or torch.equal(kept, onto), f"torch: {name} writes into what it adds to"


def check_torch_tiles(module: ModuleType) -> None:
    """What moves large arrays does so in every way: by tiles, on one core, in either precision."""
    threads = torch.get_num_threads()
    for rows, columns in ((300, 413), (413, 300), (2, 40_000), (40_000, 2)):
        matrix = torch.arange(rows * columns, dtype=torch.float64).reshape(rows, columns)
        for dtype, cores in ((torch.float64, threads), (torch.float32, threads), (torch.float32, 1)):
            torch.set_num_threads(cores)
            try:
                copy = module.transposed_copy(matrix.to(dtype))
            finally:
                torch.set_num_threads(threads)
            assert torch.equal(copy, matrix.to(dtype).t()), f"torch: {rows} by {columns} is not transposed"
            assert copy.is_contiguous(), f"torch: {rows} by {columns}, transposed, is not contiguous"


def check_torch_half(expected: Expected, model: TorchModel) -> None:
    """In bfloat16, and under autocast, sparse connections sum exactly and round once; so for gradients.

    What is summed are small integers, so that the sums are exact in float32 in whatever order.
    """
    rng, low = np.random.default_rng(59), torch.bfloat16
    for name, (targets, sources, edges) in expected.summed.items():
        source, target = (torch.tensor(units, dtype=torch.int64) for units in edges_of(expected.stored, name))
        part = deepcopy(getattr(model.model, name))
        x = torch.tensor(rng.integers(-2, 3, (3, sources)), dtype=torch.float64)
        y_grad = torch.tensor(rng.integers(-2, 3, (3, targets)), dtype=torch.float64)
        weight = torch.ones(edges, dtype=torch.float64)
        if part.weight is not None:
            weight = torch.tensor(rng.integers(-2, 3, edges), dtype=torch.float64)
            part.weight.data.copy_(weight)
        y = torch.zeros(3, targets, dtype=torch.float64).index_add(1, target, x[:, source] * weight)
        x_grad = torch.zeros_like(x).index_add(1, source, y_grad[:, target] * weight)
        weight_grad = (x[:, source] * y_grad[:, target]).sum(0)
        for autocast in (False, True):
            who = f"torch: {name} in half precision, autocast={autocast}"
            part.to(torch.float32 if autocast else low)
            part.zero_grad()
            given: Any = x.to(torch.float32 if autocast else low).requires_grad_()
            with torch.autocast("cpu", dtype=low, enabled=autocast):
                found = part(given)
            assert found.dtype == low, f"{who} gives {found.dtype}"
            assert torch.equal(found, y.to(low)), f"{who} sums otherwise"
            found.backward(y_grad.to(low))
            assert torch.equal(given.grad.to(low), x_grad.to(low)), f"{who}: gradient of the input"
            if part.weight is not None and part.weight.requires_grad:
                got = part.weight.grad.to(low)
                assert torch.equal(got, weight_grad.to(low)), f"{who}: gradient of the weights"
    for dtype in (low, torch.float32):
        net = deepcopy(model.model).to(dtype).eval()
        data = draw_data(expected, 60)
        outputs = net(*(given_tensor(data[name], dtype) for name in expected.inputs))
        for name, output in zip(
            expected.outputs, outputs if isinstance(outputs, tuple) else (outputs,), strict=True
        ):
            assert output.dtype == dtype, f"torch: {name} of a model in {dtype} is {output.dtype}"


def check_torch_checkpoints(
    expected: Expected, model: TorchModel, build: Callable[[int | None], Any]
) -> None:
    """A `state_dict` that was saved is loaded to the bit, and refused where edges or units are others.

    Also not strictly; and then nothing is loaded. Without a seed, PyTorch's generator governs the start.
    """
    model.load(draw_moderate(expected, 61))
    file = io.BytesIO()
    torch.save(model.model.state_dict(), file)
    file.seek(0)
    state, other = torch.load(file, weights_only=True), build(1).model
    other.load_state_dict(state)
    loaded = other.state_dict()
    parameters = [name for name in state if model.names.get(name, name) in expected.parameters]
    for name, tensor in model.model.state_dict().items():
        assert torch.equal(tensor, loaded[name]), f"torch: {name} is not loaded"
    moved = {n: t + 1 if n in parameters else t.clone() for n, t in state.items()}
    names = sorted([*expected.digested, *expected.digests])
    for name in np.random.default_rng(64).permutation(names)[:12].tolist():
        for strict in (True, False):
            wrong = moved | {f"{name}.digest": state[f"{name}.digest"] + 1}
            try:
                other.load_state_dict(wrong, strict=strict)
            except RuntimeError:
                pass
            else:
                raise AssertionError(f"torch: a checkpoint for other edges or units of {name} is loaded")
            now = other.state_dict()
            for key in parameters:
                assert torch.equal(now[key], state[key]), f"torch: refused, but {key} moved"
    for name in expected.digested:
        lacking = {key: tensor for key, tensor in state.items() if key != f"{name}.digest"}
        keys = other.load_state_dict(lacking, strict=False)
        assert keys.missing_keys == [f"{name}.digest"], f"torch: the digest of {name} is not missed"
    starts = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        starts.append(build(None).arrays())
    assert all(np.array_equal(starts[0][n], starts[1][n]) for n in starts[0]), "torch: two starts of one seed"
    if any(not np.array_equal(a, expected.start(1)[n]) for n, a in expected.start(0).items()):
        differs = any(not np.array_equal(starts[0][name], starts[2][name]) for name in starts[0])
        assert differs, "torch: without a seed, all start alike"


def check_torch_refusals(expected: Expected, model: TorchModel) -> None:
    """Other shapes are refused, also where PyTorch would broadcast, and so are codes that are no class.

    Integers are no inputs, but numbers to compare with.
    """
    model.load(draw_moderate(expected, 62))
    net, data = model.model.eval(), draw_data(expected, 63)

    def refuses(call: Callable[[], Any], what: str) -> None:
        try:
            call()
        except ValueError:
            return
        raise AssertionError(f"torch: a wrong {what} is taken")

    given = dict(zip(expected.inputs, torch_inputs(expected, model, data), strict=True))
    for name, tensor in given.items():
        if name in expected.classes:
            wrong = [tensor.double(), tensor - tensor.min() - 2]
            wrong += [tensor - tensor.max() + expected.classes[name]]
            if expected.inputs[name]:  # else any dimension is one of the batch
                wrong += [torch.cat([tensor, tensor[..., :1]], -1)]
        else:
            wrong = [torch.cat([tensor, tensor[..., :1]], -1), tensor.long()]
        wrong += [tensor[:1]] if len(given) > 1 else []
        for shape in wrong:
            refuses(lambda shape=shape, name=name: net(*(given | {name: shape}).values()), name)
    if not hasattr(net, "loss") or not expected.loss_reads:
        return
    layers = net.layers(*given.values())
    held = given | {name: expected.given(name, value) for name, value in layers.items()}
    held |= model._tensors(data)
    reads = {name: held[name] for name in expected.loss_reads}
    whole = {n: (3 * t).round() for n, t in reads.items() if expected.targets.get(n, ((), 0))[1] is None}
    whole = {name: tensor.detach() for name, tensor in whole.items() if name not in given}
    integers = {name: tensor.long() for name, tensor in whole.items()}
    one, other = (net.loss(*(reads | given).values()) for given in (whole, integers))
    assert torch.equal(one, other), "torch: what is compared with integers is another loss"
    for name, tensor in reads.items():
        wrong = [tensor[..., None], *([tensor[:1]] if len(reads) > 1 else [])]
        if (classes := expected.targets.get(name, ((), None))[1]) is not None:
            wrong += [tensor - tensor.min() - 1, tensor + classes, tensor.double(), tensor * 0 - 100]
        for shape in wrong:
            refuses(lambda shape=shape, name=name: net.loss(*(reads | {name: shape}).values()), name)
