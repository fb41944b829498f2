"""Any name is fine for an input, target, layer or connection, whatever generated code has itself."""

from __future__ import annotations

import importlib.util
import itertools
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import pytest

from nnspec.backends.emit import write
from nnspec.backends.keras.spelling import VOCABULARY
from nnspec.compiler import compile_spec
from nnspec.compiler.names import names as naming
from nnspec.compiler.names.reserved import MODULE
from nnspec.compiler.plan import choice
from nnspec.dsl.tokens import KEYWORDS

pytestmark = pytest.mark.xdist_group("keras")

OPERATIONS = [
    *("tanh", "batch_norm, gelu", "leaky_relu, scale(0.5)", "bias(start = 0.2), softplus", "softmax"),
    *("layer_norm, gelu_tanh", "bias(off), dropout(0.1)"),
]
SETS = [
    *("{ i -> i + d : d in 0..1 ; outside = wrap }", "random(fan_in = 2, seed = 3)", "all", "one_to_one"),
    *("{ i -> j : i // 2 == j // 2 }", "all with weight = none", "one_to_one with weight = none"),
    *("all with trainable = false", "window(3, pad = same) with weight ~ normal(0, 0.5)"),
]
# Names that generated code derives from those of a spec.
DERIVED = ["x_flat", "x_units", "o_shaped", "o_flat", "o_loss", "mse_0", "each_", "seed_", "keras_", "a_sum"]


def spec(names: list[str], time: str) -> str:
    """A network of every kind of layer and connection, with as many of both as it takes to use all names.

    If it runs over `time`, some layers hold what they were before, and some are computed once.
    """
    x, y, t, z, o, last, to_o, to_last, *others = names
    lines = ["model odd", f"input {x}[2, 3]{time}", f"input {y}[6]"]
    lines += [f"target {t}[2, 3]{time}", f"target {z}[6]{time}"]
    operations = [each.replace("batch_norm", "rms_norm") if time else each for each in OPERATIONS]
    before, source = x, y
    for at, (layer, one, other) in enumerate(zip(*[iter(others)] * 3, strict=True)):
        if time and at % 3 == 1:
            lines.append(f"connect {layer} -> {layer} as back_{at} : one_to_one with delay = {1 + at % 2}")
        lines += [
            f"layer {layer}[6] : {operations[at % len(operations)]}",
            f"connect {before} -> {layer} as {one} : {SETS[4 * at % len(SETS)] if at > 1 else 'all'}",
            f"connect {source} -> {layer} as {other} : {SETS[at % len(SETS)]}",
        ]
        before, source = source, layer
    lines += [f"layer {o}[2, 3] : bias(per = 0), softmax", f"layer {last}[6]"]
    lines += [f"connect {source} -> {o} as {to_o} : all", f"connect {before} -> {last} as {to_last} : all"]
    loss = f"loss mse({o}, {t}) + 0.5 * mae({o}, {t}) + squared_error({last}, {z}) + 0.1 * l2({to_o})"
    return "\n".join([*lines, f"output {o}{time}", f"output {last}{time}", loss])


def names_of_ours() -> list[str]:
    """What the module imports, copies, defines and has for locals, what it derives, and a few of Python's."""
    first = ["x", "keras", "y_true", "each", "o", "digests", "seed", "stored"]
    ours = {*VOCABULARY.imports, *VOCABULARY.kernels, *VOCABULARY.defined, *VOCABULARY.local}
    ours |= {"range", "len", "print", *DERIVED}
    ours -= MODULE | {keyword.lower() for keyword in KEYWORDS} | {*first}
    names = first + sorted(name for name in ours if not name.startswith("_"))
    return names + [f"n{at}" for at in range(-(len(names) - 8) % 3)]


def imported(path: Path) -> ModuleType:
    found = importlib.util.spec_from_file_location(path.stem, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[path.stem] = module
    found.loader.exec_module(module)
    return module


# What does not run over time, `tests/drawn` gives names of ours, too.
@pytest.fixture(
    scope="module", params=[pytest.param("", marks=pytest.mark.slow), " over time"], ids=["", "over time"]
)
def modules(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A module whose spec has our names, and the same network with names of its own for Keras and NumPy."""
    every, turn = choice._kernels, itertools.count()
    names = names_of_ours()
    folder, made = tmp_path_factory.mktemp("names"), dict[str, Path]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(naming, "refusal", lambda *_: None)
        patch.setattr("nnspec.compiler.resolve.timing.OVER_TIME", frozenset[str]())
        for target, given in (("keras", names), ("numpy", [f"v{at}" for at in range(len(names))])):
            text = folder / target / "odd.nnspec"
            text.parent.mkdir()
            text.write_text(spec(given, request.param))
            # Every kernel that could be chosen is, in turn.
            patch.setattr(choice, "_kernels", lambda *of: [(found := [*every(*of)])[next(turn) % len(found)]])
            write(compile_spec(text, [target]).files, text.parent)
            made[target] = text.parent / f"odd_{target}.py"
    return made


def test_names_of_ours_are_fine_in_a_spec(modules: dict[str, Path]) -> None:
    """The outputs and losses are those of the same network in NumPy, whose names are plain."""
    module, plain = imported(modules["keras"]), imported(modules["numpy"])
    model = module.build_model(3)
    given = [array for array in module.to_arrays(model).values() if array.dtype.kind == "f"]
    parameters = dict(zip(plain.init(), given, strict=True))
    rng = np.random.default_rng(0)
    steps = (3,) if hasattr(plain, "run") else ()
    shapes = (5, *steps, 2, 3), (5, 6), (5, *steps, 2, 3), (5, *steps, 6)
    x, y, t, z = (rng.random(shape, np.float32) for shape in shapes)
    outputs, wanted = model([x, y]), plain.forward(parameters, x, y)
    for output, value in zip(outputs, wanted, strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(output), value, rtol=1e-4, atol=1e-5)
    losses = [each(*pair) for each, *pair in zip(module.losses.values(), (t, z), outputs, strict=True)]
    found = sum(float(keras.ops.mean(loss)) for loss in (*losses, *model.losses))
    assert found == pytest.approx(float(plain.loss(parameters, *wanted, t, z)), rel=1e-4)


def test_such_a_module_is_clean(modules: dict[str, Path]) -> None:
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F", str(modules["keras"])]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout
