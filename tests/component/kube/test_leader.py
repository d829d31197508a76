"""Leadership on a real Lease: one leads, it is handed over, and lost when it must be."""

from __future__ import annotations

import asyncio

import pytest

from fairlead.kube.client import Cluster
from fairlead.kube.kinds import LEASE
from fairlead.kube.leader import Leader, LeaseSettings
from tests.cluster.control_plane import ControlPlane
from tests.component.patience import PATIENCE, until

# Handed over in a second, or waited for this long.
LONG = 60.0


def slow(namespace: str) -> LeaseSettings:
    return LeaseSettings(namespace, "lease", duration=LONG, renew_deadline=LONG / 2, retry=1.0)


def quick(namespace: str) -> LeaseSettings:
    return LeaseSettings(namespace, "lease", duration=6.0, renew_deadline=5.0, retry=0.5)


async def holder(cluster: Cluster, namespace: str) -> str:
    lease = await cluster.get(LEASE, namespace, "lease")
    assert lease is not None
    return str(lease["spec"]["holderIdentity"])


async def test_one_leads_and_hands_over_at_once_when_it_ends(cluster: Cluster, namespace: str) -> None:
    told: list[bool] = []
    first = Leader(cluster, slow(namespace), "a", on_change=lambda: told.append(first.leading))
    second = Leader(cluster, slow(namespace), "b")
    await first.acquire()
    assert await holder(cluster, namespace) == first.identity
    waiting = asyncio.create_task(second.acquire())
    await asyncio.wait([waiting], timeout=0.5)
    assert not waiting.done()
    began = asyncio.get_running_loop().time()
    await first.release()
    await waiting
    assert asyncio.get_running_loop().time() - began < LONG / 2  # well under the lease's duration
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
    assert loop.time() - began > 5.5
    await heir.release()


async def test_a_restarted_container_follows_its_predecessor_at_once(cluster: Cluster, namespace: str) -> None:
    dead = Leader(cluster, slow(namespace), "node", pod="operator-1")
    await dead.acquire()
    assert dead._renewal is not None
    dead._renewal.cancel()
    loop = asyncio.get_running_loop()
    began = loop.time()
    restarted = Leader(cluster, slow(namespace), "node", pod="operator-1")
    await restarted.acquire()
    assert loop.time() - began < LONG / 2
    assert restarted.identity != dead.identity
    await restarted.release()


async def test_leadership_is_lost_when_another_holds_the_lease(cluster: Cluster, namespace: str) -> None:
    leader = Leader(cluster, quick(namespace), "a")
    await leader.acquire()
    await cluster.patch(LEASE, namespace, "lease", {"spec": {"holderIdentity": "b"}})
    async with asyncio.timeout(PATIENCE):
        await leader.lost.wait()
    assert not leader.leading
    await leader.release()
    assert await holder(cluster, namespace) == "b"  # not ours to give back


async def test_a_short_outage_is_survived_and_a_long_one_is_not(plane: ControlPlane, namespace: str) -> None:
    settings = LeaseSettings(namespace, "lease", duration=14.0, renew_deadline=12.0, retry=0.5)
    unanswered: list[str] = []

    def note(verb: str, status: int, _: float) -> None:
        if status == 0:
            unanswered.append(verb)

    async with Cluster(str(plane.kubeconfig), timeout=PATIENCE, on_request=note) as cluster:
        leader = Leader(cluster, settings, "a")
        await leader.acquire()
        before = await cluster.get(LEASE, namespace, "lease")

        async def renewed() -> bool:
            return await cluster.get(LEASE, namespace, "lease") != before

        cluster._configuration.host, here = "https://127.0.0.1:1", cluster._configuration.host
        await until(lambda: unanswered)
        assert leader.leading
        cluster._configuration.host = here
        await until(renewed)
        assert leader.leading
        cluster._configuration.host = "https://127.0.0.1:1"
        async with asyncio.timeout(PATIENCE):
            await leader.lost.wait()
        await leader.release()


def test_times_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="duration > renew deadline > retry"):
        LeaseSettings("ns", duration=5, renew_deadline=10)
