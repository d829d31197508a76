"""The load over gRPC, by a client that does what RFC 9113 asks of one."""

from __future__ import annotations

import socket
import time

from tests.serving import rawh2
from tests.serving.harness import PATIENCE_SECONDS, Server
from tests.serving.load import Load

# So that answers never wait for room.
_ROOM = rawh2.frame(rawh2.WINDOW_UPDATE, 0, 0, (1 << 30).to_bytes(4, "big"))


class GrpcLoad(Load):
    """Asks one request after the other on a connection until a GOAWAY, after which it opens another.

    A request beyond the last that a GOAWAY names was not processed and is asked again, as gRPC's clients do.
    """

    def __init__(self, message: bytes, ports: list[int], connections: int = 8) -> None:
        super().__init__(message, ports, connections)
        self._body = rawh2.message(message)

    @staticmethod
    def port_of(server: Server) -> int:
        return server.grpc_port

    def _one_connection(self, port: int) -> None:
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client = rawh2.Client(connection)
            with client.stream:
                client.greet().send(_ROOM)
                stream, last = 1, None
                while last is None and not self._stop:
                    client.send(rawh2.request(stream, rawh2.INFER, self._body))
                    answered, last = self._answer(client, stream)
                    with self._changed:
                        self.answered += answered
                        if last is not None:
                            self.ages.append(time.monotonic() - began)
                        self._changed.notify_all()
                    stream += 2

    def _answer(self, client: rawh2.Client, stream: int) -> tuple[bool, int | None]:
        """Return whether a request was answered, and the last that the server is going to answer, if it has said so."""
        last = None
        for each in client.frames():
            if each.kind == rawh2.PING and not each.flags & rawh2.ACK:
                client.send(rawh2.frame(rawh2.PING, rawh2.ACK, 0, each.payload))
            elif each.kind == rawh2.GOAWAY:
                assert each.code == 0, each
                last = int.from_bytes(each.payload[:4], "big")
                if last < stream:
                    return False, last
            elif each.stream == stream and each.kind == rawh2.HEADERS and each.flags & rawh2.END_STREAM:
                assert b"grpc-status\x010" in each.payload, each
                return True, last
            else:
                assert each.kind != rawh2.RST_STREAM, each
        message = "the connection ended before the answer"
        raise EOFError(message)
