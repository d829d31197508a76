"""What is wrong is refused by the API server itself, with the field and a sentence that says what would be right."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.cluster.errors import ClusterError
from tests.component.api.objects import (
    Object,
    model_deployment,
    weight,
    with_analysis,
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
_STEPS = "spec.rollout.canary.steps"
_ANALYSIS = "spec.rollout.analysis"
_METRICS = f"{_ANALYSIS}.metrics"

SENTENCES: dict[str, tuple[Object, str, str]] = {
    "name too long": (
        model_deployment("a" * 51),
        "metadata.name",
        "the name must not be longer than 50 characters: the names of what is made for the model begin with it",
    ),
    "name begins with a digit": (model_deployment("7fraud"), "metadata.name", _LABEL),
    "name with a dot": (model_deployment("fraud.v7"), "metadata.name", _LABEL),
    "other storage": (
        with_model(storageUri="gs://models/fraud"),
        "spec.model.storageUri",
        "storageUri must be s3://bucket/path or file:///path",
    ),
    "no bucket": (
        with_model(storageUri="s3:///fraud"),
        "spec.model.storageUri",
        "storageUri must be s3://bucket/path or file:///path",
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
    "unknown metric": (
        with_analysis(metrics=[{"name": "p99"}]),
        'Unsupported value: "p99": supported values: "error-rate", "client-error-rate", "latency"',
    ),
    "no metric": (with_analysis(metrics=[]), f"{_METRICS} in body should have at least 1 items"),
    "unknown answer to no data": (
        with_analysis(onNoData="hold"),
        'Unsupported value: "hold": supported values: "Hold", "Pass", "Fail"',
    ),
    "misspelt field": (with_steps({"setweight": 5}), f'unknown field "{_STEPS}[0].setweight"'),
    "strategy of later": (model_deployment(rollout={"blueGreen": {}}), 'unknown field "spec.rollout.blueGreen"'),
}

ACCEPTED: dict[str, Object] = {
    "nothing but a model": model_deployment(),
    "longest name": model_deployment("a" * 50),
    "a bucket alone": with_model(storageUri="s3://models"),
    "a path in the image": with_model(storageUri="file:///models/fraud"),
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
        metrics=[{"name": name} for name in ("error-rate", "client-error-rate", "latency")]
    ),
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
