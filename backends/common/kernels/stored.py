"""Edges and given values from the file beside a generated module."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np


def load_stored(module: str, name: str, digest: str) -> dict[str, np.ndarray]:
    """All arrays of the file `name` in the folder of the module whose `__file__` is given.

    Raises ValueError if `archive_digest` is not `digest`: the module was compiled with other arrays.
    """
    path = Path(module).with_name(name)
    again = "Compile the spec again, for every target that is in use."
    try:
        with zipfile.ZipFile(path) as archive:
            if archive_digest(archive) != digest:
                raise ValueError(f"{path} is not the file that {module} was compiled with. {again}")
            arrays: dict[str, np.ndarray] = {}
            for entry in archive.namelist():
                with archive.open(entry) as file:
                    arrays[entry.removesuffix(".npy")] = np.lib.format.read_array(file, allow_pickle=False)
            return arrays
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path}, which {module} reads, is damaged: {error}. {again}") from error


def archive_digest(archive: zipfile.ZipFile) -> str:
    """What tells stored arrays from others: a digest of each one's name, size and CRC-32.

    These stand in the archive's directory, so that no array is read for it. Whoever reads an array compares
    its CRC-32.
    """
    entries = "".join(f"{e.filename} {e.file_size} {e.CRC:08x}\n" for e in archive.infolist())
    return hashlib.sha256(entries.encode()).hexdigest()[:16]


def edges_of(stored: Mapping[str, np.ndarray], connection: str) -> tuple[np.ndarray, np.ndarray]:
    """Source and target unit of every edge of a connection, sorted by (target, source)."""
    return stored[f"{connection}.source"], stored[f"{connection}.target"]
