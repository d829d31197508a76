"""One control plane for the whole session, and a namespace for each test."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.component import planes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.control_plane import ControlPlane


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """A control plane with controllers and the project's CRDs, shared by all tests of the session.

    Tests that leave it much to clear away, or stop it, have one of their own: others would wait for the rest of that.
    """
    with planes.with_kinds() as running:
        yield running


@pytest.fixture
def namespace(plane: ControlPlane) -> Iterator[str]:
    """A fresh namespace; what a test leaves in it is collected without being waited for."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    plane.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
    yield name
    plane.kubectl("delete", "namespace", name, "--wait=false")
