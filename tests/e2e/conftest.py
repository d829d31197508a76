"""One cluster with operator, object storage, Prometheus and three trained models, for all tests on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.demo import environment, models
from examples.demo.kubectl import Kubectl
from tests.cluster import Cluster, ClusterError, choose, ensure, images
from tests.cluster.cache import locked
from tests.e2e.field import Field

NAMESPACE = "fairlead-e2e"


@pytest.fixture(scope="session")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    """The cluster as the README's commands make it. It is left running if it was there before."""
    try:
        choice = choose()
    except ClusterError as error:
        pytest.skip(str(error))
    was_up = _answers(choice.cluster.kubeconfig)
    programs = ensure()
    with locked(environment.LOCK):
        yield from _field(choice.cluster, programs, tmp_path_factory.mktemp("models"), was_up=was_up)


def _field(cluster: Cluster, programs: Path, folder: Path, *, was_up: bool) -> Iterator[Field]:
    cluster.up()
    images.load_all(cluster)
    kubectl = Kubectl(cluster.kubeconfig(), programs, NAMESPACE)
    environment.fresh_namespace(kubectl)
    credentials = environment.start_services(kubectl)
    environment.install_operator(kubectl)
    trained = models.train_all(folder)
    kubectl.rollout_status("s3", "prometheus")
    for model in trained:
        environment.upload(kubectl, credentials, model.folder, f"{environment.MODEL}/{model.version}")
    environment.wait_for_operator(kubectl)
    yield Field(kubectl, credentials, folder)
    if was_up:
        kubectl.run("delete", "namespace", NAMESPACE, "--timeout=120s", limit=150)
    else:
        cluster.down()


def _answers(kubeconfig: object) -> bool:
    try:
        path = kubeconfig()  # type: ignore[operator]
    except ClusterError:
        return False
    return isinstance(path, Path) and path.exists()
