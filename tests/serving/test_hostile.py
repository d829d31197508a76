"""What clients can do to a server on purpose, beside what test_http, test_http2, test_binary and test_limits try.

docs/hardening.md lists all of it.
"""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fuzz.rest import answers
from tests.fuzz.targets import seeds
from tests.serving.certificates import Authority
from tests.serving.harness import PATIENCE_SECONDS, Server, read_response, table
from tests.serving.oip import messages
from tests.serving.rawh2 import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    INFER,
    PREFACE,
    SETTINGS,
    alive,
    frame,
    head,
    message,
    request,
)
from tests.serving.rawh2 import connected as connected_h2

Start = Callable[..., Server]
POST = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\n"
MIB = 1 << 20


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all that follows: it must be as well at the end as it was at the beginning."""
    started = Server.start(tmp_path_factory.mktemp("hostile"), models / "onnx", "--max-body-bytes", str(8 * MIB))
    yield started.ready()
    assert started.infer(table()).status == 200
    assert started.metrics()['fairlead_requests_total{outcome="server_error"}'] == 0
    assert started.metrics()["fairlead_requests_in_flight"] == 0
    started.signal(signal.SIGKILL)
    started.ended()
    assert not [line for line in started.lines if line["level"] not in ("info", "warning")]
    started.stop()


@pytest.fixture(scope="module")
def hasty(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that gives up on slow clients soon, this one among them when the machine is busy."""
    started = Server.start(tmp_path_factory.mktemp("hasty"), models / "onnx", "--request-timeout-seconds", "0.6")
    yield started.ready()
    started.stop()


def resident(server: Server) -> int:
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.fixture(autouse=True)
def _bounded(server: Server) -> Iterator[None]:
    """Hold each test to a server that answers and has not grown by more than a few bodies."""
    before = resident(server)
    yield
    assert server.infer(table()).status == 200
    assert alive(server)
    assert resident(server) - before < 120 * MIB


def everything(server: Server, data: bytes, *, hang_up: bool = True) -> list[int]:
    """Send bytes and return the statuses of all that comes until the server closes, which must be well-formed."""
    with server.connect() as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(data)
            if hang_up:
                client.shutdown(socket.SHUT_WR)
        pieces = []
        with contextlib.suppress(ConnectionResetError):
            while piece := client.recv(65536):
                pieces.append(piece)
        return [each.status for each in answers(b"".join(pieces))]


@pytest.mark.parametrize("name", seeds("http"))
def test_what_the_fuzzers_begin_with_never_is_the_servers_fault(server: Server, name: str) -> None:
    assert all(status < 500 for status in everything(server, seeds("http")[name][1:]))


@pytest.mark.parametrize(("target", "path"), [("v2", "/v2/models/m/infer"), ("v1", "/v1/models/m:predict")])
def test_no_body_is_the_servers_fault(server: Server, target: str, path: str) -> None:
    for name, data in seeds(target).items():
        size = int.from_bytes(data[:2], "big")
        body = data[2:] if target == "v2" else data
        headers = {"Inference_Header_Content_Length": str(size - 1)} if target == "v2" and size else {}
        answer = server.call("POST", path, body, **headers)
        assert answer.status in (200, 400), (name, answer)
        if answer.status == 400:
            assert answer.error


def test_no_message_of_grpc_is_the_servers_fault(server: Server) -> None:
    with connected_h2(server) as client:
        for stream, data in enumerate(seeds("grpc").values()):
            client.send(request(2 * stream + 1, INFER, message(data)))
            payload = client.end(2 * stream + 1).payload
            assert any(b"grpc-status\x01" + status in payload for status in (b"0", b"3", b"5")), payload


@pytest.mark.parametrize("behind", [b"Content-Length: 100000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nfffff\r\n"])
@pytest.mark.parametrize("reset", [False, True])
def test_a_body_that_is_cut_off_leaves_nothing_behind(server: Server, behind: bytes, *, reset: bool) -> None:
    for _ in range(50):
        with server.connect() as client:
            client.sendall(POST + behind + b"x" * 5000)
            if reset:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_a_body_that_is_cut_off_over_grpc_leaves_nothing_behind(server: Server) -> None:
    for _ in range(50):
        with connected_h2(server) as client:
            client.send(frame(HEADERS, END_HEADERS, 1, head()) + frame(DATA, 0, 1, bytes(9000)))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"[" * 4 * MIB, "body"),
        (b'{"inputs":' * 200_000, "inputs"),
        (
            b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":' + b"[" * 4 * MIB,
            "nested too deeply",
        ),
        (
            b'{"inputs":[{"name":"' + b"x" * 4 * MIB + b'","shape":[1,4],"datatype":"FP32","data":[1,2,3]}]}',
            "inputs[0]",
        ),
        (b'{"inputs":[{"name":"x","shape":[' + b"1," * MIB + b"1]}]}", "inputs[0]"),
        (b'{"inputs":[' + b'{"name":"x","shape":[0],"datatype":"FP32","data":[]},' * 50_000 + b"{}]}", "inputs"),
        (b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP64","data":[' + b"9" * 4 * MIB + b"]}]}", "inputs[0]"),
        (b'{"' + b"k" * 4 * MIB + b'":1}', ""),
    ],
    ids=[
        "deep",
        "deep objects",
        "deep data",
        "a long name",
        "many sizes",
        "many inputs",
        "a long number",
        "a long key",
    ],
)
def test_large_nonsense_is_refused_in_a_short_sentence(server: Server, body: bytes, reason: str) -> None:
    answer = server.infer(body)
    assert answer.status == 400
    assert reason in answer.error
    assert len(answer.body) < 5 * MIB


