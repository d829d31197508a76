"""`ensure` writes what is needed and nothing else, seen in the API server's own audit log."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from fairlead.kube.apply import APPLIED, ensure
from fairlead.kube.client import Cluster, Object
from fairlead.kube.errors import NotOurs
from fairlead.kube.kinds import DEPLOYMENT, HPA, SERVICE, Kind
from tests.cluster import audit
from tests.cluster.control_plane import ControlPlane
from tests.component.kube.conftest import reference

ADMIN = "admin"


def deployment(owner: Object, namespace: str, **container: Any) -> Object:
    labels = {"fairlead.dev/model-deployment": "m"}
    main = {"name": "server", "image": "i", **container}
    return {
        "metadata": {"name": "m-1", "namespace": namespace, "labels": labels, "ownerReferences": [owner]},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [main], "volumes": []}},
        },
    }


async def read(cluster: Cluster, kind: Kind, obj: Object) -> Object:
    live = await cluster.get(kind, obj["metadata"]["namespace"], obj["metadata"]["name"])
    assert live is not None
    return live


async def test_an_unchanged_manifest_is_never_sent_again_not_even_by_a_new_process(
    plane: ControlPlane, cluster: Cluster, namespace: str, owner: Object
) -> None:
    # Every value here comes back in another form: quantities, a default that is left out, an empty map.
    wanted = deployment(
        owner,
        namespace,
        resources={"requests": {"cpu": "0.25", "memory": "1024Mi"}, "limits": {"memory": "1.5Gi"}},
        env=[{"name": "A", "value": "1"}],
        ports=[{"name": "http", "containerPort": 8080}],
        securityContext={},
        readinessProbe={"httpGet": {"path": "/", "port": "http"}},
    )
    first = await ensure(cluster, DEPLOYMENT, wanted, None)
    assert first.changed
    assert first.live["metadata"]["annotations"][APPLIED]
    before = audit.position(plane.audit_log)
    again = await ensure(cluster, DEPLOYMENT, wanted, await read(cluster, DEPLOYMENT, wanted))
    async with Cluster(str(plane.kubeconfig)) as restarted:
        after = await ensure(restarted, DEPLOYMENT, wanted, await read(restarted, DEPLOYMENT, wanted))
        not_listed = await ensure(restarted, DEPLOYMENT, wanted, None)
    assert not again.changed
    assert not after.changed
    assert not not_listed.changed
    assert not list(audit.writes(plane.audit_log, user=ADMIN, after=before))


async def test_a_value_that_never_compares_equal_is_sent_once_a_process(
    plane: ControlPlane, cluster: Cluster, namespace: str, owner: Object
) -> None:
    # hostNetwork: false is dropped by the server, so that the live object never shows it.
    wanted = deployment(owner, namespace)
    wanted["spec"]["template"]["spec"]["hostNetwork"] = False
    await ensure(cluster, DEPLOYMENT, wanted, None)
    before = audit.position(plane.audit_log)
    await ensure(cluster, DEPLOYMENT, wanted, await read(cluster, DEPLOYMENT, wanted))
    assert not list(audit.writes(plane.audit_log, user=ADMIN, after=before))
    # A status update in between must not matter, somebody's change must.
    await cluster.patch(DEPLOYMENT, namespace, "m-1", {"metadata": {"annotations": {"other": "1"}}})
    assert not (await ensure(cluster, DEPLOYMENT, wanted, await read(cluster, DEPLOYMENT, wanted))).changed
    await cluster.patch(DEPLOYMENT, namespace, "m-1", {"spec": {"replicas": 5}})
    mended = await ensure(cluster, DEPLOYMENT, wanted, await read(cluster, DEPLOYMENT, wanted))
    assert mended.changed
    assert mended.live["spec"]["replicas"] == 2


async def test_a_change_by_others_is_undone_and_what_they_added_is_kept(
    cluster: Cluster, namespace: str, owner: Object
) -> None:
    wanted = deployment(owner, namespace)
    await ensure(cluster, DEPLOYMENT, wanted, None)
    await cluster.patch(
        DEPLOYMENT, namespace, "m-1", {"metadata": {"labels": {"team": "x"}}, "spec": {"replicas": 9, "paused": True}}
    )
    mended = await ensure(cluster, DEPLOYMENT, wanted, await read(cluster, DEPLOYMENT, wanted))
    assert mended.changed
    assert mended.live["spec"]["replicas"] == 2
    assert mended.live["metadata"]["labels"]["team"] == "x"
    assert mended.live["spec"]["paused"] is True


async def test_a_field_that_is_no_longer_wanted_goes(cluster: Cluster, namespace: str, owner: Object) -> None:
    wanted = deployment(owner, namespace, env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}])
    first = await ensure(cluster, DEPLOYMENT, wanted, None)
    less = copy.deepcopy(wanted)
    less["spec"]["template"]["spec"]["containers"][0]["env"].pop()
    done = await ensure(cluster, DEPLOYMENT, less, first.live)
    assert done.changed
    assert done.live["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "A", "value": "1"}]


@pytest.mark.parametrize("owned", [False, True], ids=["nobody's", "another's"])
@pytest.mark.parametrize("seen", [True, False], ids=["as read", "not in the list"])
async def test_what_is_not_ours_is_never_adopted(
    cluster: Cluster, namespace: str, owner: Object, *, owned: bool, seen: bool
) -> None:
    owners = [await reference(cluster, namespace, "another")] if owned else []
    foreign = {
        "metadata": {"name": "m", "namespace": namespace, "ownerReferences": owners},
        "spec": {"ports": [{"port": 1234}]},
    }
    live = await cluster.create(SERVICE, foreign)
    ours = {
        "metadata": {"name": "m", "namespace": namespace, "ownerReferences": [owner]},
        "spec": {"ports": [{"port": 80}]},
    }
    with pytest.raises(NotOurs, match=f"Service {namespace}/m exists and was not made for this ModelDeployment"):
        await ensure(cluster, SERVICE, ours, live if seen else None)
    assert (await read(cluster, SERVICE, ours)) == live


async def test_autoscaler_quantities_and_behaviour_are_stable(
    plane: ControlPlane, cluster: Cluster, namespace: str, owner: Object
) -> None:
    wanted = {
        "metadata": {"name": "m", "namespace": namespace, "ownerReferences": [owner]},
        "spec": {
            "scaleTargetRef": {"apiVersion": "fairlead.dev/v1alpha1", "kind": "ModelDeployment", "name": "m"},
            "minReplicas": 1,
            "maxReplicas": 3,
            "metrics": [
                {
                    "type": "Pods",
                    "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "0.5"}},
                },
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
                },
            ],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}},
        },
    }
    await ensure(cluster, HPA, wanted, None)
    before = audit.position(plane.audit_log)
    async with Cluster(str(plane.kubeconfig)) as restarted:
        assert not (await ensure(restarted, HPA, wanted, await read(restarted, HPA, wanted))).changed
    assert not list(audit.writes(plane.audit_log, user=ADMIN, after=before))
