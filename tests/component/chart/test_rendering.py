"""What the chart renders, without a cluster."""

from __future__ import annotations

import json

import pytest

from fairlead.runtime.settings import Settings
from tests.component.chart.helm import CHART, OFFLINE, helm, of_kind, template


def test_lint_has_no_complaint() -> None:
    done = helm("lint", "--strict", str(CHART), *OFFLINE)
    assert done.returncode == 0, done.stdout


def test_default_rendering_is_one_operator_with_its_rights_and_the_crds() -> None:
    kinds = sorted(manifest["kind"] for manifest in template("rbac.aggregate=false"))
    assert kinds == [
        "ClusterRole",
        "ClusterRoleBinding",
        *["CustomResourceDefinition"] * 3,
        "Deployment",
        "Role",
        "RoleBinding",
        "ServiceAccount",
    ]


def test_crds_can_be_left_to_someone_else() -> None:
    assert not of_kind(template("crds.install=false"), "CustomResourceDefinition")


def test_crds_are_kept_by_an_uninstall() -> None:
    for crd in of_kind(template(), "CustomResourceDefinition"):
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_operator_may_do_nothing_with_wildcards_secrets_or_its_own_spec() -> None:
    manifests = template("rbac.aggregate=false")
    rules = [rule for kind in ("ClusterRole", "Role") for role in of_kind(manifests, kind) for rule in role["rules"]]
    for rule in rules:
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
        assert not {"secrets", "nodes"} & set(rule["resources"])
        if "modeldeployments" in rule["resources"]:
            assert rule["verbs"] == ["get", "list", "watch"]


def test_watched_namespaces_get_a_role_each_and_nothing_is_cluster_wide() -> None:
    manifests = template("watchNamespaces={blue,green}", "rbac.aggregate=false", "crds.install=false")
    assert not of_kind(manifests, "ClusterRole")
    assert not of_kind(manifests, "ClusterRoleBinding")
    watched = [role["metadata"]["namespace"] for role in of_kind(manifests, "Role")]
    assert watched == ["blue", "green", "fairlead-system"]
    (deployment,) = of_kind(manifests, "Deployment")
    env = {
        entry["name"]: entry.get("value") for entry in deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    assert env["FAIRLEAD_WATCH_NAMESPACES"] == "blue,green"


def test_every_binding_names_the_service_account_that_the_pod_runs_as() -> None:
    manifests = template("serviceAccount.create=false", "serviceAccount.name=given")
    assert not of_kind(manifests, "ServiceAccount")
    (deployment,) = of_kind(manifests, "Deployment")
    assert deployment["spec"]["template"]["spec"]["serviceAccountName"] == "given"
    for binding in of_kind(manifests, "RoleBinding") + of_kind(manifests, "ClusterRoleBinding"):
        assert [subject["name"] for subject in binding["subjects"]] == ["given"]


def test_lease_name_matches_the_right_to_it() -> None:
    manifests = template("fullnameOverride=pilot")
    (role,) = of_kind(manifests, "Role")
    (deployment,) = of_kind(manifests, "Deployment")
    env = {
        entry["name"]: entry.get("value") for entry in deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    assert role["rules"][0]["resourceNames"] == [env["FAIRLEAD_LEASE_NAME"]] == ["pilot"]


def test_image_by_digest_wins_over_its_tag() -> None:
    digest = "sha256:" + "0" * 64
    (deployment,) = of_kind(template("image.repository=r.example.com:5000/op", f"image.digest={digest}"), "Deployment")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == f"r.example.com:5000/op@{digest}"


def test_monitors_are_there_when_asked_for() -> None:
    manifests = template("podMonitor.enabled=true", "serviceMonitor.enabled=true", "podMonitor.labels.release=prom")
    (models,) = of_kind(manifests, "PodMonitor")
    (operator,) = of_kind(manifests, "ServiceMonitor")
    (service,) = of_kind(manifests, "Service")
    (deployment,) = of_kind(manifests, "Deployment")
    assert models["metadata"]["labels"]["release"] == "prom"
    assert models["spec"]["namespaceSelector"] == {"any": True}
    pod_labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    assert service["spec"]["selector"].items() <= pod_labels
    assert operator["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()


def test_prometheus_is_reached_as_the_values_say() -> None:
    manifests = template(
        "prometheus.bearerToken.secret=token",
        "prometheus.tls.ca.configMap=trust",
        "prometheus.tls.clientCertificate.secret=mine",
        "prometheus.headers.X-Scope-OrgID=team-a",
        "prometheus.headersSecret=more",
    )
    (deployment,) = of_kind(manifests, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    files = [
        f"{mounts['prometheus']}/{item['path']}"
        for source in volumes["prometheus"]["projected"]["sources"]
        for item in next(iter(source.values()))["items"]
    ]
    named = ("TOKEN", "CA", "CERTIFICATE", "KEY")
    assert files == [env[f"FAIRLEAD_PROMETHEUS_{name}_FILE"] for name in named]
    assert json.loads(env["FAIRLEAD_PROMETHEUS_HEADERS"]) == {"X-Scope-OrgID": "team-a"}
    assert env["FAIRLEAD_PROMETHEUS_HEADERS_DIR"] == mounts["prometheus-headers"]
    assert volumes["prometheus-headers"]["secret"]["secretName"] == "more"
    names = {name for name in env if name.startswith("FAIRLEAD_")}
    assert names <= {f"FAIRLEAD_{field.upper()}" for field in Settings.model_fields}


def test_without_credentials_nothing_is_mounted() -> None:
    (deployment,) = of_kind(template(), "Deployment")
    assert [volume["name"] for volume in deployment["spec"]["template"]["spec"]["volumes"]] == ["tmp"]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (("bearerToken.secret=a", "basicAuth.secret=b"), "bearerToken and basicAuth exclude each other"),
        (("bearerToken.secret=a", "bearerToken.serviceAccount=true"), "name a Secret or set serviceAccount, not both"),
        (("tls.ca.secret=a", "tls.ca.configMap=b"), "name a Secret or a ConfigMap, not both"),
    ],
)
def test_contradictions_are_told(values: tuple[str, ...], complaint: str) -> None:
    settings = [word for value in values for word in ("--set", f"prometheus.{value}")]
    done = helm("template", "fairlead", str(CHART), *OFFLINE, *settings)
    assert done.returncode != 0
    assert complaint in done.stderr


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("prometheus.ulr=http://p", "'ulr' not allowed"),
        ("prometheus.url=prometheus:9090", "'/prometheus/url'"),
        ("prometheus.basicAuth.password=secret", "'password' not allowed"),
        ("image.pullPolicy=Sometimes", "'/image/pullPolicy'"),
        ("image.repository=fairlead/operator:dev", "'/image/repository'"),
        ("log.level=loud", "'/log/level'"),
        ("replicas=-1", "'/replicas'"),
        ("watchNamespaces={Not_A_Name}", "'/watchNamespaces/0'"),
        ("podMonitor.interval=often", "'/podMonitor/interval'"),
    ],
)
def test_wrong_value_is_told_by_its_place(value: str, complaint: str) -> None:
    done = helm("template", "fairlead", str(CHART), *OFFLINE, "--set", value)
    assert done.returncode != 0
    assert complaint in done.stderr
