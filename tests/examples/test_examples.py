"""Every example, and a network of everything there is, passes its generated tests and trains."""

from __future__ import annotations

import importlib
import os
import runpy
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import networkx as nx
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from nnspec.backends.common.kernels.names import names_of
from nnspec.backends.emit import write
from nnspec.compiler import compile_spec

from .. import processes

ROOT = Path(__file__).parent.parent.parent
SPECS = [*sorted((ROOT / "examples").glob("*.nnspec")), *sorted((ROOT / "tests" / "specs").glob("*.nnspec"))]
LARGE = "hundred_thousand"


def run(arguments: list[str], folder: Path, having: str = "keras") -> CompletedProcess[str]:
    """Python in a folder, with the output kept."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.setdefault("NNSPEC_SPEC_FOLDER", os.pathsep.join(map(str, {spec.parent for spec in SPECS})))
    return processes.run(arguments, having=having, cwd=folder, env=environment)


def run_generated_tests(folders: list[Path], chosen: str = "") -> None:
    """In one process; those that are `chosen` as pytest's `-k` does, all by default."""
    files = [str(next(folder.glob("test_*.py"))) for folder in folders]
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "/", "-k", chosen, *files]
    finished = run(command, folders[0])
    assert finished.returncode == 0, finished.stdout[-8000:]
    assert " passed" in finished.stdout
    assert "skipped" not in finished.stdout


# TensorFlow traces so much anew in some tests that these take most of the time, and large values take long in
# large layers. `IN_WHOLE` and `zoo`, which `tests/faults` runs for Keras too, have everything that there is.
# The long test runs all of all.
LONGEST = "adam_moves_what_is_trained or any_batch_gives or computes_the_same_compiled or loads_what_it_saves"
IN_WHOLE = ("autoencoder", "graph_mlp", "part")
WITHOUT_KERAS = ("layouts", "named", "tiles", "zoo")


def test_generated_tests_pass(compiled: Callable[[Path], Path]) -> None:
    folders = {spec.stem: compiled(spec) for spec in SPECS if spec.stem != LARGE}
    whole, without = ({name: folders.pop(name) for name in names} for names in (IN_WHOLE, WITHOUT_KERAS))
    run_generated_tests([*whole.values()])
    run_generated_tests([*without.values()], "not keras")
    run_generated_tests([*folders.values()], f"not (large_values_stay_finite or keras and ({LONGEST}))")


@pytest.mark.slow
def test_all_generated_tests_pass(compiled: Callable[[Path], Path]) -> None:
    run_generated_tests([compiled(spec) for spec in SPECS if spec.stem != LARGE])


PREFERRED = [
    ("edges", ("zoo", "part")),
    ("band", ("ring",)),
    ("blocks", ("zoo",)),
    ("edges", ("layouts", "graph_mlp")),
    ("band", ("zoo",)),
    ("blocks", ("les_miserables",)),
    ("convolution", ("convolutions", "shared")),
]


@pytest.mark.slow  # before they plant a fault, `tests/faults` run these with `edges` for each target
@pytest.mark.parametrize(("kernel", "names"), PREFERRED)
def test_generated_tests_pass_whichever_kernel_computes_what_it_can(
    compiled: Callable[[Path, str], Path], kernel: str, names: tuple[str, ...]
) -> None:
    """Small networks are planned with `masked`; here they have the others, and the layouts of those."""
    specs = {spec.stem: spec for spec in SPECS}
    run_generated_tests([compiled(specs[name], kernel) for name in names])


def test_more_edges_of_a_rule_than_have_a_hash_are_no_fault(tmp_path: Path) -> None:
    spec = tmp_path / "wide.nnspec"
    spec.write_text(
        "model wide\ninput x[20000]\nlayer y[20000]\n"
        "connect x -> y : { i -> i + d : d in -25..25 ; outside = wrap }\n"
    )
    write(compile_spec(spec, ["numpy"]).files, tmp_path / "out")
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "stored"]
    finished = run([*command, "--rootdir", "/", "test_wide.py"], tmp_path / "out")
    assert "1 passed" in finished.stdout, finished.stdout[-3000:]


