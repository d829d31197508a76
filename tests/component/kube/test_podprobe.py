"""What a pod says of itself, and that no answer of any kind harms who asks."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiohttp.typedefs import Handler

from fairlead.kube.podprobe import server_status
from tests.component.patience import PATIENCE


async def served(handler: Handler | None) -> TestServer:
    app = web.Application()
    if handler:
        app.router.add_get("/fairlead/v1/status", handler)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    return server


async def test_a_status_is_a_json_object() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.json_response({"state": "ready", "digest": None})

    server = await served(handler)
    assert await server_status("127.0.0.1", server.port or 0, timeout=PATIENCE) == {"state": "ready", "digest": None}
    await server.close()


async def slow(_: web.Request) -> web.Response:
    await asyncio.sleep(30)
    return web.Response()


async def text(_: web.Request) -> web.Response:
    return web.Response(text="hello")


async def array(_: web.Request) -> web.Response:
    return web.json_response([1])


async def broken(_: web.Request) -> web.Response:
    return web.json_response({}, status=500)


async def elsewhere(_: web.Request) -> web.Response:
    return web.json_response({}, status=302, headers={"Location": "http://127.0.0.1:1/"})


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(200):
        await response.write(b'{"a": "' + b"x" * 4096)
    return response


@pytest.mark.parametrize("handler", [slow, text, array, broken, elsewhere, endless, None])
async def test_anything_else_is_none(handler: Handler | None) -> None:
    server = await served(handler)
    assert await server_status("127.0.0.1", server.port or 0, timeout=0.3) is None
    await server.close()


async def test_nobody_there_is_none() -> None:
    assert await server_status("127.0.0.1", 1) is None
    assert await server_status("", 8080) is None
