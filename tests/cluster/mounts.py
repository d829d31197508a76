"""What is mounted below a folder, and its removal."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from .commands import run
from .errors import ClusterError


def mounts_below(folder: Path) -> list[str]:
    """Return the mount points at and below a folder."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    paths = [_unescape(line.split()[4]) for line in lines]
    return [path for path in paths if path == str(folder) or path.startswith(f"{folder}/")]


def unmount_below(folder: Path) -> None:
    """Unmount everything at and below a folder, the deepest first; what stays is for the caller to see."""
    for path in sorted(mounts_below(folder), key=len, reverse=True):
        with contextlib.suppress(ClusterError):  # may have gone with its parent
            run(["umount", "--lazy", path])


def _unescape(path: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)
