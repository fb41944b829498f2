"""Layers that one connection `all` feeds are Keras' `Dense`, with what that does just as a spec says."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import pytest

from nnspec.backends.emit import write
from nnspec.compiler import compile_spec

pytestmark = pytest.mark.xdist_group("keras")

# What follows a connection `all`, and by layer of Keras what is then within it: activation and bias.
WITHIN = {
    "tanh": ("h", "tanh", True),
    "bias(off), sigmoid": ("h", "sigmoid", False),
    "bias(start = 0.5), relu, dropout(0.2)": ("h_relu", "relu", True),
    "softplus, tanh": ("h_softplus", "softplus", True),
    "softmax": ("h", "softmax", True),
    "": ("h", "linear", True),
    "bias(off)": ("h", "linear", False),
    "bias(off), dropout(0.2)": ("x_h", "linear", False),
    "batch_norm, tanh": ("h_sum", "linear", True),
    "bias(off), layer_norm, relu": ("x_h", "linear", False),
    "scale(0.5), tanh": ("h_sum", "linear", True),
    "leaky_relu(0.2)": ("h_sum", "linear", True),
    "gelu": ("h_sum", "linear", True),
    "bias(per = 0), tanh": ("x_h", "linear", False),
}
SPEC = """model plain_{at}
input x[4]
target t[{shape}]
layer h[{shape}]{steps}
connect x -> h : all{attributes}
loss mse(h, t) + 0.3 * l2(h)
"""


def compiled(folder: Path, at: int, steps: str, shape: str = "3", attributes: str = "") -> list[ModuleType]:
    """The modules of a layer for Keras and NumPy."""
    path, modules = folder / f"plain_{at}.nnspec", list[ModuleType]()
    text = SPEC.format(at=at, shape=shape, steps=f" : {steps}" * bool(steps), attributes=attributes)
    path.write_text(text if "trainable" not in attributes else text.replace(" + 0.3 * l2(h)", ""))
    write(compile_spec(path, ["keras", "numpy"]).files, folder)
    for target in ("keras", "numpy"):
        found = importlib.util.spec_from_file_location(
            f"{path.stem}_{target}", folder / f"{path.stem}_{target}.py"
        )
        assert found is not None
        assert found.loader is not None
        modules.append(importlib.util.module_from_spec(found))
        sys.modules[found.name] = modules[-1]
        found.loader.exec_module(modules[-1])
    return modules


def check_values(module: ModuleType, plain: ModuleType, model: keras.Model, file: Path) -> None:
    """Output and loss are those that NumPy computes with the same arrays, for the saved model too."""
    rng = np.random.default_rng(0)
    arrays = {name: rng.uniform(0.5, 1.5, array.shape) for name, array in plain.init().items()}
    module.load_arrays(model, arrays)
    assert [*module.to_arrays(model)] == [*plain.to_arrays(plain.init())]
    x, t = (
        rng.normal(size=(5, *shape[1:])).astype(np.float32)
        for shape in (model.input_shape, model.output_shape)
    )
    options = {"training": False} if "training" in inspect.signature(plain.forward).parameters else {}
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    wanted = plain.forward(arrays, x, **options)
    model.save(file)
    for each in (model, keras.models.load_model(file)):
        found = each(x)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(found), wanted, rtol=1e-5, atol=1e-5)
        loss = float(keras.ops.mean(module.loss(t, found))) + sum(map(float, each.losses))
        assert loss == pytest.approx(float(plain.loss(arrays, wanted, t)), rel=1e-5)


@pytest.mark.parametrize("steps", WITHIN)
def test_a_plain_layer_is_dense(steps: str, tmp_path: Path) -> None:
    module, plain = compiled(tmp_path, [*WITHIN].index(steps), steps)
    model = module.build_model(1)
    name, activation, has_bias = WITHIN[steps]
    part = model.get_layer(name)
    assert type(part) is keras.layers.Dense
    assert (part.activation.__name__, part.use_bias) == (activation, has_bias)
    assert model.get_layer("h").output is model.output
    check_values(module, plain, model, tmp_path / "model.keras")


def test_units_that_an_activation_mixes_in_their_shape_are_shaped_before(tmp_path: Path) -> None:
    module, plain = compiled(tmp_path, 20, "softmax", shape="2, 3")
    model = module.build_model(1)
    assert model.get_layer("h_sum").activation.__name__ == "linear"
    check_values(module, plain, model, tmp_path / "model.keras")


@pytest.mark.parametrize(
    ("steps", "name", "activation"), [("tanh", "x_h", "linear"), ("bias(off), tanh", "h", "tanh")]
)
def test_a_frozen_weight_is_frozen_without_its_bias(
    steps: str, name: str, activation: str, tmp_path: Path
) -> None:
    module, plain = compiled(tmp_path, 21 + ("off" in steps), steps, attributes=" with trainable = false")
    model = module.build_model(1)
    part = model.get_layer(name)
    assert (part.activation.__name__, part.use_bias, part.trainable) == (activation, False, False)
    assert [variable.name for variable in model.trainable_variables] == ["bias"] * ("off" not in steps)
    check_values(module, plain, model, tmp_path / "model.keras")
