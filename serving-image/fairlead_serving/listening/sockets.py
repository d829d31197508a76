"""What every client connection is told about its socket."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

_KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))


def find_dead_peers(transport: asyncio.BaseTransport) -> None:
    """Let the kernel find out within two minutes that an idle peer has gone."""
    raw: socket.socket | None = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            raw.setsockopt(socket.IPPROTO_TCP, option, value)
