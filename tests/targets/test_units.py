"""Arrays that were made for other units are refused by every target: names, their order, shapes, biases."""

from __future__ import annotations

import importlib
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nnspec.compiler import compile_spec

from ..steps import lines_run

pytestmark = pytest.mark.xdist_group("keras")
TARGETS = ("numpy", "torch", "keras")

# What a spec may be changed into with all shapes as they are: its meaning is another one.
SPEC = """model units_of
axis gene = names("genes.txt")
input expression[gene]
input grid[2, 4]
layer h[gene] : bias({bias}), tanh
layer k[{k}] : bias({per})
layer o[2]
connect expression -> h : all
connect grid -> k : {{ {edges} }}
connect h -> o : all
connect k -> o : all
"""
USUAL = {
    "genes": "BRCA1 TP53 EGFR MYC",
    "bias": 'only = load("mask.npy")',
    "per": "per = 0",
    "k": "4, 2",
    "edges": "(r, c) -> (c, r)",
}
CHANGES: dict[str, tuple[dict[str, str], list[int], tuple[str, ...]]] = {
    "names in another order": (
        {"genes": "TP53 BRCA1 EGFR MYC"},
        [1, 1, 0, 1],
        ("expression", "h"),
    ),
    "another name": ({"genes": "BRCA1 TP53 EGFR KRAS"}, [1, 1, 0, 1], ("expression", "h")),
    "biases of other units": ({}, [1, 0, 1, 1], ("h",)),
}
Build = Callable[[str, dict[str, str], list[int]], dict[str, ModuleType]]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """The modules of the spec with some of it changed, in a folder of their own."""
    from nnspec.backends.emit import write

    def make(folder: str, changed: dict[str, str], mask: list[int]) -> dict[str, ModuleType]:
        path = tmp_path / folder
        path.mkdir()
        np.save(path / "mask.npy", np.array(mask, bool))
        texts = {**USUAL, **changed}
        (path / "genes.txt").write_text("\n".join(texts["genes"].split()))
        (path / "units_of.nnspec").write_text(SPEC.format(**texts))
        write(compile_spec(path / "units_of.nnspec").files, path)
        modules: dict[str, ModuleType] = {}
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(path))
            for target in TARGETS:
                sys.modules.pop(f"units_of_{target}", None)
                modules[target] = importlib.import_module(f"units_of_{target}")
        return modules

    return make


def arrays_of(modules: dict[str, ModuleType], target: str) -> dict[str, np.ndarray]:
    if target == "numpy":
        return modules[target].to_arrays(modules[target].init(1))
    if target == "torch":
        return modules[target].UnitsOf(1).to_arrays()
    return modules[target].to_arrays(modules[target].build_model(1))


def load(modules: dict[str, ModuleType], target: str, arrays: dict[str, np.ndarray]) -> None:
    if target == "numpy":
        modules[target].load_arrays(arrays)
    elif target == "torch":
        modules[target].UnitsOf(2).load_arrays(arrays)
    else:
        modules[target].load_arrays(modules[target].build_model(2), arrays)


def refused(what: tuple[str, ...]) -> Any:
    """Every message names the first digest that differs."""
    return pytest.raises((ValueError, RuntimeError), match=rf"`?{what[0]}\.digest`? differs.*other names")


def test_arrays_of_other_units_are_refused_by_every_target(build: Build, tmp_path: Path) -> None:
    """By `load_arrays`, `load_state_dict` and `load_weights`; the same ones are taken, from every target."""
    own = build("own", {}, [1, 1, 0, 1])
    arrays = {target: arrays_of(own, target) for target in TARGETS}
    for target in TARGETS:
        assert arrays[target].keys() == arrays["numpy"].keys()
        assert {"expression.digest", "h.digest", "grid.digest", "k.digest"} <= arrays[target].keys()
        for other in TARGETS:
            load(own, target, arrays[other])
    for number, (changed, mask, names) in enumerate(CHANGES.values()):
        others = build(f"other{number}", changed, mask)
        state = others["torch"].UnitsOf(1).state_dict()
        weights = tmp_path / f"{number}.weights.h5"
        others["keras"].build_model(1).save_weights(weights)
        for target in TARGETS:
            foreign = arrays_of(others, target)
            differing = {k.removesuffix(".digest") for k in foreign if k.endswith(".digest")} - {
                k.removesuffix(".digest")
                for k in foreign
                if k.endswith(".digest") and np.array_equal(foreign[k], arrays[target][k])
            }
            assert differing == set(names)
            assert {n: a.shape for n, a in foreign.items()} == {n: a.shape for n, a in arrays[target].items()}
            with refused(names):
                load(own, target, foreign)
            # Arrays from before there were digests are taken as they were.
            load(own, target, {n: a for n, a in foreign.items() if not n.endswith(".digest")})
        model = own["torch"].UnitsOf(3)
        before = model.to_arrays()
        with refused(names):
            model.load_state_dict(state)
        assert all(np.array_equal(array, before[name]) for name, array in model.to_arrays().items())
        model.load_state_dict({n: t for n, t in state.items() if n not in [f"{x}.digest" for x in names]})
        with refused(names):
            own["keras"].build_model(1).load_weights(weights)


