"""HTTP without a client library: one request, one response, byte for byte as the check wants it."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.conformance.registry import expect, fail
from tests.conformance.samples import FLOWERS, SPECIES
from tests.conformance.target import Place, Target

SECONDS: Final = 20.0
JSON: Final = "application/json"
_FAULTS: Final = range(400, 500)


@dataclass(frozen=True)
class Response:
    """One HTTP response; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body. Raises ValueError where it is no JSON."""
        return json.loads(self.body)


def request(place: Place, method: str, path: str, body: bytes | None = None, **headers: str) -> Response:
    """Make one request on a connection of its own; an underscore in a header's name stands for a hyphen."""
    connection = http.client.HTTPConnection(place.http, timeout=SECONDS)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        return received(connection.getresponse())
    finally:
        connection.close()


def exchange(place: Place, data: bytes, answers: int = 1) -> list[Response]:
    """Send bytes as they are on one connection and read so many responses."""
    host, _, port = place.http.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
        connection.sendall(data)
        return [_response(connection) for _ in range(answers)]


def received(response: http.client.HTTPResponse) -> Response:
    """Read a response to its end."""
    body = response.read()
    return Response(response.status, {name.lower(): value for name, value in response.getheaders()}, body)


def _response(connection: socket.socket) -> Response:
    # Unbuffered, so that the next response of the connection stays in the socket.
    response = http.client.HTTPResponse(_Unbuffered(connection))  # type: ignore[arg-type]  # makefile is all it needs
    response.begin()
    return received(response)


class _Unbuffered:
    """A socket whose file reads no further than it is asked to."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def makefile(self, mode: str) -> Any:
        return self._connection.makefile(mode, buffering=0)  # type: ignore[call-overload]  # the mode is "rb"


def infer_path(place: Place, version: str = "") -> str:
    """Return where inference is."""
    return f"/v2/models/{place.model}{f'/versions/{version}' if version else ''}/infer"


def ask(target: Target, message: Any, **headers: str) -> Response:
    """Post a message, or bytes, to the table model."""
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return request(target.table, "POST", infer_path(target.table), body, **{"Content_Type": JSON, **headers})


def flowers(target: Target, **more: Any) -> dict[str, Any]:
    """Return a request about three flowers for the table model, one output wanted."""
    tensor = {"name": target.input, "shape": [3, 4], "datatype": "FP32", "data": FLOWERS.ravel().tolist()}
    return {"inputs": [tensor], "outputs": [{"name": target.outputs[0]}], **more}


def answered(target: Target, response: Response) -> dict[str, Any]:
    """Return the message that answers `flowers`. Raises Failed where it does not."""
    if response.status != http.HTTPStatus.OK:
        fail(f"expected an answer, got {response.status}: {response.body[:200]!r}")
    if not response.headers.get("content-type", "").startswith(JSON):
        fail(f"expected application/json, got {response.headers.get('content-type')}")
    message: dict[str, Any] = response.json
    expect("model_name", message["model_name"], target.table.model)
    outputs = {output["name"]: output for output in message["outputs"]}
    if target.outputs[0] not in outputs:
        fail(f"{target.outputs[0]} is missing among {list(outputs)}")
    expect("data", outputs[target.outputs[0]]["data"], SPECIES)
    return message


def refused(response: Response, *others: int) -> None:
    """Raise Failed unless the response is a 4xx, or one of some others, with the protocol's error object."""
    if response.status not in (*_FAULTS, *others):
        fail(f"expected a 4xx, got {response.status}: {response.body[:200]!r}")
    try:
        error = response.json["error"]
    except (ValueError, KeyError, TypeError):
        fail(f"{response.status} without the error object: {response.body[:200]!r}")
    if not isinstance(error, str) or not error:
        fail(f"the error is no text: {error!r}")
