"""A circuit breaker: who failed several times in a row is left alone for a while, and then tried by one question."""

from __future__ import annotations

import time
from collections.abc import Callable

from fairlead.analysis.source import RestingError

FAILURES = 3
REST = 5.0
LONGEST = 60.0


class Breaker:
    """Opens after `failures` in a row; each try that fails as well doubles the rest, up to `longest` seconds."""

    def __init__(
        self,
        failures: int = FAILURES,
        rest: float = REST,
        longest: float = LONGEST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most, self._first, self._longest, self._clock = failures, rest, longest, clock
        self._failed, self._rest = 0, rest
        self._until, self._why = 0.0, ""

    def check(self) -> None:
        """Let a question through, or raise RestingError at once, so that nobody queues up behind the one that fails."""
        if self._failed < self._most:
            return
        if self._clock() < self._until:
            message = f"{self._why}; it failed {self._failed} times in a row and is asked again every {self._rest:g} s"
            raise RestingError(message)
        # This one finds out; the others wait for what it finds, at most as long as a rest.
        self._until = self._clock() + self._rest

    def succeeded(self) -> None:
        """There was an answer, be it a refusal."""
        self._failed, self._rest = 0, self._first

    def failed(self, why: str) -> None:
        """There was none."""
        self._failed, self._why = self._failed + 1, why
        if self._failed > self._most:
            self._rest = min(self._longest, 2 * self._rest)
        if self._failed >= self._most:
            self._until = self._clock() + self._rest
