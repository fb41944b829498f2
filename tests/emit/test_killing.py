"""Killed at any moment, the compiler leaves the old files or the new ones, whole."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from nnspec.backends import emit
from nnspec.backends.emit import _LOCK, _remove_abandoned, replace_files

# Writes two sets of five files in turn, for ever. A file's content names its set.
WRITER = """
import sys
from pathlib import Path
from nnspec.backends import emit
from nnspec.backends.emit import replace_files
folder = Path(sys.argv[1])
emit._FORKS = sys.argv[2] == "copy"
sets = [{folder / f"part{n}.npz": (which * 200_000).encode() for n in range(5)} for which in "ab"]
print("ready", flush=True)
while True:
    for files in sets:
        replace_files(files)
"""


def wait_for_renaming(folder: Path) -> None:
    """Wait until no renaming goes on, each in a session of its own: it holds its scratch folder's lock."""
    until = time.monotonic() + 60
    while any(folder.glob(".nnspec-*")):
        assert time.monotonic() < until, "a renaming does not end"
        _remove_abandoned(folder)
        time.sleep(0.005)


# As it is when this is imported: the tests of everything else rename without a copy of their process.
RENAME_IN_COPY = emit._rename_in_copy

# Where the renaming is done: in a copy of the compiler's process, or in a new one.
WAYS = ["copy", "new"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kills", [4, pytest.param(200, marks=pytest.mark.slow)])
def test_killing_leaves_a_whole_set(kills: int, way: str, tmp_path: Path) -> None:
    """So many times, and more where the kills come too early to see both sets."""
    rng = random.Random(0)
    seen: set[str] = set()
    for number in range(kills + 100):
        if number >= kills and len(seen) == 2:
            break
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), way], stdout=subprocess.PIPE, start_new_session=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.25))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        wait_for_renaming(tmp_path)
        contents = {path.name: path.read_bytes() for path in tmp_path.glob("part*.npz")}
        assert len(contents) in (0, 5)
        assert len({content[:1] for content in contents.values()}) <= 1, "files of two sets side by side"
        assert all(len(content) == 200_000 for content in contents.values())
        seen |= {hashlib.sha256(content).hexdigest() for content in contents.values()}
    assert len(seen) == 2, "only one of both sets was ever seen"


# Writes two files and prints a line for each; the renaming, and what follows each file, wait for a gate: a
# file that the test makes. Interrupts arrive even if whoever started the tests had them ignored.
SLOW = """
import os, signal, sys, time
from pathlib import Path
from nnspec.backends import emit
signal.signal(signal.SIGINT, signal.default_int_handler)
folder, gates, way = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
emit._FORKS = way == "copy"
def wait(gate):
    while not os.path.exists(os.path.join(gates, gate)):
        time.sleep(0.02)
replace, setsid = os.replace, os.setsid
os.replace = lambda *pair: (replace(*pair), wait("second"))
os.setsid = lambda: (setsid(), wait("first"))
WAIT = (
    "def wait(gate):\\n"
    "    import os, time\\n"
    f"    while not os.path.exists(os.path.join({gates!r}, gate)):\\n"
    "        time.sleep(0.02)\\n"
    "wait('first')\\n"
)
emit._RENAME = WAIT + emit._RENAME.replace("os.replace(*pair)", "(os.replace(*pair), wait('second'))")
flushed = emit._write_flushed
def told(path, content):
    flushed(path, content)
    print(path, flush=True)
emit._write_flushed = told
emit.replace_files({folder / "slow.txt": b"whole", folder / "other.txt": b"whole"})
"""


@pytest.fixture
def gates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of files that `SLOW` waits for."""
    return tmp_path_factory.mktemp("gates")


def test_what_killed_compilers_left_behind_is_removed(tmp_path: Path) -> None:
    for name, files in ((".nnspec-abcd_123", [_LOCK, "0"]), (".nnspec-abcd_124", []), ("mine", ["0"])):
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).write_bytes(b"")
    replace_files({tmp_path / "part.npz": b"x"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "part.npz"]


@pytest.mark.parametrize("way", WAYS)
def test_a_scratch_folder_is_kept_while_anybody_needs_it(way: str, tmp_path: Path, gates: Path) -> None:
    """By its compiler, and, once that is killed, by what renames: it is no matter what processes are seen."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(tmp_path), str(gates), way],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    replace_files({tmp_path / "part.txt": b"1"})
    assert process.stdout.readline(), "both files are written"
    time.sleep(0.3)  # until the renaming has begun
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    replace_files({tmp_path / "part.txt": b"2"})
    (scratch,) = tmp_path.glob(".nnspec-*")
    assert not (tmp_path / "slow.txt").exists()
    for gate in ("first", "second"):
        (gates / gate).touch()
    deadline = time.monotonic() + 60
    while not ((tmp_path / "slow.txt").exists() and (tmp_path / "other.txt").exists()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    while scratch.exists():
        assert time.monotonic() < deadline
        replace_files({tmp_path / "part.txt": b"3"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.txt", "part.txt", "slow.txt"]


@pytest.mark.parametrize("way", WAYS)
def test_an_interrupt_leaves_a_whole_set(way: str, tmp_path: Path, gates: Path) -> None:
    (gates / "first").touch()
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(tmp_path), str(gates), way], stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    while not (tmp_path / "slow.txt").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    (gates / "second").touch()
    assert b"KeyboardInterrupt" in process.stderr.read()
    assert process.wait() != 0
    process.stderr.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.txt", "slow.txt"]


@pytest.mark.parametrize("forks", [True, False])
def test_a_renaming_that_fails_is_told(forks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emit, "_FORKS", forks)
    monkeypatch.setattr(emit, "_rename_in_copy", RENAME_IN_COPY)
    written = emit._write_flushed

    def vanished(path: Path, content: bytes) -> None:
        written(path, content)
        (tmp_path / "part.npz").mkdir(exist_ok=True)  # by somebody else, at this moment

    monkeypatch.setattr(emit, "_write_flushed", vanished)
    with pytest.raises(OSError, match="directory"):
        replace_files({tmp_path / "part.npz": b"x"})
    assert [path.name for path in tmp_path.iterdir()] == ["part.npz"]


def test_a_folder_that_vanishes_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another compiler takes a folder without a lock for abandoned, and may be as quick as that."""
    made, opened, calls = tempfile.mkdtemp, os.open, list[str]()

    def swept(*arguments: Any, **options: Any) -> str:
        folder = made(*arguments, **options)
        calls.append(folder)
        if len(calls) == 1:
            _remove_abandoned(tmp_path)
        return folder

    def swept_later(*arguments: Any, **options: Any) -> int:
        file = opened(*arguments, **options)
        if len(calls) == 2 and not calls[1].startswith("gone"):
            calls[1] = "gone"
            _remove_abandoned(tmp_path)
        return file

    monkeypatch.setattr(tempfile, "mkdtemp", swept)
    monkeypatch.setattr(os, "open", swept_later)
    replace_files({tmp_path / "part.txt": b"x"})
    assert len(calls) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["part.txt"]


@pytest.mark.slow  # ten thousand files
def test_more_files_are_written_than_fit_a_command_line(tmp_path: Path) -> None:
    files = {tmp_path / f"{n:0>240}": b"x" for n in range(5_000)}
    assert sum(2 * len(str(path)) for path in files) > 2 << 20, "what Linux takes with a stack of 8 MiB"
    replace_files(files)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files
