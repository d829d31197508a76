"""Reading what the callers print: totals, and what happened between two moments."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from examples.demo.kubectl import Kubectl


@dataclass(slots=True)
class Sum:
    """Requests of some time: sent, failed by kind, and answers and right answers by version."""

    sent: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        """Requests that got no good answer."""
        return self.failures.total()

    def accuracy(self, version: str) -> float | None:
        """Share of right answers of a version."""
        return self.right[version] / self.answered[version] if self.answered[version] else None

    def add(self, line: dict[str, Any]) -> None:
        """Add one line of the callers."""
        self.sent += line["sent"]
        self.failures.update(line["failures"])
        for version, counts in line["versions"].items():
            self.answered[version] += counts["answered"]
            self.right[version] += counts["right"]


class LoadReader:
    """Follows the load's pod in a thread. Thread-safe."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self._lines: deque[dict[str, Any]] = deque()
        self._lock = threading.Lock()
        self._running: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._follow, name="load", daemon=True)

    def __enter__(self) -> Self:
        self._running = self._kubectl.stream("logs", "--follow", "pod/load")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._running is not None:
            self._running.terminate()
        self._thread.join(timeout=5)

    def wait_for_end(self, seconds: float = 20.0) -> None:
        """Wait until the pod has ended and its last line is read."""
        self._thread.join(timeout=seconds)

    def between(self, begin: float = 0.0, end: float = float("inf")) -> Sum:
        """What happened in the seconds that ended within (begin, end], in epoch seconds."""
        return total(line for line in self._snapshot() if begin < line["at"] <= end)

    @property
    def ended(self) -> bool:
        """Whether nothing more will come: the pod is gone, or the cluster is."""
        return not self._thread.is_alive()

    def recent(self, seconds: float = 5.0) -> tuple[float, list[float]]:
        """Requests a second of late, and the newest median and 99th percentile in milliseconds."""
        return pace(self._snapshot(), time.time() - seconds)

    def _snapshot(self) -> list[dict[str, Any]]:
        with self._lock:
            return list(self._lines)

    def _follow(self) -> None:
        if self._running is None:
            return
        with self._running:
            for text in self._running.stdout or ():
                line = parse(text)
                if line is not None:
                    with self._lock:
                        self._lines.append(line)


def parse(text: str) -> dict[str, Any] | None:
    """One line of the callers; None for anything else in the log."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and "sent" in line else None


def total(lines: Iterable[dict[str, Any]]) -> Sum:
    """The sum of the callers' lines."""
    result = Sum()
    for line in lines:
        result.add(line)
    return result


def pace(lines: Iterable[dict[str, Any]], since: float) -> tuple[float, list[float]]:
    """Requests a second and the newest latencies of the lines after a moment; a second of silence may be on its way."""
    fresh = [line for line in lines if line["at"] > since]
    return (sum(line["sent"] for line in fresh) / len(fresh), fresh[-1]["latency_ms"]) if fresh else (0.0, [])
