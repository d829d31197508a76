"""HTTP/2 and HPACK: frames made of whatever bytes, what must hold of what comes back, and other libraries' opinion."""

from __future__ import annotations

import contextlib
from typing import Any, Final

from fairlead_serving.http2 import frames as h2
from fairlead_serving.http2 import hpack
from tests.fuzz.world import World
from tests.serving.oip import messages

try:
    import hpack as other_hpack
except ImportError:  # where seeds are replayed without the fuzzers' environment
    other_hpack = None

SERVICE: Final = "/inference.GRPCInferenceService/"
_METHODS: Final = ("ModelInfer", "ServerLive", "ModelReady", "ModelMetadata", "ServerMetadata", "Nothing")
_MAX_LIST: Final = 32 * 1024
# What stands for a frame's type: the RFC's ten and one unknown as they are, then those that come whole.
_KINDS: Final = 11
_HEAD, _CALL, _RAW, _SETTLE, _SWEEP, _PAUSE = range(_KINDS, _KINDS + 6)
_GRANTED: Final = 65535
_INTERNAL: Final = (b"2", b"13", b"14")


class _Client:
    """Sends what the bytes say."""

    def __init__(self, world: World, step: int) -> None:
        self.world = world
        self.step = step
        self.wire = world.connect(world.grpc)
        self.window = self.first = _GRANTED
        self.grants: dict[int, int] = {}
        self.last = 0
        self.send(h2.PREFACE + h2.settings({}))

    def send(self, data: bytes) -> None:
        """Send bytes in pieces of the wanted size."""
        for at in range(0, len(data), self.step):
            if self.wire.closed:
                return
            self.wire.protocol.data_received(data[at : at + self.step])

    def frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """Send a frame, and note what it allows."""
        more = int.from_bytes(payload, "big") & h2.MAX_WINDOW if len(payload) == 4 else 0
        if kind == h2.WINDOW_UPDATE and not stream:
            self.window += more
        elif kind == h2.WINDOW_UPDATE:
            self.grants[stream] = self.grants.get(stream, 0) + more
        elif kind == h2.SETTINGS and not len(payload) % h2.SETTING.size:
            for name, value in h2.SETTING.iter_unpack(payload):
                if name == h2.INITIAL_WINDOW_SIZE:
                    self.first = max(self.first, value)
        elif kind == h2.HEADERS:
            self.last = max(self.last, stream)
        self.send(h2.frame(kind, flags, stream, payload))

    def special(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """Send what a client that means well sends, or do what it does."""
        if kind == _HEAD:
            fields = {"te": "trailers", "content-type": "application/grpc"}
            if payload:
                fields["grpc-encoding"] = ("gzip", "deflate", "br", "identity")[payload[0] % 4]
            self.frame(h2.HEADERS, h2.END_HEADERS, stream, block(SERVICE + _METHODS[flags % 6], fields))
        elif kind == _CALL:
            fields = {"content-type": "application/grpc", "grpc-accept-encoding": "gzip"}
            if flags & 8:
                fields["grpc-timeout"] = payload[:5].decode("latin-1") + "n"
            self.frame(h2.HEADERS, h2.END_HEADERS, stream, block(SERVICE + _METHODS[flags % 6], fields))
            message = inference(1 + (flags & 0xF0) * 16) if not flags % 6 else messages["ModelRequest"](name="m")
            body = message.SerializeToString()
            self.frame(h2.DATA, h2.END_STREAM, stream, bytes((0,)) + len(body).to_bytes(4, "big") + body)
        elif kind == _RAW:
            self.send(payload)
        elif kind == _SETTLE:
            self.world.settle()
        elif kind == _SWEEP:
            self.wire.protocol.sweep(float("inf") if flags & 1 else 0.0)
        elif flags & 1:
            self.wire.protocol.pause_writing()
        else:
            self.wire.protocol.resume_writing()


def block(path: str, fields: dict[str, str]) -> bytes:
    """Return the header block of a call."""
    pairs = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "x", **fields}
    return b"".join(hpack.literal(name.encode(), value.encode("latin-1")) for name, value in pairs.items())


