"""Runs Python as in a process of its own, without waiting for its imports: in a fork of one that has them.

Importing TensorFlow takes longer than most of what is run with it. A server imports what takes long and forks
for each call: what that does to modules, to its environment or to its folder is gone when it ends. Tests of
how a command starts, and of what it imports then, start it themselves.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from subprocess import CompletedProcess

# What a server imports, by what a call says it needs; the others are forks of the first one. Keras is on
# TensorFlow; on another backend, a call of `torch` imports it. `torch._dynamo` is what PyTorch itself imports
# late, for forward derivatives, too.
FIRST = "torch"
IMPORTS = {
    FIRST: ("numpy", "pytest", "torch", "torch._dynamo"),
    "keras": ("tensorflow", "keras"),
    "spec-compile": ("nnspec.backends.emit", "nnspec.compiler.command.main"),
}
SECONDS = 3600
SPEC_COMPILE = ("-c", "from nnspec.compiler.command.main import main; main(prog_name='spec-compile')")


def run(
    arguments: Sequence[str],
    *,
    having: str = "torch",
    cwd: str | Path = ".",
    env: Mapping[str, str] | None = None,
) -> CompletedProcess[str]:
    """`python ARGUMENTS`, which begin with `-m MODULE`, `-c CODE` or a script, as `subprocess.run` has it.

    Of what Python reads from the environment when it starts, PYTHONPATH alone is heeded.
    """
    import tempfile
    from subprocess import CompletedProcess

    with Path(os.devnull).open() as nothing, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        environment = dict(os.environ if env is None else env)
        streams = [stream.fileno() for stream in (nothing, out, err)]
        status = _call(_server(having), arguments, str(Path(cwd).resolve()), environment, streams)
        texts: list[str] = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    return CompletedProcess([*arguments], status, *texts)


def commands(having: str = "spec-compile") -> str:
    """A folder with `python` and `spec-compile` for a shell, both of which are calls of the server."""
    address = _server(having)
    folder = Path(address).parent
    for name, first in (("python", ""), ("spec-compile", "spec-compile")):
        command = f'exec "{sys.executable}" -IS "{__file__}" call "{address}" {first} "$@"\n'
        new = folder / f"{name}.{os.getpid()}"
        new.write_text(f"#!/bin/sh\n{command}")
        new.chmod(0o755)
        new.replace(folder / name)
    return str(folder)


@cache
def _server(having: str) -> str:
    """The address of a server, which all workers of a run of tests share. It ends when that run does."""
    import fcntl
    import subprocess
    import tempfile

    owner = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    folder = Path(tempfile.gettempdir(), f"nnspec-processes-{os.getuid()}-{owner}")
    folder.mkdir(mode=0o700, exist_ok=True)
    assert folder.stat().st_uid == os.getuid(), f"{folder} is somebody else's"
    address = folder / having / "socket"
    address.parent.mkdir(exist_ok=True)
    with (address.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _answers(address):
            address.unlink(missing_ok=True)
            start = ["-P", __file__] if having == FIRST else ["-IS", __file__, "call", _server(FIRST)]
            command = [sys.executable, *start, "serve", str(address), str(owner), *IMPORTS[having]]
            server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"
    return str(address)


def _answers(address: Path) -> bool:
    """Whether a server listens there: one that was killed leaves its address behind."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(address))
        except OSError:
            return False
    return True


def _call(
    address: str, arguments: Sequence[str], cwd: str, env: Mapping[str, str], streams: Sequence[int]
) -> int:
    """The exit status of a call; 1 if it was ended."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [b"streams"], streams)
        with connection.makefile("rw") as file:
            file.write(json.dumps({"arguments": [*arguments], "cwd": cwd, "env": dict(env)}) + "\n")
            file.flush()
            return int(file.readline() or 1)


def _serve(address: str, owner: str, *imported: str) -> None:
    """Fork for each call, until the process with the number `owner` has ended."""
    import gc
    import select
    import shutil
    import signal
    from contextlib import suppress
    from importlib import import_module

    signal.alarm(0)  # which a fork of the first one has set
    os.fsync = lambda fd: None  # as in `conftest.py`
    for name in imported:
        import_module(name)
    gc.collect()
    gc.freeze()  # else each fork would look through all that is imported, and have a copy of it
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        print("ready", flush=True)
        while _runs(int(owner)):
            if select.select([listening], [], [], 1)[0]:
                connection, _ = listening.accept()
                if os.fork() == 0:
                    listening.close()
                    _become(connection)
                connection.close()
            _reap(os.WNOHANG)
    _reap(0)
    shutil.rmtree(Path(address).parent)
    with suppress(OSError):  # another server of the same run is there
        Path(address).parent.parent.rmdir()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _reap(how: int) -> None:
    try:
        while os.waitpid(-1, how)[0]:
            pass
    except ChildProcessError:
        pass


def _become(connection: socket.socket) -> NoReturn:
    """The process that was asked for."""
    import atexit
    import random
    import signal
    import threading
    import traceback

    import numpy as np

    # A module that is written twice within a second would be taken from the cache of its first form.
    sys.dont_write_bytecode = True
    status = 1
    file = connection.makefile("rw")
    try:
        signal.alarm(SECONDS)
        streams = socket.recv_fds(connection, len(b"streams"), 3)[1]
        if not streams:  # somebody asked whether there is a server
            os._exit(0)
        for stream, given in enumerate(streams):
            os.dup2(given, stream)
            os.close(given)
        for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
            held = getattr(sys, name)
            errors = held.errors if name == "stderr" else None
            stream = open(held.fileno(), mode, encoding=held.encoding, errors=errors, closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
        call: dict[str, Any] = json.loads(file.readline())
        os.chdir(call["cwd"])
        own = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        os.environ.clear()
        os.environ.update(call["env"])
        there = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
        sys.path[:] = there + [path for path in sys.path if path not in own]
        np.random.seed()  # else all forks would draw the same
        random.seed()
        _execute(*call["arguments"])
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if not isinstance(ended.code, int | None):
            print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        threading._shutdown()  # pyright: ignore[reportAttributeAccessIssue]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        file.write(f"{status}\n")
        file.flush()
        os._exit(status)


def _execute(first: str, *rest: str) -> None:
    """What Python does with its arguments."""
    import runpy

    if first == "spec-compile":
        first, *rest = *SPEC_COMPILE, *rest
    if first == "serve":
        _serve(*rest)
    elif first == "-m":
        module, *sys.argv[1:] = rest
        sys.path.insert(0, str(Path.cwd()))
        if not hasattr(sys.modules.get(module), "__path__"):
            sys.modules.pop(module, None)
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    elif first == "-c":
        code, *arguments = rest
        sys.argv[:] = ["-c", *arguments]
        sys.path.insert(0, "")
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv[:] = [first, *rest]
        sys.path.insert(0, str(Path(first).resolve().parent))
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    what, address, *rest = sys.argv[1:]
    if what == "serve":
        _serve(address, *rest)
    else:
        sys.exit(_call(address, rest, str(Path.cwd()), os.environ, (0, 1, 2)))
