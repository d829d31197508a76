"""The machine: its cores, who uses them, and what it is."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_IDLE = (3, 4)
"""The fields of /proc/stat that are no work: idle, and idle while a disk works."""


@dataclass
class Foreign:
    """What others took of two cores, in shares of a core."""

    server: float = 0.0
    client: float = 0.0


def cores() -> tuple[int, int]:
    """The client's core and the server's. Raises OSError where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        message = "the benchmark needs two cores: one for the client, one for the server"
        raise OSError(message)
    return allowed[0], allowed[-1]


@contextlib.contextmanager
def watched(client: int, server: int, own: Callable[[], float]) -> Iterator[Foreign]:
    """Find out what others use meanwhile; `own` gives the CPU seconds that the server has used."""
    out = Foreign()
    before = _busy(client), _busy(server), _clients(), own(), time.monotonic()
    yield out
    after = _busy(client), _busy(server), _clients(), own(), time.monotonic()
    of_client, of_server, clients, mine, seconds = (late - early for early, late in zip(before, after, strict=True))
    out.client = max(0.0, of_client - clients) / seconds
    out.server = max(0.0, of_server - mine) / seconds


def _busy(core: int) -> float:
    """Seconds for which a core has worked, interrupts and what the hypervisor took included."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            fields = list(map(int, line.split()[1:9]))
            return sum(value for at, value in enumerate(fields) if at not in _IDLE) / _TICK
    return 0.0


def _clients() -> float:
    """CPU seconds of this process and of the clients that have ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def described() -> str:
    """One sentence about the machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}"
