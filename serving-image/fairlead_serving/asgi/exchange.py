"""One request's way through an ASGI application: what the application may receive, and what it sends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from fairlead_serving.asgi.wire import Body, Head
from fairlead_serving.errors import RequestError
from fairlead_serving.http.messages import error_response

if TYPE_CHECKING:
    from fairlead_serving.asgi.connection import RoutedConnection
    from fairlead_serving.http.messages import Request, Response

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# Whose request a route is answering: the client whose turn its inference takes.
client: Final[ContextVar[str]] = ContextVar("client", default="")
CANCELLED: Final = "cancelled"


class Exchange:
    """Takes one request to an application and its answer back. All methods belong to the event loop."""

    def __init__(
        self,
        request: Request,
        connection: RoutedConnection,
        failed: Callable[[Exception], None],
        count: Callable[[str], None],
    ) -> None:
        """Prepare. `failed` is told what the application raises, and `count`, once, what became of the request."""
        self._request = request
        self._connection = connection
        self._failed = failed
        self._count = count
        self._head: Head | None = None
        self._body: Body | None = None
        self._close = False
        self._read = False
        self._gone = self._told = False  # whether the client has gone, and whether the application has heard of it
        self._over = asyncio.Event()  # the answer is complete, or nobody is there to read it
        self._unheard = asyncio.Event()  # the client sends no more
        self._writable = asyncio.Event()
        self._writable.set()

    async def run(self, application: Application, scope: Scope) -> None:
        """Let the application answer; whatever it does, the connection is free again afterwards."""
        client.set(self._connection.peer)
        problem = None
        try:
            await application(scope, self._receive, self._send)
        except RequestError as error:
            problem = _refusal(error)
        except Exception as error:  # noqa: BLE001  a bug of the user's must cost one request, not the server
            # A client that has gone is told to the application by an error, which then comes back.
            if not self._gone:
                self._failed(error)
            problem = error_response(500, f"the application failed: {type(error).__name__}")
        if not self._over.is_set():
            if problem is None and self._told and self._body is None:
                self._leave()
            else:
                self._mend(problem or error_response(500, "the application gave no answer"))

    def lost(self) -> None:
        """Take note that the client has gone."""
        if not self._over.is_set():
            self._gone = True
            self._finish(CANCELLED)
            self._writable.set()

    def silent(self) -> None:
        """Take note that the client sends no more. Most often it has gone; if it has not, it still gets its answer."""
        self._unheard.set()

    def pause(self) -> None:
        """Let the application wait, as the client does not read."""
        self._writable.clear()

    def resume(self) -> None:
        """Go on when it has read."""
        self._writable.set()

    async def _receive(self) -> Message:
        if not self._read:
            self._read = True
            body, self._request.body = self._request.body, b""
            return {"type": "http.request", "body": body, "more_body": False}
        await self._unheard.wait()
        self._told = True
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start" and self._head is None:
            self._head = Head(message)
            return
        if kind != "http.response.body" or self._head is None:
            text = f"{kind} cannot be sent {'before' if self._head is None else 'after'} http.response.start"
            raise RuntimeError(text)
        if self._gone:
            text = "the client has gone"
            raise ConnectionResetError(text)
        if self._over.is_set():
            text = "the answer is complete already"
            raise RuntimeError(text)
        self._write(self._head, message.get("body", b""), last=not message.get("more_body", False))
        await self._writable.wait()

    def _write(self, head: Head, data: bytes, *, last: bool) -> None:
        start = b""
        if self._body is None:
            old = self._request.head.old
            bare = self._request.head.method == b"HEAD"
            body = Body(head, len(data) if last else None, old=old, bare=bare)
            self._close = head.close or body.open_ended or self._connection.ends_with(self._request)
            start = head.to_bytes(body.framing, close=self._close, old=old)
            part = body.part(data, last=last)
            self._body = body
        else:
            part = self._body.part(data, last=last)
        self._connection.write(start + part if start else part)
        if last:
            self._finish(f"{head.status // 100}xx")
            self._connection.complete(close=self._close)

    def _mend(self, answer: Response) -> None:
        """Answer in the application's place, or break off what it has begun: the client must not take it for whole."""
        self._finish(f"{answer.status // 100}xx")
        if self._body is None:
            self._connection.forget()
            self._connection.answered(self._request, answer)
        else:
            self._connection.abandon()

    def _leave(self) -> None:
        """Give up a client that the application has given up, too."""
        self._finish(CANCELLED)
        self._connection.abandon()

    def _finish(self, outcome: str) -> None:
        self._over.set()
        self._unheard.set()
        self._count(outcome)


def _refusal(error: RequestError) -> Response:
    retry_after = getattr(error, "retry_after", None)
    headers = (("Retry-After", str(retry_after)),) if retry_after else ()
    return error_response(error.status, str(error), *headers)
