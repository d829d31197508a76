"""What is logged of a request, as plain objects, without what is to be left out."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from fairlead_serving.tensors import Array, Tensor
    from fairlead_serving.tracing.trace import Trace

    Event = dict[str, Any]

_MAX_VALUES: Final = 1000
_MAX_TEXT: Final = 60_000
_LONGEST_ID: Final = 256
_encoder: Final = msgspec.json.Encoder()
_COLUMN: Final = re.compile(r"^(?P<name>.*)\[(?P<column>\d+)\]$")


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
    trace: Trace | None = None


class EventMaker:
    """Makes the events of one server."""

    def __init__(self, redacted: frozenset[str], identity: tuple[str, str, str]) -> None:
        """Make events of a model, version and revision, without the tensors and columns to be left out."""
        self._names = redacted
        matches = [match for entry in redacted if (match := _COLUMN.match(entry))]
        self._columns = [(match["name"], int(match["column"])) for match in matches]
        self._identity = dict(zip(("model", "version", "revision"), identity, strict=True))

    def access(self, entry: Entry) -> Event:
        """Return who asked, what became of it, and how long that took."""
        return self._event("access", entry) | {
            "client": entry.client,
            "outcome": entry.outcome,
            "seconds": round(entry.seconds, 6),
            "queue_seconds": None if entry.waited is None else round(entry.waited, 6),
            "request_bytes": entry.size,
        }

    def prediction(self, entry: Entry) -> Event:
        """Return the inputs and outputs of an answered request."""
        inputs, outputs = self._tensors(entry.inputs), self._tensors(entry.outputs or ())
        return self._event("prediction", entry) | {"inputs": inputs, "outputs": outputs}

    def _event(self, kind: str, entry: Entry) -> Event:
        now = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")
        event = {"time": now, "kind": kind, **self._identity, "id": entry.id and entry.id[:_LONGEST_ID]}
        if entry.trace is not None:
            event |= {"trace_id": f"{entry.trace.trace_id:032x}", "span_id": f"{entry.trace.span_id:016x}"}
        return event

    def _tensors(self, tensors: Iterable[Tensor]) -> list[Event]:
        """Describe tensors; large ones by their shape only, since what waits is bounded by its events."""
        described = []
        for name, datatype, array in tensors:
            about: Event = {"name": name, "datatype": datatype, "shape": list(array.shape)}
            if name in self._names:
                about["redacted"] = True
            elif array.size <= _MAX_VALUES and (datatype != "BYTES" or sum(map(len, array.flat)) <= _MAX_TEXT):
                about["data"] = self._values(name, array)
            described.append(about)
        return described

    def _values(self, tensor: str, array: Array) -> list[Any]:
        # Bytes that are no text become base64 when the event is written.
        values = [{"b64": value} if type(value) is bytes else value for value in array.ravel().tolist()]
        width = array.shape[-1] if array.ndim else 1
        for name, column in self._columns:
            if name == tensor and column < width:
                values[column::width] = [None] * len(values[column::width])
        return values


def written(event: Event, longest: int, form: Callable[[Event], Event] = dict) -> bytes:
    """Return an event as JSON in a form, without its tensors' values where it would be longer than so many bytes."""
    bare = _without_data(event)
    try:
        data = _encoder.encode(form(event))
        return data if len(data) <= longest else _encoder.encode(form(bare))
    except UnicodeEncodeError:
        # Half a surrogate pair in a model's text, which has no UTF-8; here it becomes an escape.
        return json.dumps(form(bare)).encode()


def _without_data(event: Event) -> Event:
    bare = dict(event)
    for side in ("inputs", "outputs"):
        if side in event:
            bare[side] = [{name: about[name] for name in about if name != "data"} for about in event[side]]
    return bare
