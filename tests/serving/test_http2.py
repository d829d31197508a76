"""HTTP/2 as it comes over a socket, from clients that keep to the protocol and from clients that do not."""

from __future__ import annotations

import contextlib
import signal
import socket
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.serving.harness import Server, read_response
from tests.serving.oip import messages
from tests.serving.rawh2 import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    INFER,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Client,
    alive,
    connected,
    frame,
    head,
    literal,
    message,
    request,
)

Start = Callable[..., Server]
NO_ERROR, PROTOCOL, INTERNAL, FLOW, _, CLOSED, SIZE, REFUSED, CANCEL, COMPRESSION = range(10)
CALM = 11


def inference(rows: int = 1) -> bytes:
    """Return ModelInfer as a message of gRPC."""
    infer = messages["ModelInferRequest"](model_name="m")
    infer.inputs.add(name="x", datatype="FP32", shape=[rows, 4])
    infer.raw_input_contents.append(bytes(16 * rows))
    return message(infer.SerializeToString())


def setting(name: int, value: int) -> bytes:
    return name.to_bytes(2, "big") + value.to_bytes(4, "big")


def number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def test_requests_of_one_connection_are_answered_side_by_side(classifier: Server) -> None:
    with connected(classifier) as client:
        client.send(b"".join(request(2 * each + 1) for each in range(100)))
        ended = {each.stream for each in (client.wait(DATA) for _ in range(100))}
        assert ended == {2 * each + 1 for each in range(100)}


def test_a_request_may_come_byte_by_byte(classifier: Server) -> None:
    with connected(classifier, greet=False) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in PREFACE + frame(SETTINGS, 0, 0) + request(1, INFER, inference()):
            client.send(bytes((byte,)))
        assert b"grpc-status\x010" in client.end(1).payload


def test_headers_in_pieces_padding_and_trailers_are_understood(classifier: Server) -> None:
    block = head()
    body = inference()
    with connected(classifier) as client:
        client.send(frame(HEADERS, PADDED, 1, b"\x03" + block[:10] + b"\0\0\0"))
        client.send(frame(CONTINUATION, 0, 1, block[10:20]) + frame(CONTINUATION, END_HEADERS, 1, block[20:]))
        client.send(frame(DATA, PADDED, 1, b"\x05" + body[:9] + bytes(5)) + frame(DATA, 0, 1, body[9:]))
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, literal("x", "y")))
        assert b"grpc-status\x010" in client.end(1).payload


def test_unknown_frames_settings_and_flags_mean_nothing(classifier: Server) -> None:
    with connected(classifier, greet=False) as client:
        client.greet(setting(0x99, 5)).send(frame(0xCC, 0xFF, 7, b"?") + frame(PRIORITY, 0, 3, number(1) + b"\0"))
        client.send(request(1))
        assert b"grpc-status\x010" in client.end(1).payload


def test_answers_wait_for_the_clients_windows(classifier: Server) -> None:
    with connected(classifier, greet=False) as client:
        client.greet(setting(4, 10)).send(request(1, INFER, inference(3000)))
        assert len(client.wait(DATA, 1).payload) == 10
        client.send(frame(WINDOW_UPDATE, 0, 1, number(7)))
        assert len(client.wait(DATA, 1).payload) == 7
        client.send(frame(SETTINGS, 0, 0, setting(4, 1 << 20)) + request(3))
        # The connection's own window is 65,535, and those of streams do not widen it.
        assert sum(map(len, data_until_now(client))) == 65_535 - 17
        client.send(frame(WINDOW_UPDATE, 0, 0, number(1 << 20)))
        ends = [next(each for each in client.frames() if each.flags & END_STREAM) for _ in range(2)]
        assert {each.stream for each in ends} == {1, 3}
        assert all(b"grpc-status\x010" in each.payload for each in ends)


def data_until_now(client: Client) -> Iterator[bytes]:
    """Yield what data comes until the server has nothing more that it may send."""
    client.send(frame(PING, 0, 0, b"nothing?"))
    for each in client.frames():
        if each.kind == PING:
            return
        if each.kind == DATA:
            yield each.payload


