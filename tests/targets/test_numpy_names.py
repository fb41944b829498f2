"""Any name is fine as that of an input, target or layer, whatever a NumPy module itself calls so."""

from __future__ import annotations

import inspect
import itertools
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from nnspec.backends.archive import archived
from nnspec.backends.emit import module
from nnspec.backends.numpy.module import VOCABULARY
from nnspec.backends.numpy.target import TARGET
from nnspec.compiler.pipeline import understand
from nnspec.dsl.tokens import KEYWORDS

# What each name stands for in turn: `a` to `c` are inputs, `t` and `k` are targets, the others are layers.
ROLES = ("a", "b", "c", "t", "k", "h", "s", "o", "q")
SPEC = """model odd
input {a}[6]
input {b}[2, 3]
input {c}[3]
target {t}[6]
target {k}[2]: class[3]
layer {h}[6] : batch_norm, tanh, dropout(0.5)
layer {s}[6] : softmax, layer_norm
layer {o}[6] : sigmoid, scale(-2)
layer {q}[2, 3] : bias(per = 0), leaky_relu(0.1)
connect {a} -> {h} as one : {{ i -> j : abs(i - j) <= 1 }}
connect {b} -> {s} as two : all
connect {h} -> {o} as three : random(fan_in = 2, seed = 1)
connect {s} -> {o} as four : one_to_one with weight = none
connect {s} -> {q} as five : all with weight = none
connect {c} -> {q} as six : all with trainable = false
output {o}, {q}
loss {loss}0.1 * l2(one) + l1(three)
"""
OVER_TIME = """model odd
input {a}[6] over time
input {b}[2, 3]
input {c}[3] over time
target {t}[6] over time
target {k}[2]: class[3]
layer {h}[6] : batch_norm, tanh
layer {s}[6] : sigmoid, dropout(0.5), start = trained
layer {o}[6] = {s} * before({o}, 2) + {h} : scale(-2)
layer {q}[2, 3] : bias(per = 0), leaky_relu(0.1)
connect {b} -> {h} as one : all
connect {a} -> {s} as two : {{ i -> j : abs(i - j) <= 1 }}
connect {o} -> {s} as three : random(fan_in = 2, seed = 1) with delay = 1
connect {s} -> {s} as four : one_to_one with delay = 3
connect {s} -> {q} as five : all
connect {c} -> {q} as six : all with trainable = false
output {o} over time
output {q}
loss mse({o}, {t}) + 0.5 * mean(({s} - {a})**2) + cross_entropy({q}, {k}) + 0.1 * l2(one)
"""
LOSS = "mse({o}, {t}) + 0.5 * squared_error({h}, {a}) - cross_entropy({q}, {k}) + "
WITH_LOSS = SPEC.replace("{loss}", LOSS)
# Keywords of the language, in any case, and what begins with an underscore.
UNNAMEABLE = {word.lower() for word in KEYWORDS}
VOCABULARIES = (VOCABULARY.imports, VOCABULARY.kernels, VOCABULARY.defined, VOCABULARY.local)
OURS = sorted(name for name in set().union(*VOCABULARIES) - UNNAMEABLE if not name.startswith("_"))
# Names that code derives from those of a spec, and Python's own that it calls.
DERIVED = [*("h_sum", "h_batch_norm_hat", "h_keep", "d_a", "d_o", "d_h_sum", "p_", "v_"), *("len", "bool")]


