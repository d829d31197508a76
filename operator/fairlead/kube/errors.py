"""What can go wrong between the operator and the API server.

ApiError                 any answer that is not a success
├── Conflict             409: the object changed since it was read
│   └── AlreadyExists    409: the name is taken
├── NotFound             404: no such object, or no such kind (CRD not installed)
├── Forbidden            403: RBAC, a quota or an admission policy says no
├── Invalid              422 or 400, or 500 for a wrong type: the object is wrong; `message` is for people
└── Unavailable          429, 5xx, timeouts and lost connections: worth another try
NotOurs                  an object that is not ours has a name that we need
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

# A server-side apply of a wrongly typed field is answered with 500 and no reason, yet it can never succeed.
_MISTYPED = re.compile(
    r"^failed to (?:create typed patch object|convert new object) \((?P<name>.*?); .*?Kind=(?P<kind>\w+)\)"
    r"(?: to proper version)?: (?:unable to convert unstructured object to .*?: )?(?P<why>.*)$",
    re.DOTALL,
)
_PREFIX = re.compile(r'^(?:Invalid value|Required value|Forbidden|Unsupported value): (?:"(?:object|array)": )?')


@dataclass(frozen=True, slots=True)
class Cause:
    """One field that the API server complains about."""

    field: str
    message: str


class ApiError(Exception):
    """The API server refused a request, or could not be asked. `status` is 0 without an answer."""

    def __init__(self, status: int, reason: str, message: str, causes: tuple[Cause, ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.causes = causes


class Conflict(ApiError):
    """The object changed since it was read."""


class AlreadyExists(Conflict):
    """An object of that name exists already."""


class NotFound(ApiError):
    """There is no such object, or the API server does not know its kind."""


class Forbidden(ApiError):
    """The operator may not do this: RBAC, a quota, a namespace that is going, an admission policy."""


class Invalid(ApiError):
    """The object itself is wrong, so the same request can never succeed."""


class Unavailable(ApiError):
    """The API server is overloaded, restarting or out of reach: the same request may succeed later."""

    def __init__(
        self, status: int, reason: str, message: str, causes: tuple[Cause, ...] = (), retry_after: float | None = None
    ) -> None:
        super().__init__(status, reason, message, causes)
        self.retry_after = retry_after
        """Seconds that the server asked to wait."""


class NotOurs(Exception):
    """An object that something else made has a name that we need. It is left alone."""

    def __init__(self, kind: str, namespace: str, name: str) -> None:
        super().__init__(f"{kind} {namespace}/{name} exists and was not made for this ModelDeployment")
        self.kind = kind
        self.namespace = namespace
        self.name = name


def from_response(status: int, http_reason: str, body: bytes, retry_after: str | None = None) -> ApiError:
    """The error that an unsuccessful answer stands for. `body` is a `Status` object or plain text."""
    document = _status_object(body)
    reason = str(document.get("reason") or http_reason or "")
    message = str(document.get("message") or body[:500].decode("utf-8", "replace").strip() or reason)
    details = document.get("details") or {}
    causes = tuple(Cause(str(c.get("field") or ""), str(c.get("message") or "")) for c in details.get("causes") or [])
    if status == HTTPStatus.CONFLICT:
        return (AlreadyExists if reason == "AlreadyExists" else Conflict)(status, reason, message, causes)
    if status == HTTPStatus.NOT_FOUND:
        return NotFound(status, reason, message, causes)
    if status == HTTPStatus.FORBIDDEN:
        return Forbidden(status, reason, message, causes)
    if status in {HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.BAD_REQUEST}:
        return Invalid(status, reason, _readable(details, message, causes), causes)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR and (mistyped := _MISTYPED.match(message)):
        told = f'{mistyped["kind"]} "{mistyped["name"]}" was refused: {mistyped["why"]}'
        return Invalid(status, "Invalid", told, causes)
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unavailable(status, reason, message, causes, _seconds(retry_after))
    return ApiError(status, reason, message, causes)


def _status_object(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) and document.get("kind") == "Status" else {}


def _readable(details: Mapping[str, Any], message: str, causes: tuple[Cause, ...]) -> str:
    """'Deployment "fraud-1a2b" was refused: spec.replicas: must be at least 0'."""
    if not causes:
        return message
    told = dict.fromkeys(
        f"{c.field}: {plain}" if c.field and c.field != "<nil>" else plain
        for c in causes
        if (plain := _PREFIX.sub("", c.message))
    )
    return f'{details.get("kind", "object")} "{details.get("name", "")}" was refused: ' + "; ".join(told)


def _seconds(value: str | None) -> float | None:
    try:
        return float(value) if value is not None else None
    except ValueError:
        return None
