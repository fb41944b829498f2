"""The generated PyTorch module in two processes on one machine, by DistributedDataParallel and FSDP2."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_two_processes_train_as_one(compiled: Callable[[Path, str], Path], tmp_path: Path) -> None:
    """What holds is asserted in `two_processes.py`."""
    folders = [
        compiled(ROOT / "examples" / f"{name}.nnspec", "edges") for name in ("graph_mlp", "masked_dense")
    ]
    script = Path(__file__).parent / "two_processes.py"
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    environment["NNSPEC_CACHE"] = str(tmp_path / "cache")
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(tmp_path / "meeting"), *map(str, folders)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        reports = [process.communicate(timeout=120)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, report in zip(processes, reports, strict=True):
        assert process.returncode == 0, report[-4000:]
