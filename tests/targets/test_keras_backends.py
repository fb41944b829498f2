"""Generated Keras code on JAX and PyTorch, each in a process of its own in which TensorFlow is not found.

On TensorFlow, `tests/examples` runs the generated tests.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from .. import processes

ROOT = Path(__file__).parent.parent.parent
Compiled = Callable[[Path, str | None], Path]
KERAS = "keras or together"
RUN = [
    pytest.param("torch", (("graph_mlp", None),), KERAS, id="torch"),
    pytest.param(
        "torch",
        (
            ("part", None),
            ("les_miserables", "blocks"),
            ("ring", "band"),
            ("zoo", "edges"),
            ("loops", None),
            ("delays", None),
        ),
        KERAS,
        id="more on torch",
        marks=pytest.mark.slow,
    ),
    # JAX compiles for a minute what PyTorch just runs, anew for every size of a batch.
    pytest.param(
        "jax",
        (("graph_mlp", None),),
        "keras and (exact or gradients_are or holds_the_variables) or agree[",
        id="jax",
    ),
    pytest.param(
        "jax",
        (("graph_mlp", None), ("part", None)),
        KERAS,
        id="more on jax",
        marks=pytest.mark.slow,
    ),
    pytest.param("jax", (("zoo", "edges"),), KERAS, id="everything on jax", marks=pytest.mark.slow),
]


def run(backend: str, path: Path, arguments: list[str]) -> CompletedProcess[str]:
    """Python on a backend, with a folder in front of its path."""
    paths = os.pathsep.join([str(path), os.environ.get("PYTHONPATH", "")])
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "PYTHONPATH": paths,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    having = "keras" if backend == "tensorflow" else "torch"
    return processes.run(arguments, having=having, env=environment)


@pytest.mark.parametrize(("backend", "chosen", "tests"), RUN)
def test_generated_tests_pass(
    backend: str, chosen: tuple[tuple[str, str | None], ...], tests: str, compiled: Compiled, tmp_path: Path
) -> None:
    """Every target is tested, and Keras agrees with the others, with no TensorFlow."""
    (tmp_path / "hiding" / "tensorflow").mkdir(parents=True)
    (tmp_path / "hiding" / "tensorflow" / "__init__.py").write_text("raise ModuleNotFoundError('hidden')\n")
    files: list[str] = []
    for name, kernel in chosen:
        specs = (ROOT / folder / f"{name}.nnspec" for folder in ("examples", "tests/specs"))
        folder = compiled(next(spec for spec in specs if spec.exists()), kernel)
        files.append(str(folder / f"test_{name}.py"))
    options = ["-q", "-p", "no:cacheprovider", "--assert=plain", "--rootdir", "/", "-k", tests]
    finished = run(backend, tmp_path / "hiding", ["-m", "pytest", *options, *files])
    assert finished.returncode == 0, finished.stdout[-8000:]
    assert "skipped" not in finished.stdout


SAID = {
    "tensorflow": ["error of tensorflow", "error of tensorflow", "NaN"],
    "jax": ["NaN", "NaN", "NaN"],
    "torch": ["ValueError", "ValueError", "ValueError"],
}


@pytest.mark.parametrize(
    "backend",
    ["tensorflow", *(pytest.param(name, marks=pytest.mark.slow) for name in ("jax", "torch"))],
)
def test_backends_differ_as_the_docs_say(backend: str, compiled: Compiled, tmp_path: Path) -> None:
    """What codes out of range lead to, and which doubles are double."""
    folder = compiled(ROOT / "examples" / "graph_mlp.nnspec", None)
    finished = run(backend, tmp_path, [str(Path(__file__).parent / "keras_on_backend.py"), str(folder)])
    assert finished.returncode == 0, finished.stderr[-4000:]
    found = json.loads(finished.stdout.splitlines()[-1])
    assert found["codes"] == SAID[backend]
    assert found["codes, eagerly"] == ["ValueError"]
    assert found.get("codes, jit", ["NaN"]) == ["NaN"]
    assert found["double"] < 1e-6
    assert (found["double"] < 1e-14) == (backend == "tensorflow")
