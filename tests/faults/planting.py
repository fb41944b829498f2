"""Faults that are planted in generated code and data, and whether the generated tests fail for them.

A build for one target alone is mutated: that another target disagrees must not be what catches a fault.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import sys
import zipfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from nnspec.backends.archive import archived
from nnspec.backends.common.kernels.stored import archive_digest
from nnspec.backends.emit import write
from nnspec.compiler import compile_spec
from nnspec.compiler.plan import Stored

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class InText:
    """A fault in a module: in the files of `target`, what matches `pattern` becomes `replacement`, once.

    The tests with `caught_by` in their names alone must fail for it; by default, any may.
    """

    kind: str
    target: str
    pattern: str
    replacement: str
    caught_by: str = ""

    def plant(self, folder: Path, name: str) -> bool:
        """Mutate the module; False if there is nothing to mutate."""
        path = folder / f"{name}_{self.target}.py"
        text = path.read_text()
        mutated, count = re.subn(self.pattern, self.replacement, text, count=1)
        if not count or mutated == text:
            return False
        compile(mutated, path.name, "exec")  # what is no Python would be caught by any test
        path.write_text(mutated)
        return True


@dataclass(frozen=True)
class InData:
    """A fault in the stored arrays; `mutate` returns None if there is nothing to mutate."""

    kind: str
    mutate: Callable[[Arrays], Arrays | None]

    def plant(self, folder: Path, name: str) -> bool:
        """Mutate the arrays; False if there is nothing to mutate."""
        path = folder / f"{name}.npz"
        if not path.exists():
            return False
        with np.load(path, allow_pickle=False) as held:
            mutated = self.mutate({key: held[key].copy() for key in held.files})
        if mutated is None:
            return False
        with zipfile.ZipFile(path) as archive:
            before = archive_digest(archive)
        content, digest = archived(tuple(Stored(key, array) for key, array in mutated.items()))
        path.write_bytes(content)
        for module in folder.glob("*.py"):  # else every fault would be caught by the digest
            module.write_text(module.read_text().replace(before, digest))
        return True


Fault = InText | InData


# --------------------------------------------------------------------------------------------- in the data


def _connections(arrays: Arrays) -> list[str]:
    return [key.removesuffix(".source") for key in arrays if key.endswith(".source")]


def _sorted(arrays: Arrays, name: str, source: np.ndarray, target: np.ndarray) -> Arrays:
    order = np.lexsort((source, target))
    return {**arrays, f"{name}.source": source[order], f"{name}.target": target[order]}


def index_moved(arrays: Arrays) -> Arrays | None:
    """One edge starts from the unit beside its own, and all is sorted again: only its meaning changes."""
    for name in _connections(arrays):
        source, target = arrays[f"{name}.source"], arrays[f"{name}.target"]
        present = set(zip(source.tolist(), target.tolist(), strict=True))
        for edge, (s, t) in enumerate(zip(source.tolist(), target.tolist(), strict=True)):
            if s > 0 and (s - 1, t) not in present:
                moved = source.copy()
                moved[edge] -= 1
                return _sorted(arrays, name, moved, target)
    return None


def edges_swapped(arrays: Arrays) -> Arrays | None:
    """Two edges of different targets exchange their sources."""
    for name in _connections(arrays):
        source, target = arrays[f"{name}.source"], arrays[f"{name}.target"]
        present = set(zip(source.tolist(), target.tolist(), strict=True))
        for a in range(len(source)):
            for b in range(a + 1, len(source)):
                exchanged = {(source[b], target[a]), (source[a], target[b])}
                if target[a] != target[b] and source[a] != source[b] and not exchanged & present:
                    swapped = source.copy()
                    swapped[[a, b]] = swapped[[b, a]]
                    return _sorted(arrays, name, swapped, target)
    return None


def edge_dropped(arrays: Arrays) -> Arrays | None:
    """The last edge of a connection is missing."""
    for name in _connections(arrays):
        return {
            key: array[:-1] if key in (f"{name}.source", f"{name}.target") else array
            for key, array in arrays.items()
        }
    return None


def edge_doubled(arrays: Arrays) -> Arrays | None:
    """The last edge of a connection is there twice."""
    for name in _connections(arrays):
        return {
            key: np.append(array, array[-1:]) if key in (f"{name}.source", f"{name}.target") else array
            for key, array in arrays.items()
        }
    return None


def mask_transposed(arrays: Arrays) -> Arrays | None:
    """Sources and targets of a connection are exchanged, and sorted again."""
    for name in _connections(arrays):
        source, target = arrays[f"{name}.source"], arrays[f"{name}.target"]
        if set(zip(source.tolist(), target.tolist(), strict=True)) != set(
            zip(target.tolist(), source.tolist(), strict=True)
        ):
            return _sorted(arrays, name, target, source)
    return None


def given_weight_changed(arrays: Arrays) -> Arrays | None:
    """One of the weights that the spec gives is another."""
    for key in arrays:
        if ".weight.start" in key:
            return {**arrays, key: arrays[key] + (np.arange(arrays[key].size) == 0).astype(arrays[key].dtype)}
    return None


def bias_moved(arrays: Arrays) -> Arrays | None:
    """The biases of two units are exchanged, or one moves to a unit that has none."""
    for key in arrays:
        if key.endswith(".bias.index"):
            index = arrays[key].copy()
            other = int(np.argmax(index != index[0]))
            index[[0, other]] = index[[other, 0]]
            return {**arrays, key: index}
    return None


# ------------------------------------------------------------------------------------------- in the modules

WEIGHT = r"self\.\w+\.weight"

FAULTS: tuple[Fault, ...] = (
    InData("index moved by one", index_moved),
    InData("two edges swapped", edges_swapped),
    InData("edge dropped", edge_dropped),
    InData("edge doubled", edge_doubled),
    InData("mask transposed", mask_transposed),
    InData("given weight changed", given_weight_changed),
    InData("bias moved", bias_moved),
    # --- PyTorch
    InText("bias dropped", "torch", r", onto=self\.\w+\.(bias|unit_bias\(\))(?=\))", ""),
    InText("activation swapped", "torch", r"nn\.Tanh\(", "nn.Sigmoid("),
    InText("activation swapped", "torch", r"nn\.Sigmoid\(", "nn.Tanh("),
    InText("activation swapped", "torch", r'approximate="none"', 'approximate="tanh"'),
    InText("activation swapped", "torch", r"nn\.ReLU\(", "nn.Softplus("),
    InText("activation's number changed", "torch", r"negative_slope=0\.2", "negative_slope=0.1"),
    InText("factor changed", "torch", r"Scale\(0\.7", "Scale(0.8"),
    InText("derivative's sign changed", "torch", r"grad_x = ReverseEdgeSum", "grad_x = -ReverseEdgeSum"),
    InText(
        "derivative's sign changed", "torch", r"grad_x = BlockSum\.apply\(g", "grad_x = -BlockSum.apply(g"
    ),
    InText(
        "derivative's factor changed", "torch", r"grad_weight = (Edge|Block)Dot", r"grad_weight = 2 * \1Dot"
    ),
    InText(
        "loss reduction changed",
        "torch",
        r"F\.mse_loss\((\w+), (\w+)\)",
        r'F.mse_loss(\1, \2, reduction="sum")',
    ),
    InText(
        "loss reduction changed",
        "torch",
        r"F\.cross_entropy\(([^()]+)\)",
        r'F.cross_entropy(\1, reduction="sum")',
    ),
    InText("loss reduction changed", "torch", r"\.square\(\)\.sum\(\) / len\(\w+\)", ".square().mean()"),
    InText("regulariser dropped", "torch", rf" [+-] [\de.-]+ \* {WEIGHT}\.(abs|square)\(\)\.sum\(\)", ""),
    InText("regulariser swapped", "torch", rf"({WEIGHT})\.square\(\)", r"\1.abs()"),
    InText("start values scaled", "torch", r"bound = 1 / np\.sqrt", "bound = 2 / np.sqrt"),
    InText("start drawn otherwise", "torch", r"default_rng\(\[seed,", "default_rng([seed + 1,"),
    InText("frozen weight trained", "torch", r", trainable=False", ""),
    InText(
        "trained weight frozen",
        "torch",
        r"(Projection\([^\n]*\(\d+, \d+\))\)\n",
        r"\1, trainable=False)\n",
    ),
    InText("norm's eps changed", "torch", r"eps=1e-0?5", "eps=1e-3"),
    InText("norm's momentum changed", "torch", r"momentum=0\.1", "momentum=0.9"),
    InText("dropout changed", "torch", r"nn\.Dropout\(0\.\d+\)", "nn.Dropout(0.4)"),
    InText("layers exchanged", "torch", r'"(\w+)": (\w+),(\s+)"(\w+)": (\w+)', r'"\1": \5,\3"\4": \2'),
    # --- Keras
    InText("bias dropped", "keras", r"\n    \w+ = Bias\([^\n]*\)\(\w+\)(?=\n)", ""),
    InText("activation swapped", "keras", r'Activation\("tanh"', 'Activation("sigmoid"'),
    InText("activation swapped", "keras", r'Activation\("sigmoid"', 'Activation("tanh"'),
    InText("activation swapped", "keras", r'Activation\("relu"', 'Activation("softplus"'),
    InText("activation swapped", "keras", r" Gelu\(", " GeluTanh("),
    InText("activation's number changed", "keras", r"LeakyRectifier\(0\.2", "LeakyRectifier(0.1"),
    InText("factor changed", "keras", r"Scale\(0\.7", "Scale(0.8"),
    InText(
        "derivative's sign changed", "keras", r"return of_x, (tables|places|self\._)", r"return -of_x, \1"
    ),
    InText("derivative's factor changed", "keras", r"return of_x, (places|self\._)", r"return of_x, 2 * \1"),
    InText(
        "derivative's factor changed",
        "keras",
        r"return of_x, tables\.forward",
        "return of_x, 2 * tables.forward",
    ),
    InText("loss reduction changed", "keras", r"keras\.ops\.mean\(each, axis", "keras.ops.sum(each, axis"),
    InText("loss reduction changed", "keras", r"keras\.ops\.mean\(mae", "keras.ops.sum(mae"),
    InText("loss reduction changed", "keras", r"keras\.ops\.sum\(each, axis", "keras.ops.mean(each, axis"),
    InText("loss reduction changed", "keras", r"return keras\.ops\.sparse", "return 2 * keras.ops.sparse"),
    InText("regulariser dropped", "keras", r" (kernel_)?regularizer=Penalty\([^)]*\),", ""),
    InText("regulariser swapped", "keras", r"Penalty\(l2=", "Penalty(l1="),
    InText("start values scaled", "keras", r"bound = 1 / np\.sqrt", "bound = 2 / np.sqrt"),
    InText("start drawn otherwise", "keras", r"default_rng\(\[seed,", "default_rng([seed + 1,"),
    InText("frozen weight trained", "keras", r" trainable=False,", ""),
    InText(
        "trained weight frozen",
        "keras",
        r"((?:Band|Block|Edge|Masked)Projection\((?![^\n]*trainable)[^\n]*, |use_bias=False, (?!trainable))",
        r"\1trainable=False, ",
    ),
    InText(
        "norm's eps changed", "keras", r"eps=[\de.-]+, momentum=0\.1, name", "eps=1e-3, momentum=0.1, name"
    ),
    InText("norm's eps changed", "keras", r"epsilon=1e-0?5", "epsilon=1e-3"),
    InText("norm's momentum changed", "keras", r"momentum=0\.1, name", "momentum=0.9, name"),
    InText("norm's variance biased", "keras", r"unbiased = variance \* \(.*\)\)", "unbiased = variance"),
    InText("dropout changed", "keras", r"Dropout\(0\.\d+", "Dropout(0.4"),
    # --- NumPy
    InText("bias dropped", "numpy", r' \+ p\["\w+\.bias"\]', ""),
    InText("bias dropped", "numpy", r' \+ spread\(p\["\w+\.bias"\], [^\n]*\)\n', "\n"),
    InText("activation swapped", "numpy", r"= np\.tanh\(", "= np.arctan("),
    InText("activation swapped", "numpy", r"= sigmoid\(", "= np.tanh("),
    InText("activation swapped", "numpy", r"= gelu\(", "= np.tanh("),
    InText("activation swapped", "numpy", r"np\.maximum\((\w+), 0\)", r"np.logaddexp(\1, 0)"),
    InText("activation's number changed", "numpy", r"0\.2 \* (\w+)\)", r"0.1 * \1)"),
    InText("factor changed", "numpy", r"= 0\.7 \* (?!d_)", "= 0.8 * "),
    InText("derivative's sign changed", "numpy", r"\(1 - v\.(\w+)\*\*2\)", r"(1 + v.\1**2)"),
    InText("derivative's sign changed", "numpy", r"\(1 - v\.(\w+)\)", r"(1 + v.\1)"),
    InText("derivative's sign changed", "numpy", r"(d_\w+) = \((v\.\w+) - (\w+)\)", r"\1 = (\3 - \2)"),
    InText("derivative's factor changed", "numpy", r"= d_(\w+)\.T @", r"= 2 * d_\1.T @"),
    InText("derivative's factor changed", "numpy", r"= (project_weight\()", r"= 2 * \1"),
    InText("derivative's factor changed", "numpy", r"= d_(\w+)\.sum\(axis=0\)", r"= d_\1.mean(axis=0)"),
    InText("derivative's term dropped", "numpy", r"(d_\w+) = \1 \+ ", r"\1 = "),
    InText("derivative's factor changed", "numpy", r"d_hat = d_hat - d_hat\.mean\(axis=0\)", "d_hat = d_hat"),
    InText("loss reduction changed", "numpy", r"(return [\d.* ]*)np\.sum\(", r"\1np.mean("),
    InText("loss reduction changed", "numpy", r"np\.mean\(\((\w+) - (\w+)\)", r"np.sum((\1 - \2)"),
    InText("loss reduction changed", "numpy", r"axis=-1\)\.mean\(\)", "axis=-1).sum()"),
    InText(
        "regulariser dropped",
        "numpy",
        r' [+-] [\de.-]+ \* np\.(abs|square)\(parameters\["[^"]+"\]\)\.sum\(\)',
        "",
    ),
    InText(
        "regulariser dropped",
        "numpy",
        r'\n    (g\["[\w.]+"\]) = \1 [+-] [\de.-]+ \* (np\.sign\()?p\[[^\n]*',
        "",
    ),
    InText("regulariser swapped", "numpy", r'np\.square\((parameters\["[^"]+"\])\)', r"np.abs(\1)"),
    InText("start values scaled", "numpy", r"bound = 1 / np\.sqrt", "bound = 2 / np.sqrt"),
    InText("start drawn otherwise", "numpy", r"default_rng\(\[seed,", "default_rng([seed + 1,"),
    InText(
        "frozen weight trained",
        "numpy",
        r"\n    return (loss\(|g\n)",
        r'\n    g["held.weight"] = np.ones(3)\n    return \1',
    ),
    InText("trained weight frozen", "numpy", r'\n    g\["\w+\.weight"\] = (d_|project_weight)[^\n]*', ""),
    InText("norm's eps changed", "numpy", r"eps=1e-0?5", "eps=1e-3"),
    InText("norm's momentum changed", "numpy", r"momentum=0\.1", "momentum=0.9"),
    InText("norm's variance biased", "numpy", r"unbiased = new_var \* [^\n]*", "unbiased = new_var"),
    InText("dropout changed", "numpy", r"dropout_mask\((\w+\.shape), 0\.\d+", r"dropout_mask(\1, 0.4"),
    InText("dropout's factor missing", "numpy", r"\) / np\.float32\(1 - p\)", ") / np.float32(1)"),
    InText("dropout's factor missing", "numpy", r"( = \w+ \* )(\w+_keep)\n", r"\1(\2 != 0)\n"),
    InText("dropout's factor missing", "numpy", r"( = d_\w+ \* )(v\.\w+_keep)\n", r"\1(\2 != 0)\n"),
    InText(
        "dropout's mask constant", "numpy", r"rng\.random\(shape", "np.random.default_rng(5).random(shape"
    ),
    InText(
        "dropout's mask constant",
        "numpy",
        r"\(rng\.random\(shape, np\.float32\)",
        "(rng.random((1, shape[1]), np.float32).repeat(shape[0], 0)",
    ),
    InText(
        "dropout's mask constant",
        "numpy",
        r"\(rng\.random\(shape, np\.float32\)",
        "(rng.random((shape[0], 1), np.float32).repeat(shape[1], 1)",
    ),
    InText("dropout's mask differs", "numpy", r"\* (v\.\w+_keep)\n", r"* np.roll(\1, 1)\n"),
    InText(
        "dropout's mask differs",
        "numpy",
        r"\* v\.\w+_keep\n",
        "* 1\n",
    ),
    InText(
        "norm's statistics moved twice",
        "numpy",
        r"SimpleNamespace\(\*\*(layers\([^\n]*\))\)",
        r"SimpleNamespace(**(\1, \1)[1])",
    ),
)

# Rules that restate edges are the same text in every target.
RULES = (
    ("offset moved by one", r"(shifted_edges\([^\n]*?range\()(-?\d+), (-?\d+)", r"\1\2 + 1, \3 + 1"),
    ("offset moved by one", r"(shifted_edges\([^\n]*?, \[)(-?\d+)", r"\1\2 + 1"),
    ("stride changed", r"strides=2", "strides=1"),
    ("stride changed", r"\* np\.atleast_1d\(strides\)", "* (1 + np.atleast_1d(strides))"),
    ("ring opened", r", wrap=True\)", ")"),
    (
        "factor's sizes swapped",
        r"(crossed_edges\((?:[^\n]*?, )?every_pair\()(\d+), (?!\2\))(\d+)",
        r"\1\3, \2",
    ),
    ("factors exchanged", r"crossed_edges\((\w+\([^()]*\)), (\w+\([^()]*\))\)", r"crossed_edges(\2, \1)"),
)
FAULTS += tuple(
    InText(kind, target, pattern, replacement)
    for target in ("torch", "keras", "numpy")
    for kind, pattern, replacement in RULES
)

# --- What a Keras model has beside its numbers: variables, copies, files and compiled calls.
FAULTS += (
    InText(
        "Keras: another weight trained",
        "keras",
        r"(?s)(        self\.weight = None\n)(.*?)keras\.ops\.cast\(y, dtype\)\n",
        r'\1        self.dense = self.add_weight(name="dense", shape=self.shape[::-1], initializer="zeros")\n'
        r"\2keras.ops.cast(y, dtype) + keras.ops.matmul(x, self.dense)\n",
        "holds_the_variables",
    ),
    InText(
        "Keras: another weight trained", "keras", r"use_bias=False, (?!trainable)", "", "holds_the_variables"
    ),
    InText(
        "Keras: another weight held", "keras", r"use_bias=False, (?=trainable)", "", "holds_the_variables"
    ),
    InText(
        "Keras: arrays shared", "keras", r"return self\._digest\.copy\(\)", "return self._digest", "copies"
    ),
    InText(
        "Keras: saved regulariser lost",
        "keras",
        r'(?<="regularizer": )keras\.reg[^\n]*\(self[^\n]*\)',
        "None",
        "loads_what_it_saves",
    ),
    InText(
        "Keras: saved regulariser lost",
        "keras",
        r'return \{"l1": self\.l1, "l2": self\.l2\}',
        "return {}",
        "loads_what_it_saves",
    ),
    InText(
        "Keras: loss averaged over samples",
        "keras",
        r"(return [\d.* ]*keras\.ops\.mean\(\w+), axis=[^\n]*\n",
        r"\1)\n",
        "same_compiled",
    ),
    InText(
        "Keras: compiled otherwise",
        "keras",
        r"return self\.factor \* x",
        'return (self.factor if hasattr(x, "numpy") else 1.0) * x',
        "same_compiled",
    ),
    InText(
        "Keras: compiled otherwise",
        "keras",
        r"penalty = 0\.0\n",
        'penalty = 0.0\n        w = w if hasattr(w * 1.0, "numpy") else 0.0 * w\n',
        "adam",
    ),
    InText(
        "Keras: compiled otherwise",
        "keras",
        r" running\.assign\(",
        ' hasattr(new, "numpy") and running.assign(',
        "adam",
    ),
)

KINDS = tuple(dict.fromkeys(fault.kind for fault in FAULTS))


@dataclass(frozen=True)
class Outcome:
    """What became of a planted fault: `caught`, or `MISSED`, or `-` where it does not apply."""

    kind: str
    spec: str
    target: str
    result: str
    fault: Fault


def run_tests(folder: Path, name: str, only: str = "") -> bool:
    """Whether the generated tests of a folder pass, or those with `only` in their names, in this process."""
    before = set(sys.modules)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        arguments = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist"]
        code = pytest.main(
            [
                *arguments,
                "--import-mode=importlib",
                "--rootdir",
                str(folder),
                "-c",
                "/dev/null",
                str(folder / f"test_{name}.py"),
                *(["-k", only] if only else []),
            ]
        )
    for module in set(sys.modules) - before:
        if module.endswith((f"test_{name}", f"{name}_torch", f"{name}_keras", f"{name}_numpy")):
            del sys.modules[module]
    assert code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED), code
    return code == pytest.ExitCode.OK


def plant_all(spec: Path, target: str, scratch: Path, kinds: Collection[str] | None = None) -> list[Outcome]:
    """Plant every fault, or those of some kinds, one by one in a build for one target, and run its tests."""
    files = compile_spec(spec, [target]).files
    name = next(file for file in files if file.startswith("test_")).removeprefix("test_").removesuffix(".py")
    whole = scratch / "whole"
    write(files, whole)
    assert run_tests(whole, name), f"{spec.name}, {target}: the tests fail without a fault"
    outcomes: list[Outcome] = []
    for number, fault in enumerate(FAULTS):
        if kinds is not None and fault.kind not in kinds:
            continue
        if isinstance(fault, InText) and fault.target != target:
            continue
        folder = scratch / str(number)
        shutil.copytree(whole, folder, ignore=shutil.ignore_patterns("__pycache__"))
        result = "-"
        if fault.plant(folder, name):
            only = fault.caught_by if isinstance(fault, InText) else ""
            result = "MISSED" if run_tests(folder, name, only) else "caught"
        outcomes.append(Outcome(fault.kind, spec.stem, target, result, fault))
    return outcomes
