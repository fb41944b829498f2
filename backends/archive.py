"""The stored arrays as an .npz whose bytes depend on them alone."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from ..compiler.plan.plan import Stored
from .common.kernels.stored import archive_digest


def npz(arrays: Iterable[Stored]) -> bytes:
    """An uncompressed .npz without dates and without what a compression library might change."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for stored in arrays:
            entry = zipfile.ZipInfo(f"{stored.name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, stored.array, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


@lru_cache(maxsize=1)  # each target of a build asks for the digest, and the build for the bytes
def archived(stored: tuple[Stored, ...]) -> tuple[bytes, str]:
    """An .npz of what a plan stores, and the digest by which modules know it."""
    content = npz(stored)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return content, archive_digest(archive)
