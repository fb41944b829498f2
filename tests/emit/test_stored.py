"""Modules read the arrays that they were compiled with, and no others."""

from __future__ import annotations

import ast
import importlib.util
import io
import re
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnspec.backends.archive import archived, npz
from nnspec.backends.common.kernels.stored import archive_digest, load_stored
from nnspec.backends.emit import write
from nnspec.compiler import compile_spec
from nnspec.compiler.plan.plan import Stored

SPEC = """model net
input x[4]
target t[2]
layer y[2]
connect x -> y : { 0 -> 0, 1 -> 1, 2 -> 1, 3 -> 0 }
loss mse(y, t)
"""


def digest_of(content: bytes) -> str:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive_digest(archive)


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[path.stem]
    return module


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A build for two targets, and then, after a change of an edge, for NumPy alone."""
    (tmp_path / "net.nnspec").write_text(SPEC)
    write(compile_spec(tmp_path / "net.nnspec", ["torch", "numpy"]).files, tmp_path)
    for name in ("net_numpy.py", "test_net.py"):
        shutil.copy(tmp_path / name, tmp_path / f"old_{name}")
    (tmp_path / "net.nnspec").write_text(SPEC.replace("3 -> 0", "3 -> 1"))
    write(compile_spec(tmp_path / "net.nnspec", ["numpy"]).files, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("edges", "shape"),
    [
        ("{ (r, c) -> (p, q) : (r - p) ** 2 + (c - q) ** 2 <= 4 }", (6, 7)),
        ("{ i -> i + d : d in [-6, -3, 0, 3, 6] ; outside = skip }", (40,)),
        ("{ i -> i + d : d in [-4, -3, 1, 2, 3, 9] ; outside = skip }", (40,)),
        ("{ i -> i + 5 ; outside = wrap }", (40,)),
        ("{ (r, c) -> (r + a, c + b) : a in [0, 2, 4], b in -1..1 ; outside = wrap }", (7, 5)),
        ("{ i -> j : i % 5 == j % 5 }", (40,)),
    ],
)
def test_code_computes_with_the_edges_of_the_rule(edges: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    """Restated or stored, they are those of the plan, in its order."""
    spec = tmp_path / "net.nnspec"
    spec.write_text(f"model net\ninput x{[*shape]}\nlayer y{[*shape]}\nconnect x -> y : {edges}\n")
    build = compile_spec(spec, ["numpy"])
    write(build.files, tmp_path)
    module = load(tmp_path / "net_numpy.py")
    (connection,) = build.passage.model.connections
    source, target = connection.edges.edges()
    weights = module.init(0)
    (name,) = [name for name in weights if name.startswith("x_y")]
    x, given = np.arange(1.0, 1.0 + np.prod(shape)), np.arange(1.0, 1.0 + len(source))
    weights[name] = given.astype(weights[name].dtype)
    wanted = np.bincount(target, given * x[source], len(x))
    found = module.forward(weights, x.reshape(1, *shape))
    np.testing.assert_allclose(found.reshape(-1), wanted, rtol=1e-6)


def test_a_connection_without_edges_is_stored_like_any_other(tmp_path: Path) -> None:
    spec = SPEC.replace("loss", "connect x -> y as nothing : { i -> j : i == 1, i == 2 }\nloss")
    (tmp_path / "net.nnspec").write_text(spec)
    write(compile_spec(tmp_path / "net.nnspec", ["numpy"]).files, tmp_path)
    module = load(tmp_path / "net_numpy.py")
    x = np.arange(8.0).reshape(2, 4)
    weights = module.init(0)
    assert sum(weight.size == 0 for weight in weights.values()) == 1
    assert module.forward(weights, x).shape == (2, 2)


def test_every_module_has_the_digest_of_its_arrays(folder: Path) -> None:
    files = compile_spec(folder / "net.nnspec").files
    digest = digest_of(files["net.npz"])
    for name, content in files.items():
        if name.endswith(".py"):
            calls = [node for node in ast.walk(ast.parse(content)) if isinstance(node, ast.Call)]
            loads = [ast.unparse(call) for call in calls if "_stored" in ast.unparse(call.func)]
            own = [text for text in loads if "__file__" in text]
            assert own, name
            assert all(text.endswith(f"_stored(__file__, 'net.npz', '{digest}')") for text in own), name


def test_a_module_refuses_arrays_of_another_build(folder: Path) -> None:
    assert load(folder / "net_numpy.py").init(0)["x_y.weight"].shape == (4,)
    path = re.escape(str(folder / "net.npz"))
    reading: dict[str, Callable[[Any], object]] = {
        "old_net_numpy": lambda module: module.init(0),
        "net_torch": lambda module: module.Net(),
        "old_test_net": lambda module: None,  # reads them when it is imported
    }
    for name, read in reading.items():
        with pytest.raises(ValueError, match=rf"{path} is not .*/{name}\.py was compiled with\. Compile"):
            read(load(folder / f"{name}.py"))


ARRAYS = {"a.source": np.arange(5, dtype=np.int32), "b": np.zeros((2, 3))}
OTHERS: dict[str, Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]] = {
    "content": lambda arrays: {**arrays, "a.source": np.array([0, 1, 2, 4, 3], np.int32)},
    "type": lambda arrays: {**arrays, "a.source": arrays["a.source"].astype(np.uint32)},
    "shape": lambda arrays: {**arrays, "b": arrays["b"].T},
    "name": lambda arrays: {"a.source": arrays["a.source"], "c": arrays["b"]},
    "order": lambda arrays: dict(reversed(arrays.items())),
    "more": lambda arrays: {**arrays, "d": arrays["b"]},
    "less": lambda arrays: {"a.source": arrays["a.source"]},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_digest_tells_arrays_apart(
    other: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]], tmp_path: Path
) -> None:
    content, digest = archived(tuple(Stored(name, array) for name, array in ARRAYS.items()))
    (tmp_path / "net.npz").write_bytes(content)
    loaded = load_stored(str(tmp_path / "net.py"), "net.npz", digest)
    assert loaded.keys() == ARRAYS.keys()
    for name, array in loaded.items():
        np.testing.assert_array_equal(array, ARRAYS[name], strict=True)
    (tmp_path / "net.npz").write_bytes(npz([Stored(*pair) for pair in other(ARRAYS).items()]))
    with pytest.raises(ValueError, match=r"net.npz is not the file that .*net.py was compiled with"):
        load_stored(str(tmp_path / "net.py"), "net.npz", digest)


def test_arrays_that_were_packed_anew_are_the_same(tmp_path: Path) -> None:
    _, digest = archived(tuple(Stored(name, array) for name, array in ARRAYS.items()))
    np.savez_compressed(tmp_path / "net.npz", allow_pickle=False, **ARRAYS)  # pyright: ignore
    loaded = load_stored(str(tmp_path / "net.py"), "net.npz", digest)
    np.testing.assert_array_equal(loaded["a.source"], ARRAYS["a.source"])


def flipped(content: bytes) -> bytes:
    at = content.index(np.arange(5, dtype=np.int32).tobytes())
    return content[:at] + b"\1" + content[at + 1 :]


def npy(content: bytes) -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


@pytest.mark.parametrize("damage", [flipped, lambda c: c[:-40], lambda c: b"", lambda c: b"x = 1", npy])
def test_a_damaged_archive_is_an_error_that_names_it(
    damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    content, digest = archived(tuple(Stored(name, array) for name, array in ARRAYS.items()))
    (tmp_path / "net.npz").write_bytes(damage(content))
    with pytest.raises(ValueError, match=r"net.npz, which .*net.py reads, is damaged: .*\. Compile the spec"):
        load_stored(str(tmp_path / "net.py"), "net.npz", digest)