def test_a_body_that_is_not_granted_yet_must_not_come(classifier: Server) -> None:
    with connected(classifier) as client:
        client.send(frame(HEADERS, END_HEADERS, 1, head()))
        for _ in range(5):
            client.send(frame(DATA, 0, 1, bytes(16384)))
        assert client.wait(WINDOW_UPDATE, 1)
    assert alive(classifier)


def test_a_reset_stream_is_forgotten_and_the_others_stay(classifier: Server) -> None:
    with connected(classifier) as client:
        client.send(frame(HEADERS, END_HEADERS, 1, head()) + frame(DATA, 0, 1, inference()[:5]))
        client.send(frame(RST_STREAM, 0, 1, number(CANCEL)) + request(3))
        assert b"grpc-status\x010" in client.end(3).payload


@pytest.mark.parametrize("whole", [False, True])
def test_a_half_closed_client_gets_the_answers_that_it_can_still_get(classifier: Server, *, whole: bool) -> None:
    with connected(classifier) as client:
        client.send(request(1, INFER, inference()) if whole else OPEN)
        client.socket.shutdown(socket.SHUT_WR)
        ended = [each.stream for each in client.frames() if each.kind == HEADERS and each.flags & END_STREAM]
    assert ended == ([1] if whole else [])


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        (b"", 3, "not one whole message"),
        (b"\0\0\0", 3, "not one whole message"),
        (b"\0\0\0\0\5abc", 3, "not one whole message"),
        (inference() * 2, 3, "not one whole message"),
        (message(b"abc", compressed=1), 3, "does not say how"),
        (message(b"abc", compressed=7), 3, "does not say how"),
        (message(b"\xff" * 20), 3, "Protocol Buffers"),
        (message(b"\x0f"), 3, "Protocol Buffers"),
    ],
)
def test_what_is_no_message_is_the_clients_fault(classifier: Server, body: bytes, code: int, text: str) -> None:
    with connected(classifier) as client:
        payload = client.send(request(1, INFER, body)).end(1).payload
    assert b"grpc-status\x01%d" % code in payload
    assert text.encode() in payload


def test_a_bomb_does_not_go_off(start: Start, models: Path) -> None:
    server = start(models / "onnx", FAIRLEAD_MAX_BODY_BYTES="1000000").ready()
    bomb = zlib.compress(bytes(500_000_000), 9)
    before = resident(server)
    with connected(server) as client:
        client.send(frame(HEADERS, END_HEADERS, 1, head(grpc_encoding="deflate")))
        body = message(bomb, compressed=1)
        client.send(b"".join(frame(DATA, 0, 1, body[at : at + 16384]) for at in range(0, 65_000, 16_384)))
        client.wait(WINDOW_UPDATE, 1)
        client.send(
            b"".join(frame(DATA, 0, 1, body[at : at + 16384]) for at in range(65_536, len(body), 16_384))
            + frame(DATA, END_STREAM, 1)
        )
        assert b"grpc-status\x018" in client.end(1).payload
    assert resident(server) - before < 20_000_000


def resident(server: Server) -> int:
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * 4096


def test_an_encoding_that_is_not_known_is_said(classifier: Server) -> None:
    with connected(classifier) as client:
        payload = client.send(request(1, INFER, message(b"x", compressed=1), grpc_encoding="br")).end(1).payload
    assert b"grpc-status\x0212" in payload
    assert b"grpc-accept-encoding" in payload


def test_a_time_that_is_over_ends_the_call(start: Start, models: Path) -> None:
    server = start(models / "forest", FAIRLEAD_CONVERT_SECONDS="0").ready()
    with connected(server) as client:
        payload = client.send(request(1, INFER, inference(), grpc_timeout="1n")).end(1).payload
        assert b"grpc-status\x014" in payload
        assert b"grpc-status\x013" in client.send(request(3, INFER, inference(), grpc_timeout="soon")).end(3).payload
        payload = client.send(request(5, INFER, inference(), grpc_timeout="99999999H")).end(5).payload
        assert b"grpc-status\x010" in payload


