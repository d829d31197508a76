"""A web server that takes what is sent to it, or does not."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from tests.serving.harness import PATIENCE_SECONDS


class Message(NamedTuple):
    """One POST."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What has come. `status` is what senders are told; while `open` is not set, they are told nothing."""

    port: int = 0
    status: int = 200
    # What the first senders are told instead.
    failures: list[int] = field(default_factory=list)
    tried: int = 0
    taken: list[Message] = field(default_factory=list)
    open: threading.Event = field(default_factory=threading.Event)
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition that what comes may make true."""
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE_SECONDS), self.taken


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    receiver: Receiver

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        receiver = self.receiver
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers["content-length"]))
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        with receiver.changed:
            receiver.tried += 1
            receiver.changed.notify_all()
        receiver.open.wait(PATIENCE_SECONDS)
        with receiver.changed:
            status = receiver.failures.pop(0) if receiver.failures else receiver.status
            if status < 300:
                receiver.taken.append(Message(self.path, headers, body))
            receiver.changed.notify_all()
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Say nothing of a sender that has given up."""


@contextmanager
def running_receiver() -> Iterator[Receiver]:
    """Run a receiver on a free port."""
    receiver = Receiver()
    receiver.open.set()
    with _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"receiver": receiver})) as server:
        receiver.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield receiver
        finally:
            receiver.open.set()
            server.shutdown()
            thread.join()
