"""The callers against a real server on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from examples.demo.loadgen import Load, question
from tests.component.patience import PATIENCE

ANSWER = {"model_version": "7", "outputs": [{"name": "predict", "data": [4]}]}
EXAMPLE = {"scan": [0.0, 1.0], "digit": 4}
REQUESTS = 60


class Server:
    """Answers V2 requests as `respond` says, by the number of the request; counts its connections' requests."""

    def __init__(self, respond: Callable[[int], bytes | None]) -> None:
        self.respond = respond
        self.connections: list[int] = []
        self.total = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(0)
        number = len(self.connections) - 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                self.connections[number] += 1
                self.total += 1
                answer = self.respond(self.total)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


def answer(status: str = "200 OK", *headers: str) -> bytes:
    body = json.dumps(ANSWER).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def load_on(server: Server) -> AsyncIterator[Load]:
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        load = Load("127.0.0.1", port, 1000.0, 2, [question("m", "digits", EXAMPLE)])
        callers = [asyncio.create_task(load.caller()) for _ in range(2)]
        yield load
        load.ending.set()
        await asyncio.gather(*callers)


async def sent(load: Load, count: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while load.tally.sent < count:  # noqa: ASYNC110  # the load has nobody to tell
            await asyncio.sleep(0.005)


async def test_good_answers_are_counted_by_version_over_many_connections() -> None:
    server = Server(lambda _: answer())
    async with load_on(server) as load:
        await sent(load, REQUESTS)
    assert load.tally.failures == {}
    counts = load.tally.versions["7"]
    assert counts["answered"] == counts["right"] == load.tally.sent == server.total
    assert 1 < max(server.connections) <= 10
    line = json.loads(load.tally.line())
    assert (line["sent"], line["failed"]) == (load.tally.sent, 0)


async def test_error_answers_and_lost_connections_are_failures() -> None:
    def respond(number: int) -> bytes | None:
        return None if number % 5 == 0 else answer("500 Internal Server Error") if number % 5 == 1 else answer()

    server = Server(respond)
    async with load_on(server) as load:
        await sent(load, REQUESTS)
    failures = load.tally.failures
    assert failures["status 500"] > 0
    assert failures["connection: IncompleteReadError"] > 0
    assert failures.total() + load.tally.versions["7"]["answered"] == load.tally.sent


async def test_connection_close_is_obeyed_and_no_failure() -> None:
    server = Server(lambda _: answer("200 OK", "Connection: close"))
    async with load_on(server) as load:
        await sent(load, REQUESTS)
    assert load.tally.failures == {}
    assert set(server.connections) <= {0, 1}


async def test_nobody_there_is_a_failure_and_is_not_hammered() -> None:
    load = Load("127.0.0.1", 1, 1000.0, 2, [question("m", "digits", EXAMPLE)])
    caller = asyncio.create_task(load.caller())
    await sent(load, 5)
    load.ending.set()
    await caller
    assert load.tally.failures == {"connect: ConnectionRefusedError": load.tally.sent}
