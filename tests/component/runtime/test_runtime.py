"""The runtime as a real process against a real API server: events, leadership, signals, health."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fairlead.kube.client import Cluster, Object
from fairlead.kube.kinds import HPA, LEASE, MODEL_DEPLOYMENT, SERVICE
from tests.cluster import audit
from tests.cluster.control_plane import ControlPlane
from tests.component.patience import PATIENCE, until
from tests.component.runtime.conftest import Stub

ROOT = Path(__file__).parents[3]
Make = Callable[..., Stub]


def model(namespace: str, name: str, **annotations: str) -> Object:
    return {
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "spec": {"model": {"storageUri": "s3://models/m", "version": "1"}},
    }


def child(namespace: str, name: str, parent: Object | None, **more: str) -> Object:
    labels = {"app.kubernetes.io/managed-by": "fairlead", "fairlead.dev/model-deployment": "m"} if parent else {}
    return {"metadata": {"name": name, "namespace": namespace, "labels": {**labels, **more}}}


async def test_changes_of_a_resource_and_of_its_children_wake_it_and_nothing_is_written(
    plane: ControlPlane, cluster: Cluster, namespace: str, operator: Make
) -> None:
    user = f"operator-{namespace}"
    stub = operator(plane.kubeconfig_for(user, ("system:masters",)))
    await cluster.create(MODEL_DEPLOYMENT, model(namespace, "before"))
    await stub.start()
    await stub.until(lambda: stub.passes("before") >= 1)

    made = await cluster.create(MODEL_DEPLOYMENT, model(namespace, "m"))
    await stub.until(lambda: stub.passes("m") >= 1)
    service = {**child(namespace, "m", made), "spec": {"ports": [{"port": 80}]}}
    await cluster.create(SERVICE, service)
    await stub.until(lambda: stub.passes("m") >= 2)
    await cluster.create(SERVICE, {**child(namespace, "other", None), "spec": {"ports": [{"port": 80}]}})
    await cluster.patch(SERVICE, namespace, "m", {"spec": {"ports": [{"port": 81}]}})
    await stub.until(lambda: stub.passes("m") >= 3)
    await cluster.patch(MODEL_DEPLOYMENT, namespace, "m", {"metadata": {"annotations": {"fairlead.dev/abort": "x"}}})
    await stub.until(lambda: stub.passes("m") >= 4)
    live = await cluster.get(MODEL_DEPLOYMENT, namespace, "m")
    assert live is not None
    assert live["metadata"]["annotations"] == {"fairlead.dev/abort": "x"}
    assert "finalizers" not in live["metadata"]
    await cluster.delete(MODEL_DEPLOYMENT, namespace, "m", live["metadata"]["uid"])
    await stub.until(lambda: {"what": "pass", "key": [namespace, "m"], "there": False} in stub.told)
    assert stub.passes("before") < stub.passes("m"), "it is not woken by what concerns another one"
    assert {tuple(told["key"]) for told in stub.told} == {(namespace, "before"), (namespace, "m")}
    assert not stub.logged("Traceback")

    written = {write.resource for write in audit.writes(plane.audit_log, user=user)}
    assert written == {"leases"}


async def test_an_autoscalers_status_is_no_reason_for_a_pass(cluster: Cluster, namespace: str, operator: Make) -> None:
    made = await cluster.create(MODEL_DEPLOYMENT, model(namespace, "m"))
    stub = operator()
    await stub.start()
    target = {"apiVersion": "fairlead.dev/v1alpha1", "kind": "ModelDeployment", "name": "none"}
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 2}
    hpa = await cluster.create(HPA, {**child(namespace, "m", made), "spec": spec})
    await stub.until(lambda: stub.passes("m") >= 1)
    for count in range(1, 7):
        fresh = await cluster.get(HPA, namespace, "m")
        assert fresh is not None
        await cluster.replace_status(HPA, {**fresh, "status": {"currentReplicas": count, "desiredReplicas": count}})
    await cluster.create(MODEL_DEPLOYMENT, model(namespace, "later"))
    await stub.until(lambda: stub.passes("later") >= 1)
    before = stub.passes("m")
    assert before < 6  # the model and the new autoscaler, each maybe listed and watched, but not six times its status
    await cluster.delete(HPA, namespace, "m", hpa["metadata"]["uid"])
    await stub.until(lambda: stub.passes("m") > before)


async def test_sigterm_finishes_the_pass_releases_the_lease_and_ends_quickly(
    cluster: Cluster, namespace: str, operator: Make
) -> None:
    stub = operator()
    await stub.start()
    await cluster.create(MODEL_DEPLOYMENT, model(namespace, "m", takes="1.5"))
    await stub.until(lambda: stub.passes("m") >= 1)
    began = asyncio.get_running_loop().time()
    stub.send(signal.SIGTERM)
    assert await stub.ended() == 0
    assert asyncio.get_running_loop().time() - began < 30, "what kubelet leaves it; a watch takes five minutes to end"
    assert {"what": "done", "key": [namespace, "m"]} in stub.told
    lease = await cluster.get(LEASE, namespace, "fairlead-operator")
    assert lease is not None
    assert not lease["spec"].get("holderIdentity")


async def test_a_second_operator_stands_by_alive_and_ready_and_takes_over(
    cluster: Cluster, namespace: str, operator: Make
) -> None:
    first, second = operator(), operator()
    await first.start()
    await first.until(lambda: first.logged("leading as"))
    await second.start()
    await second.until(lambda: second.logged("another operator leads"))
    assert await second.page("/healthz") == (200, "ok\n")
    assert await second.page("/readyz") == (200, "ok\n")
    assert "fairlead_operator_leader 0.0" in (await second.page("/metrics"))[1]
    await cluster.create(MODEL_DEPLOYMENT, model(namespace, "m"))
    await first.until(lambda: first.passes("m") >= 1)
    assert not second.told
    first.send(signal.SIGTERM)
    await second.until(lambda: second.passes("m") >= 1)
    assert "fairlead_operator_leader 1.0" in (await second.page("/metrics"))[1]
    assert await first.ended() == 0


async def test_who_only_waits_ends_at_once(operator: Make) -> None:
    first, second = operator(), operator()
    await first.start()
    await first.until(lambda: first.logged("leading as"))
    await second.start()
    await second.until(lambda: second.logged("another operator leads"))
    second.send(signal.SIGTERM)
    assert await second.ended() == 0
    assert await first.page("/healthz") == (200, "ok\n")


async def test_a_leader_that_is_replaced_ends_with_an_error_and_leaves_the_lease(
    cluster: Cluster, namespace: str, operator: Make
) -> None:
    stub = operator(lease_duration="12", lease_renew_deadline="11")
    await stub.start()
    await stub.until(lambda: stub.logged("leading as"))
    await cluster.patch(LEASE, namespace, "fairlead-operator", {"spec": {"holderIdentity": "usurper"}})
    assert await stub.ended() == 1
    assert stub.logged("leadership lost: usurper leads now")
    lease = await cluster.get(LEASE, namespace, "fairlead-operator")
    assert lease is not None
    assert lease["spec"]["holderIdentity"] == "usurper"


async def test_the_watches_pass_their_comparison_with_the_lists(
    cluster: Cluster, namespace: str, operator: Make
) -> None:
    await asyncio.gather(*(cluster.create(MODEL_DEPLOYMENT, model(namespace, f"m{i}")) for i in range(5)))
    stub = operator(watch_check_interval="2")
    await stub.start()
    await stub.until(lambda: all(stub.passes(f"m{i}") for i in range(5)))
    told, logged = len(stub.told), len(stub.log)  # the first comparison may come before the watches

    async def lists() -> int:
        text = (await stub.page("/metrics"))[1]
        line = next(line for line in text.splitlines() if 'requests_total{code="200",verb="GET"}' in line)
        return int(float(line.rsplit(" ", 1)[1]))

    before = await lists()

    async def compared() -> bool:
        return await lists() >= before + 30

    await until(compared)
    assert await stub.page("/healthz") == (200, "ok\n")
    assert not [line for line in stub.log[logged:] if "no longer deliver" in line]
    passes = [line for line in stub.told[told:] if line["what"] == "pass"]
    assert len(passes) < 3 * 5, "not each time a pass over each"


async def test_every_log_line_is_one_json_object(operator: Make) -> None:
    stub = operator(log_level="debug")
    await stub.start()
    await stub.until(lambda: stub.logged("leading as"))
    stub.send(signal.SIGTERM)
    assert await stub.ended() == 0
    for line in stub.log:
        record = json.loads(line)
        assert {"event", "level", "logger", "timestamp"} <= record.keys()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"kubeconfig": Path("/nowhere")}, "cannot use kubeconfig /nowhere: no such file"),
        ({"http_port": "1", "http_host": "203.0.113.1"}, "cannot serve health and metrics"),
    ],
)
async def test_what_cannot_work_is_said_in_one_line(operator: Make, settings: dict[str, Any], sentence: str) -> None:
    stub = operator(**settings)
    await stub.start()
    assert await stub.ended() == 2
    assert stub.logged(sentence)
    assert len(stub.log) == 1


RULES = """
- {apiGroups: [fairlead.dev], resources: [modeldeployments, modelrollouts], verbs: [get, list, watch]}
- {apiGroups: [apps], resources: [deployments, controllerrevisions], verbs: [list, watch]}
- {apiGroups: [""], resources: [services, pods], verbs: [list, watch]}
- {apiGroups: [autoscaling], resources: [horizontalpodautoscalers], verbs: [list, watch]}
- {apiGroups: [policy], resources: [poddisruptionbudgets], verbs: [list, watch]}
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update]}
"""


def allowed(plane: ControlPlane, user: str, namespace: str) -> bool:
    """Whether a role counts already: the API server learns of it a moment after it has taken it."""
    attributes = {"verb": "list", "group": "fairlead.dev", "resource": "modeldeployments", "namespace": namespace}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": attributes},
    }
    answer = plane.kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(review))
    return bool(json.loads(answer)["status"]["allowed"])


@pytest.mark.parametrize("everywhere", [False, True], ids=["one namespace", "all namespaces"])
async def test_watching_needs_no_more_rights_than_these(
    plane: ControlPlane, cluster: Cluster, namespace: str, operator: Make, *, everywhere: bool
) -> None:
    kind, user = ("ClusterRole" if everywhere else "Role"), f"least-{namespace}"
    rbac = "rbac.authorization.k8s.io"
    meta = {"name": user} if everywhere else {"name": user, "namespace": namespace}
    role = {"apiVersion": f"{rbac}/v1", "kind": kind, "metadata": meta, "rules": yaml.safe_load(RULES)}
    binding = {
        "apiVersion": f"{rbac}/v1",
        "kind": f"{kind}Binding",
        "metadata": meta,
        "roleRef": {"apiGroup": rbac, "kind": kind, "name": user},
        "subjects": [{"apiGroup": rbac, "kind": "User", "name": user}],
    }
    plane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all([role, binding]))
    plane.wait(lambda: allowed(plane, user, namespace), "the rights to be in force", PATIENCE)
    stub = operator(plane.kubeconfig_for(user), watch_namespaces="" if everywhere else namespace)
    await stub.start()
    made = await cluster.create(MODEL_DEPLOYMENT, model(namespace, "m"))
    await stub.until(lambda: stub.passes("m") >= 1)
    before = stub.passes("m")
    await cluster.create(SERVICE, {**child(namespace, "m", made), "spec": {"ports": [{"port": 80}]}})
    await stub.until(lambda: stub.passes("m") > before)
    stub.send(signal.SIGTERM)
    assert await stub.ended() == 0
    levels = [json.loads(line) for line in stub.log]
    assert [line for line in levels if line["level"] != "info"] == []


async def test_it_waits_for_its_crds_and_survives_an_outage_of_the_api_server(operator: Make, namespace: str) -> None:
    with ControlPlane.start() as own:
        own.kubectl("create", "namespace", namespace)
        stub = operator(own.kubeconfig, watch_check_interval="5")
        await stub.start()
        await stub.until(lambda: stub.logged("CRDs of fairlead.dev are not installed yet"))
        own.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        own.kubectl("wait", "crd", "--all", "--for=condition=Established", "--timeout=120s")
        async with Cluster(str(own.kubeconfig), timeout=PATIENCE) as cluster:
            await cluster.create(MODEL_DEPLOYMENT, model(namespace, "first"))
            await stub.until(lambda: stub.passes("first") >= 1)
            own.stop_server()

            async def unready() -> bool:
                return (await stub.page("/readyz"))[0] == 503

            await until(unready)
            assert "the API server does not answer" in (await stub.page("/readyz"))[1]
            assert (await stub.page("/healthz"))[0] == 200
            await asyncio.to_thread(own.restart_server)
            await cluster.create(MODEL_DEPLOYMENT, model(namespace, "second"))
            await stub.until(lambda: stub.passes("second") >= 1)
            assert not stub.logged("leadership lost")
            # Without its kinds it starts over, and so waits for them again.
            own.kubectl("delete", "crd", "--all", "--wait=false")
            assert await stub.ended() == 1
