"""Generated modules, imported as a person would, and the device that their PyTorch tests run on."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from torch import Tensor

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def kernel() -> str | None:
    """The kernel that sparse connections have. The networks are so small that `masked` would be planned."""
    return "edges"


@pytest.fixture
def generated(
    compiled: Callable[[Path, str | None], Path], kernel: str | None
) -> Callable[[str], ModuleType]:
    """Imports a module of an example, or of a spec of the tests: `graph_mlp_torch`.

    Each file is imported once a process, by a name that no other file has: PyTorch's tracer keeps the first
    module that it meets of a name, among the globals of what it traced and in a cache of its own.
    """

    def load(name: str) -> ModuleType:
        stem = name.rpartition("_")[0]
        specs = (ROOT / folder / f"{stem}.nnspec" for folder in ("examples", "tests/specs"))
        folder = compiled(next(spec for spec in specs if spec.exists()), kernel)
        return imported(folder / f"{name}.py", f"{name}_by_{kernel}")

    return load


def imported(path: Path, name: str) -> ModuleType:
    """The module of a file, by a name of ours, at which it stays importable."""
    if name in sys.modules:
        assert sys.modules[name].__file__ == str(path)
        return sys.modules[name]
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None
    assert found.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def torch_module(
    tmp_path_factory: pytest.TempPathFactory, preferring: Callable[[str | None], AbstractContextManager[None]]
) -> Callable[[str, str | None], ModuleType]:
    """The PyTorch module of a spec that is given as text, with a kernel, made once a session."""
    from nnspec.backends.emit import write
    from nnspec.compiler import compile_spec

    @cache
    def load(text: str, kernel: str | None) -> ModuleType:
        name = text.split()[1]
        folder = tmp_path_factory.mktemp(name)
        (folder / f"{name}.nnspec").write_text(text)
        with preferring(kernel):
            write(compile_spec(folder / f"{name}.nnspec", ["torch"]).files, folder)
        return imported(folder / f"{name}_torch.py", f"{name}_of_{folder.name}")

    return load


@pytest.fixture
def device(request: pytest.FixtureRequest) -> str:
    """What `--device` asks for, `cpu` by default; a device that is not there is an error, not a skip."""
    return request.config.getoption("--device")


@pytest.fixture
def graph_mlp(generated: Callable[[str], ModuleType], request: pytest.FixtureRequest) -> ModuleType:
    """The module for the target that a test file is called after: `test_torch_state.py` has torch."""
    return generated(f"graph_mlp_{request.path.stem.split('_')[1]}")


@pytest.fixture
def masked_dense(generated: Callable[[str], ModuleType], request: pytest.FixtureRequest) -> ModuleType:
    return generated(f"masked_dense_{request.path.stem.split('_')[1]}")


@pytest.fixture
def digits() -> tuple[np.ndarray, np.ndarray]:
    """48 images and codes for `graph_mlp`."""
    rng = np.random.default_rng(0)
    return rng.random((48, 64), np.float32), rng.integers(10, size=48)


@pytest.fixture
def batch(digits: tuple[np.ndarray, np.ndarray], device: str) -> tuple[Tensor, Tensor]:
    """The digits as tensors on the device."""
    import torch

    x, y = digits
    return torch.tensor(x, device=device), torch.tensor(y, device=device)
