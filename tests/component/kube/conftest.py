"""Connections to the session's API server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fairlead.kube.client import Cluster, Object
from fairlead.kube.kinds import Kind
from tests.cluster.control_plane import ControlPlane
from tests.component.patience import PATIENCE

CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap")


@pytest.fixture
async def cluster(plane: ControlPlane) -> AsyncIterator[Cluster]:
    """The administrator's connection."""
    async with Cluster(str(plane.kubeconfig), timeout=PATIENCE) as cluster:
        yield cluster


@pytest.fixture
async def owner(cluster: Cluster, namespace: str) -> Object:
    """A reference to an object that exists; else the garbage collector takes what it owns."""
    return await reference(cluster, namespace, "owner")


async def reference(cluster: Cluster, namespace: str, name: str) -> Object:
    """Make an object that can own others."""
    made = await cluster.create(CONFIG_MAP, {"metadata": {"name": name, "namespace": namespace}})
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": made["metadata"]["uid"], "controller": True}
