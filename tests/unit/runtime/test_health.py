"""The health pages over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from fairlead.kube.client import Cluster, Object
from fairlead.kube.errors import Unavailable
from fairlead.runtime.health import Health, serving
from fairlead.runtime.metrics import Metrics


class Server(Cluster):
    """An API server that answers, or does not."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.down = False

    async def version(self) -> Object:
        self.asked += 1
        if self.down:
            raise Unavailable(0, "", "connection refused")
        return {}


class Pages:
    def __init__(self) -> None:
        self.server = Server()
        self.health = Health(self.server, Metrics())
        self.port = 0

    async def get(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}{path}") as answer:
            assert answer.headers["Connection"] == "close"
            return answer.status, await answer.text()


@pytest.fixture
async def pages() -> AsyncIterator[Pages]:
    pages = Pages()
    async with serving(pages.health.app(), "127.0.0.1", 0) as pages.port:
        yield pages


async def test_alive_unless_something_complains(pages: Pages) -> None:
    complaint: str | None = None
    pages.health.complaints.append(lambda: complaint)
    assert await pages.get("/healthz") == (200, "ok\n")
    complaint = "no progress for 200 s"
    assert await pages.get("/healthz") == (503, "no progress for 200 s\n")


async def test_an_api_server_out_of_reach_makes_it_unready_but_not_dead(pages: Pages) -> None:
    pages.server.down = True
    assert await pages.get("/readyz") == (503, "the API server does not answer: connection refused\n")
    assert (await pages.get("/healthz"))[0] == 200


async def test_many_probes_are_one_question(pages: Pages) -> None:
    for _ in range(5):
        assert (await pages.get("/readyz"))[0] == 200
    assert pages.server.asked == 1


async def test_metrics_are_served_as_text(pages: Pages) -> None:
    status, text = await pages.get("/metrics")
    assert status == 200
    assert "fairlead_operator_leader 0.0" in text
