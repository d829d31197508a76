"""Many connections, and connections that do nothing."""

from __future__ import annotations

import contextlib
import json
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.serving.harness import Server, read_response, table, until

Start = Callable[..., Server]
LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"


def resident(server: Server) -> int:
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.fixture
def many_files() -> Iterator[int]:
    """How many files this process may open, while the test runs."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_ten_thousand_idle_connections_cost_little_and_the_server_goes_on(
    start: Start, models: Path, many_files: int
) -> None:
    if many_files < 11_000:
        pytest.skip(f"only {many_files} files may be open here, 11000 are needed")
    server = start(models / "onnx").ready()
    server.infer(table())
    before = resident(server)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(10_000)]
        for client in clients[::10]:
            client.sendall(LIVE)
        for client in clients[::10]:
            assert client.recv(12) == b"HTTP/1.1 200"
        assert server.infer(table()).status == 200
        cost = (resident(server) - before) / len(clients)
    assert cost < 10_000
    assert server.infer(table()).status == 200


def test_connections_beyond_the_limit_are_told_so(start: Start, models: Path) -> None:
    server = start(models / "onnx", "--max-connections", "2").ready()
    with server.connect() as first, server.connect() as second:
        for client in (first, second):
            client.sendall(LIVE)
            assert client.recv(12) == b"HTTP/1.1 200"
        with server.connect() as third, third.makefile("rb") as stream:
            answer = read_response(stream)
            assert (answer.status, answer.headers["connection"]) == (503, "close")
            assert answer.error == "too many connections"
            assert stream.read() == b""
    until(lambda: server.get("/v2/health/live").status == 200)


def test_idle_connections_are_closed_where_that_is_asked_for_but_none_where_something_comes_in(
    start: Start, models: Path
) -> None:
    # Long enough for clients that are held up.
    server = start(models / "onnx", "--idle-timeout-seconds", "4").ready()
    body = json.dumps(table()).encode()
    request = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with server.connect() as half, half.makefile("rb") as its:
        half.sendall(LIVE[:20])
        began = time.monotonic()
        with server.connect() as silent, server.connect() as used, used.makefile("rb") as stream:
            used.sendall(request)
            assert read_response(stream).status == 200
            assert silent.recv(1) == b""
            assert time.monotonic() - began >= 4
            assert stream.read() == b""
        half.sendall(LIVE[20:])
        assert read_response(its).status == 200
