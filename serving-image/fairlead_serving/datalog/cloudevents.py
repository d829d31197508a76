"""Events as batches of CloudEvents 1.0 over HTTP."""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import requests

from fairlead_serving.datalog.events import written

if TYPE_CHECKING:
    from fairlead_serving.datalog.events import Event

_log = logging.getLogger(__name__)
CONTENT_TYPE: Final = "application/cloudevents-batch+json; charset=utf-8"
# Whoever takes CloudEvents should take those of 64 KiB; larger ones may be refused on the way.
_LONGEST: Final = 60_000
_MAX_BODY: Final = 1_000_000
_TIMEOUT: Final = (5.0, 5.0)
_TRIES: Final = 4
_FIRST_PAUSE: Final = 0.5
_JITTER: Final = 0.2
_WORTH_TRYING_AGAIN: Final = frozenset((408, 425, 429, 500, 502, 503, 504))
_REPEAT_SECONDS: Final = 60.0


class CloudEvents:
    """Posts events to a URL, some together, and tries a few times."""

    most = 100
    linger = 1.0

    def __init__(self, url: str, token: str, host: str) -> None:
        """Prepare to post; `token` goes along as a bearer token unless it is empty, `host` is who the source is."""
        self._url = url
        self._host = host
        self._session = requests.Session()
        self._session.headers["Content-Type"] = CONTENT_TYPE
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"
        self._stopping = threading.Event()
        self._complained = float("-inf")

    def send(self, events: Sequence[Event]) -> int:
        """Post events, and return how many were not taken."""
        return sum(0 if self._posted(body) else count for body, count in self._bodies(events))

    def stop(self) -> None:
        """Try no more."""
        self._stopping.set()

    def _bodies(self, events: Sequence[Event]) -> Iterator[tuple[bytes, int]]:
        """Yield requests of a bounded size, and how many events each has."""
        batch: list[bytes] = []
        size = 0
        for event in events:
            data = written(event, _LONGEST, self._cloud_event)
            if size + len(data) > _MAX_BODY:
                yield b"[" + b",".join(batch) + b"]", len(batch)
                batch, size = [], 0
            batch.append(data)
            size += len(data) + 1
        yield b"[" + b",".join(batch) + b"]", len(batch)

    def _cloud_event(self, event: Event) -> Event:
        data = {name: value for name, value in event.items() if name not in ("kind", "time")}
        host, model, version = (quote(part, safe="") for part in (self._host, event["model"], event["version"]))
        about: dict[str, Any] = {
            "specversion": "1.0",
            "id": uuid.uuid4().hex,
            "source": f"/fairlead/{host}/models/{model}/versions/{version}",
            "type": f"dev.fairlead.serving.{event['kind']}.v1",
            "time": event["time"],
            "datacontenttype": "application/json",
        }
        if event["id"]:
            about["subject"] = event["id"]
        if "trace_id" in event:
            about["traceparent"] = f"00-{event['trace_id']}-{event['span_id']}-01"
        return {**about, "data": data}

    def _posted(self, body: bytes) -> bool:
        for attempt in range(_TRIES):
            try:
                answer = self._session.post(self._url, body, timeout=_TIMEOUT, allow_redirects=False)
            except requests.RequestException as error:
                problem, again = type(error).__name__, True
            else:
                if HTTPStatus.OK <= answer.status_code < HTTPStatus.MULTIPLE_CHOICES:
                    return True
                problem, again = f"status {answer.status_code}", answer.status_code in _WORTH_TRYING_AGAIN
            pause = _FIRST_PAUSE * 2**attempt * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  not for secrets
            if not again or attempt + 1 == _TRIES or self._stopping.wait(pause):
                self._complain(problem)
                return False
        return False

    def _complain(self, problem: str) -> None:
        if time.monotonic() - self._complained > _REPEAT_SECONDS:
            self._complained = time.monotonic()
            _log.warning("the log sink does not take events: %s; those that it has not taken are lost", problem)
