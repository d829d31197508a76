"""Leadership on a real Lease: one leads, it is handed over, and lost when it must be."""

from __future__ import annotations

import asyncio

import pytest

from fairlead.kube.client import Cluster
from fairlead.kube.kinds import LEASE
from fairlead.kube.leader import Leader, LeaseSettings
from tests.cluster.control_plane import ControlPlane

pytestmark = pytest.mark.timeout(60)


def quick(namespace: str) -> LeaseSettings:
    return LeaseSettings(namespace, "lease", duration=2.0, renew_deadline=1.0, retry=0.1)


async def holder(cluster: Cluster, namespace: str) -> str:
    lease = await cluster.get(LEASE, namespace, "lease")
    assert lease is not None
    return str(lease["spec"]["holderIdentity"])


async def test_one_leads_and_hands_over_at_once_when_it_ends(cluster: Cluster, namespace: str) -> None:
    told: list[bool] = []
    first = Leader(cluster, quick(namespace), "a", on_change=lambda: told.append(first.leading))
    second = Leader(cluster, quick(namespace), "b")
    await first.acquire()
    assert await holder(cluster, namespace) == first.identity
    waiting = asyncio.create_task(second.acquire())
    await asyncio.wait([waiting], timeout=0.5)
    assert not waiting.done()
    began = asyncio.get_running_loop().time()
    await first.release()
    await waiting
    assert asyncio.get_running_loop().time() - began < 1.0  # well under the lease's duration
    assert await holder(cluster, namespace) == second.identity
    assert (first.leading, second.leading) == (False, True)
    assert told == [True, False]
    lease = await cluster.get(LEASE, namespace, "lease")
    assert lease is not None
    assert lease["spec"]["leaseTransitions"] == 1
    await second.release()


async def test_a_holder_that_died_is_followed_after_the_leases_duration(cluster: Cluster, namespace: str) -> None:
    dead = Leader(cluster, quick(namespace), "a")
    await dead.acquire()
    assert dead._renewal is not None
    dead._renewal.cancel()  # as SIGKILL would: nothing is released
    loop = asyncio.get_running_loop()
    began = loop.time()
    heir = Leader(cluster, quick(namespace), "b")
    await heir.acquire()
    assert 1.5 < loop.time() - began < 4.0
    await heir.release()


async def test_a_restarted_container_follows_its_predecessor_at_once(cluster: Cluster, namespace: str) -> None:
    dead = Leader(cluster, quick(namespace), "node", pod="operator-1")
    await dead.acquire()
    assert dead._renewal is not None
    dead._renewal.cancel()
    loop = asyncio.get_running_loop()
    began = loop.time()
    restarted = Leader(cluster, quick(namespace), "node", pod="operator-1")
    await restarted.acquire()
    assert loop.time() - began < 0.5
    assert restarted.identity != dead.identity
    await restarted.release()


async def test_leadership_is_lost_when_another_holds_the_lease(cluster: Cluster, namespace: str) -> None:
    leader = Leader(cluster, quick(namespace), "a")
    await leader.acquire()
    await cluster.patch(LEASE, namespace, "lease", {"spec": {"holderIdentity": "b"}})
    async with asyncio.timeout(5):
        await leader.lost.wait()
    assert not leader.leading
    await leader.release()
    assert await holder(cluster, namespace) == "b"  # not ours to give back


async def test_a_short_outage_is_survived_and_a_long_one_is_not(plane: ControlPlane, namespace: str) -> None:
    settings = LeaseSettings(namespace, "lease", duration=5.0, renew_deadline=4.0, retry=0.2)
    async with Cluster(str(plane.kubeconfig), timeout=2.0) as cluster:
        leader = Leader(cluster, settings, "a")
        await leader.acquire()
        cluster._configuration.host, away = "https://127.0.0.1:1", cluster._configuration.host
        await asyncio.wait([asyncio.create_task(leader.lost.wait())], timeout=2.5)
        assert leader.leading
        cluster._configuration.host = away
        before = await cluster.get(LEASE, namespace, "lease")
        async with asyncio.timeout(10):
            while (await cluster.get(LEASE, namespace, "lease")) == before:  # noqa: ASYNC110 - nobody would set an event
                await asyncio.sleep(0.1)
        cluster._configuration.host = "https://127.0.0.1:1"
        async with asyncio.timeout(15):
            await leader.lost.wait()
        await leader.release()


def test_times_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="duration > renew deadline > retry"):
        LeaseSettings("ns", duration=5, renew_deadline=10)
