"""The plan to files: rendering, and writing that loses nothing."""

from __future__ import annotations

import errno
import io
import os
import re
import shutil
import stat
import sys
import tempfile
import warnings
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from enum import Enum
from functools import cache
from pathlib import Path
from typing import BinaryIO

from ..compiler.plan.plan import Plan
from ..dsl.records import record
from .archive import archived
from .headers import Made, Origin, origin_of, with_header, with_kernels_header, with_stamp, without_stamp
from .kernels import (
    COMMON,
    FRAMEWORKS,
    Definition,
    closure,
    import_block,
    imports_from_beside,
    imports_of,
    module_of,
    names_of,
)
from .registry import TARGETS
from .target import Rendering, Target
from .templates import filled
from .tests.target import render as render_tests

if sys.platform != "win32":
    import fcntl

MODULE = "module.py.j2"


class Kernels(Enum):
    """Where generated modules have their kernels.

    Copied into each of them, or in modules beside, imported as such or, from within a package, relatively:
    `nnspec_<target>.py`, and `nnspec_common.py` with what all targets have.
    """

    INSIDE = "inside"
    BESIDE = "beside"
    PACKAGE = "package"

    @property
    def dot(self) -> str:
        """What stands before the name of a module beside, where it is imported."""
        return "." if self is Kernels.PACKAGE else ""


def emit(
    plan: Plan, targets: Sequence[Target], made: Made, kernels: Kernels = Kernels.INSIDE
) -> dict[str, bytes]:
    """The files of a build by name: a module for every target and the stored arrays, if there are any.

    Kernels beside are the same bytes whatever the plan.
    """
    files: dict[str, bytes] = {}
    for target in targets:
        body = module(target, target.render(plan), kernels)
        files[f"{plan.graph.name}_{target.name}.py"] = with_header(body, made)
    names = [target.name for target in targets]
    tests = Target("tests", "tests", lambda made_plan: render_tests(made_plan, names), guarded=FRAMEWORKS)
    files[f"test_{plan.graph.name}.py"] = with_header(module(tests, tests.render(plan), kernels), made)
    if kernels is not Kernels.INSIDE:
        for each in (*targets, tests):
            body = _kernels_of(each.name, each.registered, each.guarded, kernels.dot)
            files[f"{module_of(each.name)}.py"] = with_kernels_header(body, each.name, made.version)
        files[f"{module_of(COMMON)}.py"] = with_kernels_header(_common_kernels(), COMMON, made.version)
    if plan.stored:
        files[f"{plan.graph.name}.npz"] = with_stamp(archived(plan.stored)[0], made)
    return files


def module(target: Target, rendering: Rendering, kernels: Kernels = Kernels.INSIDE) -> str:
    """The text of a module: the template with kernels copied in or imported, and imports merged."""
    imports = set(rendering.needs.imports)
    if kernels is not Kernels.INSIDE:
        imports |= imports_from_beside(target.name, rendering.needs.kernels, within=kernels.dot)
        block = import_block(imports, target.guarded)
        return filled(
            target.name, MODULE, {**rendering.context, "imports": block, "kernels": "", "registered": ()}
        )
    copied = closure(target.name, set(rendering.needs.kernels))
    values = {
        "imports": import_block(imports | imports_of(copied), target.guarded),
        "kernels": _sources(copied),
        "registered": sorted(target.registered.intersection(definition.name for definition in copied)),
    }
    return filled(target.name, MODULE, {**rendering.context, **values})


@cache
def _kernels_of(target: str, registered: frozenset[str], guarded: frozenset[str], dot: str) -> str:
    """The text of the module that holds a target's kernels, for models beside it to import."""
    common = names_of(COMMON)
    own = [kernel for kernel in closure(target, set(names_of(target))) if kernel.name not in common]
    shared = {name for kernel in own for name in kernel.uses & common}
    imports = imports_of(own) | imports_from_beside(target, shared, within=dot)
    values = {
        "said": f"What generated modules for {target} are made of, whichever model they are.",
        "imports": import_block(imports, guarded, later=True),
        "kernels": _sources(own),
        "registered": sorted(registered),
        "later": sorted(guarded),
    }
    return filled(target, "kernels.py.j2", values)


