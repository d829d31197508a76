"""HTTP: the whole way from bytes to bytes, and what must hold of the answers."""

from __future__ import annotations

import json
import math
import re
from random import Random
from typing import Any, Final, NamedTuple

import numpy as np

from fairlead_serving.tensors import NUMPY_TYPES
from tests.fuzz.heads import Forgetful, cut
from tests.fuzz.world import World

INFER: Final = "/v2/models/m/infer"
PREDICT: Final = "/v1/models/m:predict"
FEEDBACK: Final = "/v2/models/m/feedback"
_HEAD: Final = re.compile(rb"HTTP/1\.1 (\d{3}) [A-Za-z -]+\r\n((?:[A-Za-z-]+: [ -~]*\r\n)*)\r\n")
_CONTINUE: Final = 100
_SIZES: Final = 16


class Answer(NamedTuple):
    """One response as it stands in the bytes; `body` is None where it answers HEAD."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes | None


def answers(data: bytes) -> list[Answer]:
    """Read responses, which must be well-formed and nobody's fault but the client's."""
    found: list[Answer] = []
    while data:
        assert not (found and found[-1].headers.get(b"connection") == b"close"), "something is behind the last answer"
        match = _HEAD.match(data)
        assert match, f"this is no head of a response: {data[:200]!r}"
        status = int(match[1])
        data = data[match.end() :]
        headers = {
            name.lower(): value for name, _, value in (line.partition(b": ") for line in match[2].split(b"\r\n")[:-1])
        }
        if status == _CONTINUE:
            assert not headers
            continue
        assert status < 500, f"{status} for what a client did: {data[:300]!r}"
        size = int(headers[b"content-length"])
        if size and (not data or data.startswith(b"HTTP/1.1 ")):
            found.append(Answer(status, headers, None))
            continue
        assert len(data) >= size, "the answer is shorter than it says"
        found.append(Answer(status, headers, data[:size]))
        data = data[size:]
        _check(found[-1])
    return found


def _check(answer: Answer) -> None:
    plain = answer.body is not None and b"content-encoding" not in answer.headers
    if answer.status >= 400 and plain:
        error = json.loads(answer.body or b"")
        assert list(error) == ["error"]
        assert error["error"]


def http(world: World, data: bytes) -> None:
    """Take bytes as a connection's; the first says in pieces of up to which size they come.

    That must make no difference, nor must it whether their heads are known.
    """
    size, data = data[:1], data[1:]
    whole = answers(world.talk(world.http, [data]))
    if not size or not size[0] or b" /metrics" in data:
        return
    chance = Random(size[0])  # noqa: S311  the same pieces each time
    ways = [[data], cut(data, [chance.randint(1, size[0]) for _ in range(_SIZES)])]
    known, world.http.heads = world.http.heads, Forgetful()
    others = [answers(world.talk(world.http, way)) for way in ways]
    world.http.heads = known
    others += [answers(world.talk(world.http, way)) for way in ways]
    for each in (whole, *others):
        # Where two things are wrong with the last request, which of them is told hangs on the moment.
        if each and each[-1].status >= 400 and each[-1].headers.get(b"connection") == b"close":
            each[-1] = Answer(400, {}, None)
    for other in others:
        assert _plain(whole) == _plain(other), "it makes a difference how the bytes come in, or when"


def _plain(found: list[Answer]) -> list[Answer]:
    return [
        Answer(status, {name: value for name, value in headers.items() if name != b"date"}, body)
        for status, headers, body in found
    ]


def post(world: World, path: str, body: bytes, **headers: str) -> Answer:
    """Make one request and return its one answer."""
    (answer,) = ask(world, path, body, 1, **headers)
    return answer


def ask(world: World, path: str, body: bytes, times: int, **headers: str) -> list[Answer]:
    """Make the same request from several connections at once, and return what they are answered."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
    wires = [world.connect(world.http) for _ in range(times)]
    for wire in wires:
        wire.protocol.data_received(head.encode() + body)
    world.settle()
    for wire in wires:
        world.leave(wire)
    return [answer for wire in wires for answer in answers(bytes(wire.written))]


def v2(world: World, data: bytes) -> None:
    """Take bytes as a body for inference; the first two bytes say where the JSON ends, if anything is behind it."""
    size, body = int.from_bytes(data[:2], "big"), data[2:]
    headers = {"Inference_Header_Content_Length": str(size - 1)} if size else {}
    answer = post(world, INFER, body, **headers)
    if answer.status == 200:
        if not size:
            _check_echo(json.loads(body), answer)
        # Now its form is known, and there is a shorter way; so is there for two that come at once.
        assert _plain([post(world, INFER, body, **headers)]) == _plain([answer])
        assert _plain(ask(world, INFER, body, 2, **headers)) == _plain([answer, answer])


def v1(world: World, data: bytes) -> None:
    """Take bytes as a body for the older protocol."""
    answer = post(world, PREDICT, data)
    if answer.status == 200:
        assert isinstance(json.loads(data)["instances"], list)
        assert isinstance(json.loads(answer.body or b"")["predictions"], list | float | int | str)


def feedback(world: World, data: bytes) -> None:
    """Take bytes as a body of feedback, on a prediction that is remembered."""
    request = b'{"id":"1","inputs":[{"name":"x","shape":[2],"datatype":"INT64","data":[1,2]}]}'
    assert post(world, INFER, request).status == 200
    answer = post(world, FEEDBACK, data)
    assert answer.status in (200, 400, 404)


def compression(world: World, data: bytes) -> None:
    """Take bytes as a compressed body; the first byte says how, and how the answer is wanted."""
    how = data[0] if data else 0
    encoding = ("gzip", "deflate", "x-gzip", "br", "gzip, deflate", "identity")[how % 6]
    wanted = ("gzip", "deflate;q=0.5", "*", "gzip;q=x,deflate;q=nan", "")[how // 6 % 5]
    answer = post(world, INFER, data[1:], Content_Encoding=encoding, Accept_Encoding=wanted)
    assert answer.status in (200, 400, 413, 415)


def _check_echo(request: Any, answer: Answer) -> None:
    """Hold an answer against the request as the standard library reads it."""
    said = json.loads(answer.body) if b"inference-header-content-length" not in answer.headers and answer.body else None
    tensor = request["inputs"][0]
    if said is None or request.get("outputs"):
        return
    assert said.get("id") == request.get("id")
    first = said["outputs"][0]
    assert (first["name"], first["datatype"], first["shape"]) == ("first", tensor["datatype"], tensor["shape"])
    assert len(first["data"]) == math.prod(tensor["shape"])
    values = list(_flat(tensor["data"]))
    if tensor["datatype"] != "BYTES":
        dtype = NUMPY_TYPES[tensor["datatype"]]
        assert np.array_equal(np.array(first["data"], dtype), np.array(values, dtype))
    else:
        assert first["data"] == values


def _flat(values: Any) -> Any:
    for value in values:
        if isinstance(value, list):
            yield from _flat(value)
        else:
            yield value