def inference(rows: int) -> Any:
    """Return a request with a row or more."""
    request = messages["ModelInferRequest"](model_name="m", id="1")
    request.inputs.add(name="x", datatype="FP32", shape=[rows, 1])
    request.raw_input_contents.append(bytes(4 * rows))
    return request


def http2(world: World, data: bytes) -> None:
    """Take bytes as frames: type, flags, stream and length in a byte each, and so many bytes of payload."""
    client = _Client(world, 1 + data[0] * data[0] if data else 1 << 16)
    at = 1
    while at + 4 <= len(data) and not client.wire.closed:
        kind, flags, stream, size = data[at : at + 4]
        payload = data[at + 4 : at + 4 + size]
        at += 4 + size
        kind %= _KINDS + 6
        if kind < _KINDS:
            client.frame(kind, flags, stream, payload)
        else:
            client.special(kind, flags, stream, payload)
    world.settle()
    world.leave(client.wire)
    check(bytes(client.wire.written), client)


def check(data: bytes, client: _Client) -> None:
    """Hold what a server sent against the protocol."""
    decoder = hpack.Decoder(1 << 20)
    ended: set[int] = set()
    reset: set[int] = set()
    sent: dict[int, int] = {}
    first = True
    while data:
        size, kind, flags = int.from_bytes(data[:3], "big"), data[3], data[4]
        stream, payload = int.from_bytes(data[5:9], "big"), data[9 : 9 + size]
        assert len(payload) == size <= h2.MAX_FRAME_BYTES
        data = data[9 + size :]
        assert not first or kind == h2.SETTINGS, "the first frame is not SETTINGS"
        first = False
        if stream:
            assert stream <= client.last, "an answer to what was not asked"
            assert stream not in reset or kind == h2.RST_STREAM, "something comes after a reset"
            assert stream not in ended or kind == h2.RST_STREAM, "something comes after the end of a stream"
        if kind == h2.DATA:
            sent[stream] = sent.get(stream, 0) + size
            assert sent[stream] <= client.first + client.grants.get(stream, 0), "more than the stream's window"
        elif kind == h2.HEADERS:
            assert flags & h2.END_HEADERS
            _check_headers(dict(decoder.decode(payload)))
        elif kind == h2.RST_STREAM:
            assert int.from_bytes(payload, "big") != h2.INTERNAL_ERROR
            reset.add(stream)
        elif kind == h2.GOAWAY:
            assert int.from_bytes(payload[4:8], "big") != h2.INTERNAL_ERROR
        else:
            assert kind in (h2.SETTINGS, h2.PING, h2.WINDOW_UPDATE)
        if kind in (h2.DATA, h2.HEADERS) and flags & h2.END_STREAM:
            ended.add(stream)
    assert sum(sent.values()) <= client.window, "more than the connection's window"


def _check_headers(fields: dict[bytes, bytes]) -> None:
    status = fields.get(b":status", b"200")
    assert status in (b"200", b"405", b"415"), status
    assert fields.get(b"grpc-status", b"0") not in _INTERNAL, fields


def header_blocks(_: World, data: bytes) -> None:
    """Take bytes as header blocks, each behind its length in a byte, and compare with another decoder."""
    ours = hpack.Decoder(_MAX_LIST)
    other = other_hpack.Decoder(max_header_list_size=_MAX_LIST) if other_hpack else None
    at = 0
    while at < len(data):
        piece = data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
        found = expected = None
        with contextlib.suppress(hpack.HpackError):
            found = ours.decode(piece)
        if other is not None:
            with contextlib.suppress(other_hpack.HPACKError):
                expected = [(bytes(name), bytes(value)) for name, value in other.decode(piece, raw=True)]
            assert found == expected, f"{piece.hex()}: {found} {expected}"
        if found is None:
            return
        assert sum(len(name) + len(value) + 32 for name, value in found) <= _MAX_LIST
