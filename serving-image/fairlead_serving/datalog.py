"""Access and prediction logs: JSON lines on standard output, written by a thread that nobody waits for."""

from __future__ import annotations

import os
import queue
import random
import re
import threading
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from fairlead_serving.metrics import Metrics
    from fairlead_serving.tensors import Array, Tensor

_STDOUT: Final = 1
_MAX_WAITING: Final = 1024
# A pipe takes so much at once: the lines of several workers do not mix, and a reader that stops finds whole lines.
_LONGEST: Final = 4096
_MAX_VALUES: Final = 1000
_CLOSING_SECONDS: Final = 1.0
_COLUMN: Final = re.compile(r"^(?P<name>.*)\[(?P<column>\d+)\]$")
_encoder: Final = msgspec.json.Encoder()


class Rules(NamedTuple):
    """What is logged: the shares of requests, from 0 to 1, and the tensors or columns to leave out.

    A column is written `name[3]`, counted from 0 along the last axis.
    """

    access: float = 0.0
    predictions: float = 0.0
    redacted: frozenset[str] = frozenset()


class Entry(NamedTuple):
    """What is known of one answered request. Times are in seconds."""

    id: str | None
    client: str
    outcome: str
    seconds: float
    waited: float | None
    size: int
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor] | None


class DataLog:
    """Takes entries on the event loop; drops and counts what the reader of standard output does not keep up with."""

    def __init__(self, rules: Rules, metrics: Metrics, descriptor: int = _STDOUT) -> None:
        """Start the thread if anything is to be logged."""
        self.on = rules.access > 0 or rules.predictions > 0
        self._rules = rules
        self._metrics = metrics
        self._descriptor = descriptor
        self._waiting: queue.Queue[dict[str, Any] | None] = queue.Queue(_MAX_WAITING)
        self._thread = threading.Thread(target=self._write, name="datalog", daemon=True)
        if self.on:
            self._thread.start()

    def note(self, entry: Entry) -> None:
        """Log a request if chance will have it. What is logged of the smaller share is logged of the larger as well."""
        chance = random.random()  # noqa: S311  not for secrets
        if chance < self._rules.access:
            self._put(self._line("access", entry))
        if chance < self._rules.predictions and entry.outputs is not None:
            line = self._line("prediction", entry)
            line["inputs"] = self._tensors(entry.inputs)
            line["outputs"] = self._tensors(entry.outputs)
            self._put(line)

    def close(self) -> None:
        """Give what waits a moment to be written."""
        if self.on:
            try:
                self._waiting.put(None, timeout=_CLOSING_SECONDS)
            except queue.Full:
                return
            self._thread.join(_CLOSING_SECONDS)

    def _line(self, kind: str, entry: Entry) -> dict[str, Any]:
        model, version, revision = self._metrics.identity
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds"),
            "kind": kind,
            "model": model,
            "version": version,
            "revision": revision,
            "id": entry.id,
        }
        if kind == "access":
            line |= {
                "client": entry.client,
                "outcome": entry.outcome,
                "seconds": round(entry.seconds, 6),
                "queue_seconds": None if entry.waited is None else round(entry.waited, 6),
                "request_bytes": entry.size,
            }
        return line

    def _put(self, line: dict[str, Any]) -> None:
        try:
            self._waiting.put_nowait(line)
        except queue.Full:
            self._metrics.dropped_line()

    def _tensors(self, tensors: Iterable[Tensor]) -> list[dict[str, Any]]:
        """Describe tensors; large ones by their shape only, since the queue is bounded by its lines."""
        described = []
        for name, datatype, array in tensors:
            about: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(array.shape)}
            if name in self._rules.redacted:
                about["redacted"] = True
            elif array.size <= _MAX_VALUES:
                about["data"] = self._values(name, array)
            described.append(about)
        return described

    def _values(self, name: str, array: Array) -> list[Any]:
        values: list[Any] = array.ravel().tolist()
        width = array.shape[-1] if array.ndim else 1
        for entry in self._rules.redacted:
            match = _COLUMN.match(entry)
            if match and match["name"] == name and int(match["column"]) < width:
                values[int(match["column"]) :: width] = [None] * len(values[int(match["column"]) :: width])
        return values

    def _write(self) -> None:
        while (line := self._waiting.get()) is not None:
            data = _encoder.encode(line) + b"\n"
            if len(data) > _LONGEST:
                for tensor in (*line.get("inputs", ()), *line.get("outputs", ())):
                    tensor.pop("data", None)
                data = _encoder.encode(line) + b"\n"
            try:
                os.write(self._descriptor, data)
            except OSError:
                self._metrics.dropped_line()