def test_what_is_no_grpc_is_told_so(classifier: Server) -> None:
    with connected(classifier) as client:
        get = literal(":method", "GET") + literal(":scheme", "http") + literal(":path", "/")
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, get))
        assert b"405" in client.wait(HEADERS).payload
        client.send(request(3, content_type="application/json"))
        assert b"415" in client.wait(HEADERS).payload
        assert client.wait(DATA, 3).payload == b"This port speaks gRPC.\n"
        assert client.end(3).kind == DATA


OPEN = frame(HEADERS, END_HEADERS, 1, head())
DONE = request(1)
# A value of 4,000 bytes enters the table, and is taken from there eight times.
GROWING = b"\x40\x01a\x7f\xa1\x1e" + b"x" * 4000 + b"\xbe" * 8
WRONG: list[tuple[str, bytes, int]] = [
    ("a frame that is too large", frame(DATA, 0, 1, bytes(16385)), SIZE),
    ("data without a stream", frame(DATA, 0, 0), PROTOCOL),
    ("data on a stream that was not opened", frame(DATA, 0, 5, b"x"), PROTOCOL),
    ("padding beyond the end", OPEN + frame(DATA, PADDED, 1, b"\x09xxx"), PROTOCOL),
    ("headers on an even stream", frame(HEADERS, END_HEADERS, 2, head()), PROTOCOL),
    ("headers on a closed stream", DONE + frame(PING, 0, 0, bytes(8)) + request(1), CLOSED),
    ("an older stream", request(5) + request(3), CLOSED),
    ("a block that is interrupted", frame(HEADERS, 0, 1, head()) + frame(PING, 0, 0, bytes(8)), PROTOCOL),
    ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, b""), PROTOCOL),
    ("a block that cannot be decoded", frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff"), COMPRESSION),
    ("an index beyond the table", frame(HEADERS, END_HEADERS, 1, b"\xfe"), COMPRESSION),
    ("settings of five bytes", frame(SETTINGS, 0, 0, bytes(5)), SIZE),
    ("settings of a stream", frame(SETTINGS, 0, 1), PROTOCOL),
    ("an acknowledgement with content", frame(SETTINGS, ACK, 0, bytes(6)), SIZE),
    ("a window that is too large to begin with", frame(SETTINGS, 0, 0, setting(4, 1 << 31)), FLOW),
    ("a frame size out of range", frame(SETTINGS, 0, 0, setting(5, 100)), PROTOCOL),
    ("a ping of seven bytes", frame(PING, 0, 0, bytes(7)), SIZE),
    ("a ping of a stream", frame(PING, 0, 1, bytes(8)), PROTOCOL),
    ("a window update of nothing", frame(WINDOW_UPDATE, 0, 0, number(0)), PROTOCOL),
    ("a window that overflows", frame(WINDOW_UPDATE, 0, 0, number((1 << 31) - 1)), FLOW),
    ("a window update of three bytes", frame(WINDOW_UPDATE, 0, 0, bytes(3)), SIZE),
    ("a reset of a stream that was not opened", frame(RST_STREAM, 0, 7, number(CANCEL)), PROTOCOL),
    ("a reset of three bytes", OPEN + frame(RST_STREAM, 0, 1, bytes(3)), SIZE),
    ("a push", frame(PUSH, 0, 1, bytes(8)), PROTOCOL),
    ("a priority of four bytes", frame(PRIORITY, 0, 1, bytes(4)), SIZE),
    ("a header list that grows while it is decoded", frame(HEADERS, END_HEADERS, 1, GROWING), CALM),
    ("headers without end", frame(HEADERS, 0, 1) + frame(CONTINUATION, 0, 1, bytes(16384)) * 3, CALM),
    ("empty continuations without end", frame(HEADERS, 0, 1) + frame(CONTINUATION, 0, 1) * 100, CALM),
    ("a flood of pings", frame(PING, 0, 0, bytes(8)) * 5000, CALM),
    ("a flood of settings", frame(SETTINGS, 0, 0, setting(4, 5)) * 5000, CALM),
    ("a flood of empty data", OPEN + frame(DATA, 0, 1) * 5000, CALM),
    ("a flood of priorities", frame(PRIORITY, 0, 1, number(3) + b"\0") * 5000, CALM),
]  # fmt: skip