@cache
def _common_kernels() -> str:
    """The text of the module that holds the kernels of all targets."""
    kernels = closure(COMMON, set(names_of(COMMON)))
    values = {
        "said": "What generated modules for all targets are made of, whichever model they are.",
        "imports": import_block(imports_of(kernels)),
        "kernels": _sources(kernels),
    }
    return filled(COMMON, "kernels.py.j2", values)


def _sources(definitions: Iterable[Definition]) -> str:
    return "\n\n\n".join(definition.source for definition in definitions)


# ------------------------------------------------------------------------------- what stands at a place


class State(Enum):
    """What stands at the place of a file of a build. `write` replaces a stale one, others only by force."""

    MISSING = "missing"
    CURRENT = "unchanged"
    STALE = "stale"
    EDITED = "edited by hand"
    FOREIGN = "not written by spec-compile"
    OTHER = "made from something else"
    READ = "read by a spec"


@record
class Found:
    """What stands at a place, what that says of itself, and what the file that belongs there says."""

    path: Path
    state: State
    held: Origin | None = None
    ours: Origin | None = None


def find(files: Mapping[str, bytes], folder: Path, reads: Iterable[Path] = ()) -> list[Found]:
    """What stands at the places of the files of a build, made from specs that read the files `reads`.

    Raises OSError where something else than a regular file is, which is not opened.
    """
    read = {(s.st_dev, s.st_ino) for s in (path.stat() for path in reads if path.exists())}
    return [_found(folder / name, content, read) for name, content in files.items()]


def _found(path: Path, content: bytes, read: Collection[tuple[int, int]]) -> Found:
    place = ordinary_file(path)
    if not place.exists():
        return Found(path, State.MISSING)
    ours = origin_of(io.BytesIO(content))
    with place.open("rb") as file:
        status = os.fstat(file.fileno())
        if (status.st_dev, status.st_ino) in read:
            return Found(path, State.READ)
        if _holds(file, content):
            return Found(path, State.CURRENT, ours, ours)
        # Earlier compilers put no stamp on an .npz. To replace one of the same arrays loses nothing.
        if _holds(file, without_stamp(content)):
            return Found(path, State.STALE)
        held = origin_of(file)
    if held is None or ours is None:
        return Found(path, State.FOREIGN)
    if held.edited:
        return Found(path, State.EDITED, held, ours)
    return Found(path, State.STALE if held.is_of(ours) else State.OTHER, held, ours)


def _holds(file: BinaryIO, content: bytes) -> bool:
    """Whether an open file has this content."""
    if file.seek(0, os.SEEK_END) != len(content):
        return False
    file.seek(0)
    return file.read() == content


def left_over(files: Mapping[str, bytes], folder: Path) -> list[Path]:
    """Files of a build's models that earlier builds have left in its folder, and that do not fit it.

    They are modules for other targets, made from other inputs, and an .npz where nothing is stored any more.
    """
    modules = [origin_of(io.BytesIO(content)) for content in files.values() if not content.startswith(b"PK")]
    old: list[Path] = []
    for made in dict.fromkeys(origin for origin in modules if origin):
        for name in [*(f"{made.model}_{target}.py" for target in TARGETS), f"{made.model}.npz"]:
            path = folder / name
            if name in files or not path.is_file():
                continue
            with path.open("rb") as file:
                held = origin_of(file)
            if held and (held.spec, held.model or made.model) == (made.spec, made.model):
                old += [path] * (held.inputs != made.inputs)
    return old


# ---------------------------------------------------------------------------------------------- writing


