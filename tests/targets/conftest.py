"""Generated modules, imported as a person would, and the device that their PyTorch tests run on."""

from __future__ import annotations

import gc
import importlib
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
    compiled: Callable[[Path, str | None], Path], kernel: str | None, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], ModuleType]:
    """Imports a module of an example, or of a spec of the tests, by its name: `graph_mlp_torch`."""

    def load(name: str) -> ModuleType:
        stem = name.rpartition("_")[0]
        specs = (ROOT / folder / f"{stem}.nnspec" for folder in ("examples", "tests/specs"))
        folder = compiled(next(spec for spec in specs if spec.exists()), kernel)
        monkeypatch.syspath_prepend(str(folder))
        sys.modules.pop(name, None)
        forget_traced(name)
        module = importlib.import_module(name)
        assert Path(module.__file__ or "").parent == folder
        return module

    return load


def forget_traced(name: str) -> None:
    """Have PyTorch's tracer forget a module of this name: it keeps the first that it met.

    It does so among the globals of whatever it traced, those of modules that are gone from `sys.modules` too.
    """
    if "torch._dynamo" not in sys.modules:
        return
    key = f"__import_{name}"
    for globals_ in [held for held in gc.get_objects() if type(held) is dict and key in held]:
        del globals_[key]
    sys.modules["torch._dynamo"].reset()


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
        found = importlib.util.spec_from_file_location(f"{name}_torch", folder / f"{name}_torch.py")
        assert found is not None
        assert found.loader is not None
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        return module

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
