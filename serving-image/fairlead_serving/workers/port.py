"""A port for several processes to share, and why there may be none."""

from __future__ import annotations

import errno
import os
import socket


def reserve(host: str | None, port: int) -> socket.socket:
    """Return a socket that holds a port, 0 for a free one, for processes that set SO_REUSEPORT. It does not listen.

    Raises OSError where any other program has the port.
    """
    family, _, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
    )[0]
    with socket.socket(family) as alone:
        # Another server with SO_REUSEPORT would not be noticed below.
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        alone.bind(address)
        alone.listen()
        number = alone.getsockname()[1]
    held = socket.socket(family)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((address[0], number, *address[2:]))
    except OSError:
        held.close()
        raise
    return held


def refusal(host: str | None, port: int, error: OSError) -> str:
    """Say in a sentence why a port cannot be listened on."""
    where = f"port {port} of {host}" if host else f"port {port}"
    if isinstance(error, socket.gaierror) or error.errno is None:
        return f"cannot listen on {where}: {error.strerror or error}"
    reason = os.strerror(error.errno)
    if error.errno == errno.EADDRINUSE:
        reason += "; choose another (--http-port, --grpc-port)"
    return f"cannot listen on {where}: {reason}"
