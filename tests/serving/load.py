"""A load of many keep-alive connections that notices every lost request."""

from __future__ import annotations

import random
import socket
import threading
import time
from types import TracebackType
from typing import Self

from tests.serving.harness import PATIENCE_SECONDS, Server, read_response


class Load:
    """Clients in threads, each on one connection at a time, as well-behaved HTTP clients are.

    A client opens a new connection only after a response that carried `Connection: close`, and to an address that has
    not been forgotten meanwhile. Everything else that ends a request is a failure, but for a connection to a server
    whose time to drain was over: that its address was still in use is the slowness of this side.
    """

    def __init__(self, body: bytes, ports: list[int], connections: int = 8) -> None:
        head = f"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        self._request = head.encode() + body
        self._ports = list(ports)
        self._ends: dict[int, float] = {}
        self._changed = threading.Condition()
        self._stop = False
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(connections)]
        self.answered = 0
        self.ages: list[float] = []
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop = True
        for thread in self._threads:
            thread.join()

    def __str__(self) -> str:
        return f"{self.answered} answered, {len(self.failures)} failed: {self.failures[:3]}"

    @staticmethod
    def port_of(server: Server) -> int:
        """Return the port that the load is for."""
        return server.port

    def join(self, port: int) -> None:
        """Open connections to one more address from now on."""
        self._ends.pop(port, None)
        self._ports.append(port)

    def drains(self, port: int, seconds: float) -> None:
        """Take note, right before a server is told to end, that it drains for so long and is gone then."""
        self._ends[port] = time.monotonic() + seconds

    def forget(self, port: int) -> None:
        """Open no more connections to an address."""
        self._ports.remove(port)

    def wait_for(self, answers: int) -> None:
        """Wait until so many requests have been answered in all."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.answered >= answers or self.failures, PATIENCE_SECONDS)

    def wait_for_ends(self, connections: int) -> None:
        """Wait until so many connections have been ended by the server."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.ages) >= connections or self.failures, PATIENCE_SECONDS)

    def _run(self, number: int) -> None:
        chance = random.Random(number)  # noqa: S311  not for secrets
        while not self._stop:
            port = chance.choice(self._ports)
            try:
                self._one_connection(port)
            except (OSError, EOFError, AssertionError) as error:
                if not isinstance(error, AssertionError) and time.monotonic() > self._ends.get(port, float("inf")):
                    continue
                with self._changed:
                    self.failures.append(f"{type(error).__name__}: {error}")
                    self._changed.notify_all()
                return

    def _one_connection(self, port: int) -> None:
        # Before it is opened, so that no age is less than what the server sees of it.
        began = time.monotonic()
        address = ("127.0.0.1", port)
        with socket.create_connection(address, PATIENCE_SECONDS) as client, client.makefile("rb") as stream:
            while not self._stop:
                client.sendall(self._request)
                answer = read_response(stream)
                assert answer.status == 200, answer
                with self._changed:
                    self.answered += 1
                    if answer.headers.get("connection") == "close":
                        self.ages.append(time.monotonic() - began)
                    self._changed.notify_all()
                if answer.headers.get("connection") == "close":
                    return
