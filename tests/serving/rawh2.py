"""HTTP/2 by hand: what a client that means no good sends, frame by frame."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Self

from tests.serving.harness import PATIENCE_SECONDS, Server

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
INFER = "/inference.GRPCInferenceService/ModelInfer"
LIVE = "/inference.GRPCInferenceService/ServerLive"


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self) -> int:
        """The error code of RST_STREAM and GOAWAY."""
        return int.from_bytes(self.payload[:4] if self.kind == RST_STREAM else self.payload[4:8], "big")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def literal(name: str, value: str) -> bytes:
    """Return a header that enters no table; both parts are shorter than 127 bytes."""
    return b"\x00" + bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode()


def head(path: str = INFER, **fields: str) -> bytes:
    """Return a header block; keywords are further fields, `_` standing for `-`."""
    pairs = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "x", "te": "trailers"}
    pairs["content-type"] = "application/grpc"
    pairs |= {name.replace("_", "-"): value for name, value in fields.items()}
    return b"".join(literal(*pair) for pair in pairs.items())


def message(data: bytes = b"", *, compressed: int = 0) -> bytes:
    return bytes((compressed,)) + len(data).to_bytes(4, "big") + data


def request(stream: int, path: str = LIVE, body: bytes | None = None, **fields: str) -> bytes:
    """Return a whole request."""
    body = message() if body is None else body
    return frame(HEADERS, END_HEADERS, stream, head(path, **fields)) + data(stream, body)


def data(stream: int, body: bytes) -> bytes:
    """Return the last data of a stream, in frames of the allowed size."""
    pieces = [body[at : at + 16384] for at in range(0, len(body), 16384)] or [b""]
    return b"".join(frame(DATA, 0, stream, piece) for piece in pieces[:-1]) + frame(
        DATA, END_STREAM, stream, pieces[-1]
    )


class Client:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.stream = connection.makefile("rb")

    def send(self, data: bytes) -> Self:
        self.socket.sendall(data)
        return self

    def greet(self, settings: bytes = b"") -> Self:
        return self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def frames(self) -> Iterator[Frame]:
        """Yield what comes until the server closes."""
        while True:
            try:
                start = self.stream.read(9)
            except ConnectionResetError:
                return
            if len(start) < 9:
                return
            payload = self.stream.read(int.from_bytes(start[:3], "big"))
            yield Frame(start[3], start[4], int.from_bytes(start[5:], "big"), payload)

    def wait(self, kind: int, stream: int | None = None) -> Frame:
        """Return the next frame of a kind."""
        for each in self.frames():
            if each.kind == kind and stream in (None, each.stream):
                return each
        message = f"the connection ended before a frame of kind {kind}"
        raise EOFError(message)

    def end(self, stream: int) -> Frame:
        """Return the frame that ends a stream."""
        for each in self.frames():
            if each.stream == stream and (each.kind == RST_STREAM or (each.kind < 2 and each.flags & END_STREAM)):
                return each
        message = f"the connection ended before stream {stream}"
        raise EOFError(message)


@contextmanager
def connected(server: Server, *, greet: bool = True) -> Iterator[Client]:
    with socket.create_connection(("127.0.0.1", server.grpc_port), timeout=PATIENCE_SECONDS) as connection:
        client = Client(connection)
        with client.stream:
            yield client.greet() if greet else client


def alive(server: Server) -> bool:
    """Whether another client is still served."""
    with connected(server) as client:
        client.send(request(1))
        return b"grpc-status\x010" in client.end(1).payload
