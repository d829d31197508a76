"""The server's life: listen, load, serve, drain, end."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import threading
from typing import TYPE_CHECKING, Final

from fairlead_serving.dataplane import Dataplane, Identity, State
from fairlead_serving.errors import LoadError
from fairlead_serving.http.server import HttpServer
from fairlead_serving.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fairlead_serving.loading import Load
    from fairlead_serving.settings import Settings

_log = logging.getLogger(__name__)
_MAX_MESSAGE: Final = 2000
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Lifecycle:
    """Runs one server from start to end."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        """Prepare everything; nothing happens before `run`."""
        self._settings = settings
        self._environment = environment
        identity = Identity(settings.name, settings.version, settings.revision)
        self._dataplane = Dataplane(identity)
        self._metrics = Metrics(*identity)
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._drain_over: asyncio.TimerHandle | None = None

    async def run(self) -> int:
        """Serve until told to stop and return the exit status."""
        for number in _SIGNALS:
            self._loop.add_signal_handler(number, self._signalled, number)
        settings = self._settings
        server = HttpServer(
            self._dataplane,
            self._metrics,
            max_body=settings.max_body_bytes,
            max_age=settings.max_connection_age_seconds,
            patience=settings.request_timeout_seconds,
        )
        try:
            port = await server.listen(settings.host, settings.http_port)
        except OSError as error:
            return self._fail(f"cannot listen on port {settings.http_port}: {error.strerror or error}")
        _log.info("listening", extra={"port": port, "model": settings.name, "version": settings.version})
        # A daemon, because a download that hangs must not keep the process from ending.
        threading.Thread(target=self._load, name="load", daemon=True).start()
        status = await self._ended
        if status == 0:
            await server.close()
        return status

    def _load(self) -> None:
        # What loading needs (obstore, a model engine) is imported here, so that the port answers first.
        from fairlead_serving.loading import load  # noqa: PLC0415

        try:
            result = load(self._settings, self._environment, self._report)
        except LoadError as error:
            self._on_loop(self._end, error)
        except BaseException as error:  # noqa: BLE001  whatever it is, a panic in native code too, a person must hear it
            _log.debug("loading failed", exc_info=error)
            self._on_loop(self._end, LoadError(f"loading failed: {type(error).__name__}: {error}"))
        else:
            self._on_loop(self._serve, result)

    def _on_loop(self, function: object, *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)  # type: ignore[arg-type]
        except RuntimeError:
            # The process is ending and its loop is closed: nobody is left to tell.
            return

    def _report(self, message: str) -> None:
        self._on_loop(self._note, message)

    def _note(self, message: str) -> None:
        if self._dataplane.state is State.LOADING:
            self._dataplane.message = message

    def _serve(self, result: Load) -> None:
        loaded = result.loaded
        self._metrics.loaded(loaded.digest, loaded.model.format, loaded.model.classes, result.seconds)
        self._dataplane.serve(loaded)
        # What is there now stays: the garbage collector need not look at it again and again.
        gc.freeze()
        _log.info(
            "ready",
            extra={
                "digest": loaded.digest,
                "format": loaded.model.format,
                "load_seconds": round(result.seconds, 3),
                "seconds_a_row": loaded.seconds_a_row,
            },
        )

    def _signalled(self, number: signal.Signals) -> None:
        if self._dataplane.state is State.DRAINING:
            _log.warning("stopping at once: a second %s", number.name)
            self._finish(128 + number)
        elif self._dataplane.state is State.LOADING:
            _log.info("stopping: %s before the model was loaded", number.name)
            self._finish(0)
        else:
            seconds = self._settings.drain_seconds
            _log.info("draining for %g s: %s", seconds, number.name)
            self._dataplane.drain()
            self._drain_over = self._loop.call_later(seconds, self._finish, 0)

    def _end(self, error: LoadError) -> None:
        if self._dataplane.state is State.LOADING:
            self._finish(self._fail(str(error)))

    def _finish(self, status: int) -> None:
        if not self._ended.done():
            self._ended.set_result(status)

    def _fail(self, reason: str) -> int:
        fail(reason, self._settings.termination_log)
        return 1


def fail(reason: str, termination_log: Path) -> None:
    """Write down, in one line, why the server cannot run: in the log and as the container's termination message."""
    line = " ".join(reason.split())[:_MAX_MESSAGE]
    _log.error(line)
    try:
        # Only Kubernetes makes this file; on a laptop there is none and none is wanted.
        with termination_log.open("r+") as file:
            file.truncate()
            file.write(line + "\n")
    except OSError:
        _log.debug("no termination log at %s", termination_log)
