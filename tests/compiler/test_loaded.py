"""`load`: from a spec to a module that is ready to use."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from nnspec.compiler import SpecError, UnknownParam, compile_spec, load

RING = """\
model ring
param n = 5
input x[n]
layer h[n]
connect x -> h : { i -> i + 1 ; outside = wrap } with weight = 2, trainable = false
output h
"""


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "caches"
    monkeypatch.setenv("NNSPEC_CACHE", str(folder))
    return folder


def turned(module: object, n: int) -> None:
    x = np.arange(2 * n, dtype=float).reshape(2, n)
    np.testing.assert_array_equal(module.forward(module.init(), x), 2 * np.roll(x, 1, axis=1))


def test_text_becomes_a_module(caches: Path) -> None:
    module = load(text=RING, target="numpy")
    turned(module, 5)
    assert Path(module.__file__).is_relative_to(caches)
    assert load(text=RING, target="numpy") is module
    assert load(text=RING.replace("model ring", "model  ring"), target="numpy") is not module


def test_a_file_becomes_a_module_of_any_size(tmp_path: Path) -> None:
    path = tmp_path / "ring.nnspec"
    path.write_text(RING)
    turned(load(path, "numpy", n=7), 7)
    turned(load(str(path), "numpy", params={"n": 8}), 8)
    assert load(path, "torch", n=7, name="seven").Seven()(__import__("torch").ones(1, 7)).tolist() == [
        [2.0] * 7
    ]


def test_what_a_text_loads_is_beside_the_path_that_it_stands_for(tmp_path: Path) -> None:
    (tmp_path / "edges.csv").write_text("source,target\n0,1\n")
    text = 'model m\ninput x[2]\nlayer h[2] : bias(off)\nconnect x -> h : load("edges.csv") with weight = 3\n'
    module = load(tmp_path / "unsaved.nnspec", "numpy", text=text)
    np.testing.assert_array_equal(module.forward(module.init(), np.array([[1.0, 5.0]])), [[0.0, 3.0]])


def test_a_module_that_was_changed_in_the_cache_is_written_again() -> None:
    module = load(text=RING, target="numpy", n=9)
    path = Path(module.__file__)
    text = path.read_text()
    path.write_text(text + "raise ValueError\n")
    del sys.modules[module.__name__]
    again = load(text=RING, target="numpy", n=9)
    assert again is not module
    assert path.read_text() == text


def test_errors_are_shown_whole() -> None:
    with pytest.raises(SpecError) as raised:
        load(text="model m\ninput x[q]\n")
    assert "error[E207]: no number is called `q`" in str(raised.value)
    assert "input x[q]\n" in str(raised.value)
    assert "^" in str(raised.value)
    with pytest.raises(UnknownParam):
        load(text=RING, m=3)
    with pytest.raises(ValueError, match="no target is called 'tourch'; did you mean 'torch'"):
        load(text=RING, target="tourch")
    with pytest.raises(ValueError, match="'a-b' is no name for a model"):
        compile_spec(text=RING, name="a-b")
