"""The connection to one API server, on the asyncio half of the official client.

Typed models cost ten times the CPU and reject objects that the server accepts, so requests go through
`ApiClient` directly with dicts in and dicts out.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from fairlead.kube import errors
from fairlead.kube.kinds import Kind

Object = dict[str, Any]
Objects = list[Object]
RequestObserver = Callable[[str, int, float], None]
"""Called after each request with the verb, the HTTP status (0 without an answer) and the seconds it took."""

FIELD_MANAGER = "fairlead"
PAGE = 500
GONE_RETRIES = 3
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"

_log = logging.getLogger(__name__)


class NoCredentials(Exception):  # noqa: N818 - reads as a sentence where it is raised
    """There is no usable way to the API server; the message says what was tried."""


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """How the API server is reached, for another client in the same process. Holds secrets: never log it."""

    server: str
    ca_path: str | None
    insecure: bool
    certificate_path: str | None
    key_path: str | None
    token: str | None


class Cluster:
    """One API server. Use as `async with Cluster(...) as cluster`.

    Without `kubeconfig` the service account of the pod is used. A kubeconfig is never looked for by itself:
    an operator that guesses may act on the wrong cluster.

    Every method raises an `errors.ApiError`; `timeout` bounds each request, in seconds.
    """

    def __init__(
        self,
        kubeconfig: str | None = None,
        context: str | None = None,
        *,
        timeout: float = 10.0,
        on_request: RequestObserver | None = None,
    ) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=min(5.0, timeout))
        self._on_request = on_request or (lambda _verb, _status, _seconds: None)
        self._configuration = Configuration()
        self._api: ApiClient | None = None
        self.applied: dict[str, tuple[str, str]] = {}
        """What `apply.ensure` remembers: object uid → (hash of the manifest, what the server made of it)."""

    async def __aenter__(self) -> Self:
        try:
            if self._kubeconfig is not None and not Path(self._kubeconfig).is_file():  # noqa: ASYNC240 - one look
                msg = f"cannot use kubeconfig {self._kubeconfig}: no such file"
                raise NoCredentials(msg)
            if self._kubeconfig is None:
                load_incluster_config(self._configuration)  # type: ignore[no-untyped-call]
            else:
                await load_kube_config(  # type: ignore[no-untyped-call]
                    self._kubeconfig, self._context, client_configuration=self._configuration, persist_config=False
                )
        except (ConfigException, OSError) as exc:
            where = f"kubeconfig {self._kubeconfig}" if self._kubeconfig else "the pod's service account"
            msg = f"cannot use {where}: {exc}"
            raise NoCredentials(msg) from exc
        self._api = ApiClient(self._configuration)
        self._api.user_agent = "fairlead"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._api is not None:
            await self._api.close()  # type: ignore[no-untyped-call]
            self._api = None

    async def access(self) -> Access:
        """The address and the credentials in use now (tokens are read again when they rotate)."""
        configuration = self._configuration
        header = (await configuration.auth_settings()).get("BearerToken", {}).get("value")
        return Access(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            certificate_path=configuration.cert_file,
            key_path=configuration.key_file,
            token=header.split(" ", 1)[-1] if header else None,
        )

    async def version(self) -> Object:
        """The server's version: the cheapest question that every user may ask, so also a reachability check."""
        return await self._request("GET", "/version")

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """One object, or None where it (or its kind) does not exist."""
        try:
            return await self._request("GET", kind.item(namespace, name))
        except errors.NotFound:
            return None

    async def list(self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> Objects:
        """All objects of a kind in a namespace (None: all namespaces) that carry all the labels."""
        return await self._list(kind, namespace, labels, "application/json")

    async def list_metadata(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Objects:
        """The same objects with their metadata only: a fraction of the bytes."""
        return await self._list(kind, namespace, labels, PARTIAL_LIST)

    async def create(self, kind: Kind, obj: Object) -> Object:
        """Create an object. Raises `AlreadyExists`."""
        path = kind.collection(obj["metadata"].get("namespace"))
        return await self._request("POST", path, query=[("fieldManager", FIELD_MANAGER)], body=_typed(kind, obj))

    async def replace_status(self, kind: Kind, obj: Object) -> Object:
        """Replace the status of the very version of the object that was read. Raises `Conflict`."""
        path = _path(kind, obj) + "/status"
        return await self._request("PUT", path, query=[("fieldManager", FIELD_MANAGER)], body=_typed(kind, obj))

    async def replace(self, kind: Kind, obj: Object) -> Object:
        """Replace the very version of the object that was read. Raises `Conflict`."""
        return await self._request(
            "PUT", _path(kind, obj), query=[("fieldManager", FIELD_MANAGER)], body=_typed(kind, obj)
        )

    async def patch(self, kind: Kind, namespace: str, name: str, body: Object) -> Object:
        """JSON merge patch; with a `metadata.resourceVersion` in it, optimistic as well."""
        return await self._request(
            "PATCH",
            kind.item(namespace, name),
            query=[("fieldManager", FIELD_MANAGER)],
            body=body,
            content_type="application/merge-patch+json",
        )

    async def apply(self, kind: Kind, obj: Object, *, manager: str = FIELD_MANAGER) -> Object:
        """Server-side apply: creates the object or takes over the fields that `obj` names."""
        return await self._request(
            "PATCH",
            _path(kind, obj),
            query=[("fieldManager", manager), ("force", "true")],
            body=_typed(kind, obj),
            content_type="application/apply-patch+yaml",
        )

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str, propagation: str = "Background") -> bool:
        """Delete this very object. False where it is gone already, even if a namesake took its place."""
        options = {"propagationPolicy": propagation, "preconditions": {"uid": uid}}
        try:
            await self._request("DELETE", kind.item(namespace, name), body=options)
        except (errors.NotFound, errors.Conflict):
            return False
        return True

    async def _list(self, kind: Kind, namespace: str | None, labels: Mapping[str, str] | None, accept: str) -> Objects:
        selector = ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items()))
        for attempt in range(GONE_RETRIES):
            # A list that takes longer than etcd keeps its snapshot is begun again, at last in one piece.
            limit = PAGE if attempt < GONE_RETRIES - 1 else 0
            try:
                return await self._pages(kind, namespace, selector, accept, limit)
            except errors.ApiError as exc:
                if exc.status != HTTPStatus.GONE or not limit:
                    raise
                _log.info("the list of %s outlived its snapshot, starting over", kind.resource)
        raise AssertionError  # pragma: no cover - the last round returns or raises

    async def _pages(self, kind: Kind, namespace: str | None, selector: str, accept: str, limit: int) -> Objects:
        items: Objects = []
        token = ""
        while True:
            given = {"labelSelector": selector, "limit": str(limit) if limit else "", "continue": token}
            query = [(key, value) for key, value in given.items() if value]
            page = await self._request("GET", kind.collection(namespace), query=query, accept=accept)
            items += (_typed(kind, item) for item in page.get("items") or [])
            token = page["metadata"].get("continue", "")
            if not token:
                return items

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Object:
        if self._api is None:
            msg = "the cluster is used outside its `async with`"
            raise RuntimeError(msg)
        headers = {"Accept": accept, "Content-Type": content_type}
        status, started = 0, time.monotonic()
        try:
            _, url, headers, _, _ = await self._api.param_serialize(
                method, path, query_params=query, header_params=headers, auth_settings=["BearerToken"]
            )
            response = await self._api.call_api(method, url, headers, body, _request_timeout=self._timeout)
            data = await response.read()  # type: ignore[no-untyped-call]
            status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            message = f"{method} {path}: {str(exc) or type(exc).__name__}"
            raise errors.Unavailable(0, type(exc).__name__, message) from exc
        finally:
            self._on_request(method, status, time.monotonic() - started)
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise errors.from_response(status, response.reason or "", data, response.headers.get("Retry-After"))
        decoded: Object = json.loads(data) if data else {}
        return decoded


def _path(kind: Kind, obj: Object) -> str:
    return kind.item(obj["metadata"]["namespace"], obj["metadata"]["name"])


def _typed(kind: Kind, obj: Object) -> Object:
    """The object with its type: items of a list come without, and callers need not write it."""
    return {**obj, "apiVersion": kind.api_version, "kind": kind.kind}
