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
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from nnspec.backends.archive import archived
from nnspec.backends.common.kernels.stored import archive_digest
from nnspec.backends.emit import write
from nnspec.compiler import compile_spec
from nnspec.compiler.plan.plan import Stored

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
    caught_by: str = ""

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
    InText(
        "bias dropped", "keras", r"(Dense\(\s*\d+,)(?![^\n]*use_bias)([^\n]* name)", r"\1 use_bias=False,\2"
    ),
    InText("activation swapped", "keras", r'(Activation\(|activation=)"tanh"', r'\1"sigmoid"'),
    InText("activation swapped", "keras", r'(Activation\(|activation=)"sigmoid"', r'\1"tanh"'),
    InText("activation swapped", "keras", r'(Activation\(|activation=)"relu"', r'\1"softplus"'),
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
    InText("loss reduction changed", "keras", r"ops\.mean\((keras\.ops\.square\()", r"ops.sum(\1"),
    InText("loss reduction changed", "keras", r"ops\.mean\((keras\.ops\.abs\()", r"ops.sum(\1"),
    InText("loss reduction changed", "keras", r"ops\.sum\((keras\.ops\.square\()", r"ops.mean(\1"),
    InText("loss reduction changed", "keras", r"return keras\.ops\.sparse", "return 2 * keras.ops.sparse"),
    InText("mask of a loss ignored", "torch", r"torch\.where\(z > 0\.3, (\(q - z\) \*\* 2), 0\)", r"(\1)"),
    InText("mask of a loss ignored", "numpy", r"np\.where\(z > 0\.3, (\(q - z\) \*\* 2), 0\)", r"(\1)"),
    InText("mask of a loss ignored", "numpy", r"np\.where\(z > 0\.3, (2 \* \(v\.q - z\)), 0\)", r"(\1)"),
    InText(
        "mask of a loss ignored", "keras", r"keras\.ops\.where\(z > 0\.3, (\(q - z\) \*\* 2), 0\)", r"(\1)"
    ),
    *(
        InText(kind, target, pattern, instead)
        for kind, pattern, instead in (
            ("smoothing of a loss lost", r"(soft_cross_entropy\(.*?smoothing)=0\.2,", r"\1=0.0,"),
            ("weights of classes lost", r"weights=\(1\.0, 0\.5, 2\.0\)\)", "weights=None)"),
        )
        for target in ("torch", "numpy", "keras")
    ),
    InText(
        "loss averaged over units", "torch", r"(\w+\.abs\(\) \* \w+\)\.)sum\(\) / len\(\w+\)", r"\1mean()"
    ),
    InText("loss averaged over units", "numpy", r"np\.sum\((np\.abs\(h\) \* h)\) / len\(h\)", r"np.mean(\1)"),
    InText("loss averaged over units", "keras", r"ops\.sum\((keras\.ops\.abs\(h\) \* h)", r"ops.mean(\1"),
    InText("term of a loss dropped", "keras", r"(return \(?\s*\w+_0)\s+\+ [\d.]* ?\*? ?\w+_1", r"\1"),
    InText("term of a loss dropped", "keras", r" \+ 0\.5 \* (mse_\d+)", ""),
    InText("weight of a term lost", "keras", r"0\.25 \* (mse_\d+)", r"\1"),
    InText("weights of samples ignored", "keras", r"one_weight\(sample_weight\)\)", "None)"),
    InText("loss reads another layer", "keras", r"(KeptForLoss\(.*\[)(\w+), \w+", r"\1\2, \2 * 0"),
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
    InText("activation swapped", "numpy", r"\(1 \+ erf\(", "(1 + np.tanh("),
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
    InText(
        "derivative's factor changed", "numpy", r"parts = d\.mean\(axis=axes, keepdims=True\) \+ ", "parts = "
    ),
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
        r"\n    return (\(?\s*loss\(|g\n)",
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
        "dropout's mask constant", "numpy", r"rng\.random\(drawn", "np.random.default_rng(5).random(drawn"
    ),
    InText(
        "dropout's mask constant",
        "numpy",
        r"\(rng\.random\(drawn, np\.float32\)",
        "(rng.random((1, shape[1]), np.float32).repeat(shape[0], 0)",
    ),
    InText(
        "dropout's mask constant",
        "numpy",
        r"\(rng\.random\(drawn, np\.float32\)",
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
    # --- class codes
    InText(
        "code's row moved", "numpy", r"position \* classes \+ column\[there\]", "position + column[there]"
    ),
    InText(
        "code's row moved",
        "torch",
        r"torch\.arange\(0, sources, self\.classes,",
        "torch.arange(sources // self.classes,",
    ),
    InText(
        "code's row moved",
        "keras",
        r"arange\(0, self\.shape\[1\], self\.classes, dtype\)",
        "arange(self.positions, dtype=dtype)",
    ),
    InText("code of none counts", "numpy", r"column >= 0", "column >= -1"),
    InText("code of none counts", "torch", r"torch\.where\(there, found, 0\)", "found"),
    InText(
        "code of none counts",
        "keras",
        r"keras\.ops\.where\(there\[\.\.\., None\], found, [^\n]*\), axis=1\)",
        "found, axis=1)",
    ),
    InText(
        "code's derivative changed", "numpy", r"row = position \* classes \+ codes", "row = position + codes"
    ),
    InText("code out of range taken", "numpy", r"\(codes < least\) \| \(codes >= classes\)", "codes < least"),
    InText("code out of range taken", "torch", r"low < least or high >= classes", "low < least"),
    # --- units that are taken together
    InText("units taken together otherwise", "numpy", r"axis=\(1, 3\)\)", "axis=(1, 2))"),
    InText(
        "units taken together otherwise", "numpy", r"(eps=1e-0?5, shape=\(3, 2, 4\), over=\(1), 3\)", r"\1,)"
    ),
    InText(
        "units taken together otherwise",
        "torch",
        r"Softmax\(\(3, 2, 4\), \(1, 3\)",
        "Softmax((3, 2, 4), (1, 2)",
    ),
    InText("units taken together otherwise", "torch", r"nn\.Softmax\(dim=2\)", "nn.Softmax(dim=1)"),
    InText(
        "units taken together otherwise",
        "torch",
        r"LayerNorm\(\(3, 2, 4\), \(1, 3\)",
        "LayerNorm((3, 2, 4), (1,)",
    ),
    InText(
        "units taken together otherwise",
        "torch",
        r"Norm\(2, \(3, 2, 4\), \(1, 3\)",
        "Norm(2, (3, 4, 2), (1, 2)",
    ),
    InText("units taken together otherwise", "keras", r"LogSoftmax\(\(1, 3\)", "LogSoftmax((1, 2)"),
    InText("units taken together otherwise", "keras", r"layers\.Softmax\(2", "layers.Softmax(1"),
    InText("units taken together otherwise", "keras", r"Norm\(\(3, 2, 4\), \(1, 3\)", "Norm((3, 2, 4), (1,)"),
    InText(
        "units taken together otherwise",
        "keras",
        r"Norm\(2, \(3, 2, 4\), \(1, 3\)",
        "Norm(2, (3, 4, 2), (1, 2)",
    ),
    InText(
        "slopes shared otherwise",
        "numpy",
        r'(p\["c\.prelu\.weight"\]\[np\.)broadcast_to\([^\n]*\.ravel\(\)',
        r"\1arange(24) % 3",
    ),
    InText("slopes shared otherwise", "torch", r"PReLU\(shape=\(3, 8\), over=\(2,\)", "PReLU((8, 3), (1,)"),
    InText("slopes shared otherwise", "keras", r"Prelu\(\(3, 8\), \(2,\)", "Prelu((8, 3), (1,)"),
    InText(
        "slope's derivative changed", "numpy", r"np\.where\((v\.\w+) > 0, 0, ", r"np.where(\1 > 0, 1e-3, "
    ),
    InText("slope's derivative changed", "numpy", r"gathered\(np\.where\(", "-gathered(np.where("),
    InText(
        "units dropped together otherwise",
        "numpy",
        r"grid=\(3, 2, 4\), over=\(2,\)",
        "grid=(3, 2, 4), over=(3,)",
    ),
    InText(
        "units dropped together otherwise",
        "torch",
        r"0\.25, shape=\(3, 2, 4\), over=\(2,\)",
        "0.25, (3, 2, 4), (3,)",
    ),
    InText(
        "units dropped together otherwise", "keras", r"0\.25, \(3, 2, 4\), \(2,\)", "0.25, (3, 2, 4), (3,)"
    ),
    InText("norm's derivative changed", "numpy", r"d_hat - x_hat \* along", "d_hat"),
    InText("norm's derivative changed", "numpy", r"np\.exp\(y\) \* d\.sum", "np.exp(y) * d.mean"),
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

# ------------------------------------------------------------ what generated tests had not noticed before
# By kind, then for PyTorch and for NumPy. `NAIVE` is a module of PyTorch made in one expression.


def naive(formula: str) -> str:
    """A PyTorch module that computes a formula of x, as source text."""
    return f'type("Naive", (nn.Module,), {{"forward": lambda self, x: {formula}}})()'


def torch_fault(kind: str, pattern: str, replacement: str) -> Fault:
    return InText(kind, "torch", pattern, replacement)


def numpy_fault(kind: str, pattern: str, replacement: str) -> Fault:
    return InText(kind, "numpy", pattern, replacement)


KEEPING = r"return unflat\(values, batch\)"
PUTTING = r"return unbatched\(values, batch\)"
COMPUTING = r"        values = self\.layers\((\w+)"
START = r"np\.array\((stored\[\"\w+\.weight\.start\"\])\)"
PLACES = r"return np\.array\((\[place\[name\] for name in names\.tolist\(\)\]), np\.int64\)"

FAULTS += tuple(
    fault
    for target in ("torch", "numpy")
    for fault in (
        InText("given weights in another order", target, START, r"\1[::-1].copy()"),
        InText("given weights in another order", target, START, r"np.sort(\1)"),
        InText("given weights in another order", target, START, r"np.roll(\1, 1)"),
        InText("in_order in another order", target, PLACES, r"np.array(\1[::-1])"),
        InText("in_order in another order", target, PLACES, r"return np.sort(\1)"),
        InText("in_order in another order", target, PLACES, r"return np.array(\1) - 1"),
        InText("in_order in another order", target, PLACES, r"return np.array(\1[1:] + \1[:1])"),
        InText("in_order in another order", target, r"filled\[\.\.\., there\] = ", r"filled[..., ~there] = "),
        InText("in_order takes what is double", target, r"\(\"has two columns for\", \[", '("has", [] and ['),
        InText(
            "names in another order",
            target,
            r"pairwise\(\[0, \*ends\]\)",
            "sorted(pairwise([0, *ends]))[::-1]",
        ),
        InText("names shared", target, r"def unit_names", '@__import__("functools").cache\ndef unit_names'),
        InText("digest not compared", target, r"if archive_digest\(archive\) != digest:", "if False:"),
        InText(
            "digest not compared", target, r"for units in \(source, target\)", "for units in (source, source)"
        ),
        InText(
            "digest not compared",
            target,
            r'return np\.frombuffer\(digest\.digest\(\), dtype="<i8"\)',
            "return np.zeros(4)",
        ),
    )
)
FAULTS += (
    torch_fault(
        "digest not compared", r"not torch\.equal\(saved\.to\(layer\.digest\), layer\.digest\)", "False"
    ),
    torch_fault("digest not compared", r"not torch\.equal\(saved\.to\(own\), own\)", "False"),
    torch_fault(
        "digest not compared",
        r"        self\.register_load_state_dict_pre_hook\(refuse_other_edges\)\n        if seed",
        "        if seed",
    ),
    torch_fault(
        "digest not compared", r"    model\.register_load_state_dict_pre_hook\(refuse_other_units\)\n", ""
    ),
    torch_fault(
        "digest not saved",
        r"(        if self\.saves_digest:\n    )?        destination\[f\"\{prefix\}digest\"\] = [^\n]*\n",
        "",
    ),
    numpy_fault("digest not compared", r"not np\.array_equal\(arrays\[name\], digests\[name\]\)", "False"),
    numpy_fault("digest not compared", r"    check_digests\(arrays, digests\)\n", ""),
    numpy_fault("digest not saved", r" \| digests\(\)", ""),
    # --- Batches.
    torch_fault(
        "wrong for some batches",
        KEEPING,
        "return unflat({n: v[:1] + 0 * v if len(v) > 200 else v for n, v in values.items()}, batch)",
    ),
    torch_fault(
        "wrong for some batches",
        KEEPING,
        "return unflat({n: 2 * v if len(v) == 1 else v for n, v in values.items()}, batch)",
    ),
    torch_fault(
        "wrong for some batches",
        KEEPING,
        "return unflat({n: v * (len(v) % 2 == 0) for n, v in values.items()}, batch)",
    ),
    torch_fault(
        "wrong for some batches",
        KEEPING,
        "return unflat({n: v + 0.01 * (len(v) >= 64) for n, v in values.items()}, batch)",
    ),
    torch_fault(
        "wrong for some batches",
        r"value\.reshape\(\*batch, \*value\.shape\[1:\]\)",
        "value.reshape(*batch[::-1], *value.shape[1:])",
    ),
    torch_fault(
        "wrong for some batches", r"EdgeDot\.apply\(x, grad, ", "EdgeDot.apply(x[:, :100], grad[:, :100], "
    ),
    torch_fault(
        "wrong for some batches",
        r"return x\.reshape\(-1|else x\.reshape\(-1, math\.prod\(shape\)\)",
        "else x.reshape(-1, math.prod(shape)).flip(0)",
    ),
    numpy_fault(
        "wrong for some batches",
        PUTTING,
        "return unbatched({n: v * (math.prod(batch) < 200) for n, v in values.items()}, batch)",
    ),
    numpy_fault(
        "wrong for some batches",
        PUTTING,
        "return unbatched({n: v * 2 if math.prod(batch) == 1 else v for n, v in values.items()}, batch)",
    ),
    numpy_fault(
        "wrong for some batches",
        PUTTING,
        "return unbatched({n: v * (math.prod(batch) % 2 == 0) for n, v in values.items()}, batch)",
    ),
    numpy_fault(
        "wrong for some batches", r"(g\[\"\w+\.bias\"\] = d_\w+)\.sum\(axis=0\)", r"\1[:200].sum(axis=0)"
    ),
    numpy_fault(
        "wrong for some batches",
        r"(g\[\"\w+\.weight\"\] = project_weight\()(\w+|v\.\w+), (\w+), ",
        r"\1\2[:100], \3[:100], ",
    ),
    numpy_fault(
        "wrong for some batches",
        r"value\.reshape\(\*batch, value\.shape\[-1\]\)",
        "value.reshape(*batch[::-1], value.shape[-1])",
    ),
    numpy_fault("wrong for many edges", r"\[starts\]\] \+= np\.add\.reduceat", "[starts]] = np.add.reduceat"),
    numpy_fault(
        "wrong for many edges", r"gradient\[first:last\] = np\.einsum", "gradient[:last - first] = np.einsum"
    ),
    torch_fault("wrong for many edges", r"        copy\[:, tiled:\]\.copy_\(matrix\[tiled:\]\.t\(\)\)\n", ""),
    torch_fault(
        "wrong for many edges",
        r"torch\.channel_shuffle\(pixel, rows\)",
        "torch.channel_shuffle(pixel, columns)",
    ),
    torch_fault(
        "wrong for many edges",
        r"copy\.unsqueeze\(0\)\.copy_\(matrix\.t\(\)\.unsqueeze\(0\)\)",
        "copy.unsqueeze(0)[..., :200].copy_(matrix.t().unsqueeze(0)[..., :200])",
    ),
    # --- Functions that overflow.
    torch_fault("overflows", r"nn\.Softplus\(threshold=50\)", naive("torch.log(1 + torch.exp(x))")),
    torch_fault("overflows", r"nn\.Sigmoid\(\)", naive("1 / (1 + torch.exp(-x))")),
    torch_fault("overflows", r"nn\.Sigmoid\(\)", naive("torch.exp(x) / (1 + torch.exp(x))")),
    torch_fault("overflows", r"nn\.Tanh\(\)", naive("(torch.exp(2 * x) - 1) / (torch.exp(2 * x) + 1)")),
    torch_fault(
        "overflows",
        r'nn\.GELU\(approximate="tanh"\)',
        naive("x - x / (1 + torch.exp(2 * (2 / math.pi) ** 0.5 * (x + 0.044715 * x**3)))"),
    ),
    torch_fault(
        "overflows",
        r"torch\.softmax\(x\.t\(\)\.unflatten\(0, self\.shape\), dim=-2\)",
        "(lambda e: e / e.sum(-2, keepdim=True))(torch.exp(x.t().unflatten(0, self.shape)))",
    ),
    torch_fault(
        "overflows",
        r"F\.cross_entropy\((\w+(?:\.reshape\([^)]*\))?), ",
        r"F.nll_loss(torch.log(torch.softmax(\1, -1)), ",
    ),
    torch_fault(
        "overflows",
        r"F\.cross_entropy\((\w+(?:\.reshape\([^)]*\))?), ",
        r"F.nll_loss(\1 - torch.log(torch.exp(\1).sum(-1, keepdim=True)), ",
    ),
    numpy_fault("overflows", r"np\.logaddexp\((\w+), 0\)", r"np.log(1 + np.exp(\1))"),
    numpy_fault(
        "overflows", r"    z = np\.exp\(-np\.abs\(x\)\)\n    return [^\n]*", "    return 1 / (1 + np.exp(-x))"
    ),
    numpy_fault(
        "overflows",
        r"    z = np\.exp\(-np\.abs\(x\)\)\n    return [^\n]*",
        "    return np.exp(x) / (1 + np.exp(x))",
    ),
    numpy_fault("overflows", r"e = np\.exp\(x - x\.max\(axis=-1, keepdims=True\)\)", "e = np.exp(x)"),
    numpy_fault("overflows", r"shifted = x - x\.max\(axis=-1, keepdims=True\)", "shifted = x"),
    numpy_fault(
        "overflows",
        r"return shifted - np\.log\([^\n]*",
        "return np.log(np.exp(shifted) / np.exp(shifted).sum(axis=-1, keepdims=True))",
    ),
    numpy_fault("overflows", r"= np\.tanh\((\w+)\)", r"= (np.exp(2 * \1) - 1) / (np.exp(2 * \1) + 1)"),
    numpy_fault(
        "overflows", r"return x / 2 \* \(1 \+ np\.tanh\((.*)\)\)\n", r"return x - x / (1 + np.exp(2 * \1))\n"
    ),
    # --- Norms and modes.
    torch_fault(
        "norm's statistics moved twice",
        r"        values = self\.layers\(([^)]*)\)\n",
        r"        values = self.layers(\1)\n\g<0>",
    ),
    torch_fault(
        "norm's mode ignored",
        r"return super\(\)\.forward\(input\.t\(\)\.unsqueeze\(0\)\)",
        "return super().train().forward(input.t().unsqueeze(0))",
    ),
    torch_fault(
        "norm's mode ignored",
        r"=nn\.BatchNorm1d\(",
        "=type('N', (nn.BatchNorm1d,), {'forward': lambda n, x: nn.BatchNorm1d.forward(n.train(), x)})(",
    ),
    numpy_fault(
        "norm's mode ignored",
        r"(momentum: float,\n    training: bool,\n(?:.|\n)*?\n    if )training:",
        r"\1True:",
    ),
    numpy_fault("norm's mode ignored", r"(absorb[^\n]*\n    if )training:", r"\1True:"),
    numpy_fault("norm's mode ignored", r"(def forward\((?:.|\n)*?)training=training", r"\1training=False"),
    numpy_fault(
        "norm's mode ignored", r"(def forward\((?:.|\n)*?)training: bool = False", r"\1training: bool = True"
    ),
    numpy_fault(
        "norm's mode ignored", r"(def layers\((?:.|\n)*?)training: bool = False", r"\1training: bool = True"
    ),
    numpy_fault("norm's mode ignored", r"training: bool = True", "training: bool = False"),
    numpy_fault(
        "norm's statistics moved twice",
        r"(def forward\((?:.|\n)*?\n)(    values = )(layers\([^\n]*)",
        r"\1    \3\n\2\3",
    ),
    numpy_fault(
        "norm's statistics overwritten",
        r"parameters\[f\"\{name\}\.\{what\}\"\] = ([^\n]*)",
        r'parameters[f"{name}.{what}"][:] = \1',
    ),
    numpy_fault("dropout's mask constant", r"(def forward\((?:.|\n)*?)rng=rng", r"\1rng=None"),
    numpy_fault(
        "dropout in evaluation", r" if training and rng is not None else 1", " if rng is not None else 1"
    ),
    torch_fault(
        "dropout in evaluation",
        r"nn\.Dropout\((0\.\d+)\)",
        r'type("Drop", (nn.Dropout,), {"forward": lambda self, x: F.dropout(x, self.p, True)})(\1)',
    ),
    torch_fault(
        "dropout never applied",
        r"            x = part\(x\)\n",
        "            x = x if isinstance(part, nn.Dropout) else part(x)\n",
    ),
    # --- What layers, forward and hooks give.
    torch_fault("layers detached", r'(values = \{\s*"\w+": \w+)(?=[,.}])', r"\1.detach()"),
    torch_fault("layers detached", r'(values = \{(?:.|\n)*"\w+": \w+)(?=,?\s*\})', r"\1.detach()"),
    torch_fault(
        "layers detached",
        r"        values = self\.layers\(([^)]*)\)\n",
        r"        values = {n: v.detach() for n, v in self.layers(\1).items()}\n",
    ),
    torch_fault(
        "forward detached", r"(    def forward\(self(?:.|\n)*?return [^\n]*values\[\"\w+\"\])", r"\1.detach()"
    ),
    torch_fault(
        "forward is not layers",
        r"(    def forward\(self(?:.|\n)*?return [^\n]*values\[\"\w+\"\])",
        r"\1 * (1 + 0.1 * self.training)",
    ),
    numpy_fault(
        "forward is not layers",
        r"(def forward\((?:.|\n)*?return [^\n]*values\[\"\w+\"\])",
        r"\1 * (1 + 0.1 * training)",
    ),
    numpy_fault(
        "forward is not layers", r"(def forward\((?:.|\n)*?return [^\n]*values\[\"\w+\"\])", r"\1 * 1.1"
    ),
    torch_fault("hooks bypassed", r"= self\.(\w+)\(self\.(\w+)\(", r"= self.\1.forward(self.\2("),
    torch_fault(
        "second derivatives wrong",
        r"(class ReverseEdgeSum(?:.|\n)*?grad_weight = )EdgeDot\.apply\(grad, y",
        r"\1EdgeDot.apply(grad, 2 * y",
    ),
    torch_fault(
        "second derivatives wrong",
        r"grad_x = ReverseEdgeSum\.apply\(y, grad",
        "grad_x = -ReverseEdgeSum.apply(y, grad",
    ),
    torch_fault(
        "second derivatives wrong", r"grad_y = EdgeSum\.apply\(x, grad", "grad_y = 2 * EdgeSum.apply(x, grad"
    ),
    torch_fault(
        "second derivatives wrong",
        r"grad_weight = EdgeDot\.apply\(x, grad, ",
        "grad_weight = EdgeDot.apply(x.detach(), grad, ",
    ),
    torch_fault(
        "forward derivatives wrong",
        r"sums = sums \* weight\[:, None\]",
        "sums = sums * weight[:, None].detach()",
    ),
    torch_fault("forward derivatives wrong", r"        reach \*= 2", "        reach *= 4"),
    torch_fault(
        "forward derivatives wrong",
        r"index_select\(0, first\)\.to\(x\.dtype\)",
        "index_select(0, first).to(x.dtype).neg()",
    ),
    torch_fault(
        "forward derivatives wrong",
        r"y = plain_edge_sum\([^\n]*",
        "y = plain_edge_sum(rows.detach(), weight, source, target, offsets, self.fan_in)",
    ),
    torch_fault(
        "wrong where mapped", r"for at in range\(info\.batch_size\)", "for at in [0] * info.batch_size"
    ),
    torch_fault(
        "wrong where mapped",
        r"return function\.apply\(rows\.flatten\(1\), \*others\)\.unflatten\(1, rows\.shape\[1:\]\), 1",
        "return function.apply(rows.transpose(1, 2).flatten(1), *others).unflatten(1, rows.shape[1:]), 1",
    ),
    torch_fault(
        "wrong where mapped",
        r"return matrix\.movedim\(in_dims\[0\], 0\)\.transpose\(1, 2\)",
        "return 2 * matrix.movedim(in_dims[0], 0).transpose(1, 2)",
    ),
    torch_fault(
        "wrong where compiled",
        r"\* grad\.index_select\(0, target\)\)\.sum\(1\)",
        "* grad.index_select(0, target)).mean(1)",
    ),
    torch_fault(
        "wrong where compiled",
        r"return sums \+ onto if is_followed\(\)",
        "return sums if is_followed()",
    ),
    torch_fault(
        "wrong where exported",
        r"y = summed_rows\(rows, source, offsets, weight\)",
        "y = summed_rows(rows, source, offsets, weight) * 1.5",
    ),
    torch_fault(
        "wrong in half precision",
        r"index\.numel\(\) == 0 or rows\.shape\[1\] == 0:",
        "rows.dtype == torch.bfloat16:",
    ),
    torch_fault(
        "wrong in half precision",
        r"return edges\.values\(\)\.to\(x\.dtype\)",
        "return edges.values().to(x.dtype) * (1 if accumulate == x.dtype else 2)",
    ),
    torch_fault("wrong in half precision", r"dtype = torch\.get_autocast_dtype\(x\.device\.type\)", "pass"),
    # --- What is overwritten, shared or remembered.
    torch_fault("inputs overwritten", COMPUTING, r"        \1.mul_(0.5)\n\g<0>"),
    torch_fault(
        "inputs overwritten",
        r"(        batch = )(\w+)(\.shape\[:-\d\]\n)",
        r"\1\2\3        \2.clamp_(-9, 9)\n",
    ),
    numpy_fault("inputs overwritten", r"    g\[\"(\w+)\"\] = d_\1", r"    \1 *= 0.5\n\g<0>"),
    numpy_fault(
        "inputs overwritten",
        r"(\n    p = parameters\n    batch, (\w+)[^\n]*(?:\n    \)|\n        [^\n]*)*\n)",
        r"\1    np.clip(\2, -9, 9, out=\2)\n",
    ),
    torch_fault(
        "parameters overwritten", COMPUTING, r"        [q.data.mul_(1.001) for q in self.parameters()]\n\g<0>"
    ),
    torch_fault(
        "parameters overwritten",
        r"(    def layers\(self(?:.|\n)*?\n)(        batch = )",
        r"\1        [b.mul_(0.999) for b in self.buffers() if b.is_floating_point()]\n\2",
    ),
    numpy_fault(
        "parameters overwritten",
        r"(\n    p = parameters\n)",
        r"\1    p |= {n: a * 1.0 for n, a in p.items()}\n",
    ),
    numpy_fault(
        "parameters overwritten",
        r"(def forward\((?:.|\n)*?\n)(    values = )",
        r"\1    [np.multiply(a, 0.99, out=a) for a in parameters.values()]\n\2",
    ),
    torch_fault("arrays shared", r"\.detach\(\)\.cpu\(\)\.numpy\(\)\.copy\(\)", ".detach().cpu().numpy()"),
    numpy_fault(
        "arrays shared",
        r"np\.array\(array\) for name, array in parameters",
        "array for name, array in parameters",
    ),
    numpy_fault(
        "arrays shared",
        r"np\.array\(arrays\[name\]\) for name in held",
        "np.asarray(arrays[name]) for name in held",
    ),
    numpy_fault("arrays shared", r"return read_only\((\w+)\)", r"return \1"),
    numpy_fault("arrays shared", r"        array\.setflags\(write=False\)\n", "        pass\n"),
    torch_fault(
        "calls remembered", KEEPING, 'return self.__dict__.setdefault(f"kept {batch}", unflat(values, batch))'
    ),
    torch_fault(
        "calls remembered",
        COMPUTING,
        r"        \1 = \1 * (1 + 0.01 * hasattr(self, 'called'))\n        self.called = True\n\g<0>",
    ),
    numpy_fault(
        "calls remembered", PUTTING, "return layers.__dict__.setdefault(batch, unbatched(values, batch))"
    ),
    numpy_fault(
        "calls remembered",
        r"(\n    p = parameters\n)",
        r"\1    layers.kept = p = getattr(layers, 'kept', p)\n",
    ),
    # --- Losses.
    torch_fault(
        "loss averaged over samples", r"F\.mse_loss\((\w+), (\w+)\)", r"((\1 - \2).square().sum() / len(\1))"
    ),
    torch_fault(
        "loss averaged over samples", r"F\.l1_loss\((\w+), (\w+)\)", r"((\1 - \2).abs().sum() / len(\1))"
    ),
    torch_fault(
        "loss averaged over samples", r"F\.l1_loss\((\w+), (\w+)\)", r'F.l1_loss(\1, \2, reduction="sum")'
    ),
    torch_fault(
        "loss averaged over samples",
        r"F\.cross_entropy\(([^()]+(?:\([^)]*\))?), (\w+)\)",
        r'(F.cross_entropy(\1, \2, reduction="sum") / len(o))',
    ),
    torch_fault("loss averaged over samples", r" / len\((\w+)\)", r" / \1.numel()"),
    numpy_fault(
        "loss averaged over samples",
        r"np\.mean\(\((\w+) - (\w+)\) \*\* 2\)",
        r"(np.sum((\1 - \2) ** 2) / len(\1))",
    ),
    numpy_fault(
        "loss averaged over samples",
        r"np\.mean\(np\.abs\((\w+) - (\w+)\)\)",
        r"(np.sum(np.abs(\1 - \2)) / len(\1))",
    ),
    numpy_fault("loss averaged over samples", r"/ v\.(\w+)\.size", r"/ len(v.\1)"),
    numpy_fault("loss averaged over samples", r"return d / codes\.size", "return d / len(codes)"),
    # --- Parameters.
    torch_fault(
        "parameter made anew",
        r"        return product_onto\(x, self\.weight,",
        r"        if 'weight' in self._parameters:\n"
        r"            self.weight = nn.Parameter(self.weight.data)\n\g<0>",
    ),
    torch_fault(
        "parameter made anew",
        r"        weight = self\.weight if weight is None else weight\n        dtype[^\n]*\n        rows",
        r"        if self._parameters.get('weight') is not None:\n"
        r"            self.weight = nn.Parameter(self.weight.detach())\n\g<0>",
    ),
    torch_fault(
        "parameter made anew",
        r"(            return self\.bias\n)",
        r"            self.bias = nn.Parameter(self.bias.data)\n\1",
    ),
    torch_fault(
        "dense parameter beside",
        r"(            self\.weight = nn\.Parameter\(torch\.zeros\(shape\)\)\n)",
        r"\1            self.dense = nn.Parameter(torch.zeros(shape))\n",
    ),
    torch_fault(
        "dense parameter beside",
        r"(        self\.trainable, self\.weighted = trainable, weighted\n)",
        r"\1        self.register_buffer('dense', torch.zeros(shape), persistent=False)\n",
    ),
    torch_fault(
        "dense parameter beside",
        r"(            self\.bias = nn\.Parameter\(torch\.zeros\(bias\)\)\n)",
        r"\1            self.more = nn.Parameter(torch.zeros(bias), requires_grad=False)\n",
    ),
    torch_fault(
        "buffer for a parameter",
        r'            self\.register_buffer\("weight", torch\.zeros\((\w+)\)\)',
        r"            self.weight = nn.Parameter(torch.zeros(\1), requires_grad=False)",
    ),
    torch_fault(
        "buffer for a parameter",
        r"self\.bias = nn\.Parameter\(torch\.zeros\(bias\)\)",
        "self.register_buffer('bias', torch.zeros(bias))",
    ),
    torch_fault(
        "buffer for a parameter",
        r'self\.register_buffer\("weight", (torch\.zeros\(\w+\)|weight)\)',
        r'self.register_buffer("weight", \1, persistent=False)',
    ),
    # --- What is refused.
    torch_fault(
        "other shapes taken",
        r"    if x\.shape == \(\*batch, \*shape\):\n",
        "    if x.shape[1:] == shape or x.shape[-1:] == shape[-1:]:\n",
    ),
    torch_fault(
        "other codes taken",
        r"        if low < 0 or high >= classes:",
        "        if high >= classes or -100 < low < 0:",
    ),
    torch_fault("other codes taken", r"    if torch\.is_floating_point\(codes\)[^\n]*:", "    if False:"),
    numpy_fault("other shapes taken", r"if array\.shape != batch \+ shape:", "if False:"),
    numpy_fault("other codes taken", r"    if wrong\.size:", "    if False:"),
    numpy_fault("other codes taken", r'    if codes\.dtype\.kind not in "iu":', "    if False:"),
    torch_fault("other names taken", r"    if wrong:\n", "    if False:\n"),
    numpy_fault(
        "other names taken",
        r"    if missing := sorted\(held\.keys\(\) - arrays\.keys\(\)\):",
        "    arrays = {n: np.zeros(a.shape) for n, a in held.items()} | dict(arrays)\n    if missing := []:",
    ),
    numpy_fault("other names taken", r"    if unknown := sorted\([^\n]*\):", "    if unknown := []:"),
    numpy_fault(
        "other names taken", r"        if np\.shape\(arrays\[name\]\) != array\.shape:", "        if False:"
    ),
    # --- Seeds and precision.
    torch_fault("seed not drawn", r"seed = int\(torch\.randint[^\n]*", "seed = 0"),
    torch_fault(
        "seed not drawn",
        r"seed = int\(torch\.randint[^\n]*",
        "seed = int(np.random.default_rng().integers(2**62))",
    ),
    numpy_fault("seed not drawn", r"int\(np\.random\.default_rng\(\)[^\n]*\) if", "0 if"),
    numpy_fault("precision lost", r"\.astype\(\w+(\.\w+)*\.dtype\)", ".astype(np.float64)"),
    numpy_fault(
        "precision lost",
        r"    p = parameters\n",
        "    p = {n: a.astype(np.float32) for n, a in parameters.items()}\n",
    ),
    torch_fault(
        "precision lost",
        r"(        batch = (\w+)\.shape\[:-\d\]\n)",
        r"\1        \2 = \2.float().to(\2.dtype)\n",
    ),
)
# --- What a Keras model has beside its numbers: variables, copies, files and compiled calls.
FAULTS += (
    InText(
        "Keras: another weight trained",
        "keras",
        r"(?s)(        self\.weight: Any = None\n)(.*?)keras\.ops\.cast\(y, dtype\)\n",
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
        r"(keras\.ops\.mean\(keras\.ops\.\w+\([^\n]*\)), axis=[^\n]*\n",
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

# --- Pooling otherwise than by a sum.
POOLING = ("tie goes to the last", "product by division", "empty unit wrong", "mean by wrong count")
FAULTS += (
    torch_fault(POOLING[0], r"for slope in equal\.unbind\(0\):", "for slope in equal.unbind(0)[::-1]:"),
    torch_fault(
        POOLING[1],
        r'(def product_slopes\([^\n]*\n    """[^\n]*"""\n)',
        r"\1    return parts.prod(0) / parts * grad\n",
    ),
    torch_fault(POOLING[2], r", empty=-?[\d.]+", ""),
    torch_fault(POOLING[3], r"parts\.sum\(0\) / len\(parts\)", "parts.sum(0) / (len(parts) + 1)"),
    InText(
        POOLING[0],
        "keras",
        r"keras\.ops\.argmax\((keras\.ops\.cast\(keras\.ops\.equal\([^\n]*\), \"int32\"\)), axis=0\)",
        r"parts.shape[0] - 1 - keras.ops.argmax(keras.ops.flip(\1, 0), axis=0)",
    ),
    InText(
        POOLING[1],
        "keras",
        r"return after \* products_before\(parts\) [^\n]*",
        "return keras.ops.prod(parts, axis=0) / parts * upstream",
    ),
    InText(POOLING[2], "keras", r"empty=-?[\d.]+, ", ""),
    InText(
        POOLING[3],
        "keras",
        r"(keras\.ops\.sum\(parts, axis=0\)) / parts\.shape\[0\]",
        r"\1 / (parts.shape[0] + 1)",
    ),
    numpy_fault(
        POOLING[0],
        r"np\.minimum\.reduceat\(equal,",
        "np.maximum.reduceat(np.where(equal < len(rows), equal, -1),",
    ),
    numpy_fault(
        POOLING[1],
        r"return before \* after\n",
        "return np.repeat(product_of(rows, starts), lengths, axis=0) / rows\n",
    ),
    numpy_fault(POOLING[2], r"_of, -0\.5\)", "_of, 7.0)"),
    numpy_fault(POOLING[3], r"/ lengths_of\(rows, starts\)\[", "/ (1 + lengths_of(rows, starts))["),
)

KINDS = tuple(dict.fromkeys(fault.kind for fault in FAULTS))

# What is wrong with edges, weights in their order, sums, or the gradients of these: the exact tests catch it.
LINEAR = frozenset(
    [
        *("index moved by one", "two edges swapped", "edge dropped", "edge doubled", "mask transposed"),
        *("bias moved", "bias dropped", "layers exchanged", "derivative's sign changed"),
        *("derivative's factor changed", "derivative's term dropped"),
        *("frozen weight trained", "trained weight frozen", *(kind for kind, *_ in RULES)),
    ]
)
EXACT = "are_exact or is_exact"


def key_moved(arrays: Arrays) -> Arrays | None:
    """Each edge has the entry behind its own."""
    for key in arrays:
        if key.endswith(".weight.index"):
            return {**arrays, key: (arrays[key] + 1) % (arrays[key].max() + 1)}
    return None


# What can be wrong with weights that are made of a parameter.
SHARING: tuple[Fault, ...] = (
    InData("key off by one", key_moved),
    InText(
        "shared gradient summed wrongly",
        "numpy",
        r"np\.bincount\(index \+ 1, d,",
        "np.bincount(index + 1, d[::-1],",
    ),
    InText("sign lost", "numpy", r"np\.abs\((p\[[^\]]*\])\)", r"\1"),
    InText("sign lost", "numpy", r" \* np\.sign\(p\[[^\]]*\]\)", ""),
    InText("factor lost", "numpy", r'stored\["\w+\.weight\.times"\] \* ', ""),
    InText("factor lost", "numpy", r'(d_\w+_weight) \* stored\["\w+\.weight\.times"\]', r"\1"),
    InText("tie broken", "numpy", r'g\["w"\] = g\["w"\] \+ ', 'g["w"] = '),
    InText("tie broken", "numpy", r'g\["rows"\] = g\["rows"\] \+ ', 'g["rows"] = '),
    InText("tie broken", "numpy", r'= p\["w"\]\.T\n', '= p["w"][::-1].T\n'),
    InText(
        "shared gradient summed wrongly",
        "torch",
        r"SumEntries\.apply\(grads\[0\]",
        "2 * SumEntries.apply(grads[0]",
    ),
    InText("shared gradient summed wrongly", "torch", r"index_select\(1, order\)", "flip(1)"),
    InText("sign lost", "torch", r"return x\.abs\(\)", "return x"),
    InText("factor lost", "torch", r"self\.factor\.to\(entries\.dtype\) \* entries", "entries"),
    InText("tie broken", "torch", r"return matrix\.t\(\)", "return matrix.detach().t()"),
    InText("tie broken", "torch", r"bias=self\.rows", "bias=nn.Parameter(self.rows.data.clone())"),
    InText(
        "shared gradient summed wrongly",
        "keras",
        r"keras\.ops\.reshape\(sums, \(-1,\)\)",
        "2 * keras.ops.reshape(sums, (-1,))",
    ),
    InText("sign lost", "keras", r"return keras\.ops\.abs\(entries\)", "return entries"),
    InText(
        "factor lost",
        "keras",
        r"return keras\.ops\.reshape\(factor, entries\.shape\) \* entries",
        "return entries",
    ),
    InText("tie broken", "keras", r"transpose\(matrix\)", "transpose(keras.ops.stop_gradient(matrix))"),
)


@dataclass(frozen=True)
class Outcome:
    """What became of a planted fault: `caught`, or `MISSED`, or `-` where it does not apply."""

    kind: str
    spec: str
    target: str
    result: str
    fault: Fault


@dataclass
class Earlier:
    """What a run of the same tests leaves for the next: how long each took, and points of the reference.

    A fault is mostly caught by tests of a few milliseconds, and what is caught ends the run: quick ones come
    first, after those with `likely` in their names and before those with `unlikely`. What the reference
    computes is in the tests alone, and is found once while these are the same.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    tests: ModuleType | None = None
    likely: tuple[str, ...] = ()
    unlikely: tuple[str, ...] = ()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Sort by the time that tests took; by name, because the folder is another."""
        items.sort(key=lambda item: (self._rank(item.name), self.seconds.get(item.name, 0.0)))
        assert isinstance(items[0], pytest.Function)
        tests = items[0].module
        if self.tests is not None:
            for name in ("point_of", "derivatives_at"):
                setattr(tests, name, partial(_found_once, getattr(self.tests, name), self.tests, tests))
        else:
            self.tests = tests

    def _rank(self, name: str) -> int:
        return any(each in name for each in self.unlikely) - any(each in name for each in self.likely)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a time."""
        name = report.nodeid.rpartition("::")[2]
        self.seconds[name] = self.seconds.get(name, 0.0) + report.duration


# Where the quick tests notice nothing: those that a kind of fault is planted for.
LIKELY = {
    "wrong for some batches": ("any_batch",),
    "wrong for many edges": ("maps_and_traces", "edges_are_those"),
    "overflows": ("large_values",),
    "forward detached": ("values_are_apart",),
    "norm's statistics moved twice": ("values_are_apart",),
    "second derivatives wrong": ("second_derivatives",),
    "forward derivatives wrong": ("second_derivatives",),
    "wrong where mapped": ("maps_and_traces",),
    "wrong where compiled": ("maps_and_traces",),
    "wrong where exported": ("maps_and_traces",),
    "weights of samples ignored": ("computes_the_same_compiled",),
    "wrong in half precision": ("half_precision",),
    "parameters overwritten": ("values_are_apart",),
    "Keras: saved regulariser lost": ("loads_what_it_saves",),
    "Keras: loss averaged over samples": ("computes_the_same_compiled",),
    "Keras: compiled otherwise": ("computes_the_same_compiled",),
}
# What looks at data alone, as often as there are connections, notices no fault of a module's own.
OF_DATA = ("edges_are_those", "stored_arrays_are_those")


def _found_once(
    find: Callable[..., object], first: ModuleType, tests: ModuleType, expected: object, *at: object
) -> object:
    """What the tests find of the reference at some point, for their spec by the tests that came first."""
    return find(first.EXPECTED if expected is tests.EXPECTED else expected, *at)


def run_tests(folder: Path, name: str, earlier: Earlier, chosen: str = "") -> bool:
    """Whether the generated tests of a folder pass, or those `chosen` by name, run in this process."""
    before = set(sys.modules)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        # What a run says is not read: nothing is rewritten for it, traced back, captured or collected.
        arguments = ["-x", "-q", "--assert=plain", "--tb=native", "--capture=no"]
        for plugin in (
            "cacheprovider",
            "randomly",
            "xdist",
            "unraisableexception",
            "threadexception",
            "logging",
        ):
            arguments += ["-p", f"no:{plugin}"]
        arguments += ["--basetemp", str(folder / "temporary"), "--confcutdir", str(folder)]
        arguments += ["-k", chosen] if chosen else []
        code = pytest.main(
            [
                *arguments,
                "--import-mode=importlib",
                "--rootdir",
                str(folder),
                "-c",
                "/dev/null",
                str(folder / f"test_{name}.py"),
            ],
            [earlier],
        )
    for module in set(sys.modules) - before:
        if module.endswith((f"test_{name}", f"{name}_torch", f"{name}_keras", f"{name}_numpy")):
            del sys.modules[module]
    assert code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED), code
    return code == pytest.ExitCode.OK


def plant_all(
    spec: Path,
    target: str,
    scratch: Path,
    kinds: Collection[str] | None = None,
    one_of_each: bool = False,
    chosen: str = "",
    faults: Collection[Fault] | None = None,
) -> list[Outcome]:
    """Plant every fault, or those of some kinds, one by one in a build for one target, and run its tests.

    With `one_of_each`, of every kind only the first fault that there is a place for. `chosen` are the tests
    by name, as pytest's `-k` takes them. `faults` stand in for those of every network.
    """
    files = compile_spec(spec, [target]).files
    name = next(file for file in files if file.startswith("test_")).removeprefix("test_").removesuffix(".py")
    whole = scratch / "whole"
    write(files, whole)
    earlier = Earlier()
    assert run_tests(whole, name, earlier, chosen), f"{spec.name}, {target}: the tests fail without a fault"
    outcomes: list[Outcome] = []
    for number, fault in enumerate(FAULTS if faults is None else faults):
        if kinds is not None and fault.kind not in kinds:
            continue
        if isinstance(fault, InText) and fault.target != target:
            continue
        if one_of_each and any(o.kind == fault.kind and o.result != "-" for o in outcomes):
            continue
        folder = scratch / str(number)
        # The tests stay compiled, the module does not.
        shutil.copytree(whole, folder, ignore=shutil.ignore_patterns(f"{name}_*.pyc", "temporary"))
        result = "-"
        if fault.plant(folder, name):
            # With other data, tests are others.
            held, unlikely = (earlier.tests, OF_DATA) if isinstance(fault, InText) else (None, ())
            again = Earlier({**earlier.seconds}, held, LIKELY.get(fault.kind, ()), unlikely)
            result = "MISSED" if run_tests(folder, name, again, chosen or fault.caught_by) else "caught"
        outcomes.append(Outcome(fault.kind, spec.stem, target, result, fault))
    return outcomes


# Faults in convolutions.
CONVOLVING: tuple[Fault, ...] = (
    InText(
        "kernel flipped",
        "torch",
        r"return weight\.flip\(windows\.flipped\) if [^\n]*",
        "return weight.flip(2)",
    ),
    InText(
        "kernel flipped",
        "keras",
        r"return keras\.ops\.flip\(kernel, windows\.flipped\) if [^\n]*",
        "return keras.ops.flip(kernel, 2)",
    ),
    InText(
        "kernel flipped", "numpy", r"np\.argsort\(order\)\), windows\.flipped\)", "np.argsort(order)), 2)"
    ),
    *(
        InText(kind, target, pattern, replacement)
        for target in ("numpy", "torch", "keras")
        for kind, pattern, replacement in (
            ("stride swapped", r"stride=\(2, 1\)", "stride=(1, 2)"),
            ("dilation swapped", r"dilation=\(1, 2\)", "dilation=(2, 1)"),
            ("padding on the other side", r"pad=\(\(1, 0\), ", "pad=((0, 1), "),
            ("ring of the window opened", r"wrap=\(True, True\)", "wrap=(False, False)"),
        )
    ),
    InText("groups mixed", "torch", r"(windows\.sources, \*windows\.grid\))", r"\1.flip(1)"),
    InText(
        "groups mixed",
        "keras",
        r"(keras\.ops\.reshape\(x, \(-1, windows\.sources, \*windows\.grid\)\))",
        r"keras.ops.flip(\1, 1)",
    ),
    InText(
        "groups mixed",
        "numpy",
        r"groups, values\.shape\[1\] // groups, units\)",
        "values.shape[1] // groups, groups, units).swapaxes(1, 2)",
    ),
    InText(
        "border of the derivative lost",
        "numpy",
        r"inner\[: max\(after, 0\)\] \+= ",
        "inner[: max(after, 0)] = ",
    ),
    InText("tie of windows broken", "numpy", r'g\["w"\] = g\["w"\] \+ ', 'g["w"] = '),
)

# What can be wrong with windows that are pooled.
SLIDING: tuple[Fault, ...] = (
    *(
        InText(kind, target, pattern, replacement)
        for target in ("numpy", "torch", "keras")
        for kind, pattern, replacement in (
            ("window moved", r"pad=\(\(1, 1\), \(0, 0\)\)", "pad=((2, 0), (0, 0))"),
            ("window wider", r"kernel=\(2, 1, 3, 2\)", "kernel=(2, 1, 2, 3)"),
        )
    ),
    torch_fault("units beyond the end count", r"self\.pad, False, False\)", "self.pad, False, True)"),
    torch_fault("units beyond the end count", r"self\.padded\(grid, -math\.inf\)", "self.padded(grid)"),
    torch_fault(
        "mean of windows by wrong count", r"sums / self\.counts\.to", "sums / self.counts.flip(0).to"
    ),
    torch_fault(
        "largest for the smallest", r"return -super\(\)\.pools\(-grid\)", "return super().pools(grid)"
    ),
    InText("units beyond the end count", "keras", r"windows, -np\.inf\)", "windows)"),
    InText("mean of windows by wrong count", "keras", r"counts\[\.\.\., None\]", "counts[::-1, ..., None]"),
    InText(
        "largest for the smallest",
        "keras",
        r"return -super\(\)\.pools\(-grid\)",
        "return super().pools(grid)",
    ),
    numpy_fault(
        "units beyond the end count",
        r"windows\), windows, -np\.inf\)\n    y =",
        "windows), windows)\n    y =",
    ),
    numpy_fault("mean of windows by wrong count", r"y /= windows\.counts\(\)", "y /= windows.counts()[::-1]"),
    numpy_fault(
        "largest for the smallest",
        r"return -max_of_windows\(-x, windows\)",
        "return max_of_windows(x, windows)",
    ),
    numpy_fault("tie of a window goes to all", r"left = np\.where\(chosen, 0, left\)", "left = left"),
)

# What can be wrong with layers that are expressions.
GATES = r"f \* a \+ i \* g"
CHOICE = r"\(cells > grid\) & \(one < 0\.5\)"
OPERANDS = r'name="c_input"\)\(\[f, a_units, i, g\]\)'
EXPRESSIONS: tuple[Fault, ...] = (
    numpy_fault("wrong operand", rf"c_input = {GATES}", "c_input = f * a + g * g"),
    numpy_fault("term lost", rf"c_input = {GATES}", "c_input = f * a"),
    numpy_fault("choice turned round", CHOICE, "(cells > grid) & (one >= 0.5)"),
    numpy_fault("derivative's term lost", r"d_f = d_f \+ d_c_input \* a\n", "d_f = d_f\n"),
    numpy_fault("derivative's term lost", r"    d_inner2 = d_r2 \* [^\n]*\n", "    d_inner2 = d_r2 * 0\n"),
    numpy_fault("derivative's operand wrong", r"d_a \+ d_c_input \* v\.f", "d_a + d_c_input * v.i"),
    numpy_fault("one unit's gradient not summed", r"\)\.sum\(axis=1, keepdims=True\)", ")[:, :1]"),
    numpy_fault("gradient through stop", r"# stopped <- g\n", "# stopped <- g\n    d_g = d_g + d_stopped\n"),
    numpy_fault("layers share an array", r"bare = one\.copy\(\)", "bare = one"),
    torch_fault("wrong operand", rf"self\.c\({GATES}\)", "self.c(f * a + g * g)"),
    torch_fault("term lost", rf"self\.c\({GATES}\)", "self.c(f * a)"),
    torch_fault("choice turned round", CHOICE, "(cells > grid) & (one >= 0.5)"),
    torch_fault("gradient through stop", r"g\.detach\(\)\.clone\(\)", "g.clone()"),
    torch_fault("derivative's term lost", r"c\.tanh\(\)", "c.tanh().detach()"),
    torch_fault("derivative's operand wrong", r"1 / \(1 \+ (\w+)\.abs\(\)\) \*\* 2", r"1 / (1 + \1.abs())"),
    torch_fault("layers share an array", r"self\.part\(c\.clone\(\)\)", "self.part(c)"),
    InText("wrong operand", "keras", rf"return {GATES}\n", "return f * a + g * g\n"),
    InText("wrong operand", "keras", OPERANDS, 'name="c_input")([f, a_units, g, g])'),
    InText("wrong operand", "keras", OPERANDS, 'name="c_input")([i, a_units, f, g])'),
    InText("term lost", "keras", rf"return {GATES}\n", "return f * a\n"),
    InText("gradient through stop", "keras", r"return keras\.ops\.stop_gradient\(g\)", "return g"),
)
