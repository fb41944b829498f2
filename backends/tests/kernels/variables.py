"""The checks of a Keras model beside its numbers: its variables, its copies and files, and compiled calls."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .checks import assert_close
from .expected import Expected, draw_data, draw_parameters
from .points import Doubt, assert_within, evaluated


def check_variables(expected: Expected, model: Any) -> None:
    """What is trained and what is held are the parameters of the spec, each once, also after calls."""
    data = draw_data(expected, 15)
    named, _, _ = before = model.variables()
    assert set(named) == set(expected.parameters)
    assert len({id(variable) for variable in named.values()}) == len(named), "two parameters are one variable"
    for _ in range(2):
        again, trained, held = model.variables()
        for name, variable in again.items():
            assert variable is named[name], f"{model.name}: {name} is another variable after a call"
        for what, variables, names in (("trains", trained, expected.trained), ("holds", held, named)):
            wanted = {id(named[name]): name for name in names}
            more = [variable.path for variable in variables if id(variable) not in wanted]
            assert not more, f"{model.name} {what} more than the spec has: {', '.join(more)}"
            assert len(variables) == len(wanted), f"{model.name} {what} {len(variables)} variables"
        model.layers(data, True)
        model.differentiate(data)
    assert [len(part) for part in model.variables()] == [len(part) for part in before]


def check_copies(expected: Expected, model: Any) -> None:
    """Arrays are copies, those that a model gives and those that it takes; a call leaves its inputs alone."""
    parameters, data = draw_parameters(expected, 17), draw_data(expected, 18)
    given = {name: array.copy() for name, array in parameters.items()}
    model.load(given)
    before = {name: array.copy() for name, array in model.arrays().items()}
    for arrays in (given, model.arrays()):
        for array in arrays.values():
            array += 1
        for name, array in model.arrays().items():
            same = np.array_equal(array, before[name])
            assert same, f"{model.name}: {name} changes with an array that is given or was taken"
    overwritten = model.overwritten(data)
    assert not overwritten, f"{model.name} overwrites {', '.join(overwritten)}"


def check_saved(expected: Expected, model: Any, file: Path, tolerance: float) -> None:
    """A model that is saved and loaded is the same: parameters, dropout, outputs, loss and gradients."""
    parameters, data = draw_parameters(expected, 19), draw_data(expected, 20)
    model.load(parameters)
    loaded = model.saved(file)
    assert loaded.rates == model.rates, f"{model.name}: loaded, it drops {loaded.rates}, not {model.rates}"
    assert loaded.trained() == model.trained(), f"{model.name}: loaded, it trains other parameters"
    arrays = loaded.arrays()
    for name, array in model.arrays().items():
        assert np.array_equal(arrays[name], array), f"{model.name}: {name} is not as it was saved"
    what = f"{model.name}, loaded:"
    point = evaluated(expected, parameters, data, False)
    for name, output in zip(expected.outputs, loaded.outputs(data), strict=True):
        found, wanted = output.reshape(len(output), -1), expected.of_output(name, point.wanted.values[name])
        error = expected.of_output(name, point.value_errors[name][None])[0]
        assert_within(found, wanted, error, f"{what} output {name}")
    (loss, gradients), (_, others) = loaded.differentiate(data), model.differentiate(data)
    doubt = Doubt(expected, parameters, data, True)
    point = doubt.point
    assert_within(loss, point.wanted.loss, point.loss_error, f"{what} loss with penalties")
    scale = max(1e-3, *(0.1 * np.abs(array).max(initial=0.0) for array in others.values()))
    for name, gradient in gradients.items():
        error = partial(doubt.gradient, name)
        assert_close(gradient, others[name], tolerance, f"{what} gradient of {name}", scale, error)


def check_compiled(expected: Expected, model: Any) -> None:
    """`predict_on_batch` gives the outputs, and `test_on_batch` the loss, with penalties and sample weights.

    Keras multiplies a sample's own loss by its weight, and takes the mean over all samples. The weights here
    have the mean 1, so that penalties count once. A sample's own loss is that of a batch of it, twice over.
    """
    parameters, data = draw_parameters(expected, 21), draw_data(expected, 22)
    model.load(parameters)
    point = evaluated(expected, parameters, data, False)
    weights, wanted, error = np.ones(6), point.wanted.loss, point.loss_error
    if expected.compared:
        weights = np.random.default_rng(23).uniform(0.5, 1.5, 6)
        weights = weights / weights.mean()
        samples = [{name: array[[at, at]] for name, array in data.items()} for at in range(6)]
        points = [evaluated(expected, parameters, sample, False) for sample in samples]
        wanted = np.mean([w * own.wanted.loss for w, own in zip(weights, points, strict=True)])
        error = sum(own.loss_error for own in points)
    outputs, loss = model.compiled(data, weights)
    for (name, shape), output in zip(expected.outputs.items(), outputs, strict=True):
        assert output.shape == (6, *shape), f"{model.name}, compiled: {name} has the shape {output.shape}"
        wanted_output = expected.of_output(name, point.wanted.values[name])
        error_of_it = expected.of_output(name, point.value_errors[name][None])[0]
        what = f"{model.name}, compiled: output {name}"
        assert_within(output.reshape(6, -1), wanted_output, error_of_it, what)
    assert_within(loss, wanted, error, f"{model.name}, compiled: loss by sample weights")
