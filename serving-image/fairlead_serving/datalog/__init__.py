"""Access and prediction logs: events that a thread writes or sends, for which nobody waits."""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from typing import TYPE_CHECKING, Final

from fairlead_serving.datalog.events import Entry, EventMaker, Rules

if TYPE_CHECKING:
    from collections.abc import Callable

    from fairlead_serving.datalog.events import Event
    from fairlead_serving.datalog.sink import Sink
    from fairlead_serving.metrics.counters import Metrics

__all__ = ["DataLog", "Entry", "Rules"]

_log = logging.getLogger(__name__)
_MAX_WAITING: Final = 1024


class DataLog:
    """Takes entries on the event loop; drops and counts what the sink does not keep up with."""

    def __init__(self, rules: Rules, metrics: Metrics, open_sink: Callable[[], Sink]) -> None:
        """Start the thread, which opens the sink, if anything is to be logged."""
        self.on = rules.access > 0 or rules.predictions > 0
        self._rules = rules
        self._metrics = metrics
        self._events = EventMaker(rules.redacted, metrics.identity)
        self._open_sink = open_sink
        self._sink: Sink | None = None
        # There is always room for the mark of the end.
        self._waiting: queue.Queue[Event | None] = queue.Queue(_MAX_WAITING + 1)
        # Events that were put into the queue, and that are through with the sink: each is counted by one thread alone.
        self._put = self._through = 0
        self._ending = False
        self._thread = threading.Thread(target=self._work, name="datalog", daemon=True)
        if self.on:
            self._thread.start()

    def note(self, entry: Entry) -> None:
        """Log a request if chance will have it. What is logged of the smaller share is logged of the larger as well."""
        chance = random.random()  # noqa: S311  not for secrets
        if chance < self._rules.access:
            self._take(self._events.access(entry))
        if chance < self._rules.predictions and entry.outputs is not None:
            self._take(self._events.prediction(entry))

    def finish(self) -> None:
        """Begin to send what is left."""
        self._waiting.put_nowait(None)

    def wait(self, deadline: float) -> None:
        """Wait until all is sent, by `time.monotonic` no longer than until then; the rest is lost and counted."""
        if not self.on:
            return
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._sink is not None:
            self._sink.stop()
        lost = self._put - self._through
        if lost:
            self._metrics.dropped_lines(lost)
            _log.warning("%d lines of the access and prediction logs are lost: nobody took them before the end", lost)

    def _take(self, event: Event) -> None:
        if self._waiting.qsize() >= _MAX_WAITING:
            self._metrics.dropped_lines()
        else:
            self._put += 1
            self._waiting.put_nowait(event)

    def _work(self) -> None:
        self._sink = sink = self._open_sink()
        while not self._ending:
            batch = self._batch(sink)
            if batch:
                self._metrics.dropped_lines(sink.send(batch))
                self._through += len(batch)

    def _batch(self, sink: Sink) -> list[Event]:
        """Wait for an event and, for a moment, for more."""
        batch: list[Event] = []
        until = 0.0
        while len(batch) < sink.most:
            try:
                event = self._waiting.get(timeout=max(0.0, until - time.monotonic()) if batch else None)
            except queue.Empty:
                break
            if event is None:
                self._ending = True
                break
            if not batch:
                until = time.monotonic() + sink.linger
            batch.append(event)
        return batch
