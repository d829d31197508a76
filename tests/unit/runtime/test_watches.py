"""What the watches delivered, compared with what the lists show, on a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from fairlead.kube import kinds
from fairlead.kube.client import Cluster, Object
from fairlead.kube.errors import NotFound, Unavailable
from fairlead.kube.kinds import Kind
from fairlead.runtime.watches import Watched, Watches
from tests import virtualtime

MODEL = Watched(kinds.MODEL_DEPLOYMENT, child=False)
SERVICE = Watched(kinds.SERVICE, status=False)
A = ("ns", "a")


def obj(name: str, version: int, parent: str | None = None, **more: Any) -> Object:
    labels = {"fairlead.dev/model-deployment": parent} if parent else {}
    meta = {"namespace": "ns", "name": name, "uid": f"u-{name}", "resourceVersion": str(version), "labels": labels}
    return {"metadata": meta, **more}


class Store(Cluster):
    """The lists of an API server."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[Kind, list[Object]] = {}
        self.down = False
        self.removed: set[Kind] = set()

    async def list_metadata(
        self,
        kind: Kind,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,  # noqa: ARG002 - the signature is the client's
    ) -> list[Object]:
        if self.down:
            raise Unavailable(0, "", "down")
        if kind in self.removed:
            raise NotFound(404, "NotFound", "there is no such kind")
        return [one for one in self.objects.get(kind, []) if namespace in {None, one["metadata"]["namespace"]}]


def make(store: Store) -> tuple[Watches, list[tuple[str, str]]]:
    woken: list[tuple[str, str]] = []
    return Watches(store, woken.append, watched=(MODEL, SERVICE)), woken


def check(scenario: Callable[[Store, Watches, list[tuple[str, str]]], Any]) -> None:
    async def run() -> None:
        store = Store()
        watches, woken = make(store)
        await scenario(store, watches, woken)

    virtualtime.run(run())


def test_each_event_wakes_the_model_deployment_that_it_concerns() -> None:
    async def scenario(_: Store, watches: Watches, woken: list[tuple[str, str]]) -> None:
        watches.deliver(MODEL, None, obj("a", 1))
        watches.deliver(SERVICE, "ADDED", obj("s", 2, parent="b"))
        watches.deliver(SERVICE, "ADDED", obj("stray", 2))
        watches.deliver(MODEL, "DELETED", obj("a", 3))
        assert woken == [A, ("ns", "b"), A]

    check(scenario)


def test_where_status_does_not_matter_only_the_rest_wakes() -> None:
    async def scenario(_: Store, watches: Watches, woken: list[tuple[str, str]]) -> None:
        for version, spec, status in ((1, 1, 1), (2, 1, 2), (3, 2, 2), (4, 2, 3)):
            watches.deliver(SERVICE, "MODIFIED", obj("s", version, parent="a", spec=spec, status=status))
        assert len(woken) == 2

    check(scenario)


def test_an_idle_cluster_whose_watches_are_up_to_date_is_healthy() -> None:
    async def scenario(store: Store, watches: Watches, woken: list[tuple[str, str]]) -> None:
        watches.deliver(MODEL, None, obj("a", 5))
        store.objects[MODEL.kind] = [obj("a", 5)]
        store.objects[SERVICE.kind] = [obj("stray", 9)]
        await watches.check(10)
        assert not watches.dead
        assert woken == [A]

    check(scenario)


def test_a_watch_that_is_only_late_is_given_time() -> None:
    async def scenario(store: Store, watches: Watches, _: list[tuple[str, str]]) -> None:
        store.objects[MODEL.kind] = [obj("a", 5), obj("b", 6), obj("c", 7)]
        watches.deliver(MODEL, None, obj("a", 4))
        loop = asyncio.get_running_loop()
        loop.call_later(3, watches.deliver, MODEL, "MODIFIED", obj("a", 8))
        loop.call_later(4, watches.deliver, MODEL, "ADDED", obj("b", 6))
        loop.call_later(5, watches.deliver, MODEL, "DELETED", obj("c", 9))
        await watches.check(10)
        assert not watches.dead

    check(scenario)


def test_a_watch_that_never_delivers_is_dead_and_what_it_missed_is_looked_at() -> None:
    async def scenario(store: Store, watches: Watches, woken: list[tuple[str, str]]) -> None:
        watches.deliver(MODEL, None, obj("a", 5))
        woken.clear()
        store.objects[MODEL.kind] = [obj("a", 6)]
        store.objects[SERVICE.kind] = [obj("s", 7, parent="b")]
        await watches.check(10)
        assert watches.dead == ("modeldeployments.fairlead.dev", "services")
        assert woken == [A, ("ns", "b")]
        watches.deliver(MODEL, "MODIFIED", obj("a", 6))
        watches.deliver(SERVICE, "ADDED", obj("s", 7, parent="b"))
        await watches.check(10)
        assert not watches.dead

    check(scenario)


def test_what_is_gone_without_a_word_is_looked_at_but_kills_no_watch() -> None:
    async def scenario(_: Store, watches: Watches, woken: list[tuple[str, str]]) -> None:
        watches.deliver(MODEL, None, obj("a", 5))
        woken.clear()
        await watches.check(10)
        assert woken == [A]
        assert not watches.dead
        await watches.check(10)
        assert woken == [A]

    check(scenario)


def test_an_api_server_that_does_not_answer_says_nothing_about_the_watches() -> None:
    async def scenario(store: Store, watches: Watches, _: list[tuple[str, str]]) -> None:
        store.down = True
        task = asyncio.create_task(watches.run(60))
        await asyncio.sleep(200)
        assert not task.done()
        assert not watches.dead
        store.down = False
        store.objects[MODEL.kind] = [obj("a", 6)]
        await asyncio.sleep(80)
        assert watches.dead == ("modeldeployments.fairlead.dev",)
        task.cancel()

    check(scenario)


def test_a_kind_that_stays_away_ends_the_comparison_and_one_that_comes_back_does_not() -> None:
    async def scenario(store: Store, watches: Watches, _: list[tuple[str, str]]) -> None:
        task = asyncio.create_task(watches.run(60))
        store.removed = {kinds.MODEL_DEPLOYMENT}
        await asyncio.sleep(90)
        store.removed = set()
        await asyncio.sleep(60)
        store.removed = {kinds.MODEL_DEPLOYMENT}
        await asyncio.sleep(60)
        assert not task.done()
        await asyncio.sleep(60)
        assert isinstance(task.exception(), NotFound)

    check(scenario)
