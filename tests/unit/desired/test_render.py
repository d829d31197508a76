"""The manifests: what is in them, and above all what does not change."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.api.modeldeployment import ModelDeploymentSpec
from fairlead.api.settings import ServingDefaults
from fairlead.desired.layout import Layout, Slot
from fairlead.desired.podtemplate import pod_template
from fairlead.desired.render import render

OWNER = {"metadata": {"name": "fraud", "namespace": "n", "uid": "u"}}
SERVING = ServingDefaults(image="serving:1")


def spec(**fields: Any) -> ModelDeploymentSpec:
    return ModelDeploymentSpec.model_validate({"model": {"storageUri": "s3://m/1"}, **fields})


def template(**fields: Any) -> dict[str, Any]:
    return pod_template("fraud", spec(**fields), "aaa", "7", SERVING)


def environment(model: dict[str, Any]) -> dict[str, dict[str, Any]]:
    (container,) = template(model=model)["spec"]["containers"]
    return {item["name"]: {key: item[key] for key in item if key != "name"} for item in container["env"]}


def manifests(layout: Layout, **fields: Any) -> dict[tuple[str, str], dict[str, Any]]:
    return {(item["kind"], item["metadata"]["name"]): item for item in render(OWNER, spec(**fields), layout)}


def test_promotion_changes_no_deployment_of_the_promoted_revision() -> None:
    stable, canary = Slot("aaa", {"of": "aaa"}, 3), Slot("bbb", {"of": "bbb"}, 3)

    before = manifests(Layout(stable, canary))
    after = manifests(Layout(canary))

    assert before["Deployment", "fraud-bbb"] == after["Deployment", "fraud-bbb"]
    assert ("Deployment", "fraud-aaa") not in after


def test_the_shared_service_leads_to_both_revisions_and_the_others_to_one() -> None:
    found = manifests(Layout(Slot("aaa", {}, 3), Slot("bbb", {}, 1)))

    both = found["Service", "fraud"]["spec"]["selector"]
    one = found["Service", "fraud-bbb"]["spec"]["selector"]
    assert both.items() < one.items()
    assert set(one.items()) - set(both.items()) == {("fairlead.dev/revision", "bbb")}


def test_the_autoscaler_scales_the_model_deployment_itself() -> None:
    layout = Layout(Slot("aaa", {}, 2))

    assert ("HorizontalPodAutoscaler", "fraud") not in manifests(layout, minReplicas=2)
    found = manifests(layout, minReplicas=2, maxReplicas=5)["HorizontalPodAutoscaler", "fraud"]["spec"]
    assert found["scaleTargetRef"] == {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "ModelDeployment",
        "name": "fraud",
    }
    assert (found["minReplicas"], found["maxReplicas"]) == (2, 5)


@pytest.mark.parametrize(
    ("written", "replicas", "expected"),
    [
        ({}, 1, 1),
        ({}, 9, 1),
        ({"minReplicas": 3}, 1, 3),
        ({"minReplicas": 2, "maxReplicas": 5}, 4, 4),
        ({"minReplicas": 2, "maxReplicas": 5}, 1, 2),
        ({"minReplicas": 2, "maxReplicas": 5}, 9, 5),
        ({"maxReplicas": 4}, 0, 1),
    ],
)
def test_wanted_replicas(written: dict[str, int], replicas: int, expected: int) -> None:
    assert spec(**written, replicas=replicas).wanted_replicas == expected


def test_the_pod_passes_the_restricted_level() -> None:
    pod = template()["spec"]
    (container,) = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_pod_is_ready_only_with_this_version() -> None:
    (container,) = template()["spec"]["containers"]

    assert container["readinessProbe"]["httpGet"]["path"] == "/v2/models/fraud/versions/7/ready"


def test_the_server_is_told_everything_by_environment() -> None:
    pod = template(
        model={
            "storageUri": "s3://m/1",
            "modelFormat": {"name": "onnx"},
            "storage": {"secretRef": {"name": "s3"}, "endpoint": "http://s3:7070"},
        },
        server={
            "drainSeconds": 0,
            "maxConnectionAgeSeconds": 5,
            "env": [{"name": "EXTRA", "value": "1"}, {"name": "FAIRLEAD_REVISION", "value": "mine"}],
        },
    )["spec"]
    (container,) = pod["containers"]
    values = {item["name"]: item.get("value") for item in container["env"]}

    assert values["FAIRLEAD_MODEL_NAME"] == "fraud"
    assert values["FAIRLEAD_REVISION"] == "aaa"
    assert values["FAIRLEAD_MODEL_FORMAT"] == "onnx"
    assert values["AWS_ENDPOINT_URL"] == "http://s3:7070"
    assert values["FAIRLEAD_DRAIN_SECONDS"] == "0"
    assert values["FAIRLEAD_MAX_CONNECTION_AGE_SECONDS"] == "5"
    assert values["EXTRA"] == "1"
    assert len(values) == len(container["env"])
    assert container["envFrom"] == [{"secretRef": {"name": "s3"}}]
    assert pod["terminationGracePeriodSeconds"] > 0


def test_unsafe_files_are_read_only_where_the_model_says_so() -> None:
    told = [
        {item["name"]: item.get("value") for item in template(model=model)["spec"]["containers"][0]["env"]}
        for model in ({"storageUri": "s3://m/1", "allowUnsafe": True}, {"storageUri": "s3://m/1", "allowUnsafe": False})
    ]

    assert told[0]["FAIRLEAD_ALLOW_UNSAFE"] == "true"
    assert "FAIRLEAD_ALLOW_UNSAFE" not in told[1]


@pytest.mark.parametrize(
    ("uri", "path"), [("pvc://models/fraud/7/", "/mnt/model/fraud/7"), ("pvc://models", "/mnt/model")]
)
def test_a_model_in_a_claim_is_mounted_read_only(uri: str, path: str) -> None:
    pod = template(model={"storageUri": uri})["spec"]
    (container,) = pod["containers"]

    assert {"name": "FAIRLEAD_STORAGE_URI", "value": path} in container["env"]
    assert {"name": "model", "mountPath": "/mnt/model", "readOnly": True} in container["volumeMounts"]
    claim = {"claimName": "models", "readOnly": True}
    assert {"name": "model", "persistentVolumeClaim": claim} in pod["volumes"]


def test_a_model_in_a_registry_is_pulled_by_the_server_with_a_pull_secret() -> None:
    pod = template(model={"storageUri": "oci://r/fraud:7", "storage": {"secretRef": {"name": "login"}}})["spec"]
    (container,) = pod["containers"]

    assert {"name": "FAIRLEAD_STORAGE_URI", "value": "oci://r/fraud:7"} in container["env"]
    assert {"name": "DOCKER_CONFIG", "value": "/var/run/fairlead/registry"} in container["env"]
    assert container["volumeMounts"][-1]["mountPath"] == "/var/run/fairlead/registry"
    assert pod["volumes"][-1]["secret"]["items"] == [{"key": ".dockerconfigjson", "path": "config.json"}]
    assert "envFrom" not in container, "the whole file would be a variable"
    assert "DOCKER_CONFIG" not in environment({"storageUri": "oci://r/fraud:7"})


@pytest.mark.parametrize(("path", "expected"), [({}, "/mnt/model"), ({"path": "/models/7/"}, "/mnt/model/models/7")])
def test_a_model_in_an_image_is_mounted_by_the_node(path: dict[str, str], expected: str) -> None:
    pod = template(model={"storageUri": "oci://r/fraud@sha256:0", "storage": {"imageVolume": path}})["spec"]
    (container,) = pod["containers"]

    assert {"name": "FAIRLEAD_STORAGE_URI", "value": expected} in container["env"]
    assert {"name": "model", "mountPath": "/mnt/model", "readOnly": True} in container["volumeMounts"]
    assert {"name": "model", "image": {"reference": "r/fraud@sha256:0"}} in pod["volumes"]


PEM = {"inline": "-----BEGIN PUBLIC KEY-----"}
REFERENCE = {"name": "keys", "key": "ml.pem"}


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ({"publicKey": PEM}, {"KEY": {"value": PEM["inline"]}}),
        ({"publicKey": {"configMapKeyRef": REFERENCE}}, {"KEY": {"valueFrom": {"configMapKeyRef": REFERENCE}}}),
        ({"caBundle": {"secretKeyRef": REFERENCE}}, {"CERTIFICATE": {"valueFrom": {"secretKeyRef": REFERENCE}}}),
        (
            {"sigstore": {"identity": "me@example.com", "identityProvider": "https://id"}},
            {"IDENTITY": {"value": "me@example.com"}, "IDENTITY_PROVIDER": {"value": "https://id"}},
        ),
    ],
)
def test_the_server_is_told_whose_signature_it_must_be(signature: dict[str, Any], expected: dict[str, Any]) -> None:
    told = environment({"storageUri": "s3://m/1", "signature": signature})
    assert {name: told[f"FAIRLEAD_VERIFY_{name}"] for name in expected} == expected
    assert told["FAIRLEAD_SIGNATURE"] == {"value": "model.sig"}, "or an empty key would switch the verification off"
    assert len([name for name in told if "VERIFY" in name]) == len(expected)
    named = environment({"storageUri": "s3://m/1", "signature": {**signature, "file": "sig"}})
    assert named["FAIRLEAD_SIGNATURE"] == {"value": "sig"}


def test_every_container_of_a_revision_loads_the_bytes_that_the_first_one_loaded() -> None:
    (container,) = template()["spec"]["containers"]
    (variable,) = (item for item in container["env"] if item["name"] == "FAIRLEAD_MODEL_DIGEST")
    pinned = variable["valueFrom"]["configMapKeyRef"]

    assert pinned["optional"]
    assert ("ConfigMap", pinned["name"]) not in manifests(Layout(Slot("aaa", {}, 1)))
    found = manifests(Layout(Slot("aaa", {}, 1, digest="sha256:1")))["ConfigMap", pinned["name"]]
    assert found["data"] == {pinned["key"]: "sha256:1"}


def test_users_labels_never_hide_ours() -> None:
    labels = template(server={"podLabels": {"team": "risk", "fairlead.dev/revision": "x"}})["metadata"]["labels"]

    assert labels["team"] == "risk"
    assert labels["fairlead.dev/revision"] == "aaa"