@pytest.mark.parametrize(("data", "code"), [each[1:] for each in WRONG], ids=[each[0] for each in WRONG])
def test_a_client_that_breaks_the_protocol_is_told_and_left(classifier: Server, data: bytes, code: int) -> None:
    with connected(classifier) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.send(data)
        assert client.wait(GOAWAY).code == code
    assert alive(classifier)


def test_rapid_resets_end_the_connection(classifier: Server) -> None:
    body = inference()
    with connected(classifier) as client, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for each in range(3000):
            stream = 2 * each + 1
            # The data comes after the reset, so that there is never an answer to make up for it.
            client.send(frame(HEADERS, END_HEADERS, stream, head()) + frame(RST_STREAM, 0, stream, number(CANCEL)))
            client.send(frame(DATA, END_STREAM, stream, body))
    with connected(classifier) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.send(
                b"".join(
                    frame(HEADERS, END_HEADERS, each, head()) + frame(RST_STREAM, 0, each, number(CANCEL))
                    for each in range(1, 6000, 2)
                )
            )
        assert client.wait(GOAWAY).code == CALM
    assert alive(classifier)


def test_what_was_on_its_way_to_a_stream_that_ended_is_overlooked(classifier: Server) -> None:
    with connected(classifier) as client:
        client.send(request(1) + frame(DATA, 0, 1, b"x") * 3000 + frame(HEADERS, END_HEADERS, 1, literal("x", "y")))
        client.send(request(3))
        assert client.wait(RST_STREAM).code == CLOSED
        assert client.end(3).kind == HEADERS


def test_more_streams_than_announced_are_refused(classifier: Server) -> None:
    with connected(classifier) as client:
        client.send(b"".join(frame(HEADERS, END_HEADERS, each, head()) for each in range(1, 2 * 129, 2)))
        refused = client.wait(RST_STREAM)
        assert (refused.stream, refused.code) == (257, REFUSED)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(HEADERS, END_HEADERS, 1, head(connection="close")), PROTOCOL),
        (frame(HEADERS, END_HEADERS, 1, head().replace(b"\x02te", b"\x02TE")), PROTOCOL),
        (frame(HEADERS, END_HEADERS, 1, head(te="gzip")), PROTOCOL),
        (frame(HEADERS, END_HEADERS, 1, literal("te", "trailers") + literal(":method", "POST")), PROTOCOL),
        (frame(HEADERS, END_HEADERS, 1, literal(":method", "POST")), PROTOCOL),
        (frame(HEADERS, END_HEADERS, 1, head(x="a\nb")), PROTOCOL),
        (frame(HEADERS, END_HEADERS | END_STREAM, 1, head(content_length="5")), PROTOCOL),
        (OPEN + frame(WINDOW_UPDATE, 0, 1, number(0)), PROTOCOL),
        (OPEN + frame(WINDOW_UPDATE, 0, 1, number((1 << 31) - 1)), FLOW),
        (OPEN + frame(HEADERS, END_HEADERS, 1, literal("x", "y")), PROTOCOL),
        (OPEN + frame(PRIORITY, 0, 1, number(1) + b"\0"), PROTOCOL),
    ],
)
def test_what_is_wrong_with_one_stream_ends_that_only(classifier: Server, data: bytes, code: int) -> None:
    with connected(classifier) as client:
        reset = client.send(data).wait(RST_STREAM, 1)
        assert reset.code == code
        assert b"grpc-status\x010" in client.send(request(3)).end(3).payload


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 100, PREFACE + frame(PING, 0, 0, bytes(8))]
)
def test_what_is_not_http2_is_left_at_once(classifier: Server, data: bytes) -> None:
    with connected(classifier, greet=False) as client:
        assert client.send(data).wait(GOAWAY).code == PROTOCOL
    assert alive(classifier)


def test_a_client_that_does_not_read_does_not_fill_the_memory(classifier: Server) -> None:
    with connected(classifier, greet=False) as client:
        client.greet(setting(4, (1 << 31) - 1)).send(frame(WINDOW_UPDATE, 0, 0, number((1 << 31) - 1 - 65535)))
        client.socket.settimeout(2)
        before = resident(classifier)
        body = inference(100)
        with contextlib.suppress(TimeoutError, BrokenPipeError, ConnectionResetError):
            for each in range(20_000):
                client.send(request(2 * each + 1, INFER, body))
        assert resident(classifier) - before < 30_000_000
    assert alive(classifier)


