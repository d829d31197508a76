"""The control groups that the node's containers live in: one tree of our own per hierarchy."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import ClusterError

ROOT = "fairlead-node"
"""The tree's name at the top of each hierarchy; kubelet puts all pods below it."""

_MOUNT = Path("/sys/fs/cgroup")
_END_SECONDS = 10.0


def create() -> None:
    """Make the tree in every hierarchy (version 1: one per controller, version 2: one)."""
    for hierarchy in _hierarchies():
        top = hierarchy / ROOT
        top.mkdir(exist_ok=True)
        # A new version 1 cpuset may use no processor and no memory until it is told which.
        for name in ("cpuset.cpus", "cpuset.mems"):
            source, target = hierarchy / name, top / name
            if source.exists() and target.exists() and not target.read_text().strip():
                target.write_text(source.read_text())


def destroy() -> None:
    """Kill every process in the tree (the containers of a node whose kubelet is gone) and delete the tree.

    Raises ClusterError when a process does not end.
    """
    deadline = time.monotonic() + _END_SECONDS
    for hierarchy in _hierarchies():
        top = hierarchy / ROOT
        while top.exists():
            for process in _processes(top):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            _remove(top)
            if top.exists():
                if time.monotonic() > deadline:
                    message = f"the control group {top} cannot be removed; processes in it: {sorted(_processes(top))}"
                    raise ClusterError(message)
                time.sleep(0.02)


def left() -> list[Path]:
    """Return the trees that are there."""
    return [top for hierarchy in _hierarchies() if (top := hierarchy / ROOT).exists()]


def _hierarchies() -> list[Path]:
    """Return each mounted hierarchy once (cpu and cpu,cpuacct are often links to one)."""
    if (_MOUNT / "cgroup.controllers").exists():
        return [_MOUNT]
    found = {entry.resolve() for entry in _MOUNT.iterdir() if (entry / "cgroup.procs").exists()}
    return sorted(found)


def _processes(top: Path) -> Iterator[int]:
    for file in top.rglob("cgroup.procs"):
        with contextlib.suppress(OSError):
            yield from map(int, file.read_text().split())


def _remove(top: Path) -> None:
    """Remove the folders from the leaves up; those that still hold a process stay for the next round."""
    for folder, _, _ in os.walk(top, topdown=False):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()
