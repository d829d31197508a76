"""HTTP/2 as hyper-h2 speaks it: a client that keeps to the protocol must be served, and must find nothing to object."""

from __future__ import annotations

from typing import Any, Final

from tests.fuzz.frames import SERVICE, inference
from tests.fuzz.world import World

try:
    import h2.config
    import h2.connection
    import h2.events
    import h2.settings
except ImportError:  # where seeds are replayed without the fuzzers' environment
    h2 = None

_ACTIONS: Final = 8
_MOST_STREAMS: Final = 100
_CANCEL: Final = 8
_MESSAGE: Final = inference(3000).SerializeToString()
_BODY: Final = bytes((0,)) + len(_MESSAGE).to_bytes(4, "big") + _MESSAGE


class _Client:
    """Does what the bytes say, as far as the protocol allows."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.wire = world.connect(world.grpc)
        self.read = 0
        config = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self.connection = h2.connection.H2Connection(config)
        self.connection.initiate_connection()
        self.left: dict[int, bytes] = {}  # what is still to be sent of each body
        self.unanswered: set[int] = set()
        self.strikes = 0
        self.exchange()

    def exchange(self) -> None:
        """Carry what there is in both directions until nothing moves."""
        moved = True
        while moved:
            out = self.connection.data_to_send()
            if out:
                self.wire.protocol.data_received(out)
            self.world.settle()
            back = bytes(self.wire.written[self.read :])
            self.read += len(back)
            for event in self.connection.receive_data(back) if back else ():
                self.heard(event)
            moved = bool(out or back)

    def heard(self, event: Any) -> None:
        """Take note of what the server says; h2 has checked it."""
        assert not isinstance(event, h2.events.ConnectionTerminated), event
        if isinstance(event, h2.events.StreamReset):
            assert event.error_code == 0, f"the server resets a stream: {event.error_code}"
            self.unanswered.discard(event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.unanswered.discard(event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            assert dict(event.headers)[b"grpc-status"] in (b"0", b"3", b"12"), event.headers

    def open(self, method: str, body: bytes, *, end: bool) -> None:
        """Begin a request."""
        if len(self.unanswered) >= _MOST_STREAMS:
            return
        stream = self.connection.get_next_available_stream_id()
        pairs = [(":method", "POST"), (":scheme", "http"), (":path", SERVICE + method), (":authority", "x")]
        self.connection.send_headers(stream, [*pairs, ("content-type", "application/grpc")], end_stream=end)
        self.unanswered.add(stream)
        if not end:
            self.left[stream] = body

    def send(self, size: int, padding: int | None) -> None:
        """Send a piece of the body that is under way for longest."""
        if not self.left:
            return
        stream, body = next(iter(self.left.items()))
        room = self.connection.local_flow_control_window(stream) - (256 if padding is not None else 0)
        size = min(size, len(body), max(room, 0), 16000)
        if not size and body:
            return
        end = size == len(body)
        self.connection.send_data(stream, body[:size], end_stream=end, pad_length=padding)
        if end:
            del self.left[stream]
        else:
            self.left[stream] = body[size:]

    def reset(self) -> None:
        """Take back the request that is under way for longest."""
        if self.left:
            stream = next(iter(self.left))
            self.connection.reset_stream(stream, _CANCEL)
            del self.left[stream]
            self.unanswered.discard(stream)

    def act(self, action: int, how: int) -> None:
        """Do one thing."""
        match action % _ACTIONS:
            case 0:
                self.open("ModelInfer", _BODY, end=False)
            case 1:
                self.open("ServerLive", bytes(5), end=bool(how & 1))
            case 2:
                self.send(how * 64, None)
            case 3:
                self.send(how, how)
            case 4:
                self.reset()
            case 5:
                self.connection.ping(bytes((how,)) * 8)
            case 6:
                self.widen(how * how * 10)
            case _:
                self.connection.increment_flow_control_window(1 + how)

    def widen(self, window: int) -> None:
        """Set the window that streams begin with."""
        self.connection.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})

    def finish(self) -> None:
        """Send what is left, give all room there can be, and wait for all answers."""
        while self.left:
            before = dict(self.left)
            self.send(1 << 14, None)
            self.exchange()
            assert self.left != before, "the server gives no room for a body"
        self.widen(1 << 24)
        self.connection.increment_flow_control_window(1 << 24)
        self.exchange()
        assert not self.unanswered, "a request is not answered"


def http2client(world: World, data: bytes) -> None:
    """Take bytes as what a client does, each thing with a byte that says how."""
    if h2 is None:
        return
    client = _Client(world)
    for action, how in zip(data[::2], data[1::2], strict=False):
        client.act(action, how)
        if how & 3:
            client.exchange()
    client.finish()
    world.leave(client.wire)
