"""A server without sockets: real protocol objects, a transport in memory, and a model that gives back what it gets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from fairlead_serving.batching.engine import Limits
from fairlead_serving.batching.probe import Probe
from fairlead_serving.dataplane import Dataplane, Identity, Loaded
from fairlead_serving.feedback import Feedback
from fairlead_serving.grpc.codec import InferCodec
from fairlead_serving.grpc.server import GrpcServer
from fairlead_serving.http.server import HttpServer
from fairlead_serving.listening.listener import ConnectionLimits
from fairlead_serving.metrics.board import ENTRY_BYTES, Board
from fairlead_serving.metrics.counters import Metrics
from fairlead_serving.service import Service
from fairlead_serving.tensors import Tensor, TensorSpec

MAX_BODY: Final = 1 << 20
_TURNS: Final = 1000


class Echo:
    """Gives back its first tensor, whatever that is, and for each of its rows how many tensors there were."""

    format = "echo"
    platform = "test_echo"
    inputs = (TensorSpec("x", "FP32", (-1, 4)),)
    outputs = (TensorSpec("first", "FP32", (-1,)), TensorSpec("count", "INT64", (-1,)))
    classes = None
    parameters: Mapping[str, str] = MappingProxyType({})
    binds_by_form = True
    batches = True

    def bind(self, inputs: Sequence[Tensor]) -> dict[str, Any]:
        """Take anything; the name keeps the datatype, which an array does not tell."""
        return {f"{item.datatype} {item.name}": item.array for item in inputs}

    def run(self, feed: Any, wanted: Sequence[str]) -> list[Tensor]:
        """Return the wanted outputs."""
        name, first = next(iter(feed.items()))
        outputs = {
            "first": Tensor("first", name.partition(" ")[0], first),
            "count": Tensor("count", "INT64", np.full(first.shape[:1], len(feed))),
        }
        return [outputs[name] for name in wanted]

    def sample(self) -> None:
        """Have none."""


class Wire(asyncio.Transport):
    """What a protocol object writes to."""

    def __init__(self, protocol: Any) -> None:
        super().__init__({"peername": ("192.0.2.1", 1)})
        self.protocol = protocol
        self.written = bytearray()
        self.reading = True
        self.closed = self.ended = False

    def write(self, data: Any) -> None:
        assert not self.ended, "something is written behind the end"
        if not self.closed:
            self.written += data

    def writelines(self, list_of_data: Any) -> None:
        for data in list_of_data:
            self.write(data)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return 0


class _Here:
    """An executor that does it at once, so that every run of an input goes the same way."""

    def submit(self, function: Callable[..., object], *arguments: object) -> None:
        function(*arguments)


class World:
    """The server of one process that fuzzes."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(self._begin())

    async def _begin(self) -> None:
        identity = Identity("m", "7", "r")
        board = Board(1, 1024 * ENTRY_BYTES)
        self.metrics = Metrics(*identity, board)
        self.dataplane = dataplane = Dataplane(identity)
        self.codec = InferCodec(dataplane)
        feedback = Feedback(board, 0, self.metrics, 0.1)
        service = Service(dataplane, self.metrics, feedback, None, Limits(1.0, 256))
        service._codec = _Here()  # type: ignore[assignment]
        service.engine._beside = _Here()  # type: ignore[assignment]
        self.engine = service.engine
        self.engine.learn(Probe(joins=True, reason="", runs=((1, 1e-6), (2, 2e-6))))
        dataplane.serve(Loaded(Echo(), "sha256:0", 1e-6))
        limits = ConnectionLimits(MAX_BODY, 0, 30, 0, 0)
        self.http = HttpServer(dataplane, self.metrics, service, limits)
        self.grpc = GrpcServer(dataplane, self.metrics, service, limits)

    def settle(self) -> None:
        """Let all that is under way come to its end."""
        self.loop.run_until_complete(self._settle())

    async def _settle(self) -> None:
        await asyncio.sleep(0)
        for _ in range(_TURNS):
            if not self.metrics.in_flight:
                break
            await asyncio.sleep(0)
        else:
            message = "a request is never answered"
            raise AssertionError(message)
        await asyncio.sleep(0)

    def connect(self, listener: Any) -> Wire:
        """Return the transport of a new connection."""
        wire = Wire(listener.accept())
        wire.protocol.connection_made(wire)
        return wire

    def talk(self, listener: Any, pieces: Sequence[bytes]) -> bytes:
        """Return what a client gets for the pieces, until it hangs up."""
        wire = self.connect(listener)
        for piece in pieces:
            if wire.closed:
                break
            wire.protocol.data_received(piece)
            if not wire.reading:
                self.settle()
        self.settle()
        self.leave(wire)
        return bytes(wire.written)

    def leave(self, wire: Wire) -> None:
        """Hang up, as a client does."""
        if not wire.closed:
            wire.protocol.eof_received()
            self.settle()
        wire.protocol.connection_lost(None)
        self.settle()
        assert not self.metrics.in_flight, "a request outlives its connection"
        assert self.engine.joins, "a client has brought it about that requests are joined no more"
