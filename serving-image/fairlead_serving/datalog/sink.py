"""What takes the events of the access and prediction logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fairlead_serving.datalog.events import Event


class Sink(Protocol):
    """A place for events. `send` is called in one thread only, and may take its time."""

    # How many events at a time are wanted, and for how many seconds to wait for so many.
    most: int
    linger: float

    def send(self, events: Sequence[Event]) -> int:
        """Give events away and return how many of them were lost."""

    def stop(self) -> None:
        """Make `send` give up soon; called from another thread."""
