"""Every example, and a network of everything there is, passes its generated tests and trains."""

from __future__ import annotations

import importlib
import os
import runpy
from collections.abc import Callable
from itertools import pairwise
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
LARGE, MANY_EDGES = "hundred_thousand", "lenet5"


def run(arguments: list[str], folder: Path, having: str = "keras") -> CompletedProcess[str]:
    """Python in a folder, with the output kept."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.setdefault("NNSPEC_SPEC_FOLDER", os.pathsep.join(map(str, {spec.parent for spec in SPECS})))
    return processes.run(arguments, having=having, cwd=folder, env=environment)


def run_generated_tests(folders: list[Path], chosen: str = "") -> None:
    """In one process; those that are `chosen` as pytest's `-k` does, all by default.

    Some of them without pytest's rewriting, which takes as long for a file as half of its tests.
    """
    files = [str(next(folder.glob("test_*.py"))) for folder in folders]
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:logging", "--rootdir", "/"]
    command += ["-k", chosen, *files]
    command += ["--assert=plain"] if chosen else []
    finished = run(command, folders[0])
    assert finished.returncode == 0, finished.stdout[-8000:]
    assert " passed" in finished.stdout
    assert "skipped" not in finished.stdout


# TensorFlow traces functions anew in many tests, and large values take long in large layers. What agrees with
# NumPy has the gradients that NumPy is held to; that steps of training keep targets together, `zoo` and what
# runs in whole show, and that Keras holds no other variables, `tests/faults`. The long test runs all of all.
IN_WHOLE = ("graph_mlp",)
# `tests/faults` runs what is generated of these for each target by itself before it plants a fault, for Keras
# of `zoo` alone. What is left is Keras, and that targets agree.
PLANTED_IN = ("codes", "convolutions", "expressions", "grouped", "named", "part", "pools", "ring", "shared")


# Networks over time: how they run at other lengths and in pieces, and what no other test looks at. Of those
# of `delays`, `tests/faults` runs what holds time before it plants a fault; the others have forms of these.
OVER_TIME = ("loops", "lstm", "min_sum_decoder", "spiking")
OF_TIME = "gradients_are_those or layers_are_those or number_of_steps or pieces or are_called or forward_is"


def test_generated_tests_pass(compiled: Callable[[Path], Path]) -> None:
    others = LARGE, MANY_EDGES, "delays", "echo_state", "gru", "iterated", "over_time", "worm"
    folders = {spec.stem: compiled(spec) for spec in SPECS if spec.stem not in others}
    zoo = folders.pop("zoo")
    whole, planted = ({name: folders.pop(name) for name in names} for names in (IN_WHOLE, PLANTED_IN))
    run_generated_tests([*whole.values()])
    run_generated_tests([*planted.values()], "agree and not single_precision")
    run_generated_tests([zoo], "agree or together")
    run_generated_tests([folders.pop(name) for name in OVER_TIME], f"({OF_TIME}) and not keras")
    # `lattice` has the kernels of `ring` and `layouts`, on more edges: what depends on how many there are.
    run_generated_tests([folders.pop("lattice")], "(exact or edges) and not keras")
    run_generated_tests(
        [*folders.values()], "not (keras or large_values or single_precision or in_evaluation)"
    )


@pytest.mark.slow
def test_all_generated_tests_pass(compiled: Callable[[Path], Path]) -> None:
    folders = {spec.stem: compiled(spec) for spec in SPECS if spec.stem != LARGE}
    # TensorFlow takes minutes to trace a loop of 5,000 edges for each number of samples and steps.
    run_generated_tests([folders.pop("worm")], "not keras or agree or compiled or loads_what_it_saves")
    run_generated_tests([*folders.values()])


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
OF_SIZE = "exact or edges or stored or batch or half_precision or start_values"


def test_generated_tests_of_a_large_layer_pass(large: Path) -> None:
    run_generated_tests([large], OF_SIZE)


def test_generated_tests_of_many_edges_pass(compiled: Callable[[Path], Path]) -> None:
    chosen = "(stored or edges or exact) and not keras"
    run_generated_tests([compiled(ROOT / "examples" / f"{MANY_EDGES}.nnspec")], chosen)


@pytest.mark.slow
def test_generated_tests_of_a_large_layer_pass_for_all_targets(
    compiled: Callable[[Path], Path], examples_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNSPEC_SPEC_FOLDER", str(examples_folder))
    run_generated_tests([compiled(examples_folder / f"{LARGE}.nnspec")])


@pytest.mark.slow
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


LONGER = [
    ("breast_cancer", 0.94),
    ("les_miserables", 0.48),
    ("lenet5", 0.96),
    ("gene_terms", 0.8),
    ("decoder", 0.98),
    ("min_sum_decoder", 0.98),
    ("echo_state", 0.035),  # which is an error
    ("gru", 0.94),
    ("lstm", 0.92),
    ("spiking", 0.94),
    ("worm", 0.95),
]
SCRIPTS = {"min_sum_decoder": "decoder", "gru": "gated", "lstm": "gated"}


@pytest.mark.slow  # digits are learnt in the normal suite
@pytest.mark.parametrize(("name", "figure"), LONGER)
def test_real_wiring_is_trained_and_targets_agree(
    compiled: Callable[[Path], Path], name: str, figure: float
) -> None:
    folder = compiled(ROOT / "examples" / f"{name}.nnspec")
    script = str(ROOT / "examples" / f"{SCRIPTS.get(name, name)}_train.py")
    finished = run([script, str(folder), str(figure)], folder)
    assert finished.returncode == 0, finished.stdout + finished.stderr[-4000:]
    assert " and numpy agree" in finished.stdout


@pytest.mark.parametrize("name", ["breast_cancer", "decoder", "les_miserables", "spiking"])
def test_real_wiring_is_what_its_package_has(name: str, tmp_path: Path) -> None:
    runpy.run_path(str(ROOT / "examples" / f"{name}_data.py"))["main"](tmp_path)
    held = {path.name: path.read_bytes() for path in (ROOT / "examples" / name).iterdir()}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == held


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gene_terms", "worm"])
def test_tables_are_what_their_packages_have(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = ROOT / "build" / "packages"
    assert packages.is_dir(), "run `make build/packages`"
    monkeypatch.syspath_prepend(str(packages))
    test_real_wiring_is_what_its_package_has(name, tmp_path)


def test_lenet_has_the_numbers_and_connections_of_the_paper(
    compiled: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Section II.B of the paper: what is trained, and connections, of which each bias of a unit is one."""
    monkeypatch.syspath_prepend(str(compiled(ROOT / "examples" / "lenet5.nnspec")))
    net = importlib.import_module("lenet5_numpy")
    steps = ["image", "c1", "s2", "c3", "s4", "c5", "f6"]
    p, pairs = net.init(), list(pairwise(steps))
    numbers = {to: p[f"{of}_{to}.weight"].size + p[f"{to}.bias"].size for of, to in pairs}
    assert numbers == {"c1": 156, "s2": 12, "c3": 1516, "s4": 32, "c5": 48_120, "f6": 10_164}
    units = {name: value[0].size for name, value in net.layers(p, np.zeros((1, 32, 32))).items()}
    edges = {to: len(net.wiring()[f"{of}_{to}.source"]) + units[to] for of, to in pairs[:4]}
    assert edges == {"c1": 122_304, "s2": 5_880, "c3": 151_600, "s4": 2_000}