@pytest.mark.parametrize("shape", [[1 << 40, 0], [0, 1 << 40], [1 << 62, 1 << 62, 0], [65537, 0]])
def test_an_empty_tensor_cannot_claim_many_rows(server: Server, shape: list[int]) -> None:
    body = {"inputs": [{"name": "x", "shape": shape, "datatype": "FP32", "data": []}]}
    assert "is too large" in server.infer(body).error


def test_a_body_in_tiny_chunks(server: Server) -> None:
    body = json.dumps(table()).encode() + b" " * 300_000
    chunks = b"".join(b"1\r\n%b\r\n" % body[at : at + 1] for at in range(len(body)))
    beginning = POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert everything(server, beginning + chunks + b"0\r\n\r\n", hang_up=False) == [200]


def test_many_wishes_to_upgrade_at_once(server: Server) -> None:
    wish = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    assert everything(server, wish * 3000) == [200] * 3000


def test_a_wish_to_upgrade_before_what_is_refused(server: Server) -> None:
    wish = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    assert everything(server, wish + b"GET /v2 HTTP/1.1\r\n\r\n") == [200, 400]


def drip(client: socket.socket, data: bytes) -> bytes:
    """Send a byte now and then until the server has had enough; return what it said."""
    client.settimeout(0.1)
    said = b""
    for byte in data:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(bytes((byte,)))
        try:
            piece = client.recv(65536)
        except TimeoutError:
            continue
        except ConnectionResetError:
            return said
        said += piece
        if not piece:
            return said
    problem = f"the server still listens after {len(data)} bytes"
    raise AssertionError(problem)


def test_a_header_that_drips_is_given_up_while_others_are_served(hasty: Server) -> None:
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(hasty.connect()) for _ in range(300)]
        for client in slow[1:]:
            client.sendall(b"GET /v2 HTTP/1.1\r\nX: ")
        assert hasty.get("/v2/health/live").status == 200
        (given_up,) = answers(drip(slow[0], b"GET /v2 HTTP/1.1\r\nX: " + b"y" * 500))
        assert given_up.status == 408
        for client in slow[1:]:
            with client.makefile("rb") as stream:
                assert read_response(stream).status == 408


@pytest.mark.parametrize(
    ("begun", "data"),
    [
        (PREFACE + frame(SETTINGS, 0, 0), frame(HEADERS, END_HEADERS, 1, bytes(500))),
        (PREFACE + frame(SETTINGS, 0, 0), frame(HEADERS, 0, 1) + frame(9, 0, 1, bytes(500))),
        (b"", PREFACE + frame(SETTINGS, 0, 0, bytes(6 * 80))),
    ],
    ids=["a frame", "a header block", "the greeting"],
)
def test_frames_that_drip_are_given_up(hasty: Server, begun: bytes, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", hasty.grpc_port)) as client:
        client.sendall(begun)
        said = drip(client, data)
    assert b"what was begun did not come in in time" in said


def test_a_handshake_that_does_not_come_is_given_up(start: Start, models: Path, tmp_path: Path) -> None:
    certificate, key = Authority("servers").issue(tmp_path, "first")
    flags = ["--tls-certificate", str(certificate), "--tls-key", str(key), "--request-timeout-seconds", "0.6"]
    secured = start(models / "onnx", *flags)
    for port in (secured.port, secured.grpc_port):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as client:
            client.sendall(b"\x16\x03\x01")
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(100) == b""
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            with contextlib.suppress(ConnectionResetError, ssl.SSLError):
                while client.recv(100):
                    pass


@pytest.fixture
def many_files() -> Iterator[int]:
    """How many files this process may open, while the test runs."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_ten_thousand_idle_connections_of_grpc_cost_little(start: Start, models: Path, many_files: int) -> None:
    if many_files < 11_000:
        pytest.skip(f"only {many_files} files may be open here, 11000 are needed")
    idle = start(models / "onnx").ready()
    assert alive(idle)
    before = resident(idle)
    with contextlib.ExitStack() as stack:
        for _ in range(10_000):
            client = stack.enter_context(
                socket.create_connection(("127.0.0.1", idle.grpc_port), timeout=PATIENCE_SECONDS)
            )
            client.sendall(PREFACE + frame(SETTINGS, 0, 0))
        assert alive(idle)
        assert (resident(idle) - before) / 10_000 < 10_000
    assert alive(idle)


def test_bodies_of_many_streams_share_a_bound(server: Server) -> None:
    """A client that opens all its streams and sends what it may holds far less than its streams times the limit."""
    infer = messages["ModelInferRequest"](model_name="m", raw_input_contents=[bytes(7 * MIB)])
    body = message(infer.SerializeToString())
    before = resident(server)
    with connected_h2(server) as client:
        streams = range(1, 200, 2)
        client.send(b"".join(frame(HEADERS, END_HEADERS, each, head()) for each in streams))
        for each in streams:
            client.send(frame(DATA, 0, each, body[:16384]) + frame(DATA, 0, each, body[16384:32768]))
        assert resident(server) - before < 60 * MIB
        client.send(frame(DATA, END_STREAM, 1, b""))
        assert b"grpc-status\x013" in client.end(1).payload