@pytest.fixture(autouse=True)
def any_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that are refused for the sake of other targets."""
    monkeypatch.setattr("nnspec.compiler.names.names.refusal", lambda *of: None)
    monkeypatch.setattr("nnspec.compiler.resolve.timing.OVER_TIME", frozenset[str]())


def network(folder: Path, names: dict[str, str], spec: str) -> ModuleType:
    """The module of the network with some names, without its tests."""
    shown = spec.format(**names)
    plan = understand(folder / "odd.nnspec", text=shown).plan
    assert plan.stored
    (folder / "odd.npz").write_bytes(archived(plan.stored)[0])
    made = ModuleType("odd_numpy")
    made.__file__ = str(folder / "odd_numpy.py")
    text = module(TARGET, TARGET.render(plan))
    Path(made.__file__).write_text(text)
    exec(compile(text, made.__file__, "exec"), vars(made))
    return made


def computed(network: ModuleType, names: dict[str, str]) -> dict[str, Any]:
    """All that the functions of the module give, by the roles of names."""
    rng = np.random.default_rng(0)
    steps = (4,) if hasattr(network, "run") else ()
    inputs = [rng.normal(size=(5, *shape)) for shape in ((*steps, 6), (2, 3), (*steps, 3))]
    t, k, d_o, d_q = (
        *(rng.normal(size=(5, *steps, 6)), rng.integers(3, size=(5, 2))),
        *(rng.normal(size=(5, *steps, 6)), rng.normal(size=(5, 2, 3))),
    )
    p = {name: array.astype(float) for name, array in network.init(3).items()}
    options = {"training": True, "rng": np.random.default_rng(1)}
    values = network.layers(p, *inputs, **options)
    outputs = network.forward(p, *inputs)
    if hasattr(network, "gradients"):
        options["rng"] = np.random.default_rng(1)
        loss, gradients = network.gradients(p, *inputs, t, k, **options)
    else:
        loss, gradients = network.loss(p), network.backward(p, values, *inputs, d_o, d_q, training=True)
    found = {"loss": loss, "first": outputs[0], "second": outputs[1]}
    found |= {f"d {in_roles(name, names)}": gradient for name, gradient in gradients.items()}
    return found | {role: values[names[role]] for role in "hsoq"}


def in_roles(name: str, names: dict[str, str]) -> str:
    """A parameter's or a value's name with the role of the one that it begins with."""
    first, dot, rest = name.partition(".")
    return {name: role for role, name in names.items()}.get(first, first) + dot + rest


@pytest.mark.parametrize(
    "spec",
    [WITH_LOSS, pytest.param(SPEC.replace("{loss}", ""), marks=pytest.mark.slow), OVER_TIME],
    ids=["gradients", "backward", "over time"],
)
def test_names_of_ours_are_names_for_a_spec(tmp_path: Path, spec: str) -> None:
    """Each is an input, and a layer, and what is computed is to the last bit what it is with other names."""
    plain = {role: f"plain_{role}" for role in ROLES}
    wanted = computed(network(tmp_path, plain, spec), plain)
    assert len(wanted) > 20
    ours = [*OURS, *DERIVED]
    for at in range(0, len(ours), 3):
        names = dict(zip(ROLES, itertools.islice(itertools.cycle(ours), at, None), strict=False))
        found = computed(network(tmp_path, names, spec), names)
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            assert np.array_equal(found[key], value), (names, key)


def test_what_callers_write_out_keeps_its_name(tmp_path: Path) -> None:
    """Options do, and inputs of their names get an underscore; messages say the input's own name."""
    names = {role: f"plain_{role}" for role in ROLES} | {"a": "training", "b": "parameters", "h": "rng"}
    made = network(tmp_path, names, WITH_LOSS)
    assert [*inspect.signature(made.layers).parameters] == [
        *("parameters_", "training_", "parameters", "plain_c", "training", "rng")
    ]
    assert [*inspect.signature(made.loss).parameters][:5] == [
        *("parameters_", "plain_o", "rng_", "plain_q", "plain_t")
    ]
    a, b, c = np.ones((5, 7)), np.ones((5, 2, 3)), np.ones((5, 3))
    with pytest.raises(ValueError, match=r"`training` must have the shape \(..., 6\), but has \(5, 7\)"):
        made.forward(made.init(), a, b, c, training=True)
    assert "rng" in made.layers(made.init(), a[:, :6], b, c, training=False)


def test_a_name_that_nobody_has_is_written_as_ever(tmp_path: Path) -> None:
    """What gives way says so at the end of the module, and nothing else does."""
    network(tmp_path, {role: f"plain_{role}" for role in ROLES}, WITH_LOSS)
    assert "Other names for" not in (tmp_path / "odd_numpy.py").read_text()
    network(
        tmp_path, {role: f"plain_{role}" for role in ROLES} | {"h": "np", "a": "project", "q": "v"}, WITH_LOSS
    )
    text = (tmp_path / "odd_numpy.py").read_text()
    assert text.endswith(
        "# Other names for what names of the network hide in functions above.\nnp_ = np\nproject_ = project\n"
    )
    checked = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F", "odd_numpy.py"]
    assert subprocess.run(checked, cwd=tmp_path, capture_output=True, check=False).returncode == 0