class Refused(Exception):
    """Files that would have been lost, and what they are."""

    def __init__(self, found: Sequence[Found]) -> None:
        self.found = tuple(found)
        super().__init__(", ".join(f"{each.path}: {each.state.value}" for each in found))


def write(
    files: Mapping[str, bytes], folder: Path, *, force: bool = False, reads: Iterable[Path] = ()
) -> list[Path]:
    """Write a build, all files or none, and return the paths of those that changed.

    Raises `Refused` if a file there is not as this compiler wrote it for the same spec, model and params,
    unless `force`; and even so if it is one of `reads`, the files that specs read. Raises OSError if
    something else than a regular file is there, or a file cannot be written.
    """
    return write_folders({folder: files}, force=force, reads=reads)


def write_folders(
    builds: Mapping[Path, Mapping[str, bytes]], *, force: bool = False, reads: Iterable[Path] = ()
) -> list[Path]:
    """Write builds into their folders, all files or none: `write` for several folders."""
    reads = tuple(reads)
    found = {folder: find(files, folder, reads) for folder, files in builds.items()}
    replaced = {State.MISSING, State.CURRENT, State.STALE}
    if force:
        replaced |= {State.EDITED, State.FOREIGN, State.OTHER}
    if refused := [each for own in found.values() for each in own if each.state not in replaced]:
        raise Refused(refused)
    changed = {
        each.path: builds[folder][each.path.name]
        for folder, own in found.items()
        for each in own
        if each.state is not State.CURRENT
    }
    for folder in builds:
        folder.mkdir(parents=True, exist_ok=True)
    replace_files(changed)
    return list(changed)


def replace_files(files: Mapping[Path, bytes]) -> None:
    """Replace files, all or none: written and flushed to disk beside their places, then renamed together.

    A symbolic link stays one: what it leads to is replaced. Killing this process at any moment leaves the old
    files or the new ones: the renaming is done by a process of its own, in a session of its own. Raises
    OSError, with nothing changed, if something cannot be written, or is not a regular file.
    """
    places: dict[Path, Path] = {}
    for path in files:
        place = ordinary_file(path)
        if place in places:
            raise OSError(errno.EEXIST, f"is the same file as {places[place]}", str(path))
        places[place] = path
    scratch: dict[Path, tuple[Path, int]] = {}
    renames: list[bytes] = []
    with ExitStack() as stack:
        for place, path in places.items():
            with _blaming(path):
                if place.parent not in scratch:
                    scratch[place.parent] = stack.enter_context(_scratch_folder(place.parent))
                temporary = scratch[place.parent][0] / str(len(renames))
                _write_flushed(temporary, files[path])
                temporary.chmod(place.stat().st_mode & 0o777 if place.exists() else 0o666 & ~_umask())
            renames += [os.fsencode(temporary), os.fsencode(place)]
        if renames:
            _rename(renames, [*scratch.values()])


