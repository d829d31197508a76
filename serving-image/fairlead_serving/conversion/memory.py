"""How much memory a conversion may take: with more, the kernel would end the server along with it."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Final

# Exit status of a conversion that ran out of memory.
EXHAUSTED: Final = 3
_GROUP: Final = Path("/sys/fs/cgroup")
_SHARE: Final = 0.8


def stay_within(group: Path = _GROUP) -> bool:
    """Let allocations of this process fail before the container's limit is reached; return whether there is one."""
    room = available(group)
    if room is None:
        return False
    resource.setrlimit(resource.RLIMIT_DATA, (int(_SHARE * room),) * 2)
    return True


def available(group: Path) -> int | None:
    """Return the bytes below a control group's limit that are free or can be freed, None where it has no limit."""
    try:
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    return max(0, limit - used + int(statistics.get("inactive_file", 0)))