@pytest.fixture
def large(examples_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of `hundred_thousand`, compiled for PyTorch alone."""
    monkeypatch.setenv("NNSPEC_SPEC_FOLDER", str(examples_folder))
    write(compile_spec(examples_folder / f"{LARGE}.nnspec", ["torch"]).files, tmp_path)
    return tmp_path


# What may depend on how many edges there are. The long test runs everything.
OF_SIZE = "exact or edges or stored or layers or gradients or batch or half_precision or start_values"


def test_generated_tests_of_a_large_layer_pass(large: Path) -> None:
    run_generated_tests([large], OF_SIZE)


@pytest.mark.slow
def test_generated_tests_of_a_large_layer_pass_for_all_targets(
    compiled: Callable[[Path], Path], examples_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNSPEC_SPEC_FOLDER", str(examples_folder))
    run_generated_tests([compiled(examples_folder / f"{LARGE}.nnspec")])


def test_a_larger_model_trains_with_a_compiled_part(large: Path) -> None:
    finished = run([str(ROOT / "examples" / "hundred_thousand_train.py"), str(large)], large)
    assert finished.returncode == 0, finished.stdout + finished.stderr[-4000:]


def test_the_ring_learns_with_numpy_alone(compiled: Callable[[Path], Path]) -> None:
    folder = compiled(ROOT / "examples" / "ring.nnspec")
    finished = run([str(ROOT / "examples" / "ring_train.py"), str(folder)], folder)
    assert finished.returncode == 0, finished.stdout + finished.stderr[-4000:]


def test_lists_and_matrix_are_the_same_edges(compiled: Callable[[Path], Path]) -> None:
    stored = np.load(compiled(ROOT / "examples" / "neuron_lists.nnspec") / "neuron_lists.npz")
    target, source = np.nonzero(np.load(ROOT / "examples" / "data" / "neurons_by_inputs.npy"))
    for connection in ("x_listed", "x_drawn"):
        assert np.array_equal(stored[f"{connection}.source"], source)
        assert np.array_equal(stored[f"{connection}.target"], target)


def test_a_comprehension_over_neurons_gives_the_same(
    compiled: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What people write today, put right: a column a neuron, side by side, instead of a sum of matrices."""
    monkeypatch.syspath_prepend(str(compiled(ROOT / "examples" / "neuron_lists.nnspec")))
    net = importlib.import_module("neuron_lists_numpy")
    matrix = np.load(ROOT / "examples" / "data" / "neurons_by_inputs.npy")
    neurons, edges = range(len(matrix)), [np.flatnonzero(row) for row in matrix]

    p = {name: array.astype(np.float64) for name, array in net.init(seed=0).items()}
    p["listed.bias"] = np.linspace(-1, 1, len(neurons))
    w = np.split(p["x_listed.weight"], np.cumsum([len(own) for own in edges])[:-1])
    x = np.random.default_rng(0).normal(size=(5, matrix.shape[1]))
    sums = np.stack([x[:, edges[i]] @ w[i] for i in neurons], axis=1) + p["listed.bias"]
    listed, _ = net.forward(p, x)
    np.testing.assert_allclose(listed, 1 / (1 + np.exp(-sums)), rtol=1e-12)


def test_digits_are_learnt_and_targets_agree(compiled: Callable[[Path], Path]) -> None:
    folder = compiled(ROOT / "examples" / "graph_mlp.nnspec")
    finished = run([str(ROOT / "examples" / "train_digits.py"), str(folder), "0.95"], folder)
    assert finished.returncode == 0, finished.stdout + finished.stderr[-4000:]
    assert "torch, keras and numpy agree" in finished.stdout


TRAINED = [("breast_cancer", 0.94), pytest.param("les_miserables", 0.48, marks=pytest.mark.slow)]


@pytest.mark.parametrize(("name", "accuracy"), TRAINED)
def test_real_wiring_is_trained_and_targets_agree(
    compiled: Callable[[Path], Path], name: str, accuracy: float
) -> None:
    folder = compiled(ROOT / "examples" / f"{name}.nnspec")
    script = str(ROOT / "examples" / f"{name}_train.py")
    finished = run([script, str(folder), str(accuracy)], folder)
    assert finished.returncode == 0, finished.stdout + finished.stderr[-4000:]
    assert "torch, keras and numpy agree" in finished.stdout


@pytest.mark.parametrize("name", ["breast_cancer", "les_miserables"])
def test_real_wiring_is_what_its_package_has(name: str, tmp_path: Path) -> None:
    runpy.run_path(str(ROOT / "examples" / f"{name}_data.py"))["main"](tmp_path)
    held = {path.name: path.read_bytes() for path in (ROOT / "examples" / name).iterdir()}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == held


def test_every_unit_of_a_measurement_listens_to_its_own_features(compiled: Callable[[Path], Path]) -> None:
    stored = dict(np.load(compiled(ROOT / "examples" / "breast_cancer.nnspec") / "breast_cancer.npz"))
    features, measurements = names_of(stored, "feature"), names_of(stored, "measurement")
    source, target = stored["features_measured.source"], stored["features_measured.target"]
    assert sorted(source) == list(range(30))
    for feature, measurement in zip(features[source], measurements[target], strict=True):
        assert feature in {f"mean {measurement}", f"{measurement} error", f"worst {measurement}"}


def test_characters_listen_to_those_whom_they_meet(
    compiled: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(compiled(ROOT / "examples" / "les_miserables.nnspec")))
    net = importlib.import_module("les_miserables_numpy")
    graph, names = nx.les_miserables_graph(), net.unit_names("character").tolist()
    p, alone = net.init(), np.eye(len(names))
    first = net.layers(p, alone)["first"].reshape(len(names), len(names), -1)
    for source, name in enumerate(names):
        moved = {names[target] for target in np.flatnonzero((first[source] != 0).any(axis=1))}
        assert moved == {name, *graph[name]}


@pytest.mark.parametrize("target", ["torch", "keras", "numpy"])
def test_a_table_is_put_in_the_order_of_the_features(
    compiled: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.syspath_prepend(str(compiled(ROOT / "examples" / "breast_cancer.nnspec")))
    net = importlib.import_module(f"breast_cancer_{target}")
    header = ["patient", *load_breast_cancer().feature_names.tolist()]
    order = net.in_order(header, "feature")
    assert np.array_equal(np.array(header)[order], net.unit_names("feature"))
    assert order.tolist() != sorted(order)
    with pytest.raises(ValueError, match=r"The table lacks mean radius \(1 of 30\)"):
        net.in_order([name for name in header if name != "mean radius"], "feature")
    with pytest.raises(ValueError, match="The table has two columns for area error"):
        net.in_order([*header, "area error"], "feature")


def test_data_files_are_what_their_script_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    import make_data

    make_data.main(tmp_path)
    held = {path.name: path.read_bytes() for path in (ROOT / "examples" / "data").iterdir()}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == held
