"""The parent of several workers: starts them, replaces the ones that die, and ends with them.

The first worker starts alone: it listens at once, so that probes are answered, and loads the model. When it serves, the
others are started with the digest it found; each loads the model and then joins in listening on the same port. A worker
without a model gets no connections that way, and the pod is ready as early as with one worker.

The supervisor has no threads and no event loop, and imports nothing that has: a forked worker starts from a clean
process, however often that happens.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from fairlead_serving.metrics import board as at
from fairlead_serving.metrics.board import Board
from fairlead_serving.workers.cores import allowed_memory, resident_bytes
from fairlead_serving.workers.heartbeat import SECONDS, Watch
from fairlead_serving.workers.link import Link

_log = logging.getLogger(__name__)
_ENDINGS: Final = (signal.SIGTERM, signal.SIGINT)
_FIRST_DELAY: Final = 0.5
_LONGEST_DELAY: Final = 60.0
# A worker that lived so long did not die of its start: its successor starts at once.
_HEALTHY_SECONDS: Final = 60.0
# A model needs memory to work in, too.
_MEMORY_SHARE: Final = 0.8
_MESSAGE: Final = 4096


@dataclass(slots=True)
class _Worker:
    number: int
    pid: int = 0
    serving: bool = False
    began: float = 0.0
    hung: bool = False
    delay: float = 0.0
    due: float = float("inf")  # when to start it, while it does not run


class Supervisor:
    """Keeps a number of workers running until it is told to stop."""

    def __init__(self, board: Board, work: Callable[[Link], int], *, sure: bool, patience: float) -> None:
        """Prepare; `work` runs in each forked worker and returns its exit status.

        `sure` is whether so many workers were asked for; otherwise as many are started as the memory has room for.
        `patience` is the seconds after which a worker whose event loop stands still is replaced, 0 for never.
        """
        self._board = board
        self._work = work
        self._sure = sure
        self._workers = [_Worker(number) for number in range(board.workers)]
        self._patience = patience
        self._watch = Watch(lambda: board.column(at.TURNS), patience)
        self._next_look = float("inf")
        self._digest: str | None = None
        self._stopping = False
        self._status = 0
        self._messages, self._reports = os.pipe()
        self._lifeline = os.pipe()
        os.set_blocking(self._messages, False)

    def run(self) -> int:
        """Return the exit status when all workers have ended."""
        waker, wake = socket.socketpair()
        waker.settimeout(0)
        wake.settimeout(0)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        for number in (*_ENDINGS, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        self._workers[0].due = 0.0
        poll = select.poll()
        poll.register(waker, select.POLLIN)
        poll.register(self._messages, select.POLLIN)
        while True:
            self._start_due()
            self._end_hung()
            if not any(worker.pid for worker in self._workers) and (self._stopping or not self._waits()):
                return self._status
            for descriptor, _ in poll.poll(self._pause()):
                if descriptor == self._messages:
                    self._heard()
                else:
                    self._signalled(waker.recv(_MESSAGE))

    def _waits(self) -> bool:
        return any(worker.due < float("inf") for worker in self._workers)

    def _pause(self) -> float | None:
        """Return the milliseconds until there is something to do, None where that is not known."""
        due = min(self._next_look, *(worker.due for worker in self._workers))
        return None if due == float("inf") else max(0.0, (due - time.monotonic()) * 1000) + 1

    def _start_due(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            if worker.due <= now:
                worker.due = float("inf")
                self._start(worker)

    def _end_hung(self) -> None:
        """Kill workers whose event loop stands still; they are replaced as any that die."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + SECONDS
        serving = [worker.number for worker in self._workers if worker.pid and worker.serving and not worker.hung]
        for number in self._watch.look(now, serving):
            worker = self._workers[number]
            worker.hung = True
            _log.error("worker %d hangs: its event loop has not turned for %g s; it is killed", number, self._patience)
            os.kill(worker.pid, signal.SIGKILL)

    def _start(self, worker: _Worker) -> None:
        worker.began = time.monotonic()
        worker.serving = worker.hung = False
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDINGS)
        worker.pid = os.fork()
        if not worker.pid:
            os._exit(self._be(worker))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDINGS)

    def _be(self, worker: _Worker) -> int:
        """Be the worker, in the forked process."""
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # Until the event loop takes the signals over, there is nothing to drain.
            for number in _ENDINGS:
                signal.signal(number, lambda *_: os._exit(0))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDINGS)
            # A terminal's Ctrl-C goes to the supervisor alone, which passes it on.
            os.setpgid(0, 0)
            os.close(self._messages)
            os.close(self._lifeline[1])
            return self._work(Link(worker.number, self._digest, self._reports, self._lifeline[0]))
        except BaseException:  # noqa: BLE001  whatever it is, it must not go on as a second supervisor
            _log.exception("worker %d failed", worker.number)
            return 1

    def _heard(self) -> None:
        """Take a worker's word that it serves."""
        with suppress(BlockingIOError):
            for line in os.read(self._messages, _MESSAGE).decode().splitlines():
                number, digest = line.split(" ", 1)
                worker = self._workers[int(number)]
                worker.serving = True
                if self._watch.on and not self._stopping:
                    self._next_look = min(self._next_look, time.monotonic() + SECONDS)
                if self._digest is None:
                    self._digest = digest
                    self._start_others()

    def _start_others(self) -> None:
        first, *others = self._workers
        room = len(others)
        if not self._sure:
            each = max(1, resident_bytes(first.pid))
            room = min(room, int(_MEMORY_SHARE * allowed_memory() / each) - 1)
            if room < len(others):
                _log.warning("%d workers of %d: the memory has no room for more", max(room, 0) + 1, len(self._workers))
        if not self._stopping:
            for worker in others[: max(room, 0)]:
                worker.due = 0.0

    def _signalled(self, numbers: bytes) -> None:
        for number in numbers:
            if number in _ENDINGS:
                self._stopping = True
                self._next_look = float("inf")
                for worker in self._workers:
                    worker.due = float("inf")
                    if worker.pid:
                        with suppress(ProcessLookupError):
                            os.kill(worker.pid, number)
        self._reap()

    def _reap(self) -> None:
        by_pid = {worker.pid: worker for worker in self._workers if worker.pid}
        while by_pid:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            worker = by_pid.pop(pid, None)
            if worker is not None:
                self._ended(worker, os.waitstatus_to_exitcode(status))

    def _ended(self, worker: _Worker, status: int) -> None:
        worker.pid = 0
        self._board.bury(worker.number, hung=worker.hung)
        if self._stopping or self._digest is None:
            # Told to end, or unable to serve the model, as the worker has said itself. One that was killed outright
            # ends as a shell would tell it.
            self._status = self._status or (status if status >= 0 else 128 - status)
            return
        lived = time.monotonic() - worker.began
        healthy = worker.serving and lived > _HEALTHY_SECONDS
        worker.delay = 0.0 if healthy else min(max(2 * worker.delay, _FIRST_DELAY), _LONGEST_DELAY)
        worker.due = time.monotonic() + worker.delay
        _log.error(
            "worker %d ended with status %d after %.0f s; it is replaced in %g s",
            *(worker.number, status, lived, worker.delay),
        )
