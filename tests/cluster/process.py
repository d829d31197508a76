"""Long-running programs that outlive the command that started them, and their sure end.

A process is ours when its environment carries our mark (the state folder it works for). The mark is inherited, so that
containerd's shims carry it too, and it is read from /proc at the moment of the signal, which goes through a pidfd. So a
recycled process id is never hit, and a process whose start was never written down is still found.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import ClusterError

MARK = "FAIRLEAD_STATE_DIR"
_KILL_ROUNDS = 5
_EXEC_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Daemons:
    """The programs that work for one state folder; each logs to log/NAME.log there and has its id in pids/NAME."""

    state: Path

    def start(self, name: str, command: Sequence[str], prefix: Sequence[str] = ()) -> None:
        """Start a program in a session of its own; prefix is put before it (nsenter)."""
        (self.state / "log").mkdir(parents=True, exist_ok=True)
        (self.state / "pids").mkdir(exist_ok=True)
        with (self.state / "log" / f"{name}.log").open("ab") as log:
            running = subprocess.Popen(
                [*prefix, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.state,
                env=dict(os.environ) | {MARK: str(self.state)}, start_new_session=True,
            )  # fmt: skip
        # The id is kept in a file only; without this Popen warns when it is collected while its process lives on.
        running.returncode = 0
        (self.state / "pids" / name).write_text(str(running.pid))

    def alive(self, name: str) -> bool:
        """Tell whether the program of that name runs."""
        pid = self._pid(name)
        if pid is None:
            return False
        # While a process replaces its program its environment reads as empty, or cannot be read, for a moment.
        deadline = time.monotonic() + _EXEC_SECONDS
        while not (environment := _environment(pid)):
            if _ended(pid) or time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return _mark(self.state) in environment

    def check(self, names: Iterable[str]) -> None:
        """Raise ClusterError with the last log lines when one of the programs has ended."""
        for name in names:
            if not self.alive(name):
                message = f"{name} ended unexpectedly: {self.last_words(name)}"
                raise ClusterError(message)

    def last_words(self, name: str) -> str:
        """Return the end of a program's log."""
        log = self.state / "log" / f"{name}.log"
        text = log.read_text(errors="replace") if log.exists() else ""
        return f"{text[-1500:].strip()} (whole log: {log})"

    def stop(self, names: Iterable[str], grace_seconds: float = 5.0) -> None:
        """End the named programs, politely first, and wait until they are gone."""
        pids = [pid for name in names if (pid := self._pid(name)) is not None]
        end(pids, self.state, grace_seconds)

    def kill_all(self) -> None:
        """Kill every process that carries our mark, however it came to life."""
        for _ in range(_KILL_ROUNDS):  # a process that is killed in the middle of a fork leaves a child behind
            if not (remaining := marked(self.state)):
                return
            end(remaining, self.state, grace_seconds=0.0)
        message = f"these processes of the cluster do not end: {', '.join(map(str, marked(self.state)))}"
        raise ClusterError(message)

    def _pid(self, name: str) -> int | None:
        try:
            return int((self.state / "pids" / name).read_text())
        except (OSError, ValueError):
            return None


def marked(state: Path) -> list[int]:
    """Return the ids of all processes that carry the mark of the state folder."""
    ids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in ids if pid != os.getpid() and _marked(pid, state)]


def end(pids: Iterable[int], state: Path, grace_seconds: float) -> None:
    """End marked processes: SIGTERM, SIGKILL when grace_seconds have passed, and wait until they are gone."""
    with contextlib.ExitStack() as stack:
        handles: dict[int, int] = {}
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                handle = os.pidfd_open(pid)
                stack.callback(os.close, handle)
                # The mark is read after the handle is held: the handle cannot come to mean another process.
                if _marked(pid, state):
                    handles[handle] = pid
        if grace_seconds > 0:
            _signal(handles, signal.SIGTERM)
            _wait_gone(handles, grace_seconds)
        _signal(handles, signal.SIGKILL)
        _wait_gone(handles, 10.0)


def _signal(handles: dict[int, int], number: signal.Signals) -> None:
    for handle in handles:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, number)


def _wait_gone(handles: dict[int, int], seconds: float) -> None:
    """Wait until the processes have ended, reap those that are our own children, forget the gone ones."""
    deadline = time.monotonic() + seconds
    while handles and (left := deadline - time.monotonic()) > 0:
        ended, _, _ = select.select(list(handles), [], [], left)
        for handle in ended:
            pid = handles.pop(handle)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _marked(pid: int, state: Path) -> bool:
    """Tell whether the process lives (a zombie does not: its environment reads as empty) and carries the mark."""
    return _mark(state) in _environment(pid)


def _mark(state: Path) -> bytes:
    return f"{MARK}={state}".encode()


def _environment(pid: int) -> list[bytes]:
    """Return a process's variables; none where there is nothing to be read."""
    try:
        return [each for each in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if each]
    except OSError:
        return []


def _ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True
