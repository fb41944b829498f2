"""What all tests share: quiet frameworks, accepted goldens, and specs compiled once."""

from __future__ import annotations

import os
import runpy
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from nnspec.compiler.edges.convolution import Window
    from nnspec.compiler.graph.graph import Project
    from nnspec.compiler.plan.kernels import Kernel

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# No file of a test must outlast a loss of power. The disk would be waited for, for half a minute where
# packages were unpacked just before.
os.fsync = lambda fd: None
if "PYTEST_XDIST_WORKER" in os.environ:
    # A worker a core: threads of both frameworks would spin against those of the other worker.
    for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(variable, "1")

ROOT = Path(__file__).parent.parent
# Generated tests need the arrays beside them, which goldens keep as digests; `tests/examples` runs them.
collect_ignore_glob = ["golden/modules/test_*.py"]

EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.nnspec"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="accept what the compiler writes now")
    parser.addoption("--device", default="cpu", help="where PyTorch tests of `tests/targets` run: cpu, cuda")


def pytest_configure(config: pytest.Config) -> None:
    """Hide GPUs from both frameworks, unless they are what is asked for."""
    if config.getoption("--device") == "cpu":
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`example` runs over the names of all examples."""
    if "example" in metafunc.fixturenames:
        metafunc.parametrize("example", EXAMPLES)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """No file's content is part of a name: packed, it may hold the time, and workers would differ."""
    if isinstance(val, bytes) or (isinstance(val, str) and len(val) > 100):
        return argname
    return None


@pytest.fixture(scope="session", autouse=True)
def renamed_here() -> Iterator[None]:
    """Files that are written are renamed in this process, and not in a copy of it.

    With all frameworks imported, a copy takes 20 ms. `tests/emit/test_killing.py` shows what it is for.
    """
    from nnspec.backends import emit

    def rename(renames: Sequence[bytes]) -> None:
        for old, new in zip(renames[::2], renames[1::2], strict=True):
            os.replace(old, new)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emit, "_rename_in_copy", rename)
        yield


@pytest.fixture(scope="session")
def examples_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the examples that has the edges of `hundred_thousand` too, which the repository has not."""
    folder = tmp_path_factory.mktemp("copy") / "examples"
    shutil.copytree(ROOT / "examples", folder, ignore=shutil.ignore_patterns("__pycache__"))
    runpy.run_path(str(folder / "hundred_thousand_data.py"))["main"](folder / "hundred_thousand")
    return folder


Preferring = Callable[[str | None], AbstractContextManager[None]]


@pytest.fixture(scope="session")
def preferring() -> Preferring:
    """Compiles with a kernel wherever one can compute what is connected; with None, as planned."""
    from nnspec.compiler.plan import choice as kernels

    every = kernels._kernels

    @contextmanager
    def prefer(kernel: str | None) -> Iterator[None]:
        def preferred(projection: Project, window: Window | None) -> list[Kernel]:
            found = every(projection, window)
            return [each for each in found if each.name == kernel] or found

        with pytest.MonkeyPatch.context() as patch:
            if kernel is not None:
                assert kernel in kernels.KERNELS
                patch.setattr(kernels, "_kernels", preferred)
            yield

    return prefer


@pytest.fixture(scope="session")
def compiled(
    tmp_path_factory: pytest.TempPathFactory, preferring: Preferring
) -> Callable[[Path, str | None], Path]:
    """Compiles a spec for all targets into a folder of its own, once a session for each preferred kernel."""
    from nnspec.backends.emit import write
    from nnspec.compiler import compile_spec

    folders: dict[tuple[Path, str | None], Path] = {}

    def compile_once(spec: Path, kernel: str | None = None) -> Path:
        if (spec, kernel) not in folders:
            folders[spec, kernel] = tmp_path_factory.mktemp(spec.stem)
            with preferring(kernel):
                write(compile_spec(spec).files, folders[spec, kernel])
        return folders[spec, kernel]

    return compile_once
