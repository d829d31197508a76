"""Install, upgrade and uninstall: the operator comes and goes, the models serve on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from examples.demo import environment
from tests.e2e.field import Field, serves

NAME = "steady"


@pytest.fixture(scope="module")
def serving(field: Field) -> Iterator[Field]:
    """Given a model that serves, with an autoscaler."""
    field.apply(NAME, {}, minReplicas=1, maxReplicas=2)
    field.until(NAME, serves("1"), 120)
    yield field
    field.delete(NAME)


def pods(field: Field) -> set[str]:
    return {pod["metadata"]["uid"] for pod in field.pods(NAME)}


def test_an_upgrade_restarts_no_model(serving: Field) -> None:
    before = pods(serving)

    environment.install_operator(serving.kubectl, "log.level=debug", "serving.image.pullPolicy=Never")
    environment.wait_for_operator(serving.kubectl)
    serving.kubectl.run("annotate", "modeldeployment", NAME, "e2e=looked-at-again", "--overwrite")
    serving.until(NAME, serves("1"), 60)

    assert pods(serving) == before


def test_an_uninstall_leaves_the_models_serving_and_an_install_takes_them_up_again(serving: Field) -> None:
    before = pods(serving)

    serving.kubectl.helm("uninstall", environment.RELEASE, "--wait", namespace=environment.OPERATOR_NAMESPACE)
    crds = serving.kubectl.get("crds")["items"]
    answer = serving.ask(NAME, f"/v2/models/{NAME}")

    environment.install_operator(serving.kubectl)
    environment.wait_for_operator(serving.kubectl)

    assert {"modeldeployments.fairlead.dev", "modelrollouts.fairlead.dev"} <= {crd["metadata"]["name"] for crd in crds}
    assert answer["name"] == NAME
    assert serving.status(NAME)["phase"] == "Healthy"
    assert pods(serving) == before


def test_the_autoscaler_reads_the_model_deployment(serving: Field) -> None:
    serving.kubectl.run("wait", f"hpa/{NAME}", "--for=condition=ScalingActive", "--timeout=90s")

    scaler = serving.kubectl.get("hpa", NAME)

    assert scaler["spec"]["scaleTargetRef"]["kind"] == "ModelDeployment"
    assert scaler["status"]["currentReplicas"] == 1
