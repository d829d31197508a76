"""A real server process over sockets, and the little clients that talk to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self

from tests.compiled import package

# When to give up what should happen soon; a machine that has other work takes its time, and that is no failure.
PATIENCE_SECONDS = 200.0
IRIS = [[5.1, 3.5, 1.4, 0.2], [6.0, 3.0, 5.0, 2.0]]


@dataclass
class Answer:
    """One HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"])


@dataclass
class Server:
    """One `fairlead-serve` process; its log lines are its life signs."""

    process: subprocess.Popen[bytes]
    name: str
    cache: Path
    termination: Path
    port: int = 0
    grpc_port: int = 0
    lines: list[dict[str, Any]] = field(default_factory=list)
    _incoming: queue.Queue[dict[str, Any] | None] = field(default_factory=queue.Queue)
    _reader: threading.Thread = field(default_factory=threading.Thread)

    @classmethod
    def start(
        cls,
        folder: Path,
        uri: str | Path,
        *flags: str,
        output: BinaryIO | None = None,
        python: str | Path = sys.executable,
        **environment: str,
    ) -> Self:
        """Start a server and wait until it listens. Other keywords are environment variables."""
        cache, termination = folder / "cache", folder / "termination-log"
        termination.touch()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("FAIRLEAD_", "AWS_"))}
        process = subprocess.Popen(  # noqa: S603  our own program
            [
                str(python),
                "-m",
                "fairlead_serving",
                str(uri),
                "--host",
                "127.0.0.1",
                "--http-port",
                "0",
                "--grpc-port",
                "0",
                *flags,
            ],
            stdout=output,
            stderr=subprocess.PIPE,
            cwd=folder,
            env={
                **inherited,
                "PYTHONPATH": str(package()),
                "PYTHONDONTWRITEBYTECODE": "1",
                "FAIRLEAD_MODEL_NAME": "m",
                "FAIRLEAD_MODEL_VERSION": "7",
                "FAIRLEAD_REVISION": "0123456789",
                "FAIRLEAD_WORKERS": "1",
                # A busy machine is no overload, and no reason to give up a conversion.
                "FAIRLEAD_LATENCY_TARGET_SECONDS": "60",
                "FAIRLEAD_CONVERT_SECONDS": "150",
                "FAIRLEAD_GRPC_PORT": "0",
                "FAIRLEAD_CACHE_DIR": str(cache),
                "FAIRLEAD_TERMINATION_LOG": str(termination),
                **environment,
            },
        )
        server = cls(process, environment.get("FAIRLEAD_MODEL_NAME", "m"), cache, termination)
        server._reader = threading.Thread(target=server._read, daemon=True)
        server._reader.start()
        try:
            listening = server.wait_for("^listening$")
            server.port, server.grpc_port = int(listening["port"]), int(listening["grpc_port"])
        except BaseException:
            server.stop()
            raise
        return server

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                self._incoming.put(json.loads(line))
            except ValueError:
                self._incoming.put({"level": "raw", "message": line.decode(errors="replace").rstrip()})
        self._incoming.put(None)

    def wait_for(self, text: str) -> dict[str, Any]:
        """Return the first log line not yet read whose message contains the text."""
        while True:
            line = self._incoming.get(timeout=PATIENCE_SECONDS)
            if line is None:
                message = f"the server ended with {self.process.wait()}: {self.lines}"
                raise AssertionError(message)
            self.lines.append(line)
            if re.search(text, line["message"]):
                return line

    def ready(self) -> Self:
        """Wait until the model is loaded."""
        self.wait_for("^ready$")
        return self

    def ended(self) -> int:
        """Wait for the end, read the rest of the log and return the exit status."""
        status = self.process.wait(PATIENCE_SECONDS)
        while (line := self._incoming.get(timeout=PATIENCE_SECONDS)) is not None:
            self.lines.append(line)
        return status

    def workers(self) -> list[int]:
        """Return the process ids of the workers, where there are several."""
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> None:
        """End the process whatever it does."""
        if self.process.poll() is None:
            for pid in (*self.workers(), self.process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Make one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.call("GET", path)

    def infer(self, message: object, path: str | None = None) -> Answer:
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        return self.call("POST", path or f"/v2/models/{self.name}/infer", body)

    def metrics(self) -> dict[str, float]:
        """Return the samples by name and labels, those of the identity left out."""
        samples = {}
        for line in self.get("/metrics").body.decode().splitlines():
            if line.startswith("fairlead_"):
                series, value = line.rsplit(" ", 1)
                samples[re.sub(r'(?:model|version|revision)="[^"]*",?', "", series).replace("{}", "")] = float(value)
        return {series.replace(",}", "}"): value for series, value in samples.items()}


def in_flight(server: Server) -> float:
    """Return how many requests are being answered."""
    return server.metrics()["fairlead_requests_in_flight"]


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that nothing tells of."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def table(rows: object = None, datatype: str = "FP32", **more: object) -> dict[str, object]:
    """Return an inference request with one 2-D tensor."""
    rows = IRIS if rows is None else rows
    assert isinstance(rows, list)
    return {"inputs": [{"name": "x", "shape": [len(rows), len(rows[0])], "datatype": datatype, "data": rows}], **more}


def read_response(stream: Any) -> Answer:
    """Read one response off a raw connection's file."""
    status = stream.readline()
    if not status:
        message = "the connection ended"
        raise EOFError(message)
    headers: dict[str, str] = {}
    while (line := stream.readline().strip()) != b"":
        name, _, value = line.partition(b":")
        headers[name.decode().lower()] = value.strip().decode()
    body = stream.read(int(headers.get("content-length", "0")))
    return Answer(int(status.split()[1]), headers, body)