@pytest.fixture(scope="module")
def hasty(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that gives up on slow clients soon."""
    server = Server.start(tmp_path_factory.mktemp("hasty"), models / "onnx", "--request-timeout-seconds", "0.6")
    yield server.ready()
    server.stop()


@pytest.mark.parametrize(
    "data",
    [PREFACE[:5], PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, 0, 1, head()), PREFACE + frame(SETTINGS, 0, 0)[:8]],
)
def test_what_does_not_come_in_ends_the_connection(hasty: Server, data: bytes) -> None:
    with connected(hasty, greet=False) as client:
        assert client.send(data).wait(GOAWAY).code == CALM


def test_a_body_that_does_not_come_in_ends_its_stream(hasty: Server) -> None:
    with connected(hasty, greet=False) as client:
        # All at once, so that nothing else is begun and waited for.
        begun = frame(HEADERS, END_HEADERS, 1, head()) + frame(DATA, 0, 1, inference()[:9])
        client.send(PREFACE + frame(SETTINGS, 0, 0) + begun)
        assert b"grpc-status\x014" in client.end(1).payload
        assert b"grpc-status\x010" in client.send(request(3)).end(3).payload


def test_an_idle_connection_stays(hasty: Server) -> None:
    with connected(hasty) as client:
        client.send(request(1)).end(1)
        client.socket.settimeout(1.5)
        with pytest.raises(TimeoutError):
            client.wait(GOAWAY)


def test_an_old_connection_ends_in_two_steps(start: Start, models: Path) -> None:
    server = start(models / "onnx", "--max-connection-age-seconds", "0.000001").ready()
    with connected(server) as client:
        # By the last of so many it is old.
        client.send(request(1)).end(1)
        client.send(b"".join(request(each) for each in range(3, 101, 2)))
        first = client.wait(GOAWAY)
        assert (first.code, int.from_bytes(first.payload[:4], "big")) == (NO_ERROR, (1 << 31) - 1)
        ping = client.wait(PING)
        # What was under way when the client did not know yet is still answered.
        client.send(request(201))
        assert b"grpc-status\x010" in client.end(201).payload
        client.send(frame(PING, ACK, 0, ping.payload))
        last = client.wait(GOAWAY)
        assert (last.code, int.from_bytes(last.payload[:4], "big")) == (NO_ERROR, 201)
        assert list(client.frames()) == []


def test_who_comes_during_the_drain_is_not_sent_away_at_once(start: Start, models: Path) -> None:
    server = start(models / "onnx", "--drain-seconds", "60").ready()
    with connected(server) as client:
        client.send(request(1)).end(1)
        server.signal(signal.SIGTERM)
        server.wait_for("draining")
        client.send(request(3)).end(3)
        assert client.wait(GOAWAY).code == NO_ERROR
    # A machine that pauses may cost one client its welcome, but not all of them.
    assert any(_is_welcome(server) for _ in range(10))


def _is_welcome(server: Server) -> bool:
    with connected(server) as client:
        client.send(request(1) + request(3))
        for each in client.frames():
            if each.kind == GOAWAY:
                return False
            if each.stream == 3 and each.flags & END_STREAM:
                return True
    return False


def test_the_http_port_does_not_mistake_http2(classifier: Server) -> None:
    with classifier.connect() as client, client.makefile("rb") as stream:
        client.sendall(PREFACE)
        assert read_response(stream).status == 400


def test_several_workers_share_the_port_and_are_counted_as_one(start: Start, models: Path) -> None:
    server = start(models / "onnx", FAIRLEAD_WORKERS="2").ready()
    server.wait_for("^ready$")
    for _ in range(20):
        with connected(server) as client:
            assert b"grpc-status\x010" in client.send(request(1, INFER, inference())).end(1).payload
    metrics = server.metrics()
    assert metrics['fairlead_requests_total{outcome="success"}'] == 20
    assert metrics["fairlead_connections_opened_total"] == 20
