"""What the demo runs on: namespace, object storage, Prometheus, operator and load. Each call is idempotent."""

from __future__ import annotations

import base64
import json
import secrets
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
import yaml
from obstore.exceptions import BaseError
from obstore.store import S3Store

from examples.demo.kubectl import DemoError, Kubectl, Manifest

HERE = Path(__file__).parent
CHART = HERE.parents[1] / "charts" / "fairlead"
NAMESPACE = "fairlead-demo"
OPERATOR_NAMESPACE = "fairlead-system"
RELEASE = "fairlead"
OPERATOR = "fairlead-operator"
# There is one operator in a cluster: who installs it holds this lock of tests.cluster.cache as long as it is needed.
LOCK = "operator"
MODEL = "digits"
BUCKET = "models"
S3_PORT = 7070
UPLOAD_SECONDS = 30.0
RESTRICTED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/enforce-version": "latest",
}


@dataclass(frozen=True, slots=True)
class Rate:
    """The load: requests a second and the callers that share them."""

    requests: int = 200
    connections: int = 20


def manifests(name: str) -> list[Manifest]:
    """The documents of one of the demo's manifest files."""
    return list(yaml.safe_load_all((HERE / "manifests" / f"{name}.yaml").read_text(encoding="utf-8")))


def fresh_namespace(kubectl: Kubectl) -> None:
    """An empty namespace at the "restricted" Pod Security level; what an earlier run left in it goes."""
    if kubectl.exists("namespace", kubectl.namespace):
        kubectl.run("delete", "namespace", kubectl.namespace, "--timeout=120s", limit=150)
    kubectl.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": kubectl.namespace, "labels": RESTRICTED}}
    )
    deadline = time.monotonic() + 30
    while not kubectl.exists("serviceaccount", "default"):
        if time.monotonic() > deadline:
            message = f"the namespace {kubectl.namespace} got no default service account within 30 s"
            raise DemoError(message)
        time.sleep(0.2)


def install_operator(kubectl: Kubectl, *settings: str) -> None:
    """Install or upgrade the chart, with the demo's Prometheus; `settings` are further --set arguments.

    The pod is always a new one: the image may have changed under the same tag.
    """
    values = [
        f"prometheus.url=http://prometheus.{kubectl.namespace}:9090",
        f"podAnnotations.demo/installed-at=t{time.time():.0f}",
        *settings,
    ]
    arguments = [word for value in values for word in ("--set", value)]
    where = OPERATOR_NAMESPACE
    kubectl.helm("upgrade", "--install", RELEASE, str(CHART), "--create-namespace", *arguments, namespace=where)


def wait_for_operator(kubectl: Kubectl) -> None:
    """Wait until the operator's pods are those of the newest chart."""
    Kubectl(kubectl.kubeconfig, kubectl.programs, OPERATOR_NAMESPACE).rollout_status(OPERATOR)


def start_services(kubectl: Kubectl) -> dict[str, str]:
    """Start object storage (with new credentials, which are returned) and Prometheus; neither is waited for."""
    credentials = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(24)}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s3-credentials"},
        "stringData": credentials,
    }
    kubectl.apply(secret, *manifests("s3"), *manifests("prometheus"))
    return credentials


def read_credentials(kubectl: Kubectl) -> dict[str, str]:
    """The object storage's credentials, as the pods get them."""
    data = kubectl.get("secret", "s3-credentials")["data"]
    return {name: base64.b64decode(value).decode() for name, value in data.items()}


def upload(kubectl: Kubectl, credentials: dict[str, str], folder: Path, prefix: str) -> int:
    """Put the files of a folder below s3://models/PREFIX and return their number of bytes."""
    with kubectl.port_forward("s3", S3_PORT) as port:
        store = S3Store(
            BUCKET,
            endpoint=f"http://127.0.0.1:{port}",
            region="us-east-1",
            access_key_id=credentials["AWS_ACCESS_KEY_ID"],
            secret_access_key=credentials["AWS_SECRET_ACCESS_KEY"],
            virtual_hosted_style_request=False,
            client_options={"allow_http": True, "timeout": f"{UPLOAD_SECONDS:.0f}s"},
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=UPLOAD_SECONDS)},
        )
        total = 0
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            content = path.read_bytes()
            _put(store, f"{prefix}/{path.relative_to(folder).as_posix()}", content)
            total += len(content)
    return total


def _put(store: S3Store, key: str, content: bytes) -> None:
    try:
        obstore.put(store, key, content)
    except BaseError as error:
        first = str(error).splitlines()[0]
        message = f"the object storage did not take {key}: {first}"
        raise DemoError(message) from error


def model_deployment(version: str, **spec: Any) -> Manifest:
    """examples/demo/modeldeployment.yaml with another version of the model, and with further fields of its spec."""
    manifest: Manifest = yaml.safe_load((HERE / "modeldeployment.yaml").read_text(encoding="utf-8"))
    manifest["spec"]["model"] |= {"version": version, "storageUri": f"s3://{BUCKET}/{MODEL}/{version}"}
    manifest["spec"] |= spec
    return manifest


def start_load(kubectl: Kubectl, requests: list[dict[str, Any]], rate: Rate = Rate()) -> None:
    """Start the callers, in a pod, against the model's Service."""
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    config = _config("load", {"loadgen.py": _program("loadgen.py"), "requests.jsonl": lines})
    (pod,) = manifests("load")
    host = f"{MODEL}.{kubectl.namespace}.svc"
    pod["spec"]["containers"][0]["args"] = [
        host, "80", MODEL, str(rate.requests), str(rate.connections), "/load/requests.jsonl",
    ]  # fmt: skip
    kubectl.apply(config, pod)
    kubectl.run("wait", "pod/load", "--for=condition=Ready", "--timeout=60s")


def stop_load(kubectl: Kubectl) -> None:
    """End the callers; each finishes the request it is at."""
    kubectl.run("delete", "pod", "load", "--ignore-not-found", "--timeout=30s", limit=60)


def _config(name: str, data: dict[str, str]) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def _program(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
