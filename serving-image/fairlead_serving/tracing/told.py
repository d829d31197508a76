"""Requests in the words of OpenTelemetry's semantic conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fairlead_serving.grpc.status import code_of
from fairlead_serving.tracing.trace import Told

if TYPE_CHECKING:
    from fairlead_serving.errors import RequestError
    from fairlead_serving.tracing.trace import Attributes

_INFER: Final = "inference.GRPCInferenceService/ModelInfer"
_SERVER_ERROR: Final = 500
_NAMES: Final = {
    0: "OK",
    3: "INVALID_ARGUMENT",
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    8: "RESOURCE_EXHAUSTED",
    12: "UNIMPLEMENTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
}
# Those that are a server's failure, as the conventions have it.
_FAILURES: Final = frozenset((4, 12, 13, 14))


def http(path: str, scheme: str, peer: str, error: RequestError | None, *, gone: bool) -> Told:
    """Tell of an inference request over HTTP; `gone` is whether its client went before it had an answer."""
    route = _route(path)
    attributes: Attributes = {
        "http.request.method": "POST",
        "http.route": route,
        "url.path": path,
        "url.scheme": scheme,
        "network.protocol.version": "1.1",
        "client.address": peer,
    }
    if gone:
        return Told(f"POST {route}", attributes)
    status = error.status if error else 200
    attributes["http.response.status_code"] = status
    if error and status >= _SERVER_ERROR:
        attributes["error.type"] = str(status)
        return Told(f"POST {route}", attributes, failed=True)
    return Told(f"POST {route}", attributes)


def grpc(peer: str, error: RequestError | None, *, gone: bool) -> Told:
    """Tell of a ModelInfer; `gone` is whether its client went, or its time was over, before it had an answer."""
    attributes: Attributes = {
        "rpc.system.name": "grpc",
        "rpc.method": _INFER,
        "client.address": peer,
    }
    if gone:
        return Told(_INFER, attributes)
    code = code_of(error.status) if error else 0
    attributes["rpc.response.status_code"] = _NAMES[code]
    if error and code in _FAILURES:
        attributes["error.type"] = _NAMES[code]
        return Told(_INFER, attributes, failed=True)
    return Told(_INFER, attributes)


def _route(path: str) -> str:
    """Return the path as a template, so that spans have few names."""
    if path.startswith("/v1/"):
        return "/v1/models/{model}:predict"
    return "/v2/models/{model}/versions/{version}/infer" if "/versions/" in path else "/v2/models/{model}/infer"
