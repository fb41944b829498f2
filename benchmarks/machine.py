"""What the machine is that a benchmark runs on: every heading says it, since figures depend on its caches."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

CPUS = Path("/sys/devices/system/cpu")
CPUINFO = Path("/proc/cpuinfo")

# What a processor's maker is called in the names of tables; a machine without one of these has none.
MAKERS = {"GenuineIntel": "Intel", "AuthenticAMD": "AMD"}


def maker(cpuinfo: Path = CPUINFO) -> str:
    """Who made the processor, or what kind it is where the system does not say."""
    said = _said("vendor_id", cpuinfo)
    return MAKERS.get(said, said or platform.machine())


def described(cpuinfo: Path = CPUINFO, cpus: Path = CPUS) -> str:
    """The processor's name, the number of cores, and the size of each cache, in words.

    A cache that one core has for itself is `a core`; of others it is the size that the first core sees.
    """
    name = _said("model name", cpuinfo) or platform.machine()
    name = re.sub(r"\((R|TM|r|tm)\)", "", name)
    return ", ".join([" ".join(name.split()), f"{os.cpu_count()} cores", *_caches(cpus)])


def _said(what: str, cpuinfo: Path) -> str:
    try:
        found = re.search(rf"^{what}\s*:\s*(.+)$", cpuinfo.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return ""
    return found[1].strip() if found else ""


def _caches(cpus: Path) -> list[str]:
    found = list[str]()
    for index in sorted((cpus / "cpu0" / "cache").glob("index*")):
        try:
            level, kind, size, shared = (
                (index / what).read_text(encoding="utf-8").strip()
                for what in ("level", "type", "size", "shared_cpu_list")
            )
        except OSError:
            continue
        if kind != "Instruction":
            data = "d" if kind == "Data" else ""
            found.append(f"L{level}{data} {_size(size)}{' a core' if shared.isdigit() else ''}")
    return found or ["caches unknown"]


def _size(text: str) -> str:
    """`1024K` as `1 MB`."""
    kilobytes = int(text.removesuffix("K")) if text.endswith("K") else None
    if kilobytes is None:
        return text
    return f"{kilobytes} kB" if kilobytes < 1024 else f"{kilobytes / 1024:g} MB"
