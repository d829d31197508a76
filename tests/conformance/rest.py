"""The protocol over HTTP, request by request: what must be answered and what must be refused, and how."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from tests.conformance.plain import JSON, answered, ask, exchange, flowers, infer_path, refused, request
from tests.conformance.registry import check, expect, fail, version_of
from tests.conformance.samples import FLOWERS
from tests.conformance.target import Target

_GROUP: Final = "REST"
_DEEP: Final = 100_000
_HUGE: Final = "a size that no memory holds"


def _changed(target: Target, **fields: Any) -> dict[str, Any]:
    """Return the usual request with other fields in its tensor; None leaves one out."""
    message = flowers(target)
    tensor = {**message["inputs"][0], **fields}
    message["inputs"] = [{name: value for name, value in tensor.items() if value is not None}]
    return message


Make = Callable[[Target], Any]

# Requests in which nothing is wrong.
_LEGAL: Final[dict[str, Make]] = {
    "flat data": flowers,
    "nested data": lambda target: _changed(target, data=FLOWERS.tolist()),
    "integers where floats are meant": lambda target: _changed(target, data=[5, 3, 1, 0, 6, 3, 4, 1, 7, 3, 6, 2]),
    "empty parameters": lambda target: {**_changed(target, parameters={}), "parameters": {}},
    "parameters of each type": lambda target: flowers(target, parameters={"a": "b", "c": 1, "d": 1.5, "e": True}),
    "fields in another order": lambda target: {
        "outputs": flowers(target)["outputs"],
        "inputs": [dict(reversed(flowers(target)["inputs"][0].items()))],
    },
    "white space between all": lambda target: json.dumps(flowers(target), indent=4).replace(",", " \r\n\t, ").encode(),
    "escapes in names": lambda target: (
        json.dumps(flowers(target))
        .replace(f'"{target.input}"', '"' + "".join(f"\\u{ord(letter):04x}" for letter in target.input) + '"')
        .encode()
    ),
}
# Requests with one mistake each.
_MISTAKES: Final[dict[str, Make]] = {
    "an empty body": lambda _: b"",
    "half a body": lambda target: json.dumps(flowers(target)).encode()[:-20],
    "no JSON": lambda _: b"setosa, please",
    "bytes that are not UTF-8": lambda _: b'{"inputs": "\xff\xfe"}',
    "a list": lambda _: [],
    "a number": lambda _: 42,
    "100,000 brackets": lambda _: b"[" * _DEEP,
    "no inputs": lambda _: {},
    "inputs that are no list": lambda _: {"inputs": {"name": "x"}},
    "an input that is no object": lambda _: {"inputs": [1]},
    "an input without a name": lambda target: _changed(target, name=None),
    "an input without a shape": lambda target: _changed(target, shape=None),
    "an input without a datatype": lambda target: _changed(target, datatype=None),
    "an input without data": lambda target: _changed(target, data=None),
    "a name that is no text": lambda target: _changed(target, name=7),
    "a shape with a text": lambda target: _changed(target, shape=["three", 4]),
    "a shape with a fraction": lambda target: _changed(target, shape=[1.5, 4]),
    "a negative size": lambda target: _changed(target, shape=[-3, 4]),
    _HUGE: lambda target: _changed(target, shape=[2**62, 4]),
    "a datatype that is none": lambda target: _changed(target, datatype="FP31"),
    "too few values": lambda target: _changed(target, data=[1.0]),
    "too many values": lambda target: _changed(target, data=[1.0] * 13),
    "uneven rows": lambda target: _changed(target, data=[[1, 2, 3, 4], [1, 2, 3], [1, 2, 3, 4]]),
    "data that is no list": lambda target: _changed(target, data="5.1"),
    "texts among numbers": lambda target: _changed(target, data=["a"] * 12),
    "null among numbers": lambda target: _changed(target, data=[None] * 12),
    "NaN, which JSON does not have": lambda target: _changed(target, data=[float("nan")] * 12),
    "outputs that are no list": lambda target: flowers(target, outputs="label"),
    "an output without a name": lambda target: flowers(target, outputs=[{}]),
    "an output that is not there": lambda target: flowers(target, outputs=[{"name": "another"}]),
    "too many columns": lambda target: _changed(target, shape=[2, 6]),
    "too few columns": lambda target: _changed(target, shape=[4, 3]),
}


def _enter() -> None:
    for name, make in _LEGAL.items():
        check(_GROUP, f"answered: {name}")(_legal(make))
    for name, make in _MISTAKES.items():
        check(_GROUP, f"refused: {name}", last=name == _HUGE)(_mistaken(make))


def _legal(make: Make) -> Callable[[Target], None]:
    def run(target: Target) -> None:
        answered(target, ask(target, make(target)))

    return run


def _mistaken(make: Make) -> Callable[[Target], None]:
    def run(target: Target) -> None:
        refused(ask(target, make(target)))
        answered(target, ask(target, flowers(target)))

    return run


_enter()


@check(_GROUP, "refused: values out of a type's range")
def out_of_range(target: Target) -> None:
    for datatype, value in {"UINT8": 256, "INT8": -129, "UINT64": -1, "INT64": 2**63, "FP32": 1e39}.items():
        tensor = {"name": f"in_{datatype}", "shape": [1, 1], "datatype": datatype, "data": [value]}
        message = {"inputs": [tensor], "outputs": [{"name": f"out_{datatype}"}]}
        body = json.dumps(message).encode()
        refused(request(target.echo, "POST", infer_path(target.echo), body, Content_Type=JSON))


@check(_GROUP, "the id comes back")
def ids(target: Target) -> None:
    expect("id", answered(target, ask(target, flowers(target, id="grün-42")))["id"], "grün-42")


@check(_GROUP, "answered: a request without a Content-Type, which is what tritonclient sends")
def untyped(target: Target) -> None:
    body = json.dumps(flowers(target)).encode()
    answered(target, request(target.table, "POST", infer_path(target.table), body))


@check(_GROUP, "an answer names model and version")
def identity(target: Target) -> None:
    path = infer_path(target.table, version_of(target))
    body = json.dumps(flowers(target)).encode()
    message = answered(target, request(target.table, "POST", path, body, Content_Type=JSON))
    expect("model_version", message["model_version"], target.table.version)


@check(_GROUP, "server metadata with and without a slash at the end")
def metadata(target: Target) -> None:
    for path in ("/v2", "/v2/"):
        response = request(target.table, "GET", path)
        expect(f"status of {path}", response.status, 200)
        if {"name", "version", "extensions"} - response.json.keys():
            fail(f"{path} lacks fields: {response.body!r}")


@check(_GROUP, "refused: another model, version and path, with the error object")
def elsewhere(target: Target) -> None:
    body = json.dumps(flowers(target)).encode()
    version = f"/v2/models/{target.table.model}/versions/999"
    for path in ("/v2/models/another", "/v2/nowhere", *([version] if target.table.version else [])):
        refused(request(target.table, "GET", path))
        if "models" in path:
            refused(request(target.table, "POST", f"{path}/infer", body, Content_Type=JSON))


@check(_GROUP, "refused: GET on infer")
def wrong_method(target: Target) -> None:
    refused(request(target.table, "GET", infer_path(target.table)))


@check(_GROUP, "a name with escapes in the path is the same model")
def escapes(target: Target) -> None:
    name = "".join(f"%{ord(letter):02X}" for letter in target.table.model)
    expect("status", request(target.table, "GET", f"/v2/models/{name}/ready").status, 200)
    refused(request(target.table, "GET", f"/v2/models/{quote('ü/ä', safe='')}"))


@check(_GROUP, "refused: gzip that is none, and half of it")
def broken_gzip(target: Target) -> None:
    whole = gzip.compress(json.dumps(flowers(target)).encode())
    for body in (b"no gzip", whole[:-10]):
        refused(ask(target, body, Content_Encoding="gzip"))
    answered(target, ask(target, whole, Content_Encoding="gzip"))


@check(_GROUP, "refused: an unknown Content-Encoding")
def unknown_encoding(target: Target) -> None:
    refused(ask(target, b"\x0b\x02\x80{}\x03", Content_Encoding="zebra"), 501)


@check(_GROUP, "refused: binary tensors whose sizes do not fit")
def binary_sizes(target: Target) -> None:
    data = FLOWERS.tobytes()
    sizes = {"one value less": len(data) - 4, "more than is there": len(data) + 4, "negative": -1}
    for size in sizes.values():
        text = json.dumps(_changed(target, data=None, parameters={"binary_data_size": size})).encode()
        header = {"Inference_Header_Content_Length": str(len(text))}
        refused(ask(target, text + data, Content_Type="application/octet-stream", **header))
    text = json.dumps(_changed(target, data=None, parameters={"binary_data_size": len(data)})).encode()
    for length in ("many", "-1", str(len(text + data) + 1), "1"):
        refused(ask(target, text + data, Inference_Header_Content_Length=length))


@check(_GROUP, "requests in a row on one connection, sent at once")
def pipelined(target: Target) -> None:
    body = json.dumps(flowers(target)).encode()
    head = _head(target, f"content-length: {len(body)}")
    for response in exchange(target.table, (head + body) * 3, 3):
        answered(target, response)


@check(_GROUP, "a chunked body")
def chunked(target: Target) -> None:
    body = json.dumps(flowers(target)).encode()
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(body[at : at + 50]), body[at : at + 50]) for at in range(0, len(body), 50))
    head = _head(target, "Transfer-Encoding: chunked")
    answered(target, exchange(target.table, head + pieces + b"0\r\n\r\n")[0])


@check(_GROUP, "Expect: 100-continue")
def expectation(target: Target) -> None:
    body = json.dumps(flowers(target)).encode()
    head = _head(target, f"Content-Length: {len(body)}", "Expect: 100-continue")
    answered(target, exchange(target.table, head + body)[0])


@check(_GROUP, "HTTP/1.0, and Connection: close")
def old(target: Target) -> None:
    body = json.dumps(flowers(target)).encode()
    for version, *more in (("1.0",), ("1.1", "Connection: close")):
        head = _head(target, f"Content-Length: {len(body)}", *more, version=version)
        answered(target, exchange(target.table, head + body)[0])


def _head(target: Target, *fields: str, version: str = "1.1") -> bytes:
    """Return the head of an inference request with these header fields."""
    lines = [f"POST {infer_path(target.table)} HTTP/{version}", "Host: x", f"content-type: {JSON}", *fields, "", ""]
    return "\r\n".join(lines).encode()
