"""From a spec to a module that is ready to use, in one call: `load("net.nnspec", target="torch")`."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from ..backends.emit import write
from ..backends.registry import TARGETS
from ..dsl.words import suggest
from .defaults import BATCH
from .pipeline import TEXT, compile_spec


def load(
    path: str | Path = TEXT,
    target: str = "torch",
    *,
    text: str | None = None,
    batch: int = BATCH,
    name: str | None = None,
    params: Mapping[str, int | float] | None = None,
    remat: int = 0,
    **overrides: int | float,
) -> ModuleType:
    """Compile a spec for one target and import the module: `load("net.nnspec", width=64).Net()`.

    The files are kept in a folder of their own, named for the hash of their content, below the folder that
    the environment variable `NNSPEC_CACHE` names, or else below `nnspec` in the user's folder for caches. The
    same spec, params and files therefore give the same module, in one process the same object. Whoever keeps
    the generated code under version control has no use for this: `spec-compile` writes it.

    Args:
        path: the spec.
        target: `torch`, `keras` or `numpy`.
        text: the spec itself; nothing is read at `path` then. What it loads is beside `path`, or in the
            current folder.
        batch: what kernels are chosen for; any other batch works as well.
        name: a name for the model instead of the spec's own.
        params: params of the spec, for names that this function has a use of its own for.
        remat: after how many steps PyTorch keeps a state of a network over time, computing what is between
            again for gradients; 0 keeps all.
        overrides: further params, by name.

    Raises:
        SpecError: the spec has errors; the message has them all.
        UnknownParam: the spec does not declare a param.
        ValueError: there is no such target, or `name` is no identifier.
        ModuleNotFoundError: the target's framework is not installed.
        OSError: the folder for caches cannot be written to.
    """
    if target not in TARGETS:
        guess = suggest(target, TARGETS)
        hint = f"did you mean {guess!r}?" if guess else f"there are {', '.join(TARGETS)}"
        raise ValueError(f"no target is called {target!r}; {hint}")
    chosen = {**(params or {}), **overrides}
    build = compile_spec(path, [target], chosen, batch, text=text, name=name, remat=remat)
    hasher = hashlib.sha256()
    for file, content in sorted(build.files.items()):
        hasher.update(f"{file}\0{len(content)}\0".encode() + content)
    digest = hasher.hexdigest()[:32]
    module = f"{build.passage.model.name}_{target}"
    folder = _caches() / f"{module}_{digest}"
    qualified = f"{module}_{digest}"
    if qualified not in sys.modules:
        # A file there that is not as it was written is written again: nobody's work is kept in a cache.
        write(build.files, folder, force=True)
        _import(qualified, folder / f"{module}.py")
    return sys.modules[qualified]


def _caches() -> Path:
    """The folder that holds what is compiled for `load`."""
    if chosen := os.environ.get("NNSPEC_CACHE"):
        return Path(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("nnspec", appauthor=False)


def _import(name: str, path: Path) -> None:
    """Import a file under a name of its own, so that two sizes of a spec are two modules."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
