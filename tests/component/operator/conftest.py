"""A world for each test: its namespace, a kubelet that runs nothing, and an operator process of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cluster.cache import say
from tests.cluster.tools import KUBERNETES, ensure, tool
from tests.component.operator import processes
from tests.component.operator.api import Api
from tests.component.operator.kubelet import FakeKubelet
from tests.component.operator.traffic import Traffic
from tests.component.operator.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.control_plane import ControlPlane


_RELEASE = "fairlead-operator"
_PLACEHOLDER = "namespace-of-the-test"


@pytest.fixture(scope="session")
def traffic() -> Iterator[Traffic]:
    """What the pods of all tests count."""
    with Traffic() as running:
        yield running


@pytest.fixture(scope="session")
def prometheus_url(traffic: Traffic, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus for all tests that do not stop it."""
    process, url = processes.prometheus(traffic.address, tmp_path_factory.mktemp("prometheus"))
    with process:
        yield url


@pytest.fixture(scope="session")
def permissions() -> str:
    """The chart's own RBAC for an operator in namespace PLACEHOLDER: the tests run with what users will run with."""
    ensure(("helm",), say)
    chart = str(processes.ROOT / "charts" / "fairlead")
    command = [
        str(tool("helm")), "template", _RELEASE, chart, f"--namespace={_PLACEHOLDER}",
        f"--set=watchNamespaces={{{_PLACEHOLDER}}},fullnameOverride={_RELEASE}",
        f"--kube-version={KUBERNETES}", "--show-only=templates/rbac.yaml", "--show-only=templates/serviceaccount.yaml",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own chart
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def idle_world(
    plane: ControlPlane, namespace: str, traffic: Traffic, prometheus_url: str, permissions: str, tmp_path: Path
) -> Iterator[World]:
    """A world whose operator has not been started yet."""
    plane.kubectl("apply", "-f", "-", stdin=permissions.replace(_PLACEHOLDER, namespace))
    user = f"system:serviceaccount:{namespace}:{_RELEASE}"
    kubeconfig = plane.kubeconfig_for(user, ("system:serviceaccounts", f"system:serviceaccounts:{namespace}"))
    operator = processes.operator(kubeconfig, namespace, tmp_path, prometheus_url, lease_name=_RELEASE)
    api = Api(plane, namespace)
    with FakeKubelet(plane, namespace) as kubelet:
        traffic.kubelets.append(kubelet)
        try:
            yield World(plane, namespace, api, kubelet, traffic, operator, user, kubeconfig, _RELEASE, tmp_path)
        finally:
            operator.kill()
            traffic.kubelets.remove(kubelet)
            api.close()


@pytest.fixture
def world(idle_world: World) -> World:
    """A world whose operator runs."""
    idle_world.operator.start()
    return idle_world
