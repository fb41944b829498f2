"""The checks of NumPy's functions by themselves: what they change, share, leave to defaults and refuse."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

import numpy as np

from .checks import assert_close
from .expected import Expected, draw_data
from .numpy_model import NumpyModel
from .points import Doubt, assert_within, evaluated
from .robustness import draw_moderate


def refuses(call: Callable[[], Any], what: str) -> None:
    """Fail unless a call raises ValueError."""
    try:
        call()
    except ValueError:
        return
    raise AssertionError(f"{what} is taken")


def check_numpy_arrays(expected: Expected, model: NumpyModel) -> None:
    """Nothing that is passed in is changed, what is returned is apart from it, and has its precision.

    Running statistics are the exception: in training, a call of `layers`, `forward` or `gradients` puts new
    arrays into the dict, moved once.
    """
    parameters, data = draw_moderate(expected, 40), draw_data(expected, 41)
    for dtype in (np.float32, np.float64):
        given = {n: a.astype(dtype) if a.dtype.kind == "f" else a.copy() for n, a in data.items()}
        start = {name: array.astype(dtype) for name, array in parameters.items()}
        for array in (*given.values(), *start.values()):
            array.setflags(write=False)
        exact = {name: array.astype(np.float64) for name, array in start.items()}
        known = {n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in given.items()}
        point = evaluated(expected, exact, known, True, dtype=dtype.__name__)
        for name, call in numpy_calls(expected, model, given).items():
            for training in (False, True):
                p = {**start}
                returned = call(p, training)
                who = f"numpy: {name}, training={training}"
                assert p.keys() == start.keys(), f"{who} has changed which parameters there are"
                for key, array in p.items():
                    if training and key in expected.running:
                        wanted, error = point.wanted.running[key], point.running_errors[key]
                        assert_within(array, wanted, error, f"{who}: {key}")
                    else:
                        assert array is start[key], f"{who} has put another array in the place of {key}"
                for key, array in returned.items():
                    if isinstance(array, np.ndarray):
                        assert array.dtype == dtype, f"{who}: {key} is {array.dtype}, not {dtype.__name__}"
                        shared = any(np.may_share_memory(array, a) for a in (*given.values(), *p.values()))
                        assert not shared, f"{who}: {key} shares memory with what was passed in"


def numpy_calls(
    expected: Expected, model: NumpyModel, given: dict[str, np.ndarray]
) -> dict[str, Callable[[dict[str, np.ndarray], bool], dict[str, Any]]]:
    """The functions of the module, to be called with a dict of parameters and whether it is for training."""
    module, inputs = model.module, [given[name] for name in expected.inputs]
    targets = [given[name] for name in expected.targets if name not in expected.inputs]

    def mode(training: bool) -> dict[str, bool]:
        return {"training": training} if "training" in expected.modes else {}

    def forward(p: dict[str, np.ndarray], training: bool) -> dict[str, Any]:
        result = module.forward(p, *inputs, **mode(training))
        return dict(zip(expected.outputs, result if isinstance(result, tuple) else (result,), strict=True))

    def gradients(p: dict[str, np.ndarray], training: bool) -> dict[str, Any]:
        if not expected.cotangents:
            return module.gradients(p, *inputs, *targets, **mode(training))[1]
        values = module.layers(p, *inputs, **mode(training))
        cotangents = [given[name] for name in expected.cotangents.values()]
        running = {"training": training} if expected.running else {}
        return module.backward(p, values, *inputs, *cotangents, **running)

    return {
        "layers": lambda p, training: module.layers(p, *inputs, **mode(training)),
        "forward": forward,
        "gradients": gradients,
    }


def check_numpy_forward(expected: Expected, model: NumpyModel) -> None:
    """`forward` is what `layers` gives, in training too, and without `training` both are for evaluation.

    `gradients` are for training then, and their loss is `loss`.
    """
    parameters, data = draw_moderate(expected, 42), draw_data(expected, 43)
    module, calls = model.module, numpy_calls(expected, model, data)
    inputs = [data[name] for name in expected.inputs]
    for training in (False, True):
        layers, outputs = (
            calls["layers"]({**parameters}, training),
            calls["forward"]({**parameters}, training),
        )
        for name, output in outputs.items():
            given = expected.given(name, layers[name], flat=True)
            assert np.array_equal(output.reshape(given.shape), given), f"numpy: forward's {name}"
    if "rng" in expected.modes:
        for training in (False, True):
            drawn = [np.random.default_rng(46) for _ in range(2)]
            layers = module.layers({**parameters}, *inputs, training=training, rng=drawn[0])
            outputs = module.forward({**parameters}, *inputs, training=training, rng=drawn[1])
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            for name, output in zip(expected.outputs, outputs, strict=True):
                given = expected.given(name, layers[name], flat=True)
                same = np.array_equal(output.reshape(given.shape), given)
                assert same, f"numpy: forward's {name} with units dropped"
            if not training:
                for name, value in calls["layers"]({**parameters}, False).items():
                    assert np.array_equal(value, layers[name]), f"numpy: {name} is dropped outside training"
    layers = calls["layers"]({**parameters}, False)
    for name, value in module.layers({**parameters}, *inputs).items():
        assert np.array_equal(value, layers[name]), f"numpy: {name} is another without `training`"
    outputs = module.forward({**parameters}, *inputs)
    for one, other in zip(
        outputs if isinstance(outputs, tuple) else (outputs,),
        calls["forward"]({**parameters}, False).values(),
        strict=True,
    ):
        assert np.array_equal(one, other), "numpy: forward is another without `training`"
    if expected.cotangents:
        return
    targets = [data[name] for name in expected.targets if name not in expected.inputs]
    loss, gradients = module.gradients({**parameters}, *inputs, *targets)
    outputs = calls["layers"]({**parameters}, True)
    reads = {n: expected.given(n, outputs[n], flat=True) for n in expected.loss_reads if n in outputs}
    reads = {n: a.reshape(*a.shape[:1], *(expected.outputs.get(n) or a.shape[1:])) for n, a in reads.items()}
    if reads.keys() <= expected.outputs.keys():
        given = [(data | reads)[name] for name in expected.loss_reads]
        assert_close(np.asarray(loss), np.asarray(module.loss(parameters, *given)), 1e-12, "numpy: loss", 1.0)
    for name, gradient in calls["gradients"]({**parameters}, True).items():
        assert np.array_equal(gradients[name], gradient), f"numpy: gradient of {name} without `training`"


def check_numpy_refusals(expected: Expected, model: NumpyModel) -> None:
    """Other shapes are refused, also where NumPy would broadcast, and so are codes that are no class."""
    parameters, data = draw_moderate(expected, 44), draw_data(expected, 45)
    module, names = model.module, list(expected.inputs)
    targets = {name: data[name] for name in expected.targets if name not in expected.inputs}
    for name in names:
        own, classes = data[name], expected.classes.get(name)
        wrong = [own[:1]] if len(names) > 1 else []
        if classes is None:
            wrong += [np.concatenate([own, own[..., :1]], axis=-1)]
        else:
            wrong += [own - own.min() - 2, own - own.max() + classes, own.astype(float)]
        for array in wrong:
            inputs = [array if other == name else data[other] for other in names]
            refuses(lambda inputs=inputs: module.forward({**parameters}, *inputs), f"numpy: a wrong {name}")
    inputs = [data[name] for name in names]
    for name, array in targets.items():
        wrong_arrays = [array[:1], array[..., None]]
        if (classes := expected.targets[name][1]) is not None:
            wrong_arrays += [array - 1 - array.min(), array + classes, array.astype(float)]
        for wrong_array in wrong_arrays:
            given = [*inputs, *(targets | {name: wrong_array}).values()]
            refuses(lambda given=given: module.gradients({**parameters}, *given), f"numpy: a wrong {name}")


def check_numpy_seeds(expected: Expected, model: NumpyModel) -> None:
    """Without a seed, starts are drawn anew; what is loaded is copied, and nobody can change `wiring`."""
    one, other = expected.start(0), expected.start(1)
    if any(not np.array_equal(one[name], other[name]) for name in one):
        first, second = model.module.init(None), model.module.init(None)
        assert any(not np.array_equal(first[n], second[n]) for n in first), "numpy: one start for all seeds"
    held = model.arrays()
    for name, array in model.module.load_arrays(held).items():
        assert not np.may_share_memory(array, held[name]), f"numpy: {name} is loaded without a copy"
    if not hasattr(model.module, "wiring"):
        return
    for name, array in model.module.wiring().items():
        if array.flags.writeable:
            before = array.copy()
            array += 1
            again = model.module.wiring()[name].copy()
            array -= 1
            assert np.array_equal(again, before), f"numpy: whoever asks for {name} can change it"


def check_numpy_segments(expected: Expected, model: NumpyModel, tolerance: float) -> None:
    """Edges that are summed some at a time, as they are where they are many, give the same."""
    parameters, data = draw_moderate(expected, 47), draw_data(expected, 48)
    calls = numpy_calls(expected, model, data)
    whole = calls["layers"]({**parameters}, False), calls["gradients"]({**parameters}, False)
    # The module's own functions, or of the module beside that has them.
    functions = model.module.project.__globals__
    segments = functions["segments"]

    def few(target: np.ndarray, length: int) -> list[tuple[int, int]]:
        return segments(target, max(2, len(target) // 3))

    with mock.patch.dict(functions, segments=few):
        parts = calls["layers"]({**parameters}, False), calls["gradients"]({**parameters}, False)
    doubt, what = Doubt(expected, parameters, data, False), "some edges at a time,"
    for name in expected.layers:
        error = partial(doubt.value, name)
        found, wanted = (values[name].reshape(len(values[name]), -1) for values in (parts[0], whole[0]))
        assert_close(found, wanted, tolerance, f"numpy: {name}, {what}", 1.0, error)
    for name, gradient in whole[1].items():
        error = partial(doubt.gradient, name)
        assert_close(parts[1][name], gradient, tolerance, f"numpy: gradient of {name}, {what}", 1.0, error)
