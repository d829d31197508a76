"""Flow control of HTTP/2: who gets room, and how much of it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from fairlead_serving.http2.frames import (
    END_STREAM,
    FIRST_WINDOW,
    HEADERS,
    MAX_WINDOW,
    ConnectionFault,
    Frame,
    StreamFault,
    prepared,
)
from fairlead_serving.http2.streams import CONNECTION_WINDOW, Incoming, Outgoing, Stream

MIB = 1 << 20
HEAD = prepared(HEADERS, 0, b"[head]")


class Wire:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += bytes(data)


class Peer:
    def __init__(self) -> None:
        self.outgoing = Outgoing()


def stream(number: int, peer: Peer | None = None) -> Stream:
    return Stream(number, cast("Any", peer or Peer()), None, None, 0.0, FIRST_WINDOW)


def tail(name: str) -> Frame:
    return prepared(HEADERS, END_STREAM, f"[tail {name}]".encode())


def used_up(incoming: Incoming, each: Stream) -> bytes:
    each.receive = 0
    return incoming.wants(each)


def test_large_bodies_share_a_budget_and_the_oldest_always_gets_room() -> None:
    incoming = Incoming()
    streams = [stream(number) for number in range(1, 61, 2)]
    granted = [bool(used_up(incoming, each)) for each in streams]
    assert granted == [True] * 16 + [False] * 14
    assert incoming.waits(streams[-1])
    for _ in range(100):
        assert used_up(incoming, streams[0])
    assert not used_up(incoming, streams[1])
    # All that the first held goes to those that wait.
    assert incoming.release(streams[0])
    assert sum(each.receive > 0 for each in streams[1:]) > 10
    assert incoming.release(streams[0]) == b""


def test_the_connections_window_is_given_back_in_large_pieces() -> None:
    incoming = Incoming()
    assert incoming.took(CONNECTION_WINDOW // 2 - 1) == b""
    assert incoming.took(1)
    assert incoming.window == CONNECTION_WINDOW
    with pytest.raises(ConnectionFault):
        incoming.took(CONNECTION_WINDOW + 1)


def test_answers_that_wait_take_turns() -> None:
    peer, wire = Peer(), Wire()
    transport = cast("Any", wire)
    peer.outgoing.window = 0
    first, second = stream(1, peer), stream(3, peer)
    assert not peer.outgoing.send(transport, first, HEAD, bytes(40_000), tail("1"))
    assert not peer.outgoing.send(transport, second, HEAD, b"x", tail("2"))
    assert peer.outgoing.flush(transport) == []
    peer.outgoing.widen(MIB)
    peer.outgoing.hold(stuck=True)
    assert peer.outgoing.flush(transport) == []
    peer.outgoing.hold(stuck=False)
    assert peer.outgoing.flush(transport) == [second, first]
    assert wire.written.index(b"[tail 2]") < wire.written.index(b"[tail 1]")
    assert peer.outgoing.window == MIB - 40_001


def test_a_peer_that_reads_nothing_is_full() -> None:
    peer, transport = Peer(), cast("Any", Wire())
    streams = [stream(number, peer) for number in range(1, 7, 2)]
    for each in streams:
        assert not peer.outgoing.full
        peer.outgoing.send(transport, each, HEAD, bytes(30 * MIB), tail(""))
    assert peer.outgoing.full
    peer.outgoing.forget(streams[0])
    peer.outgoing.forget(streams[0])
    assert not peer.outgoing.full


def test_windows_follow_the_settings_and_may_become_negative() -> None:
    peer, wire = Peer(), Wire()
    each = stream(1, peer)
    each.send = 10
    peer.outgoing.resize(FIRST_WINDOW - 20, [each])
    assert each.send == -10
    assert not peer.outgoing.send(cast("Any", wire), each, HEAD, b"abc", tail(""))
    assert peer.outgoing.flush(cast("Any", wire)) == []
    each.widen(13)
    assert peer.outgoing.flush(cast("Any", wire)) == [each]
    with pytest.raises(ConnectionFault):
        peer.outgoing.widen(MAX_WINDOW)
    with pytest.raises(StreamFault):
        each.widen(0)
