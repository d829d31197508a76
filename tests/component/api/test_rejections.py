"""What is wrong is refused by the API server itself, with the field and a sentence that says what would be right."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.cluster.errors import ClusterError
from tests.component.api.objects import (
    Object,
    metric_template,
    model_deployment,
    weight,
    with_analysis,
    with_metric,
    with_model,
    with_steps,
)

if TYPE_CHECKING:
    from tests.cluster.control_plane import ControlPlane

_DURATION = "not a duration; write for example 90s, 10m or 1h30m"
_KINDS = "a step holds exactly one of setWeight, pause or analysis; write pause: {} for one that waits for a person"
_ASCEND = "the weights of the steps must ascend"
_FIRST = "the first step must be a setWeight: before it the canary has no traffic"
_LABEL = (
    "the name must be a DNS label: lower-case letters, digits and '-', beginning with a letter and ending with a "
    "letter or digit; it is the name of a Service and part of the model's URLs"
)
_VERSION = "version may hold letters, digits, '.', '_' and '-', and starts and ends with a letter or digit"
_STORAGE = (
    "storageUri must be s3://bucket/path, gs://bucket/path, az://container/path, https://host/file, hf://owner/name, "
    "oci://registry/repository:tag, pvc://claim/path or file:///path"
)
_ONE_PEM = "write exactly one of inline, configMapKeyRef and secretKeyRef"
_IMAGE = "oci://registry/fraud:7"
_KEY = {"inline": "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n"}
_STEPS = "spec.rollout.canary.steps"
_ANALYSIS = "spec.rollout.analysis"
_METRICS = f"{_ANALYSIS}.metrics"
_METRIC = f"{_METRICS}[0]"
_UNKNOWN = (
    "not a built-in metric (error-rate, client-error-rate, latency, prediction-distribution, score-distribution, "
    "input-distribution, accuracy), so it needs exactly one of query, ratio or templateRef"
)
_TOGETHER = "compareTo and maxIncrease or maxDecrease belong together"
_EVIDENCE = (
    "margins, weight, tolerance and action belong to metrics judged on evidence; a query has a thresholdRange or "
    "compareTo, and rolls back beyond its failureLimit"
)
_MARGIN = {"ratio": 1.2, "absolute": 0.01}
_RATIO = {"bad": "bad", "total": "all"}

SENTENCES: dict[str, tuple[Object, str, str]] = {
    "name too long": (
        model_deployment("a" * 51),
        "metadata.name",
        "the name must not be longer than 50 characters: the names of what is made for the model begin with it",
    ),
    "name begins with a digit": (model_deployment("7fraud"), "metadata.name", _LABEL),
    "name with a dot": (model_deployment("fraud.v7"), "metadata.name", _LABEL),
    "other storage": (with_model(storageUri="ftp://models/fraud"), "spec.model.storageUri", _STORAGE),
    "no bucket": (with_model(storageUri="s3:///fraud"), "spec.model.storageUri", _STORAGE),
    "no claim": (with_model(storageUri="pvc:///fraud"), "spec.model.storageUri", _STORAGE),
    "an open connection": (with_model(storageUri="http://host/model.onnx"), "spec.model.storageUri", _STORAGE),
    "no repository": (with_model(storageUri="oci://registry"), "spec.model.storageUri", _STORAGE),
    "a volume of no image": (
        with_model(storage={"imageVolume": {}}),
        "spec.model.storageUri",
        "an image volume holds an OCI image, so storageUri must be oci://registry/repository:tag",
    ),
    "a volume's Secret": (
        with_model(storageUri=_IMAGE, storage={"imageVolume": {}, "secretRef": {"name": "registry"}}),
        "spec.model.storage.secretRef",
        "an image volume is pulled by the node, with the Secrets in server.imagePullSecrets; leave out secretRef",
    ),
    "a path out of the image": (
        with_model(storageUri=_IMAGE, storage={"imageVolume": {"path": "models/../.."}}),
        "spec.model.storage.imageVolume.path",
        "path must not lead out of the image by '..'",
    ),
    "a signature by nobody": (
        with_model(signature={"file": "model.sig"}),
        "spec.model.signature",
        "write exactly one of publicKey, caBundle and sigstore",
    ),
    "a signature by two": (
        with_model(signature={"publicKey": _KEY, "caBundle": _KEY}),
        "spec.model.signature",
        "write exactly one of publicKey, caBundle and sigstore",
    ),
    "a signature elsewhere": (
        with_model(signature={"publicKey": _KEY, "file": "../model.sig"}),
        "spec.model.signature.file",
        "file must be a path inside the model's folder",
    ),
    "no key": (with_model(signature={"publicKey": {}}), "spec.model.signature.publicKey", _ONE_PEM),
    "two keys": (
        with_model(signature={"caBundle": {**_KEY, "secretKeyRef": {"name": "a", "key": "b"}}}),
        "spec.model.signature.caBundle",
        _ONE_PEM,
    ),
    "a key that is a path": (
        with_model(signature={"publicKey": {"inline": "/etc/key.pem"}}),
        "spec.model.signature.publicKey.inline",
        "not PEM: it begins with -----BEGIN and what it is",
    ),
    "an identity that anybody could give": (
        with_model(signature={"sigstore": {"identity": "me@example.com", "identityProvider": "http://id.example"}}),
        "spec.model.signature.sigstore.identityProvider",
        "identityProvider must be a URL that begins with https://",
    ),
    "version with a slash": (with_model(version="7/a"), "spec.model.version", _VERSION),
    "version ends with a dash": (with_model(version="7-"), "spec.model.version", _VERSION),
    "digest": (
        with_model(digest="sha256:abc"),
        "spec.model.digest",
        "digest must be sha256: and 64 hexadecimal digits",
    ),
    "endpoint without scheme": (
        with_model(storage={"endpoint": "minio:9000"}),
        "spec.model.storage.endpoint",
        "endpoint must be a URL that begins with http:// or https:// and names a host",
    ),
    "replicas the wrong way round": (
        model_deployment(minReplicas=3, maxReplicas=2),
        "spec.minReplicas",
        "minReplicas must not be greater than maxReplicas",
    ),
    "quantity": (
        model_deployment(server={"resources": {"requests": {"cpu": "plenty"}}}),
        "spec.server.resources.requests[cpu]",
        "not a quantity; write for example 250m, 2 or 512Mi",
    ),
    "labels of ours": (
        model_deployment(server={"podLabels": {"fairlead.dev/revision": "7"}}),
        "spec.server.podLabels",
        "labels that begin with fairlead.dev/ are the operator's own",
    ),
    "weights descend": (with_steps(weight(50), weight(20)), _STEPS, _ASCEND),
    "weights descend later": (
        with_steps(weight(5), {"pause": {}}, weight(50), {"analysis": {}}, weight(20)),
        _STEPS,
        _ASCEND,
    ),
    "weight twice": (with_steps(weight(20), weight(20)), _STEPS, f"{_ASCEND}: one weight stands twice"),
    "pause first": (with_steps({"pause": {}}, weight(20)), _STEPS, _FIRST),
    "empty step": (with_steps(weight(20), {}), f"{_STEPS}[1]", _KINDS),
    "null step": (with_steps(weight(20), {"pause": None}), f"{_STEPS}[1]", _KINDS),
    "two kinds in a step": (with_steps({"setWeight": 20, "analysis": {}}), f"{_STEPS}[0]", _KINDS),
    "three kinds in a step": (
        with_steps({"setWeight": 20, "analysis": {}, "pause": {"duration": "1m"}}),
        f"{_STEPS}[0]",
        _KINDS,
    ),
    "pause for nothing known": (
        with_steps(weight(20), {"pause": {"duration": "10 minutes"}}),
        f"{_STEPS}[1].pause.duration",
        _DURATION,
    ),
    "pause without a unit": (
        with_steps(weight(20), {"pause": {"duration": "10"}}),
        f"{_STEPS}[1].pause.duration",
        _DURATION,
    ),
    "negative duration": (with_analysis(warmUp="-5s"), f"{_ANALYSIS}.warmUp", _DURATION),
    "empty duration": (with_analysis(minStep=""), f"{_ANALYSIS}.minStep", _DURATION),
    "interval of nothing": (with_analysis(interval="0s"), f"{_ANALYSIS}.interval", "must be at least 1s"),
    "interval of no days": (with_analysis(interval="0d"), f"{_ANALYSIS}.interval", "must be at least 1s"),
    "interval too short": (with_analysis(interval="20ms"), f"{_ANALYSIS}.interval", "must be at least 1s"),
    "minStep after maxStep": (
        with_analysis(minStep="5m", maxStep="90s"),
        f"{_ANALYSIS}.minStep",
        "minStep must not be longer than maxStep",
    ),
    "hold timeout": (
        model_deployment(rollout={"holdTimeout": {"after": "soon"}}),
        "spec.rollout.holdTimeout.after",
        _DURATION,
    ),
    "metric twice": (
        with_analysis(metrics=[{"name": "latency"}, {"name": "error-rate"}, {"name": "latency"}]),
        _METRICS,
        "two metrics have the same name",
    ),
    "unknown metric": (with_metric(name="p99"), _METRIC, _UNKNOWN),
    "a query and a ratio": (with_metric(query="up", ratio=_RATIO, thresholdRange={"min": 1}), _METRIC, _UNKNOWN),
    "a built-in metric with a query": (
        with_metric(name="latency", query="up", thresholdRange={"min": 1}),
        _METRIC,
        "the metric is built in: leave out query, ratio and templateRef, or give it another name",
    ),
    "a limit without a query": (
        with_metric(name="latency", failureLimit=1),
        _METRIC,
        "thresholds and limits belong to a metric with a query or a templateRef",
    ),
    "a query without a threshold": (
        with_metric(query="up"),
        _METRIC,
        "a query needs a thresholdRange, or compareTo: stable",
    ),
    "an increase of nothing": (with_metric(query="up", thresholdRange={"min": 1}, maxIncrease=0.1), _METRIC, _TOGETHER),
    "compared without a limit": (with_metric(query="up", compareTo="stable"), _METRIC, _TOGETHER),
    "an empty range": (
        with_metric(query="up", thresholdRange={}),
        f"{_METRIC}.thresholdRange",
        "write min, max or both",
    ),
    "a range the wrong way round": (
        with_metric(query="up", thresholdRange={"min": 2, "max": 1}),
        f"{_METRIC}.thresholdRange.min",
        "min must not be greater than max",
    ),
    "a margin for a query": (
        with_metric(query="up", thresholdRange={"min": 1}, rollbackMargin=_MARGIN),
        _METRIC,
        _EVIDENCE,
    ),
    "a tolerance for errors": (
        with_metric(name="error-rate", tolerance=0.1),
        f"{_METRIC}.tolerance",
        "a tolerance belongs to a distribution; other metrics have a rollbackMargin",
    ),
    "a margin for a distribution": (
        with_metric(name="input-distribution", rollbackMargin=_MARGIN),
        _METRIC,
        "a distribution has a tolerance and no margins",
    ),
    "slower errors": (
        with_metric(name="error-rate", promotionMargin={**_MARGIN, "slowdown": 2}),
        _METRIC,
        "a slowdown belongs to the margins of latency",
    ),
    "two args of one name": (
        metric_template(query="up", args=[{"name": "a"}, {"name": "a"}]),
        "spec.args",
        "two args have the same name",
    ),
    "an arg that no template can name": (
        metric_template(query="up", args=[{"name": "a-b"}]),
        "spec.args",
        "the name of an arg holds letters, digits and '_' only, and does not begin with a digit",
    ),
    "a template that compares without a limit": (metric_template(query="up", compareTo="stable"), "spec", _TOGETHER),
    "alpha too great": (with_analysis(alpha=0.6), f"{_ANALYSIS}.alpha", "must be above 0 and at most 0.5"),
    "alpha of nothing": (with_analysis(alpha=0), f"{_ANALYSIS}.alpha", "must be above 0 and at most 0.5"),
}

STANDARD: dict[str, tuple[Object, str]] = {
    "no spec": ({k: v for k, v in model_deployment().items() if k != "spec"}, "spec: Required value"),
    "no model": ({**model_deployment(), "spec": {}}, "spec.model: Required value"),
    "no storageUri": (model_deployment(model={"version": "7"}), "spec.model.storageUri: Required value"),
    "version is a number": (with_model(version=7), 'spec.model.version in body must be of type string: "integer"'),
    "unknown format": (
        with_model(modelFormat={"name": "pickle"}),
        'spec.model.modelFormat.name: Unsupported value: "pickle": supported values: "sklearn", "onnx"',
    ),
    "variable is a number": (
        model_deployment(server={"env": [{"name": "A", "value": 5}]}),
        'spec.server.env[0].value in body must be of type string: "integer"',
    ),
    "variable without a name": (
        model_deployment(server={"env": [{"value": "5"}]}),
        "spec.server.env[0].name: Required value",
    ),
    "variable twice": (
        model_deployment(server={"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}),
        'spec.server.env[1]: Duplicate value: {"name":"A"}',
    ),
    "no replicas": (model_deployment(minReplicas=0), "spec.minReplicas in body should be greater than or equal to 1"),
    "weight above 100": (with_steps(weight(101)), f"{_STEPS}[0].setWeight in body should be less than or equal to 100"),
    "too many steps": (with_steps(*map(weight, range(1, 40))), f"{_STEPS}: Too many: 39: must have at most 32 items"),
    "a template without a query": (metric_template(), "spec.query: Required value"),
    "no metric": (with_analysis(metrics=[]), f"{_METRICS} in body should have at least 1 items"),
    "unknown answer to no data": (
        with_analysis(onNoData="hold"),
        'Unsupported value: "hold": supported values: "Hold", "Pass", "Fail"',
    ),
    "an identity without a provider": (
        with_model(signature={"sigstore": {"identity": "me@example.com"}}),
        "spec.model.signature.sigstore.identityProvider: Required value",
    ),
    "misspelt field": (with_steps({"setweight": 5}), f'unknown field "{_STEPS}[0].setweight"'),
    "strategy of later": (model_deployment(rollout={"blueGreen": {}}), 'unknown field "spec.rollout.blueGreen"'),
}

ACCEPTED: dict[str, Object] = {
    "nothing but a model": model_deployment(),
    "longest name": model_deployment("a" * 50),
    "a bucket alone": with_model(storageUri="s3://models"),
    "a path in the image": with_model(storageUri="file:///models/fraud"),
    "another cloud": with_model(storageUri="gs://models/fraud"),
    "an artifact": with_model(storageUri=f"oci://registry:5000/ml/fraud@sha256:{'0' * 64}"),
    "an image": with_model(storageUri=_IMAGE, storage={"imageVolume": {"path": "/models"}}),
    "a key of one's own": with_model(signature={"publicKey": _KEY, "file": "signatures/7"}),
    "a key in a ConfigMap": with_model(signature={"publicKey": {"configMapKeyRef": {"name": "keys", "key": "ml.pem"}}}),
    "somebody sigstore knows": with_model(
        signature={"sigstore": {"identity": "me@example.com", "identityProvider": "https://id.example"}}
    ),
    "a claim": with_model(storageUri="pvc://models/fraud/7"),
    "a pickle of one's own": with_model(modelFormat={"name": "sklearn"}, allowUnsafe=True),
    "versions as people write them": with_model(version="2026.11.21-rc_1"),
    "quantities": model_deployment(
        server={"resources": {"requests": {"cpu": 1, "memory": "1.5Gi"}, "limits": {"nvidia.com/gpu": "1"}}}
    ),
    "variables from elsewhere": model_deployment(
        server={"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}
    ),
    "equal replicas": model_deployment(minReplicas=2, maxReplicas=2),
    "ascending steps": with_steps(weight(1), {"pause": {}}, weight(9), {"analysis": {}}, weight(100)),
    "no steps": with_steps(),
    "long durations": with_analysis(interval="1.5h", minStep="2d", maxStep="60h", warmUp="0s"),
    "every metric once": with_analysis(
        metrics=[{"name": name, "dryRun": True} for name in ("error-rate", "client-error-rate", "latency", "accuracy")]
    ),
    "distributions with a tolerance": with_metric(name="input-distribution", tolerance=0.1, action="Rollback"),
    "slower by half": with_metric(name="latency", rollbackMargin={**_MARGIN, "slowdown": 1.5}),
    "a ratio of one's own": with_metric(ratio=_RATIO, rollbackMargin=_MARGIN, weight=0.3, action="Veto"),
    "a query of one's own": with_metric(
        query="up", thresholdRange={"max": 1}, failureLimit=2, initialDelay="0s", interval="30s", dryRun=True
    ),
    "a comparison": with_metric(query="up", compareTo="stable", maxIncrease=0.1, maxDecrease=0),
    "a reference": with_metric(templateRef={"name": "cost", "args": {"team": "a"}}, failureLimit=1),
    "a template": metric_template(
        query="up", thresholdRange={"min": 1}, args=[{"name": "a"}, {"name": "b", "default": "c"}]
    ),
    "a template that leaves the threshold to others": metric_template(query="up"),
}


@pytest.mark.parametrize("case", SENTENCES)
def test_refuses_with_a_sentence(plane: ControlPlane, case: str) -> None:
    """A rule of ours complains of the right field in plain words, and nothing else complains beside it."""
    given, field, sentence = SENTENCES[case]
    complaint = _complaint(plane, given)
    said = re.search(r" is invalid: (\S+): Invalid value: .*?(?:\"|\]|\}|\d|null): (.*)$", complaint)
    assert said, complaint
    assert said.groups() == (field, sentence)


@pytest.mark.parametrize("case", STANDARD)
def test_refuses_with_kubernetes_own_words(plane: ControlPlane, case: str) -> None:
    """Missing, unknown and mistyped fields are named by the API server."""
    given, words = STANDARD[case]
    assert words in _complaint(plane, given)


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepts(plane: ControlPlane, case: str) -> None:
    """The rules do not refuse what is right."""
    assert _dry_run(plane, ACCEPTED[case])


def test_a_rollout_is_frozen(plane: ControlPlane, namespace: str) -> None:
    """The spec of a ModelRollout cannot be changed once it is written."""
    rollout = {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "ModelRollout",
        "metadata": {"name": "fraud-0123456789-1", "namespace": namespace},
        "spec": {
            "modelDeployment": "fraud",
            "revision": "0123456789",
            "version": "7",
            "stableRevision": "9876543210",
            "stableVersion": "6",
            "attempt": 1,
            "plan": {"steps": [{"kind": "SetWeight", "weight": 20, "stage": 1}]},
            "planHash": "x",
        },
    }
    plane.kubectl("create", "-f", "-", stdin=json.dumps(rollout))
    change = json.dumps({"spec": {"plan": {"maxOvershoot": 100}}})
    with pytest.raises(ClusterError, match="what a rollout goes by is frozen when it starts"):
        plane.kubectl("patch", "mro", "fraud-0123456789-1", "-n", namespace, "--type=merge", "-p", change)
    stored = json.loads(plane.kubectl("get", "mro", "fraud-0123456789-1", "-n", namespace, "-o", "json"))
    assert stored["spec"] == rollout["spec"], "nothing is added to what the operator froze"


def _complaint(plane: ControlPlane, given: Object) -> str:
    with pytest.raises(ClusterError) as caught:
        _dry_run(plane, given)
    return str(caught.value)


def _dry_run(plane: ControlPlane, given: Object) -> str:
    return plane.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(given))
