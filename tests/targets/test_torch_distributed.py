"""The generated PyTorch module in two processes on one machine, by DistributedDataParallel and FSDP2."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess

from .. import processes

ROOT = Path(__file__).parent.parent.parent


def test_two_processes_train_as_one(compiled: Callable[[Path, str], Path], tmp_path: Path) -> None:
    """What holds is asserted in `two_processes.py`."""
    folders = [
        compiled(ROOT / "examples" / f"{name}.nnspec", "edges") for name in ("graph_mlp", "masked_dense")
    ]
    script = Path(__file__).parent / "two_processes.py"
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    environment["NNSPEC_CACHE"] = str(tmp_path / "cache")

    def run(rank: int) -> CompletedProcess[str]:
        arguments = [str(script), str(rank), str(tmp_path / "meeting"), *map(str, folders)]
        return processes.run(arguments, env=environment)

    with ThreadPoolExecutor() as threads:
        for finished in threads.map(run, range(2)):
            assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr[-2000:]
