"""The adapter against servers that answer badly, slowly or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from fairlead.analysis.prometheus import PrometheusSource
from fairlead.analysis.source import MetricError, ProviderError, QueryError, Sample
from tests.component.analysis.conftest import free_port
from tests.component.patience import PATIENCE

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
SourceFor = Callable[..., Awaitable[PrometheusSource]]


@pytest.fixture
async def source_for() -> AsyncIterator[SourceFor]:
    """A source whose server handles each connection with the given function."""
    servers: list[asyncio.Server] = []
    sources: list[PrometheusSource] = []
    writers: list[asyncio.StreamWriter] = []

    async def build(answer: Answer, timeout: float = PATIENCE) -> PrometheusSource:  # noqa: ASYNC109 - the source's own
        async def kept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            await answer(reader, writer)

        server = await asyncio.start_server(kept, "127.0.0.1", 0)
        servers.append(server)
        port = server.sockets[0].getsockname()[1]
        sources.append(PrometheusSource(f"http://someone:secret@127.0.0.1:{port}/", timeout=timeout))
        return sources[-1]

    yield build
    for source in sources:
        source.close()
    for server in servers:
        server.close()
    for writer in writers:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def canned(status: str, body: str) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(f"{head}{body}".encode())
        await writer.drain()
        writer.close()

    return answer


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def dripping(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    try:
        for _ in range(1000):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.1)
    except ConnectionError:
        pass
    writer.close()


REFUSAL = '{"status":"error","errorType":"bad_data","error":"1:3: parse error: unexpected end"}'


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (canned("400 Bad Request", REFUSAL), QueryError, "1:3: parse error: unexpected end"),
        (canned("401 Unauthorized", "no"), QueryError, "HTTP 401"),
        (canned("404 Not Found", "no"), QueryError, "HTTP 404"),
        (canned("422 Unprocessable Entity", REFUSAL), QueryError, "HTTP 422"),
        (canned("429 Too Many Requests", "later"), ProviderError, "HTTP 429"),
        (canned("500 Internal Server Error", "oops"), ProviderError, "HTTP 500"),
        (canned("503 Service Unavailable", REFUSAL), ProviderError, "HTTP 503"),
        (canned("200 OK", "<html>a login page</html>"), ProviderError, "cannot be asked"),
        (canned("200 OK", "{}"), ProviderError, "not Prometheus's"),
        (canned("200 OK", '{"data":{"result":[1700000000,"x"]}}'), QueryError, "not a number"),
        (canned("200 OK", '{"data":{"result":[{"metric":{}}]}}'), QueryError, "something else than series"),
        (canned("200 OK", '{"data":{"result":[{"metric":{},"value":[1,"x"]}]}}'), QueryError, "not a number"),
    ],
    ids=[
        "400",
        "401",
        "404",
        "422",
        "429",
        "500",
        "503",
        "html",
        "empty object",
        "text",
        "no value",
        "no number",
    ],
)
async def test_every_failure_is_one_of_two_kinds(
    source_for: SourceFor, answer: Answer, kind: type[MetricError], text: str
) -> None:
    source = await source_for(answer)
    with pytest.raises(kind) as caught:
        await source.instant("up", 1.0)
    assert text in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_no_series_is_an_empty_answer(source_for: SourceFor) -> None:
    source = await source_for(canned("200 OK", '{"status":"success","data":{"resultType":"vector","result":[]}}'))
    assert await source.instant("up", 1.0) == []
    assert await source.window("up", 1.0, 10.0, 5.0) == []


async def test_a_bare_number_is_a_sample_without_labels(source_for: SourceFor) -> None:
    source = await source_for(canned("200 OK", '{"data":{"resultType":"scalar","result":[1700000000,"3"]}}'))
    assert await source.instant("1 + 2", 1.0) == [Sample({}, 3.0)]


async def test_silence_is_told(source_for: SourceFor) -> None:
    source = await source_for(silent, timeout=0.5)
    with pytest.raises(ProviderError, match=r"no answer within 0\.5 s"):
        await source.instant("up", 1.0)


async def test_nobody_there_is_told() -> None:
    source = PrometheusSource(f"http://127.0.0.1:{free_port()}", timeout=PATIENCE)
    with pytest.raises(ProviderError, match="connection refused"):
        await source.instant("up", 1.0)
    source.close()


@pytest.mark.parametrize("status", ["", "500 Internal Server Error", "503 Service Unavailable"])
async def test_no_question_is_asked_again_by_itself(source_for: SourceFor, status: str) -> None:
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await canned(status, "")(reader, writer) if status else writer.close()

    source = await source_for(answer)
    with pytest.raises(ProviderError):
        await source.instant("up", 1.0)
    assert asked == 1


async def test_a_slow_prometheus_does_not_hold_up_the_loop(source_for: SourceFor) -> None:
    source, turns = await source_for(silent, timeout=2.0), 0
    asking = asyncio.gather(*(source.instant("up", 1.0) for _ in range(100)), return_exceptions=True)
    began = time.monotonic()
    while not asking.done():
        await asyncio.sleep(0.01)
        turns += 1
    assert turns > 10
    assert all(isinstance(answer, ProviderError) for answer in asking.result())
    assert time.monotonic() - began < 25, "those that queue behind a silent one fail with it: four at a time take 50 s"


async def test_a_dripping_answer_is_given_up(source_for: SourceFor) -> None:
    source = await source_for(dripping, timeout=0.4)
    began = time.monotonic()
    with pytest.raises(ProviderError, match="no answer within"):
        await source.instant("up", 1.0)
    assert time.monotonic() - began < 50, "it would drip for 100 s"