@pytest.mark.parametrize(
    ("one", "other", "what"),
    [
        ("x[2, 4] -> h[8] : { (r, c) -> 4 * r + c }", "x[4, 2] -> h[8] : { (r, c) -> 2 * r + c }", "x"),
        ("x[8] -> h[2, 4] : all bias(per = 1)", "x[8] -> h[4, 2] : all bias(per = 0)", "h"),
    ],
)
def test_shapes_and_shared_biases_tell_units_apart(tmp_path: Path, one: str, other: str, what: str) -> None:
    """With the same edges and the same parameters."""
    from nnspec.backends.emit import write

    modules: list[ModuleType] = []
    for number, text in enumerate((one, other)):
        ends, _, edges = text.partition(" : ")
        source, _, target = ends.partition(" -> ")
        edges, _, bias = edges.partition(" bias")
        spec = tmp_path / f"m{number}.nnspec"
        step = f" : bias{bias}" if bias else ""
        spec.write_text(f"model m{number}\ninput {source}\nlayer {target}{step}\nconnect x -> h : {edges}\n")
        write(compile_spec(spec, ["numpy"]).files, tmp_path)
        file = importlib.util.spec_from_file_location(f"m{number}", tmp_path / f"m{number}_numpy.py")
        modules.append(importlib.util.module_from_spec(file))
        sys.modules[f"m{number}"] = modules[-1]
        file.loader.exec_module(modules[-1])
    first, second = (module.to_arrays(module.init()) for module in modules)
    assert {n: a.shape for n, a in first.items()} == {n: a.shape for n, a in second.items()}
    with pytest.raises(ValueError, match=rf"{what}\.digest differs"):
        modules[0].load_arrays(second)


def test_a_model_without_names_and_indices_has_no_digest_of_units(tmp_path: Path) -> None:
    spec = tmp_path / "plain.nnspec"
    text = "input x[4]\nlayer h[6] : bias, tanh\nlayer o[2, 3] : bias(per = (0, 1))\n"
    spec.write_text(f"model plain\n{text}connect x -> h : {{ i -> j : i <= j }}\nconnect h -> o : all\n")
    module = compile_spec(spec, ["numpy"]).files["plain_numpy.py"].decode()
    assert "x_h.digest" in module
    assert '"h.digest"' not in module
    assert '"o.digest"' not in module


def test_arrays_with_names_say_what_a_model_without_them_lacks(build: Build) -> None:
    own = build("own", {}, [1, 1, 0, 1])
    arrays = arrays_of(own, "numpy")
    arrays["o.digest"] = arrays["h.digest"]
    for target in ("numpy", "keras"):
        with pytest.raises(ValueError, match=r"unknown: o\.digest.*`o` has edges, names or a shape"):
            load(own, target, arrays)
    with pytest.raises(RuntimeError, match=r"unknown: o\.digest"):
        load(own, "torch", arrays)


def test_a_pytorch_model_with_names_is_copied_and_saved(build: Build, tmp_path: Path) -> None:
    """Whole, as a state, and as a part of a larger model, whose state is refused elsewhere too."""
    import copy

    import torch

    own = build("own", {}, [1, 1, 0, 1])
    model = own["torch"].UnitsOf(1)
    torch.save(model, tmp_path / "whole.pt")
    for other in (copy.deepcopy(model), torch.load(tmp_path / "whole.pt", weights_only=False)):
        assert other.state_dict().keys() == model.state_dict().keys()
        other.load_state_dict(model.state_dict())
    larger = torch.nn.Sequential(model)
    assert "0.expression.digest" in larger.state_dict()
    torch.nn.Sequential(own["torch"].UnitsOf(2)).load_state_dict(larger.state_dict())
    other = build("other", {"genes": "TP53 BRCA1 EGFR MYC"}, [1, 1, 0, 1])["torch"].UnitsOf(2)
    with refused(("0.expression",)):
        torch.nn.Sequential(other).load_state_dict(larger.state_dict())


def test_a_keras_model_with_names_is_saved(build: Build, tmp_path: Path) -> None:
    import keras

    own = build("own", {}, [1, 1, 0, 1])
    model = own["keras"].build_model(1)
    model.save(tmp_path / "whole.keras")
    loaded = keras.models.load_model(tmp_path / "whole.keras")
    for name, array in own["keras"].to_arrays(model).items():
        assert np.array_equal(own["keras"].to_arrays(loaded)[name], array), name
    # Weights from before there were digests of units: a model of the same layers without that one.
    file = tmp_path / "old.weights.h5"
    model.save_weights(file)
    import h5py

    with h5py.File(file, "r+") as store:
        (group,) = [name for name in store["layers"] if name.startswith("units")]
        del store["layers"][group]
    own["keras"].build_model(2).load_weights(file)


def test_digests_of_many_names_take_no_step_a_name() -> None:
    """They are made when the spec is compiled: C code writes all names at once, and takes their digest."""
    from nnspec.backends.target import units_digests
    from nnspec.compiler.graph.graph import Graph, Value
    from nnspec.compiler.graph.model import UnitNames

    def steps(units: int) -> int:
        names = tuple(f"gene{i}" for i in range(units))
        h, bearing = Value("h", (units,), "h"), UnitNames("gene", names, (("h", 0),))
        plan: Any = SimpleNamespace(graph=Graph("m", (), (), (), (), (h,), ("h",), (), (), (bearing,), ()))
        count, digests = lines_run(lambda: units_digests(plan))
        assert len(digests["h"]) == 64
        return count

    assert steps(10) == steps(200_000)


def test_a_layer_larger_than_memory_has_its_digest_all_the_same(tmp_path: Path) -> None:
    """Biases that are shared along a dimension are said by a shape, for any number of units."""
    spec = tmp_path / "huge.nnspec"
    spec.write_text(
        "model huge\ninput x[1000000000, 3]\nlayer y[1000000000, 3] : bias(per = 0)\n"
        "connect x -> y : one_to_one\n"
    )
    tracemalloc.start()
    try:
        compile_spec(spec)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100 << 20
