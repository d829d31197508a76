"""One running server: its processes, what they use, and their sure end."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from tests.peers.forms import Rows
from tests.peers.models import Model
from tests.peers.plan import Peer, Place, environment_of

START_SECONDS = 120.0
WRONG_SECONDS = 10.0
"""How long a server may answer with errors other than 503 while it loads."""
END_SECONDS = 20.0
LOOK_SECONDS = 0.005
_TICK = os.sysconf("SC_CLK_TCK")


class StartError(Exception):
    """A server did not come up or gave wrong answers; says what it last wrote."""


class Memory(NamedTuple):
    """Megabytes of all processes of a server together."""

    pss: float
    """Shared pages counted once."""
    rss: float


@dataclass
class Running:
    """A server that has been started, in a session of its own."""

    peer: Peer
    model: Model
    process: subprocess.Popen[bytes]
    place: Place
    path: str
    cold_seconds: float = 0.0
    """From the start of the process to the first right answer."""

    @classmethod
    def start(cls, peer: Peer, model: Model, folder: Path, cores: Collection[int] | None = None) -> Self:
        """Start a server on these cores and wait for its first right answer. `folder` is an empty one of its own.

        Raises StartError when it ends, stays silent or answers wrongly.
        """
        place = Place(folder, *free_ports(3))
        plan = peer.plan(peer.python(), model, peer.saved(model), place)
        pinned = ["taskset", "-c", ",".join(map(str, sorted(cores)))] if cores else []
        began = time.monotonic()
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603  our own plan
                [*pinned, *plan.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=environment_of(plan, folder),
                start_new_session=True,
            )
        server = cls(peer, model, process, place, plan.path)
        try:
            server._wait(began)
            server.check()
        except BaseException:
            server.stop()
            raise
        return server

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where inference requests go by HTTP."""
        return f"http://127.0.0.1:{self.place.http}{self.path}"

    def infer(self, rows: Rows) -> list[float]:
        """The labels of some rows. Raises OSError for no answer or a 503, ValueError for one that gives none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.place.http, timeout=START_SECONDS)
        try:
            connection.request("POST", self.path, self.peer.form.body(rows), {"Content-Type": "application/json"})
            response = connection.getresponse()
            body = response.read()
        except http.client.HTTPException as error:
            message = f"{type(error).__name__}: {error}"
            raise OSError(message) from error
        finally:
            connection.close()
        if response.status != http.client.OK:
            message = f"{response.status}: {body[:300]!r}"
            raise OSError(message) if response.status == http.client.SERVICE_UNAVAILABLE else ValueError(message)
        return self.peer.form.read(body)

    def check(self) -> None:
        """Ask for all rows of the sample, one by one. Raises StartError where an answer is wrong."""
        if self.peer.blind:
            return
        for row, label in zip(self.model.rows, self.model.labels, strict=True):
            found = self.infer([row])
            if found != [label]:
                message = f"{self.peer.name} says {found} of {row}, and {self.model.name} says {label}"
                raise StartError(message)

    def _wait(self, began: float) -> None:
        until, last = began + START_SECONDS, ""
        while time.monotonic() < until:
            if self.process.poll() is not None:
                message = f"{self.peer.name} ended with {self.process.returncode}: {self.last_words()}"
                raise StartError(message)
            try:
                self.infer(self.model.rows[:1])
            except OSError:
                time.sleep(LOOK_SECONDS)
            except ValueError as error:
                if not last:
                    until = min(until, time.monotonic() + WRONG_SECONDS)
                last = f" but {error}"
                time.sleep(LOOK_SECONDS)
            else:
                self.cold_seconds = time.monotonic() - began
                return
        message = f"{self.peer.name} gave no answer in {time.monotonic() - began:.0f} s{last}: {self.last_words()}"
        raise StartError(message)

    def last_words(self) -> str:
        """The end of its log."""
        return (self.place.folder / "log").read_text(errors="replace")[-1500:].strip()

    def pids(self) -> list[int]:
        """All its processes: those of its session, and what descends from them."""
        return family(self.process.pid)

    def cpu_seconds(self) -> float:
        """CPU time used so far by the processes that live, and by those that these have waited for."""
        return sum(_cpu_seconds(pid) for pid in self.pids())

    def memory(self) -> Memory:
        """What its processes hold now."""
        found = [_memory(pid) for pid in self.pids()]
        return Memory(sum(one.pss for one in found), sum(one.rss for one in found))

    def pause(self) -> None:
        """Stop all its processes until `resume`, so that it takes nothing from others."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it, first as it wants, then surely; nothing of it is left."""
        self.resume()
        pids = set(self.pids())
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(END_SECONDS)
        for pid in pids | set(self.pids()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def family(pid: int) -> list[int]:
    """The ids of a session's processes and of all their descendants."""
    parents, members = {}, {pid} if Path(f"/proc/{pid}").exists() else set()
    for one, parent, session in _processes():
        parents[one] = parent
        if session == pid:
            members.add(one)
    while more := {one for one, parent in parents.items() if parent in members and one not in members}:
        members |= more
    return sorted(members)


def _processes() -> Iterator[tuple[int, int, int]]:
    """The id, the parent and the session of every process."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                yield int(entry.name), int(fields[1]), int(fields[3])


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / _TICK


def _memory(pid: int) -> Memory:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return Memory(0.0, 0.0)
    sizes = {name: int(rest[0]) / 1000 * 1.024 for name, *rest in map(str.split, lines)}
    return Memory(sizes.get("Pss:", 0.0), sizes.get("Rss:", 0.0))


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in found]
