"""Networks of drawn convolutions pass their generated tests: what is right raises no alarm."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from nnspec.backends.emit import write
from nnspec.compiler import compile_spec
from nnspec.compiler.pipeline import understand

from .. import processes
from ..kernels.test_convolution import drawn

EACH = 5


def network(first: int) -> str:
    """Some drawn convolutions beside each other, each with a bias and an activation."""
    lines = ["model net"]
    for seed in range(first, first + EACH):
        _, source, target, connection = drawn(seed).spec().splitlines()
        bias = ("bias", "bias(per = 0)", "bias(off)")[seed % 3]
        lines += [source.replace("x[", f"x{seed}["), target.replace("y[", f"y{seed}[") + f" : {bias}, tanh"]
        lines.append(connection.replace("x -> y", f"x{seed} -> y{seed}", 1))
    return "\n".join([*lines, "output " + ", ".join(f"y{first + at}" for at in range(EACH))]) + "\n"


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, 5, 10, 15])
def test_drawn_convolutions_pass_their_tests(
    first: int,
    tmp_path: Path,
    preferring: Callable[[str], AbstractContextManager[None]],
) -> None:
    spec = tmp_path / "net.nnspec"
    spec.write_text(network(first))
    with preferring("convolution"):
        assert {choice.kernel for choice in understand(spec).plan.choices} == {"convolution"}
        write(compile_spec(spec).files, tmp_path)
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "/", "test_net.py"]
    finished = processes.run(command, having="keras", cwd=tmp_path)
    assert finished.returncode == 0, finished.stdout[-8000:]
    assert "skipped" not in finished.stdout
