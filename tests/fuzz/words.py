"""What a fuzzer would take long to find out: the words of each format."""

from __future__ import annotations

from typing import Final

_JSON: Final = [
    *(b'"inputs"', b'"name"', b'"shape"', b'"datatype"', b'"data"', b'"parameters"', b'"outputs"', b'"id"'),
    *(b'"binary_data_size":', b'"binary_data":true', b'"binary_data_output":true', b'"shared_memory_region"'),
    *(b'"instances"', b'"signature_name"', b'"truth"', b'"reward"', b'"first"', b'"count"'),
    *(b'"BOOL"', b'"INT8"', b'"INT64"', b'"UINT64"', b'"FP16"', b'"BF16"', b'"FP32"', b'"FP64"', b'"BYTES"'),
    *(b"[[", b"]]", b"1e999", b"-0.0", b"NaN", b"null", b"true", b"\\ud800", b"\\u0000", b"9223372036854775808"),
]
_HTTP: Final = [
    *(b"GET ", b"POST ", b"HEAD ", b"OPTIONS ", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"\r\n\r\n", b"Host: x\r\n"),
    *(b"/v2/models/m/infer", b"/v2/health/live", b"/v2/models/m/versions/7", b"/v1/models/m:predict", b"/metrics"),
    *(b"/v2/models/m/feedback", b"/fairlead/v1/status", b"http://x:80/v2", b"%2e%2e", b"?a=b"),
    *(
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"0\r\n\r\n",
        b"5;x=y\r\n",
    ),
    *(b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"),
    *(
        b"Expect: 100-continue\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Accept-Encoding: gzip\r\n",
        b"Inference-Header-Content-Length: 10\r\n",
        b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n",
        b"tracestate: a=1,b=2\r\n",
        b"X-Request-Id: 1\r\n",
    ),
]
_GRPC: Final = [
    b"\x0a\x01m",
    b"\x2a",
    b"\x32",
    b"\x3a",
    b"\x12\x04FP32",
    b"\x12\x05BYTES",
    b"\x12\x04BOOL",
    b"\x1a\x01\x01",
]
_FRAMES: Final = [
    bytes((kind, flags, stream, 0)) for kind in range(17) for flags in (0, 1, 4, 5) for stream in (0, 1, 3)
]
_HEADERS: Final = [b"\x82\x86\x84", b"\x40", b"\x3f\xe1\x1f", b"\x20", b"\xbe", b"\x7f\x80", b"\x88\x25\xa8\x49\xe9"]
WORDS: Final[dict[str, list[bytes]]] = {
    "http": [*_HTTP, *_JSON],
    "heads": _HTTP,
    "v2": _JSON,
    "v1": _JSON,
    "feedback": _JSON,
    "compression": [b"\x1f\x8b\x08", b"\x78\x9c", b"\x03\x00"],
    "http2": _FRAMES,
    "http2client": [b"\x00\x00\x02\xff", b"\x06\x00", b"\x07\xff"],
    "hpack": _HEADERS,
    "grpc": _GRPC,
    "message": [b"\x00\x00\x00\x00", b"\x1f\x8b\x08", b"\x78\x9c"],
}
"""By target."""
