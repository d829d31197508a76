"""Whether the workers' event loops turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

# How often the supervisor looks for signs of life, and how often a worker gives one.
SECONDS: Final = 1.0
_BEAT: Final = SECONDS / 2
# What one look can count at most. When the whole machine or container was stopped meanwhile, the supervisor was too.
_MOST: Final = 2 * SECONDS


class Watch:
    """Tells which event loops have stood still for too long.

    Time is summed up look by look, and each counts for about a second: a worker is hung only if the supervisor, on the
    same machine, ran all the while.
    """

    def __init__(self, turns: Callable[[], list[float]], limit: float) -> None:
        """Watch workers by the turns that each has counted; `limit` is in seconds, 0 to find none."""
        self._turns = turns
        self._limit = limit
        self._seen: dict[int, float] = {}
        self._still: dict[int, float] = {}
        self._looked = 0.0

    @property
    def on(self) -> bool:
        """Whether there is anything to look for."""
        return self._limit > 0

    def look(self, now: float, workers: Iterable[int]) -> list[int]:
        """Return those of the workers that hang, at a time of a monotonic clock."""
        turns = self._turns()
        passed = min(now - self._looked, _MOST)
        self._looked = now
        still = {}
        for worker in workers:
            stands = worker in self._still and self._seen[worker] == turns[worker]
            still[worker] = self._still[worker] + passed if stands else 0.0
        self._still = still
        self._seen = dict(enumerate(turns))
        return [worker for worker, seconds in still.items() if seconds >= self._limit]


def beat(loop: asyncio.AbstractEventLoop, turned: Callable[[], None]) -> None:
    """Call `turned` with the turns of an event loop, twice a second, for as long as it runs."""
    turned()
    loop.call_later(_BEAT, beat, loop, turned)
