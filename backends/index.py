"""Makes `kernel_index.py`: `python -m nnspec.backends.index`, after a kernel was changed.

Until then the kernel is read anew in every compilation, which is right and slow.
"""

from __future__ import annotations

from pathlib import Path

from .kernels import COMMON, TARGETS_WITH_KERNELS, digest_of, modules_of, outlines, place_of, read

PLACE = Path(__file__).with_name("kernel_index.py")
_HEAD = '''"""Where kernels stand in their modules, and what they name; `nnspec.backends.index` makes it."""

from __future__ import annotations

Known = tuple[str, int, int, tuple[str, ...], tuple[str, ...], tuple[tuple[str, str], ...]]

INDEX: dict[str, tuple[int, tuple[Known, ...]]] = {
'''


def index() -> str:
    """The module of the index, for all kernels as they are."""
    lines = [_HEAD]
    for path in modules_of(COMMON, *TARGETS_WITH_KERNELS):
        text = read(path)
        lines.append(f"    {place_of(path)!r}: ({digest_of(text)}, (\n")
        lines += [f"        {tuple(outline)!r},\n" for outline in outlines(text)]
        lines.append("    )),\n")
    return "".join([*lines, "}\n"])


if __name__ == "__main__":
    PLACE.write_text(index(), encoding="utf-8")
