"""Arrays from .npy and .npz files, and what files unpack to, told before anything is unpacked."""

from __future__ import annotations

import io
from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Bomb(Exception):
    """A file unpacks to more than it may."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(size)


def array_of(content: bytes) -> NDArray[Any]:
    """The array in a .npy file, a view of its bytes. Raises ValueError, in words for the user."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in read:
        raise ValueError(
            f"it is of version {version[0]}.{version[1]} of the format, and 1.0 and 2.0 are read"
        )
    shape, by_columns, kind = read[version](file)
    if kind.hasobject:
        raise ValueError("it holds Python objects, which are not read")
    if not kind.itemsize or any(size < 0 for size in shape):
        raise ValueError(f"its header says type {kind}, shape {list(shape)}")
    wanted, found = prod(shape) * kind.itemsize, len(content) - file.tell()
    if wanted > found:
        raise ValueError(f"its header promises {wanted:,} bytes, and it has {found:,}")
    array = np.frombuffer(content, kind, prod(shape), file.tell())
    return array.reshape(shape, order="F" if by_columns else "C")


def arrays_of(content: bytes, limit: int) -> dict[str, NDArray[Any]]:
    """All arrays in a .npz file. Raises `Bomb`, ValueError, and what `zipfile` raises on a damaged file."""
    from zipfile import ZipFile

    with ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        size = sum(entry.file_size for entry in entries)
        if size > limit:
            raise Bomb(size)
        if not all(entry.filename.endswith(".npy") for entry in entries):
            raise ValueError("it holds more than arrays")
        # An entry is never read beyond the size that stands in the directory.
        return {entry.filename.removesuffix(".npy"): array_of(archive.read(entry)) for entry in entries}


# ------------------------------------------------------------------------------------------------- Parquet


def parquet_size(content: bytes) -> tuple[int, int]:
    """How many bytes the pages of a .parquet file unpack to, and how many values are in them.

    Both are taken from the header of each page, which is what a reader goes by, rather than from the sums at
    the end of the file. Raises ValueError or IndexError if the file is damaged.
    """
    if content[:4] != b"PAR1" or content[-4:] != b"PAR1":
        raise ValueError("it does not begin and end with `PAR1`")
    length = int.from_bytes(content[-8:-4], "little")
    if length > len(content) - 12:
        raise ValueError("its footer is longer than the file")
    footer, _ = _struct(content, len(content) - 8 - length)
    size = values = 0
    for group in footer.get(4, []):
        for chunk in group[1]:
            for unpacked, count in _pages(content, chunk[3]):
                size, values = size + unpacked, values + count
    return size, values


def _pages(content: bytes, chunk: dict[int, Any]) -> Iterator[tuple[int, int]]:
    """Unpacked size and number of values of each page of a column chunk."""
    starts = [chunk[9], *([chunk[11]] if chunk.get(11) else [])]  # of data, and of a dictionary
    at, left = min(starts), chunk[7]
    while left > 0:
        header, after = _struct(content, at)
        packed = header[3]
        if packed < 0 or header[2] < 0:
            raise ValueError("a page has a negative size")
        page: dict[int, Any] = header.get(5) or header.get(8) or header.get(7) or {}
        yield header[2], page.get(1, 0)
        left -= after - at + packed
        at = after + packed


# The compact protocol of Thrift, in which Parquet writes what it says of itself: numbers of seven bits a
# byte, signed ones folded, and fields by the distance of their numbers.
_DEEPEST = 16


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while data[at] & 0x80:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if shift > 63:
            raise ValueError("a number in it is too long")
    return value | data[at] << shift, at + 1


def _signed(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return value >> 1 ^ -(value & 1), at


def _struct(data: bytes, at: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """The fields of a struct by number, and where it ends."""
    fields: dict[int, Any] = {}
    number = 0
    while head := data[at]:
        kind, step = head & 0x0F, head >> 4
        at += 1
        if step:
            number += step
        else:
            number, at = _signed(data, at)
        if kind in (1, 2):
            fields[number] = kind == 1
        else:
            fields[number], at = _value(data, at, kind, depth)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if depth > _DEEPEST:
        raise ValueError("it is nested too deep")
    match kind:
        case 1 | 2:  # in a list
            return data[at] == 1, at + 1
        case 3:
            return data[at], at + 1
        case 4 | 5 | 6:
            return _signed(data, at)
        case 7:
            return None, at + 8
        case 8:
            length, at = _varint(data, at)
            return None, at + length
        case 9 | 10:
            count, of = data[at] >> 4, data[at] & 0x0F
            at += 1
            if count == 15:
                count, at = _varint(data, at)
            items: list[Any] = []
            for _ in range(count):
                item, at = _value(data, at, of, depth + 1)
                items.append(item)
            return items, at
        case 12:
            return _struct(data, at, depth + 1)
        case _:
            raise ValueError(f"it has a field of the kind {kind}")
