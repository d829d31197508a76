"""How much of the machine is ours: cores and memory, as the kernel and the container's limits say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_CGROUPS: Final = Path("/sys/fs/cgroup")
_OWN: Final = Path("/proc/self/cgroup")
# Version 1 says "no limit" by a number of about 2**63.
_NO_LIMIT: Final = 1 << 60


def allowed_cores(cgroups: Path = _CGROUPS, own: Path = _OWN) -> int:
    """Return how many cores may be used at once: the affinity, or the CPU limit rounded down; at least 1."""
    cores = float(len(os.sched_getaffinity(0)))
    for folder in _folders(cgroups, own, "cpu"):
        cores = min(cores, _quota(folder))
    return max(1, int(cores))


def allowed_memory(cgroups: Path = _CGROUPS, own: Path = _OWN) -> int:
    """Return how many bytes of memory may be used: the container's limit, or all that the machine has."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for folder in _folders(cgroups, own, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _read(folder / name)
            if text.isdigit() and int(text) < _NO_LIMIT:
                limits.append(int(text))
    return min(limits)


def resident_bytes(pid: int) -> int:
    """Return how many bytes of memory a process holds, 0 when it is gone."""
    fields = _read(Path(f"/proc/{pid}/statm")).split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if fields else 0


def _folders(cgroups: Path, own: Path, controller: str) -> Iterator[Path]:
    """Yield our control group's folder and those above it, for version 2 and for a controller of version 1."""
    for line in _read(own).splitlines():
        _, controllers, path = line.split(":", 2)
        root = cgroups
        if controllers:
            if controller not in controllers.split(","):
                continue
            root = cgroups / controllers
        group = root / path.lstrip("/")
        # In a container the path may be the host's, and what is ours lies at the root.
        yield group
        yield from (folder for folder in group.parents if folder.is_relative_to(root))


def _quota(folder: Path) -> float:
    quota, _, period = _read(folder / "cpu.max").partition(" ")
    if not quota:
        quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
    if not quota.isdigit() or not period.isdigit() or not int(period):
        return float("inf")
    return int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