@contextmanager
def _blaming(path: Path) -> Generator[None]:
    """Let errors name a file that people know, and not the temporary one, or none."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def ordinary_file(path: Path) -> Path:
    """The ordinary file that a path leads to, there already or not: links are followed, never replaced.

    Raises OSError if anything but a file is there.
    """
    place = Path(os.path.realpath(path))
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return place
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder, where a file is to be written", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "is not an ordinary file, and is left alone", str(path))
    return place


def _write_flushed(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


# To start Python anew takes a third of what a small compilation does. Elsewhere a copy of a process with
# threads is not safe, or there is none.
_FORKS = sys.platform == "linux"


def _rename(renames: Sequence[bytes], scratch: Sequence[tuple[Path, int]]) -> None:
    """Rename pairs of paths in a process of its own, which holds the locks of scratch folders, too."""
    if _FORKS:
        _rename_in_copy(renames)
    else:
        _rename_in_new(renames, scratch)


def _rename_in_copy(renames: Sequence[bytes]) -> None:
    """Rename in a copy of this process, which does nothing else."""
    this, copy, status = os.getpid(), 0, errno.EIO
    try:
        with warnings.catch_warnings():
            # What is dangerous in a copy of a process with threads is to wait for another thread.
            warnings.simplefilter("ignore", DeprecationWarning)
            copy = os.fork()
        if not copy:
            os.setsid()
            for old, new in zip(renames[::2], renames[1::2], strict=True):
                os.replace(old, new)
            status = 0
    except OSError as error:
        if os.getpid() == this:
            raise
        status = error.errno or errno.EIO
    finally:
        if os.getpid() != this:
            os._exit(status)
    try:
        _, ended = os.waitpid(copy, 0)
    except BaseException:  # an interrupt from the keyboard, say: what has begun is finished before
        os.waitpid(copy, 0)
        raise
    if ended:
        reason = os.waitstatus_to_exitcode(ended)
        reason = reason if reason > 0 else errno.EIO
        raise OSError(reason, f"the files could not be renamed: {os.strerror(reason)}")


def _rename_in_new(renames: Sequence[bytes], scratch: Sequence[tuple[Path, int]]) -> None:
    """Rename in a Python of its own.

    The pairs are in a file: there may be more than fit a command line, and of a pipe whose writer is killed
    the reader would see a part.
    """
    import subprocess

    pairs = scratch[0][0] / "renames"
    with _blaming(pairs.parent.parent):
        pairs.write_bytes(b"\0".join(renames))
    command = [sys.executable, "-I", "-S", "-c", _RENAME, str(pairs)]
    locks = [] if sys.platform == "win32" else [lock for _, lock in scratch]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, pass_fds=locks)
    try:
        _, errors = process.communicate()
    except BaseException:
        process.wait()
        raise
    if process.returncode:
        reason = errors.decode(errors="replace").strip().rpartition("\n")[2]
        raise OSError(errno.EIO, reason or "the files could not be renamed")


_RENAME = (
    "import os, sys; names = open(sys.argv[1], 'rb').read().split(b'\\0'); "
    "[os.replace(*pair) for pair in zip(names[::2], names[1::2])]"
)

# -------------------------------------------------------------------------------------- scratch folders

_SCRATCH = ".nnspec-"
_SCRATCH_NAME = re.compile(re.escape(_SCRATCH) + r"[a-z0-9_]{8}")  # as `mkdtemp` names it
_LOCK = ".in-use-by-nnspec"


@contextmanager
def _scratch_folder(parent: Path) -> Generator[tuple[Path, int]]:
    """A folder for files that are to be renamed into `parent`, and a file in it that stays locked.

    The lock ends with the last process that holds it, in whichever PID namespace and however it ends; then
    whoever comes next removes the folder.
    """
    _remove_abandoned(parent)
    folder, lock = _lock_scratch(parent)
    try:
        yield folder, lock
    finally:
        os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)


def _lock_scratch(parent: Path) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=parent))
        try:
            lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        except FileNotFoundError:
            continue  # another compiler has met the folder before it was locked, and removed it
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        _locks(lock, wait=True)
        if os.fstat(lock).st_nlink:
            return folder, lock
        os.close(lock)


def _locks(file: int, *, wait: bool) -> bool:
    """Lock an open file; False if another process has, or where there are no such locks."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_abandoned(parent: Path) -> None:
    """Remove the scratch folders of compilers that were killed before they could."""
    for folder in parent.glob(f"{_SCRATCH}*"):
        if not _SCRATCH_NAME.fullmatch(folder.name) or folder.is_symlink():
            continue
        with suppress(OSError):  # a folder that is in use, or another's, is none of our business
            folder.rmdir()  # its compiler was killed before it could lock it
            continue
        with suppress(OSError):
            lock = os.open(folder / _LOCK, os.O_RDWR)
            if _locks(lock, wait=False):
                shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


@cache
def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
