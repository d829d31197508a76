"""The life of an ASGI application: started before the first request, told to end after the last."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from fairlead_serving.errors import LoadError

if TYPE_CHECKING:
    from fairlead_serving.asgi.exchange import Application, Message

_log = logging.getLogger(__name__)
_LAST_SECONDS: Final = 5.0


class Lifespan:
    """Runs an application's lifespan. One that knows of none, and says so by an error, serves without."""

    def __init__(self, application: Application) -> None:
        """Prepare. `state` is what the application keeps there, for its requests to see."""
        self._application = application
        self.state: dict[str, Any] = {}
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the application and wait until it is ready. Raises LoadError when it says that it cannot."""
        self._events.put_nowait({"type": "lifespan.startup"})
        self._task = asyncio.create_task(self._run())
        await self._started

    async def stop(self) -> None:
        """Tell the application to end, and wait some seconds for it."""
        if self._task is None or self._task.done():
            return
        self._events.put_nowait({"type": "lifespan.shutdown"})
        await asyncio.wait([self._task], timeout=_LAST_SECONDS)
        if not self._task.done():
            _log.warning("the application's shutdown was not over in %g s", _LAST_SECONDS)
            self._task.cancel()

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._application(scope, self._events.get, self._send)
        except Exception as error:  # noqa: BLE001  it may be any way of saying that there is no lifespan
            if self._started.done():
                _log.debug("the application's lifespan ended with an error", exc_info=error)
        if not self._started.done():
            self._started.set_result(None)

    async def _send(self, message: Message) -> None:
        kind, reason = message["type"], str(message.get("message", "")).strip()
        if kind == "lifespan.startup.complete":
            self._started.set_result(None)
        elif kind == "lifespan.startup.failed":
            # Frameworks put a whole traceback here; its last line is what it is about.
            last = reason.splitlines()[-1] if reason else "no reason given"
            self._started.set_exception(LoadError(f"the application of the model's routes cannot start: {last}"))
        elif kind == "lifespan.shutdown.failed":
            _log.warning("the application's shutdown failed: %s", reason)
        elif kind != "lifespan.shutdown.complete":
            text = f"{kind} is no message of a lifespan"
            raise RuntimeError(text)
