"""What is noted of a request that is traced, while it is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    Attributes = dict[str, str | int]


class Trace:
    """One request's place in a trace, and its run of the model. Times are by `time.perf_counter`."""

    __slots__ = (
        "batch_requests",
        "batch_rows",
        "began",
        "ended",
        "parent_id",
        "queued",
        "rows",
        "span_id",
        "state",
        "trace_id",
    )

    def __init__(self, trace_id: int, span_id: int, parent_id: int | None = None, state: bytes = b"") -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.state = state
        self.queued = self.began = self.ended = 0.0  # 0 where the request never came to a run
        self.rows = 0  # of the request
        self.batch_rows = self.batch_requests = 0  # of the run, with all that was joined into it


class Told(NamedTuple):
    """What a transport says of a request: the span's name, its attributes, and whether the server failed.

    Error messages are left out, since they may quote what should not be logged.
    """

    name: str
    attributes: Attributes
    failed: bool = False


class Finished(NamedTuple):
    """A request that is over. `wall` is the Unix time in nanoseconds at `ended`, by `time.perf_counter`."""

    trace: Trace
    told: Told
    arrived: float
    ended: float
    wall: int

    @property
    def spans(self) -> int:
        """How many spans it comes to."""
        return 3 if self.trace.began else 1

    def unix(self, moment: float) -> int:
        """Return a moment of the request as nanoseconds of Unix time."""
        return self.wall - round((self.ended - moment) * 1e9)
