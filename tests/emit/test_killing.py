"""Killed at any moment, the compiler leaves the old files or the new ones, whole."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# Writes two sets of five files in turn, for ever. A file's content names its set.
WRITER = """
import sys
from pathlib import Path
from nnspec.backends.emit import write
folder = Path(sys.argv[1])
sets = [{f"part{n}.npz": (which * 200_000).encode() for n in range(5)} for which in "ab"]
print("ready", flush=True)
while True:
    for files in sets:
        write(files, folder)
"""


@pytest.mark.parametrize("kills", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_killing_leaves_a_whole_set(kills: int, tmp_path: Path) -> None:
    rng = random.Random(0)
    seen: set[str] = set()
    for _ in range(kills):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, start_new_session=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.15))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        # A renaming that had begun goes on in its own session; it takes well under this.
        time.sleep(0.15)
        contents = {path.name: path.read_bytes() for path in tmp_path.glob("part*.npz")}
        assert len(contents) in (0, 5)
        assert len({content[:1] for content in contents.values()}) <= 1, "files of two sets side by side"
        assert all(len(content) == 200_000 for content in contents.values())
        seen |= {hashlib.sha256(content).hexdigest() for content in contents.values()}
    assert len(seen) == 2, "the kills came too early to see both sets"


def test_what_killed_compilers_left_behind_is_removed(tmp_path: Path) -> None:
    from nnspec.backends.emit import write

    finished = subprocess.Popen([sys.executable, "-c", ""])
    finished.wait()
    (tmp_path / f".nnspec-{finished.pid}-abc").mkdir()
    write({"part.npz": b"x"}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["part.npz"]
