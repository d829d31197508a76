"""Paths to answers. The one model's paths are matched as exact bytes; everything else takes the slow way to a 404."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

import httptools

from fairlead_serving.errors import RequestError, readable
from fairlead_serving.http.inference import HttpCall, V1Call
from fairlead_serving.http.messages import Response, error_response, json_response
from fairlead_serving.metrics.exposition import Exposition

if TYPE_CHECKING:
    from collections.abc import Callable

    from fairlead_serving.dataplane import Dataplane
    from fairlead_serving.feedback import Feedback
    from fairlead_serving.http.messages import Head, Request
    from fairlead_serving.metrics.counters import Metrics

    Handler = Callable[[Request], Response]

_GET: Final = (b"GET", b"HEAD")
_SHORTEST: Final = len(["v2", "models", "m"])


class Router:
    """Answers everything but inference itself, and tells what is inference."""

    def __init__(self, dataplane: Dataplane, metrics: Metrics, feedback: Feedback) -> None:
        """Lay out the paths of the one model."""
        self._dataplane = dataplane
        self._feedback = feedback
        self._exposition = Exposition(metrics)
        name, version, _ = dataplane.identity
        plain = f"/v2/models/{quote(name, safe='')}"
        versioned = f"{plain}/versions/{quote(version, safe='')}"
        self._get: dict[bytes, Handler] = {
            # By this KServe's client asks whether a server of V1 is alive.
            b"/": self._alive,
            b"/v2": self._server,
            # The protocol's text has it without the slash, its OpenAPI document with it.
            b"/v2/": self._server,
            b"/v2/health/live": self._live,
            b"/v2/health/ready": self._ready,
            b"/metrics": self._scrape,
            b"/fairlead/v1/status": self._status,
        }
        for base in (plain, versioned):
            self._get[base.encode()] = self._model
            self._get[f"{base}/ready".encode()] = self._model_ready
        self._post: dict[bytes, Handler] = {f"{base}/feedback".encode(): self._judge for base in (plain, versioned)}
        old = plain.replace("/v2", "/v1", 1)
        self._get[old.encode()] = self._model_ready
        self._calls: dict[bytes, type[HttpCall]] = {f"{base}/infer".encode(): HttpCall for base in (plain, versioned)}
        # As it is written, and as _normal writes it.
        self._calls |= {f"{old}{colon}predict".encode(): V1Call for colon in (":", "%3A")}

    def route(self, head: Head) -> None:
        """Note whether this is an inference request for our model; a path in an unusual spelling is put right."""
        if head.target not in self._calls and head.target not in self._get:
            head.target = _normal(head.target)
        if head.method == b"POST":
            head.call = self._calls.get(head.target)
        head.routed = True

    def was_meant_as_inference(self, head: Head) -> bool:
        """Whether a request that cannot be served was to be inference, perhaps of another model or version."""
        return (
            head.method == b"POST"
            and head.target.startswith((b"/v2/models/", b"/v1/models/"))
            and head.target.endswith((b"/infer", b":predict", b"%3Apredict"))
        )

    def answer(self, request: Request) -> Response:
        """Answer what is not inference."""
        head = request.head
        handler = self._get.get(head.target)
        if handler is None:
            handler = self._post.get(head.target)
            if head.target in self._calls or (handler is not None and head.method != b"POST"):
                return error_response(405, "use POST here", ("Allow", "POST"))
            if handler is None:
                return error_response(404, self._unknown(head.target))
        elif head.method not in _GET:
            return error_response(405, "use GET here", ("Allow", "GET, HEAD"))
        try:
            return handler(request)
        except RequestError as error:
            return error_response(error.status, str(error))

    def _server(self, _: Request) -> Response:
        return json_response(200, self._dataplane.server_metadata())

    def _alive(self, _: Request) -> Response:
        return json_response(200, {"status": "alive"})

    def _live(self, _: Request) -> Response:
        return json_response(200, {"live": True})

    def _ready(self, _: Request) -> Response:
        return self._readiness({})

    def _model_ready(self, _: Request) -> Response:
        return self._readiness({"name": self._dataplane.identity.model})

    def _readiness(self, about: dict[str, object]) -> Response:
        if self._dataplane.ready:
            return json_response(200, {**about, "ready": True})
        return json_response(503, {**about, "ready": False, "error": self._dataplane.message})

    def _model(self, _: Request) -> Response:
        return json_response(200, self._dataplane.model_metadata())

    def _status(self, _: Request) -> Response:
        return json_response(200, self._dataplane.status())

    def _judge(self, request: Request) -> Response:
        return json_response(200, self._feedback.receive(request.body))

    def _scrape(self, request: Request) -> Response:
        body, content_type = self._exposition.text(request.head.accept)
        return Response(200, body, content_type)

    def _unknown(self, target: bytes) -> str:
        """Say what exactly is not here: the model, its version or the path."""
        path = target.decode("latin-1")
        parts = [unquote(part) for part in path.strip("/").split("/")]
        name, version, _ = self._dataplane.identity
        if parts[:2] in (["v2", "models"], ["v1", "models"]) and len(parts) >= _SHORTEST:
            model = parts[2].removesuffix(":predict")
            if model != name:
                return f"unknown model {readable(model)}: this server has {name}"
            if parts[3:4] == ["versions"] and len(parts) > _SHORTEST + 1 and parts[4] != version:
                return f"unknown version {readable(parts[4])} of model {name}: this server has {version}"
        return f"nothing is at {readable(path)}"


def _normal(target: bytes) -> bytes:
    """Reduce a request target to the spelling that the tables use: no host, no query, minimal escapes."""
    try:
        path = httptools.parse_url(target).path or b"/"
    except httptools.HttpParserInvalidURLError:
        return target
    parts = path.decode("latin-1").split("/")
    return "/".join(quote(unquote(part), safe="") for part in parts).encode()