def test_a_tied_matrix_has_the_derivative_that_is_worked_out_by_hand(
    compiled: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a student does it, who has the derivative by each place of the matrix and adds the two."""
    monkeypatch.syspath_prepend(str(compiled(ROOT / "examples" / "tied_autoencoder.nnspec")))
    net = importlib.import_module("tied_autoencoder_numpy")
    rng = np.random.default_rng(0)
    p = {name: array + rng.normal(0, 0.1, array.shape) for name, array in net.init().items()}
    x, w = rng.random((5, 64)), p["w"]

    def sigmoid(z: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-z))

    def cost(w: np.ndarray) -> float:
        xhat = sigmoid(sigmoid(x @ w.T + p["code.bias"]) @ w + p["xhat.bias"])
        return 0.5 * float(((xhat - x) ** 2).sum()) / len(x)

    code = sigmoid(x @ w.T + p["code.bias"])
    xhat = sigmoid(code @ w + p["xhat.bias"])
    d_decoded = (xhat - x) / len(x) * xhat * (1 - xhat)
    d_encoded = d_decoded @ w.T * code * (1 - code)
    loss, g = net.gradients(p, x)
    np.testing.assert_allclose(loss, cost(w), rtol=1e-13)
    np.testing.assert_allclose(g["w"], d_encoded.T @ x + code.T @ d_decoded, rtol=1e-11, atol=1e-14)
    step = 1e-6 * rng.normal(size=w.shape)
    np.testing.assert_allclose((g["w"] * step).sum(), (cost(w + step) - cost(w - step)) / 2, rtol=1e-6)


def test_a_tied_autoencoder_is_trained_with_numpy_alone(compiled: Callable[[Path], Path]) -> None:
    folder = compiled(ROOT / "examples" / "tied_autoencoder.nnspec")
    finished = run([str(ROOT / "examples" / "tied_autoencoder_train.py"), str(folder)], folder)
    assert finished.returncode == 0, finished.stdout + finished.stderr[-4000:]


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
