"""What Prometheus wants to know of a process, for all of ours together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

_PROC: Final = Path("/proc")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
# Fields of /proc/PID/stat behind the name in parentheses.
_TIMES: Final = slice(11, 13)
_TIMES_OF_THE_DEAD: Final = slice(13, 15)
_STARTED: Final = 19
_RESIDENT: Final = 21


def families(workers: Sequence[int]) -> Iterator[Metric]:
    """Yield CPU time, memory, open files and the start of the workers and of their parent, if that supervises them."""
    own = [*dict.fromkeys([*workers, os.getpid()])]
    parent = os.getppid() if len(workers) > 1 else None
    stats = {pid: fields for pid in [*own, *([parent] if parent else [])] if (fields := _stat(pid))}
    if not stats:
        return
    ticks = sum(sum(map(int, fields[_TIMES])) for fields in stats.values())
    if parent in stats:
        # So that the sum does not go down when a worker dies.
        ticks += sum(map(int, stats[parent][_TIMES_OF_THE_DEAD]))
    yield CounterMetricFamily("process_cpu_seconds", "CPU time of all processes, in seconds.", value=ticks / _TICKS)
    resident = sum(int(fields[_RESIDENT]) for fields in stats.values()) * _PAGE
    yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory of all processes.", value=resident)
    files = sum(_open_files(pid) for pid in stats)
    yield GaugeMetricFamily("process_open_fds", "Open files of all processes.", value=files)
    began = _boot_time() + min(int(fields[_STARTED]) for fields in stats.values()) / _TICKS
    yield GaugeMetricFamily("process_start_time_seconds", "When the first process started.", value=began)


def _stat(pid: int) -> list[str]:
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _open_files(pid: int) -> int:
    try:
        return len(os.listdir(_PROC / str(pid) / "fd"))  # noqa: PTH208  it need not know what they are
    except OSError:
        return 0


def _boot_time() -> float:
    try:
        lines = (_PROC / "stat").read_text().splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) for line in lines if line.startswith("btime")), 0.0)
