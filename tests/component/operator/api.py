"""A plain client of the API server for tests, so that the operator's own is not used to judge the operator."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import requests

from tests.component.patience import PATIENCE

if TYPE_CHECKING:
    from tests.cluster.control_plane import ControlPlane

Object = dict[str, Any]

_GROUPS = {
    "modeldeployments": "apis/fairlead.dev/v1alpha1",
    "modelrollouts": "apis/fairlead.dev/v1alpha1",
    "deployments": "apis/apps/v1",
    "replicasets": "apis/apps/v1",
    "controllerrevisions": "apis/apps/v1",
    "horizontalpodautoscalers": "apis/autoscaling/v2",
    "poddisruptionbudgets": "apis/policy/v1",
    "leases": "apis/coordination.k8s.io/v1",
    "events": "apis/events.k8s.io/v1",
    "pods": "api/v1",
    "services": "api/v1",
}


class Api:
    """The administrator's view of one namespace. Not shared between threads."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        pair = plane.pki.authority.issue("tests", "tests", ("system:masters",))
        self.namespace = namespace
        self._url = plane.url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.cert = (str(pair.certificate), str(pair.key))
        self._session.verify = str(plane.pki.authority.certificate)

    def close(self) -> None:
        """Give the connections back."""
        self._session.close()

    def get(self, resource: str, name: str) -> Object | None:
        """One object, None where it does not exist."""
        return self._request("GET", self._path(resource, name), absent=True)

    def list(self, resource: str, selector: str = "") -> list[Object]:
        """All objects of a resource in the namespace."""
        found = self._request("GET", self._path(resource), params={"labelSelector": selector})
        return list((found or {})["items"])

    def create(self, resource: str, body: Object) -> Object:
        """A new object."""
        return self._request("POST", self._path(resource), json=body) or {}

    def patch(self, resource: str, name: str, body: Object, subresource: str = "") -> Object | None:
        """A JSON merge patch; None where the object is gone."""
        path = self._path(resource, name) + (f"/{subresource}" if subresource else "")
        headers = {"Content-Type": "application/merge-patch+json"}
        return self._request("PATCH", path, json=body, headers=headers, absent=True)

    def delete(self, resource: str, name: str) -> None:
        """Delete an object, whether or not it exists; what it owns goes after it."""
        self._request("DELETE", self._path(resource, name), absent=True)

    def _path(self, resource: str, name: str = "") -> str:
        path = f"{self._url}/{_GROUPS[resource]}/namespaces/{self.namespace}/{resource}"
        return f"{path}/{name}" if name else path

    def _request(self, method: str, url: str, *, absent: bool = False, **options: Any) -> Object | None:
        answer = self._session.request(method, url, timeout=PATIENCE, **options)
        if absent and answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            # A server that is on its way out, or has too much to do, says so; to whoever asks it is as good as gone.
            raise requests.ConnectionError(answer.text)
        if not answer.ok:
            message = f"{method} {url}: {answer.status_code} {answer.text}"
            raise RuntimeError(message)
        body: Object = answer.json()
        return body
