"""Events as JSON lines on standard output."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from fairlead_serving.datalog.events import written

if TYPE_CHECKING:
    from fairlead_serving.datalog.events import Event

_STDOUT: Final = 1
# A pipe takes so much at once: the lines of several workers do not mix, and a reader that stops finds whole lines.
_LONGEST: Final = 4096


class StandardOutput:
    """Writes each event as soon as it is there."""

    most = 1
    linger = 0.0

    def __init__(self, descriptor: int = _STDOUT) -> None:
        self._descriptor = descriptor

    def send(self, events: Sequence[Event]) -> int:
        """Write events, and return how many could not be written."""
        lost = 0
        for event in events:
            line = written(event, _LONGEST - 1) + b"\n"
            try:
                os.write(self._descriptor, line)
            except OSError:
                lost += 1
        return lost

    def stop(self) -> None:
        """Do nothing: a write that hangs cannot be stopped, and ends with the process."""
