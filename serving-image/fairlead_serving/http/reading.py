"""The short way from bytes to requests, for heads that are known; what comes with others is parsed."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from mypy_extensions import mypyc_attr

from fairlead_serving.http.heads import END, LONGEST, KnownHeads
from fairlead_serving.http.messages import Head, Request
from fairlead_serving.http.parsing import RequestParser

if TYPE_CHECKING:
    from fairlead_serving.room import Room

MORE: Final = Request(Head(), b"", 0.0)
"""Stands for a request of which more is to come."""


@mypyc_attr(allow_interpreted_subclasses=True)
class RequestReader(RequestParser):
    """A parser that httptools sees nothing of a request from whose head is known: only its body is waited for."""

    __slots__ = ("_came", "_heads", "_missing", "_raw")

    def __init__(self, queue: deque[Request], max_body: int, heads: KnownHeads, room: Room | None = None) -> None:
        super().__init__(queue, max_body, room)
        self._heads = heads
        self._missing = 0  # bytes of the body behind a known head
        self._raw = b""  # the head that is parsed, if it is to be learnt
        self._came = 0  # bytes since that began

    def known(self, data: bytes, now: float) -> Request | None:
        """Return the request that this completes, or MORE, if it came alone and its head is known.

        None means that nothing was done, and that the data have to be fed.
        """
        if self.partial:
            return self._go_on(data, now) if self._missing else None
        end = data.find(END) + 4
        found = self._heads.get(data[:end]) or self._heads.alike(data, end)
        if found is None:
            return None
        head, size, trace = found
        missing = end + size - len(data)
        if not missing:
            return Request(head, data[end:], now, trace)
        if missing < 0:
            return None
        self._head, self._trace, self._missing = head, trace, missing
        self._now = self.began = now
        self.partial = True
        if end < len(data):
            self._add(data[end:])
        return MORE

    def feed(self, data: bytes, now: float) -> None:
        """Parse what has come in at a time of the caller's clock, and learn a head that came alone."""
        if self._missing:
            data = self._fill(data, now)
        if not self.partial:
            end = data.find(END) + 4
            self._raw, self._came = data[: end if end <= LONGEST else 0], 0
        self._came += len(data)
        before = len(self._queue)
        super().feed(data, now)
        if len(self._queue) == before + 1 and not self.partial:
            self._learn(self._queue[-1])

    def refuse(self, status: int, message: str, *headers: tuple[str, str]) -> None:
        """Give up on the request that is coming in, and on whatever follows it."""
        self._missing = 0
        super().refuse(status, message, *headers)

    def _go_on(self, data: bytes, now: float) -> Request | None:
        """Take a piece of the body behind a known head, if nothing else is in it."""
        missing = self._missing - len(data)
        if missing < 0:
            return None
        self._missing, self._now = missing, now
        if missing:
            self._add(data)
            return MORE
        if self._size:
            self._add(data)
            data = self._whole()
        self.partial = False
        return Request(self._head, data, now, self._trace)

    def _fill(self, data: bytes, now: float) -> bytes:
        """Take what is missing of a body from the front, and return the rest."""
        missing = self._missing
        request = self._go_on(data[:missing], now)
        if request is not None and request is not MORE:
            self._queue.append(request)
        return data[missing:]

    def _learn(self, request: Request) -> None:
        """Have a head remembered if nothing but it and its body came, and if both were in order."""
        raw, self._raw = self._raw, b""
        alone = raw.endswith(END) and self._came == len(raw) + len(request.body)
        if alone and request.head.simple and request.problem is None:
            self._heads.learn(raw, request)
