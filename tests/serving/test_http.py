"""HTTP/1.1 as it comes over a socket."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.serving.harness import PATIENCE_SECONDS, Answer, Server, read_response, table

Start = Callable[..., Server]
LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
INFER = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\n"
BODY = json.dumps(table()).encode()


@contextmanager
def connected(server: Server) -> Iterator[tuple[socket.socket, BinaryIO]]:
    with server.connect() as client, client.makefile("rb") as stream:
        yield client, stream


def exchange(server: Server, data: bytes) -> tuple[Answer, bytes]:
    """Send bytes, and return the first response and all that follows until the server closes."""
    with connected(server) as (client, stream):
        client.sendall(data)
        return read_response(stream), stream.read()


def post(body: bytes = BODY, **headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return INFER + lines.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


def test_a_connection_stays_open(classifier: Server) -> None:
    with connected(classifier) as (client, stream):
        for _ in range(3):
            client.sendall(LIVE)
            answer = read_response(stream)
            assert answer.status == 200
            assert "connection" not in answer.headers
            assert "date" in answer.headers


def test_pipelined_requests_are_answered_in_order(classifier: Server) -> None:
    requests = [post(json.dumps(table(id=str(number))).encode()) for number in range(50)]
    with connected(classifier) as (client, stream):
        client.sendall(b"".join(requests))
        assert [read_response(stream).json["id"] for _ in requests] == [str(number) for number in range(50)]


def test_a_request_may_come_byte_by_byte(classifier: Server) -> None:
    with connected(classifier) as (client, stream):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in post():
            client.sendall(bytes([byte]))
        assert read_response(stream).status == 200


def test_a_chunked_body(classifier: Server) -> None:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(BODY[at : at + 7]), BODY[at : at + 7]) for at in range(0, len(BODY), 7))
    with connected(classifier) as (client, stream):
        client.sendall(INFER + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n" + LIVE)
        assert read_response(stream).json["outputs"]
        assert read_response(stream).json == {"live": True}


def test_a_client_that_expects_100_continue_gets_it(classifier: Server) -> None:
    with connected(classifier) as (client, stream):
        client.sendall(INFER + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert read_response(stream).status == 100
        client.sendall(BODY)
        assert read_response(stream).status == 200


def test_a_client_that_does_not_wait_for_100_continue_gets_one_answer(classifier: Server) -> None:
    with connected(classifier) as (client, stream):
        client.sendall(post(Expect="100-continue") + LIVE)
        assert [read_response(stream).status for _ in range(2)] == [200, 200]


def test_another_expectation_fails(classifier: Server) -> None:
    answer, rest = exchange(classifier, post(Expect="a miracle"))
    assert (answer.status, answer.headers["connection"], rest) == (417, "close", b"")


def test_http_1_0_closes_unless_asked_to_stay(classifier: Server) -> None:
    answer, rest = exchange(classifier, b"GET /v2/health/live HTTP/1.0\r\n\r\n")
    assert (answer.status, answer.headers["connection"], rest) == (200, "close", b"")
    with connected(classifier) as (client, stream):
        for _ in range(2):
            client.sendall(b"GET /v2/health/live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert read_response(stream).headers["connection"] == "keep-alive"


def test_connection_close_is_honoured(classifier: Server) -> None:
    answer, rest = exchange(classifier, post(Connection="close") + LIVE)
    assert (answer.status, answer.headers["connection"], rest) == (200, "close", b"")


def test_head_is_get_without_a_body(classifier: Server) -> None:
    with connected(classifier) as (client, stream):
        client.sendall(b"HEAD /v2 HTTP/1.1\r\nHost: x\r\n\r\n" + LIVE)
        status = stream.readline()
        headers = dict(line.split(b": ", 1) for line in iter(stream.readline, b"\r\n"))
        assert status.startswith(b"HTTP/1.1 200")
        assert int(headers[b"Content-Length"]) > 0
        assert read_response(stream).json == {"live": True}


def test_the_absolute_form_is_understood(classifier: Server) -> None:
    with connected(classifier) as (client, stream):
        client.sendall(b"GET http://x:8080/v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_response(stream).json == {"live": True}


def test_a_wish_to_upgrade_is_ignored(classifier: Server) -> None:
    upgrade = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"
    with connected(classifier) as (client, stream):
        client.sendall(upgrade + LIVE)
        assert [read_response(stream).status for _ in range(2)] == [200, 200]


def test_a_half_closed_client_still_gets_its_answers(served: Callable[[str], Server]) -> None:
    with connected(served("forest")) as (client, stream):
        client.sendall(post() + post())
        client.shutdown(socket.SHUT_WR)
        assert [read_response(stream).status for _ in range(2)] == [200, 200]
        assert stream.read() == b""


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET /v2 HTTP/1.1\r\n\r\n", 400),
        (b"GET /v2 HTTP/3.7\r\nHost: x\r\n\r\n", 400),
        (b"GET /v2 HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (INFER + b"Content-Length: -1\r\n\r\n", 400),
        (INFER + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400),
        (INFER + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (INFER + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (INFER + b"Content-Length: 99999999999999999999\r\n\r\n", 400),
        (INFER + b"Content-Length: 999999999999\r\n\r\n", 413),
        (b"GET /v2 HTTP/1.1\r\nHost: x\r\nBig: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        (b"GET /v2 HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 10_000 + b"\r\n", 431),
        (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (b"GET /v2 HTTP/1.1\r\nHost: x\r\nEndless: " + b"a" * 300_000, 431),
    ],
)
def test_what_is_not_http_or_too_much_is_answered_and_ends_the_connection(
    classifier: Server, data: bytes, status: int
) -> None:
    answer, rest = exchange(classifier, LIVE + data)
    assert answer.status == 200
    head, _, body = rest.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Connection: close" in head
    assert json.loads(body)["error"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_is_refused_and_the_refusal_arrives(start: Start, models: Path, *, chunked: bool) -> None:
    server = start(models / "onnx", FAIRLEAD_MAX_BODY_BYTES="1000").ready()
    assert server.call("POST", "/v2/models/m/infer", b"x" * 1000).status == 400
    body = b"x" * 300_000
    in_chunks = INFER + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body
    data = in_chunks if chunked else post(body)
    answer, _ = exchange(server, data)
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert answer.error == "the body is larger than 1000 bytes"


def test_a_client_that_does_not_read_does_not_fill_the_memory(classifier: Server) -> None:
    with connected(classifier) as (client, stream):
        client.settimeout(2)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        sent = 0
        scrape = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 100
        with contextlib.suppress(TimeoutError):
            while sent < 1_000_000:
                client.sendall(scrape)
                sent += 100
        assert sent < 1_000_000
        client.settimeout(PATIENCE_SECONDS)
        assert read_response(stream).status == 200
    assert classifier.get("/v2/health/live").status == 200


@pytest.fixture(scope="module")
def hasty(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that gives up on slow clients soon."""
    server = Server.start(tmp_path_factory.mktemp("hasty"), models / "onnx", "--request-timeout-seconds", "0.9")
    yield server.ready()
    server.stop()


def test_metrics_are_text_for_prometheus(classifier: Server) -> None:
    answer = classifier.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    openmetrics = classifier.call("GET", "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    assert openmetrics.body.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    "beginning", [b"GET /v2 HT", INFER + b"X: y", INFER + b"Content-Length: 10\r\n\r\nabc", post()[:-5]]
)
def test_a_request_that_does_not_come_in_is_given_up(hasty: Server, beginning: bytes) -> None:
    with connected(hasty) as (client, stream):
        client.sendall(LIVE + beginning)
        assert read_response(stream).status == 200
        answer = read_response(stream)
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert stream.read() == b""


def test_a_slow_body_that_moves_is_waited_for(start: Start, models: Path) -> None:
    # Long enough for a client that is held up between two bytes.
    server = start(models / "onnx", "--request-timeout-seconds", "4").ready()
    request = post()
    with connected(server) as (client, stream):
        began = time.monotonic()
        client.sendall(request[:-20])
        for byte in request[-20:]:
            client.settimeout(0.25)
            with pytest.raises(TimeoutError):
                client.recv(1)
            client.settimeout(PATIENCE_SECONDS)
            client.sendall(bytes([byte]))
        assert time.monotonic() - began > 4
        assert read_response(stream).status == 200
