"""The client against a real API server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fairlead.kube import client as client_module
from fairlead.kube.client import Cluster, NoCredentials
from fairlead.kube.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound, Unavailable
from fairlead.kube.kinds import CONTROLLER_REVISION, DEPLOYMENT, LEASE, MODEL_DEPLOYMENT, POD, SERVICE, Kind
from tests.cluster.control_plane import ControlPlane


def service(namespace: str, name: str, **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"ports": [{"port": 80}], "selector": {"app": name}},
    }


async def test_what_was_created_is_read_back_as_a_plain_dict(cluster: Cluster, namespace: str) -> None:
    created = await cluster.create(SERVICE, service(namespace, "a"))
    assert await cluster.get(SERVICE, namespace, "a") == created
    assert created["kind"] == "Service"


async def test_an_absent_object_and_an_unknown_kind_are_none(cluster: Cluster, namespace: str) -> None:
    assert await cluster.get(SERVICE, namespace, "none") is None
    assert await cluster.get(Kind("nowhere.dev", "v1", "things", "Thing"), namespace, "none") is None
    with pytest.raises(NotFound):
        await cluster.list(Kind("nowhere.dev", "v1", "things", "Thing"), namespace)


async def test_creating_twice_says_that_it_exists(cluster: Cluster, namespace: str) -> None:
    await cluster.create(SERVICE, service(namespace, "a"))
    with pytest.raises(AlreadyExists):
        await cluster.create(SERVICE, service(namespace, "a"))


async def test_a_list_in_pieces_is_complete_and_typed(
    cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PAGE", 3)
    await asyncio.gather(
        *(
            cluster.create(LEASE, {"metadata": {"name": f"l{i}", "namespace": namespace, "labels": {"n": str(i % 2)}}})
            for i in range(10)
        )
    )
    everything = await cluster.list(LEASE, namespace)
    assert {item["metadata"]["name"] for item in everything} == {f"l{i}" for i in range(10)}
    assert {(item["apiVersion"], item["kind"]) for item in everything} == {("coordination.k8s.io/v1", "Lease")}
    assert len(await cluster.list(LEASE, namespace, {"n": "1"})) == 5
    metadata = await cluster.list_metadata(LEASE, namespace, {"n": "1"})
    assert len(metadata) == 5
    assert all("spec" not in item and item["metadata"]["uid"] for item in metadata)
    assert len([x for x in await cluster.list(LEASE) if x["metadata"]["namespace"] == namespace]) == 10


async def test_a_stale_replace_is_a_conflict(cluster: Cluster, namespace: str) -> None:
    first = await cluster.create(LEASE, {"metadata": {"name": "l", "namespace": namespace}})
    await cluster.replace(LEASE, {**first, "spec": {"holderIdentity": "a"}})
    with pytest.raises(Conflict) as caught:
        await cluster.replace(LEASE, {**first, "spec": {"holderIdentity": "b"}})
    assert not isinstance(caught.value, AlreadyExists)


async def test_a_status_is_replaced_only_on_the_version_that_was_read(cluster: Cluster, namespace: str) -> None:
    spec = {"model": {"storageUri": "s3://models/m", "version": "1"}}
    first = await cluster.create(MODEL_DEPLOYMENT, {"metadata": {"name": "m", "namespace": namespace}, "spec": spec})
    second = await cluster.replace_status(MODEL_DEPLOYMENT, {**first, "status": {"observedGeneration": 1}})
    assert second["status"] == {"observedGeneration": 1}
    assert second["spec"] == first["spec"]
    with pytest.raises(Conflict):
        await cluster.replace_status(MODEL_DEPLOYMENT, {**first, "status": {"observedGeneration": 2}})


async def test_a_merge_patch_keeps_what_it_does_not_name(cluster: Cluster, namespace: str) -> None:
    await cluster.create(SERVICE, service(namespace, "a", x="1"))
    patched = await cluster.patch(SERVICE, namespace, "a", {"metadata": {"labels": {"y": "2"}}})
    assert patched["metadata"]["labels"] == {"x": "1", "y": "2"}


async def test_delete_spares_a_namesake(cluster: Cluster, namespace: str) -> None:
    first = await cluster.create(SERVICE, service(namespace, "a"))
    assert await cluster.delete(SERVICE, namespace, "a", first["metadata"]["uid"])
    assert not await cluster.delete(SERVICE, namespace, "a", first["metadata"]["uid"])
    second = await cluster.create(SERVICE, service(namespace, "a"))
    assert not await cluster.delete(SERVICE, namespace, "a", first["metadata"]["uid"])
    left = await cluster.get(SERVICE, namespace, "a")
    assert left is not None
    assert left["metadata"]["uid"] == second["metadata"]["uid"]


async def test_a_wrong_object_is_refused_in_words_for_people(cluster: Cluster, namespace: str) -> None:
    with pytest.raises(Invalid) as caught:
        await cluster.apply(SERVICE, {"metadata": {"name": "a", "namespace": namespace}, "spec": {"ports": []}})
    assert caught.value.message == 'Service "a" was refused: spec.ports: Required value'
    bad = {
        "metadata": {"name": "d", "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "c"}}, "spec": {"containers": [{"name": "m", "image": "i"}]}},
        },
    }
    with pytest.raises(Invalid) as caught:
        await cluster.apply(DEPLOYMENT, bad)
    assert "`selector` does not match template `labels`" in caught.value.message
    assert caught.value.causes[0].field == "spec.template.metadata.labels"


async def test_who_may_not_is_told_so(plane: ControlPlane, namespace: str) -> None:
    async with Cluster(str(plane.kubeconfig_for("ann"))) as ann:
        assert (await ann.version())["major"] == "1"
        with pytest.raises(Forbidden, match="ann"):
            await ann.list(POD, namespace)


async def test_no_answer_is_worth_another_try(plane: ControlPlane) -> None:
    seen: list[tuple[str, int]] = []
    async with Cluster(str(plane.kubeconfig), timeout=0.0001, on_request=lambda v, s, _: seen.append((v, s))) as slow:
        with pytest.raises(Unavailable) as caught:
            await slow.version()
    assert caught.value.status == 0
    assert seen == [("GET", 0)]


async def test_there_is_no_guessing_of_a_cluster(plane: ControlPlane, tmp_path: Any) -> None:
    for kubeconfig, context in ((None, None), (tmp_path / "none", None), (plane.kubeconfig, "no-such-context")):
        with pytest.raises(NoCredentials):
            await Cluster(str(kubeconfig) if kubeconfig else None, context).__aenter__()


async def test_credentials_are_never_shown(plane: ControlPlane) -> None:
    async with Cluster(str(plane.kubeconfig)) as cluster:
        access = await cluster.access()
    assert access.server == plane.url
    assert access.certificate_path
    assert access.key_path
    assert access.key_path not in repr(access)


async def test_controller_revisions_keep_their_data_verbatim(cluster: Cluster, namespace: str) -> None:
    data = {"template": {"cpu": "0.50", "nothing": None, "many": [1, 2.5, {"a": ""}]}}
    revision = {"metadata": {"name": "r", "namespace": namespace}, "revision": 1, "data": data}
    assert (await cluster.apply(CONTROLLER_REVISION, revision))["data"] == {
        "template": {"cpu": "0.50", "many": [1, 2.5, {"a": ""}], "nothing": None}
    }
