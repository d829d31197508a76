"""The server's life: listen, load, serve, drain, end."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from fairlead_serving.batching.engine import Limits
from fairlead_serving.datalog import DataLog, Rules
from fairlead_serving.datalog.opening import opener
from fairlead_serving.dataplane import Dataplane, Identity, State
from fairlead_serving.errors import LoadError
from fairlead_serving.feedback import Feedback
from fairlead_serving.listening.transports import Transports
from fairlead_serving.metrics.counters import Metrics
from fairlead_serving.notes import Notes
from fairlead_serving.service import Service
from fairlead_serving.termination import fail
from fairlead_serving.tracing import tracer
from fairlead_serving.workers.heartbeat import beat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fairlead_serving.batching.probe import Probe
    from fairlead_serving.loading import Load
    from fairlead_serving.metrics.board import Board
    from fairlead_serving.settings import Settings
    from fairlead_serving.workers.link import Link

_log = logging.getLogger(__name__)
_LOW_PRIORITY: Final = 10
# For logs and traces that wait at the end.
_FLUSH_SECONDS: Final = 3.0
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Lifecycle:
    """Runs one worker from start to end: the whole server, or one of several processes under a supervisor."""

    def __init__(
        self, settings: Settings, environment: Mapping[str, str], board: Board, link: Link | None = None
    ) -> None:
        """Prepare everything; nothing happens before `run`. `link` is there under a supervisor."""
        self._link = link
        # Where others serve already, a worker has no port before it has the same model.
        self._joining = link is not None and link.digest is not None
        self._settings = replace(settings, digest=link.digest) if link and link.digest else settings
        self._environment = environment
        identity = Identity(settings.name, settings.version, settings.revision)
        self._dataplane = Dataplane(identity)
        number = link.number if link else 0
        self._metrics = Metrics(*identity, board, number)
        self._metrics.begun()
        self._loop = asyncio.get_running_loop()
        rules = Rules(settings.access_log, settings.prediction_log, settings.log_redact)
        datalog = DataLog(rules, self._metrics, opener(settings.log_sink, environment))
        traces = tracer(environment, self._metrics)
        self._notes = Notes(datalog, traces) if datalog.on or traces else None
        self._service = Service(
            self._dataplane,
            self._metrics,
            Feedback(board, number, self._metrics, settings.feedback_tolerance),
            self._notes,
            Limits(settings.latency_target_seconds, settings.max_batch_rows, settings.max_queued_bytes),
        )
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._drain_over: asyncio.TimerHandle | None = None
        self._serving: asyncio.Task[None] | None = None
        self._transports = Transports(settings, self._dataplane, self._metrics, self._service)

    async def run(self) -> int:
        """Serve until told to stop and return the exit status."""
        for number in _SIGNALS:
            self._loop.add_signal_handler(number, self._signalled, number)
        if self._link is not None:
            self._loop.add_reader(self._link.lifeline, self._orphaned)
            beat(self._loop, self._metrics.turned)
        if not self._joining and not await self._listen():
            return 1
        # A daemon, because a download that hangs must not keep the process from ending.
        threading.Thread(target=self._load, name="load", daemon=True).start()
        status = await self._ended
        if status == 0:
            await self._transports.close()
            self._metrics.settle(time.perf_counter())
            if self._notes is not None:
                self._notes.finish(time.monotonic() + _FLUSH_SECONDS)
        return status

    async def _listen(self) -> bool:
        try:
            http, grpc = await self._transports.listen(shared=self._link is not None)
        except LoadError as error:
            self._fail(str(error))
            return False
        named = {"model": self._settings.name, "version": self._settings.version}
        _log.info("listening", extra={"port": http, "grpc_port": grpc, **named})
        return True

    def _load(self) -> None:
        # What loading needs (obstore, a model engine) is imported here, so that the port answers first.
        from fairlead_serving.batching.probe import probe  # noqa: PLC0415
        from fairlead_serving.loading import load  # noqa: PLC0415

        if self._joining:
            # Others serve meanwhile, and their requests come first. The priority is this thread's alone.
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOW_PRIORITY)
        try:
            result = load(self._settings, self._environment, self._report)
            found = probe(result.loaded.model, result.loaded.seconds_a_row)
        except LoadError as error:
            self._on_loop(self._end, error)
        except BaseException as error:  # noqa: BLE001  whatever it is, a panic in native code too, a person must hear it
            _log.debug("loading failed", exc_info=error)
            self._on_loop(self._end, LoadError(f"loading failed: {type(error).__name__}: {error}"))
        else:
            self._on_loop(self._loaded, result, found)

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

    def _loaded(self, result: Load, found: Probe) -> None:
        self._serving = self._loop.create_task(self._serve(result, found))
        self._serving.add_done_callback(self._check)

    def _check(self, serving: asyncio.Task[None]) -> None:
        error = None if serving.cancelled() else serving.exception()
        if error is not None:
            reason = str(error) if isinstance(error, LoadError) else f"{type(error).__name__}: {error}"
            self._finish(self._fail(f"the model cannot be served: {reason}"))

    async def _serve(self, result: Load, found: Probe) -> None:
        loaded = result.loaded
        self._metrics.loaded(loaded.digest, loaded.model.format, loaded.model.classes, result.seconds)
        self._service.engine.learn(found)
        if result.spare is not None:
            self._service.fall_back_on(result.spare)
        await self._transports.take_routes(loaded.model)
        self._dataplane.serve(loaded)
        if self._joining and not await self._listen():
            self._finish(1)
            return
        if self._link is not None:
            self._link.serves(loaded.digest)
        # What is there now stays: the garbage collector need not look at it again and again.
        gc.freeze()
        _log.info(
            "ready",
            extra={
                "digest": loaded.digest,
                "format": loaded.model.format,
                "load_seconds": round(result.seconds, 3),
                "seconds_a_row": loaded.seconds_a_row,
                "joins_requests": found.joins or found.reason,
            },
        )

    def _orphaned(self) -> None:
        """End when the supervisor has gone without a word."""
        if self._link is not None:
            self._loop.remove_reader(self._link.lifeline)
            self._signalled(signal.SIGTERM)

    def _signalled(self, number: signal.Signals) -> None:
        if self._dataplane.state is State.DRAINING:
            _log.warning("stopping at once: a second %s", number.name)
            self._finish(128 + number)
        elif self._dataplane.state is State.LOADING:
            _log.info("stopping: %s before the model was loaded", number.name)
            self._finish(0)
        else:
            # Ctrl-C is a person, and nobody routes requests elsewhere meanwhile.
            seconds = 0.0 if number == signal.SIGINT else self._settings.drain_seconds
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
